"""What two rooms must agree on."""

from django.conf import settings

from ml import checkpoint


def test_the_web_and_the_worker_mean_the_same_checkpoint() -> None:
    assert checkpoint.default_path() == settings.CHECKPOINT
