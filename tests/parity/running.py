"""A program in a process of its own, and what can be compared of it: its output and its spans, ids aside.

A span is first a plain dict with integer ids and times, see `Span`; `Run.of` gives every id and time its place: the
ids of spans of the run become their names, ids that the program's own text spells out stay, times that it gave stay.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import ot_bridge

__all__ = ["PROGRAMS", "VARIABLES", "Output", "Run", "clean", "execute", "program_path"]

HERE = Path(__file__).parent
SOURCES = Path(ot_bridge.__file__).parent.parent
PROGRAMS = sorted(path.stem for path in (HERE / "programs").glob("*.py"))

VARIABLES = {
    "environment": {"JAEGER_TAGS": "zone=b, rack = 7,deployment=green", "JAEGER_TRACEID_128BIT": "true"},
}
"""What a program is deployed with, beside the agent's address, which all of them get."""

_PATIENCE_S = 60
_GIVEN_BEFORE_NS = 1_700_000_000 * 10**9  # a program that states a time states one of the past
_MARKERS = re.compile(r"^ +[~^]+ *\n", re.MULTILINE)
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:0x)?[0-9a-fA-F]{3,32}(?![0-9A-Za-z])")
_LONG = 12  # digits: a random id has less once in a million, and a number of the program's own has not as many

Span = dict[str, Any]


class Output(NamedTuple):
    """What a process said, as it said it."""

    status: int
    stdout: str
    stderr: str


class Run(NamedTuple):
    """One run of a program, comparable with any other run of it."""

    status: int
    stdout: list[str]
    spans: list[Span]

    @classmethod
    def of(cls, program: str, output: Output, spans: Iterable[Span]) -> Run:
        """Take the ids and times out of a run that are different each time.

        Args:
            program: its name.
            output: what it said.
            spans: what it sent: dicts with integer `trace_id`, `span_id`, `parent_id` (0 for none), `start_ns`,
                `end_ns`, and dicts with `trace_id` and `span_id` under `references`, dicts with `ns` under `logs`.
        """
        places = _Places(program, list(spans))
        lines = [places.line(line) for line in output.stdout.splitlines()]
        return cls(output.status, lines, places.spans())


def program_path(program: str) -> Path:
    """Return where a program lies."""
    return HERE / "programs" / f"{program}.py"


def execute(program: str, interpreter: list[str], variables: Mapping[str, str]) -> Output:
    """Run a program to its end.

    Args:
        program: its name.
        interpreter: the words before the program's name.
        variables: what it finds in its environment, beside the bare necessities.
    """
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV") if name in os.environ}
    environment = {
        **kept,
        "PYTHONPATH": str(SOURCES),
        "PYTHONIOENCODING": "utf-8",
        **VARIABLES.get(program, {}),
        **variables,
    }
    done = subprocess.run(
        [*interpreter, program_path(program).name],
        cwd=HERE / "programs",
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=_PATIENCE_S,
        check=False,
    )
    return Output(done.returncode, done.stdout, done.stderr)


def clean(text: Any) -> Any:
    """Return a text without what differs between machines and Python versions in stack traces."""
    if not isinstance(text, str):
        return text
    return _MARKERS.sub("", text.replace(f"{HERE / 'programs'}{os.sep}", ""))


class _Places:
    """The spans of a run, and the names that stand for their ids."""

    def __init__(self, program: str, spans: list[Span]) -> None:
        text = unquote(program_path(program).read_text(encoding="utf-8"))
        self._text = text
        self._given = {int(word, 16) for word in re.findall(r"[0-9a-fA-F]+", text.replace("0x", " "))}
        self._own_words = set(re.findall(r"\d{3,}", text))
        self._found = sorted(spans, key=lambda span: (span["start_ns"] // 1000, span["name"]))
        self._spans: dict[int, str] = {}
        self._traces: dict[int, str] = {}
        counts: dict[str, int] = {}
        for span in self._found:
            name = span["name"] or "unnamed"  # as the bridge names it
            if span["span_id"] not in self._spans:
                counts[name] = counts.get(name, 0) + 1
                suffix = f"#{counts[name]}" if counts[name] > 1 else ""
                self._spans[span["span_id"]] = f"<{name}{suffix}>"
        for span in self._found:
            self._traces.setdefault(span["trace_id"], f"<trace of {self._spans[span['span_id']][1:]}")

    def spans(self) -> list[Span]:
        return sorted((self._placed(span) for span in self._found), key=lambda span: (span["service"], span["span_id"]))

    def line(self, line: str) -> str:
        return _HEX.sub(self._word, line)

    def _word(self, match: re.Match[str]) -> str:
        word = match[0]
        digits = word.removeprefix("0x")
        for number in {int(digits, 16), *([int(digits)] if digits.isdecimal() else [])}:
            if number in self._given:
                return word
            if number in self._traces or number in self._spans:
                return self._traces.get(number) or self._spans[number]
        return word if len(digits) < _LONG or digits in self._own_words else "<an id>"

    def _placed(self, span: Span) -> Span:
        placed = {
            **span,
            "trace_id": self._trace(span["trace_id"]),
            "trace_id_bits": 64 if span["trace_id"] < 1 << 64 else 128,
            "span_id": self._span(span["span_id"]),
            "parent_id": self._span(span["parent_id"]) if span["parent_id"] else None,
            "parent_is_local": span["parent_id"] in self._spans,
            "start_ns": _time(span["start_ns"]),
            "end_ns": _time(span["end_ns"]),
            "references": [
                {**each, "trace_id": self._trace(each["trace_id"]), "span_id": self._span(each["span_id"])}
                for each in span["references"]
            ],
            "logs": [{**log, "ns": _time(log["ns"])} for log in span["logs"]],
        }
        placed["process"] = {key: self._process_value(key, value) for key, value in span["process"].items()}
        return placed

    def _process_value(self, key: str, value: Any) -> Any:
        """Name what is different on every machine."""
        kind, content = value
        if str(content) in self._text:
            return value
        name = {
            "hostname": "<this host>",
            "host.name": "<this host>",
            "ip": "<this address>",
            "client-uuid": "<random>",
        }
        return [kind, name[key]] if key in name else value

    def _trace(self, number: int) -> str:
        return f"{number:x}" if number in self._given else self._traces.get(number, "<another trace>")

    def _span(self, number: int) -> str:
        return f"{number:x}" if number in self._given else self._spans.get(number, "<a span that was not sent>")


def _time(ns: int) -> int | str:
    return ns if ns < _GIVEN_BEFORE_NS else "now"
