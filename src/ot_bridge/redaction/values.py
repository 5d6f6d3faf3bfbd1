"""Secrets that show in a text: what each looks like, and a cheap sign without which it cannot be there.

The patterns take linear time. What was found is replaced as a whole, never masked in part; the text around it stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote

from ot_bridge.late_pattern import late_pattern
from ot_bridge.redaction import rules

__all__ = [
    "LEAST_LENGTH",
    "SHAPES",
    "Shape",
    "is_card",
    "is_card_number",
    "is_secret_item",
    "redact_members",
    "redact_url",
]

LEAST_LENGTH: Final = 8
"""Characters of the shortest text that can hold one: ``a://:p@h``."""

# At the start of a word; what follows %20 in a URL is one, too.
_EDGE: Final = r"(?:(?<![A-Za-z0-9_-])|(?<=%[0-9A-Fa-f]{2}))"

_USERINFO: Final = late_pattern(r"://(?!REDACTED:REDACTED@)[^\s/?#@:]*:(?:[^\s/?#@]*@)+")
_ANY_USERINFO: Final = late_pattern(r"(?<=://)(?!REDACTED:REDACTED@)(?:[^\s/?#@]*@)+")
_JWT: Final = late_pattern(_EDGE + r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*){0,3}")
_AWS: Final = late_pattern(_EDGE + r"AKIA[0-9A-Z]{16}(?![0-9A-Za-z])")
_GITHUB: Final = late_pattern(r"gh[pousr]_[A-Za-z0-9]{36,}")
_SLACK: Final = late_pattern(_EDGE + r"xox[abprs]-[A-Za-z0-9-]{8,}")
_STRIPE: Final = late_pattern(_EDGE + r"sk_live_[A-Za-z0-9]{10,}")
_GOOGLE: Final = late_pattern(_EDGE + r"AIza[0-9A-Za-z_-]{35}")
_PEM: Final = late_pattern(
    r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,32}PRIVATE KEY-----|\Z)", re.DOTALL
)
_BEARER: Final = late_pattern(r"([Bb]earer|BEARER) [A-Za-z0-9._~+/=-]{16,}")
# The first digit stands before what must not stand before it: a search for one of a few characters is fast.
_CARD: Final = late_pattern(
    r"[2-6](?<![0-9A-Za-z.-].)[0-9]{3}([ -])[0-9]{4}(?:[0-9]{2}\1[0-9]{5}|\1[0-9]{4}\1[0-9]{4})(?!-?[0-9A-Za-z])"
)
_CARD_DIGITS: Final = late_pattern(r"(?<![0-9A-Za-z.-])[2-6][0-9]{12,18}(?![0-9A-Za-z]|[.-][0-9])")
_EMAIL: Final = late_pattern(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}"
)
# First digits and length; ISO/IEC 7812 and the issuers' own pages.
_ISSUERS: Final = late_pattern(
    r"4[0-9]{12}(?:[0-9]{3}){0,2}|5[1-5][0-9]{14}|2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)[0-9]{12}"
    r"|3[47][0-9]{13}|3(?:0[0-5]|[689][0-9])[0-9]{11}|35(?:2[89]|[3-8][0-9])[0-9]{12}"
    r"|6(?:011|5[0-9]{2}|4[4-9][0-9])[0-9]{12}|62[0-9]{14,17}"
)
_QUERY_ITEM: Final = late_pattern(r"(?:^|(?<=[?&;#]))([^=&;#?\s]{1,200})=([^?&;#\s]+)")
_MEMBER: Final = late_pattern(
    r"""(["'])((?:[^"'\\]|\\.){1,128})\1(\s{0,4}:\s{0,4})"""
    r"""(?:"((?:[^"\\]|\\.)*)(?:"|\\?\Z)|'((?:[^'\\]|\\.)*)(?:'|\\?\Z))""",
    re.DOTALL,
)


class Shape(NamedTuple):
    """What a secret of one rule looks like."""

    rule: str
    sign: str
    """A character that is in every text with one: to look for a character is the cheapest of all questions."""
    needle: str
    """The next question: a part of every one; empty when there is none."""
    pattern: re.Pattern[str]
    becomes: str
    accept: Callable[[str], bool] | None = None
    """What the pattern cannot tell, such as the check digit."""


def _digits(text: str) -> str:
    return text.replace(" ", "").replace("-", "")


def is_card(text: str) -> bool:
    """Tell whether digits, perhaps in groups, have an issuer's start and length and the right check digit (Luhn)."""
    digits = _digits(text)
    if not _ISSUERS.fullmatch(digits):
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = int(digit)
        if place % 2:
            number = number * 2 - 9 if number > 4 else number * 2
        total += number
    return total % 10 == 0


def is_card_number(number: int) -> bool:
    """Tell whether an integer is a card's number."""
    return 10**12 <= number < 10**19 and is_card(str(number))


SHAPES: Final = (
    Shape("userinfo", "@", "://", _USERINFO, "://REDACTED:REDACTED@"),
    Shape("jwt", "J", "eyJ", _JWT, "[redacted: jwt]"),
    Shape("aws", "A", "AKIA", _AWS, "[redacted: aws]"),
    Shape("google", "A", "AIza", _GOOGLE, "[redacted: google]"),
    Shape("github", "_", "gh", _GITHUB, "[redacted: github]"),
    Shape("stripe", "_", "sk_live_", _STRIPE, "[redacted: stripe]"),
    Shape("slack", "-", "xox", _SLACK, "[redacted: slack]"),
    Shape("pem", "-", "PRIVATE KEY-----", _PEM, "[redacted: pem]"),
    Shape("bearer", " ", "earer ", _BEARER, r"\1 [redacted: bearer]"),
    Shape("bearer", " ", "BEARER ", _BEARER, r"\1 [redacted: bearer]"),
    Shape("card", " ", "", _CARD, "[redacted: card]", is_card),
    Shape("card", "-", "", _CARD, "[redacted: card]", is_card),
    Shape("card_digits", "", "", _CARD_DIGITS, "[redacted: card_digits]", is_card),
    Shape("email", "@", "", _EMAIL, "[redacted: email]"),
)
"""What is looked for in every text, in this order."""


def redact_url(text: str, is_secret: Callable[[str], bool]) -> str:
    """Return a URL, or its query, without userinfo and without the values of secret query keys.

    Args:
        text: the URL.
        is_secret: asked with each query key, percent-decoded.
    """
    if "@" in text:
        text = _ANY_USERINFO.sub("REDACTED:REDACTED@", text)
    if "=" not in text:
        return text

    def item(found: re.Match[str]) -> str:
        key = found[1]
        if found[2] != "REDACTED" and is_secret_item(key, is_secret):
            return f"{key}=REDACTED"
        return found[0]

    return _QUERY_ITEM.sub(item, text)


def is_secret_item(key: str, is_secret: Callable[[str], bool]) -> bool:
    """Tell whether the value of a query key is a secret."""
    return key in rules.SECRET_QUERY_KEYS or is_secret(unquote(key))


def redact_members(text: str, secret: Callable[[str, str], str | None]) -> str:
    """Return the text of a JSON object, or of Python's, without the values of secret members that are text.

    Args:
        text: begins with a bracket; may be cut off.
        secret: asked with each member's key and value: what to put in the place of the value, None to keep it.
    """

    def member(found: re.Match[str]) -> str:
        value = found[4] if found[4] is not None else found[5]
        marker = secret(found[2], value) if value else None
        if marker is None:
            return found[0]
        quote = '"' if found[4] is not None else "'"
        return f"{found[1]}{found[2]}{found[1]}{found[3]}{quote}{marker}{quote}"

    return _MEMBER.sub(member, text)


SIGNS: Final[Mapping[str, tuple[Shape, ...]]] = {
    sign: tuple(shape for shape in SHAPES if shape.sign == sign)
    for sign in dict.fromkeys(shape.sign for shape in SHAPES)
}
