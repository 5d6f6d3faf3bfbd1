"""The page that explains each rule, in the words that stand beside its code."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ot_bridge.traces.analyse import RULES, Rule
from ot_bridge.traces.page.site import site

__all__ = ["ROUTES"]


class _Explained(NamedTuple):
    key: str
    title: str
    paragraphs: Sequence[str]


def _rules(request: Request) -> Response:
    return site(request).page(request, "rules.html", rules=[_explained(rule) for rule in RULES])


def _explained(rule: Rule) -> _Explained:
    text = inspect.getdoc(sys.modules.get(rule.find.__module__)) or inspect.getdoc(rule.find) or ""
    return _Explained(rule.key, rule.title, [" ".join(part.split()) for part in text.split("\n\n")])


ROUTES = (Route("/rules", _rules),)
