"""``jaeger_client`` 4.8.0 without jaeger_client: change the import, and every span goes out over OTLP.

::

    from ot_bridge.jaeger_client import Config  # was: from jaeger_client import Config

    tracer = Config(config={"sampler": {"type": "const", "param": 1}}, service_name="checkout").initialize_tracer()

``ot-bridge run`` does the same without the change: there ``import jaeger_client`` finds this package. Its modules have
the names of the package that it stands in for. What cannot be carried over says so once, by name, with what to do:
see "What the drop-in for jaeger_client does not do" in compat_matrix.md.

Source: jaeger-client-python 4.8.0.
"""

from ot_bridge.jaeger_client.config import Config
from ot_bridge.jaeger_client.sampler import (
    ConstSampler,
    ProbabilisticSampler,
    RateLimitingSampler,
    RemoteControlledSampler,
)
from ot_bridge.jaeger_client.span import Span
from ot_bridge.jaeger_client.span_context import SpanContext
from ot_bridge.jaeger_client.tracer import Tracer

__version__ = "4.8.0"

__all__ = [
    "Config",
    "ConstSampler",
    "ProbabilisticSampler",
    "RateLimitingSampler",
    "RemoteControlledSampler",
    "Span",
    "SpanContext",
    "Tracer",
    "__version__",
]
