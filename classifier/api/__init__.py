"""The REST API, described by its own OpenAPI schema."""
