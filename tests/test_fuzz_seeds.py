"""The fuzz target without its fuzzer: every seed, mutations of them, and no input that takes quadratic time.

Time is not measured. What Python does is counted in bytecodes. What a regular expression does cannot be counted, so
every pattern has to be of a kind that cannot take quadratic time: see :class:`Shape`. The rest are methods of ``str``
and ``bytes``, which are linear.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invariants import MAX_LENGTH, MODES, check
from make_seeds import seeds

from ot_bridge import codecs, telemetry
from ot_bridge.cli.captured import UnreadableError, requests_in
from ot_bridge.codecs import CODECS
from ot_bridge.config import Settings
from ot_bridge.explain import explain
from ot_bridge.propagator import MixedFleetPropagator

FUZZ = Path(__file__).parent.parent / "fuzz"
FILES = sorted((FUZZ / "seeds").iterdir())
CONTENTS = [file.read_bytes() for file in FILES]
WORDS = [
    eval(f"b{line}")  # noqa: S307  (libFuzzer's escapes are Python's)
    for line in (FUZZ / "headers.dict").read_text(encoding="ascii").splitlines()
    if line.startswith('"')
]
EVERY = Settings(extract=tuple(CODECS), inject=tuple(CODECS))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_seed_holds(file: Path) -> None:
    check(file.read_bytes())


def test_seeds_are_made_of_the_vectors() -> None:
    assert dict(zip([file.name for file in FILES], CONTENTS, strict=True)) == seeds(), "run python fuzz/make_seeds.py"


def test_seeds_reach_every_mode_but_bytes() -> None:
    assert {content.partition(b"\n")[0] for content in CONTENTS} == set(MODES) - {b"bytes"}


class Mutation(NamedTuple):
    """One change of an input, as a fuzzer makes them."""

    start: int
    length: int
    inserted: bytes

    def of(self, data: bytes) -> bytes:
        start = self.start % (len(data) + 1)
        return data[:start] + self.inserted + data[start + self.length :]


pieces = st.one_of(st.sampled_from(WORDS), st.binary(max_size=4), st.sampled_from(CONTENTS).map(lambda one: one[:200]))
mutations = st.lists(st.builds(Mutation, st.integers(0, 4000), st.integers(0, 20), pieces), max_size=5)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(CONTENTS), mutations, st.sampled_from([None, *MODES]))
def test_mutated_seed_holds(data: bytes, changes: list[Mutation], mode: bytes | None) -> None:
    for change in changes:
        data = change.of(data)
    if mode is not None:
        data = mode + b"\n" + data.partition(b"\n")[2]
    telemetry.reset()
    check(data)


def test_what_does_not_hold_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MixedFleetPropagator, "_understand", lambda *_: 1 / 0)
    with pytest.raises(AssertionError, match=r"extract\.gave_up"):
        check(b"http\nb3: 0")


def test_without_atheris_the_target_says_so() -> None:
    run = f"runpy.run_path({str(FUZZ / 'decoders.py')!r}, None, '__main__')"
    program = f"import runpy, sys; sys.modules['atheris'] = None; {run}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "fuzz: skipped, because atheris is not installed: python -m pip install atheris\n"


# -- no quadratic time: bytecodes --------------------------------------------------------------------------------------

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
Items = list[tuple[str, str]]


def lines(name: Callable[[int], str], value: Callable[[int], str]) -> Callable[[int], Items]:
    """Return a maker of so many header lines that they have the size asked for."""

    def make(size: int) -> Items:
        items: Items = [("traceparent", PARENT)]
        while size > 0:
            items.append((name(len(items)), value(len(items))))
            size -= len(items[-1][0]) + len(items[-1][1])
        return items

    return make


def value_of(name: str, piece: str, end: str = "") -> Callable[[int], Items]:
    """Return a maker of one header whose value has the size asked for."""
    return lambda size: [("traceparent", PARENT), (name, (piece * size)[:size] + end)]


GROWING: dict[str, Callable[[int], Items]] = {
    "uber_trace_id": value_of("uber-trace-id", "a"),
    "uber_trace_id_percent": value_of("uber-trace-id", "%3A"),
    "uber_trace_id_parent": value_of("uber-trace-id", "1:1:" + "a" * 8000, ":1"),
    "b3_blanks": value_of("b3", " "),
    "b3_dashes": value_of("b3", "a-"),
    "tracestate_members": value_of("tracestate", "a=1,"),
    "tracestate_commas": value_of("tracestate", ","),
    "tracestate_bad": value_of("tracestate", "a=1,B,"),
    "baggage_members": value_of("baggage", "a=1,"),
    "baggage_bad": value_of("baggage", "a,"),
    "baggage_properties": value_of("baggage", "a=1;b;c;d,"),
    "baggage_percent": value_of("baggage", "a=", "%C3%A9" * 1000),
    "jaeger_baggage_members": value_of("jaeger-baggage", "a=1,"),
    "jaeger_baggage_bad": value_of("jaeger-baggage", "a=1=2,"),
    "jaeger_baggage_commas": value_of("jaeger-baggage", "%2C"),
    "uberctx_value": value_of("uberctx-k", "%41+"),
    "uberctx_items": lines(lambda n: f"uberctx-k{n}", lambda n: "v"),
    "uberctx_one_key": lines(lambda n: "uberctx-k", lambda n: f"v{n}"),
    "uberctx_long_keys": lines(lambda n: f"uberctx-{'k' * 50}{n}", lambda n: ""),
    "ot_baggage_items": lines(lambda n: f"ot-baggage-k{n}", lambda n: "v"),
    "twins": lines(lambda n: f"uberctx-k{n}" if n % 2 else "baggage", lambda n: "v" if n % 2 else f"K{n - 1}=v"),
    "several_traceparents": lines(lambda n: "traceparent", lambda n: f"{n}"),
    "several_tracestates": lines(lambda n: "tracestate", lambda n: f"k{n}=1"),
    "debug_ids": lines(lambda n: "jaeger-debug-id", lambda n: f"{n}"),
    "strangers": lines(lambda n: f"x-{n}", lambda n: ""),
}


class Work:
    """Counts the bytecodes of ot_bridge while it is entered."""

    def __init__(self) -> None:
        self.bytecodes = 0

    def __enter__(self) -> Work:
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if "ot_bridge" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self.bytecodes += event == "opcode"
        return self._trace


def assert_linear(do: Callable[[int], object]) -> None:
    """Assert that twice the input never takes much more than twice the bytecodes."""
    counts = []
    with Work():  # from Python 3.12 on a function counts from the second call on
        do(MAX_LENGTH)
    for size in (MAX_LENGTH // 8, MAX_LENGTH // 4, MAX_LENGTH // 2, MAX_LENGTH):
        with Work() as work:
            do(size)
        counts.append(work.bytecodes)
    assert counts[0] > 100, counts
    assert all(more <= 2.2 * less for less, more in pairwise(counts)), counts


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in GROWING.items()])
@pytest.mark.parametrize("http", [True, False], ids=["http", "text"])
def test_reading_and_writing_take_no_quadratic_time(make: Callable[[int], Items], http: bool) -> None:
    def do(size: int) -> None:
        propagator = MixedFleetPropagator(settings=EVERY)
        context = propagator.read(make(size), http=http).context
        if context is not None:
            propagator.write(context, http=http)

    assert_linear(do)


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in GROWING.items()])
@pytest.mark.parametrize("chosen", [Settings(), Settings(extract=("tracecontext",), baggage_deny=("*",)), EVERY],
                         ids=["default", "denied", "every"])  # fmt: skip
def test_explaining_takes_no_quadratic_time(make: Callable[[int], Items], chosen: Settings) -> None:
    assert_linear(lambda size: explain(make(size), chosen))


@pytest.mark.parametrize(
    "piece",
    ["a: b\n", "> a: b\n", "curl -H 'a: b';", "curl '", "curl \\", "curl $'\\u0041'", 'curl ^"', "{", "\n", " "],
    ids=ascii,
)
def test_taking_requests_out_of_a_text_takes_no_quadratic_time(piece: str) -> None:
    def do(size: int) -> None:
        try:
            # An even number of pieces closes its quotes, at every size.
            requests_in(piece * (size // len(piece) // 2 * 2) + "\n" + "a: b\n" * (size // 5))
        except UnreadableError:
            # An error found at once is no work.
            requests_in("a: b\n" * (size // 5))

    assert_linear(do)


def test_quadratic_work_would_be_seen() -> None:
    program = compile("def f(n):\n  for i in range(n // 50):\n    for j in range(i): pass", "ot_bridge", "exec")
    names: dict[str, Any] = {}
    exec(program, names)  # noqa: S102
    with pytest.raises(AssertionError):
        assert_linear(names["f"])


# -- no quadratic time: regular expressions ----------------------------------------------------------------------------

try:
    from re import _constants as sre  # type: ignore[attr-defined]
    from re import _parser as sre_parse
except ImportError:  # Python 3.10
    import sre_constants as sre  # type: ignore[no-redef]
    import sre_parse  # type: ignore[no-redef]

# Of what a header may hold, and what Python's classes add to it.
SAMPLE = frozenset(map(chr, range(256))) | frozenset("\u0100\u0660\u1680\u2028\u20ac\udcff\U0001f600")
# A repeat of at most so many characters is a constant factor.
BOUNDED = 256


class Shape:
    """What a part of a pattern can begin with, and whether it can be empty.

    A pattern takes linear time when no repeat without a bound has a choice: not inside its body, and not between going
    on and ending, because what follows begins with other characters. Then giving characters back never matches, and
    costs one step each.
    """

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._flags = pattern.flags
        self.problems: list[str] = []
        tree = sre_parse.parse(pattern.pattern, pattern.flags)
        self.first, self.empty = self._sequence(list(tree), frozenset(), self.problems)

    def _sequence(self, nodes: list[Any], after: frozenset[str], problems: list[str]) -> tuple[frozenset[str], bool]:
        """Return what a sequence begins with when ``after`` follows it, and whether it can be empty itself."""
        first, empty = after, True
        for operator, argument in reversed(nodes):
            own, can_be_empty = self._node(operator, argument, first, problems)
            first = own | first if can_be_empty else own
            empty = empty and can_be_empty
        return first, empty

    def _node(self, operator: Any, argument: Any, after: frozenset[str], problems: list[str]) -> tuple[Any, bool]:
        if operator is sre.SUBPATTERN:
            return self._sequence(list(argument[-1]), after, problems)
        if operator is sre.BRANCH:
            parts = [self._sequence(list(part), after, problems) for part in argument[1]]
            return frozenset().union(*(first for first, _ in parts)), any(empty for _, empty in parts)
        if operator in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            least, most, body = argument
            own, empty = self._sequence(list(body), frozenset(), problems)
            if most is sre.MAXREPEAT or most > BOUNDED:
                problems += self._of_repeat(list(body), own, empty, after)
            else:
                self._sequence(list(body), after if most == 1 else own | after, problems)
            return own, least == 0 or empty
        if operator is sre.AT:
            return frozenset(), True
        return frozenset(one for one in SAMPLE if self._matches(operator, argument, one)), False

    def _of_repeat(self, body: list[Any], own: frozenset[str], empty: bool, after: frozenset[str]) -> Iterator[str]:
        if empty:
            yield "a repeat of something that can be empty"
        if own & after:
            yield f"a repeat can go on or end at {''.join(sorted(own & after))[:10]!r}"
        for operator, argument in body:
            if operator is sre.SUBPATTERN:
                yield from self._of_repeat(list(argument[-1]), own, False, frozenset())
            elif operator is sre.BRANCH:
                firsts = [self._sequence(list(part), frozenset(), [])[0] for part in argument[1]]
                if sum(map(len, firsts)) > len(frozenset().union(*firsts)):
                    yield "two ways to begin in a repeat"
            elif operator in (sre.MAX_REPEAT, sre.MIN_REPEAT):
                yield "a repeat in a repeat"

    def _matches(self, operator: Any, argument: Any, one: str) -> bool:
        if operator is sre.LITERAL:
            return argument == ord(one)
        if operator is sre.NOT_LITERAL:
            return argument != ord(one)
        if operator is sre.ANY:
            return one != "\n" or bool(self._flags & re.DOTALL)
        if operator is sre.RANGE:
            return argument[0] <= ord(one) <= argument[1]
        if operator is sre.CATEGORY:
            classes = {sre.CATEGORY_SPACE: r"\s", sre.CATEGORY_NOT_SPACE: r"\S", sre.CATEGORY_DIGIT: r"\d"}
            return re.fullmatch(classes[argument], one) is not None
        assert operator is sre.IN, operator
        negated = argument[0][0] is sre.NEGATE
        return any(self._matches(*item, one) for item in argument[negated:]) != negated


def patterns_of(module_name: str) -> Iterator[tuple[str, re.Pattern[str]]]:
    for name, value in vars(importlib.import_module(module_name)).items():
        # also _match = re.compile(...).fullmatch
        pattern = getattr(value, "__self__", value)
        if isinstance(pattern, re.Pattern):
            yield f"{module_name.removeprefix('ot_bridge.')}.{name}", pattern


MODULES = [
    *(f"{codecs.__name__}.{module.name}" for module in pkgutil.iter_modules(codecs.__path__)),
    *(
        f"ot_bridge.{name}"
        for name in ("cli.captured", "cli.explained", "explain", "explain.received", "explain.verdicts")
    ),
]
PATTERNS = dict(pattern for module in MODULES for pattern in patterns_of(module))


@pytest.mark.parametrize("pattern", [pytest.param(pattern, id=name) for name, pattern in PATTERNS.items()])
def test_pattern_cannot_take_quadratic_time(pattern: re.Pattern[str]) -> None:
    assert Shape(pattern).problems == []


def test_every_decoder_with_a_pattern_is_among_them() -> None:
    found = {name.rpartition(".")[0] for name in PATTERNS}
    assert {f"codecs.{name}" for name in ("b3", "baggage", "carrier", "id_headers", "jaeger", "tracecontext")} <= found
    for module in MODULES:
        source = Path(str(importlib.import_module(module).__file__)).read_text(encoding="utf-8")
        # A pattern that is compiled elsewhere is not seen.
        assert len(re.findall(r"\bre\.(?!compile|Match|DOTALL|MULTILINE)\w+", source)) == 0, module
        assert source.count("re.compile(") == sum(name.rpartition(".")[0] == module[10:] for name in PATTERNS), module


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        (r"(-[^\n]*)?[ \t]*", "a repeat can go on or end at '\\t '"),
        (r"-([^-\s]*)(?:-[^-\n]*)?[ \t]*", "a repeat can go on or end at '\\t '"),
        (r"(?:a+)+b", "a repeat in a repeat"),
        (r"(?:[ab]|ac)*d", "two ways to begin in a repeat"),
        (r"\s*\s", "a repeat can go on or end at"),
        (r"(?:a?)*b", "a repeat of something that can be empty"),
        (r".*x", "a repeat can go on or end at 'x'"),
    ],
)
def test_pattern_that_can_take_quadratic_time_is_seen(pattern: str, problem: str) -> None:
    assert any(one.startswith(problem) for one in Shape(re.compile(pattern)).problems)


@pytest.mark.parametrize(
    "pattern", [r"[ \t]*a[ \t]*", r"(?:[^'\\]|\\.)*'", r"a{0,9}a*b", r"(?:-([^-\s]*)(?:-[^-\n]*|[ \t]*)|[ \t]*)"]
)
def test_pattern_that_cannot_is_let_through(pattern: str) -> None:
    assert Shape(re.compile(pattern)).problems == []
