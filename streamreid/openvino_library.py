"""Imports OpenVINO without what it brings along: a message to its maker, and a model converter.

`import openvino` imports its converter, and that tells Google Analytics about the import unless the
user has opted out. A program that watches people does not call home, so the telemetry is kept out;
the converter (14 MiB) is imported only where a network of ours is converted.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_CONVERTER = "openvino.tools.ovc"
_TELEMETRY = "openvino_telemetry"


def openvino_runtime() -> Any:
    """The module `openvino`, to read, compile and run networks.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    with _kept_out(_CONVERTER):
        return importlib.import_module("openvino")


def openvino_converter() -> Callable[..., Any]:
    """`openvino.convert_model`: from a torch module to an OpenVINO model.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    openvino_runtime()
    with _kept_out(_TELEMETRY):
        converter: Callable[..., Any] = importlib.import_module(_CONVERTER).convert_model
    return converter


@contextmanager
def _kept_out(name: str) -> Iterator[None]:
    """Importing a module fails inside, unless it is here already; OpenVINO does without."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules.pop(name, None)
