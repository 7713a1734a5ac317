"""How a worker tells what happens: JSON lines to standard error, and an exit code."""

import logging
import sys
from collections.abc import Callable

import structlog

from streamreid.errors import StreamreidError, mask_credentials

EXIT_BUG = StreamreidError.exit_code


def configure_worker_log(level: str) -> None:
    """Send structlog and the standard library's logging to standard error as JSON lines.

    Args:
        level: Lowest level that is written: debug, info, warning or error.
    """
    lowest = getattr(logging, level.upper())
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(lowest),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _masked,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=lowest, handlers=[handler], force=True)


def exit_code_of(job: Callable[[], int]) -> int:
    """Do a worker's job; every error becomes one line of its log and an exit code.

    Args:
        job: The whole work; its result is the exit code.
    """
    log = structlog.get_logger()
    try:
        return job()
    except StreamreidError as error:
        log.error(str(error))
        return error.exit_code
    except Exception:
        log.exception("unexpected error; this is a bug in streamreid")
        return EXIT_BUG


def _masked(
    _logger: object, _name: str, record: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """No credentials in any value."""
    return {
        key: mask_credentials(value) if isinstance(value, str) else value
        for key, value in record.items()
    }
