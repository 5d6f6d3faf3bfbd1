"""What was given: the dict flattened, the variables beside it, and who wins where both say something."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from ot_bridge.environment import VARIABLE, closest, wrong
from ot_bridge.errors import ConfigError
from ot_bridge.jaeger_config.keys import CONFIG_KEYS, ENV_KEYS, SECTIONS, EnvKey
from ot_bridge.jaeger_config.readers import EMPTY, Read, Reader, UnreadableError, as_text
from ot_bridge.jaeger_config.result import CONFIG, Row
from ot_bridge.jaeger_config.sampler_text import is_object

__all__ = ["Given", "as_mapping", "closest_key", "flatten", "variables"]

_PREFIX: Final = "JAEGER_"
_NEAR: Final = 0.85
_KUBERNETES: Final = ("_SERVICE_HOST", "_SERVICE_PORT", "_TCP", "_UDP", "_TCP_ADDR", "_TCP_PORT", "_TCP_PROTO")
_NOT_READ: Final = "jaeger-client for Python does not read it; jaeger_env='all' does"


class Given(NamedTuple):
    """One value as it was given."""

    key: str
    """The name to show: a key of the dict, or a variable."""
    value: Any
    origin: str
    read: Reader
    dropped: str | None = None
    secret: bool = False

    def taken(self) -> Read:
        """Return what the value counts as.

        Raises:
            ConfigError: it is one that jaeger-client fails over.
        """
        try:
            return self.read(self.value)
        except UnreadableError as reason:
            raise wrong(self.key, self.value, self.origin, reason.wanted, reason.known) from None

    def row(self, outcome: Any, **more: Any) -> Row:
        """Return the row for this key."""
        return Row(key=self.key, value=self.value, origin=self.origin, outcome=outcome, secret=self.secret, **more)


def closest_key(key: str) -> str | None:
    """Return the key that was most likely meant, also where it stands in another section."""
    known = {name.lower(): name for name in CONFIG_KEYS}
    # The last part alone, for keys that were put at the wrong place.
    for name in CONFIG_KEYS:
        known.setdefault(name.rpartition(".")[2], name)
    text = key.strip().lower().replace("-", "_").replace(".", "_")
    spellings = {name.replace(".", "_"): full for name, full in known.items()}
    near = closest(text, spellings) or closest(text.rpartition("_")[2], spellings)
    return spellings[near] if near else None


def flatten(config: Mapping[Any, Any]) -> Iterator[Given | Row]:
    """Yield each key of the dict, and the row for each that cannot be read at all."""
    for key, value in config.items():
        name = as_text(key)
        row = CONFIG_KEYS.get(name) if isinstance(key, str) else None
        if row is None or "." in name:
            yield _unknown(name, value)
        elif name not in SECTIONS:
            yield Given(name, value, CONFIG, row.read, row.dropped)
        elif isinstance(value, Mapping):
            yield from _section(name, value)
        else:
            yield _no_section(name, value)


def _section(name: str, section: Mapping[Any, Any]) -> Iterator[Given | Row]:
    if name == "throttler":
        # It is the section itself, empty or not, that switches the throttler on.
        yield Given(name, section, CONFIG, CONFIG_KEYS[name].read, CONFIG_KEYS[name].dropped)
    for key, value in section.items():
        full = f"{name}.{as_text(key)}"
        row = CONFIG_KEYS.get(full) if isinstance(key, str) else None
        if row is None:
            yield _unknown(full, value)
            continue
        given = Given(full, value, CONFIG, row.read, row.dropped)
        # A host that is not filled in leaves JAEGER_AGENT_HOST its turn.
        yield given.row("unused", note=EMPTY) if value is None and full.endswith("_host") else given


def _no_section(name: str, value: Any) -> Given | Row:
    row = CONFIG_KEYS[name]
    given = Given(name, value, CONFIG, row.read, row.dropped)
    if value is None:
        return given.row("unused", note=EMPTY)
    if name == "sampler":
        if is_object(value):
            return given
        raise wrong(name, value, CONFIG, "a section with type and param, or a sampler of jaeger_client")
    if name == "throttler":
        return given
    return given.row(
        "dropped", reason="it is no section; its defaults count, as jaeger-client falls back without a word"
    )


def _unknown(name: str, value: Any) -> Row:
    return Row(
        key=name,
        value=value,
        origin=CONFIG,
        outcome="unknown",
        reason="jaeger-client knows no such key",
        closest=closest_key(name),
    )


def variables(environ: Mapping[str, str], jaeger_env: str) -> Iterator[Given | Row]:
    """Yield each ``JAEGER_*`` variable that is read, and the row for each that is not. An empty one is unset."""
    for name, value in environ.items():
        if not name.startswith(_PREFIX) or not value.strip():
            continue
        row = ENV_KEYS.get(name)
        if row is None:
            yield _unknown_variable(name, value, jaeger_env)
        elif row.by_python or jaeger_env == "all":
            yield from _variable(row, value)
        else:
            yield Row(key=name, value=value, origin=VARIABLE, outcome="unused", note=_NOT_READ, secret=row.secret)


def _variable(row: EnvKey, value: str) -> Iterable[Given | Row]:
    given = Given(row.name, value, VARIABLE, row.read, row.dropped, row.secret)
    if row.dropped and row.stands_for is None:
        yield given.row("dropped", reason=row.dropped)
    else:
        yield given


def _unknown_variable(name: str, value: str, jaeger_env: str) -> Row:
    if name.endswith(_KUBERNETES) or value.startswith(("tcp://", "udp://")):
        note = "Kubernetes sets it for a Service of that name; no client reads it"
        return Row(key=name, value=value, origin=VARIABLE, outcome="unused", note=note)
    near = closest(name, ENV_KEYS, cutoff=_NEAR)
    if near is None and jaeger_env != "all":
        note = "no Jaeger client reads it; the application may"
        return Row(key=name, value=value, origin=VARIABLE, outcome="unused", note=note, secret=True)
    reason = "no Jaeger client reads it"
    return Row(key=name, value=value, origin=VARIABLE, outcome="unknown", reason=reason, closest=near, secret=True)


def as_mapping(config: object) -> dict[Any, Any]:
    """Return a copy of the dict.

    Raises:
        ConfigError: it is no mapping, or one that cannot be read.
    """
    if not isinstance(config, Mapping):
        raise wrong("config", config, "argument", "a mapping such as {'sampler': {'type': 'const', 'param': 1}}")
    try:
        return dict(config)
    except Exception as error:
        raise ConfigError(f"cannot read config (argument): {type(error).__name__}: {error}") from error
