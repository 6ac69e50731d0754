"""REST, described by its own OpenAPI schema."""
