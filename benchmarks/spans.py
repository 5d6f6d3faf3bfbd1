"""What a span costs the thread that makes it, beside everybody who could make it.

python benchmarks/spans.py
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from names import BRIDGE, BRIDGE_BARE, JAEGER, NATIVE
from side_by_side import Effort, measure, table_of
from tables import Table
from topic import run
from workload import TRACERS, Setup, statement


class Variant(NamedTuple):
    """One workload: its name, the piece of work, how the tracers are set up, and who does it."""

    title: str
    work: str
    setup: Setup = Setup()
    cases: tuple[str, ...] = tuple(TRACERS)


VARIANTS = {
    "sampled": Variant("W, sampled", "W"),
    "unsampled": Variant("W, not sampled", "W", Setup(sampler="off")),
    "nested": Variant("a span and three children, one after the other", "nested"),
    "HTTP": Variant("an HTTP server's span with its tags, a new URL each time", "HTTP"),
    "error": Variant("a span that an exception leaves", "error"),
    "custom sampler": Variant("W with a sampler of the user's", "W", Setup(sampler="custom")),
    "three processors": Variant("W with three processors", "W", Setup(processors=3)),
    "tail": Variant(
        "W with ot_bridge's tail sampler, beside the others without one",
        "W",
        Setup(tail=True),
        (NATIVE, JAEGER, BRIDGE, BRIDGE_BARE),
    ),
}


def tables(effort: Effort) -> Iterator[Table]:
    for key, variant in VARIANTS.items():
        cases = {name: statement(variant.work, name, TRACERS[name](variant.setup)) for name in variant.cases}
        times = measure(cases, effort, what=variant.title)
        yield table_of(f"spans, {key}", variant.title, times, (NATIVE, JAEGER))


if __name__ == "__main__":
    run(tables, __doc__)
