"""A configuration of the OpenTelemetry Collector that samples a fleet by the rules of ``Settings.tail``.

``ot-bridge collector-config`` prints what is made here; docs/sampling.md says when it is needed. Nothing here is
imported by a program that is traced.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from ot_bridge.collector.rules import differences, policies
from ot_bridge.collector.sizing import Fleet, Row, rows
from ot_bridge.collector.text import comment, to_yaml
from ot_bridge.collector.tiers import STRATEGIES, TARGETS, Document, Plan, gateway, sampler
from ot_bridge.collector.versions import read_version, warnings
from ot_bridge.tail_specs import TailRules, read_tail

__all__ = [
    "DEFAULT_TAIL",
    "TARGETS",
    "TIERS",
    "File",
    "Fleet",
    "Inputs",
    "Plan",
    "Row",
    "as_stream",
    "files",
    "notes",
    "read_version",
    "rows",
]

DEFAULT_TAIL: Final = "errors,slow:1s,rest:1%"
"""The rules of who has set none."""
TIERS: Final = ("gateway", "sampler", "strategies")

_CLIENTS: Final = (
    "Tail sampling sees only what clients send: jaeger-clients have to ask port 5778, and so sample 100%; other "
    "services have to sample 100% at the head, with OT_BRIDGE_TAIL unset. A service that has it set sends only what it "
    "kept."
)


class File(NamedTuple):
    """One file: its name and its text."""

    name: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What the configuration is made of.

    Args:
        plan: where everything is, and how much arrives.
        tail: ``Settings.tail``, None for :data:`DEFAULT_TAIL`.
        head: ``Settings.sampler``.
        drop_routes: values of ``http.route`` to drop whatever else is said.
        origin: where ``tail`` comes from, for errors.
    """

    plan: Plan
    tail: str | None = None
    head: str | None = None
    drop_routes: tuple[str, ...] = ()
    origin: str = "argument"

    @property
    def rules(self) -> TailRules:
        """The rules that count."""
        return read_tail(self.tail or DEFAULT_TAIL)


def files(inputs: Inputs) -> dict[str, File]:
    """Return the files by tier.

    Raises:
        ConfigError: the Collector cannot be told one of the rules.
    """
    plan = inputs.plan
    asked = policies(
        inputs.rules, plan.fleet, drop_routes=inputs.drop_routes, version=plan.version, origin=inputs.origin
    )
    program = "Jaeger" if plan.target == "jaeger-v2" else "the Collector"
    made = {
        "gateway": _file("gateway.yaml", gateway(plan), (*_head("1, gateway", "the Collector", plan), _CLIENTS)),
        "sampler": _file(
            "sampler.yaml",
            sampler(plan, asked),
            (*_head("2, sampler", program, plan), *_sampler_notes(inputs), _table(rows(plan.fleet))),
        ),
    }
    if plan.strategies is not None:
        strategies = {name: dict(value) for name, value in STRATEGIES.items()}
        made["strategies"] = File("strategies.json", json.dumps(strategies) + "\n")
    return made


def notes(inputs: Inputs) -> tuple[str, ...]:
    """Return what there is to know beside the files, a paragraph each."""
    return (_CLIENTS, *warnings(inputs.plan.version), *_sampler_notes(inputs))


def _head(tier: str, program: str, plan: Plan) -> Iterator[str]:
    version = "" if plan.version is None else f" 0.{plan.version}"
    like = f" for the Collector{version}" if version else ", spelled for the Collector from 0.140 on"
    yield f"Tier {tier}{like}. Made by ot-bridge collector-config; check it with:\n  {_validate(program, tier)}"
    yield from warnings(plan.version)


def _validate(program: str, tier: str) -> str:
    name = tier.rpartition(" ")[2]
    command = "jaeger" if program == "Jaeger" else "otelcol-contrib"
    return f"{command} validate --config={name}.yaml"


def _sampler_notes(inputs: Inputs) -> tuple[str, ...]:
    origin = inputs.origin if inputs.tail else "OT_BRIDGE_TAIL is not set: these are the usual ones"
    rules = f"Rules: {inputs.tail or DEFAULT_TAIL} ({origin})"
    different = [f"- {text}" for text in differences(inputs.rules, drop_routes=inputs.drop_routes)]
    head = []
    if inputs.head is not None and inputs.head.strip().lower() not in ("const:1", "const:true"):
        head = [f"The head sampler {inputs.head} comes first: what it does not choose never arrives here."]
    return (rules, *head, *(["Otherwise than in a process:", *different] if different else ()))


def _table(found: tuple[Row, ...]) -> str:
    name_width = max(len(row.name) for row in found)
    shown_width = max(len(row.shown) for row in found)
    lines = [f"{row.name:<{name_width}}   {row.shown:>{shown_width}}   {row.formula}" for row in found]
    return "\n".join(["", *lines, ""])


def _file(name: str, document: Document, heading: tuple[str, ...]) -> File:
    return File(name, to_yaml(document.configuration, document.comments, heading=heading))


def as_stream(made: dict[str, File]) -> str:
    """Return several files as one stream of YAML documents, each under its name; JSON is YAML."""
    parts = [f"---\n{comment(file.name)[0]}\n{file.text}" for file in made.values()]
    return "".join(parts)
