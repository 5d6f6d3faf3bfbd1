"""Whole exported spans as plain dicts, so that a test can compare all of one."""

from __future__ import annotations

from ot_bridge.testing import as_dict

__all__ = ["as_dict"]
