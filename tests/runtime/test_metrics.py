"""Metrics and health pages over real HTTP, from real counters."""

import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streamreid.errors import ControlError
from streamreid.runtime.counter_rows import read_counters
from streamreid.runtime.counters import create_counters
from streamreid.runtime.metrics import MetricsServer, Publisher, open_server, serve_metrics
from streamreid.runtime.status import RunStatus, WorkerStatus
from tests.fakes import ManualClock


def make_status(run_dir: Path, *, matcher_ready: float = 1.0) -> RunStatus:
    """A matcher and a camera that was restarted once."""
    clock = ManualClock()
    for incarnation in (1, 2):
        counters = create_counters(run_dir, "camera", "door", incarnation, clock=clock)
        counters.add("frames_decoded", 10)
        counters.set("people_now", incarnation)
        book = counters.book("crop")
        for _ in range(3):
            book.produce()
        book.drop("queue_full")
        book.send()
        book.store(0, in_flight=True)
        counters.close()
    matcher = create_counters(run_dir, "matcher", "matcher", 1, clock=clock)
    matcher.set("ready", matcher_ready)
    matcher.observe_latency(0.03)
    matcher.close()
    workers = [
        WorkerStatus("matcher", "matcher", "running", 1, 5.0, 0, None),
        WorkerStatus("camera", "door", "running", 2, 5.0, 1, -9),
    ]
    return RunStatus(workers, read_counters(run_dir), (), stopping=False)


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    made = open_server(0, Publisher())
    thread = threading.Thread(target=made.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def get(server: MetricsServer, path: str) -> tuple[int, str]:
    url = f"http://127.0.0.1:{server.server_port}{path}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own server
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, exc.read().decode()


def samples(text: str) -> dict[tuple[str, ...], float]:
    helps = [line for line in text.splitlines() if line.startswith("# HELP")]
    assert len(helps) == len(set(helps)), "a metric is listed twice"
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_are_summed_over_restarts_and_gauges_are_the_newest(
    server: MetricsServer, tmp_path: Path
) -> None:
    server.publisher.publish(make_status(tmp_path))
    code, text = get(server, "/metrics")
    found = samples(text)
    assert code == 200
    assert found["streamreid_messages_produced_total", "crop", "door"] == 6
    assert found["streamreid_messages_stored_total", "crop", "door"] == 2
    assert found["streamreid_messages_dropped_total", "crop", "door", "queue_full"] == 2
    assert found["streamreid_messages_waiting", "crop", "door"] == 2
    assert found["streamreid_frames_decoded_total", "camera", "door"] == 20
    assert found["streamreid_people_now", "camera", "door"] == 2
    assert found["streamreid_turns_total", "matcher", "matcher"] == 0
    assert ("streamreid_people_now", "matcher", "matcher") not in found
    assert found["streamreid_worker_restarts_total", "camera", "door"] == 1
    assert found["streamreid_crop_to_row_seconds_bucket", "0.02"] == 0
    assert found["streamreid_crop_to_row_seconds_bucket", "0.05"] == 1
    assert found["streamreid_crop_to_row_seconds_count",] == 1


@pytest.mark.parametrize(
    ("published", "ready", "health", "readiness"),
    [(False, 1.0, 503, 503), (True, 0.0, 200, 503), (True, 1.0, 200, 200)],
    ids=["no supervisor", "matcher loads", "all work"],
)
def test_health_and_readiness(
    server: MetricsServer,
    tmp_path: Path,
    published: bool,
    ready: float,
    health: int,
    readiness: int,
) -> None:
    if published:
        server.publisher.publish(make_status(tmp_path, matcher_ready=ready))
    assert get(server, "/healthz")[0] == health
    code, text = get(server, "/readyz")
    assert code == readiness
    assert json.loads(text)["ready"] is (readiness == 200)


@pytest.mark.parametrize("path", ["/", "/metrics/../etc/passwd", "/%2e%2e/x", "/metrics?x=1"])
def test_there_is_nothing_else(server: MetricsServer, path: str) -> None:
    assert get(server, path)[0] == 404


def test_it_listens_on_loopback_only(server: MetricsServer) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_idle_clients_do_not_pile_up(server: MetricsServer) -> None:
    idle = [socket.create_connection(("127.0.0.1", server.server_port)) for _ in range(30)]
    for client in idle[8:]:
        client.settimeout(10.0)
        assert client.recv(1) == b""
    for client in idle:
        client.close()


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ControlError, match=f"metrics.port {port} cannot be used"):
            open_server(port, Publisher())


def test_without_a_port_nothing_listens(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with serve_metrics(None) as publisher:
        publisher.publish(make_status(tmp_path))
        assert publisher.latest() is not None
        assert set(threading.enumerate()) <= before
