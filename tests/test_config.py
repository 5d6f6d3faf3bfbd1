"""Settings: the rows, the checks, the variables."""

from __future__ import annotations

import copy
import dataclasses
import logging
import pickle
from typing import Any

import pytest

from ot_bridge import ConfigError, Settings, telemetry
from ot_bridge.codecs import KNOWN_EXTRACT
from ot_bridge.config import DEFAULT_FORMATS, SETTINGS

DEFAULTS = {
    "extract": ("jaeger", "tracecontext", "baggage"),
    "inject": ("jaeger", "tracecontext", "baggage"),
    "trace_id_bits": 128,
    "references": "explicit",
    "double_servers": "nest",
    "semconv": "legacy",
    "strict_extract": False,
    "error_false_as_ok": False,
    "status_from_http": True,
    "error_log_sets_status": False,
    "late_sampling": False,
    "tail": None,
    "meter": False,
    "cpu_budget": None,
    "adaptive_budget": False,
    "debug_throttle": None,
    "stringify_sequences": False,
    "max_tag_value_length": None,
    "max_traceback_length": None,
    "baggage_plus_is_space": False,
    "mask_random_bit": False,
    "trust_incoming": "all",
    "baggage_max_items": None,
    "baggage_max_bytes": None,
    "baggage_allow": (),
    "baggage_deny": (),
    "redact": "default",
    "redact_keys": (),
    "redact_values": (),
    "redact_safe_keys": (),
    "redact_enabled_rules": (),
    "redact_disabled_rules": (),
    "redact_hash_key": None,
    "redact_dry_run": False,
    "redact_baggage": False,
    "find_unfinished": None,
    "flood_limit": None,
    "flood_collapse": False,
    "trace_id_header": "uber-trace-id",
    "baggage_header_prefix": "uberctx-",
    "debug_id_header": "jaeger-debug-id",
    "baggage_header": "jaeger-baggage",
    "sampler": None,
    "scope_name": "opentracing-shim",
    "close_timeout_s": 5.0,
    "flush_on_sigterm": True,
}


def changed(settings: Settings) -> dict[str, Any]:
    """Return the fields that are not at their default."""
    return {name: value for name, value in dataclasses.asdict(settings).items() if value != DEFAULTS[name]}


def test_defaults_are_the_documented_ones() -> None:
    assert dataclasses.asdict(Settings()) == DEFAULTS
    assert dataclasses.asdict(Settings.from_env({})) == DEFAULTS


def test_rows_are_the_fields() -> None:
    assert {row.name: row.default for row in SETTINGS} == DEFAULTS
    assert {row.env for row in SETTINGS} == {f"OT_BRIDGE_{name.upper()}" for name in DEFAULTS}
    assert [row.name for row in SETTINGS if not (row.meaning.endswith(".") and row.kind.wanted and row.since)] == []


def test_settings_are_frozen_copied_and_pickled() -> None:
    settings = Settings(extract="jaeger", close_timeout_s=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.extract = ()  # type: ignore[misc]
    assert copy.deepcopy(settings) == pickle.loads(pickle.dumps(settings)) == settings
    assert dataclasses.replace(settings, semconv="new") == Settings(extract="jaeger", close_timeout_s=1, semconv="new")


# -- values ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        pytest.param({"extract": ["tracecontext", "jaeger"]}, {"extract": ("tracecontext", "jaeger")}, id="list"),
        pytest.param({"inject": "baggage , jaeger,"}, {"inject": ("baggage", "jaeger")}, id="comma-string"),
        pytest.param({"inject": ()}, {"inject": ()}, id="no-format"),
        pytest.param({"inject": "none"}, {"inject": ()}, id="none"),
        pytest.param({"trace_id_header": "X-Trace"}, {"trace_id_header": "x-trace"}, id="header-lower-cased"),
        pytest.param({"close_timeout_s": 2}, {"close_timeout_s": 2.0}, id="integer-seconds"),
        pytest.param({"max_tag_value_length": 1024}, {"max_tag_value_length": 1024}, id="length"),
        pytest.param({"cpu_budget": "1.5 %"}, {"cpu_budget": 0.015}, id="per-cent"),
        pytest.param({"cpu_budget": 0.02}, {"cpu_budget": 0.02}, id="share"),
    ],
)
def test_value_is_stored(given: dict[str, Any], stored: dict[str, Any]) -> None:
    assert changed(Settings(**given)) == stored


BAD_VALUES = [
    ("extract", "jaegr", "got 'jaegr' (argument), expected names out of ", "did you mean 'jaeger'?"),
    ("extract", ["jaeger", None], "got None (argument), expected names out of ", ""),
    ("extract", 7, "got 7 (argument), expected names out of ", ""),
    ("inject", ["jaeger", "baggage", "jaeger"], "got 'jaeger' (argument), expected 'jaeger' at most once", ""),
    ("trace_id_bits", 32, "got 32 (argument), expected 128 or 64", ""),
    ("trace_id_bits", 64.0, "got 64.0 (argument), expected 128 or 64", ""),
    ("trace_id_bits", True, "got True (argument), expected 128 or 64", ""),
    ("references", "Jaeger ", "expected 'explicit' or 'jaeger'", "did you mean 'jaeger'?"),
    ("semconv", "nwe", "expected 'legacy', 'dup' or 'new'", "did you mean 'new'?"),
    ("strict_extract", "true", "got 'true' (argument), expected True or False", ""),
    ("late_sampling", 1, "got 1 (argument), expected True or False", ""),
    ("max_tag_value_length", 0, "got 0 (argument), expected an integer above 0", ""),
    ("max_traceback_length", True, "got True (argument), expected an integer above 0", ""),
    ("close_timeout_s", -0.1, "got -0.1 (argument), expected a finite number of seconds, at least 0", ""),
    ("close_timeout_s", float("nan"), "got nan (argument), expected a finite number", ""),
    ("close_timeout_s", "5", "got '5' (argument), expected a finite number", ""),
    ("cpu_budget", 1, "got 1 (argument), expected a number above 0 and below 1, or a text such as '1%'", ""),
    ("cpu_budget", 0.0, "got 0.0 (argument), expected a number above 0 and below 1", ""),
    ("cpu_budget", True, "got True (argument), expected a number above 0 and below 1", ""),
    ("cpu_budget", "100%", "got '100%' (argument), expected a number above 0 and below 1", ""),
    ("cpu_budget", "1 %%", "got '1 %%' (argument), expected a number above 0 and below 1", ""),
    ("cpu_budget", "nan", "got 'nan' (argument), expected a number above 0 and below 1", ""),
    ("adaptive_budget", "1%", "got '1%' (argument), expected True or False", ""),
    ("meter", 1, "got 1 (argument), expected True or False", ""),
    ("scope_name", " ", "got ' ' (argument), expected a non-empty str", ""),
    ("trace_id_header", "uber trace", "expected an HTTP header name", ""),
    ("trace_id_header", "a\r\nb", "expected an HTTP header name", ""),
    ("debug_id_header", b"x", "got b'x' (argument), expected an HTTP header name", ""),
    ("trace_id_header", "TraceParent", "expected a header that another format does not use", ""),
    ("debug_id_header", "uber-trace-id", "expected a header that trace_id_header does not use", ""),
]


@pytest.mark.parametrize(("name", "value", "reason", "hint"), BAD_VALUES, ids=[f"{c[0]}={c[1]!r}" for c in BAD_VALUES])
def test_bad_value_is_refused_by_name(name: str, value: Any, reason: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(**{name: value})
    text = str(caught.value)
    assert text.startswith(f"cannot use {name}: ")
    assert reason in text
    assert text.endswith(hint)


def test_value_whose_repr_fails_is_refused_by_name() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no repr")

    with pytest.raises(ConfigError, match=r"^cannot use references: got <Broken instance"):
        Settings(references=Broken())  # type: ignore[arg-type]


def test_unknown_field_names_the_closest_one() -> None:
    with pytest.raises(
        ConfigError, match=r"^unknown setting refrences='jaeger' \(argument\).*did you mean 'references'\?$"
    ):
        Settings(refrences="jaeger")  # type: ignore[call-arg]


def test_unknown_field_without_a_close_one_lists_them() -> None:
    with pytest.raises(
        ConfigError, match=r"^unknown setting zzz=1 \(argument\), expected one of extract, .*_on_sigterm$"
    ):
        dataclasses.replace(Settings(), zzz=1)  # type: ignore[call-arg]


def test_dict_instead_of_keywords_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected keyword arguments"):
        Settings({"extract": "jaeger"})  # type: ignore[misc]


# -- variables ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({"OT_BRIDGE_EXTRACT": "TraceContext, jaeger"}, {"extract": ("tracecontext", "jaeger")}, id="list"),
        pytest.param({"OT_BRIDGE_INJECT": "none"}, {"inject": ()}, id="none"),
        pytest.param({"OT_BRIDGE_TRACE_ID_BITS": " 64 "}, {"trace_id_bits": 64}, id="choice"),
        pytest.param({"OT_BRIDGE_SEMCONV": "DUP"}, {"semconv": "dup"}, id="choice-in-upper-case"),
        pytest.param({"OT_BRIDGE_MAX_TAG_VALUE_LENGTH": "256"}, {"max_tag_value_length": 256}, id="length"),
        pytest.param({"OT_BRIDGE_MAX_TAG_VALUE_LENGTH": "None"}, {}, id="no-length"),
        pytest.param({"OT_BRIDGE_CLOSE_TIMEOUT_S": "0.5"}, {"close_timeout_s": 0.5}, id="seconds"),
        pytest.param({"OT_BRIDGE_CPU_BUDGET": "1%"}, {"cpu_budget": 0.01}, id="budget"),
        pytest.param({"OT_BRIDGE_CPU_BUDGET": "none"}, {}, id="no-budget"),
        pytest.param({"OT_BRIDGE_SCOPE_NAME": "Shop"}, {"scope_name": "Shop"}, id="text-keeps-its-case"),
        pytest.param({"OT_BRIDGE_EXTRACT": "", "OT_BRIDGE_STRICT_EXTRACT": "  "}, {}, id="empty-is-unset"),
    ],
)
def test_variable_is_read(environ: dict[str, str], expected: dict[str, Any]) -> None:
    assert changed(Settings.from_env(environ)) == expected


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("1", True),
        ("true", True),
        ("Yes", True),
        ("ON", True),
        ("0", False),
        ("FALSE", False),
        ("no", False),
        ("Off", False),
    ],
)
def test_flag_variable_is_read(text: str, flag: bool) -> None:
    environ = {"OT_BRIDGE_STRICT_EXTRACT": text, "OT_BRIDGE_STATUS_FROM_HTTP": text}
    settings = Settings.from_env(environ)
    assert (settings.strict_extract, settings.status_from_http) == (flag, flag)


@pytest.mark.parametrize(
    ("variable", "text", "reason"),
    [
        ("EXTRACT", "jaeger,tracecontex", "did you mean 'tracecontext'"),
        ("STRICT_EXTRACT", "ture", "did you mean 'true'"),
        ("TRACE_ID_BITS", "12B", "did you mean '128'"),
        ("MAX_TAG_VALUE_LENGTH", "1_024", "an integer above 0"),
        ("MAX_TRACEBACK_LENGTH", "-1", "an integer above 0"),
        ("CPU_BUDGET", "1", "a number above 0 and below 1"),
        ("ADAPTIVE_BUDGET", "ture", "did you mean 'true'"),
        ("CLOSE_TIMEOUT_S", "5s", "a finite number of seconds"),
        ("CLOSE_TIMEOUT_S", "inf", "a finite number of seconds"),
    ],
)
def test_bad_variable_is_refused_by_name(variable: str, text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.from_env({f"OT_BRIDGE_{variable}": text})
    assert str(caught.value).startswith(f"cannot use {variable.lower()}: got ")
    assert f"(environment variable OT_BRIDGE_{variable})" in str(caught.value)
    assert reason in str(caught.value)


def test_override_wins_over_its_variable() -> None:
    environ = {"OT_BRIDGE_SEMCONV": "wrong", "OT_BRIDGE_REFERENCES": "jaeger"}
    assert changed(Settings.from_env(environ, semconv="new")) == {"semconv": "new", "references": "jaeger"}


def test_bad_override_is_refused_as_argument() -> None:
    with pytest.raises(ConfigError, match=r"^cannot use semconv: got 'x' \(argument\)"):
        Settings.from_env({}, semconv="x")


def test_process_environment_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OT_BRIDGE_REFERENCES", "jaeger")
    assert changed(Settings.from_env()) == {"references": "jaeger"}


def test_unknown_variable_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    Settings.from_env({"OT_BRIDGE_EXTRAKT": "jaeger"})
    Settings.from_env({"OT_BRIDGE_EXTRAKT": "jaeger"})
    assert caplog.messages == [
        "ignoring unknown environment variable OT_BRIDGE_EXTRAKT; did you mean OT_BRIDGE_EXTRACT?"
    ]
    assert telemetry.snapshot() == {"config.unknown.OT_BRIDGE_EXTRAKT": 2}


# -- OTEL_PROPAGATORS --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "formats"),
    [
        ("tracecontext,baggage", ("tracecontext", "baggage")),
        ("baggage, JAEGER ,baggage", ("baggage", "jaeger")),
        ("ot_bridge", DEFAULT_FORMATS),
        ("none", ()),
        ("tracecontext,none", ()),
    ],
)
def test_propagators_choose_the_formats(text: str, formats: tuple[str, ...]) -> None:
    settings = Settings.from_env({"OTEL_PROPAGATORS": text})
    assert (settings.extract, settings.inject) == (formats, formats)


@pytest.mark.parametrize("name", KNOWN_EXTRACT)
def test_every_format_can_be_chosen_as_propagator(name: str) -> None:
    settings = Settings.from_env({"OTEL_PROPAGATORS": name})
    assert (settings.extract, settings.inject) == ((name,), (name,))


def test_own_variable_wins_over_propagators() -> None:
    environ = {"OTEL_PROPAGATORS": "tracecontext", "OT_BRIDGE_EXTRACT": "jaeger"}
    assert changed(Settings.from_env(environ)) == {"extract": ("jaeger",), "inject": ("tracecontext",)}


def test_override_wins_over_propagators() -> None:
    settings = Settings.from_env({"OTEL_PROPAGATORS": "tracecontext"}, inject="baggage")
    assert changed(settings) == {"extract": ("tracecontext",), "inject": ("baggage",)}


def test_propagator_without_a_format_is_warned_of_once_by_name(caplog: pytest.LogCaptureFixture) -> None:
    assert Settings.from_env({"OTEL_PROPAGATORS": "xray,tracecontext"}).extract == ("tracecontext",)
    assert [(r.levelno, r.getMessage()) for r in caplog.records] == [
        (logging.WARNING, "OTEL_PROPAGATORS: ot_bridge has no format 'xray', it is left out")
    ]
