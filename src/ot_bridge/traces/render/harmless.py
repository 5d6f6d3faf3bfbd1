"""Text from outside as a terminal may show it."""

from __future__ import annotations

__all__ = ["cut", "harmless"]

_LONG = 200  # characters


def harmless(text: str, encoding: str) -> str:
    """Return a text without control characters, and with what can be written in the encoding."""
    if not text.isprintable():
        text = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
    return text.encode(encoding, "backslashreplace").decode(encoding)


def cut(text: str, longest: int = _LONG) -> str:
    """Return a text, or its beginning with the number of characters that it has."""
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text)} characters)"
