"""State of the installation, for operators, health checks and the admin dashboard."""
