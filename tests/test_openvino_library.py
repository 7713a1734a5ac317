"""OpenVINO runs and converts without telling anybody."""

import subprocess
import sys

import pytest

_NETWORK = (
    "import warnings, torch\n"
    "from streamreid.openvino_library import openvino_converter\n"
    "warnings.simplefilter('ignore')\n"
    "model = openvino_converter()(torch.nn.Linear(2, 3), example_input=torch.zeros(1, 2))\n"
    "print(openvino.Core().compile_model(model, 'CPU')([torch.ones(1, 2).numpy()])[0].shape)\n"
)


@pytest.mark.parametrize(
    ("job", "printed"),
    [pytest.param("", "", id="run"), pytest.param(_NETWORK, "(1, 3)\n", id="convert")],
)
def test_nothing_is_reported_to_anybody(job: str, printed: str) -> None:
    code = (
        "import socket, sys\n"
        "def refuse(*args, **kwargs):\n    raise AssertionError('goes online')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from streamreid.openvino_library import openvino_runtime\n"
        "openvino = openvino_runtime()\n"
        f"{job}"
        "openvino.Core()\n"
        "assert 'openvino_telemetry' not in sys.modules\n"
        "import threading; assert threading.active_count() == 1, threading.enumerate()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, printed), done.stderr
