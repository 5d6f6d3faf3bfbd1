"""The soak: a short one as it is run, and what it judges by."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from array import array
from pathlib import Path
from typing import Any

import pytest
from soak.latency import HEARTBEAT, Histogram, Stopwatch, merged
from soak.page import Found, write_page
from soak.phases import EXPORT_FAILED, PHASES, QUEUE_FULL, Plan
from soak.verdict import Books, Sample, growth, lost_by_phase, rules

ROOT = Path(__file__).parent.parent
LIMIT_S = 120
MEMORY = ("resident memory: at most 3% more", "blocks of Python's objects: at most 3% more")


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_short_soak_keeps_its_books_through_all_phases(protocol: str, tmp_path: Path) -> None:
    path = os.pathsep.join(filter(None, [str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH")]))
    arguments = [f"--json={tmp_path / 'found.json'}", f"--keep={tmp_path / 'kept'}", f"--protocol={protocol}"]
    done = subprocess.run(
        [sys.executable, "-m", "soak", "--minutes=0.2", "--rate=1500", *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (tmp_path / "found.json").exists(), done.stderr
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    logs = [log.read_text(encoding="utf-8") for log in (tmp_path / "kept").glob("*.log")]
    # Older SDKs log a collector that is gone with its traceback.
    ends = ("Exception in thread", "Task exception was never retrieved")
    assert [end for end in ends if any(end in log for log in [done.stderr, *logs])] == []
    held = {rule["name"]: rule["holds"] for rule in found["rules"]}
    assert {name: held[name] for name in list(held)[:3]} == {
        "sampled and finished = exported + counted as lost": True,
        "exported = received once and answered": True,
        "exports fail only where the collector fails": True,
    }
    assert [phase for phase, row in found["lost"].items() if row["finished"]] == [phase.name for phase in PHASES]
    # A batch that waits to be tried again may sleep through a phase as short as these.
    assert sum(found["lost"][phase][EXPORT_FAILED] for phase in ("unavailable", "rejecting", "gone")) > 0


# --- what must hold


def sample(seconds: float, phase: str = "up", **fields: Any) -> Sample:
    plain = {"cycle": 1, "rss": 100, "blocks": 100, "finished": 0, "counters": {}}
    return Sample(seconds=seconds, phase=phase, **{**plain, **fields})


def books(**fields: Any) -> Books:
    plain = {"finished": 10, "exported": 7, "lost": {QUEUE_FULL: 3}, "answered": 7, "received": 7}
    return Books(**{**plain, **fields})


def broken(samples: list[Sample], kept: Books, calls: list[dict[str, Any]]) -> list[str]:
    return [rule.name for rule in rules(samples, kept, calls) if rule.holds is False]


def calls(**figures: float) -> list[dict[str, Any]]:
    return [{"phase": "up", "call": "(all)", "p99.9": 100.0, "max": 1000.0, **figures}]


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({}, []),
        ({"lost": {QUEUE_FULL: 2}}, ["sampled and finished = exported + counted as lost"]),
        ({"lost": {QUEUE_FULL: 4}}, ["sampled and finished = exported + counted as lost"]),
        ({"answered": 6}, ["exported = received once and answered"]),
        ({"received": 8}, []),
    ],
    ids=["kept", "one missing", "one counted twice", "one not received", "one not answered"],
)
def test_books_hold_when_every_span_is_somewhere(fields: dict[str, Any], rule: list[str]) -> None:
    assert broken([sample(0), sample(1)], books(**fields), calls()) == rule


def test_failed_exports_are_allowed_only_where_the_collector_fails() -> None:
    first = sample(0, "gone")
    failed = sample(1, "gone", counters={EXPORT_FAILED: 5}, finished=10)
    late = sample(2, "slow", counters={EXPORT_FAILED: 6, QUEUE_FULL: 2}, finished=20)
    assert broken([first, failed], books(), calls()) == []
    assert broken([first, failed, late], books(), calls()) == ["exports fail only where the collector fails"]
    lost = lost_by_phase([first, failed, late])
    assert {phase: row for phase, row in lost.items() if row} == {
        "gone": {"finished": 10, QUEUE_FULL: 0, EXPORT_FAILED: 5, "spans.dropped.already_shutdown": 0},
        "slow": {"finished": 10, QUEUE_FULL: 2, EXPORT_FAILED: 1, "spans.dropped.already_shutdown": 0},
    }


def test_full_queue_beside_a_collector_that_is_up_is_told() -> None:
    lost = sample(1, "up", counters={QUEUE_FULL: 5}, finished=1000)
    assert broken([sample(0), lost], books(), calls()) == ["while it is up at most 0.1% find the queue full"]


def cycles(rss: Any) -> list[Sample]:
    """Return four cycles of two phases of ten seconds; the second phase takes more."""
    return [
        sample(second, "slow" if second % 20 >= 10 else "up", cycle=1 + second // 20, rss=rss(second))
        for second in range(80)
    ]


def test_memory_that_differs_by_phase_is_flat() -> None:
    assert growth(cycles(lambda second: 150 if second % 20 >= 10 else 100), "rss") == 0
    assert broken(cycles(lambda second: 150 if second % 20 >= 10 else 100), books(), calls()) == []


def test_memory_that_grows_is_told() -> None:
    grown = cycles(lambda second: 1000 + second)
    assert growth(grown, "rss") == pytest.approx(79 / 1039.5)
    assert broken(grown, books(), calls()) == [MEMORY[0]]


def test_memory_of_a_short_run_is_not_judged() -> None:
    short = [one for one in cycles(lambda second: 1000 + 100 * second) if one.cycle < 3]
    assert [rule.holds for rule in rules(short, books(), calls()) if rule.name in MEMORY] == [None, None]


@pytest.mark.parametrize(
    ("figures", "rule"),
    [
        ({"p99.9": 6_000.0, "max": 6_000.0}, ["99.9% of calls under 5 ms, in each phase"]),
        ({"max": 300_000.0}, ["every call under 250 ms, in each phase"]),
    ],
    ids=["many", "one"],
)
def test_slow_calls_are_told(figures: dict[str, float], rule: list[str]) -> None:
    assert broken([sample(0), sample(1)], books(), calls(**figures)) == rule


def test_whole_cycles_take_at_least_the_time_asked_for() -> None:
    ten, short = Plan.of(600), Plan.of(21)
    assert (ten.cycles, ten.scale, ten.seconds >= 600) == (6, 1, True)
    assert (short.cycles, short.scale, short.seconds) == (1, 0.2, pytest.approx(21))
    assert [(cycle, phase.name) for cycle, phase in short.phases()] == [(1, phase.name) for phase in PHASES]


# --- how long calls took


def test_percentiles_are_those_of_the_sorted_durations_but_for_two_percent() -> None:
    durations = array("q", (1000 + 7 * number for number in range(10_000)))
    histogram = Histogram()
    histogram.add(durations)
    figures = histogram.figures()
    assert (figures["calls"], figures["max"]) == (10_000, round(durations[-1] / 1000, 1))
    for percent in (50, 99, 99.9):
        exact = durations[round(len(durations) * percent / 100) - 1] / 1000
        assert exact <= figures[f"p{percent:g}"] <= exact * 2 ** (1 / 32) + 0.1


def test_calls_are_put_away_under_the_phase_in_which_they_were_made() -> None:
    now = "up"
    watch = Stopwatch(lambda: now)
    assert watch.timed("double", lambda number: 2 * number, 3) == 6
    now = "slow"
    watch.turn()
    watch.took("double", 5)
    watch.took(HEARTBEAT, 7)
    watch.fold()
    assert {key: found.calls for key, found in merged([watch.histograms]).items()} == {
        ("up", "double"): 1,
        ("up", "(all)"): 1,
        ("slow", "double"): 1,
        ("slow", "(all)"): 1,
        ("slow", HEARTBEAT): 1,
    }


# --- the page


def found() -> Found:
    rows = [{**row, "calls": 3, "p50": 1.0, "p99": 2.0, "p99.99": 4.0} for row in calls()]
    kept = rules([sample(0), sample(1)], books(), calls())
    lost = lost_by_phase([sample(0), sample(1)])
    return Found(10, "grpc", 9000, 9500, {"application": 0.9}, (60, 61), books()._asdict(), lost, rows, {}, kept)


def test_page_gets_the_tables_between_its_marks_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- soak:begin -->\nbefore these figures\n<!-- soak:end -->\nafter\n", encoding="utf-8")
    write_page(found(), page)
    text = page.read_text(encoding="utf-8")
    assert (text.startswith("before\n<!-- soak:begin -->\n"), text.endswith("<!-- soak:end -->\nafter\n")) == (
        True,
        True,
    )
    assert "before these figures" not in text
    assert "| up, all calls | 3 | 1.0 | 2.0 | 100.0 | 4.0 | 1,000.0 |" in text


def test_page_without_marks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("text\n", encoding="utf-8")
    with pytest.raises(ValueError, match="found 0 places, expected one"):
        write_page(found(), page)
    assert page.read_text(encoding="utf-8") == "text\n"
