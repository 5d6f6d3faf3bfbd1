"""jaeger-client's configuration, translated: the dict, its files and the ``JAEGER_*`` variables.

::

    from ot_bridge.jaeger_config import translate

    found = translate({"sampler": {"type": "const", "param": 1}}, service_name="checkout")
    print(found.variables["OT_BRIDGE_SAMPLER"])  # const:1

Pure: nothing is built, nothing is set, and the caller's dict stays as it is.
"""

from ot_bridge.jaeger_config.files import load, parse, section_of
from ot_bridge.jaeger_config.keys import CONFIG_KEYS, ENV_KEYS
from ot_bridge.jaeger_config.result import Agent, Row, Translation
from ot_bridge.jaeger_config.translate import translate

__all__ = [
    "CONFIG_KEYS",
    "ENV_KEYS",
    "Agent",
    "Row",
    "Translation",
    "load",
    "parse",
    "section_of",
    "translate",
]
