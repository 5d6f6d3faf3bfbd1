"""What is redacted, as data: names of rules, words of keys, headers, query keys; and the user's own rules, read.

Sources: OpenTelemetry semantic conventions for HTTP (userinfo and the four query keys); the key names of Sentry's
scrubber; token formats as their issuers publish them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from ot_bridge.late_pattern import late_pattern

__all__ = [
    "ACTIONS",
    "DEFAULT_RULES",
    "KEY_FORM",
    "OPTIONAL_RULES",
    "RULES",
    "VALUE_FORM",
    "Action",
    "KeyRule",
    "Rule",
    "RuleError",
    "ValueRule",
    "read_key_rule",
    "read_value_rule",
]


class Rule(NamedTuple):
    """One row: a rule of the bridge's own."""

    name: str
    finds: str
    becomes: str
    default: bool = True


RULES: Final = (
    Rule("key", "keys whose last words name a secret; also in JSON text", "[redacted: key]"),
    Rule("header", "HTTP headers with credentials or cookies", "[redacted: header]; Bearer REDACTED: the scheme stays"),
    Rule("url", "userinfo and secret query values in URLs", "REDACTED:REDACTED@, key=REDACTED"),
    Rule("userinfo", "scheme://user:password@ in any text", "scheme://REDACTED:REDACTED@"),
    Rule("jwt", "JSON web tokens: eyJ...", "[redacted: jwt]"),
    Rule("aws", "AWS access keys: AKIA and 16 more", "[redacted: aws]"),
    Rule("github", "GitHub tokens: ghp_, gho_, ghu_, ghs_, ghr_ and 36 more", "[redacted: github]"),
    Rule("slack", "Slack tokens: xoxa-, xoxb-, xoxp-, xoxr-, xoxs-", "[redacted: slack]"),
    Rule("stripe", "Stripe's secret keys: sk_live_", "[redacted: stripe]"),
    Rule("google", "Google API keys: AIza and 35 more", "[redacted: google]"),
    Rule("pem", "PEM private keys, to their end", "[redacted: pem]"),
    Rule("bearer", "Bearer and at least 16 characters", "Bearer [redacted: bearer]"),
    Rule(
        "card", "card numbers in groups: 4-4-4-4 or 4-6-5, of an issuer, with a right check digit", "[redacted: card]"
    ),
    Rule("card_digits", "card numbers without groups, numbers too", "[redacted: card_digits]", default=False),
    Rule("email", "e-mail addresses in any text", "[redacted: email]", default=False),
    Rule("ip", "keys that name the address of a peer or client", "[redacted: ip]", default=False),
    Rule("user_id", "keys that name a user", "[redacted: user_id]", default=False),
)
"""Every rule; compat_matrix.md and the tests iterate over them."""

DEFAULT_RULES: Final = tuple(rule.name for rule in RULES if rule.default)
OPTIONAL_RULES: Final = tuple(rule.name for rule in RULES if not rule.default)

SECRET_WORDS: Final = frozenset(
    {
        "password", "passwd", "pwd", "passphrase", "secret", "token", "apikey", "authorization", "cookie",
        "credential", "credentials", "csrf", "xsrf", "ssn", "cvv", "cvc", "pin", "sessionid",
        # What is written without a break.
        "privatekey", "accesskey", "secretkey", "accesstoken", "authtoken", "refreshtoken", "sessiontoken",
        "csrftoken", "xsrftoken", "clientsecret", "csrfmiddlewaretoken", "jsessionid", "phpsessid",
    }
)  # fmt: skip
SECRET_PAIRS: Final = frozenset(
    {
        ("api", "key"),
        ("private", "key"),
        ("access", "key"),
        ("secret", "key"),
        ("connect", "sid"),
        ("pass", "word"),
        ("pass", "phrase"),
        ("pass", "wd"),
    }
)
SKIPPED_WORDS: Final = frozenset({"value", "hash", "old", "new", "confirm", "confirmation"})
NUMERIC_SECRETS: Final = frozenset({"ssn", "cvv", "cvc", "pin"})
"""Under these words alone a number is a secret."""

NEVER_BY_KEY: Final = frozenset({"session.id", "http.route", "db.system", "jaeger-debug-id"})
NEVER_BY_START: Final = ("url.", "gen_ai.usage.", "sampler.")

HEADER_STARTS: Final = ("http.request.header.", "http.response.header.")
SECRET_HEADERS: Final = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "x-api-key",
        "x-csrf-token",
        "x-amz-security-token",
    }
)

URL_KEYS: Final = frozenset({"url.full", "url.query", "http.url", "http.target"})
SECRET_QUERY_KEYS: Final = frozenset({"AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature"})

IP_KEYS: Final = frozenset(
    {
        "ip", "peer.ipv4", "peer.ipv6", "net.peer.ip", "net.sock.peer.addr", "client.address", "client.ip",
        "http.client_ip", "network.peer.address", "source.address", "remote_addr", "x-forwarded-for", "x-real-ip",
        "http.request.header.x-forwarded-for", "http.request.header.x-real-ip", "http.request.header.forwarded",
    }
)  # fmt: skip
USER_KEYS: Final = frozenset(
    {
        "user.id", "user.name", "user.full_name", "user.email", "enduser.id", "user_id", "userid", "username",
    }
)  # fmt: skip


# -- the user's own rules ----------------------------------------------------------------------------------------------

MAX_LENGTH: Final = 200
"""Characters of a pattern."""
ACTIONS: Final = ("redact", "hash", "truncate N")
KEY_FORM: Final = "keys, '*' for any part of one, in any case, each with ' -> redact', ' -> hash' or ' -> truncate N'"
VALUE_FORM: Final = f"NAME=REGEX, at most {MAX_LENGTH} characters of REGEX, with ' -> redact' or ' -> hash'"

_ARROW: Final = " -> "
_NAME: Final = late_pattern(r"[a-z][a-z0-9_]{0,30}")
_TRUNCATE: Final = late_pattern(r"truncate ([0-9]{1,6})")


class RuleError(Exception):
    """Why a rule cannot be used: what was found, what was wanted, what is known."""

    def __init__(self, found: object, wanted: str, known: Iterable[object] = ()) -> None:
        super().__init__(wanted)
        self.found, self.wanted, self.known = found, wanted, known


class Action(NamedTuple):
    """What becomes of what a rule finds."""

    name: str  # redact, hash or truncate
    length: int = 0
    """Characters kept by truncate."""


REDACT: Final = Action("redact")


class KeyRule(NamedTuple):
    """One rule of the user's for keys."""

    key: str
    action: Action


class ValueRule(NamedTuple):
    """One rule of the user's for texts."""

    name: str
    find: re.Pattern[str] | Callable[[str], Any]
    action: Action


def read_key_rule(text: object) -> KeyRule:
    """Read ``KEY`` or ``KEY -> ACTION``. Raises RuleError."""
    if not isinstance(text, str):
        raise RuleError(text, KEY_FORM)
    key, arrow, action = text.rpartition(_ARROW) if _ARROW in text else (text, "", "redact")
    if not key.strip() or not key.strip("* ") or (arrow and not action.strip()):
        raise RuleError(text, KEY_FORM)
    return KeyRule(key.strip().lower(), _read_action(action, text))


def read_value_rule(rule: object) -> ValueRule:
    """Read ``NAME=REGEX`` or ``NAME=REGEX -> ACTION``; in code also a pair of name and function. Raises RuleError."""
    if isinstance(rule, tuple) and len(rule) == 2 and isinstance(rule[0], str) and callable(rule[1]):
        return ValueRule(_read_name(rule[0], rule), rule[1], REDACT)
    if not isinstance(rule, str):
        raise RuleError(rule, VALUE_FORM)
    name, equals, pattern = rule.partition("=")
    action = REDACT
    if _ARROW in pattern:
        pattern, _, word = pattern.rpartition(_ARROW)
        action = _read_action(word, rule)
    if not equals or action.name == "truncate":
        raise RuleError(rule, VALUE_FORM)
    from ot_bridge.redaction.patterns import PatternError, check

    try:
        return ValueRule(_read_name(name.strip(), rule), check(pattern.strip()), action)
    except PatternError as reason:
        raise RuleError(rule, f"{VALUE_FORM}; {reason}") from None


def _read_name(name: str, rule: object) -> str:
    if not _NAME.fullmatch(name):
        raise RuleError(rule, "a name of small letters, digits and '_' before the '='")
    if name in {own.name for own in RULES} or name in ("own_key", "failed", "dry_run"):
        raise RuleError(rule, f"a name that is not taken, as {name!r} is")
    return name


def _read_action(word: str, rule: object) -> Action:
    word = word.strip()
    truncate = _TRUNCATE.fullmatch(word)
    if truncate is not None and int(truncate[1]) > 0:
        return Action("truncate", int(truncate[1]))
    if word not in ("redact", "hash"):
        raise RuleError(rule, f"one of {', '.join(ACTIONS)} after the arrow", ACTIONS)
    return Action(word)
