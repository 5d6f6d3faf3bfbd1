"""Every file of examples/ runs by itself, without arguments and without a network, and says what it promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
LIMIT_S = 60

# What each one prints, as patterns of whole lines that come in this order; other lines may stand between them.
SAYS = {
    "swap_global_tracer": [
        r"shop: 'charge' INTERNAL \{'order': 7\} \['card accepted'\]",
        r"shop: 'POST /receipts' CLIENT \{\} \[\]",
        r"  uber-trace-id: (?P<trace>[0-9a-f]{32}):[0-9a-f]{16}:0:1",
        r"  traceparent: 00-(?P=trace)-[0-9a-f]{16}-0[13]",
    ],
    "mixed_services": [
        r"frontend  trace (?P<trace>[0-9a-f]{32}), brought by nothing",
        r"orders    trace (?P=trace), brought by traceparent",
        r"stock     trace (?P=trace), brought by traceparent, uber-trace-id",
        r"billing   trace (?P=trace), brought by uber-trace-id",
        r"          baggage, three hops on: \{'tenant': 'acme & sons'\}",
        r"one trace: True in 4 services",
    ],
    "jaeger_client_import": [
        r"request id [0-9a-f]{1,16}",
        r"charge: isinstance\(span, Span\)=True, flags 1, parent None",
        r"tags \{'order': 7, 'sampler.type': 'const', 'sampler.param': True\}",
        r"sent on traceparent uber-trace-id",
    ],
    "keep_errors": [
        r"of 10,000 requests, 10 failed and 10 were slow",
        r"kept for an error: 10, for being slow: 10",
        r"one percent of the others, about: True",
    ],
    "export_anywhere": [
        r"OpenTelemetry Collector",
        r"  arrived at /v1/traces: \['charge'\] from shop",
        r"Jaeger, .*",
        r"  arrived at /v1/traces: \['charge'\] from shop",
        r"Grafana Tempo .*",
        r"  arrived at /v1/traces: \['charge'\] from shop",
        r"    x-scope-orgid: team-a",
        r"a vendor, .*",
        r"  arrived at /ingest/v1/traces: \['charge'\] from shop",
        r"    authorization: Bearer secret",
        r"    content-encoding: gzip",
        r"    x-dataset: shop",
    ],
    "http_server": [
        r"GET /stock SERVER child of 6b221d5bc9e6496c, 200 UNSET",
        r"  looked up \{'item': 'teapot', 'left': 3\}",
        r"GET /stock SERVER root, 400 UNSET",
        r"  refused \{.*\}",
        r"GET /stock SERVER root, 500 ERROR 'lamp'",
        r"  exception \{'exception.type': 'KeyError', .*'item': '/stock/lamp'\}",
    ],
    "http_client": [
        r"server got uber-trace-id: (?P<trace>[0-9a-f]{32}):(?P<span>[0-9a-f]{16}):0:1",
        r"server got traceparent: 00-(?P=trace)-(?P=span)-0[13]",
        r"GET CLIENT 200 UNSET, trace (?P=trace), span (?P=span)",
        r"GET CLIENT 404 ERROR, trace [0-9a-f]{32}, span [0-9a-f]{16}",
    ],
    "baggage": [
        r"two services later: gold member",
        r"  as sent: \{'uberctx-customer-tier': 'gold%20member', 'baggage': 'customer-tier=gold%20member'\}",
        r"the edge still has: \{'customer-tier': 'gold member'\}",
    ],
    "sqlite_query": [
        r"no such column: .*",
        r"SELECT CLIENT UNSET \{.*'db.type': 'sqlite', .*'db.rows': 1\}",
        r"SELECT CLIENT ERROR \{.*'db.statement': 'SELECT price FROM goods'\}",
        r"  exception: sqlite3.OperationalError: no such column: price",
        r"GET /goods INTERNAL UNSET \{\}",
    ],
    "test_with_memory": [
        r"test_reserved_item_is_a_tag: reserve \{'item': 'teapot'\} \[\]",
        r"test_sold_out_item_is_a_log: reserve \{'item': 'lamp'\} \[\{'event': 'sold out'\}\]",
    ],
    "both_apis": [
        r"OpenTelemetry's current span is the scope's: True",
        r"OpenTelemetry reads the baggage: acme",
        r"checkout: child of nobody, \{\}, \[\]",
        r"reserve: child of checkout, \{'items': 2, 'warehouse': 'north'\}, \['reserved'\]",
        r"notify: child of reserve, .*",
        r"send: child of notify, .*",
        r"traces: 1",
    ],
}


@pytest.mark.parametrize("name", SAYS)
def test_example_says_what_it_promises(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py")],
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    expected = "".join(rf"(?:.*\n)*?{line} *\n" for line in SAYS[name])
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(expected, done.stdout), done.stdout


def test_every_example_is_run_and_says_how() -> None:
    files = {path.stem: path.read_text(encoding="utf-8") for path in EXAMPLES.glob("*.py")}
    assert files.keys() == SAYS.keys()
    assert [name for name, text in files.items() if f"``python examples/{name}.py``" not in text] == []
