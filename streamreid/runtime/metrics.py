"""Prometheus metrics and health pages, on loopback only, out of everybody's counters."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket as Socket

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from streamreid.errors import ControlError
from streamreid.messages import KINDS
from streamreid.runtime.counter_table import (
    COUNTER_NAMES,
    COUNTERS_OF,
    GAUGE_NAMES,
    GAUGES_OF,
    LATENCY_BUCKETS_S,
    Role,
)
from streamreid.runtime.status import RunStatus

_STALE_S = 10.0
_CLIENT_S = 5.0
_MAX_CLIENTS = 8
_PREFIX = "streamreid_"


class Publisher:
    """Holds the newest status for the thread that answers; the supervisor publishes every tick."""

    def __init__(self) -> None:
        self._latest: tuple[RunStatus, float] | None = None

    def publish(self, status: RunStatus) -> None:
        """Replace the status."""
        self._latest = (status, time.monotonic())

    def latest(self) -> RunStatus | None:
        """The newest status, or None when the supervisor has not turned for a while."""
        latest = self._latest
        if latest is None or time.monotonic() - latest[1] > _STALE_S:
            return None
        return latest[0]


@contextmanager
def serve_metrics(port: int | None) -> Iterator[Publisher]:
    """Answer `/metrics`, `/healthz` and `/readyz` on 127.0.0.1 while the context lasts.

    Args:
        port: Where to listen; None listens nowhere, 0 lets the system choose.

    Yields:
        Where the supervisor publishes its status.

    Raises:
        ControlError: The port cannot be used.
    """
    publisher = Publisher()
    if port is None:
        yield publisher
        return
    server = open_server(port, publisher)
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield publisher
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def open_server(port: int, publisher: Publisher) -> "MetricsServer":
    """Listen on 127.0.0.1; the caller runs `serve_forever`.

    Raises:
        ControlError: The port cannot be used.
    """
    try:
        return MetricsServer(port, publisher)
    except OSError as exc:
        raise ControlError(
            f"metrics.port {port} cannot be used: {exc.strerror}; choose another or leave it out"
        ) from exc


class MetricsServer(ThreadingHTTPServer):
    """A small server for scrapers and health checks; at most a few clients at once.

    Args:
        port: Port on 127.0.0.1, 0 to let the system choose.
        publisher: Where the status comes from.
    """

    daemon_threads = True
    request_queue_size = 64
    block_on_close = False

    def __init__(self, port: int, publisher: Publisher) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.publisher = publisher
        self._free = threading.BoundedSemaphore(_MAX_CLIENTS)

    def process_request(
        self, request: Socket | tuple[bytes, Socket], client_address: object
    ) -> None:
        """Serve a client in a thread of its own, or not at all when too many are here."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(
        self, request: Socket | tuple[bytes, Socket], client_address: object
    ) -> None:
        """Serve one client and make room for the next."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: MetricsServer
    timeout = _CLIENT_S
    server_version = "streamreid"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer one of the three pages."""
        status = self.server.publisher.latest()
        if self.path == "/metrics":
            self._send(200, metrics_text(status), "text/plain; version=0.0.4; charset=utf-8")
        elif self.path == "/healthz":
            self._send_json(200 if status is not None else 503, {"alive": status is not None})
        elif self.path == "/readyz":
            ready = status is not None and status.ready
            workers = {} if status is None else {w.name: w.state for w in status.workers}
            self._send_json(200 if ready else 503, {"ready": ready, "workers": workers})
        else:
            self._send_json(404, {"pages": ["/metrics", "/healthz", "/readyz"]})

    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are not worth a log line."""

    def _send_json(self, code: int, value: object) -> None:
        self._send(code, json.dumps(value).encode(), "application/json")

    def _send(self, code: int, body: bytes, content_type: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)


def metrics_text(status: RunStatus | None) -> bytes:
    """All metrics in Prometheus' text format; names and meanings are in docs/operations.md."""
    registry = CollectorRegistry(auto_describe=False)
    if status is not None:
        registry.register(_StatusCollector(status))
    return generate_latest(registry)


class _StatusCollector(Collector):
    """Turns one status into metric families."""

    def __init__(self, status: RunStatus) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield from self._processes()
        yield from self._messages()
        yield from self._counters()
        yield from self._gauges()
        yield self._latency()

    def _processes(self) -> Iterator[Metric]:
        labels = ("role", "name")
        up = GaugeMetricFamily(_PREFIX + "worker_up", "1 while the worker runs", labels=labels)
        restarts = CounterMetricFamily(
            _PREFIX + "worker_restarts", "times the worker was started again", labels=labels
        )
        memory = GaugeMetricFamily(
            _PREFIX + "worker_resident_bytes", "memory of the worker", labels=labels
        )
        for worker in self._status.workers:
            names = (worker.role, worker.name)
            up.add_metric(names, float(worker.state == "running"))
            restarts.add_metric(names, worker.restarts)
            memory.add_metric(names, worker.resident_bytes)
        yield from (up, restarts, memory)
        yield GaugeMetricFamily(
            _PREFIX + "imbalances", "books that did not add up", len(self._status.imbalances)
        )

    def _messages(self) -> Iterator[Metric]:
        labels = ("camera", "kind")
        produced = CounterMetricFamily(_PREFIX + "messages_produced", "made", labels=labels)
        stored = CounterMetricFamily(_PREFIX + "messages_stored", "acknowledged", labels=labels)
        dropped = CounterMetricFamily(
            _PREFIX + "messages_dropped", "never stored", labels=(*labels, "reason")
        )
        outbox = GaugeMetricFamily(_PREFIX + "messages_waiting", "not yet sent", labels=labels)
        flight = GaugeMetricFamily(_PREFIX + "messages_in_flight", "unanswered", labels=labels)
        for camera in self._names("camera"):
            for kind in KINDS:
                counts = self._status.books(camera)[kind]
                produced.add_metric((camera, kind), counts.produced)
                stored.add_metric((camera, kind), counts.stored)
                outbox.add_metric((camera, kind), counts.outbox)
                flight.add_metric((camera, kind), counts.in_flight)
                for reason, count in counts.dropped.items():
                    dropped.add_metric((camera, kind, reason), count)
        yield from (produced, stored, dropped, outbox, flight)

    def _counters(self) -> Iterator[Metric]:
        for name in COUNTER_NAMES:
            family = CounterMetricFamily(_PREFIX + name, name, labels=("role", "name"))
            for worker in self._status.workers:
                if name in COUNTERS_OF[worker.role]:
                    total = self._status.counter(worker.role, worker.name, name)
                    family.add_metric((worker.role, worker.name), total)
            yield family

    def _gauges(self) -> Iterator[Metric]:
        latest = [self._status.latest(one.role, one.name) for one in self._status.workers]
        for name in GAUGE_NAMES:
            family = GaugeMetricFamily(_PREFIX + name, name, labels=("role", "name"))
            for row in latest:
                if row is not None and name in GAUGES_OF[row.role]:
                    family.add_metric((row.role, row.name), row.values[name])
            yield family

    def _latency(self) -> Metric:
        buckets: list[tuple[str, float]] = []
        seen = 0.0
        for index, bound in enumerate((*LATENCY_BUCKETS_S, float("inf"))):
            seen += self._status.counter("matcher", "matcher", f"latency_bucket_{index}")
            buckets.append(("+Inf" if bound == float("inf") else str(bound), seen))
        total_s = self._status.counter("matcher", "matcher", "latency_sum_s")
        return HistogramMetricFamily(
            _PREFIX + "crop_to_row_seconds",
            "from capture to committed row",
            buckets=buckets,
            sum_value=total_s,
        )

    def _names(self, role: Role) -> list[str]:
        return sorted({worker.name for worker in self._status.workers if worker.role == role})
