"""The pages for readers: links lead somewhere, code runs, names of settings, variables and counters are real."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ot_bridge import Settings, telemetry
from ot_bridge.config import OF_TOOLS, SETTINGS
from page_code import missing, programs_of

ROOT = Path(__file__).parent.parent
PAGES = {path.relative_to(ROOT).as_posix(): path for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))}
READ = {name: path.read_text(encoding="utf-8") for name, path in PAGES.items()}
LIMIT_S = 60
# What Flask-OpenTracing says when it is imported, to whom a page helps to do just that.
QUIET = ("-W", "ignore:This package is no longer supported")

CODE = [
    pytest.param(block, id=f"{name}-{number}")
    for name, text in sorted(READ.items())
    for number, block in enumerate(programs_of(text), 1)
]


def anchors(text: str) -> set[str]:
    """Return the anchors that a page's headings get."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", READ[name]):
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = (PAGES[name].parent / file).resolve() if file else PAGES[name]
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("block", CODE)
def test_code_runs(block: str, tmp_path: Path) -> None:
    lacking = missing(block)
    if lacking:
        pytest.skip(f"needs {lacking}: make compat")
    environ = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    done = subprocess.run(
        [sys.executable, *QUIET, "-c", block],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", PAGES)
def test_variables_of_the_bridge_are_real(name: str) -> None:
    known = {setting.env for setting in SETTINGS} | set(OF_TOOLS)
    named = set(re.findall(r"\bOT_BRIDGE_[A-Z_0-9]*[A-Z0-9]\b", READ[name]))
    assert sorted(named - known) == []


@pytest.mark.parametrize("name", PAGES)
def test_variables_of_opentelemetry_are_real(name: str) -> None:
    named = set(re.findall(r"\bOTEL_[A-Z_0-9]*[A-Z0-9]\b", READ[name]))
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src" / "ot_bridge").rglob("*.py"))
    # The code puts the names of these together: one for traces, one for all signals.
    unsplit = {re.sub(r"OTLP_(TRACES_)?", "OTLP_", variable) for variable in named}
    unsplit -= {"OTEL_PYTHON_LOG_CORRELATION"}  # an instrumentation's own; tests/worlds/test_page.py finds it there
    suffixes = {f"OTEL_EXPORTER_OTLP_{suffix}" for suffix in re.findall(r'_first_set\("([A-Z_]+)"\)', sources)}
    assert sorted(variable for variable in unsplit - suffixes if variable not in sources) == []


def test_settings_that_are_given_in_text_are_real() -> None:
    known = {field.name for field in dataclasses.fields(Settings)}
    calls = [call for text in READ.values() for call in re.findall(r"Settings(?:\.from_env)?\(([^)`]*)\)", text)]
    named = {field for call in calls for field in re.findall(r"(\w+)=", call)}
    assert named
    assert sorted(named - known) == []


def test_counters_that_are_named_for_operators_are_real() -> None:
    known = " ".join(telemetry.COUNTERS).replace("<format>", "jaeger").split()
    pages = READ["docs/operate.md"] + READ["docs/mixed-fleet.md"]
    named = set(re.findall(r"`((?:extract|inject|close|flush|start)\.[a-z_.]+)", pages))
    assert len(named) > 3
    assert sorted(name for name in named if not any(counter.startswith(name) for counter in known)) == []


# -- the demo as the README shows it -----------------------------------------------------------------------------------


def rows(text: str) -> list[str]:
    """Return the span rows of the demo's tree without what differs from run to run and from machine to machine."""
    found = [line for line in text.splitlines() if re.search(r"\d (us|ms|s)  ", line)]
    varies = r"[\d.]+ [mu]?s  |(?<=jaeger-client )\S+|(?<=ot_bridge )\S+|(?<=opentelemetry-python )\S+"
    return [" ".join(re.sub(varies, "", line).split()) for line in found]


def test_demo_is_as_the_readme_shows_it() -> None:
    command = [sys.executable, "-m", "ot_bridge.cli", "demo", "--no-node"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stdout
    (shown,) = re.findall(r"^```\n(A shop's .*?)^```$", READ["README.md"], flags=re.DOTALL | re.MULTILINE)
    assert rows(shown) == rows(done.stdout)


def test_every_knob_of_sampling_is_on_its_page() -> None:
    knobs = re.compile("sampler|late_sampling|debug_throttle|tail|meter|.*_budget|find_unfinished|flood_.*|redact.*")
    names = [setting.name for setting in SETTINGS if knobs.fullmatch(setting.name)]
    assert len(names) > 15
    assert [name for name in names if f"`{name}`" not in READ["docs/sampling.md"]] == []
