"""Names for the cases of a test."""

from __future__ import annotations

import re

__all__ = ["shown"]


def shown(value: object) -> str:
    """Return what a value looks like, without addresses: workers of pytest-xdist have to call a case the same."""
    return re.sub(r" at 0x[0-9a-f]+", "", ascii(value))
