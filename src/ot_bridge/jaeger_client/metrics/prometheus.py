"""The tracer's own numbers in Prometheus; needs the package ``prometheus-client``, as it always did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import Counter, Gauge

from ot_bridge.jaeger_client.metrics import MetricsFactory

__all__ = ["PrometheusMetricsFactory"]


class PrometheusMetricsFactory(MetricsFactory):
    """Makes counters and gauges of Prometheus' default registry.

    Args:
        namespace: put before every name.
        service_name_label: value of a label ``service``; None for no such label.
    """

    def __init__(self, namespace: str = "", service_name_label: str | None = None) -> None:
        self._namespace = namespace
        self._labels = {"service": service_name_label} if service_name_label else {}
        self._made: dict[tuple[str, tuple[str, ...]], Any] = {}

    def create_counter(self, name: str, tags: Mapping[str, str] | None = None) -> Any:
        return self._metric(Counter, name, tags).inc

    def create_gauge(self, name: str, tags: Mapping[str, str] | None = None) -> Any:
        return self._metric(Gauge, name, tags).set

    def _metric(self, kind: Any, name: str, tags: Mapping[str, str] | None) -> Any:
        labels = {**(tags or {}), **self._labels}
        key = (name, tuple(labels))
        if key not in self._made:  # one metric for all values of its labels
            self._made[key] = kind(name, name, labelnames=list(labels), namespace=self._namespace)
        return self._made[key].labels(**labels) if labels else self._made[key]
