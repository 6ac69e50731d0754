"""The API's requests and responses, paired by name with `classifier.api.views`."""
