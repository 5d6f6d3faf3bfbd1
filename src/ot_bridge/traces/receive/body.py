"""Stand-in."""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import Request

__all__ = ["BodyError", "Limits", "read_body"]


class Limits(NamedTuple):
    """How much is taken."""

    body_bytes: int = 64 << 20


class BodyError(Exception):
    """A body that is not taken."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


async def read_body(request: Request, limits: Limits) -> bytes:
    """Read."""
    body = await request.body()
    if len(body) > limits.body_bytes:
        raise BodyError(413, "too large")
    return body
