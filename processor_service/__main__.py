"""`python -m processor_service`: reads the settings and runs the processor until SIGTERM."""

import sys

import asyncpg
import uvloop

from processor_service.errors import ChildCrashError, TaskError
from processor_service.models.cache import ModelError
from processor_service.service import serve
from processor_service.settings import ProcessorSettings
from shared import failpoints
from shared.environment import take_environment
from shared.known_variables import unknown_variables
from shared.settings import SettingsError, load_settings
from shared.telemetry import logs
from shared.telemetry.logs import Log

log = Log("processor_service")


def main() -> int:
    """Return the exit status: 0 after an orderly stop, 1 after a failure, 2 for invalid settings."""
    environ = take_environment()
    unknown = unknown_variables(environ)
    try:
        settings = load_settings(ProcessorSettings, environ)
    except SettingsError as error:  # one that is not set may be set under a name that is almost right
        return _report(2, *map(str, unknown), str(error))
    try:
        logs.configure(settings.log_format, settings.log_level)
        for one in unknown:
            log.warning("unknown_setting", **one._asdict())
        failpoints.arm(settings.failpoints)
        return uvloop.run(serve(settings))
    except (SettingsError, ModelError) as error:
        return _report(2, str(error))
    except (OSError, asyncpg.PostgresError) as error:
        return _report(1, f"The database is unreachable: {type(error).__name__}: {error}")
    except (ChildCrashError, TaskError) as error:
        return _report(1, f"The model could not be loaded: {error}")


def _report(status: int, *lines: str) -> int:
    for line in lines:
        sys.stderr.write(f"processor_service: {line}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
