"""The Celery application of the worker."""

import os

from celery import Celery
from celery.signals import worker_process_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")

app = Celery("sonoscope")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.include = ["tasks.analyse", "tasks.inspect"]


@worker_process_init.connect
def cap_threads(**_: object) -> None:
    """A forked child hangs in its first parallel operator unless it sets its own thread count."""
    import torch
    from django.conf import settings

    torch.set_num_threads(settings.WORKER_THREADS)
