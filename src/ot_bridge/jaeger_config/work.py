"""A translation on its way: what was given, what has been found, and the one place where rows are added."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ot_bridge.environment import VARIABLE, read
from ot_bridge.jaeger_config.addresses import OTLP_ENDPOINTS
from ot_bridge.jaeger_config.given import Given, as_mapping, flatten, variables
from ot_bridge.jaeger_config.keys import ENV_KEYS
from ot_bridge.jaeger_config.readers import Read
from ot_bridge.jaeger_config.result import ARGUMENT, CONFIG, DEFAULT, VARIABLE_PREFIX, Row, setting_text

__all__ = ["Work", "default", "wins"]

_PORT: Final = "local_agent.reporting_port"
_ORIGINS: Final = (CONFIG, ARGUMENT, VARIABLE, DEFAULT)
# Which variables decide what a place would say, beside the variable that is the place itself.
_ALSO: Final[Mapping[str, tuple[str, ...]]] = {
    "OT_BRIDGE_EXTRACT": ("OTEL_PROPAGATORS",),
    "OT_BRIDGE_INJECT": ("OTEL_PROPAGATORS",),
    "OT_BRIDGE_SAMPLER": ("OTEL_TRACES_SAMPLER",),
    OTLP_ENDPOINTS[1]: OTLP_ENDPOINTS[:1],
}


class Work:
    """What the parts of a translation share.

    Args:
        config: the dict.
        environ: the variables.
        jaeger_env: which of the ``JAEGER_*`` variables are read.
    """

    def __init__(self, config: object, environ: Mapping[str, str], jaeger_env: str) -> None:
        self.environ, self.jaeger_env = environ, jaeger_env
        self.rows: list[Row] = []
        self.settings: dict[str, Any] = {}
        self.otel: dict[str, str] = {}
        self.given: dict[str, Given] = {}
        """Key of the dict -> who gave it, the dict or a variable that stands for it."""
        self.variables: dict[str, Given] = {}
        """The variables that stand for no key, or that are not weaker than it."""
        self._order: dict[str, int] = {}
        for one in (*flatten(as_mapping(config)), *variables(environ, jaeger_env)):
            self._order.setdefault(one.key, len(self._order))
            self._add(one)

    def _add(self, one: Given | Row) -> None:
        if isinstance(one, Row):
            self.rows.append(one)
        elif one.origin == CONFIG:
            self.given[one.key] = one
        else:
            stands_for = ENV_KEYS[one.key].stands_for
            if stands_for is None or stands_for == "tags":
                self.variables[one.key] = one
            elif stands_for in self.given and not self._falls_back(stands_for, one):
                self.unused(one, f"the configuration has {stands_for}, which wins")
            else:
                self.given[stands_for] = one

    def _falls_back(self, key: str, variable: Given) -> bool:
        """Say whether the dict's value is a port that is none: then the variable is asked, before the default is."""
        given = self.given[key]
        if key != _PORT or given.taken().dropped is None:
            return False
        self.dropped(given, f"it is no port; {variable.key} is asked, as jaeger-client falls back without a word")
        return True

    def in_order(self) -> tuple[Row, ...]:
        """Return the rows in the order in which their keys were given; the defaults, which nobody gave, last."""

        def place(row: Row) -> tuple[int, int]:
            whole = next((key for key in (row.key, *re.split("[.:]", row.key)[:1]) if key in self._order), "")
            return _ORIGINS.index(row.origin), self._order.get(whole, 0)

        return tuple(sorted(self.rows, key=place))

    def winner(self, place: str) -> str | None:
        """Name the variable that is set and decides what ``place`` would say."""
        return next((name for name in (*_ALSO.get(place, ()), place) if read(name, self.environ)), None)

    def taken(self, given: Given) -> Any:
        """Return what a value counts as, None where it counts for nothing; then its row is added."""
        value, _, dropped = given.taken()
        if dropped:
            self.dropped(given, dropped)
            return None
        return value

    def carry(
        self,
        given: Given,
        *,
        settings: Mapping[str, Any] | None = None,
        otel: Mapping[str, str] | None = None,
        note: str | None = None,
    ) -> None:
        """Add values and their row; a place that a variable decides already is left to it."""
        wanted: list[tuple[str, dict[str, Any], str, Any]] = [
            (VARIABLE_PREFIX + field.upper(), self.settings, field, value) for field, value in (settings or {}).items()
        ]
        wanted.extend((name, self.otel, name, text) for name, text in (otel or {}).items())
        places: dict[str, str] = {}
        notes = [note]
        for place, store, name, value in wanted:
            winner = self.winner(place)
            if winner is None:
                store[name] = value
                places[place] = setting_text(value)
            else:
                notes.append(wins(winner, self.environ))
        self.placed(given, places, "; ".join(dict.fromkeys(filter(None, notes))) or None)

    def placed(self, given: Given, places: Mapping[str, str], note: str | None = None) -> None:
        """Add the row of a value that goes to these places, if any."""
        self.rows.append(given.row("carried" if places else "unused", places=places, note=note))

    def unused(self, given: Given, note: str | None) -> None:
        """Add the row of a value that there is no need to carry."""
        self.rows.append(given.row("unused", note=note))

    def dropped(self, given: Given, reason: str) -> None:
        """Add the row of a value that cannot be carried."""
        self.rows.append(given.row("dropped", reason=reason))

    def leave(self, key: str) -> None:
        """Add the row of a key that goes nowhere."""
        given = self.given.get(key)
        if given is not None:
            self.dropped(given, "; ".join(filter(None, (given.taken().dropped, given.dropped))))

    def number(self, key: str, otherwise: int) -> int:
        """Return a number that is a part of something else, whose row is added elsewhere."""
        given = self.given.get(key)
        return otherwise if given is None else int(given.taken().value)


def default(key: str) -> Given:
    """Return what stands for a key that nobody gave, where jaeger-client's default is carried."""
    return Given(key, None, DEFAULT, Read)


def wins(winner: str, environ: Mapping[str, str]) -> str:
    """Say that a variable decides."""
    return f"{winner}={read(winner, environ)} is set and wins"
