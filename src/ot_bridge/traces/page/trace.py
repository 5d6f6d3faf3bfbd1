"""One trace."""

from __future__ import annotations

from starlette.routing import Route

__all__ = ["ROUTES"]

ROUTES: tuple[Route, ...] = ()
