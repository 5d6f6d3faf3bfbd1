"""How much is kept."""

from __future__ import annotations

from dataclasses import dataclass

from ot_bridge.traces.store.errors import StoreError

__all__ = ["Retention"]


@dataclass(frozen=True)
class Retention:
    """What is kept at most; the traces that came first go first, each whole.

    Attributes:
        max_spans: number of spans.
        max_bytes: size of the database without its log, which has up to 64 MiB beside it, and without the pages that
            are free for new spans.
        max_age_s: seconds since the first span of a trace arrived.
    """

    max_spans: int = 1_000_000
    max_bytes: int = 2 << 30
    max_age_s: float = 7 * 86_400.0

    def __post_init__(self) -> None:
        for name in ("max_spans", "max_bytes", "max_age_s"):
            if (value := getattr(self, name)) <= 0:
                raise StoreError(f"cannot keep spans with {name}={value}: expected a number above 0")
