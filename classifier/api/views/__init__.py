"""The API's views, paired by name with `classifier.api.serializers`."""
