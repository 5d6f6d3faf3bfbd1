from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from ot_bridge.traces.analyse import RULES

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "analyse.md").read_text(encoding="utf-8")
SOURCES = ROOT / "src" / "ot_bridge" / "traces" / "analyse"


def section(key: str) -> str:
    return PAGE.partition(f"\n## {key}\n")[2].partition("\n## ")[0]


def test_each_rule_has_a_section_with_its_limits() -> None:
    assert [rule.key for rule in RULES if "known false results" not in section(rule.key)] == []


def test_no_two_rules_have_one_key() -> None:
    keys = [rule.key for rule in RULES]
    assert sorted(set(keys)) == sorted(keys)


def test_each_verdict_of_a_cut_trace_is_in_its_table() -> None:
    verdicts = re.findall(
        r'"((?:[a-z]+-)+[a-z]+|cycle|resent|dropped)"', (SOURCES / "cut.py").read_text(encoding="utf-8")
    )
    listed = set(re.findall(r"^\| `([a-z-]+)` \|", section("cut-trace"), flags=re.MULTILINE))
    assert set(verdicts) - {"cut-trace", "uber-trace-id"} == listed


def test_each_verdict_of_an_error_is_in_its_table() -> None:
    verdicts = re.findall(
        r'"((?:[a-z]+-)+[a-z]+|cut|handled|retried|consequence)"', (SOURCES / "error_origin.py").read_text()
    )
    listed = set(re.findall(r"^\| `([a-z-]+)` \|", section("error-origin"), flags=re.MULTILINE))
    assert set(verdicts) - {"error-origin"} == listed


TIMED = ("critical_path", "where_time_went", "repeated", "consecutive", "unexplained", "retries", "timeouts", "floods")


@pytest.mark.parametrize("name", TIMED)
def test_each_threshold_of_a_rule_about_time_is_on_the_page_with_its_value(name: str) -> None:
    module = importlib.import_module(f"ot_bridge.traces.analyse.{name}")
    source = (SOURCES / f"{name}.py").read_text(encoding="utf-8")
    own = [one for one in re.findall(r"^([A-Z][A-Z_]+) = ", source, flags=re.MULTILINE) if not one.startswith("MAX_")]
    values = {one: float(getattr(module, one)) for one in own if one != "KEY"}
    rows = re.findall(rf"^\| `{name}\.([A-Z_]+)` \| ([\d.]+) \| .+ \|$", PAGE, flags=re.MULTILINE)
    listed = {one: float(value) for one, value in rows}
    assert {one: listed.get(one) for one in values} == values
    assert set(listed) <= set(values)


VERDICTS = [
    ("repeated-calls", "repeated.py"),
    ("could-be-parallel", "consecutive.py"),
    ("unexplained-time", "unexplained.py"),
    ("timeouts-and-retries", "retries.py"),
]


@pytest.mark.parametrize(("key", "file"), VERDICTS, ids=[key for key, _ in VERDICTS])
def test_each_verdict_of_a_rule_about_time_is_in_its_table(key: str, file: str) -> None:
    source = (SOURCES / file).read_text(encoding="utf-8")
    table = section(key).partition("| verdict |")[2].partition("\n\n")[0]
    listed = set(re.findall(r"`([^`]+)`", "".join(row.split("|")[1] for row in table.splitlines()[2:])))
    assert [one for one in sorted(listed - {"more"}) if f'"{one}"' not in source] == []
    assert listed
