"""The Celery side of the usual stack. The broker is REDIS_URL from the environment."""

import os

from celery import Celery

celery = Celery("usual_stack", broker=os.environ["REDIS_URL"])
celery.conf.task_ignore_result = True


@celery.task(name="transcribe")
def transcribe(job_id: str) -> None:
    """Do nothing: no worker runs in this benchmark."""
