"""A stand-in for the drop-in's metrics."""


class MetricsFactory:
    """Nothing."""
