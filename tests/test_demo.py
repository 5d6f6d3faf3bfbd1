"""The demo as a user runs it: whole, broken, kept open, without Node, without a package."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import requests
from tests.collectors import Arrival, http_collector

from ot_bridge.demo import services
from ot_bridge.demo.node import NoNode, find_node
from ot_bridge.traces.instrumentation import producer
from ot_bridge.traces.otlp import spans as read_spans

COMMAND = (sys.executable, "-m", "ot_bridge.cli", "demo")
LIMIT_S = 60


class Run(NamedTuple):
    code: int
    out: str
    err: str

    def rows(self) -> list[str]:
        """The span rows of the tree: guides off, columns split."""
        lines = (re.sub(r"^[│├└─ ]+", "", line).strip() for line in self.out.splitlines())
        return [re.sub(r" {2,}", " | ", line) for line in lines if re.search(r" (us|ms|s) {2,}", line)]


def run(*arguments: str, **environment: str) -> Run:
    done = subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env={**os.environ, **environment},
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, list[Arrival]]]:
    """One whole run where there is no Node, its spans sent to a backend as well."""
    with http_collector() as (url, arrivals):
        yield run("--endpoint", url, PATH=str(tmp_path_factory.mktemp("empty"))), arrivals


def test_checkout_is_one_whole_trace(whole: tuple[Run, list[Arrival]]) -> None:
    done, _ = whole
    assert (done.code, done.err) == (0, "")
    assert "FAIL" not in done.out
    assert "one trace: 14 spans from 5 processes" in done.out


def test_tree_shows_what_made_each_span_and_what_carried_each_hop(whole: tuple[Run, list[Arrival]]) -> None:
    rows = [re.sub(r"\| [\d.]+ [mu]?s", "| T", re.sub(r"ot_bridge \S+", "ot_bridge", row)) for row in whole[0].rows()]
    native = next(row.split(" | ")[2] for row in rows if row.startswith("payment-gateway"))
    assert native.startswith("opentelemetry-python 1.")
    assert rows == [
        "order-service checkout | T | ERROR | ot_bridge",
        "order-service POST /reservations | T | ot_bridge",
        "inventory-service POST /reservations | T | jaeger-client Python-4.8.0 | uber-trace-id",
        "inventory-service GET /credit | T | jaeger-client Python-4.8.0",
        "payment-service GET /credit | T | ot_bridge | uber-trace-id",
        "order-service POST /payments | T | ERROR | ot_bridge",
        "payment-service POST /payments | T | ERROR | ot_bridge | uber-trace-id",
        "payment-service POST /charges | T | ERROR | ot_bridge",
        f"payment-gateway POST /charges | T | {native} | traceparent",
        f"payment-gateway GET /confirmation | T | {native}",
        "payment-service GET /confirmation | T | ot_bridge | traceparent",
        f"payment-gateway ask the bank | T | {native}",
        "order-service POST /messages | T | ot_bridge",
        "notification-service POST /messages | T | jaeger-client Python-4.8.0 | uber-trace-id",
    ]


def test_cause_baggage_and_skipped_service_are_named(whole: tuple[Run, list[Arrival]]) -> None:
    text = " ".join(whole[0].out.split())
    assert re.search(
        r"why it failed: payment-gateway did not answer in time: payment-service 'POST /charges' gave up after \d+ ms "
        r"\(ReadTimeout\), while payment-gateway 'POST /charges' took \d+ ms, \d+ ms of it in 'ask the bank'",
        text,
    )
    assert "shipping-service skipped: the payment failed" in text
    assert text.count("baggage.customer-tier=gold member") == 6


def test_missing_node_is_said_in_one_line_and_is_no_error(whole: tuple[Run, list[Arrival]]) -> None:
    said = [line for line in whole[0].out.splitlines() if "node" in line.lower()]
    assert said == ["no Node service (no 'node' on PATH): notification-service runs on Python instead"]


def test_endpoint_gets_the_spans_of_every_tracer(whole: tuple[Run, list[Arrival]]) -> None:
    done, (arrival,) = whole
    spans = read_spans(arrival.request.resource_spans)
    assert len({span.trace_id for span in spans}) == 1
    assert {producer(span).library for span in spans} == {"ot_bridge", "jaeger-client", "opentelemetry-python"}
    assert f"sent {len(spans)} spans to" in done.out


def test_node_service_is_in_the_same_trace() -> None:
    node = find_node()
    if isinstance(node, NoNode):
        pytest.skip(node.reason)
    done = run()
    assert done.code == 0, done.out
    assert any(
        re.match(r"notification-service POST .* jaeger-client Node-3\S+ \| uber-trace-id", row) for row in done.rows()
    )


def test_service_that_sends_no_traceparent_breaks_the_trace_visibly() -> None:
    done = run("--no-node", "--set", "payment-service:OT_BRIDGE_INJECT=jaeger")
    text = " ".join(done.out.split())
    assert done.code == 1
    assert "FAIL 2 traces instead of one: payment-gateway 'POST /charges' began another one " in text
    assert "(opentelemetry-python; the request brought uber-trace-id)" in text
    assert done.err == "Error: the trace is not whole: see FAIL above\n"


def test_service_that_cannot_start_is_named_with_its_last_words() -> None:
    done = run("--no-node", "--set", "payment-service:OT_BRIDGE_INJECT=smoke")
    assert done.code == 1
    assert done.err.startswith("Error: payment-service has ended with exit code 1; its standard error ends with\n")
    assert re.search(r"ConfigError: .*'smoke'.*OT_BRIDGE_INJECT", done.err)


def test_unreachable_endpoint_is_an_error_with_its_address() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        done = run("--no-node", "--endpoint", url)
    assert done.code == 1
    assert done.err == f"Error: cannot send the spans to {url}/v1/traces: Connection refused\n"
    assert "no Node service (switched off)" in done.out
    assert "FAIL" not in done.out


@pytest.mark.parametrize(
    ("service", "libraries"),
    [
        ("inventory", {"opentracing", "jaeger_client"}),
        ("notification", {"opentracing", "jaeger_client"}),
        ("gateway", {"opentelemetry"}),
    ],
)
def test_old_and_native_services_trace_without_the_bridge(service: str, libraries: set[str]) -> None:
    source = (Path(services.__file__).parent / f"{service}.py").read_text()
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom | ast.Import)]
    modules = {node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name for node in nodes}
    assert {module for module in modules if module.startswith("ot_bridge")} == {"ot_bridge.demo.services.serving"}
    tracing = {"opentracing", "jaeger_client", "opentelemetry"}
    assert {module.partition(".")[0] for module in modules} & tracing == libraries


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--endpoint", "localhost:4318"], "--endpoint: got 'localhost:4318', expected an OTLP/HTTP address"),
        (["--set", "OTEL_SDK_DISABLED=true"], "--set: got 'OTEL_SDK_DISABLED=true', expected SERVICE:NAME=VALUE"),
        (["--set", "payment:A=B"], "--set: no service 'payment': did you mean 'payment-service'?"),
        (["--set", "x:A=B"], "--set: no service 'x': expected one of order-service, inventory-service"),
    ],
    ids=["endpoint", "no-service", "near-service", "unknown-service"],
)
def test_wrong_argument_is_named_before_anything_starts(arguments: Sequence[str], reason: str) -> None:
    done = run(*arguments)
    assert (done.code, done.out) == (2, "")
    assert reason in done.err


@pytest.mark.parametrize(
    ("module", "extra"),
    [("rich", "cli"), ("click", "cli"), ("flask", "demo"), ("starlette", "demo"), ("jaeger_client", "demo")],
)
def test_missing_package_is_named_with_the_command_that_installs_it(module: str, extra: str) -> None:
    code = (
        "import sys\n"
        f"sys.modules[{module!r}] = None\n"
        "import ot_bridge.cli\n"
        "sys.argv = ['ot-bridge', 'demo']\n"
        "ot_bridge.cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 1
    assert f"the package {module} is missing" in done.stderr
    assert f"python -m pip install 'ot-bridge[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("ctrl_c")
def test_kept_shop_answers_the_curl_line_and_closes_on_ctrl_c() -> None:
    with subprocess.Popen([*COMMAND, "--no-node", "--keep"], stdout=subprocess.PIPE, text=True) as shop:
        assert shop.stdout is not None
        try:
            lines = iter(shop.stdout.readline, "")
            seen = _until(lines, r"^  curl ")
            words = shlex.split(seen[-1])
            body = json.loads(words[words.index("-d") + 1])
            (page,) = re.findall(r"on the page: (\S+)", "".join(_until(lines, "on the page")))
            answer = requests.post(words[words.index("POST") + 1], json=body, timeout=LIMIT_S)
            assert answer.json() == {"order": "order-1002", "paid": True, "shipped": True}
            second = "".join(_until(lines, r"hops:"))
            shown = requests.get(page, timeout=LIMIT_S).text
            shop.send_signal(signal.SIGINT)
            last = shop.stdout.read()
        finally:
            shop.kill()
    assert re.search(r"shipping-service POST /parcels .* ot_bridge \S+ +uber-trace-id", second)
    assert "log parcel.sent  by=courier" in second
    assert "FAIL" not in second
    assert "2 traces" in shown
    assert "order-service" in shown
    assert last.endswith("The shop is closed.\n")
    assert shop.returncode == 0
    pids = [int(pid) for pid in re.findall(r"process (\d+)", "".join(seen))]
    assert len(pids) == 6
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def _until(lines: Iterator[str], pattern: str) -> list[str]:
    seen = []
    for line in lines:
        seen.append(line)
        if re.search(pattern, line):
            return seen
    raise AssertionError(f"no line matches {pattern!r} in:\n{''.join(seen)}")
