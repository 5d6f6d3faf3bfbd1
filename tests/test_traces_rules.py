from __future__ import annotations

import re
from pathlib import Path

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
