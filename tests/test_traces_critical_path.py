from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ot_bridge.traces.analyse.blocking import asynchronous, is_blocking
from ot_bridge.traces.analyse.critical_path import CriticalPath, critical_path
from ot_bridge.traces.analyse.reading import read
from ot_bridge.traces.analyse.saving import Savings
from ot_bridge.traces.analyse.where_time_went import where_time_went
from ot_bridge.traces.model import Kind, Link, Span
from ot_bridge.traces.tree import Trace
from traces_made import MS, TRACE_ID, made, trace

# Nobody is asked to be quick: the machine may have other work.
CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

KINDS: Sequence[Kind] = ("internal", "internal", "client", "server", "producer", "consumer")
Row = tuple[int, int, int, Kind]
ROWS = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 40), st.integers(-2, 40), st.sampled_from(KINDS)),
    min_size=1,
    max_size=25,
)


def built(rows: Sequence[Row]) -> Trace:
    """Make a tree of one root: each row's parent is an earlier span."""
    spans = [made("0", 1, at=0, took=max(60, rows[0][2]))]
    for i, (parent, at, took, kind) in enumerate(rows):
        spans.append(made(str(i + 1), i + 2, parent % (i + 1) + 1, at=at, took=took, kind=kind))
    return trace(*spans)


def by_id(found: Trace, path: CriticalPath) -> list[tuple[int, int, int]]:
    return [(found.spans[one.span].span_id, one.start_ns, one.end_ns) for one in path.sections]


def slowly(found: Trace, index: int, start: int, until: int) -> Iterator[tuple[int, int, int]]:
    """The rule as its text says it, from the end backwards, with a look at every child at every step."""
    span = found.spans[index]
    at = until
    while at > start:
        children = [
            found.spans[one]
            for one in found.children[index]
            if is_blocking(span, found.spans[one])
            and found.spans[one].duration_ns
            and found.spans[one].start_ns < at
            and found.spans[one].end_ns > start
        ]
        if not children:
            break
        taken = min(children, key=lambda child: (-min(child.end_ns, at), child.start_ns, -child.end_ns, child.span_id))
        end, begin = min(taken.end_ns, at), max(taken.start_ns, start)
        if end < at:
            yield (span.span_id, end, at)
        child = next(one for one in found.children[index] if found.spans[one] is taken)
        yield from slowly(found, child, begin, end)
        at = begin
    if start < at:
        yield (span.span_id, start, at)


@CALM
@given(ROWS)
def test_the_path_is_what_the_rule_says_when_followed_slowly(rows: list[Row]) -> None:
    found = built(rows)
    root = found.spans[found.root]
    assert by_id(found, critical_path(found)) == list(slowly(found, found.root, root.start_ns, root.end_ns))[::-1]


@CALM
@given(ROWS)
def test_sections_are_disjoint_and_sum_exactly_to_the_root(rows: list[Row]) -> None:
    found = built(rows)
    path = critical_path(found)
    root = found.spans[found.root]
    edges = [root.start_ns, *(one.start_ns for one in path.sections[1:]), root.end_ns]
    assert [(one.start_ns, one.end_ns) for one in path.sections] == list(pairwise(edges))
    assert sum(path.own_ns.values()) == root.duration_ns


@CALM
@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_in_which_spans_arrive_changes_nothing(rows: list[Row], random: Any) -> None:
    found = built(rows)
    mixed = list(found.spans)
    random.shuffle(mixed)
    again = Trace(mixed)
    assert by_id(again, critical_path(again)) == by_id(found, critical_path(found))


@CALM
@given(ROWS, st.integers(0, 30), st.integers(0, 60), st.integers(0, 40))
def test_a_leaf_off_the_path_changes_nothing(rows: list[Row], parent: int, at: int, took: int) -> None:
    found = built(rows)
    leaf = made("leaf", 99, parent % (len(rows) + 1) + 1, at=at, took=took)
    more = trace(*found.spans, leaf)
    path, longer = critical_path(found), critical_path(more)
    if more.index_of(99) not in longer.windows:
        assert by_id(more, longer) == by_id(found, path)


@CALM
@given(ROWS)
def test_a_window_holds_the_sections_of_all_that_is_below(rows: list[Row]) -> None:
    found = built(rows)
    path = critical_path(found)
    for index in path.windows:
        below = range(index, index + found.sizes[index])
        assert path.below_ns(index) == sum(path.own_ns.get(one, 0) for one in below)


def saved(found: Trace, *names: str) -> float:
    path = critical_path(found)
    return Savings(found, path).of(*(i for i, span in enumerate(found.spans) if span.name in names)) / MS


@CALM
@given(ROWS, st.data())
def test_a_saving_is_never_below_0_nor_above_what_the_span_and_all_below_have_on_the_path(
    rows: list[Row], data: st.DataObject
) -> None:
    found = built(rows)
    path = critical_path(found)
    savings = Savings(found, path)
    assert savings.of() == 0
    alone = {index: savings.of(index) for index in range(len(found))}
    for index, saving in alone.items():
        assert 0 <= saving <= path.below_ns(index)
        if index != found.root and index in path.windows:
            assert saving <= savings.of(found.parents[index])
    some = data.draw(st.sets(st.sampled_from(range(len(found)))))
    assert max((alone[one] for one in some), default=0) <= savings.of_all(some) <= found.spans[found.root].duration_ns


ROOT = made("root", 1, took=100)


@pytest.mark.parametrize(
    ("spans", "zeroed", "gain"),
    [
        pytest.param([made("a", 2, 1, took=60), made("b", 3, 1, at=60, took=40)], ["a"], 60, id="in a row"),
        pytest.param([made("a", 2, 1, took=100), made("b", 3, 1, took=80)], ["a"], 20, id="to the next longest"),
        pytest.param([made("a", 2, 1, took=100), made("b", 3, 1, took=80)], ["b"], 0, id="off the path"),
        pytest.param([made("a", 2, 1, took=100), made("b", 3, 1, took=80)], ["a", "b"], 100, id="both"),
        pytest.param([made("a", 2, 1, took=50), made("b", 3, 2, at=10, took=30)], ["b"], 30, id="two levels down"),
        pytest.param([made("a", 2, 1, took=50), made("b", 3, 2, at=10, took=30)], ["a"], 50, id="with all below"),
        pytest.param([made("a", 2, 1, took=51), made("b", 3, 1, at=50, took=50)], ["a"], 50, id="overlapping a little"),
        pytest.param([made("a", 2, 1, took=300), made("b", 3, 2, took=150)], ["b"], 0, id="outlives the root"),
        pytest.param(
            [made("a", 2, 1, took=50), made("b", 3, 1, took=40), made("c", 4, 1, at=50, took=50)],
            ["a"],
            10,
            id="joined",
        ),
        pytest.param([made("a", 2, 1, at=20, took=30)], ["root"], 100, id="the root itself"),
    ],
)
def test_a_saving_ends_where_the_next_longest_takes_over(spans: list[Span], zeroed: list[str], gain: float) -> None:
    assert saved(trace(ROOT, *spans), *zeroed) == gain


def certainties(*spans: Span) -> list[tuple[str, str, str]]:
    found = trace(ROOT, *spans)
    names = [span.name for span in found.spans]
    return [(names[one.before], names[one.after], one.certainty) for one in critical_path(found).hand_overs]


@pytest.mark.parametrize(
    ("spans", "certainty"),
    [
        pytest.param([made("b", 2, 1, took=50), made("c", 3, 1, at=50, took=50)], "sure", id="one after the other"),
        pytest.param([made("b", 2, 1, took=50), made("c", 3, 1, at=59, took=40)], "sure", id="with a small gap"),
        pytest.param([made("b", 2, 1, took=30), made("c", 3, 1, at=60, took=40)], "likely", id="with a long gap"),
        pytest.param([made("b", 2, 1, took=52), made("c", 3, 1, at=50, took=50)], "likely", id="overlapping"),
        pytest.param(
            [made("b", 2, 1, took=50, service="x"), made("c", 3, 1, at=50, took=50, service="y")],
            "guess",
            id="two clocks",
        ),
        pytest.param(
            [made("b", 2, 1, took=50), made("c", 3, 1, at=50, took=50), made("d", 4, 1, at=20, took=40)],
            "guess",
            id="others beside them",
        ),
    ],
)
def test_a_hand_over_says_how_sure_it_is(spans: list[Span], certainty: str) -> None:
    assert certainties(*spans) == [("b", "c", certainty)]


def test_one_host_is_one_clock_whatever_the_service() -> None:
    host = {"host.name": "h1"}
    first = made("b", 2, 1, took=50, service="x", resource=host)
    assert certainties(first, made("c", 3, 1, at=50, took=50, service="y", resource=host)) == [("b", "c", "sure")]


def test_siblings_that_each_overlap_the_next_by_little_are_clipped_not_guessed() -> None:
    spans = [made(str(i), i + 2, 1, at=i * 20, took=20.001 if i < 4 else 20) for i in range(5)]
    assert certainties(*spans) == [(str(i), str(i + 1), "likely") for i in range(4)]


FOLLOWS = Link(TRACE_ID, 1, {"opentracing.ref_type": "follows_from"})


def test_what_was_not_waited_for_is_off_the_path_and_named_with_the_reason() -> None:
    found = trace(
        made("send", 1, took=100, kind="producer"),
        made("handle", 2, 1, at=10, took=60, kind="consumer"),
        made("follow", 3, 1, at=20, took=80, links=[FOLLOWS]),
        made("after", 4, 1, at=100, took=50),
        made("skewed", 5, 1, at=500, took=50, service="far"),
        made("below", 6, 2, at=20, took=10),
    )
    path = critical_path(found)
    named = {found.spans[index].name: reason for index, reason in path.pruned.items()}
    assert named == {"handle": "consumer", "follow": "follows", "after": "later", "skewed": "clocks"}
    assert (path.pruned, path.own_ns) == (asynchronous(found), {0: 100 * MS})


def test_a_child_that_outlives_its_parent_blocks_up_to_the_parents_end() -> None:
    found = trace(made("a", 1, took=100), made("b", 2, 1, at=40, took=200))
    assert critical_path(found).own_ns == {0: 40 * MS, 1: 60 * MS}


def test_a_chain_of_5000_spans_has_a_path_and_savings() -> None:
    found = trace(*(made(str(i), i + 1, i, took=5000 - i / 10) for i in range(5000)))
    path = critical_path(found)
    assert len(path.own_ns) == 5000
    # Each level has a tail of 0.1 ms after its child.
    assert Savings(found, path).of(4999) == found.spans[4999].duration_ns


class Counted(Sequence[Any]):
    """A sequence that counts how often it is read."""

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = items
        self.reads = 0

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: Any) -> Any:
        self.reads += 1
        return self.items[index]


def shapes(n: int) -> dict[str, Trace]:
    took = float(n)
    return {
        "one after the other": trace(made("r", 1, took=took), *(made("c", i + 2, 1, at=i, took=1) for i in range(n))),
        "all at once": trace(made("r", 1, took=took), *(made("c", i + 2, 1, at=0, took=i + 1) for i in range(n))),
        "each within the last": trace(*(made("c", i + 1, i, at=i / 3, took=took - i / 2) for i in range(n))),
        "overlapping": trace(made("r", 1, took=took), *(made("c", i + 2, 1, at=i / 2, took=n / 2) for i in range(n))),
    }


@pytest.mark.parametrize("shape", shapes(1))
def test_the_work_grows_no_faster_than_n_log_n(shape: str) -> None:
    reads = []
    for n in (250, 4000):
        found = shapes(n)[shape]
        found.spans = counted = Counted(found.spans)
        critical_path(found)
        reads.append(counted.reads)
    # Sixteen times the spans, and a logarithm that grows by half.
    assert reads[1] <= 16 * 1.5 * reads[0]


def test_the_finding_says_which_services_the_time_went_to() -> None:
    found = trace(
        made("GET", 1, took=1000, service="shop", kind="server"),
        made("POST", 2, 1, at=100, took=800, service="shop", kind="client"),
        made("pay", 3, 2, at=200, took=600, service="bank", kind="server"),
    )
    assert [(one.text, one.certainty, one.spans, one.numbers) for one in where_time_went(read(found))] == [
        (
            "Of the 1.00 s of shop 'GET', bank took 60% (600 ms, mostly in 'pay') and shop took 40% (400 ms).",
            "sure",
            (2, 0, 1),
            {"root_ns": 1000 * MS, "service_ns": 600 * MS, "span_ns": 600 * MS, "saving_ns": 600 * MS},
        )
    ]


def test_a_root_alone_is_not_explained() -> None:
    assert where_time_went(read(trace(made("a", 1)))) == []
    assert where_time_went(read(trace())) == []
