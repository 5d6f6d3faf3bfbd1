"""Real peers, each with its own library in a process of its own, in chains of two and three over HTTP.

What must come out of every chain is told by ot_bridge.matrix.stories from the tables that compat_matrix.md prints, the
defects of the peers among them. A peer whose environment is missing is skipped; see tests/peers/prepare.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import pytest
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from ot_bridge.matrix.peers import BAGGAGE, LOSSES, ODDITIES, PEERS, RANDOM, SPAN_ID, TRACE_ID, Oddity
from ot_bridge.matrix.stories import STARTS, Start, forced, lost, sampler, story
from peers.fleet import PROGRAMS, Fleet, running

# Before 1.42 the SDK, and with it the native peer of this interpreter, did not know the flag for random trace ids.
KNOWS_RANDOM = hasattr(RandomIdGenerator, "is_trace_id_random")
BY_NAME = {
    peer.name: peer if KNOWS_RANDOM or peer.name != "otel-python" else peer._replace(traits=peer.traits - {RANDOM})
    for peer in PEERS
}
PAIRS = list(product(BY_NAME, repeat=2))
Chain = tuple[str, ...]
Outcome = list[dict[str, Any]]


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """All peers, running."""
    with running() as fleet:
        yield fleet


@pytest.fixture(scope="module")
def outcomes(fleet: Fleet) -> dict[tuple[Chain, Start], Outcome]:
    """What every chain of two and three did, each with every start."""
    there = [name for name in BY_NAME if name in fleet.addresses]
    chains = [chain for length in (2, 3) for chain in product(there, repeat=length)]
    asked = list(product(chains, STARTS))
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(asked, pool.map(lambda one: outcome(fleet, *one), asked), strict=True))


def outcome(fleet: Fleet, chain: Chain, start: Start) -> Outcome:
    """Let a chain run; give what each service saw, with the place of its trace's and its span's origin for ids."""
    samplers = ["on" if sampler(start, place) else "off" for place in range(len(chain))]
    headers = forced(BY_NAME[chain[0]]) if start == "debug" else {}
    reports = fleet.ask(chain, samplers=samplers, baggage=BAGGAGE, headers=headers)
    trace_ids = [report["trace_id"] for report in reports]
    # The parent of the first one is either nobody or the span that the headers name.
    span_ids = ["", *(report["span_id"] for report in reports)]
    outside = SPAN_ID if trace_ids[0] == TRACE_ID else ""
    return [
        {
            "root": trace_ids.index(report["trace_id"]),
            "parent": None if report["parent_id"] in ("", outside) else span_ids.index(report["parent_id"]) - 1,
            "sampled": report["sampled"],
            "debug": report["debug"],
            "baggage": report["baggage"],
        }
        for report in reports
    ]


def expected(chain: Chain, start: Start) -> Outcome:
    """Give what the story says, in the same words."""
    return [
        {
            "root": seen.root,
            "parent": place - 1 if seen.root < place else None,
            "sampled": seen.sampled,
            "debug": seen.debug,
            "baggage": dict(seen.baggage),
        }
        for place, seen in enumerate(story([BY_NAME[name] for name in chain], start))
    ]


def need(fleet: Fleet, *names: str) -> None:
    for name in names:
        if name in fleet.missing:
            pytest.skip(f"{name} is not there: {fleet.missing[name]}")


def compare(outcomes: dict[tuple[Chain, Start], Outcome], chains: Sequence[Chain]) -> None:
    asked = [(chain, start) for chain in chains for start in STARTS if (chain, start) in outcomes]
    assert asked
    found = {f"{start}: {' > '.join(chain)}": outcomes[chain, start] for chain, start in asked}
    assert found == {f"{start}: {' > '.join(chain)}": expected(chain, start) for chain, start in asked}


# -- chains ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("caller", "called"), PAIRS, ids=" > ".join)
def test_pair_keeps_what_the_table_says(
    fleet: Fleet, outcomes: dict[tuple[Chain, Start], Outcome], caller: str, called: str
) -> None:
    need(fleet, caller, called)
    compare(outcomes, [(caller, called)])


@pytest.mark.parametrize(("first", "middle"), PAIRS, ids=" > ".join)
def test_triple_keeps_what_the_story_says(
    fleet: Fleet, outcomes: dict[tuple[Chain, Start], Outcome], first: str, middle: str
) -> None:
    need(fleet, first, middle)
    compare(outcomes, [(first, middle, last) for last in BY_NAME])


@pytest.mark.parametrize("oddity", ODDITIES, ids=lambda oddity: oddity.what)
@pytest.mark.parametrize("name", BY_NAME)
def test_oddity_is_read_by_those_who_can(fleet: Fleet, name: str, oddity: Oddity) -> None:
    need(fleet, name)
    (report,) = fleet.ask([name], samplers=["off"], headers=oddity.headers)
    assert ({key: report[key] for key in oddity.meant} == oddity.meant) is (name in oddity.readers)


# -- the tables --------------------------------------------------------------------------------------------------------


def test_every_peer_has_a_program() -> None:
    assert list(PROGRAMS) == list(BY_NAME)


def test_oddities_name_peers_that_are_there() -> None:
    assert {name for oddity in ODDITIES for name in oddity.readers} <= BY_NAME.keys()


def test_every_loss_happens_somewhere() -> None:
    chains = [[BY_NAME[name] for name in chain] for length in (2, 3) for chain in product(BY_NAME, repeat=length)]
    told = {name for chain in chains for start in STARTS for name in story(chain, start)[-1].losses}
    assert told == LOSSES.keys()


def test_nothing_is_lost_without_a_reason() -> None:
    chains = [[BY_NAME[name] for name in chain] for length in (2, 3) for chain in product(BY_NAME, repeat=length)]
    stories = [story(chain, start) for chain in chains for start in STARTS]
    assert [told for told in stories if lost(told) and not told[-1].losses] == []


BRIDGES = ("bridge", "bridge-plus", "otel-python-bridge")


def test_bridge_in_the_middle_never_cuts_the_trace() -> None:
    chains = [[BY_NAME[name] for name in chain] for chain in product(BY_NAME, BRIDGES, BY_NAME)]
    cut = [[peer.name for peer in chain] for chain in chains if story(chain, "sampled")[-1].root != 0]
    assert cut == []


def test_bridges_among_themselves_lose_nothing() -> None:
    chains = [[BY_NAME[name] for name in chain] for chain in product(BRIDGES, repeat=3)]
    assert {lost(story(chain, start)) for chain in chains for start in STARTS} == {()}
