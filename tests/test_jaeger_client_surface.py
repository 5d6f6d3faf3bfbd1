"""What jaeger_client 4.8.0 has: the drop-in has it too, with the same call forms, or a row says why not."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from ot_bridge.autostart import redirect
from ot_bridge.not_carried import NOT_CARRIED, reason_for

OLD, NEW = "jaeger_client", "ot_bridge.jaeger_client"


def real_modules() -> dict[str, ModuleType]:
    """Return every module of the real package by its name below it, none where it cannot be imported."""
    try:
        package = importlib.import_module(OLD)
        found = pkgutil.walk_packages(package.__path__, f"{OLD}.")
        names = [OLD, *(info.name for info in found)]
        return {name.partition(".")[2]: importlib.import_module(name) for name in names}
    except ImportError:
        return {}


REAL = real_modules()
needs_the_real_one = pytest.mark.skipif(not REAL, reason="jaeger-client cannot be imported here")


def drop_in(name: str) -> ModuleType | None:
    """Return the drop-in's module, None where there is none."""
    try:
        return importlib.import_module(f"{NEW}.{name}".rstrip("."))
    except ModuleNotFoundError:
        return None


def is_theirs(value: object, module: ModuleType) -> bool:
    """Tell whether a name of a module is jaeger_client's own: no import of typing, tornado or thrift."""
    home = getattr(value, "__module__", None) if inspect.isclass(value) or inspect.isroutine(value) else None
    if home is None:
        return not inspect.ismodule(value) and not str(type(value).__module__).startswith("typing")
    return str(home).startswith(OLD)


def public(names: Any) -> list[str]:
    return sorted(name for name in names if not name.startswith("_"))


def assigned(module: ModuleType, cls: str) -> set[str]:
    """Return the attributes that a class assigns to its ``self``."""
    tree = ast.parse(inspect.getsource(module))
    bodies = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == cls]
    stores = [
        node
        for body in bodies
        for node in ast.walk(body)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    ]
    return {node.attr for node in stores if isinstance(node.value, ast.Name) and node.value.id == "self"}


def members(cls: type) -> set[str]:
    return {name for base in cls.__mro__ if base.__module__.startswith(OLD) for name in vars(base)}


def surface() -> Iterator[tuple[str, Any, Any]]:
    """Yield name, real object and drop-in's object (or the missing mark) of everything public."""
    for name, module in REAL.items():
        ours = drop_in(name)
        if ours is None:
            yield name, module, MISSING
            continue
        for key in public(vars(module)):
            value = getattr(module, key)
            if not is_theirs(value, module):
                continue
            path = f"{name}.{key}".lstrip(".")
            mine = getattr(ours, key, MISSING)
            yield path, value, mine
            if inspect.isclass(value) and value.__module__ == module.__name__ and mine is not MISSING:
                for member in public(members(value)):
                    yield f"{path}.{member}", getattr(value, member), getattr(mine, member, MISSING)


class _Missing:
    def __repr__(self) -> str:
        return "missing"


MISSING: Any = _Missing()


@needs_the_real_one
def test_every_public_name_is_there_or_has_a_row() -> None:
    found = list(surface())
    assert len(found) > 300
    assert [name for name, _, mine in found if mine is MISSING and not reason_for(name)] == []


@needs_the_real_one
def test_every_attribute_of_every_instance_is_there_or_has_a_row() -> None:
    pairs = dict(instances(NEW))
    missing = [
        f"{name}.{key}"
        for name, made in pairs.items()
        for key in public(assigned(REAL[name.partition(".")[0]], name.partition(".")[2]))
        if not hasattr(made, key) and not reason_for(f"{name}.{key}")
    ]
    assert missing == []


@needs_the_real_one
def test_every_class_that_assigns_attributes_is_tried() -> None:
    classes = {
        f"{name}.{key}"
        for name, module in REAL.items()
        if not name.startswith("thrift_gen")
        for key, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__ and public(assigned(module, key))
    }
    assert sorted(name for name in classes - dict(instances(NEW)).keys() if not reason_for(name)) == []


@needs_the_real_one
def test_every_row_stands_for_something_that_is_missing() -> None:
    missing = {name for name, _, mine in surface() if mine is MISSING}
    missing |= {
        f"{name}.{key}"
        for name, made in instances(NEW)
        for key in assigned(REAL[name.partition(".")[0]], name.partition(".")[2])
        if not hasattr(made, key)
    }
    held = {name: reason_for(name) for name in missing}
    rows = [row for row in NOT_CARRIED if "derived" not in row.name]
    assert [row.name for row in rows if f": {row.reason}; {row.instead}" not in held.values()] == []


@needs_the_real_one
def test_constants_have_the_same_values() -> None:
    plain = (bool, int, float, str, tuple, type(None))
    differing = {
        name: (value, mine)
        for name, value, mine in surface()
        if mine is not MISSING and type(value) in plain and value != mine
    }
    assert differing == {}


def call_forms(signature: inspect.Signature) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    """Yield arguments in every way that a signature takes them: all by position, all by name, the needed ones alone."""
    named = [one for one in signature.parameters.values() if one.kind is one.POSITIONAL_OR_KEYWORD]
    needed = [one for one in named if one.default is one.empty]
    rest = any(one.kind is one.VAR_POSITIONAL for one in signature.parameters.values())
    yield [0] * len(named) + [0, 0] * rest, {}
    yield [], {one.name: 0 for one in named}
    yield [0] * len(needed), {}
    yield [0] * len(needed), {one.name: 0 for one in named[len(needed) :]}


def signature_of(value: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(value)
    except (TypeError, ValueError):
        return None


@needs_the_real_one
def test_every_call_form_is_taken() -> None:
    refused = []
    tried = 0
    for name, value, mine in surface():
        theirs, ours = signature_of(value), signature_of(mine)
        if mine is MISSING or theirs is None or ours is None or name.startswith("thrift_gen.jaeger.ttypes.TagType"):
            continue
        for positional, keywords in call_forms(theirs):
            tried += 1
            try:
                ours.bind(*positional, **keywords)
            except TypeError as error:
                refused.append((name, positional, sorted(keywords), str(error)))
    assert tried > 500
    assert refused == []


@needs_the_real_one
def test_defaults_are_the_same_apart_from_those_that_say_not_set() -> None:
    # None stands for "not set" where the real default is a limit of jaeger-client's own: OpenTelemetry's counts then.
    unset = {
        "Tracer": {"max_tag_value_length", "max_traceback_length"},
        "Reporter": {"queue_capacity", "batch_size", "flush_interval"},
    }
    differing = []
    for name, value, mine in surface():
        theirs, ours = signature_of(value), signature_of(mine)
        if mine is MISSING or theirs is None or ours is None:
            continue
        for key, parameter in theirs.parameters.items():
            found = ours.parameters.get(key)
            if parameter.default is parameter.empty or found is None or key in unset.get(name.split(".")[-1], ()):
                continue
            if found.default != parameter.default:
                differing.append((name, key, parameter.default, found.default))
    assert differing == []


def instances(base: str) -> Iterator[tuple[str, Any]]:
    """Yield one instance of every class that keeps attributes, by its name below the package."""

    def module(name: str) -> Any:
        return importlib.import_module(f"{base}.{name}")

    agent, metrics = module("local_agent_net"), module("metrics.metrics")
    sampler, reporter = module("sampler"), module("reporter")
    channel = agent.LocalAgentSender("127.0.0.1", 5778, 6831, throttling_port=5778)
    tracer = module("tracer").Tracer("svc", reporter.InMemoryReporter(), sampler.ConstSampler(True))
    factory = metrics.MetricsFactory()
    span = tracer.start_span("op")
    made = {
        "codecs.TextCodec": module("codecs").TextCodec(),
        "codecs.B3Codec": module("codecs").B3Codec(),
        "config.Config": module("config").Config({}, service_name="svc"),
        "local_agent_net.LocalAgentHTTP": agent.LocalAgentHTTP("127.0.0.1", 5778),
        "local_agent_net.LocalAgentSender": channel,
        "rate_limiter.RateLimiter": module("rate_limiter").RateLimiter(1, 1),
        "reporter.InMemoryReporter": reporter.InMemoryReporter(),
        "reporter.LoggingReporter": reporter.LoggingReporter(),
        "reporter.Reporter": reporter.Reporter(channel),
        "reporter.ReporterMetrics": reporter.ReporterMetrics(factory),
        "reporter.CompositeReporter": reporter.CompositeReporter(),
        "sampler.ConstSampler": sampler.ConstSampler(True),
        "sampler.ProbabilisticSampler": sampler.ProbabilisticSampler(0.5),
        "sampler.RateLimitingSampler": sampler.RateLimitingSampler(1),
        "sampler.GuaranteedThroughputProbabilisticSampler": sampler.GuaranteedThroughputProbabilisticSampler("a", 1, 1),
        "sampler.AdaptiveSampler": sampler.AdaptiveSampler({}, 10),
        "sampler.RemoteControlledSampler": sampler.RemoteControlledSampler(channel, "svc"),
        "sampler.SamplerMetrics": sampler.SamplerMetrics(factory),
        "span.Span": span,
        "span_context.SpanContext": span.context,
        "throttler.RemoteThrottler": module("throttler").RemoteThrottler(channel, "svc"),
        "throttler.ThrottlerMetrics": module("throttler").ThrottlerMetrics(factory),
        "tracer.Tracer": tracer,
        "tracer.TracerMetrics": module("tracer").TracerMetrics(factory),
        "utils.ErrorReporter": module("utils").ErrorReporter(None),
    }
    try:
        yield from made.items()
    finally:
        for name in ("reporter.Reporter", "sampler.RemoteControlledSampler", "throttler.RemoteThrottler"):
            made[name].close()


# -- the rows are said where they are met ------------------------------------------------------------------------------


def rows_of_modules() -> list[str]:
    return [row.name for row in NOT_CARRIED if row.name == "TUDPTransport" or row.name.startswith("thrift_gen.")]


@pytest.mark.parametrize("name", [name for name in rows_of_modules() if "*" not in name])
def test_missing_module_says_what_to_do(name: str) -> None:
    undo = redirect.arm()
    try:
        with pytest.raises(ModuleNotFoundError) as raised:
            importlib.import_module(f"{OLD}.{name}")
    finally:
        undo()
    (row,) = [row for row in NOT_CARRIED if row.name == name]
    assert str(raised.value) == (
        f"No module named '{OLD}.{name}': under ot_bridge jaeger_client is {NEW}, which has no such module: "
        f"{row.reason}; {row.instead}"
    )


def test_module_below_a_missing_one_says_what_to_do() -> None:
    undo = redirect.arm()
    try:
        with pytest.raises(ModuleNotFoundError, match="nothing of Thrift or UDP is needed; remove the import"):
            importlib.import_module(f"{OLD}.thrift_gen.agent.Agent")
        with pytest.raises(ModuleNotFoundError, match="remove the import, or start this program without ot_bridge"):
            importlib.import_module(f"{OLD}.nothing_like_this")
    finally:
        undo()


def test_thrift_structure_that_is_to_be_written_says_what_to_do() -> None:
    from ot_bridge.jaeger_client.thrift_gen.jaeger.ttypes import Batch, Tag

    with pytest.raises(AttributeError, match=r"'Batch' object has no attribute 'write': nothing is serialised"):
        Batch().write(None)
    with pytest.raises(AttributeError, match=r"'Tag' object has no attribute 'colour'$"):
        Tag().colour  # noqa: B018
    assert not hasattr(Tag(), "thrift_spec")


def test_class_derived_from_span_says_what_to_do() -> None:
    from ot_bridge.jaeger_client import Span

    class Mine(Span):
        pass

    with pytest.raises(TypeError, match=r"cannot build a .*Mine: .*: the tracer makes its spans itself"):
        Mine()


def test_drop_in_needs_none_of_what_the_real_one_needs() -> None:
    import subprocess

    code = (
        "import sys, importlib, pkgutil\n"
        f"import {NEW} as package\n"
        "for info in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "    if not info.name.endswith('prometheus'):\n"
        "        importlib.import_module(info.name)\n"
        "theirs = {'jaeger_client', 'thrift', 'tornado', 'threadloop', 'six', 'prometheus_client'}\n"
        "print(sorted(theirs & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
