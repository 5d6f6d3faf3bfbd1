"""`ot-bridge view`: what it says, what it keeps, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ot_bridge.cli.amounts import AGE, SIZE, age, size
from ot_bridge.cli.group import cli
from ot_bridge.traces.receive.ports import ENDPOINTS
from ot_bridge.traces.store.retention import Retention
from ot_bridge.traces.store.store import Store
from otlp_made import SPAN, body
from traces_inbox import ask

JSON = {"content-type": "application/json"}
FREE = [word for endpoint in ENDPOINTS for word in (endpoint.flag, "0")]
LIMIT_S = 30


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "state"))
    return tmp_path


def port_of(text: str, what: str) -> int:
    """Find a port in what the command says."""
    (found,) = re.findall(rf"^  {what} +[0-9.]+:(\d+) ", text, flags=re.MULTILINE)
    return int(found)


# -- in this process ---------------------------------------------------------------------------------------------------

Act = Callable[[str], Any]


@pytest.fixture
def view(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command on free ports, call what is to happen meanwhile with the page's address, and end it."""

    def run(*arguments: str, act: Act = lambda url: None, end: signal.Signals = signal.SIGTERM) -> Result:
        def opened(url: str) -> bool:
            act(url)
            signal.raise_signal(end)
            return True

        monkeypatch.setattr(webbrowser, "open", opened)
        return CliRunner().invoke(cli, ["view", "--open", *FREE, *arguments])

    return run


def test_the_page_and_every_receiver_are_named(view: Callable[..., Result]) -> None:
    urls = []
    done = view(act=urls.append)
    assert done.exit_code == 0, done.output
    assert f"The page: {urls[0]}\n" in done.output
    for endpoint in ENDPOINTS:
        if endpoint.setting:
            port = port_of(done.output, endpoint.what)
            assert endpoint.setting.format(host="localhost", port=port) in done.output


def test_the_page_is_served_and_its_port_is_left_out_when_it_is_not_wanted(view: Callable[..., Result]) -> None:
    pages = []
    view(act=lambda url: pages.append(ask(int(url.rpartition(":")[2]), "/", None, method="GET")))
    assert (pages[0].status, pages[0].headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in pages[0].headers["content-security-policy"]


def test_spans_stay_from_one_start_to_the_next(view: Callable[..., Result], home: Path) -> None:
    port = free_port()
    sent = view("--otlp-http-port", str(port), act=lambda _: ask(port, "/v1/traces", body(SPAN), JSON))
    path = home / "state" / "ot-bridge" / "traces.db"
    assert sent.output.endswith(f"\n1 span received; {path} holds 1.\n")
    most = Retention()
    kept = f"kept are at most {most.max_spans:,} spans, {size(most.max_bytes)}, {age(most.max_age_s)}"
    assert f"\n1 span of 1 trace in {path}; {kept}.\n" in view().output


def test_the_page_for_readers_knows_the_limits() -> None:
    text = (Path(__file__).parent.parent / "docs" / "view.md").read_text(encoding="utf-8")
    most = Retention()
    rows = [f"| `--max-spans` | {most.max_spans:,} |", f"| `--max-bytes` | {size(most.max_bytes)} |"]
    rows.append(f"| `--max-age` | {age(most.max_age_s)} |")
    assert [row for row in rows if row not in text] == []
    assert f"kept are at most {most.max_spans:,} spans, {size(most.max_bytes)}, {age(most.max_age_s)}." in text
    settings = [one.setting.format(host="localhost", port=one.port) for one in ENDPOINTS]
    assert [setting for setting in settings if setting not in text] == []


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_the_database_is_the_users_alone(view: Callable[..., Result], home: Path) -> None:
    view("--db", str(home / "new" / "a.db"))
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (home / "new", *(home / "new").iterdir())]
    assert all(mode & 0o077 == 0 for mode in modes), [oct(mode) for mode in modes]


def test_a_temporary_database_is_gone_afterwards(view: Callable[..., Result], home: Path) -> None:
    done = view("--temporary")
    assert done.output.endswith("\n0 spans received; nothing is kept.\n")
    assert list(home.iterdir()) == []


def test_limits_are_said_and_kept_to(view: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    given = list[Retention]()
    opened = Store.open
    monkeypatch.setattr(
        Store, "open", lambda path, retention: given.append(retention) or opened(path, retention=retention)
    )
    done = view("--max-spans", "500", "--max-bytes", "1.5 MiB", "--max-age", "12h")
    assert given == [Retention(500, 3 << 19, 12 * 3600)]
    assert "kept are at most 500 spans, 1.5 MiB, 12 hours." in done.output


def test_what_was_refused_is_said_at_the_end_in_text_that_is_harmless(view: Callable[..., Result]) -> None:
    port = free_port()
    bad = body({**SPAN, "name": "\x1b[31mred", "kind": []})
    done = view("--otlp-http-port", str(port), act=lambda _: ask(port, "/v1/traces", bad, JSON))
    assert "  otlp/http: 1 bad spans, the last: span '\\x1b[31mred': kind: got [], expected" in done.output
    assert "\x1b" not in done.output


def test_a_token_is_made_on_request_and_asked_for(view: Callable[..., Result]) -> None:
    replies = []

    def act(url: str) -> None:
        address, _, token = url.partition("/?token=")
        port = int(address.rpartition(":")[2])
        replies.extend(ask(port, path, None, method="GET").status for path in ("/", f"/?token={token}"))

    done = view("--token", "auto", act=act)
    assert replies == [401, 303]
    assert re.search(r"OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20[\w-]{32}\n", done.output)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0 lets other machines read and send traces"),  # noqa: S104
        (["--token", "short"], "the token has 5 characters: expected at least 16"),
        (["--token", "sixteen and more characters"], "without blanks"),
        (["--temporary", "--db", "x"], "--db and --temporary exclude each other"),
        (["--zipkin-port", "65536"], "expected 1 to 65535, 0 for a free one, or none"),
        (["--max-bytes", "5 parsecs"], "expected a number above 0 and one of b, kb"),
        (["--max-age", "0d"], "expected a number above 0 and one of s, m, h, d, w"),
    ],
    ids=lambda one: one[0] if isinstance(one, list) else "",
)
def test_a_wrong_command_line_is_said(arguments: list[str], text: str) -> None:
    done = CliRunner().invoke(cli, ["view", *arguments])
    assert (done.exit_code, text in done.output) == (2, True), done.output


def test_another_address_with_a_token_is_allowed(view: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OT_BRIDGE_VIEW_TOKEN", "a-token-of-24-characters")
    done = view("--host", "0.0.0.0")  # noqa: S104
    assert done.exit_code == 0, done.output
    assert f"http://{socket.gethostname()}:" in done.output
    assert re.search(r"Jaeger's agent, compact thrift +127\.0\.0\.1:\d+ ", done.output)  # UDP knows no token


def test_a_taken_port_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = CliRunner().invoke(cli, ["view", *FREE, "--temporary", "--otlp-http-port", str(port)])
    assert done.exit_code == 1
    assert f"Error: cannot listen on TCP port {port} of 127.0.0.1 for OTLP over HTTP: " in done.output
    assert "--otlp-http-port" in done.output


def test_a_port_that_is_none_is_not_opened(view: Callable[..., Result]) -> None:
    assert "Zipkin" not in view("--zipkin-port", "none").output


@pytest.mark.parametrize(("text", "size"), [("7", 7), ("500MB", 500_000_000), ("4gib", 4 << 30), ("1.5 KiB", 1536)])
def test_a_size_is_read(text: str, size: int) -> None:
    assert SIZE.convert(text, None, None) == size


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1.5h", 5400), ("7d", 604_800), ("2W", 1_209_600)])
def test_an_age_is_read(text: str, seconds: int) -> None:
    assert AGE.convert(text, None, None) == seconds


# -- a process of its own ----------------------------------------------------------------------------------------------


@pytest.fixture
def running(home: Path, ctrl_c: None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and what it said when it began."""
    command = [sys.executable, "-m", "ot_bridge.cli", "view", *FREE, "--db", str(home / "spans.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        said = ""
        while "Ctrl-C" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        try:
            yield process, said
        finally:
            process.kill()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_signal_ends_it_with_everything_written(
    running: tuple[subprocess.Popen[str], str], home: Path, end: signal.Signals
) -> None:
    process, said = running
    second = CliRunner().invoke(cli, ["view", *FREE, "--db", str(home / "spans.db")])
    assert (second.exit_code, "is in use by another `ot-bridge view`" in second.output) == (1, True)
    assert ask(port_of(said, "OTLP over HTTP"), "/v1/traces", body(SPAN), JSON).status == 200
    process.send_signal(end)
    rest, _ = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, rest) == (0, f"\n1 span received; {home / 'spans.db'} holds 1.\n")
    assert spans_in(home / "spans.db") == 1


def test_kill_9_loses_nothing_that_was_written(running: tuple[subprocess.Popen[str], str], home: Path) -> None:
    process, said = running
    ask(port_of(said, "OTLP over HTTP"), "/v1/traces", body(SPAN), JSON)
    while spans_in(home / "spans.db") < 1:
        assert process.poll() is None
    process.kill()
    process.wait(LIMIT_S)
    store = Store.open(home / "spans.db")
    spans = store.stats().spans
    store.close()
    assert spans == 1


def spans_in(path: Path) -> int:
    store = Store.open_read_only(path)
    try:
        return store.stats().spans
    finally:
        store.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_an_output_that_takes_nothing_is_said(home: Path) -> None:
    ports = [word for endpoint in ENDPOINTS for word in (endpoint.flag, "0" if endpoint.key == "otlp_http" else "none")]
    command = [sys.executable, "-m", "ot_bridge.cli", "view", "--temporary", *ports]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stderr) == (
        1,
        "Error: cannot write to the standard output: No space left on device\n",
    )
