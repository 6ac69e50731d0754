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
    """Set the thread count of PyTorch in each child.

    A forked child that does not set its own hangs in its first parallel operator.
    """
    import torch
    from django.conf import settings

    torch.set_num_threads(settings.WORKER_THREADS)
