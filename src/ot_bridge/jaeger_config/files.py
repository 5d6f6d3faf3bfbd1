"""The configuration out of a text: YAML, JSON or a Python literal, alone or as a section of something bigger."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from ot_bridge.environment import closest, one_of
from ot_bridge.errors import ConfigError
from ot_bridge.jaeger_config.keys import CONFIG_KEYS
from ot_bridge.jaeger_config.readers import as_text

__all__ = ["SYNTAXES", "decode", "likely_section", "load", "parse", "section_of"]

_DEEPEST: Final = 6


def load(path: str | os.PathLike[str], *, section: str | None = None, syntax: str | None = None) -> Mapping[Any, Any]:
    """Return the configuration that a file holds.

    Args:
        path: of a YAML or JSON file, or one with a Python literal.
        section: where in it, ``jaeger.config`` for the key config in the section jaeger; None for all of it.
        syntax: of :data:`SYNTAXES`; None to go by the file's name, and where that says nothing, by its text.

    Raises:
        ConfigError: it cannot be read, or holds no section of names and values.
    """
    name = os.fspath(path)
    try:
        text = decode(Path(name).read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(f"cannot read {name}: {reason}") from None
    by_name = {".json": "json", ".yaml": "yaml", ".yml": "yaml", ".py": "python"}.get(Path(name).suffix.lower())
    return parse(text, section=section, syntax=syntax or by_name, origin=name)


def decode(data: bytes) -> str:
    """Return the text of a file.

    Raises:
        ValueError: it is no text.
    """
    try:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no text in UTF-8 (byte {error.start})") from None


def parse(
    text: str, *, section: str | None = None, syntax: str | None = None, origin: str = "text"
) -> Mapping[Any, Any]:
    """Return the configuration that a text holds; the arguments are those of :func:`load`.

    Raises:
        ConfigError: it cannot be read, or holds no section of names and values.
    """
    if syntax is not None and syntax not in SYNTAXES:
        raise ConfigError(f"cannot use syntax: got {syntax!r} (argument), expected {one_of(SYNTAXES)}")
    if not text.strip():
        raise ConfigError(f"cannot read {origin}: it is empty")
    found = _read(text, [syntax] if syntax else _guess(text), origin)
    return section_of(found, section, origin)


def section_of(found: object, section: str | None, origin: str) -> Mapping[Any, Any]:
    """Return the section of what was read; one that is empty is a configuration without keys.

    Raises:
        ConfigError: there is none of that name, or it is none, or none was named and a part looks like one.
    """
    at: list[str] = []
    for part in section.split(".") if section else ():
        if not isinstance(found, Mapping):
            raise ConfigError(f"cannot read {origin}: {'.'.join(at)} is {_kind(found)}, and has no section {part!r}")
        names = {as_text(key): key for key in found}
        if part not in names:
            near = closest(part, names)
            hint = f"; did you mean {'.'.join([*at, near])!r}?" if near else ""
            raise ConfigError(f"cannot read {origin}: it has no section {'.'.join([*at, part])!r}{hint}")
        found = found[names[part]]
        at.append(part)
    if section is None and (likely := likely_section(found)) is not None:
        raise ConfigError(f"cannot read {origin}: no key of jaeger-client in it itself, but in section {likely!r}")
    if found is None and section:
        return {}
    if not isinstance(found, Mapping):
        where = f"section {section!r}" if section else "it"
        raise ConfigError(f"cannot read {origin}: {where} is {_kind(found)}, expected names and values")
    return found


def likely_section(found: object) -> str | None:
    """Return the name of the section that looks like a configuration; None where all of it does, or nothing."""
    queue: list[tuple[tuple[str, ...], object]] = [((), found)]
    for path, value in queue:
        if isinstance(value, Mapping) and len(path) < _DEEPEST:
            if any(as_text(key) in _TELLING for key in value):
                return ".".join(path) or None
            queue.extend(((*path, as_text(key)), below) for key, below in value.items())
    return None


def _read(text: str, syntaxes: list[str], origin: str) -> object:
    errors = []
    for syntax in syntaxes:
        try:
            return SYNTAXES[syntax](text)
        except ConfigError as error:  # noqa: PERF203  (three at most)
            raise ConfigError(f"cannot read {origin}: {error}") from None
        except Exception as error:
            # The parsers' words alone: what they quote of the text may be a password.
            errors.append(f"it is no {_NAMES[syntax]}: {_words(error)}")
    raise ConfigError(f"cannot read {origin}: {errors[-1]}")


def _guess(text: str) -> list[str]:
    # None and True are words of YAML, too, but mean text there: a Python literal is tried first.
    if re.match(r"\s*\w+\s*=\s*[{(]", text):
        return ["python"]
    return ["json", "python", "yaml"] if text.lstrip()[0] in "{[(" else ["yaml"]


def _python(text: str) -> object:
    tree = ast.parse(text.strip())
    if len(tree.body) != 1 or not isinstance(tree.body[0], ast.Expr | ast.Assign):
        raise ValueError("expected one dict, or name = dict")
    try:
        return ast.literal_eval(tree.body[0].value)
    except ValueError:
        name = next((ast.unparse(node) for node in ast.walk(tree.body[0].value) if _is_code(node)), "")
        raise ConfigError(f"{name[:60] or 'it'} is code, expected a literal: values only") from None


def _is_code(node: ast.AST) -> bool:
    return isinstance(node, ast.Call | ast.Name | ast.Attribute | ast.Subscript | ast.JoinedStr | ast.Lambda)


def _yaml(text: str) -> object:
    try:
        import yaml
    except ImportError:
        raise ConfigError("YAML needs the package PyYAML: python -m pip install 'ot-bridge[yaml]'") from None
    return yaml.safe_load(text)


def _json(text: str) -> object:
    return json.loads(text)


def _words(error: Exception) -> str:
    """Return what a parser found wrong, and where, without the text that it quotes."""
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f"{getattr(error, 'problem', None) or 'it cannot be parsed'} (line {mark.line + 1})"
    if isinstance(error, SyntaxError):
        return f"{error.msg} (line {error.lineno})"
    if isinstance(error, RecursionError | MemoryError):
        return "it is nested too deeply"
    return " ".join(str(error).split()) or type(error).__name__


def _kind(value: object) -> str:
    return "empty" if value is None else f"a {type(value).__name__}"


SYNTAXES: Final[Mapping[str, Callable[[str], object]]] = {"yaml": _yaml, "json": _json, "python": _python}
"""Name of a syntax -> what reads it."""

_NAMES: Final = {"yaml": "YAML", "json": "JSON", "python": "Python literal"}
# The keys that nothing else but a Jaeger configuration is likely to have.
_TELLING: Final = frozenset(name for name in CONFIG_KEYS if "." not in name) - {
    "enabled",
    "logging",
    "metrics",
    "propagation",
    "service_name",
    "tags",
}
