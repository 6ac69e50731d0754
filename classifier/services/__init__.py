"""Everything that changes state: one module per capability, for pages, API, admin and commands."""
