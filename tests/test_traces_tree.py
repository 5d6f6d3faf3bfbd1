from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ot_bridge.traces.analyse.critical_path import critical_path
from ot_bridge.traces.analyse.self_time import self_times
from ot_bridge.traces.tree import Note, Trace
from traces_made import MS, made, trace


def named(found: Trace) -> list[tuple[str, str | None, int, int]]:
    return [
        (span.name, found.spans[parent].name if parent >= 0 else None, depth, size)
        for span, parent, depth, size in zip(found.spans, found.parents, found.depths, found.sizes, strict=True)
    ]


def test_spans_stand_in_pre_order_with_siblings_by_their_start() -> None:
    found = trace(made("c", 3, 1, at=50), made("d", 4, 3, at=55), made("b", 2, 1, at=20), made("a", 1, took=100))
    assert named(found) == [("a", None, 0, 4), ("b", "a", 1, 1), ("c", "a", 1, 2), ("d", "c", 2, 1)]


def test_a_span_without_its_parent_is_a_root_and_noted() -> None:
    found = trace(made("a", 1, at=5), made("b", 2, 99))
    assert named(found) == [("b", None, 0, 1), ("a", None, 0, 1)]
    assert (found.notes, found.root) == ((Note("missing parent", 0),), 1)


def test_a_cycle_is_cut_at_its_first_span() -> None:
    found = trace(made("c", 3, 2, at=0), made("b", 2, 1, at=2), made("a", 1, 2, at=1), made("self", 4, 4, at=9))
    assert named(found) == [("a", None, 0, 3), ("b", "a", 1, 2), ("c", "b", 2, 1), ("self", None, 0, 1)]
    assert found.notes == (Note("cycle", 0), Note("cycle", 3))


def test_a_span_that_was_sent_twice_is_kept_once() -> None:
    found = trace(made("a", 1), made("a", 1))
    assert (named(found), found.notes) == ([("a", None, 0, 1)], (Note("resent", 0),))


def test_a_shared_id_is_split_into_client_and_server() -> None:
    spans = [
        made("call", 1, kind="client", service="shop"),
        made("call", 1, kind="server", service="bank", at=1, took=5),
        made("query", 2, 1, service="bank", at=2, took=2),
    ]
    found = trace(*spans)
    assert named(found) == [("call", None, 0, 3), ("call", "call", 1, 2), ("query", "call", 2, 1)]
    assert found.notes == (Note("shared id", 1),)


TREES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 100), st.integers(0, 100)), min_size=1, max_size=40)


@given(TREES)
def test_any_spans_make_a_tree_whose_critical_path_adds_up_to_its_root(rows: list[tuple[int, int, int]]) -> None:
    found = trace(*(made(str(i), i + 1, parent, at=at, took=took) for i, (parent, at, took) in enumerate(rows)))
    assert sorted(span.span_id for span in found.spans) == list(range(1, len(rows) + 1))
    assert all(parent < index for index, parent in enumerate(found.parents))
    path = critical_path(found)
    edges = [(section.start_ns, section.end_ns) for section in path.sections]
    assert sum(end - start for start, end in edges) == found.spans[found.root].duration_ns
    assert all(end == start for (_, end), (start, _) in pairwise(edges))
    assert all(0 <= own <= span.duration_ns for own, span in zip(self_times(found), found.spans, strict=True))


def test_abutting_siblings_are_both_on_the_path_and_leave_their_parent_nothing() -> None:
    found = trace(made("a", 1, took=100), made("b", 2, 1, took=50), made("c", 3, 1, at=50, took=50))
    assert critical_path(found).own_ns == {1: 50 * MS, 2: 50 * MS}
