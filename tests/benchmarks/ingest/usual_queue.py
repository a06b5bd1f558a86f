"""The Celery side of the usual stack; REDIS_URL in the environment is its broker."""

import os

from celery import Celery

celery = Celery("usual_stack", broker=os.environ["REDIS_URL"])
celery.conf.task_ignore_result = True


@celery.task(name="transcribe")
def transcribe(job_id: str) -> None:
    """Stands for the work, which is nobody's concern here."""
