"""A configuration as YAML, with comments: what the Collector and PyYAML both read as the same."""

from __future__ import annotations

import functools
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from ot_bridge.errors import ConfigError

__all__ = ["comment", "to_yaml"]

Path = tuple[str, ...]

_WIDTH: Final = 110
_INDENT: Final = "  "
# Versions 1.1 and 1.2 of YAML take other words for booleans and numbers: what is not surely text is quoted.
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*|[0-9]+(ms|s|m)")
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_FLOW_FROM: Final = 3


@functools.cache
def _dump() -> Callable[[Any], str]:
    """Return what writes a value on one line."""
    try:
        import yaml
    except ImportError:
        raise ConfigError("YAML needs the package PyYAML: python -m pip install 'ot-bridge[yaml]'") from None

    class Dumper(yaml.SafeDumper):
        """Quotes, and knows no anchors."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
        # The Collector expands ${...}, and makes one of two dollar signs.
        return dumper.represent_scalar("tag:yaml.org,2002:str", text.replace("$", "$$"), style=None if plain else '"')

    Dumper.add_representer(str, string)

    def dump(value: Any) -> str:
        return str(yaml.dump(value, Dumper=Dumper, default_flow_style=True, sort_keys=False, width=2**31))

    return dump


def to_yaml(configuration: Mapping[str, Any], comments: Mapping[Path, str], *, heading: Iterable[str] = ()) -> str:
    """Return the text.

    Args:
        configuration: mappings, lists and plain values.
        comments: by the path of keys before which each stands.
        heading: paragraphs of comment before all.

    Raises:
        ConfigError: PyYAML is not installed.
    """
    lines = [line for paragraph in heading for line in comment(paragraph)]
    lines += _block(configuration, (), comments)
    return "".join(f"{line}\n" for line in lines)


def comment(text: str, indent: str = "") -> list[str]:
    """Return a text as lines of comment: in ASCII, and each line break of its own kept."""
    shown = "".join(one if one == "\n" or " " <= one <= "~" else ascii(one)[1:-1] for one in text)
    width = _WIDTH - len(indent)
    lines = [part for line in shown.splitlines() for part in (_wrapped(line, width) or [""])]
    return [f"{indent}# {line}".rstrip() for line in lines]


def _wrapped(line: str, width: int) -> list[str]:
    # What is aligned, as a table is, stays as it is.
    if "   " in line:
        return [line]
    return textwrap.wrap(line, width - 2, break_long_words=False, break_on_hyphens=False)


def _block(value: Mapping[str, Any], path: Path, comments: Mapping[Path, str]) -> Iterator[str]:
    indent = _INDENT * len(path)
    for key, below in value.items():
        here = (*path, key)
        if here in comments:
            yield from comment(comments[here], indent)
        head = f"{indent}{_flow(key)}:"
        if isinstance(below, Mapping) and not _is_flow(below, here, comments):
            yield head
            yield from _block(below, here, comments)
        elif isinstance(below, list) and any(isinstance(item, Mapping) for item in below):
            yield head
            yield from (f"{indent}{_INDENT}- {_flow(item)}" for item in below)
        else:
            yield f"{head} {_flow(below)}"


def _is_flow(value: Mapping[str, Any], path: Path, comments: Mapping[Path, str]) -> bool:
    """Tell whether a mapping stands on one line: deep enough, short enough, and without comments in it."""
    commented = any(one[: len(path)] == path and len(one) > len(path) for one in comments)
    fits = len(_INDENT) * len(path) + len(path[-1]) + len(_flow(value)) < _WIDTH
    return not value or (len(path) >= _FLOW_FROM and not commented and fits)


def _flow(value: Any) -> str:
    return _dump()(value).removesuffix("...\n").rstrip("\n")
