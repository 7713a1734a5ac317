"""How a worker tells what happens: JSON lines to standard error, and an exit code.

The standard library's logging does it: structlog brings rich and asyncio along, 11 MiB in every
camera worker. Fields beside the message go in `extra={"fields": {...}}`.
"""

import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from streamreid.errors import StreamreidError, mask_credentials

EXIT_BUG = StreamreidError.exit_code

_log = logging.getLogger(__name__)


class JsonLines(logging.Formatter):
    """One JSON object a line; control characters are escaped, credentials masked."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record.

        Args:
            record: From the standard library.
        """
        created = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, object] = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "timestamp": created.isoformat(timespec="milliseconds"),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        masked = {
            key: mask_credentials(value) if isinstance(value, str) else value
            for key, value in line.items()
        }
        return json.dumps(masked, default=str)


def configure_worker_log(level: str) -> None:
    """Send everything that is logged to standard error as JSON lines.

    Args:
        level: Lowest level that is written: debug, info, warning or error.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def warn(event: str, **fields: object) -> None:
    """Log a warning with values.

    Args:
        event: What happened.
        fields: Values beside it.
    """
    _log.warning(event, extra={"fields": fields})


def exit_code_of(job: Callable[[], int]) -> int:
    """Do a worker's job; every error becomes one line of its log and an exit code.

    Args:
        job: The whole work; its result is the exit code.
    """
    try:
        return job()
    except StreamreidError as error:
        _log.error(str(error))
        return error.exit_code
    except Exception:  # noqa: BLE001 - the log gets it whole
        _log.exception("unexpected error; this is a bug in streamreid")
        return EXIT_BUG
