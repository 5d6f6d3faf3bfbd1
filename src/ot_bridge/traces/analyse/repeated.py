"""Calls that are made again and again (seeing.md 1.5). Pure."""

from __future__ import annotations

from ot_bridge.traces.analyse.runs import Run, sibling_runs

__all__ = ["Run", "sibling_runs"]
