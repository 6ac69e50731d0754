"""What changes state: one module per capability, called by pages, API, admin and commands."""
