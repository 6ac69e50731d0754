"""REST. `errors.on_error` turns every refusal into {code, detail, hint}."""

from classifier.api.errors import on_error

__all__ = ["on_error"]
