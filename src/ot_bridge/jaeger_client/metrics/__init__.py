"""Where the tracer's own numbers go: the factories that ``metrics_factory`` takes."""

from ot_bridge.jaeger_client.metrics.metrics import LegacyMetricsFactory, Metrics, MetricsFactory

__all__ = ["LegacyMetricsFactory", "Metrics", "MetricsFactory"]
