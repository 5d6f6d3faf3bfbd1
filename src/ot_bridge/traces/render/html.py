"""A trace as one HTML file. The page offers it too, and siblings do not import each other: it is made in `picture/`."""

from __future__ import annotations

from ot_bridge.traces.picture.file import html_report

__all__ = ["html_report"]
