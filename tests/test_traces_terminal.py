from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from ot_bridge.traces.analyse import Analysis, Finding, analyse
from ot_bridge.traces.model import Event, Link, LogRecord
from ot_bridge.traces.render.bars import BLOCKS, Bars
from ot_bridge.traces.render.details import Details
from ot_bridge.traces.render.rows import LONG, rows
from ot_bridge.traces.render.terminal import draw, print_findings
from ot_bridge.traces.tree import Trace
from traces_made import NOON, TRACE_ID, made, trace
from traces_written import checkout


def printed(console: Console) -> list[str]:
    file = console.file
    assert isinstance(file, io.TextIOWrapper)
    file.flush()
    raw = file.buffer
    assert isinstance(raw, io.BytesIO)
    return [line.rstrip() for line in raw.getvalue().decode(file.encoding).splitlines()]


def console(width: int = 120, encoding: str = "utf-8") -> Console:
    return Console(file=io.TextIOWrapper(io.BytesIO(), encoding=encoding), width=width, color_system=None)


def drawn(found: Trace, width: int, *, encoding: str = "utf-8", **options: object) -> list[str]:
    to = console(width, encoding)
    to.print(draw(found, width, **options))  # type: ignore[arg-type]
    return printed(to)


def analysed(found: Trace, *findings: Finding) -> Analysis:
    return Analysis(analyse(found).reading, findings)


# -- as the demo shows it ----------------------------------------------------------------------------------------------


def test_wide_tree_has_a_line_for_each_span_and_each_log() -> None:
    assert drawn(trace(*checkout()), 108, skipped={"courier": "nobody called it"}) == [
        "span                                             duration         produced by                  carried by",
        "shop buy                                           500 ms  ERROR  ot_bridge 0.1.0",
        "  log parcel.skipped  reason=unpaid",
        "├── shop GET /stock                                 20 ms         ot_bridge 0.1.0",
        "│   └── store GET /stock                            10 ms         jaeger-client Python-4.8.0   uber-trace-id",
        "│         baggage.tier=gold member",
        "├── shop POST /charge                              400 ms  ERROR  ot_bridge 0.1.0",
        "│     log ReadTimeout: too slow",
        "│   └── bank POST /charge                          700 ms         opentelemetry-python 1.45.2  traceparent",
        "│         baggage.tier=gold member",
        "└── courier  skipped: nobody called it",
    ]


def test_narrow_tree_has_two_lines_for_each_span_and_loses_nothing() -> None:
    assert drawn(trace(*checkout()), 60) == [
        "shop buy  500 ms  ERROR",
        "ot_bridge 0.1.0",
        "  log parcel.skipped  reason=unpaid",
        "├── shop GET /stock  20 ms",
        "│   ot_bridge 0.1.0",
        "│   └── store GET /stock  10 ms",
        "│       jaeger-client Python-4.8.0, carried by uber-trace-id",
        "│         baggage.tier=gold member",
        "└── shop POST /charge  400 ms  ERROR",
        "    ot_bridge 0.1.0",
        "      log ReadTimeout: too slow",
        "    └── bank POST /charge  700 ms",
        "        opentelemetry-python 1.45.2, carried by traceparent",
        "          baggage.tier=gold member",
    ]


# -- with what was found -----------------------------------------------------------------------------------------------


BESIDE = """\
bars: ██ the request waited for this  ▒▒ own time beside that  ── waiting
span                            duration         produced by                  carried by
shop buy                          500 ms  ERROR  ot_bridge 0.1.0                             ───────────██
  +450 ms  log parcel.skipped  reason=unpaid
├── shop GET /stock                20 ms         ot_bridge 0.1.0                             ─
│   └── store GET /stock           10 ms         jaeger-client Python-4.8.0   uber-trace-id  █
│         baggage.tier=gold member
└── shop POST /charge  [1]        400 ms  ERROR  ot_bridge 0.1.0                              ───────────
      +440 ms  log ReadTimeout: too slow
    └── bank POST /charge  [1]    700 ms         opentelemetry-python 1.45.2  traceparent     ██████████▒▒▒▒▒▒▒▒
          baggage.tier=gold member"""


def test_text_in_square_brackets_is_no_markup() -> None:
    assert drawn(trace(made("[red]buy[/]", 1)), 110)[1].startswith("shop [red]buy[/]")


def test_bars_marks_and_times_stand_beside_an_analysed_trace() -> None:
    found = trace(*checkout())
    late = Finding("failing-span", "the bank answered too late", "sure", "error", (3, 4))
    assert "\n".join(drawn(found, 112, analysis=analysed(found, late))) == BESIDE


PLAIN = """\
bars: ## the request waited for this  == own time beside that  -- waiting
span             duration
shop caf\\xe9       100 ms         -----------------------#####---------#########
+-- shop \\u20ac     50 ms         #######################
`-- shop c          20 ms                                    ##########"""


def test_encoding_without_lines_gets_ascii_and_escapes() -> None:
    found = trace(made("caf\xe9", 1, took=100), made("\u20ac", 2, 1, took=50), made("c", 3, 1, at=60, took=20))
    assert "\n".join(drawn(found, 80, encoding="ascii", analysis=analysed(found))) == PLAIN


def test_one_library_for_all_spans_is_no_column() -> None:
    found = trace(made("a", 1), made("b", 2, 1))
    assert "produced by" not in drawn(found, 120, analysis=analysed(found))[1]
    assert "produced by" in drawn(found, 120)[0]


BELOW = """\
bars: ██ the request waited for this  ▒▒ own time beside that  ── waiting
span            duration
shop a             10 ms  below  ───────────────────────────────────────────────
└── shop b         10 ms  below  ───────────────────────────────────────────────
    └── shop c     10 ms  ERROR  ███████████████████████████████████████████████"""


def test_an_error_below_differs_from_one_of_its_own() -> None:
    found = trace(made("a", 1), made("b", 2, 1), made("c", 3, 2, status="error"))
    assert "\n".join(drawn(found, 80, analysis=analysed(found))) == BELOW


def test_findings_are_numbered_and_say_how_bad_and_how_sure_in_words() -> None:
    to = console(60)
    findings = [
        Finding("a", "shop 'buy' failed\nbecause of\x1b[31m the bank.", "sure", "error", advice="Look at the bank."),
        Finding("b", "5 calls, one after the other, took 40 ms and could have been one.", "likely", "warning"),
        Finding("c", "a note", "guess", "note"),
    ]
    print_findings(findings, to)
    assert printed(to) == [
        "  1  x ERROR    sure    shop 'buy' failed because of\\x1b[31m",
        "                        the bank.",
        "                        -> Look at the bank.",
        "  2  ! warning  likely  5 calls, one after the other, took",
        "                        40 ms and could have been one.",
        "  3  - note     guess   a note",
    ]


# -- details -----------------------------------------------------------------------------------------------------------


def test_logs_stand_beside_events_by_time_and_the_lost_ones_at_the_end() -> None:
    spans = [
        made("a", 1, took=20, events=[Event(NOON + 5_000_000, "half way", {"n": 1})], tags={"order": 7}),
    ]
    records = [
        LogRecord(TRACE_ID, 1, NOON + 9_000_000, "ERROR", "no money", {"code": 3}),
        LogRecord(TRACE_ID, 1, NOON + 1_000_000, "", "began"),
        LogRecord(TRACE_ID, 99, NOON, "INFO", "who am I"),
    ]
    found = Trace(spans, records)
    assert drawn(found, 60, analysis=analysed(found), shown=Details())[3:] == [
        "shop a     20 ms         ███████████████████████████████████",
        "  order=7",
        "  +1.0 ms  LOG began",
        "  +5.0 ms  log half way  n=1",
        "  +9.0 ms  ERROR no money",
        "",
        "log records of this trace that name none of its spans",
        "  INFO who am I",
    ]


def test_plumbing_is_shown_when_all_is_asked_for() -> None:
    link = Link(TRACE_ID, 9, {"opentracing.ref_type": "follows_from"})
    found = trace(made("a", 1, tags={"http.url": "http://x", "x": 1}, links=[link, Link(5, 6)], dropped=(1, 0, 2)))
    short, long = (drawn(found, 100, shown=Details(plumbing=all_of_it))[2:] for all_of_it in (False, True))
    assert short == [
        "  x=1",
        f"  link to span {6:016x} of trace {5:032x}",
        "  the sender's limits dropped 1 attribute and 2 links",
    ]
    assert long[:2] == ["  http.url=http://x  x=1", f"  link to span {9:016x}  opentracing.ref_type=follows_from"]


def test_message_of_a_status_is_shown_unless_an_exception_says_it() -> None:
    assert drawn(trace(made("a", 1, status="error", message="no money")), 100)[2:] == ["  status no money"]


HOSTILE = "\x1b]0;owned\x07\x1b[2J\r\n\u202egnp.exe\u2028\x9b31m\ud800[red]x[/]"


def test_no_control_character_of_a_span_reaches_the_terminal() -> None:
    found = Trace(
        [
            made(
                HOSTILE,
                1,
                service=HOSTILE,
                kind="server",
                status="error",
                message=HOSTILE,
                tags={HOSTILE: HOSTILE},
                events=[
                    Event(NOON, HOSTILE, {HOSTILE: [HOSTILE]}),
                    Event(NOON, "exception", {"exception.message": HOSTILE}),
                ],
                resource={"telemetry.sdk.name": HOSTILE, "telemetry.sdk.version": HOSTILE},
            )
        ],
        [LogRecord(TRACE_ID, 1, NOON, HOSTILE, HOSTILE, {HOSTILE: HOSTILE}), LogRecord(TRACE_ID, 7, 0, "", HOSTILE)],
    )  # fmt: skip
    for width in (30, 80, 400):
        for shown in (Details(), Details(plumbing=True)):
            text = "".join(drawn(found, width, analysis=analysed(found), shown=shown))
            assert text.isprintable()
            assert "[red]" in text


# -- long traces -------------------------------------------------------------------------------------------------------


def test_equal_siblings_become_one_row_and_the_one_that_failed_keeps_its_own() -> None:
    calls = [made("SELECT", 10 + i, 1, at=i * 10, took=10, service="db", kind="client") for i in range(6)]
    bad = made("SELECT", 30, 1, at=70, took=5, service="db", kind="client", status="error")
    inner = [made("read", 50 + i, 10 + i, at=i * 10, took=5, service="db") for i in range(6)]
    found = trace(made("a", 1, took=80), *calls, bad, *inner)
    assert drawn(found, 60, analysis=analysed(found)) == [
        "span                                         duration",
        "shop a                                          80 ms  below",
        "├── db SELECT  x 6, in sequence                 60 ms",
        "└── db SELECT                                  5.0 ms  ERROR",
    ]
    assert len(drawn(found, 60, analysis=analysed(found), whole=True)) == 3 + len(found)


def flood(count: int) -> Trace:
    """A root with many different children, one of which fails and has most of the time."""
    children = [made(f"step {i}", i + 2, 1, at=i, took=1, service=f"s{i % 3}") for i in range(count)]
    bad = made("charge", 90_001, 90_000, at=count, took=500, service="bank", status="error")
    return trace(made("all", 1, took=count + 600), *children, made("pay", 90_000, 1, at=count, took=550), bad)


def test_a_long_trace_is_summed_up_and_nothing_goes_uncounted() -> None:
    found = flood(LONG + 100)
    top = rows(found, analysed(found))
    shown = [row for root in top for row in root]
    names = [found.spans[row.span].name for row in shown]
    assert len(shown) < 200
    assert {"all", "pay", "charge"} <= set(names)
    assert len(shown) + sum(row.hidden for row in shown) == len(found)
    assert any("spans more" in line for line in drawn(found, 120, analysis=analysed(found)))


def test_a_chain_of_thousands_is_drawn_without_a_wall_of_indentation() -> None:
    found = trace(*(made("f", i, i - 1, at=i / 100, took=100 - i / 100) for i in range(1, 3001)))
    lines = drawn(found, 120, analysis=analysed(found), whole=True)
    assert len(lines) >= 3000
    assert max(map(len, lines)) <= 240
    assert any("(level 2,999)" in line for line in lines)
    summary = drawn(found, 120, analysis=analysed(found))
    assert len(summary) < 250
    assert any("levels left out above" in line for line in summary)


SPANS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 60), st.integers(0, 60), st.text(max_size=6), st.booleans()),
    max_size=40,
)


@settings(max_examples=60)
@given(SPANS, st.integers(10, 200), st.booleans())
def test_any_trace_is_drawn_and_each_span_stands_once_or_is_counted(
    given_spans: Sequence[tuple[int, int, int, str, bool]], width: int, whole: bool
) -> None:
    found = trace(
        *(
            made(name, i + 1, parent, at=at, took=took, status="error" if bad else "unset")
            for i, (parent, at, took, name, bad) in enumerate(given_spans)
        )
    )
    analysis = analysed(found)
    shown = [row for root in rows(found, analysis, whole=whole) for row in root]
    below = sum(sum(found.sizes[one] for one in row.run.spans) - 1 for row in shown if row.run is not None)
    assert len(shown) + below + sum(row.hidden for row in shown) == len(found)
    drawn(found, width, analysis=analysis, whole=whole)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii", "cp1252"])
def test_every_encoding_can_write_what_is_drawn(encoding: str) -> None:
    found = trace(*checkout(), made("\U0001f600 \u4f60\u597d", 6, 1))
    assert drawn(found, 150, encoding=encoding, analysis=analysed(found))


def test_bars_show_waiting_own_time_and_the_critical_path() -> None:
    found = trace(made("a", 1, took=100), made("b", 2, 1, at=20, took=60), made("c", 3, 1, at=20, took=30))
    bars = Bars(analyse(found).reading, 10)
    assert [bars.bar([index]) for index in range(3)] == ["██──────██", "  ██████", "  ▒▒▒"]
    assert bars.bar([1, 2]) == "  ██████"
    assert Bars(analyse(found).reading, 10, BLOCKS._replace(own="=")).bar([2]) == "  ==="


def test_a_bar_is_never_too_short_to_be_seen() -> None:
    found = trace(made("a", 1, took=1000), made("b", 2, 1, at=999.9, took=0.1), made("c", 3, 1, at=5, took=0))
    bars = Bars(analyse(found).reading, 20)
    assert [len(bars.bar([index]).strip()) for index in range(3)] == [20, 1, 1]
