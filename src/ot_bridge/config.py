"""The settings: one field, one row of SETTINGS, one ``OT_BRIDGE_*`` variable each.

The rows drive the checks, :meth:`Settings.from_env` and the table of settings in compat_matrix.md. To add a setting,
add a field to :class:`Settings`; everything else follows.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ot_bridge import telemetry
from ot_bridge.codecs import KNOWN_EXTRACT, KNOWN_INJECT
from ot_bridge.environment import VARIABLE, closest, one_of, parse_flag, read, wrong
from ot_bridge.errors import ConfigError
from ot_bridge.late_pattern import late_pattern
from ot_bridge.redaction import HashKey, RuleError
from ot_bridge.redaction.rules import (
    DEFAULT_RULES,
    KEY_FORM,
    OPTIONAL_RULES,
    VALUE_FORM,
    KeyRule,
    ValueRule,
    read_key_rule,
    read_value_rule,
)

__all__ = ["DEFAULT_FORMATS", "ENV_PREFIX", "OF_TOOLS", "SETTINGS", "Kind", "Setting", "Settings"]

ENV_PREFIX: Final = "OT_BRIDGE_"
OF_TOOLS: Final = ("OT_BRIDGE_VIEW_TOKEN",)
"""Variables of the commands, which a service does not read and does not warn of."""
DEFAULT_FORMATS: Final = ("jaeger", "tracecontext", "baggage")

_ARGUMENT: Final = "argument"
_OTEL_PROPAGATORS: Final = "OTEL_PROPAGATORS"
_TOKEN: Final = late_pattern(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 7230, section 3.2.6
_TAKEN_HEADERS: Final = ("traceparent", "tracestate", "baggage")


class _RejectedError(Exception):
    """Why a kind does not take a value; the caller adds the key and the origin."""

    def __init__(self, found: object, wanted: str, known: Iterable[object] = ()) -> None:
        super().__init__(wanted)
        self.found, self.wanted, self.known = found, wanted, known


class Kind:
    """What values a setting takes: in words, from Python, and from the text of a variable.

    Args:
        wanted: the words, or what returns them where a module has them that only this setting needs.
        accept: takes a value, and returns it as it is stored.
        parse: from the text of a variable to a value.
    """

    def __init__(
        self, wanted: str | Callable[[], str], accept: Callable[[object], object], parse: Callable[[str], object]
    ) -> None:
        self._wanted, self.accept, self.parse = wanted, accept, parse

    @property
    def wanted(self) -> str:
        """The words."""
        return self._wanted if isinstance(self._wanted, str) else self._wanted()


def _choice(*known: str | int) -> Kind:
    def accept(value: object) -> object:
        # With "in" alone True would pass for 1, and 64.0 for 64.
        if any(type(value) is type(one) and value == one for one in known):
            return value
        raise _RejectedError(value, one_of(known), known)

    def parse(text: str) -> object:
        return next((one for one in known if str(one) == text.lower()), text)

    return Kind(one_of(known), accept, parse)


def _flag() -> Kind:
    wanted = "True or False (in a variable 1, 0, true, false, yes, no, on or off)"

    def accept(value: object) -> object:
        if isinstance(value, bool):
            return value
        raise _RejectedError(value, wanted, ("true", "false", "yes", "no", "on", "off"))

    def parse(text: str) -> object:
        flag = parse_flag(text)
        return text if flag is None else flag

    return Kind(wanted, accept, parse)


def _formats(known: tuple[str, ...]) -> Kind:
    wanted = f"names out of {', '.join(known)}, each once, or none"

    def accept(value: object) -> object:
        if isinstance(value, str):
            names = [name.strip() for name in value.split(",") if name.strip()]
        elif isinstance(value, list | tuple):
            names = list(value)
        else:
            raise _RejectedError(value, wanted)
        if names == ["none"]:
            return ()
        for name in names:
            if name not in known:
                raise _RejectedError(name, wanted, known)
        for name in names:
            if names.count(name) > 1:
                raise _RejectedError(name, f"{name!r} at most once")
        return tuple(names)

    return Kind(wanted, accept, lambda text: text.lower())


def _length() -> Kind:
    wanted = "an integer above 0, or None (in a variable none) for no limit"

    def accept(value: object) -> object:
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
            return value
        raise _RejectedError(value, wanted)

    def parse(text: str) -> object:
        # int(text) is too kind: it also reads "1_000" and Arabic digits.
        if re.fullmatch("[0-9]{1,18}", text):
            return int(text)
        return None if text.lower() == "none" else text

    return Kind(wanted, accept, parse)


def _keys() -> Kind:
    wanted = "baggage keys (in a variable with commas between them), each whole or the start of keys and a '*'"

    def accept(value: object) -> object:
        if isinstance(value, str):
            keys: list[object] = [key.strip() for key in value.split(",") if key.strip()]
        elif isinstance(value, list | tuple):
            keys = list(value)
        else:
            raise _RejectedError(value, wanted)
        for key in keys:
            if not isinstance(key, str) or not key or "*" in key[:-1]:
                raise _RejectedError(key, wanted)
        return tuple(keys)

    return Kind(wanted, accept, str)


def _trust() -> Kind:
    wanted = "'all', 'none' or (in code only) a function that takes the headers and returns a bool"

    def accept(value: object) -> object:
        if isinstance(value, str) and value in ("all", "none"):
            return value
        # What a coroutine function returns is true, whatever it would have said.
        if isinstance(value, type) or not callable(value) or _is_async(value):
            raise _RejectedError(value, wanted, ("all", "none"))
        return value

    return Kind(wanted, accept, str.lower)


def _is_async(function: object) -> bool:
    return any(map(inspect.iscoroutinefunction, (function, getattr(function, "__call__", None))))  # noqa: B004


def _seconds() -> Kind:
    wanted = "a finite number of seconds, at least 0"

    def accept(value: object) -> object:
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
            return float(value)
        raise _RejectedError(value, wanted)

    def parse(text: str) -> object:
        try:
            return float(text)
        except ValueError:
            return text

    return Kind(wanted, accept, parse)


def _age() -> Kind:
    wanted = "a finite number of seconds above 0, or None (in a variable none) for never"
    seconds = _seconds()

    def accept(value: object) -> object:
        try:
            found = None if value is None else seconds.accept(value)
        except _RejectedError:
            found = 0.0
        if found == 0:
            raise _RejectedError(value, wanted)
        return found

    return Kind(wanted, accept, lambda text: None if text.lower() == "none" else seconds.parse(text))


def _header() -> Kind:
    wanted = "an HTTP header name (RFC 7230 token)"

    def accept(value: object) -> object:
        if isinstance(value, str) and _TOKEN.fullmatch(value):
            return value.lower()
        raise _RejectedError(value, wanted)

    return Kind(wanted, accept, str)


def _text() -> Kind:
    wanted = "a non-empty str"

    def accept(value: object) -> object:
        if isinstance(value, str) and value.strip():
            return value
        raise _RejectedError(value, wanted)

    return Kind(wanted, accept, str)


def _share() -> Kind:
    wanted = "a number above 0 and below 1, or a text such as '1%'; None (in a variable none) for no budget"

    def accept(value: object) -> object:
        if value is None:
            return None
        share = _percent(value) if isinstance(value, str) else value
        if isinstance(share, int | float) and not isinstance(share, bool) and 0 < share < 1:
            return float(share)
        raise _RejectedError(value, wanted)

    return Kind(wanted, accept, _none_or_text)


def _percent(text: str) -> float | None:
    # float(text) is too kind: it also reads "1_0", "nan" and Arabic digits.
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?|\.[0-9]{1,9}) ?(%?)", text.strip())
    return None if found is None else float(found[1]) / (100 if found[2] else 1)


def _read_or_none(read: Callable[[object], object]) -> Callable[[object], object]:
    """Return what takes a value that ``read`` can read, and None."""

    def accept(value: object) -> object:
        if value is None:
            return None
        from ot_bridge.sampler_specs import SpecError

        try:
            return read(value)
        except SpecError as reason:
            raise _RejectedError(reason.found, reason.wanted, reason.known) from None

    return accept


def _sampler() -> Kind:
    def wanted() -> str:
        from ot_bridge.sampler_specs import SAMPLER_FORM

        return f"{SAMPLER_FORM}; None (in a variable none) leaves it to OTEL_TRACES_SAMPLER"

    def read(value: object) -> object:
        from ot_bridge.sampler_specs import read_spec

        read_spec(value)
        return value

    return Kind(wanted, _read_or_none(read), _none_or_text)


def _credits() -> Kind:
    wanted = "a URL of http or https, such as 'http://localhost:5778/credits', or None (in a variable none)"

    def read(value: object) -> object:
        from ot_bridge.sampler_specs import read_endpoint

        if not isinstance(value, str):
            raise _RejectedError(value, wanted)
        return read_endpoint(value, "/credits", wanted)

    return Kind(wanted, _read_or_none(read), _none_or_text)


def _tail() -> Kind:
    def wanted() -> str:
        from ot_bridge.tail_specs import TAIL_FORM

        return f"{TAIL_FORM}; None (in a variable none) for no tail sampling"

    def read(value: object) -> object:
        from ot_bridge.tail_specs import read_tail

        read_tail(value)
        return value

    return Kind(wanted, _read_or_none(read), _none_or_text)


def _rules(read_rule: Callable[[object], KeyRule | ValueRule], form: str, separator: str) -> Kind:
    """Take rules of redaction, in a variable as one text."""

    def accept(value: object) -> object:
        if isinstance(value, str):
            listed: list[object] = [one.strip() for one in re.split(separator, value) if one.strip()]
        elif isinstance(value, list | tuple):
            listed = list(value)
        else:
            raise _RejectedError(value, form)
        try:
            rules = [read_rule(rule) for rule in listed]
        except RuleError as reason:
            raise _RejectedError(reason.found, reason.wanted, reason.known) from None
        names = [rule.name for rule in rules if isinstance(rule, ValueRule)]
        for name in names:
            if names.count(name) > 1:
                raise _RejectedError(name, f"{name!r} at most once")
        return tuple(listed)

    return Kind(form, accept, str)


def _names(known: tuple[str, ...]) -> Kind:
    formats = _formats(known)
    return Kind(formats.wanted, lambda value: () if value == () else formats.accept(value), str.lower)


def _safe_keys() -> Kind:
    wanted = "keys (in a variable with commas between them), '*' for any part of one"

    def accept(value: object) -> object:
        if isinstance(value, str):
            value = [key.strip() for key in value.split(",") if key.strip()]
        if not isinstance(value, list | tuple):
            raise _RejectedError(value, wanted)
        for key in value:
            if not isinstance(key, str) or not key.strip("* "):
                raise _RejectedError(key, wanted)
        return tuple(value)

    return Kind(wanted, accept, str)


def _hash_key() -> Kind:
    wanted = "a secret of at least 16 characters, or None"

    def accept(value: object) -> object:
        if value is None or isinstance(value, HashKey):
            return value
        if isinstance(value, str | bytes) and len(value) >= 16:
            return HashKey(value.encode() if isinstance(value, str) else value)
        # What was given is a secret, or was meant to be one.
        raise _RejectedError(HashKey(b""), wanted)

    def parse(text: str) -> object:
        return None if text.lower() == "none" else text

    return Kind(wanted, accept, parse)


def _none_or_text(text: str) -> object:
    return None if text.lower() == "none" else text


class Setting(NamedTuple):
    """One row: a field of :class:`Settings` as data."""

    name: str
    kind: Kind
    default: object
    meaning: str
    since: str

    @property
    def env(self) -> str:
        """The variable that sets it."""
        return ENV_PREFIX + self.name.upper()

    def check(self, value: object, origin: str) -> Any:  # the field's own type
        """Return the value to store. Raises ConfigError when it cannot be used."""
        if value is self.default:
            return value
        try:
            return self.kind.accept(value)
        except _RejectedError as reason:
            raise wrong(self.name, reason.found, origin, reason.wanted, reason.known) from None


_Predicate = Callable[[Mapping[str, str]], bool]


def _field(kind: Kind, default: object, meaning: str, since: str = "0.1.0") -> Any:
    return dataclasses.field(default=default, metadata={"kind": kind, "meaning": meaning, "since": since})


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Settings:
    """How the bridge behaves. Immutable and checked: an object that exists is valid.

    Every field has a default; ``dataclasses.replace(settings, ...)`` gives a changed copy.

    Raises:
        ConfigError: unknown field or unusable value; the text names the field, the value, where it came from and the
            closest valid one.
    """

    extract: tuple[str, ...] = _field(
        _formats(KNOWN_EXTRACT), DEFAULT_FORMATS, "Header formats read, in order of precedence."
    )
    inject: tuple[str, ...] = _field(_formats(KNOWN_INJECT), DEFAULT_FORMATS, "Header formats written.")
    trace_id_bits: int = _field(_choice(128, 64), 128, "Width in bits of the trace ids that start here.")
    references: str = _field(
        _choice("explicit", "jaeger"),
        "explicit",
        "explicit: references win over the active span, the first CHILD_OF is the parent; "
        "jaeger: the active span wins, else the first reference.",
    )
    double_servers: str = _field(
        _choice("nest", "keep"),
        "nest",
        "Server and consumer spans for a request of which an OpenTelemetry instrumentation has one already; nest: its "
        "children, of kind INTERNAL; keep: as they are started. Both are warned of once.",
    )
    semconv: str = _field(
        _choice("legacy", "dup", "new"), "legacy", "Attribute names: as the tags, both names, or OpenTelemetry's."
    )
    strict_extract: bool = _field(
        _flag(), default=False, meaning="extract raises SpanContextCorruptedException for a malformed trace header."
    )
    error_false_as_ok: bool = _field(_flag(), default=False, meaning="The tag error=False sets the status to OK.")
    status_from_http: bool = _field(
        _flag(), default=True, meaning="An HTTP status code sets the status ERROR: from 500 on servers, from 400 else."
    )
    error_log_sets_status: bool = _field(
        _flag(), default=False, meaning="A log with event=error sets the status ERROR."
    )
    late_sampling: bool = _field(
        _flag(), default=False, meaning="Record every span and take sampling.priority into account until finish."
    )
    sampler: str | None = _field(
        _sampler(),
        None,
        "Jaeger's sampler of the provider that install builds: NAME:ARG, see docs/sampling.md.",
    )
    tail: str | None = _field(
        _tail(),
        None,
        "What is exported of what was recorded, decided when a local trace ends, by the provider that install builds; "
        "see docs/sampling.md.",
    )
    meter: bool = _field(_flag(), default=False, meaning="Measure what tracing costs, see docs/sampling.md.")
    cpu_budget: float | None = _field(
        _share(),
        None,
        "The bridge's part of this process's CPU; above it one warning. Measures, as meter does.",
    )
    adaptive_budget: bool = _field(
        _flag(),
        default=False,
        meaning="Sample less while the bridge is over cpu_budget (0.01 unless set), and more again.",
    )
    debug_throttle: str | None = _field(
        _credits(),
        None,
        "Where credits for forced traces are asked for, operation by operation, as of a Jaeger agent; None: forcing is "
        "free.",
    )
    stringify_sequences: bool = _field(
        _flag(), default=False, meaning="Lists become text, as in jaeger-client, instead of arrays."
    )
    max_tag_value_length: int | None = _field(_length(), None, "Characters kept of a tag or log value.")
    max_traceback_length: int | None = _field(_length(), None, "Characters kept of a stack trace.")
    baggage_plus_is_space: bool = _field(
        _flag(), default=False, meaning="A plus in a baggage header value is read as a space."
    )
    mask_random_bit: bool = _field(
        _flag(), default=False, meaning="traceparent is sent with flags 00 or 01 only, for readers of W3C level 1."
    )
    trust_incoming: str | _Predicate = _field(  # noqa: RUF009  (a field() as all others; the type hides it from the rule)
        _trust(),
        "all",
        "Whose context is continued: everybody's, nobody's, or that of requests for which the function returns True; "
        "it is given the headers, names in lower case. Else the trace starts anew, with a link to what was refused.",
    )
    baggage_max_items: int | None = _field(_length(), None, "Baggage items taken from a request, and sent with one.")
    baggage_max_bytes: int | None = _field(
        _length(), None, "Bytes of baggage, keys and values in UTF-8, taken from a request, and sent with one."
    )
    baggage_allow: tuple[str, ...] = _field(
        _keys(), (), "Keys of the baggage items that are read and sent, in any case; none for all."
    )
    baggage_deny: tuple[str, ...] = _field(
        _keys(), (), "Keys of baggage items that are neither read nor sent, in any case; stronger than baggage_allow."
    )
    redact: str = _field(
        _choice("default", "own", "off"),
        "default",
        "What is redacted before a span processor sees it: passwords, tokens, card numbers and what the other fields "
        "say; only what those say; nothing. See docs/redaction.md.",
    )
    redact_keys: tuple[str, ...] = _field(
        _rules(read_key_rule, f"{KEY_FORM} (in a variable with commas between them)", ","),
        (),
        "Keys of your own whose values are redacted, hashed or cut.",
    )
    redact_values: tuple[Any, ...] = _field(
        _rules(read_value_rule, f"{VALUE_FORM} (in a variable with ';' or line breaks between them)", "[;\n]"),
        (),
        "Patterns of your own, looked for in every text; in code also pairs of a name and a function of the text.",
    )
    redact_safe_keys: tuple[str, ...] = _field(_safe_keys(), (), "Keys that no rule touches.")
    redact_enabled_rules: tuple[str, ...] = _field(
        _names(OPTIONAL_RULES), (), "Rules that are on besides those of the default."
    )
    redact_disabled_rules: tuple[str, ...] = _field(_names(DEFAULT_RULES), (), "Rules of the default that are off.")
    redact_hash_key: HashKey | None = _field(  # noqa: RUF009  (see above)
        _hash_key(), None, "The key of rules that hash; it is never shown."
    )
    redact_dry_run: bool = _field(_flag(), default=False, meaning="Count what would be redacted, and change nothing.")
    redact_baggage: bool = _field(
        _flag(), default=False, meaning="The rules hold for the values of baggage that is sent, too."
    )
    find_unfinished: float | None = _field(
        _age(), None, "Seconds after which a span that was not finished is reported, with the line that started it."
    )
    flood_limit: int | None = _field(
        _length(), None, "Spans of one name under one parent; those beyond it are counted, with one warning a name."
    )
    flood_collapse: bool = _field(
        _flag(), default=False, meaning="One summary is exported in the place of the spans beyond flood_limit."
    )
    trace_id_header: str = _field(_header(), "uber-trace-id", "Header of the Jaeger trace context.")
    baggage_header_prefix: str = _field(_header(), "uberctx-", "Prefix of the Jaeger baggage headers.")
    debug_id_header: str = _field(_header(), "jaeger-debug-id", "Header that forces a trace and names it.")
    baggage_header: str = _field(_header(), "jaeger-baggage", "Header for baggage by hand.")
    scope_name: str = _field(_text(), "opentracing-shim", "Name of the instrumentation scope on exported spans.")
    close_timeout_s: float = _field(_seconds(), 5.0, "Seconds that close() and the interpreter's exit may take.")
    flush_on_sigterm: bool = _field(
        _flag(), default=True, meaning="Spans are sent before SIGTERM ends the process, where nobody else handles it."
    )

    def __new__(cls, *positional: object, **values: object) -> Settings:
        """Refuse unknown fields with an error that names the closest one: the generated __init__ cannot."""
        if positional:
            raise wrong("Settings", positional[0], _ARGUMENT, "keyword arguments, such as extract=('jaeger',)")
        for name, value in values.items():
            if name not in _BY_NAME:
                raise _unknown(name, value, _ARGUMENT)
        return super().__new__(cls)

    # A dataclass would compile them at each start, out of the text of every field.
    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(vars(self).values()))

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    def __post_init__(self) -> None:
        for setting in SETTINGS:
            object.__setattr__(self, setting.name, setting.check(getattr(self, setting.name), _ARGUMENT))
        self._check_headers()
        self._check_hashing()
        if self.flood_collapse and self.flood_limit is None:
            raise wrong("flood_collapse", self.flood_collapse, _ARGUMENT, "flood_limit beside it")

    def _check_hashing(self) -> None:
        if self.redact_hash_key is None:
            for name in ("redact_keys", "redact_values"):
                for rule in getattr(self, name):
                    if isinstance(rule, str) and rule.endswith("-> hash"):
                        raise wrong(name, rule, _ARGUMENT, f"redact_hash_key ({ENV_PREFIX}REDACT_HASH_KEY) beside it")

    def _check_headers(self) -> None:
        taken = dict.fromkeys(_TAKEN_HEADERS, "another format")
        for name in ("trace_id_header", "debug_id_header", "baggage_header"):
            header = getattr(self, name)
            if header in taken:
                raise wrong(name, header, _ARGUMENT, f"a header that {taken[header]} does not use")
            taken[header] = name

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
        """Read the ``OT_BRIDGE_*`` variables; where extract or inject is not set, ``OTEL_PROPAGATORS`` too.

        An empty variable counts as unset. An unknown ``OT_BRIDGE_*`` variable is warned of once.

        Args:
            environ: the variables; None for ``os.environ``.
            **overrides: fields that win over the variables.

        Raises:
            ConfigError: a variable or an override cannot be used.
        """
        environ = os.environ if environ is None else environ
        _warn_of_unknown(environ)
        values: dict[str, Any] = {}
        for setting in SETTINGS:
            text = read(setting.env, environ)
            if setting.name not in overrides and text is not None:
                values[setting.name] = setting.check(setting.kind.parse(text), f"{VARIABLE} {setting.env}")
        propagators = read(_OTEL_PROPAGATORS, environ)
        if propagators is not None:
            values = {
                "extract": _from_propagators(propagators, KNOWN_EXTRACT),
                "inject": _from_propagators(propagators, KNOWN_INJECT),
                **values,
            }
        return cls(**{**values, **overrides})

    @classmethod
    def from_jaeger(
        cls,
        config: Mapping[str, Any] | str | os.PathLike[str],
        *,
        service_name: str | None = None,
        environ: Mapping[str, str] | None = None,
        jaeger_env: str = "python",
    ) -> Settings:
        """Read a configuration of jaeger-client, and the variables over it.

        Where a row of :func:`ot_bridge.jaeger_config.translate` says that a value goes into a field, it is in that
        field here. What goes elsewhere (the endpoint, the resource, the queue) is in the translation.

        Args:
            config: the dict that ``jaeger_client.Config`` takes, or the path of a YAML or JSON file with it.
            service_name: the one beside the dict.
            environ: the variables; None for ``os.environ``. An ``OT_BRIDGE_*`` variable wins over the configuration.
            jaeger_env: "python" for the ``JAEGER_*`` variables that jaeger-client for Python reads, "all" for those of
                the clients of other languages too.

        Raises:
            ConfigError: a value or a variable cannot be used, or the file cannot be read.
        """
        # Who has no such configuration does not wait for what reads it.
        from ot_bridge.jaeger_config import load, translate

        environ = os.environ if environ is None else environ
        found = load(config) if isinstance(config, str | os.PathLike) else config
        translation = translate(found, service_name=service_name, environ=environ, jaeger_env=jaeger_env)
        for row in translation.rows:
            if row.outcome == "unknown":
                hint = f"; did you mean {row.closest}?" if row.closest else ""
                telemetry.warn_once(f"config.jaeger.{row.key}", "%s %s: %s%s", row.origin, row.key, row.reason, hint)
        return cls.from_env(environ, **translation.settings)


def _row(field: dataclasses.Field[Any]) -> Setting:
    return Setting(
        field.name, field.metadata["kind"], field.default, field.metadata["meaning"], field.metadata["since"]
    )


SETTINGS: Final = tuple(_row(field) for field in dataclasses.fields(Settings))
_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}


def _unknown(name: str, value: object, origin: str) -> ConfigError:
    near = closest(name, _BY_NAME)
    hint = f"; did you mean {near!r}?" if near else ""
    if near == "redact_hash_key":
        value = HashKey(b"")  # it was meant to be a secret
    return ConfigError(f"unknown setting {name}={value!r} ({origin}), expected one of {', '.join(_BY_NAME)}{hint}")


def _warn_of_unknown(environ: Mapping[str, str]) -> None:
    known = [*(setting.env for setting in SETTINGS), *OF_TOOLS]
    for name in environ:
        if name.startswith(ENV_PREFIX) and name not in known:
            near = closest(name, known)
            hint = f"; did you mean {near}?" if near else ""
            telemetry.warn_once(f"config.unknown.{name}", "ignoring unknown %s %s%s", VARIABLE, name, hint)


def _from_propagators(text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """Translate OTEL_PROPAGATORS into format names, in its order."""
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if "none" in names:
        return ()
    formats: dict[str, None] = {}
    for name in names:
        if name == "ot_bridge":
            formats.update(dict.fromkeys(DEFAULT_FORMATS))
        elif name in known:
            formats[name] = None
        else:
            telemetry.warn_once(
                f"config.propagator.{name}", "%s: ot_bridge has no format %r, it is left out", _OTEL_PROPAGATORS, name
            )
    return tuple(formats)
