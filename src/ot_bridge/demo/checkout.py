"""The story of the demo: open the shop, make one checkout, wait for its spans, draw the trace and judge it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import requests
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ot_bridge.demo.errors import DemoError
from ot_bridge.demo.fleet import Service, environment, services
from ot_bridge.demo.forward import forward
from ot_bridge.demo.launcher import Shop
from ot_bridge.demo.node import Node, NoNode, find_node
from ot_bridge.demo.page import page
from ot_bridge.demo.receiver import Receiver
from ot_bridge.demo.verdict import Finding, Story, cause, judge, judge_shape
from ot_bridge.traces.model import Span
from ot_bridge.traces.render.details import Details
from ot_bridge.traces.render.terminal import draw
from ot_bridge.traces.tree import Trace
from ot_bridge.traces.words import duration

__all__ = ["run"]

STORY = Story(
    services=("order-service", "inventory-service", "payment-service", "payment-gateway", "notification-service"),
    skipped=("shipping-service",),
    baggage={"customer-tier": "gold member"},
    baggage_seen_by=("inventory-service", "payment-service", "payment-gateway", "notification-service"),
    fails_in="payment-gateway",
    logs=("reserved", "bank.answered", "exception", "payment.failed", "shipping.skipped", "message.sent"),
)

_ENTRY = "order-service"
_ANSWER_LIMIT_S = 10.0
_QUIET_S = 0.3
# The longest silence inside a checkout is the bank's 0.7 s.
_PATIENCE_S = 2.5
_LIMIT_S = 8.0
_WIDEST = 130


def run(
    console: Console, *, endpoint: str | None, keep: bool, node: bool, changes: Mapping[str, Mapping[str, str]]
) -> bool:
    """Run the demo and return whether the trace was whole.

    Args:
        console: where it is told.
        endpoint: a traces URL that gets the spans as well, or None.
        keep: leave the shop open and draw each further request, until KeyboardInterrupt.
        node: use Node where it is there.
        changes: environment variables for some services, by service name; how to see a trace break.

    Raises:
        DemoError: a service did not start or ended too early, or the endpoint does not take the spans.
    """
    found = find_node() if node else NoNode("switched off")
    fleet = services(found if isinstance(found, Node) else None)
    fleet = tuple(replace(one, environment={**one.environment, **changes.get(one.name, {})}) for one in fleet)
    with contextlib.ExitStack() as opened:
        inbox, shown = opened.enter_context(page()) if keep else (None, None)
        receiver = opened.enter_context(Receiver(inbox, shown))
        shop = opened.enter_context(Shop(fleet, environment(receiver.otlp_url, receiver.udp_port)))
        _introduce(console, fleet, shop)
        if isinstance(found, NoNode):
            console.print(Text(f"no Node service ({found.reason}): notification-service runs on Python instead", "dim"))
        checkout = shop.address_of(_ENTRY) + "/checkout"
        _post(console, shop, checkout)

        def complete(spans: list[Span]) -> bool:
            shop.check()
            return all(finding.good for finding in judge(spans, STORY))

        spans = receiver.wait(complete, quiet_s=_QUIET_S, patience_s=_PATIENCE_S, limit_s=_LIMIT_S)
        findings = judge(spans, STORY) + [Finding.bad(problem) for problem in receiver.problems()]
        _show(console, spans, findings, _skipped(spans))
        if endpoint:
            _forward(console, receiver, endpoint, 0)
        if keep:
            _keep(console, receiver, shop, checkout, endpoint)
    return all(finding.good for finding in findings)


def _introduce(console: Console, fleet: Sequence[Service], shop: Shop) -> None:
    console.print(Text("A shop's checkout, each service a process of its own:", "bold"))
    table = Table.grid(padding=(0, 3, 0, 0))
    for service in fleet:
        table.add_row(f"  {service.name}", f"process {shop.pid_of(service.name)}", service.runs_on)
    console.print(table)


def _post(console: Console, shop: Shop, url: str) -> None:
    try:
        with requests.Session() as session:
            # the loopback needs no proxy, whatever the environment says
            session.trust_env = False
            answer = session.post(url, json={}, timeout=_ANSWER_LIMIT_S)
    except requests.RequestException as error:
        shop.check()
        raise DemoError(f"order-service did not answer POST {url}: {error}") from error
    shop.check()
    console.print(Text(f"\nPOST {url} -> {answer.status_code} {' '.join(answer.text.split())}"), soft_wrap=True)
    if answer.status_code != 503:
        complaints = shop.complaints_of(_ENTRY)
        console.print(Text(f"expected 503 from order-service; its standard error ends with\n{complaints}", "red"))


def _show(console: Console, spans: Sequence[Span], findings: Sequence[Finding], skipped: Mapping[str, str]) -> None:
    width = min(console.width, _WIDEST)
    for trace_id in dict.fromkeys(span.trace_id for span in spans):
        trace = Trace(span for span in spans if span.trace_id == trace_id)
        title = (f"\ntrace {trace_id:032x}", "bold"), f"  {len(trace)} spans, {duration(trace.duration_ns)}"
        console.print(Text.assemble(*title))
        first = trace_id == spans[0].trace_id
        console.print(draw(trace, width, skipped=skipped if first else None, shown=Details(times=False)), width=width)
    console.print()
    if found := cause(spans):
        console.print(Text.assemble(("why it failed: ", "bold red"), found.text), width=width)
        console.print()
    for finding in findings:
        mark = ("ok    ", "bold green") if finding.good else ("FAIL  ", "bold red")
        line = Table.grid()
        line.add_row(Text(*mark), Text(finding.text))
        console.print(line, width=width)


def _skipped(spans: Sequence[Span]) -> dict[str, str]:
    """Say of each service that got no request why, as the log of the service that left it out tells it."""
    present = {span.service for span in spans}
    reasons = [
        event.attributes.get("reason") for span in spans for event in span.events if event.name == "shipping.skipped"
    ]
    reason = str(reasons[0]) if reasons else "nobody called it"
    return {service: reason for service in STORY.skipped if spans and service not in present}


def _forward(console: Console, receiver: Receiver, endpoint: str, since: int) -> None:
    count = forward(receiver.batches(since), endpoint)
    console.print(Text(f"sent {count} spans to {endpoint}"), soft_wrap=True)


def _requests(spans: Sequence[Span]) -> list[list[Span]]:
    """Split spans into requests from outside, one trace each.

    A trace that did not begin at the entry was cut from another one: then nothing is split, and the verdict says so.
    """
    traces: dict[int, list[Span]] = {}
    for span in spans:
        traces.setdefault(span.trace_id, []).append(span)
    whole = all(any(span.service == _ENTRY for span in trace) for trace in traces.values())
    return list(traces.values()) if whole else [list(spans)]


def _keep(console: Console, receiver: Receiver, shop: Shop, url: str, endpoint: str | None) -> None:
    console.print("\nThe shop stays open until Ctrl-C. A checkout whose bank is quick, so that the parcel is sent:")
    command = f"""curl -X POST {url} -H 'content-type: application/json' -d '{{"bank_s": 0.05}}'"""
    console.print(Text(f"  {command}", "bold"), soft_wrap=True)
    console.print(Text(f"All its traces are on the page: {receiver.page_url}"), soft_wrap=True)
    try:
        while True:
            since = len(receiver.batches())
            while len(receiver.batches()) == since:
                shop.check()
                time.sleep(0.1)

            def complete(spans: list[Span]) -> bool:
                shop.check()
                return all(finding.good for one in _requests(spans) for finding in judge_shape(one, entry=_ENTRY))

            spans = receiver.wait(complete, quiet_s=1.0, patience_s=_PATIENCE_S, limit_s=_LIMIT_S, since=since)
            for one in _requests(spans):
                _show(console, one, judge_shape(one, entry=_ENTRY), {})
            if endpoint:
                _forward(console, receiver, endpoint, since)
    except KeyboardInterrupt:
        console.print("\nThe shop is closed.")
