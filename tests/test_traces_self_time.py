from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ot_bridge.traces.analyse.reading import read
from ot_bridge.traces.analyse.self_time import ServiceTime, async_times, self_times, services_time
from traces_made import MS, made, trace

# Nobody is asked to be quick: the machine may have other work.
CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_children_that_overlap_are_subtracted_once() -> None:
    found = trace(made("a", 1, took=100), *(made("b", 2 + i, 1, at=10 + i, took=50) for i in range(5)))
    assert self_times(found) == [46 * MS, *[50 * MS] * 5]


def test_children_that_were_not_waited_for_are_told_apart() -> None:
    found = trace(
        made("send", 1, took=100, kind="producer"),
        made("handle", 2, 1, at=40, took=200, kind="consumer"),
        made("work", 3, 1, at=20, took=50),
    )
    assert (self_times(found), async_times(found)) == ([50 * MS, 50 * MS, 200 * MS], [30 * MS, 0, 0])


def test_a_service_has_three_times() -> None:
    found = trace(
        made("root", 1, took=100),
        made("b", 2, 1, at=10, took=60, service="bank"),
        made("b", 3, 1, at=10, took=80, service="bank"),
    )
    times = services_time(read(found))
    assert times == [
        ServiceTime("bank", spans=2, wall_ns=80 * MS, work_ns=140 * MS, path_ns=80 * MS),
        ServiceTime("shop", spans=1, wall_ns=20 * MS, work_ns=20 * MS, path_ns=20 * MS),
    ]
    assert times[0].at_once == 1.75


ROWS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(-5, 60), st.integers(-2, 60), st.sampled_from("abc")),
    min_size=1,
    max_size=20,
)


@CALM
@given(ROWS)
def test_times_of_services_stay_within_their_bounds(rows: list[tuple[int, int, int, str]]) -> None:
    found = trace(
        *(
            made("s", i + 1, parent % i + 1 if i else 0, at=at, took=took, service=name)
            for i, (parent, at, took, name) in enumerate(rows)
        )
    )
    reading = read(found)
    times = services_time(reading)
    assert sum(one.path_ns for one in times) == reading.root_ns
    assert sum(one.work_ns for one in times) == sum(reading.self_ns)
    for one in times:
        assert 0 <= one.wall_ns <= min(found.duration_ns, one.work_ns)
        assert 0 <= one.async_ns <= one.work_ns
