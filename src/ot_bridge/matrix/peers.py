"""The services of a mixed fleet as data: what each one reads, writes, and does wrong.

To add a peer, add a row to ``PEERS`` and its program to tests/peers/fleet.py. A defect that no other peer has is a row
of ``LOSSES``, a trait of the peer, and a line in :mod:`ot_bridge.matrix.stories`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

__all__ = [
    "BAGGAGE",
    "FORM",
    "LOSSES",
    "OBEYS",
    "ODDITIES",
    "PEERS",
    "RANDOM",
    "SPAN_ID",
    "TRACE_ID",
    "Oddity",
    "Peer",
]

BAGGAGE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "space": "a b",
        "comma": "a,b;c=d",
        "percent": "100%25 of %zz",
        "plus": "1+1",
        "accent": "Z\u00fcrich \u2603",
        "Tenant_ID": "acme",
    }
)
"""What the first service sets."""

LOSSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "no common header": "The one writes no trace header that the other reads: the trace is cut, and the next "
        "service starts one of its own. With a bridge between the two it is not.",
        "key in lower case": "Header names have no case, so an item with a header of its own arrives under its key in "
        "lower case. Only the W3C's `baggage` keeps the case.",
        "key with dashes": "jaeger-client for Node puts the keys that it is given in lower case and turns `_` into "
        "`-`: `Tenant_ID` is `tenant-id` from the start.",
        "two spellings": "opentelemetry-propagator-jaeger adds the lower-case key of `uberctx-*` to the one that "
        "`baggage` spelled with capitals: one item becomes two.",
        "space as plus": "OpenTelemetry for Python writes a space in `baggage` as `+`; the W3C has no such rule, so "
        "who follows it reads a plus. A bridge reads a space with `baggage_plus_is_space`.",
        "bytes as latin-1": "jaeger-client under Python 2.7 decodes the percent-encoding of a unicode header, which is "
        "what Flask and tornado give it, byte by byte: text that is not ASCII is garbled.",
        "two lines": "Of two headers whose names differ in case alone, Node makes one, with a comma between the "
        "values: what was one item in two spellings is `acme, acme`.",
        "debug without asking": "opentelemetry-propagator-jaeger writes the flags of every sampled trace as `03`: "
        "sampled and debug.",
        "random as debug": "opentelemetry-propagator-jaeger writes the W3C's flag for a random trace id, `02`, as it "
        "is; in `uber-trace-id` that bit is debug, and jaeger-client passes it on. A bridge takes no debug without "
        "sampled.",
        "debug not read": "opentelemetry-propagator-jaeger reads only the sampled flag of `uber-trace-id`, and what it "
        "read replaces the `traceparent` with the tracestate beside it.",
    }
)
"""What gets lost or falsified, and whose doing that is."""


class Peer(NamedTuple):
    """One kind of service.

    Attributes:
        name: short, for the tables.
        library: what it runs on, with the version that is tested.
        reads: trace headers, the first one that is there wins.
        writes: trace headers.
        extract: baggage, the weakest source first.
        inject: baggage.
        traits: what sets it apart, the names of LOSSES among them.
    """

    name: str
    library: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    extract: tuple[str, ...]
    inject: tuple[str, ...]
    traits: frozenset[str]


_JAEGER: Final = (("uber-trace-id",), ("uber-trace-id",), ("uberctx-*",), ("uberctx-*",))
_W3C: Final = (("traceparent",), ("traceparent",), ("baggage",), ("baggage",))
_BOTH: Final = (
    ("uber-trace-id", "traceparent"),
    ("uber-trace-id", "traceparent"),
    ("baggage", "uberctx-*"),
    ("baggage", "uberctx-*"),
)
_BRIDGES: Final = ("bridge", "bridge-plus", "otel-python-bridge")
_JAEGERS: Final = ("jaeger-python", "jaeger-python38", "jaeger-python27", "jaeger-node")
OBEYS: Final = "obeys jaeger-debug-id"
RANDOM: Final = "marks its trace ids as random"
FORM: Final = "reads a plus in baggage as a space"

PEERS: Final = (
    Peer("bridge", "OpenTracing on ot_bridge", *_BOTH, frozenset({OBEYS})),
    Peer("bridge-plus", "the same with `baggage_plus_is_space`", *_BOTH, frozenset({OBEYS, FORM})),
    Peer("jaeger-python", "jaeger-client 4.8.0, the Python of ot_bridge", *_JAEGER, frozenset({OBEYS})),
    Peer("jaeger-python38", "jaeger-client 4.8.0, Python 3.8, 128-bit ids", *_JAEGER, frozenset({OBEYS})),
    Peer("jaeger-python27", "jaeger-client 4.3.0, Python 2.7", *_JAEGER, frozenset({OBEYS, "bytes as latin-1"})),
    Peer("jaeger-node", "npm jaeger-client 3.19.0", *_JAEGER, frozenset({OBEYS, "key with dashes", "two lines"})),
    Peer(
        "otel-python",
        "OpenTelemetry for Python, its default propagators",
        *_W3C,
        frozenset({RANDOM, FORM, "space as plus"}),
    ),
    Peer(
        "otel-python-bridge",
        "OpenTelemetry for Python, `OTEL_PROPAGATORS=ot_bridge`",
        *_BOTH,
        frozenset(),
    ),
    Peer(
        "otel-python-jaeger",
        "OpenTelemetry for Python 1.45.1, `OTEL_PROPAGATORS=tracecontext,baggage,jaeger`",
        *_BOTH,
        frozenset(
            {
                *(RANDOM, FORM),
                *("space as plus", "two spellings", "debug without asking", "random as debug", "debug not read"),
            }
        ),
    ),
    Peer("otel-node", "npm @opentelemetry/sdk-trace-node 2.12.0, its default propagators", *_W3C, frozenset()),
)


class Oddity(NamedTuple):
    """A request as some sender, proxy or person makes it.

    Attributes:
        what: in words.
        headers: of the request.
        meant: what a service that reads it as it is meant sees; names as in the answer of a peer.
        readers: the names of the peers that do.
    """

    what: str
    headers: Mapping[str, str]
    meant: Mapping[str, object]
    readers: tuple[str, ...]


TRACE_ID: Final = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID: Final = "b7ad6b7169203331"
_UBER: Final = f"{TRACE_ID}:{SPAN_ID}:0:1"
_CONTINUED: Final = {"trace_id": TRACE_ID, "parent_id": SPAN_ID, "sampled": True}
_UBER_READERS: Final = (*_BRIDGES, *_JAEGERS, "otel-python-jaeger")

ODDITIES: Final = (
    Oddity("`Uber-Trace-Id` with capitals", {"Uber-Trace-Id": _UBER}, _CONTINUED, _UBER_READERS),
    Oddity(
        "`Traceparent` with capitals",
        {"Traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"},
        _CONTINUED,
        (*_BRIDGES, "otel-python", "otel-python-jaeger", "otel-node"),
    ),
    Oddity(
        "`%3A` for the colons of `uber-trace-id`, as Ruby's client and proxies write it",
        {"uber-trace-id": _UBER.replace(":", "%3A")},
        _CONTINUED,
        (*_BRIDGES, *_JAEGERS),
    ),
    Oddity(
        "ids without leading zeros in `uber-trace-id`, as Python's and Node's clients write them",
        {"uber-trace-id": "abc:def:0:1"},
        {"trace_id": f"{0xABC:032x}", "parent_id": f"{0xDEF:016x}", "sampled": True},
        _UBER_READERS,
    ),
    Oddity(
        "`+` for a space in `uberctx-*`, as Go's and Java's clients write it",
        {"uber-trace-id": _UBER, "uberctx-k": "a+b%2Bc"},
        {**_CONTINUED, "baggage": {"k": "a b+c"}},
        _BRIDGES,
    ),
    Oddity(
        "`uberctx-*` without `uber-trace-id`",
        {"uberctx-k": "v"},
        {"baggage": {"k": "v"}},
        (*_BRIDGES, *_JAEGERS),
    ),
    Oddity(
        "`jaeger-baggage`, written by hand",
        {"jaeger-baggage": "k=v"},
        {"baggage": {"k": "v"}},
        (*_BRIDGES, *_JAEGERS),
    ),
    Oddity(
        "`jaeger-debug-id`, written by hand",
        {"jaeger-debug-id": "why"},
        {"sampled": True, "debug": True},
        ("bridge", "bridge-plus", *_JAEGERS),
    ),
    Oddity(
        "`traceparent` that cannot be read beside a good `uber-trace-id`",
        {"uber-trace-id": _UBER, "traceparent": "00-0-0-00"},
        _CONTINUED,
        _UBER_READERS,
    ),
    Oddity(
        "`uber-trace-id` that cannot be read beside a good `traceparent`",
        {"uber-trace-id": "none", "traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"},
        _CONTINUED,
        (*_BRIDGES, "otel-python", "otel-python-jaeger", "otel-node"),
    ),
)
"""What the first service of a chain may receive."""
