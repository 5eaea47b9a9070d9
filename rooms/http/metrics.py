"""``/metrics``: what a node counts and what it is like, in the text formats of Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import REGISTRY, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from quart import Response, abort, request

from rooms.http.guard import Guard
from rooms.server.app import App
from rooms.server.counters import METRICS, Counters
from rooms.server.node import Node
from rooms.server.readings import READINGS, Load, Reading, load_of
from rooms.server.version import rooms_version

PREFIX = "rooms_"

Encode = Callable[[Collector], bytes]


class NodeCollector(Collector):
    """Reads an application's node at the moment of the scrape, and the process around it.

    What the application counts with prometheus-client's own default registry comes along.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._version = rooms_version()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric with its samples.

        Raises:
            NotRunning: There is no node.
        """
        node = self._app.node
        yield InfoMetricFamily(f"{PREFIX}build", "What runs here.", {"version": self._version})
        yield from _readings(node)
        yield from _counts(node.counters)
        yield from REGISTRY.collect()


def _readings(node: Node) -> Iterator[Metric]:
    load = load_of(node)
    for name, reading in READINGS.items():
        yield _reading(name, reading, node, load)


def _reading(name: str, reading: Reading, node: Node, load: Load) -> Metric:
    family = CounterMetricFamily if reading.kind == "counter" else GaugeMetricFamily
    return family(PREFIX + name, reading.help, reading.read(node, load))


def _counts(counters: Counters) -> Iterator[Metric]:
    families = {
        name: CounterMetricFamily(PREFIX + name, metric.help, labels=metric.labels)
        for name, metric in METRICS.items()
    }
    for name, labels, count in counters:
        families[name].add_metric(labels, count)
    yield from families.values()


class MetricsPage:
    """Answers scrapes of an application's node, as its settings allow it at the moment."""

    def __init__(self, app: App, guard: Guard) -> None:
        self._app = app
        self._guard = guard
        self._collector = NodeCollector(app)

    async def show(self) -> Response:
        """Return all numbers in the format that the scraper likes best.

        Raises:
            NotFound: Metrics are turned off.
            ApiError: The token is missing or wrong.
            NotRunning: There is no node.
        """
        settings = self._app.node.settings
        if settings.metrics == "off":
            abort(404)
        if settings.metrics == "token":
            self._guard.admit("read")
        encode, content_type = encoder(request.headers.get("Accept", ""))
        response = Response(encode(self._collector), content_type=content_type)
        response.headers["Cache-Control"] = "no-store"
        return response


def encoder(accept: str) -> tuple[Encode, str]:
    """Return what writes the format that the header ``accept`` asks for, and its content type."""
    try:
        return choose_encoder(accept)
    except TypeError:  # a version that is no number cannot be compared with one
        return generate_latest, CONTENT_TYPE_PLAIN_0_0_4
