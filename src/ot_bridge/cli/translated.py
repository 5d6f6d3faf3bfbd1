"""Prints a translation as a table: each old key, its value, and its new place or why it has none."""

from __future__ import annotations

from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ot_bridge.jaeger_config.printed import MASK, is_secret, shown_value
from ot_bridge.jaeger_config.result import DEFAULT, Row, Translation
from ot_bridge.traces.render.harmless import cut, harmless

__all__ = ["show", "why"]

_KEY_WIDTH: Final = 28
_VALUE_WIDTH: Final = 16
_LONG_VALUE: Final = 48
_STYLES: Final = {"carried": "green", "unused": "dim", "dropped": "bold red", "unknown": "bold red"}


def show(translation: Translation, console: Console) -> None:
    """Print the table and the number of keys that were lost."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1), expand=False)
    table.add_column("Old key", overflow="fold", max_width=_KEY_WIDTH)
    table.add_column("Value", overflow="fold", max_width=_VALUE_WIDTH)
    table.add_column("New place", overflow="fold")
    room = console.width - _KEY_WIDTH - _VALUE_WIDTH - 4
    for row in translation.rows:
        value = "(default)" if row.origin == DEFAULT else cut(shown_value(row), _LONG_VALUE)
        texts = (harmless(text, console.encoding) for text in (row.key, value))
        table.add_row(*map(Text, texts), _place(row, room, console.encoding))
    console.print(table)
    lost = len(translation.lost)
    console.print()
    if lost:
        console.print(f"{lost} of {_given(translation)} could not be carried.", style="bold red", markup=False)
    else:
        console.print("All that was given is carried.", markup=False)


def why(row: Row) -> str:
    """Return the words for a key that was not carried."""
    hint = f"; did you mean {row.closest}?" if row.closest else ""
    return f"dropped because {row.reason}{hint}"


def _given(translation: Translation) -> str:
    number = sum(row.origin != DEFAULT for row in translation.rows)
    return f"{number} keys" if number > 1 else "1 key"


def _place(row: Row, room: int, encoding: str) -> Text:
    text = Text()
    for name, value in row.places.items():
        shown = harmless(MASK if is_secret(row) else cut(value), encoding)
        # A name is not broken where its value would not fit behind it.
        together = len(name) + len(shown) < room
        text.append(f"{name}={'' if together else chr(10)}{shown}\n", _STYLES[row.outcome])
    words = why(row) if row.reason else row.note or ""
    if row.outcome == "unused":
        words = f"nothing to set: {words}"
    text.append(harmless(words, encoding), "" if row.outcome == "carried" else _STYLES[row.outcome])
    text.rstrip()
    return text
