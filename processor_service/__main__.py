"""`python -m processor_service`: reads the settings and works until SIGTERM."""

import os
import sys

import asyncpg
import uvloop

from processor_service.failures import ChildCrashError, TaskError
from processor_service.models.cache import ModelError
from processor_service.service import serve
from processor_service.settings import ProcessorSettings
from shared import failpoints, logs
from shared.settings import SettingsError, load_settings


def main() -> int:
    """The exit status: 0 after an ordered stop, 1 when it could not go on, 2 for settings that cannot work."""
    try:
        settings = load_settings(ProcessorSettings, os.environ)
        logs.configure(settings.log_format, settings.log_level)
        failpoints.arm(settings.failpoints)
        return uvloop.run(serve(settings))
    except (SettingsError, ModelError) as error:
        sys.stderr.write(f"processor_service: {error}\n")
        return 2
    except (OSError, asyncpg.PostgresError) as error:
        sys.stderr.write(f"processor_service: the database cannot be reached: {type(error).__name__}: {error}\n")
        return 1
    except (ChildCrashError, TaskError) as error:
        sys.stderr.write(f"processor_service: the model could not be loaded: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
