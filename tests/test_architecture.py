"""The house: which module may import which, what the door shows, what the package needs."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

import ot_bridge

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "ot_bridge"
MODULES = sorted(SOURCE.rglob("*.py"))

# The tools have dependencies of their own, and start servers and exporters.
TOOLS = ("cli", "demo", "matrix", "traces")
# Imported by opentelemetry-instrument alone, which brings what it needs; by each Python under `ot-bridge run`.
FOR_OTHERS = ("instrumentor", "sitecustomize")
PURE = (
    "codecs",
    "config",
    "conventions",
    "environment",
    "errors",
    "jaeger_config",
    "semconv",
    "telemetry",
    "values",
    "version",
)
CORE_PACKAGES = {"opentracing", "opentelemetry", "grpc"}
OPTIONAL_PACKAGES = {"prometheus_client", "pytest", "yaml"}


def part_of(module: Path) -> str:
    """Return the name of the layer that a module belongs to."""
    return module.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports_of(module: Path) -> Iterator[str]:
    """Yield the dotted name of every module that is imported, at the top or in a function."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_imports_go_downwards() -> None:
    # In a process of its own: it configures logging, which disables the loggers that are there.
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_otlp_imports_exporters() -> None:
    importing = {
        part_of(module)
        for module in MODULES
        for name in imports_of(module)
        if name.startswith(("opentelemetry.exporter", "grpc", "requests"))
    }
    # traces receives by gRPC, and asks backends.
    assert importing - {*TOOLS, "traces"} == {"otlp"}


def test_traces_never_touches_the_runtime() -> None:
    allowed = ("ot_bridge.errors", "ot_bridge.traces", "ot_bridge.version")
    found = {
        name
        for module in MODULES
        if part_of(module) == "traces"
        for name in imports_of(module)
        if name.startswith(("ot_bridge", "opentracing", "opentelemetry.sdk", "opentelemetry.exporter"))
        and not name.startswith(allowed)
    }
    assert found == set()


def test_exporters_are_imported_where_they_are_chosen() -> None:
    loaded = (
        "import sys, ot_bridge.export, ot_bridge.otlp.encoder; print({'grpc', 'requests', 'google'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("name", PURE)
def test_pure_module_knows_no_sdk(name: str) -> None:
    modules = [module for module in MODULES if part_of(module) == name]
    names = {name for module in modules for name in imports_of(module)}
    assert modules
    assert {name for name in names if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))} == set()


def test_core_needs_its_declared_packages_and_nothing_else() -> None:
    third_party = {
        name.partition(".")[0]
        for module in MODULES
        if part_of(module) not in (*TOOLS, "traces")
        for name in imports_of(module)
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "ot_bridge", "__future__", "sitecustomize"}
    }
    declared = {
        re.split(r"[^\w-]", requirement, maxsplit=1)[0]
        for requirement in metadata.requires("ot-bridge") or ()
        if "extra ==" not in requirement
    }
    # Prometheus is imported by who imports the factory for it, YAML where a file of it is read, pytest by its plugin.
    assert third_party <= CORE_PACKAGES | OPTIONAL_PACKAGES
    assert {module.stem for module in MODULES if "prometheus_client" in imports_of(module)} == {"prometheus"}
    assert {module.stem for module in MODULES if "pytest" in imports_of(module)} == {"pytest_plugin"}
    assert declared == {"opentracing", "opentelemetry-api", "opentelemetry-sdk", "opentelemetry-exporter-otlp"}


def test_door_is_sorted_and_complete() -> None:
    for name in (*ot_bridge.__all__, "telemetry"):
        getattr(ot_bridge, name)
    public = {
        name for name, value in vars(ot_bridge).items() if getattr(value, "__module__", "").startswith("ot_bridge.")
    }
    assert ot_bridge.__all__ == sorted(ot_bridge.__all__)
    assert set(ot_bridge.__all__) == public | {"__version__"}
    assert {"telemetry"} <= set(vars(ot_bridge))


def test_door_is_empty_until_somebody_asks() -> None:
    program = (
        "import sys, ot_bridge\n"
        "ours = 'ot_bridge', 'opentracing', 'opentelemetry'\n"
        "print(*sorted(name for name in sys.modules if name.startswith(ours)))\n"
        "print(ot_bridge.telemetry.__name__, set(ot_bridge.__all__) | {'telemetry'} <= set(dir(ot_bridge)))\n"
        "print(hasattr(ot_bridge, 'nothing'), hasattr(ot_bridge, '__nothing__'), ot_bridge.bootstrap.__name__)\n"
        "from ot_bridge import *\n"
        "print(install.__module__, ot_bridge.install is install)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.splitlines() == [
        "ot_bridge",
        "ot_bridge.telemetry True",
        "False False ot_bridge.bootstrap",
        "ot_bridge.bootstrap True",
    ]


@pytest.mark.parametrize(
    "module",
    [module for module in MODULES if part_of(module) not in TOOLS and module.stem not in FOR_OTHERS],
    ids=part_of,
)
def test_every_name_in_all_exists(module: Path) -> None:
    dotted = ".".join(module.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")
    imported = importlib.import_module(dotted)
    assert [name for name in getattr(imported, "__all__", []) if not hasattr(imported, name)] == []


def test_version_is_the_package_s() -> None:
    assert ot_bridge.__version__ == metadata.version("ot-bridge")


@pytest.mark.parametrize(
    ("group", "name"),
    [("console_scripts", "ot-bridge"), ("opentelemetry_propagator", "ot_bridge"), ("pytest11", "ot_bridge")],
)
def test_entry_point_loads(group: str, name: str) -> None:
    (found,) = metadata.entry_points(group=group, name=name)
    assert found.load() is not None


def test_package_is_typed() -> None:
    assert (SOURCE / "py.typed").read_bytes() == b""


def test_no_module_is_a_bag() -> None:
    # The drop-in's modules have the names of those that they stand in for.
    own = [module for module in MODULES if part_of(module) != "jaeger_client"]
    assert [module for module in own if module.stem in ("util", "utils", "helper", "helpers", "common", "misc")] == []


def test_importing_the_package_loads_no_exporter_and_no_tool() -> None:
    program = "import sys, ot_bridge; print(*sorted(name for name in sys.modules))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    loaded = run.stdout.split()
    unwanted = (
        "grpc",
        "requests",
        "google.protobuf",
        "click",
        "rich",
        "yaml",
        "flask",
        "opentelemetry.exporter",
        "ot_bridge.cli",
        "ot_bridge.jaeger_config",
    )
    assert [name for name in loaded if name.startswith(unwanted)] == []


# What only some settings, or mistakes, ask for.
NOT_AT_START = (
    "ot_bridge.cli", "ot_bridge.codecs.b3", "ot_bridge.codecs.id_headers", "ot_bridge.codecs.ottrace",
    "ot_bridge.collector", "ot_bridge.deferred", "ot_bridge.demo", "ot_bridge.explain", "ot_bridge.instrumentor",
    "ot_bridge.jaeger_client", "ot_bridge.jaeger_config", "ot_bridge.matrix", "ot_bridge.meter", "ot_bridge.otlp.grpc",
    "ot_bridge.pytest_plugin", "ot_bridge.redaction.patterns", "ot_bridge.sampler_specs", "ot_bridge.sampling",
    "ot_bridge.shedding", "ot_bridge.tail_specs", "ot_bridge.testing", "ot_bridge.watch", "ot_bridge.watching",
)  # fmt: skip
SDK_IMPORTED = "from opentelemetry.sdk.trace import TracerProvider; from opentelemetry.sdk.trace.export import *"
SDK_READY = f"""{SDK_IMPORTED}
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract, inject
TracerProvider().add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
"""
# Of the standard library; newer SDKs have imported some of them already.
SMALL = {"_struct", "copy", "dataclasses", "struct"}
# The short way out: nothing is sent, to nobody.
END = "\nimport os, sys; print(*sys.modules, flush=True); os._exit(0)"


def modules_after(program: str) -> set[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OT_BRIDGE_"))}
    command = [sys.executable, "-c", program + END]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=clean)
    return set(run.stdout.split())


@pytest.mark.parametrize(
    ("program", "sdk"),
    [
        pytest.param("from ot_bridge import BridgeTracer, Settings, install", SDK_IMPORTED, id="imported"),
        pytest.param("from ot_bridge import install; install('checkout')", SDK_READY, id="installed"),
    ],
)
def test_start_loads_nothing_that_it_does_not_use(program: str, sdk: str) -> None:
    loaded = modules_after(program) - modules_after(sdk)
    parts = {part for part in NOT_AT_START for name in loaded if name == part or name.startswith(f"{part}.")}
    others = {name.partition(".")[0] for name in loaded}
    assert (parts, others - SMALL - {"opentelemetry"}) == (set(), {"ot_bridge", "opentracing"})
    assert {name for name in loaded if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))} == set()
