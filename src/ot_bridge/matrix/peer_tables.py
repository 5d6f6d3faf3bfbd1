"""The section of the page on who keeps what: the tables of peers, printed from what tests/test_peers.py holds true."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Final

from ot_bridge.matrix.peers import LOSSES, ODDITIES, PEERS, Peer
from ot_bridge.matrix.stories import STARTS, lost, story

__all__ = ["Part", "peer_parts"]

Part = str | tuple[Sequence[str], Sequence[Sequence[str]]]
"""A paragraph, or the head and the rows of a table."""

_NUMBERS: Final = {name: f"[{number}]" for number, name in enumerate(LOSSES, 1)}
_TESTS: Final = (
    "Held by `test_peers::test_pair_keeps_what_the_table_says`, `test_peers::test_triple_keeps_what_the_story_says`, "
    "`test_peers::test_oddity_is_read_by_those_who_can`."
)
_MIDDLE: Final = ("trace", "sampled", "debug", "baggage")
_ASPECTS: Final = (*_MIDDLE, "keys")


def peer_parts() -> Iterator[Part]:
    """Yield the paragraphs and tables of the section, in order."""
    yield "Real services, each with its own library, that call each other over HTTP."
    yield (
        ("Peer", "Library", "Reads", "Writes"),
        [
            (f"`{peer.name}`", peer.library, _names(peer.reads, peer.extract), _names(peer.writes, peer.inject))
            for peer in PEERS
        ],
    )
    yield (
        "What is lost when the row calls the column, for a sampled, an unsampled and a debug trace: the trace, the "
        "decision (sampled), the debug flag, the values of the baggage, or the spelling of its keys. A debug flag is "
        "kept by a native service that passes it on. `.` means that nothing is lost. " + _TESTS
    )
    yield ("Caller", *(f"`{peer.name}`" for peer in PEERS)), [_row(caller) for caller in PEERS]
    yield "\n".join(f"{number.strip('[]')}. {LOSSES[name]}" for name, number in _NUMBERS.items())
    yield (
        f"In how many of the {len(PEERS) ** 2} chains `A > middle > C`, with every peer as A and as C, the last one "
        "sees what the first one meant, the spelling of keys left out:"
    )
    yield ("Middle", *_MIDDLE), [_middle(peer) for peer in PEERS]
    yield (
        "What a service may receive from others, and who reads it as it is meant. The native services here look names "
        "up without case, as OpenTelemetry's instrumentations do; its default getter for a dict in Python does not."
    )
    yield (
        ("Received", "Read as it is meant", "Not by"),
        [(oddity.what, _those(oddity.readers, True), _those(oddity.readers, False)) for oddity in ODDITIES],
    )


def _names(*groups: Sequence[str]) -> str:
    return "<br>".join(f"`{name}`" for group in groups for name in group)


def _row(caller: Peer) -> list[str]:
    return [f"`{caller.name}`", *(_cell(caller, called) for called in PEERS)]


def _cell(caller: Peer, called: Peer) -> str:
    gone: set[str] = set()
    reasons: set[str] = set()
    for start in STARTS:
        told = story((caller, called), start)
        found = lost(told)
        gone.update(found)
        if found:
            reasons |= told[-1].losses
    if not gone:
        return "."
    notes = " ".join(number for name, number in _NUMBERS.items() if name in reasons)
    return f"{', '.join(name for name in _ASPECTS if name in gone)} {notes}"


def _middle(middle: Peer) -> list[str]:
    kept = dict.fromkeys(_MIDDLE, 0)
    for first, last in product(PEERS, repeat=2):
        gone = {name for start in STARTS for name in lost(story((first, middle, last), start))}
        for name in _MIDDLE:
            kept[name] += not gone & {name, "trace"}
    return [f"`{middle.name}`", *map(str, kept.values())]


def _those(readers: Sequence[str], can: bool) -> str:
    return ", ".join(f"`{peer.name}`" for peer in PEERS if (peer.name in readers) is can)
