"""The control's tasks: plain Celery with late acknowledgement, as its documentation recommends.

Each task takes as long as a small clip and then records its number.
"""

import os
import time

from celery import Celery

VISIBILITY_S = 10
WORK_S = 0.05

app = Celery("control", broker=os.environ.get("CONTROL_BROKER", ""), set_as_current=False)
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    broker_transport_options={"visibility_timeout": VISIBILITY_S},
    broker_connection_retry_on_startup=True,
)


@app.task(name="control.work")
def work(number: int) -> None:
    time.sleep(WORK_S)
    with open(os.environ["CONTROL_DONE"], "a") as done:  # noqa: PTH123
        done.write(f"{number} {time.time()}\n")
