"""``ot-bridge trace``: what it takes, what it prints and how it ends."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ot_bridge.cli.group import cli
from ot_bridge.traces import analyse
from ot_bridge.traces.analyse import Finding, Reading, Rule
from ot_bridge.traces.formats.detect import read
from ot_bridge.traces.store.store import Store
from traces_made import NOON, TRACE_ID, made
from traces_written import checkout, jaeger_json, otlp_json, zipkin_json

MANUAL = (Path(__file__).parent.parent / "docs" / "trace.md").read_text(encoding="utf-8")
HEX = f"{TRACE_ID:032x}"


def written(path: Path, found: Any) -> str:
    path.write_text(found if isinstance(found, str) else json.dumps(found), encoding="utf-8")
    return str(path)


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A file of the shop's checkout."""
    return written(tmp_path / "checkout.json", otlp_json(checkout()))


@pytest.fixture
def quiet(tmp_path: Path) -> str:
    """A file of a trace in which nothing is wrong."""
    return written(tmp_path / "quiet.json", otlp_json([made("a", 1, took=20), made("b", 2, 1, at=5, took=10)]))


SAID = "shop failed, since bank did not answer within the 400 ms that shop's 'POST /charge' waits for it"


def _shop_failed(reading: Reading) -> list[Finding]:
    failed = sorted(reading.errors)
    return [Finding("error-origin", SAID, "sure", "error", (failed[-1],), advice="Look at bank.")] if failed else []


@pytest.fixture
def rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules that say the same whatever docs/analyse.md comes to say."""
    found = [Rule("error-origin", "", _shop_failed), Rule("cut-trace", "", lambda _: [])]
    monkeypatch.setattr(analyse, "RULES", found)


def run(*arguments: str, stdin: bytes = b"", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command; no terminal is there."""
    environ = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")}
    done = subprocess.run(
        [sys.executable, "-m", "ot_bridge.cli", "trace", *arguments],
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
        env={**environ, "PYTHONIOENCODING": "utf-8", **variables},
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def called(*arguments: str, stdin: bytes = b"", **variables: str) -> Result:
    """Run the command in this process, as wide as in a pipe: pytest-xdist sets a width for its own output."""
    return CliRunner(env={"COLUMNS": None, **variables}).invoke(cli, ["trace", *arguments], input=stdin)


# -- the page ----------------------------------------------------------------------------------------------------------

PAGE = """\
trace 5b8efff798038103d269b633813fc60c  5 spans of 3 services, 742 ms, 2 errors, began 2026-01-01 12:00:00.000 UTC

  1  x ERROR    sure    shop failed, since bank did not answer within the 400 ms that shop's 'POST /charge' waits for it
                        -> Look at bank.

bars: ██ the request waited for this  ▒▒ own time beside that  ── waiting
span                        duration         produced by                  carried by
shop buy                      500 ms  ERROR  ot_bridge 0.1.0                             ─█────────────────███
  +450 ms  log parcel.skipped  reason=unpaid
├── shop GET /stock            20 ms         ot_bridge 0.1.0                             █─
│   └── store GET /stock       10 ms         jaeger-client Python-4.8.0   uber-trace-id  █
│         baggage.tier=gold member
└── shop POST /charge  [1]    400 ms  ERROR  ot_bridge 0.1.0                              ──────────────────
      +440 ms  log ReadTimeout: too slow
    └── bank POST /charge     700 ms         opentelemetry-python 1.45.2  traceparent     ▒████████████████▒▒▒▒▒▒▒▒▒▒▒▒▒
          baggage.tier=gold member
"""
NARROW = """\
trace 5b8efff798038103d269b633813fc60c  5 spans of 3 services, 742 ms, 2 errors, began 2026-01-01 12:00:00.000 UTC

  1  x ERROR    sure    shop failed, since bank did not
                        answer within the 400 ms that shop's
                        'POST /charge' waits for it
                        -> Look at bank.

shop buy  500 ms  ERROR
ot_bridge 0.1.0
  +450 ms  log parcel.skipped  reason=unpaid
+-- shop GET /stock  20 ms
|   ot_bridge 0.1.0
|   `-- store GET /stock  10 ms
|       jaeger-client Python-4.8.0, carried by uber-trace-id
|         baggage.tier=gold member
`-- shop POST /charge  [1]  400 ms  ERROR
    ot_bridge 0.1.0
      +440 ms  log ReadTimeout: too slow
    `-- bank POST /charge  700 ms
        opentelemetry-python 1.45.2, carried by traceparent
          baggage.tier=gold member
"""


@pytest.mark.usefixtures("rules")
def test_page_has_the_title_then_what_was_found_then_the_tree(file: str) -> None:
    done = called(file)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == PAGE


@pytest.mark.usefixtures("rules")
def test_narrow_ascii_page_loses_nothing(file: str) -> None:
    assert CliRunner(charset="ascii", env={"COLUMNS": "60"}).invoke(cli, ["trace", file]).stdout == NARROW


def test_colours_are_for_terminals_and_not_for_who_wants_none(file: str) -> None:
    assert "\x1b" not in run(file).stdout
    assert "\x1b[" in run(file, FORCE_COLOR="1").stdout
    assert not re.search(r"\x1b\[[\d;]*3\d", run(file, FORCE_COLOR="1", NO_COLOR="1").stdout)


def test_stdin_is_read_when_it_is_a_pipe_and_when_it_is_named(file: str) -> None:
    data = Path(file).read_bytes()
    assert run(stdin=data).stdout == run("-", stdin=data).stdout == run(file).stdout != ""


def test_reader_that_has_seen_enough_ends_it_quietly(file: str) -> None:
    spans = [made(f"step {i}", i + 2, 1, at=i, took=1, tags={"x": "y" * 150}) for i in range(3000)]
    data = json.dumps(otlp_json([made("all", 1, took=3000), *spans])).encode()
    for option in ("--all", "--json"):
        command = [sys.executable, "-m", "ot_bridge.cli", "trace", "-", option]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdin.write(data)
            process.stdin.close()
            assert process.stdout.readline()
            process.stdout.close()
            assert (process.stderr.read(), process.wait(60)) == (b"", 0)


# -- how it ends -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize(
    ("refused", "status"),
    [
        ("error", 1),
        ("warning", 1),
        ("note", 1),
        ("error-origin", 1),
        ("cut-trace", 0),
        ("cut-trace,error-origin", 1),
        ("cut-trace, cut-trace", 0),
    ],
)
def test_what_must_not_be_found_gives_the_exit_code(file: str, refused: str, status: int) -> None:
    assert called(file, "--fail-on", refused).exit_code == status


@pytest.mark.usefixtures("rules")
def test_nothing_found_passes_every_bar(quiet: str) -> None:
    done = called(quiet, "--fail-on", "error-origin", "--fail-on", "note")
    assert (done.exit_code, "no findings" in done.stdout) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fail-on", "erorr"], "got 'erorr': did you mean 'error'?"),
        (["--fail-on", ""], "expected one of error, warning, note, "),
        (["--backend", "jaeger"], "--backend and --header go with --from"),
        (["--header", "hunter2"], "expected 'NAME: VALUE'"),
        (["--jsno"], "--json"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_wanted(file: str, arguments: list[str], said: str) -> None:
    done = called(file, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize("arguments", [["--from", "http://127.0.0.1:1", "checkout"], ["http://127.0.0.1:1/search"]])
def test_a_backend_wants_an_id(arguments: list[str]) -> None:
    assert called(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "cannot read FILE: it is empty"),
        ("hello", "cannot read FILE: 5 bytes that begin with b'hello' are neither JSON nor OTLP protobuf"),
        ('{"a": 1}', "cannot read FILE: JSON with the keys 'a'; expected OTLP ('resourceSpans')"),
        ('{"resourceSpans": []}', "there is no span in FILE"),
    ],
)
def test_a_file_that_cannot_be_shown_ends_with_1_and_says_why(tmp_path: Path, content: str, said: str) -> None:
    path = written(tmp_path / "x", content)
    done = called(path)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.replace(path, "FILE").startswith(f"Error: {said}")


def test_what_is_neither_a_file_nor_an_id_is_said(tmp_path: Path) -> None:
    done = called(str(tmp_path / "nothing.json"))
    assert (done.exit_code, "no such file, and no trace id" in done.stderr) == (1, True)
    assert "it is a directory" in called(str(tmp_path)).stderr


def test_an_id_without_a_database_says_where_it_was_looked_for(tmp_path: Path) -> None:
    done = called("abc123", XDG_STATE_HOME=str(tmp_path), LOCALAPPDATA=str(tmp_path))
    assert done.exit_code == 1
    assert f"no database at {tmp_path / 'ot-bridge' / 'traces.db'}" in done.stderr


def test_an_id_is_looked_up_in_the_database_of_the_view(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "traces.db")
    store.write(read(json.dumps(otlp_json([*checkout(), made("x", 1, trace_id=0x5B99)])).encode()).batches)
    store.close()
    begun, whole, unknown = (called(one, "--db", str(tmp_path / "traces.db")) for one in (HEX[:8], HEX, "f"))
    assert (begun.exit_code, begun.stdout) == (0, whole.stdout)
    assert f"trace {HEX}  5 spans of 3 services" in whole.stdout
    assert "there is no file 'f', and no trace that begins so in" in unknown.stderr


def test_html_is_one_file_beside_the_page(file: str, tmp_path: Path) -> None:
    done = called(file, "--html", str(tmp_path / "x.html"))
    assert (done.exit_code, done.stderr) == (0, f"wrote {tmp_path / 'x.html'}\n")
    assert HEX in (tmp_path / "x.html").read_text(encoding="utf-8")


# -- several traces ----------------------------------------------------------------------------------------------------


@pytest.fixture
def several(tmp_path: Path) -> str:
    """A file of three traces; the shop's is the worst."""
    fine = [made("fine", 1, trace_id=0x1111), made("also fine", 2, trace_id=0x1222, took=90)]
    return written(tmp_path / "several.jsonl", "\n".join(json.dumps(otlp_json([one])) for one in [*fine, *checkout()]))


@pytest.mark.usefixtures("rules")
def test_of_several_traces_there_is_a_table_and_the_worst_is_shown(several: str) -> None:
    lines = called(several).stdout.splitlines()
    assert lines[:6] == [
        f"3 traces in {several}, the worst first",
        "trace id                           duration   spans  errors  found",
        f"{HEX}     742 ms       5       2  error error-origin        shop buy",
        f"{0x1222:032x}      90 ms       1          nothing                   shop also fine",
        f"{0x1111:032x}      10 ms       1          nothing                   shop fine",
        "below is the first of them; another one: --trace ID, the beginning of the id will do",
    ]
    assert lines[7] == PAGE.splitlines()[0]


@pytest.mark.usefixtures("rules")
def test_one_of_several_is_picked_by_the_beginning_of_its_id(several: str) -> None:
    assert called(several, "--trace", HEX[:5]).stdout == PAGE
    assert called(several, "--trace", "12").stdout.startswith(f"trace {0x1222:032x}  1 span of 1 service, 90 ms, began")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("1", f"2 traces of FILE begin with '1': {0x1111:032x}, {0x1222:032x}"),
        ("f", f"there is no trace 'f' in FILE; there are {0x1111:032x}, {0x1222:032x}, {HEX}"),
    ],
)
def test_an_id_that_fits_several_or_none_lists_them(several: str, wanted: str, said: str) -> None:
    done = called(several, "--trace", wanted)
    assert (done.exit_code, done.stderr.replace(several, "FILE")) == (1, f"Error: {said}\n")


@pytest.mark.usefixtures("rules")
def test_each_of_several_can_fail(several: str) -> None:
    assert called(several, "--fail-on", "error").exit_code == 1
    assert called(several, "--fail-on", "error", "--trace", "12").exit_code == 0


# -- every format, logs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [jaeger_json, zipkin_json])
def test_files_of_jaeger_and_zipkin_give_the_same_tree(tmp_path: Path, write: Any) -> None:
    lines = called(written(tmp_path / "x", write(checkout()))).stdout.splitlines()
    names = ["shop buy", "shop GET /stock", "store GET /stock", "shop POST /charge", "bank POST /charge"]
    assert [name for line in lines for name in names if re.search(rf"(^|── ){name} .*\d ms", line)] == names


def test_log_files_stand_in_the_tree_and_what_is_left_out_is_noted(file: str, tmp_path: Path) -> None:
    record = {"time": "2026-01-01T12:00:00.45Z", "level": "warning", "msg": "no money", "trace_id": HEX, "span_id": "1"}
    strange = {"time": "2026-01-01T12:00:00Z", "msg": "of another trace", "trace_id": "77"}
    logs = written(tmp_path / "shop.log", "\n".join(["plain text", json.dumps(record), json.dumps(strange)]))
    lines = called(file, "--logs", logs).stdout.splitlines()
    assert "  +450 ms  WARNING no money" in lines
    assert lines[1:3] == [
        f"note: {logs}: 1 line of 3 left out: no JSON object",
        "note: 1 log record of no trace that is here",
    ]


def test_log_records_of_otlp_stand_in_the_tree(file: str, tmp_path: Path) -> None:
    one = {"traceId": HEX, "spanId": f"{2:016x}", "timeUnixNano": str(NOON), "body": {"stringValue": "asked"}}
    logs = written(tmp_path / "logs.jsonl", {"resourceLogs": [{"scopeLogs": [{"logRecords": [one]}]}]})
    assert "│     +0 ms  LOG asked" in called(file, "--logs", logs).stdout.splitlines()


def test_a_log_file_that_is_not_there_is_an_error(file: str, tmp_path: Path) -> None:
    assert called(file, "--logs", str(tmp_path / "none")).exit_code == 1


# -- JSON --------------------------------------------------------------------------------------------------------------


def names_of(found: Any, above: str = "") -> set[str]:
    """Return the dotted names in JSON, without those that the traced program chose."""
    if isinstance(found, list):
        return {name for one in found for name in names_of(one, above)}
    if not isinstance(found, dict) or above.endswith(("attributes.", "resource.", "services.", "numbers.")):
        return set()
    return {above + key for key in found} | {
        name for key, one in found.items() for name in names_of(one, f"{above}{key}.")
    }


def test_page_of_the_manual_has_every_name_of_the_json_and_no_other(file: str, tmp_path: Path) -> None:
    logs = written(tmp_path / "x.log", "\n".join(json.dumps({"trace_id": HEX, "span_id": one}) for one in ("1", "77")))
    linked = otlp_json(checkout())
    linked["resourceSpans"][1]["scopeSpans"][0]["spans"][0]["links"] = [{"traceId": HEX, "spanId": f"{9:016x}"}]
    linked["resourceSpans"][2]["scopeSpans"][0]["spans"][0]["parentSpanId"] = f"{99:016x}"
    page = json.loads(called(written(tmp_path / "linked", linked), "--logs", logs, "--json").stdout)
    found = {re.sub(r"^spans\.logs\.", "logs.", name.removeprefix("traces.")) for name in names_of(page)}
    _, _, table = MANUAL.partition("| name | what it is |")
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.*) \|$", table, flags=re.MULTILINE))
    for name in found - set(rows):
        parent, _, last = name.rpartition(".")
        assert f"`{last}`" in rows[parent], name
    assert set(rows) - found == set()


@pytest.mark.usefixtures("rules")
def test_json_has_the_numbers_of_the_page(file: str) -> None:
    page = json.loads(called("--json", file).stdout)
    (one,) = page["traces"]
    assert (page["version"], page["source"], page["notes"]) == (1, file, [])
    assert one["trace"] == {
        "trace_id": HEX,
        "trace_ids": [HEX],
        "root": {"index": 0, "span_id": f"{1:016x}", "service": "shop", "name": "buy"},
        "start": "2026-01-01T12:00:00.000000000Z",
        "duration_ns": 742_000_000,
        "spans": 5,
        "errors": 2,
        "services": {"bank": 1, "shop": 3, "store": 1},
        "notes": [],
    }
    assert sum(span["critical_ns"] for span in one["spans"]) == 500_000_000
    assert [(span["name"], span["parent"], span["offset_ns"] // 1_000_000) for span in one["spans"]] == [
        ("buy", None, 0),
        ("GET /stock", 0, 10),
        ("GET /stock", 1, 12),
        ("POST /charge", 0, 40),
        ("POST /charge", 3, 42),
    ]
    library = {"library": "jaeger-client", "version": "Python-4.8.0", "world": "opentracing"}
    assert one["spans"][2]["producer"] == library
    assert one["spans"][4]["hop"] == {"header": "traceparent", "arrived": ["traceparent"], "certainty": "sure"}
    assert [finding["text"] for finding in one["findings"]] == [SAID]


def test_json_holds_what_json_cannot(tmp_path: Path) -> None:
    found = otlp_json([made("\x1b[31m\u202e", 1)])
    pairs = found["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"]
    pairs += [{"key": "nan", "value": {"doubleValue": "NaN"}}, {"key": "raw", "value": {"bytesValue": "AP8="}}]
    text = called(written(tmp_path / "x", found), "--json").stdout
    assert text.isascii()
    assert "\x1b" not in text
    attributes = json.loads(text, parse_constant=pytest.fail)["traces"][0]["spans"][0]["attributes"]
    assert attributes == {"nan": "nan", "raw": "00ff"}


# -- the manual --------------------------------------------------------------------------------------------------------


def test_help_and_manual_name_every_option() -> None:
    text = run("--help").stdout
    options = set(re.findall(r"^  (--[\w-]+)", text, flags=re.MULTILINE)) - {"--help"}
    assert len(options) >= 10
    assert sorted(option for option in options if f"{option} " not in MANUAL and f"`{option}`" not in MANUAL) == []
