"""What a call asked for, with what differs from call to call folded away (seeing.md 1.5). Pure.

Read from the semantic conventions of OpenTelemetry, old and new, and from OpenTracing's tags. What cannot be read is
left as it is, so that two texts are called equal only where they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from ot_bridge.traces.model import CALLERS, ENTRIES, Span, Value
from ot_bridge.traces.tree import Trace
from ot_bridge.traces.words import text

__all__ = ["Target", "TargetKind", "key_pattern", "path_template", "sql", "target", "targets"]

TargetKind: TypeAlias = Literal["sql", "key-value", "database", "http", "rpc", "message", "call"]

MAX_TEXT = 20_000
"""Of a longer statement the first characters stand for all."""
MAX_WORD = 40
FOLDED = "?"
"""Stands for a literal, a placeholder, or a list of them."""

_TRANSACTION = re.compile(
    r"\s*(begin|start transaction|commit|rollback|savepoint|release|abort|end|set|reset|select 1|pragma|discard)\b"
    r"(?![\s\S]*\bfrom\b)",
    re.IGNORECASE,
)
_PLUMBING = re.compile(
    r"(pool|db|redis|pg|mysql|tcp|tls|dns|socket|sqlalchemy|psycopg2?|asyncpg)?[. _:-]*"
    r"(connect|reconnect|checkout|checkin|acquire|release|lookup|handshake|auth|ping|hello)",
    re.IGNORECASE,
)
_WRITES = re.compile(
    r"insert|update|delete|merge|replace|upsert|create\w*|alter|drop|truncate|call|copy|grant|lock|post|put\w*|patch|send"
    r"|m?set\w*|hm?set|hdel|del|unlink|incr(?:by)?|decr(?:by)?|expire|[lr]push|[lr]pop|s(?:add|rem)|z(?:add|rem)|publish"
    r"|xadd|eval(?:sha)?|findandmodify|bulk\w*|index",
    re.IGNORECASE,
)
_KEY_VALUE = frozenset({"redis", "valkey", "memcached", "memcache", "keydb", "dragonfly"})
_MYSQL = frozenset({"mysql", "mariadb"})


class Target(NamedTuple):
    """What a call asked for.

    Attributes:
        kind: what was called.
        text: with literals, lists and comments folded: `SELECT * FROM cart WHERE id = ?`, `GET shop/users/{}`.
        where: the database or the host, `""` when the span does not say.
        exact: all that was asked, to tell a repeated question from a similar one; None when the span leaves the values
            out.
        writes: whether it changes something, as far as its first word tells.
        cut: whether the text was cut off before it reached us, so that its end is unknown.
    """

    kind: TargetKind
    text: str
    where: str = ""
    exact: str | None = None
    writes: bool = False
    cut: bool = False


def targets(trace: Trace) -> list[Target | None]:
    """Return of each span what it asked for, None for what is no call: see `target`."""
    memo: dict[tuple[str, bool], tuple[str, bool]] = {}

    def remembered(statement: str, mysql: bool) -> tuple[str, bool]:
        key = statement, mysql
        if key not in memo:
            memo[key] = _fold(statement, mysql)
        return memo[key]

    return [_target(span, remembered) for span in trace.spans]


def target(span: Span) -> Target | None:
    """Tell what a span asked another process for.

    None for a span that is no call: one that a process is entered by, or a plain piece of work; and for what goes with
    calls without being one: connecting, checking a connection out of its pool, beginning and ending a transaction.
    """
    return _target(span, _fold)


_Fold: TypeAlias = Callable[[str, bool], tuple[str, bool]]


def _target(span: Span, fold: _Fold) -> Target | None:
    if span.kind in ENTRIES:
        return None
    tags = span.attributes
    if _first(tags, "db.system.name", "db.system", "db.type", "db.statement", "db.query.text", "redis.command"):
        return _database(span, fold)
    if _first(tags, "http.request.method", "http.method", "http.url", "url.full"):
        return _http(tags)
    if _first(tags, "messaging.system", *_DESTINATION):
        return _message(span)
    if system := _first(tags, "rpc.system", "rpc.system.name", "rpc.method", "grpc.method", "rpc.service"):
        return _rpc(span, system)
    return _plain(span) if span.kind in CALLERS and not _PLUMBING.fullmatch(span.name) else None


def _first(tags: Mapping[str, Value], *keys: str) -> str:
    for key in keys:
        if key in tags and (value := tags[key]) not in (None, ""):
            return text(value)
    return ""


def _peer(tags: Mapping[str, Value]) -> str:
    return _first(
        tags,
        "peer.service",
        "server.address",
        "net.peer.name",
        "peer.hostname",
        "http.host",
        "net.sock.peer.name",
        "peer.address",
        "network.peer.address",
        "net.peer.ip",
        "peer.ipv4",
    )


def _plain(span: Span) -> Target:
    return Target("call", _numbers(span.name), _peer(span.attributes))


def _numbers(name: str) -> str:
    return _VARIABLE_WORD.sub("{}", name)


# --- databases


def _database(span: Span, fold: _Fold) -> Target | None:
    tags = span.attributes
    system = _first(tags, "db.system.name", "db.system", "db.type").lower()
    statement = _first(tags, "db.query.text", "db.statement", "redis.command")
    whole, cut = _whole(statement)
    named = _first(tags, "db.namespace", "db.name", "db.instance", "db.redis.database_index", "db.mongodb.database")
    parameters = sorted(
        f"{key}={text(value)}"
        for key, value in tags.items()
        if key.startswith(("db.query.parameter", "db.statement.parameters", "db.operation.parameter"))
    )
    if system in _KEY_VALUE or "redis.command" in tags:
        command = whole or _first(tags, "db.operation.name", "db.operation") or span.name
        if _PLUMBING.fullmatch(command.split(" ", 1)[0]):
            return None
        return Target(
            "key-value",
            key_pattern(command),
            named,
            command if whole and FOLDED not in whole and not cut else None,
            _is_write(command),
            cut,
        )
    where = " ".join(filter(None, (named, _peer(tags))))
    operation = _first(tags, "db.operation.name", "db.operation", "db.mongodb.command")
    table = _first(tags, "db.collection.name", "db.sql.table", "db.mongodb.collection", "db.cassandra.table")
    if _looks_like_sql(whole):
        if _TRANSACTION.match(whole):
            return None
        folded, has_places = fold(whole, system in _MYSQL)
        exact = "\n".join([whole, *parameters]) if not cut and (parameters or not has_places) else None
        return Target("sql", folded, where, exact, _is_write(folded), cut)
    if operation or table:
        asked = " ".join(filter(None, (operation, table)))
        return Target("database", asked, where, whole if whole and not cut else None, _is_write(operation), cut)
    if summary := _first(tags, "db.query.summary") or whole:
        exact = whole if whole and FOLDED not in whole and not cut else None
        return Target("database", _json_values(summary), where, exact, _is_write(summary), cut)
    if _PLUMBING.fullmatch(span.name) or _TRANSACTION.match(span.name):
        return None
    return Target("database", _numbers(span.name), where, None, _is_write(span.name))


def _whole(statement: str) -> tuple[str, bool]:
    """Tell whether a statement was cut off, by its length or the dots at its end."""
    stripped = statement.rstrip()
    cut = len(stripped) > MAX_TEXT or stripped.endswith(("...", "\u2026"))
    return stripped[:MAX_TEXT].removesuffix("...").removesuffix("\u2026"), cut


# A comment has one way to be read: with `.*?` the ways to part a row of comments would double with each.
_SQL_START = re.compile(
    r"(?:\s|/\*(?:[^*]|\*(?!/))*\*/|--[^\n]*\n|\()*(?:select|insert|update|delete|with|merge|replace|call|exec|execute|create|alter|drop"
    r"|begin|commit|rollback|start|savepoint|release|set|explain|copy|truncate|values|show|upsert|pragma)\b",
    re.IGNORECASE | re.DOTALL,
)


def _looks_like_sql(statement: str) -> bool:
    return _SQL_START.match(statement) is not None


def _is_write(statement: str) -> bool:
    return _is_write_word((statement.split(None, 1) or [""])[0][:MAX_WORD])


@lru_cache(maxsize=256)
def _is_write_word(word: str) -> bool:
    return _WRITES.fullmatch(word) is not None


# What is folded, and what must be skipped whole to find it. No alternative can match what another one began, so a text
# is read once.
_COMMENT = r"--[^\n]*|/\*.*?(?:\*/|\Z)"
_DOUBLE = r'"(?:[^"\\]|\\.|"")*(?:"|\\?\Z)'
_LITERAL = r"""
    \$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z)
    |(?:\b[NnEeBbXx])?'(?:[^'\\]|\\.|'')*(?:'|\\?\Z)
    |(?<![\w.$])[+-]?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?!\w)"""
_PLACE = r"%\(\w+\)s|%s|\$\d+|(?<![:\w]):[A-Za-z_]\w*|(?<![@\w])@[A-Za-z_]\w*|\?"
_CAST = r"::\s*\w+"


def _tokens(comment: str, name: str, literal: str) -> re.Pattern[str]:
    every = f"(?P<drop>{comment}|{_CAST})|(?P<name>{name})|(?P<literal>{literal})|(?P<place>{_PLACE})"
    return re.compile(every, re.VERBOSE | re.DOTALL)


_TOKENS = _tokens(_COMMENT, f"`[^`]*`|{_DOUBLE}", _LITERAL)
_MYSQL_TOKENS = _tokens(_COMMENT + r"|\#[^\n]*", "`[^`]*`", f"{_LITERAL}|{_DOUBLE}")
_WORDS = re.compile(r"(?<!\bis )(?<!\bnot )\b(?:null|true|false)\b", re.IGNORECASE)
_LIST = re.compile(r"\(\s*\?(?:\s*,\s*\?)*(?:\s*,?\s*\)|\s*,?\s*\Z)")
_ROWS = re.compile(r"(\(\?\))(?:\s*,\s*\(\?\))+")
_ARRAY = re.compile(r"\[\s*\?(?:\s*,\s*\?)*\s*(?:\]|\Z)")
_OPEN_ROWS = re.compile(r"\(\?\),?\s*\(?\Z")


def sql(statement: str, *, mysql: bool = False) -> str:
    """Fold a statement: literals, placeholders and lists of them to `?`, comments and runs of spaces away.

    Args:
        statement: whole or cut off, of any dialect.
        mysql: whether `"..."` is text and not a name, and `#` begins a comment.
    """
    return _fold(statement, mysql)[0]


def _fold(statement: str, mysql: bool) -> tuple[str, bool]:
    """Fold a statement, and tell whether it has placeholders, whose values are not in it."""
    has_places = False

    def piece(found: re.Match[str]) -> str:
        nonlocal has_places
        if found["drop"]:
            return " "
        has_places = has_places or found["place"] is not None
        return found["name"] or FOLDED

    folded = " ".join((_MYSQL_TOKENS if mysql else _TOKENS).sub(piece, statement[:MAX_TEXT]).split())
    lowered = folded.lower()
    # Asking first is cheaper than a pattern that finds nothing.
    if "null" in lowered or "true" in lowered or "false" in lowered:
        folded = _WORDS.sub(FOLDED, folded)
    if "[" in folded:
        folded = _ARRAY.sub("[?]", folded)
    if "(" in folded:
        folded = _ROWS.sub(r"\1", _LIST.sub("(?)", folded))
        folded = _OPEN_ROWS.sub("(?)", folded)
    return folded.rstrip(" ;"), has_places


_JSON_TEXT = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?')


def _json_values(statement: str) -> str:
    """Fold the values of a query written as JSON, and the numbers of any other."""
    named = _JSON_TEXT.sub(lambda found: found.group() if found[2] else f'"{FOLDED}"', statement)
    return " ".join(re.sub(r"(?<![\w.])-?\d+(?:\.\d+)?(?!\w)", FOLDED, named).split())


_VARIABLE_KEY = re.compile(r"[^:/|._\-{}\s]+")


def key_pattern(command: str) -> str:
    """Fold a command to a key-value store to its name and the pattern of its first keys: `GET user:?`.

    Lines after the first, as a pipeline has them, are counted in: each distinct one is named once.
    """
    lines = dict.fromkeys(_one_command(line) for line in command[:MAX_TEXT].splitlines() if line.strip())
    return "; ".join(list(lines)[:_MAX_COMMANDS]) or command.strip()


_MAX_COMMANDS = 5
_KEYS_ONLY = re.compile(
    r"M?GET|GETS|GET_MULTI|GETDEL|DEL|DELETE|UNLINK|EXISTS|P?TTL|TYPE|INCR|DECR|STRLEN|HGETALL|HKEYS|HVALS|[HL]LEN|[SZ]CARD"
    r"|SMEMBERS|PERSIST|DUMP|TOUCH|SINTER|SUNION"
)


def _one_command(line: str) -> str:
    name, *arguments = line.split()
    name = name.upper()
    keys = arguments if _KEYS_ONLY.fullmatch(name) else arguments[:1]
    patterns = dict.fromkeys(_VARIABLE_KEY.sub(_variable_key, key.strip("'\"")) for key in keys)
    rest = [FOLDED] if len(arguments) > len(keys) and FOLDED not in patterns else []
    return " ".join([name, *patterns, *rest])


def _variable_key(found: re.Match[str]) -> str:
    return FOLDED if _is_variable(found.group()) else found.group()


# --- HTTP and the rest

_HEX = re.compile(r"[0-9a-fA-F]{8,}")
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_VARIABLE_WORD = re.compile(r"(?<![\w.])(?:[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|\d+)(?!\w)")
_VERSION = re.compile(r"v\d{1,2}")
_LONG = 16
_SHORT = 4


def _is_variable(word: str) -> bool:
    """Tell whether a part of a path or key is a value: a number, a UUID, long hex, a long word that has digits."""
    if not any(character.isdigit() for character in word) or _VERSION.fullmatch(word):
        return "@" in word
    if word.isdigit() or _UUID.fullmatch(word) or _HEX.fullmatch(word) or "@" in word or "%" in word:
        return True
    digits = sum(character.isdigit() for character in word)
    return len(word) >= _LONG or (digits * 2 >= len(word) and len(word) >= _SHORT)


def path_template(path: str) -> str:
    """Fold a path: `/users/42/orders` to `/users/{}/orders`; of a query only the names are kept."""
    bare, _, query = path[:MAX_TEXT].partition("#")[0].partition("?")
    folded = "/".join("{}" if _is_variable(part) else _numbers(part) for part in bare.split("/"))
    names = sorted({pair.partition("=")[0] for pair in query.split("&") if pair})
    return f"{folded}?{'&'.join(names)}" if names else folded


def _http(tags: Mapping[str, Value]) -> Target:
    method = _first(tags, "http.request.method", "http.method").upper() or "HTTP"
    url = _first(tags, "url.full", "http.url")
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    asked = _first(tags, "http.target") or "?".join(filter(None, (_first(tags, "url.path"), _first(tags, "url.query"))))
    path = (f"{parts.path}?{parts.query}" if parts.query else parts.path) or asked
    template = _first(tags, "http.route", "url.template")
    host = _peer(tags) or parts.netloc.rpartition("@")[2]
    exact = f"{method} {url or host + path}" if (path or url) and not _has_body(method) else None
    return Target("http", f"{method} {host}{template or path_template(path)}", host, exact, _is_write(method))


def _has_body(method: str) -> bool:
    return method in ("POST", "PUT", "PATCH", "HTTP")


_DESTINATION = ("messaging.destination.name", "messaging.destination", "message_bus.destination")


def _message(span: Span) -> Target:
    tags = span.attributes
    where = _first(tags, *_DESTINATION)
    operation = _first(tags, "messaging.operation.name", "messaging.operation.type", "messaging.operation")
    return Target("message", f"{operation or 'send'} {_numbers(where)}".strip() if where else span.name, where)


def _rpc(span: Span, system: str) -> Target:
    tags = span.attributes
    service, method = _first(tags, "rpc.service"), _first(tags, "rpc.method", "grpc.method")
    asked = "/".join(filter(None, (service, method))) if method else _numbers(span.name)
    return Target("rpc", asked or system, _peer(tags))
