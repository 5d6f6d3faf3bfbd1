"""What becomes of a trace that services hand to each other, told from the tables in :mod:`ot_bridge.matrix.peers`.

tests/test_peers.py starts every peer with its real library, lets them call each other over HTTP in chains of two and
three, and compares what each one saw with what is told here: a loss that is not foreseen fails, and so does a success.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from ot_bridge.matrix.peers import BAGGAGE, FORM, OBEYS, RANDOM, SPAN_ID, TRACE_ID, Peer

__all__ = ["STARTS", "Seen", "Start", "forced", "lost", "sampler", "story"]

Start = Literal["sampled", "unsampled", "debug"]

STARTS: Final[tuple[Start, ...]] = ("sampled", "unsampled", "debug")
"""The traces that are tried; every later service has a sampler that would decide otherwise."""


class Seen(NamedTuple):
    """What one service of a chain sees.

    Attributes:
        root: the place in the chain of the service where this trace began.
        sampled: the decision of that service.
        debug: Jaeger's debug flag, also where a service only passes it on in the tracestate.
        baggage: the items.
        random: the W3C's flag for a random trace id.
        losses: names out of LOSSES: what happened on the way here.
    """

    root: int
    sampled: bool
    debug: bool
    baggage: Mapping[str, str]
    random: bool
    losses: frozenset[str] = frozenset()


def sampler(start: Start, place: int) -> bool:
    """Tell whether the sampler at a place of a chain samples the traces that begin there."""
    return start == "sampled" if place == 0 else start == "unsampled"


def story(chain: Sequence[Peer], start: Start) -> list[Seen]:
    """Tell what every service of a chain sees.

    Args:
        chain: each one calls the next.
        start: the trace that the first one starts. A debug trace is one that ``jaeger-debug-id`` forces, or where a
            service does not know that header, one that it receives in ``traceparent`` and ``tracestate``.
    """
    first = chain[0]
    debug = start == "debug"
    losses = set()
    baggage = dict(BAGGAGE)
    if "key with dashes" in first.traits:
        baggage = {key.lower().replace("_", "-"): value for key, value in baggage.items()}
        losses.add("key with dashes")
    random = RANDOM in first.traits and not debug
    seen = [Seen(0, debug or sampler(start, 0), debug, baggage, random, frozenset(losses))]
    for place in range(1, len(chain)):
        seen.append(_cross(chain[place - 1], chain[place], seen[-1], place, own=sampler(start, place)))
    return seen


def forced(peer: Peer) -> Mapping[str, str]:
    """Return the headers that make a peer's trace a debug one."""
    if OBEYS in peer.traits:
        return {"jaeger-debug-id": "why"}
    return {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01", "tracestate": "jaeger=d:1"}


def lost(chain: Sequence[Seen]) -> tuple[str, ...]:
    """Name what the last service of a chain does not see as the first one meant it.

    Out of trace, sampled, debug, baggage (the values) and keys (their spelling); a lost trace says it all.
    """
    first, last = chain[0], chain[-1]
    if last.root != first.root:
        return ("trace",)
    kept = {
        "sampled": last.sampled == first.sampled,
        "debug": last.debug == first.debug,
        "baggage": _spelled(last.baggage) == _spelled(BAGGAGE),
        "keys": last.baggage.keys() == BAGGAGE.keys(),
    }
    return tuple(name for name, is_kept in kept.items() if not is_kept)


def _spelled(baggage: Mapping[str, str]) -> Mapping[str, str]:
    return {key.lower().replace("_", "-"): value for key, value in baggage.items()}


def _cross(sender: Peer, receiver: Peer, sent: Seen, place: int, *, own: bool) -> Seen:
    """Tell what a service sees when another one calls it."""
    header = next((name for name in receiver.reads if name in sender.writes), None)
    if header is None:
        losses = {*sent.losses, "no common header"}
        return Seen(place, own, False, {}, RANDOM in receiver.traits, frozenset(losses))
    debug, losses = _debug(sender, receiver, sent, header)
    baggage, found = _baggage(sender, receiver, sent.baggage)
    random = sent.random and header == "traceparent"
    return Seen(sent.root, sent.sampled, debug, baggage, random, frozenset({*sent.losses, *losses, *found}))


def _debug(sender: Peer, receiver: Peer, sent: Seen, header: str) -> tuple[bool, set[str]]:
    """Tell whether the receiver takes the trace for a debug one, and what went wrong."""
    losses = set()
    debug = sent.debug
    if header == "uber-trace-id":
        if not debug and sent.sampled and "debug without asking" in sender.traits:
            debug = True
            losses.add("debug without asking")
        if not debug and sent.random and "random as debug" in sender.traits:
            debug = True
            losses.add("random as debug")
        if debug and "debug not read" in receiver.traits:
            debug = False
            losses.add("debug not read")
    # jaeger-client takes the bit as it is; for everybody else debug is a kind of sampled.
    alone = receiver.reads == ("uber-trace-id",)
    return debug and (sent.sampled or alone), losses


def _baggage(sender: Peer, receiver: Peer, items: Mapping[str, str]) -> tuple[dict[str, str], set[str]]:
    """Tell which items arrive, and what went wrong."""
    losses = set()
    arrived: dict[str, str] = {}
    for source in (name for name in receiver.extract if name in sender.inject):
        part = dict(items)
        if source == "baggage" and "space as plus" in sender.traits and FORM not in receiver.traits:
            part = {key: value.replace(" ", "+") for key, value in part.items()}
        if source == "uberctx-*":
            values: dict[str, list[str]] = {}
            for key, value in part.items():
                values.setdefault(key.lower(), []).append(value)
            joined = "two lines" in receiver.traits
            if joined and any(len(lines) > 1 for lines in values.values()):
                losses.add("two lines")
            part = {key: ", ".join(lines) if joined else lines[-1] for key, lines in values.items()}
            capitals = {key.lower() for key in arrived if key != key.lower()}
            if "two spellings" not in receiver.traits:
                # A member of the list and a header that differ in the case of the key alone are one item.
                part = {key: value for key, value in part.items() if key in arrived or key not in capitals}
            elif capitals & (part.keys() - arrived.keys()):
                losses.add("two spellings")
        if "bytes as latin-1" in receiver.traits:
            part = {key: value.encode().decode("latin-1") for key, value in part.items()}
        arrived.update(part)
    if any(" " in value and value.replace(" ", "+") == arrived.get(key) for key, value in items.items()):
        losses.add("space as plus")
    if any(not value.isascii() and arrived.get(key.lower()) != value for key, value in items.items()):
        losses.update({"bytes as latin-1"} & receiver.traits)
    if any(key not in arrived for key in items):
        losses.add("key in lower case")
    return arrived, losses
