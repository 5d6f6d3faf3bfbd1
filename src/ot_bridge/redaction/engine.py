"""The rules at work: a value in, the value or a marker out. Knows neither spans nor settings.

Nearly all values are clean, and most of them were seen before. So what is remembered is what was found clean: for each
key the texts that may stand under it. One look into a dict and one into a set then settle an attribute.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple

from ot_bridge.late_pattern import late_pattern
from ot_bridge.redaction import keys, rules, values
from ot_bridge.redaction.rules import Action, KeyRule, ValueRule
from ot_bridge.telemetry import count, warn_once

__all__ = ["FAILED", "HashKey", "Redactor"]

FAILED: Final = "[redacted: failed]"

_MARKER: Final = late_pattern(r"\[(?:redacted|hashed): [a-z0-9_]+\]")
_UUID: Final = re.compile("[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}")
_SHORT: Final = 20  # characters: an AWS key has as many, and no other shape is of letters and digits alone
_MARKERS: Final = late_pattern(r"(\[(?:redacted|hashed): [a-z0-9_]+\])")
_NUMBERS: Final = frozenset({int, float, bool, type(None)})
_MAX_KEYS: Final = 4096
_MAX_KEY: Final = 256
_MAX_TEXTS: Final = 16384
_MAX_TEXTS_OF_A_KEY: Final = 512
_MAX_TEXT: Final = 256
_HASH_DIGITS: Final = 16


class HashKey:
    """A secret of the settings: compared, used, and never shown."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        import hmac  # noqa: F401  (OpenSSL: it is loaded here, at set-up, and not where a span runs)

        self._secret = secret

    def digest(self, text: str) -> str:
        """Return the first half of a keyed hash, in hex."""
        import hmac

        return hmac.new(self._secret, text.encode("utf-8", "replace"), "sha256").hexdigest()[:_HASH_DIGITS]

    def __eq__(self, other: object) -> bool:
        import hmac

        return isinstance(other, HashKey) and hmac.compare_digest(self._secret, other._secret)

    def __hash__(self) -> int:
        return hash(self._secret)

    def __repr__(self) -> str:
        return "<hidden>"


class _Verdict(NamedTuple):
    """What is to be done under a key."""

    rule: str | None = None
    action: Action = rules.REDACT
    numbers: bool = False
    is_url: bool = False
    safe: bool = False


class Redactor:
    """Applies rules. For all threads; holds no lock.

    Args:
        enabled: names of the rules of :data:`ot_bridge.redaction.rules.RULES` that apply.
        own_keys: the user's rules for keys; they come first.
        own_values: the user's rules for texts; they come last.
        safe_keys: keys that no rule touches, with ``*`` for any part.
        hash_key: for rules that hash.
        dry_run: count what would be redacted, and change nothing.
    """

    def __init__(
        self,
        enabled: Iterable[str] = rules.DEFAULT_RULES,
        *,
        own_keys: Iterable[KeyRule] = (),
        own_values: Iterable[ValueRule] = (),
        safe_keys: Iterable[str] = (),
        hash_key: HashKey | None = None,
        dry_run: bool = False,
    ) -> None:
        self._enabled = frozenset(enabled)
        self._own_keys = [(keys.Glob(rule.key), rule.action) for rule in own_keys]
        self._own_values = list(own_values)
        self._safe = [keys.Glob(key.lower()) for key in safe_keys]
        self._hash_key = hash_key
        self._dry_run = dry_run
        self._counts = True
        # Plain tuples: most of the time of a text that is seen for the first time is spent in going through them.
        self._signs = [
            (sign, [(shape.needle, shape.pattern, shape) for shape in shapes if shape.rule in self._enabled])
            for sign, shapes in values.SIGNS.items()
            if any(shape.rule in self._enabled for shape in shapes)
        ]
        self._has_shortcuts = not self._own_values and "card_digits" not in self._enabled
        self._members = "key" in self._enabled or bool(self._own_keys)
        self._least = 1 if self._own_values else values.LEAST_LENGTH
        self._plain = _NUMBERS - {int} if "card_digits" in self._enabled else _NUMBERS
        self._texts: set[str] = set()
        self._queries: set[str] = set()  # keys
        self._everything = _Everything()
        self._known: dict[str, set[str]] = {}  # only keys under which numbers are clean
        self._kept = 0  # texts, in all
        self._verdicts: dict[str, _Verdict] = {}
        self.epoch = 0
        """Counts how often what was remembered under keys has been forgotten."""

    @property
    def clean_texts(self) -> AbstractSet[str]:
        """Texts found clean: what is in it need not be given to :meth:`text`."""
        return self._texts

    @property
    def spares_numbers(self) -> bool:
        """Whether a number under a key that tells nothing is never redacted."""
        return int in self._plain

    def texts_under(self, key: str) -> AbstractSet[str] | None:
        """Return the texts found clean under a key, a set that grows; None where not all numbers are clean."""
        if key not in self._verdicts:
            self._judge(key)
        texts = self._known.get(key)
        return None if texts is self._everything else texts

    def attributes(self, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the attributes, redacted: the same object when there was nothing to redact, else a new dict."""
        known, plain = self._known.get, self._plain
        changed: dict[str, Any] | None = None
        for key, value in attributes.items():
            texts = known(key)
            if texts is not None and (value in texts if type(value) is str else type(value) in plain):
                continue
            redacted = self.value(key, value)
            if redacted is not value:
                if changed is None:
                    changed = dict(attributes)
                changed[key] = redacted
        return attributes if changed is None else changed

    def value(self, key: str, value: Any) -> Any:
        """Return what may leave under a key: the value itself when it is clean."""
        try:
            verdict = self._verdicts.get(key) or self._judge(key)
            redacted = self._under(verdict, key, value)
            return value if self._dry_run else redacted
        except Exception as error:
            return self._failed(value, "value", error)

    def text(self, text: str) -> str:
        """Return a text that stands under no key: a name, a description."""
        if text in self._texts:
            return text
        try:
            redacted = self._scan(text, self._texts)
            return text if self._dry_run else redacted
        except Exception as error:
            return str(self._failed(text, "text", error))

    def event(self, name: str, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the attributes of an event, redacted: as :meth:`attributes`.

        In the event of an item of baggage, which jaeger-client logs, the key is a value, too.
        """
        found = self.attributes(attributes)
        if name == "baggage" and "value" in attributes and isinstance(attributes.get("key"), str):
            value = self.value(attributes["key"], attributes["value"])
            if value is not attributes["value"]:
                return {**found, "value": value}
        return found

    def silently(self) -> Redactor:
        """Return the same rules, for who looks at what has been counted already."""
        silent = copy.copy(self)
        silent._counts = False
        return silent

    # --- inside

    def _judge(self, key: str) -> _Verdict:
        lower = key.lower()
        is_url = "url" in self._enabled and lower in rules.URL_KEYS
        verdict = _Verdict(is_url=is_url)
        own = next((action for glob, action in self._own_keys if glob.matches(lower)), None)
        if any(glob.matches(lower) for glob in self._safe):
            verdict = _Verdict(safe=True)
        elif own is not None:
            verdict = _Verdict("own_key", own, numbers=True)
        else:
            found = keys.matching_rule(key, self._enabled)
            if found is not None:
                verdict = _Verdict(found.rule, numbers=found.numbers)
        if len(key) <= _MAX_KEY:
            if len(self._verdicts) >= _MAX_KEYS:
                self._verdicts.clear()
                self._known.clear()
                self._kept = 0
                self.epoch += 1
            self._verdicts[key] = verdict
            if verdict.safe:
                self._known[key] = self._everything
            elif verdict.rule is None:
                self._known[key] = set()
        return verdict

    def _under(self, verdict: _Verdict, key: str, value: Any) -> Any:
        kind = type(value)
        if verdict.safe:
            return value
        if verdict.rule is not None:
            if kind in _NUMBERS and (not verdict.numbers or (kind is bool and verdict.rule != "own_key")):
                return value
            return value if value is None else self._replace(verdict, value)
        if kind is str:
            changed = self._url(value) if verdict.is_url else value
            return self._scan(changed, self._known.get(key), known_clean=changed is value)
        return self._unusual(verdict, key, value)

    def _unusual(self, verdict: _Verdict, key: str, value: Any) -> Any:
        """Return what may leave of a value that is no text, under a key that tells nothing."""
        kind = type(value)
        if kind is tuple or kind is list:
            items = [self._under(verdict, key, item) for item in value]
            same = all(new is old for new, old in zip(items, value, strict=True))
            return value if same else kind(items)
        if isinstance(value, Mapping):  # natively set ones; the bridge makes JSON of them
            found = self.attributes(value)
            return value if found is value else dict(found)
        if kind is bytes:
            text = value.decode("latin-1")
            scanned = self._scan(text, None)
            return value if scanned is text else scanned
        if kind is int and "card_digits" in self._enabled and values.is_card_number(value):
            return self._put("card_digits", "[redacted: card_digits]")
        return value

    def _replace(self, verdict: _Verdict, value: Any) -> Any:
        """Return what stands in the place of all that is under a key."""
        if isinstance(value, tuple | list):
            items = [self._replace(verdict, item) for item in value]
            same = all(new is old for new, old in zip(items, value, strict=True))
            return value if same else type(value)(items)
        if isinstance(value, str) and (not value or _MARKER.fullmatch(value)):
            return value  # it was redacted when the span started
        rule, action = str(verdict.rule), verdict.action
        if action.name == "truncate":
            text = value if isinstance(value, str) else None
            return value if text is None or len(text) <= action.length else self._put(rule, text[: action.length])
        if rule == "header" and isinstance(value, str):
            scheme, space, rest = value.partition(" ")
            if space and scheme.isalpha():
                return value if rest == "REDACTED" else self._put(rule, f"{scheme} REDACTED")
        return self._put(rule, self._marker(rule, action, value))

    def _marker(self, rule: str, action: Action, value: Any) -> str:
        if action.name == "hash" and self._hash_key is not None:
            return f"[hashed: {self._hash_key.digest(value if isinstance(value, str) else repr(value))}]"
        return f"[redacted: {'key' if rule == 'own_key' else rule}]"

    def _url(self, text: str) -> str:
        if "=" not in text and "@" not in text:
            return text
        head, mark, query = text.partition("?")
        keys_of: list[str] = []
        plain = "@" not in text and "#" not in text and ";" not in text and "?" not in query
        if plain and not (mark and "=" in head):
            # Most queries have keys that were seen before: no need for a pattern.
            keys_of = [item.partition("=")[0] for item in (query if mark else head).split("&")]
            if self._queries.issuperset(keys_of):
                return text
        changed = values.redact_url(text, self._is_secret_member)
        if changed != text:
            return self._put("url", changed)
        if len(self._queries) >= _MAX_KEYS:
            self._queries.clear()
        # A secret key without a value is no secret, and must not be taken for a clean one.
        self._queries.update(
            key for key in keys_of if len(key) <= _MAX_KEY and not values.is_secret_item(key, self._is_secret_member)
        )
        return text

    def _is_secret_member(self, key: str) -> bool:
        verdict = self._verdicts.get(key) or self._judge(key)
        return verdict.rule is not None and verdict.action.name != "truncate"

    def _member_marker(self, key: str, value: str) -> str | None:
        verdict = self._verdicts.get(key) or self._judge(key)
        if verdict.rule is None or verdict.action.name == "truncate" or _MARKER.fullmatch(value):
            return None
        return self._marker(verdict.rule, verdict.action, value)

    def _scan(self, text: str, clean: set[str] | None, *, known_clean: bool = True) -> str:
        """Return the text without what shows in it; keep it in mind when it is clean."""
        found = text
        length = len(text)
        # Most texts that were never seen are ids: of these it is known that nothing shows in them.
        if self._has_shortcuts and (text.isalnum() if length < _SHORT else length == 36 and _UUID.fullmatch(text)):
            pass
        elif length >= self._least:
            for sign, shapes in self._signs:
                if sign in text:
                    for needle, pattern, shape in shapes:
                        if needle in text and pattern.search(found) is not None:
                            found = self._sub(shape.rule, pattern, shape.becomes, shape.accept, found)
            if text[0] in "{[" and self._members:
                changed = values.redact_members(found, self._member_marker)
                if changed != found:
                    found = self._put("key", changed)
            for rule in self._own_values:
                found = self._own(rule, found)
        keep = found is text and known_clean and clean is not None and length <= _MAX_TEXT
        # Where every text is another one, as with ids, to keep on would be of no use.
        if (
            keep
            and clean is not None
            and len(clean) < _MAX_TEXTS_OF_A_KEY
            and self._kept < _MAX_TEXTS
            # A native span may have a text that no exporter can send: that is not for others to rely on.
            and (text.isascii() or text.encode("utf-8", "replace").decode() == text)
        ):
            clean.add(text)
            self._kept += 1
        return found

    def _sub(
        self, rule: str, pattern: re.Pattern[str], becomes: str, accept: Callable[[str], bool] | None, text: str
    ) -> str:
        hits = 0

        def replace(found: re.Match[str]) -> str:
            nonlocal hits
            if accept is not None and not accept(found[0]):
                return found[0]
            hits += 1
            return found.expand(becomes)

        changed = pattern.sub(replace, text)
        return text if not hits else self._put(rule, changed, hits)

    def _own(self, rule: ValueRule, text: str) -> str:
        if _MARKER.fullmatch(text):
            return text
        try:
            if isinstance(rule.find, re.Pattern):
                hits = 0

                def replace(found: re.Match[str]) -> str:
                    nonlocal hits
                    hits += 1
                    return self._marker(rule.name, rule.action, found[0])

                # Not in the markers: the text is seen again when the span ends.
                parts = _MARKERS.split(text) if "ed: " in text else [text]
                changed = "".join(part if _MARKER.fullmatch(part) else rule.find.sub(replace, part) for part in parts)
                return text if not hits else self._put(rule.name, changed, hits)
            return text if not rule.find(text) else self._put(rule.name, f"[redacted: {rule.name}]")
        except Exception as error:
            return str(self._failed(text, rule.name, error))

    def _put(self, rule: str, becomes: str, hits: int = 1) -> str:
        # In a dry run all goes on as if it were none: what is found a second time in the rest is not counted twice.
        if self._counts:
            count(f"redaction.dry_run.{rule}" if self._dry_run else f"redaction.{rule}", hits)
        return becomes

    def _failed(self, value: Any, where: str, error: Exception) -> Any:
        # The text of the exception may hold what must not be seen.
        warn_once(f"redaction.failed.{where}", "redaction rule %s failed (%s)", where, type(error).__name__)
        return value if self._dry_run else FAILED


class _Everything(set[str]):
    """Stands for the clean texts under a key that no rule touches."""

    def __contains__(self, text: object) -> bool:
        return True
