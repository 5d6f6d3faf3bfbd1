"""A regular expression that is compiled when it is first used: most processes never use most of them."""

from __future__ import annotations

import re
from typing import Any, cast

__all__ = ["late_pattern"]


def late_pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    """Return what can be used as ``re.compile(text, flags)``, and is as fast from the second use on."""
    return cast("re.Pattern[str]", _Late(text, flags))


class _Late:
    __class__ = re.Pattern  # type: ignore[assignment]  # what isinstance looks at

    def __init__(self, text: str, flags: int) -> None:
        self._given = text, flags

    def __getattr__(self, name: str) -> Any:
        # re keeps what it has compiled; the method is kept here, in front of this one.
        found = getattr(re.compile(*self._given), name)
        self.__dict__[name] = found
        return found
