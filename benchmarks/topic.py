"""What all topics have in common: how they are called, and whom they hand their tables.

    python benchmarks/spans.py [--quick] [--into FILE]

Each topic is a process of its own under ``make bench``, so that none disturbs another.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from side_by_side import FULL, QUICK, SMOKE, Effort
from tables import Table, show, show_machine, to_json

__all__ = ["FOREIGN", "ROOT", "arguments", "effort_of", "run"]

ROOT = Path(__file__).resolve().parent.parent
FOREIGN = ("OTEL_", "OT_BRIDGE_", "JAEGER_")
"""Variables that decide what is measured: none may come from outside."""
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Give a parser the arguments that the whole run and each topic take."""
    parser.add_argument("--quick", action="store_true", help="a short run, to see the order of things")
    parser.add_argument("--smoke", action="store_true", help="see that every case runs; the figures mean nothing")
    parser.add_argument("--into", type=Path, metavar="FILE", help="write the tables as JSON, too")
    return parser


def effort_of(parsed: argparse.Namespace) -> Effort:
    """Return how much is to be measured."""
    return SMOKE if parsed.smoke else QUICK if parsed.quick else FULL


def run(measure: Callable[[Effort], Iterable[Table]], doc: str | None) -> None:
    """Measure a topic, and show each table when it is there."""
    parsed = arguments(argparse.ArgumentParser(description=(doc or "").partition("\n")[0])).parse_args()
    for name in list(os.environ):
        if name.startswith(FOREIGN) or name.lower() in _PROXIES:
            del os.environ[name]
    if parsed.into is None:
        show_machine()
    tables = []
    for table in measure(effort_of(parsed)):
        show(table)
        tables.append(table)
    if parsed.into is not None:
        parsed.into.write_text(json.dumps(to_json(tables)), encoding="utf-8")
