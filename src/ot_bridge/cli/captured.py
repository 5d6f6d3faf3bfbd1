"""Requests out of what people have at hand: header lines, ``curl -v``, a ``curl`` command, a HAR file.

Nothing here is printed that a request holds, not even in errors: it may be a password.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

__all__ = ["Request", "UnreadableError", "decoded", "header_of", "requests_in"]

Header = tuple[str, str]

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 7230, section 3.2.6
_REQUEST_LINE: Final = re.compile(r"[A-Z]+ \S+ HTTP/[0-9.]+")
_OWS: Final = " \t"
_COMMAND: Final = re.compile(r"(?:\$ +)?curl(?:\.exe)?\s")
_DUMP_LINE: Final = re.compile(r"^[<>*] ", re.MULTILINE)
_CARET: Final = re.compile(r"\^(\r?\n|.)")
_IN_QUOTES: Final = re.compile(r"\\(\n|[\\\"$`])")

# What a shell takes as one piece of a word; then an operator between commands.
_PIECE: Final = re.compile(
    r"\$'(?P<ansi>(?:[^'\\]|\\.)*)'|'(?P<single>[^']*)'|\"(?P<double>(?:[^\"\\]|\\.)*)\"|\\(?P<escaped>.)"
    r"|(?P<plain>[^\s'\"\\$;&|]+|\$)|(?P<space>\s+)|(?P<operator>[;&|]+)",
    re.DOTALL,
)
_ANSI: Final = re.compile(r"\\(?:u([0-9a-fA-F]{1,4})|x([0-9a-fA-F]{1,2})|(.))", re.DOTALL)
_ANSI_LETTERS: Final = {"n": "\n", "r": "\r", "t": "\t"}
# Options of curl that take the next word, beside -H: what follows them is no header.
_SHORT_WITH_VALUE: Final = frozenset("AbcCdDeEFhKmoPQrtTuUwxXyYz")
_LONG_WITH_VALUE: Final = frozenset(
    {
        "cacert", "cert", "connect-timeout", "connect-to", "cookie", "cookie-jar", "data", "data-ascii",
        "data-binary", "data-raw", "data-urlencode", "form", "form-string", "json", "key", "max-time", "output",
        "oauth2-bearer", "proxy", "proxy-header", "proxy-user", "referer", "request", "resolve", "retry",
        "upload-file", "url", "user", "user-agent", "write-out",
    }
)  # fmt: skip


class Request(NamedTuple):
    """One request."""

    label: str | None
    """Method and address without its query, None when they are not known."""
    headers: tuple[Header, ...]


class UnreadableError(Exception):
    """The text is none of the kinds of input, or holds no request."""


def decoded(data: bytes) -> str:
    """Return the text of a file or pipe: UTF-8, or UTF-16 as PowerShell writes it."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8-sig", "replace")


def header_of(line: str) -> Header | None:
    """Return the name and the value of ``name: value``, None when it is not that."""
    name, colon, value = line.strip().partition(":")
    name = name.rstrip(_OWS)
    return (name, value.strip(_OWS)) if colon and _NAME.fullmatch(name) else None


def requests_in(text: str) -> list[Request]:
    """Return the requests of a text, whichever kind it is of.

    Raises:
        UnreadableError: it is of no kind, or there is no request in it.
    """
    stripped = text.lstrip("\ufeff \t\r\n")
    if stripped.startswith(("{", "[")):
        found = list(_of_har(stripped))
    elif _COMMAND.match(stripped):
        found = list(_of_commands(stripped))
    elif _DUMP_LINE.search(stripped):
        found = list(_of_dump(stripped.split("\n")))
    else:
        found = list(_of_lines(stripped.split("\n")))
    if not found:
        raise UnreadableError("there is no request header in it")
    return found


def _of_lines(lines: Iterable[str]) -> Iterator[Request]:
    """Read header lines, with or without the request line and the body that a raw request has."""
    headers: list[Header] = []
    label = None
    for number, line in enumerate(lines, 1):
        header = header_of(line)
        if _REQUEST_LINE.fullmatch(line.strip()) and not headers:
            label = _label(*line.split()[:2])
        elif header is not None:
            headers.append(header)
        elif not line.strip():
            if label is not None and headers:
                break
        elif not line.startswith(":"):  # a browser's :authority and :path
            raise UnreadableError(
                f"line {number} is not 'name: value'; expected header lines, the output of curl -v, a curl command or "
                "a HAR file"
            )
    if headers:
        yield Request(label, tuple(headers))


def _of_dump(lines: Iterable[str]) -> Iterator[Request]:
    """Read what ``curl -v`` writes: ``> `` before each line of a request."""
    label: str | None = None
    headers: list[Header] = []
    for line in lines:
        if not line.startswith(">"):
            continue
        sent = line[1:].strip()
        if _REQUEST_LINE.fullmatch(sent):
            if headers:
                yield Request(label, tuple(headers))
            label, headers = _label(*sent.split()[:2]), []
        elif header := header_of(sent):
            headers.append(header)
    if headers:
        yield Request(label, tuple(headers))


def _of_commands(text: str) -> Iterator[Request]:
    """Read ``curl`` commands as a shell would, also as Windows' cmd has them out of a browser."""
    if '^"' in text:
        text = _CARET.sub(lambda found: " " if found[1].endswith("\n") else found[1], text)
    for words in _commands(text):
        if words and words[0] == "$":
            words = words[1:]
        if words and words[0].rpartition("/")[2] in ("curl", "curl.exe"):
            yield _of_words(words[1:])


def _commands(text: str) -> Iterator[list[str]]:
    words: list[str] = []
    word: list[str] | None = None
    position = 0
    while position < len(text):
        piece = _PIECE.match(text, position)
        if piece is None:
            raise UnreadableError("a quote of the curl command is not closed")
        position = piece.end()
        kind, inner = piece.lastgroup, piece[piece.lastgroup or 0]
        if kind in ("space", "operator") or (kind == "escaped" and inner in "\r\n"):
            if word is not None:
                words.append("".join(word))
            word = None
            if kind == "operator":
                yield words
                words = []
            continue
        if kind == "double":
            inner = _IN_QUOTES.sub(lambda found: found[1].strip("\n"), inner)
        elif kind == "ansi":
            inner = _ANSI.sub(_ansi, inner)
        if word is None:
            word = []
        word.append(inner)
    if word is not None:
        words.append("".join(word))
    yield words


def _ansi(found: re.Match[str]) -> str:
    digits = found[1] or found[2]
    return chr(int(digits, 16)) if digits else _ANSI_LETTERS.get(found[3], found[3])


def _of_words(words: Sequence[str]) -> Request:
    """Read the arguments of one ``curl``."""
    headers: list[Header] = []
    url = ""
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        if word in ("-H", "--header"):
            headers += _of_option(next(rest, ""))
        elif option == "--header" and equals:
            headers += _of_option(value)
        elif word == "--url":
            url = next(rest, "")
        elif word.startswith("--"):
            if word[2:] in _LONG_WITH_VALUE:
                next(rest, "")
        elif word.startswith("-") and len(word) > 1:
            for position, letter in enumerate(word[1:], 2):
                if letter == "H" or letter in _SHORT_WITH_VALUE:
                    value = word[position:] or next(rest, "")
                    headers += _of_option(value) if letter == "H" else []
                    break
        else:
            url = url or word
    return Request(_label("curl", url), tuple(headers))


def _of_option(text: str) -> list[Header]:
    """Read the value of -H: ``name:`` takes a header away, ``name;`` sends it empty."""
    if text.endswith(";") and _NAME.fullmatch(text[:-1]):
        return [(text[:-1], "")]
    header = header_of(text)
    return [header] if header and header[1] else []


def _of_har(text: str) -> Iterator[Request]:
    """Read the requests of a HAR file, http://www.softwareishard.com/blog/har-12-spec/."""
    try:
        har: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        place = f" at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise UnreadableError(f"it begins like JSON and is not{place}") from None
    try:
        entries = [entry["request"] for entry in har["log"]["entries"]]
        for request in entries:
            headers = [(header["name"], header["value"]) for header in request["headers"]]
            label = _label(str(request.get("method", "")), str(request.get("url", "")))
            yield Request(label, tuple((name, value) for name, value in headers if name[:1] != ":"))
    except (KeyError, TypeError, AttributeError):
        raise UnreadableError("it is JSON and no HAR file: expected log.entries, each with request.headers") from None


def _label(method: str, url: str) -> str | None:
    """Return method and address without user, query and fragment, where secrets stand."""
    if "://" not in url and not url.startswith("/"):
        url = f"//{url}"
    try:
        parts = urlsplit(url)
        host = f"{parts.scheme}://{parts.hostname}" if parts.scheme and parts.hostname else parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return method or None
    return f"{method} {host}{port}{parts.path}".strip() or None
