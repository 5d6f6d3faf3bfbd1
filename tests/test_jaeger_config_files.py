"""The configuration out of files and texts, and the mistakes in them."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest

from ot_bridge import ConfigError, Settings, telemetry
from ot_bridge.jaeger_config import load, parse

CONFIG: dict[str, Any] = {"sampler": {"type": "const", "param": True}, "logging": None}
YAML = "sampler:\n  type: const\n  param: true\nlogging:\n"
HOMESERVER = """\
server_name: example.org
metrics: true
listeners: [{port: 8008}]
opentracing:
  enabled: true
  jaeger_config:
    sampler: {type: const, param: true}
    logging:
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", YAML),
        ("a.yml", "\ufeff" + YAML),
        ("a.conf", YAML),
        ("a.json", json.dumps(CONFIG)),
        ("a", json.dumps(CONFIG)),
        ("a.txt", repr(CONFIG)),
        ("a.py", f"config = {CONFIG!r}\n"),
        ("b", f"\n  JAEGER = {CONFIG!r}"),
    ],
)
def test_file_is_read_by_its_name_or_its_text(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert load(tmp_path / name) == load(str(tmp_path / name)) == CONFIG


def test_python_literal_has_pythons_none_and_yaml_has_its_own() -> None:
    assert parse("{'a': None, 'enabled': 'None'}") == {"a": None, "enabled": "None"}
    assert parse("{a: null, 'b': None}", syntax="yaml") == {"a": None, "b": "None"}


def test_section_is_a_part_of_a_bigger_file() -> None:
    assert parse(HOMESERVER, section="opentracing.jaeger_config") == CONFIG
    assert parse("a:\n  7:\n    enabled: false\n", section="a.7") == {"enabled": False}


def test_empty_section_is_a_configuration_without_keys() -> None:
    assert parse("jaeger:\n", section="jaeger") == {}


MISTAKES: list[tuple[str, dict[str, Any], str]] = [
    ("", {}, "cannot read text: it is empty"),
    (" \n", {}, "cannot read text: it is empty"),
    ("a: [", {}, "cannot read text: it is no YAML: "),
    ("password: hunter2: x", {}, "cannot read text: it is no YAML: mapping values are not allowed here (line 1)"),
    ("!!python/object:os.system {}", {}, "cannot read text: it is no YAML: could not determine a constructor"),
    ("a: 1\n---\nb: 2\n", {}, "cannot read text: it is no YAML: but found another document (line 2)"),
    ("{'a': 1", {"syntax": "json"}, "cannot read text: it is no JSON: "),
    ("{'a': open('x')}", {}, "cannot read text: open('x') is code, expected a literal: values only"),
    ("c = {'a': os.environ}", {}, "cannot read text: os.environ is code, expected a literal: values only"),
    ("a = 1\nb = 2", {"syntax": "python"}, "it is no Python literal: expected one dict, or name = dict"),
    ("{" * 500, {"syntax": "python"}, "cannot read text: it is no Python literal: "),
    ("[1, 2]", {}, "cannot read text: it is a list, expected names and values"),
    ("just words", {}, "cannot read text: it is a str, expected names and values"),
    (YAML, {"syntax": "ini"}, "cannot use syntax: got 'ini' (argument), expected 'yaml', 'json' or 'python'"),
    (
        HOMESERVER,
        {},
        "cannot read text: no key of jaeger-client in it itself, but in section 'opentracing.jaeger_config'",
    ),
    (
        HOMESERVER,
        {"section": "opentracing.jaeger"},
        "it has no section 'opentracing.jaeger'; did you mean 'opentracing.jaeger_config'?",
    ),
    (HOMESERVER, {"section": "server_name.x"}, "cannot read text: server_name is a str, and has no section 'x'"),
    (HOMESERVER, {"section": "metrics"}, "section 'metrics' is a bool, expected names and values"),
]


@pytest.mark.parametrize(("text", "arguments", "message"), MISTAKES, ids=[c[2][-40:] for c in MISTAKES])
def test_text_that_cannot_be_read_is_refused_without_quoting_it(
    text: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, **arguments)
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file or directory"),
        (b"\xff\xfe\x00", "it is no text"),
        (b"a\xff", "it is no text in UTF-8 (byte 1)"),
    ],
)
def test_file_that_cannot_be_read_is_refused_by_name(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "jaeger.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value).startswith(f"cannot read {path}: ")
    assert message in str(caught.value)


def test_file_in_utf16_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(YAML, encoding="utf-16")
    assert load(tmp_path / "a.yaml") == CONFIG


def test_without_pyyaml_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def no_yaml(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "yaml":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_yaml)
    with pytest.raises(ConfigError, match=r"YAML needs the package PyYAML: python -m pip install 'ot-bridge\[yaml\]'"):
        parse(YAML)
    assert parse(repr(CONFIG)) == CONFIG


# -- Settings.from_jaeger ----------------------------------------------------------------------------------------------


def test_settings_come_from_a_dict_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(YAML, encoding="utf-8")
    expected = Settings(sampler="const:1", trace_id_bits=64, references="jaeger")
    assert Settings.from_jaeger(CONFIG, environ={}) == expected
    assert Settings.from_jaeger(tmp_path / "a.yaml", environ={}) == expected
    assert Settings.from_jaeger(str(tmp_path / "a.yaml"), environ={}) == expected


def test_variables_of_the_bridge_win_over_the_configuration() -> None:
    environ = {"OT_BRIDGE_SAMPLER": "const:0", "OT_BRIDGE_CLOSE_TIMEOUT_S": "1", "JAEGER_TRACEID_128BIT": "true"}
    found = Settings.from_jaeger({**CONFIG, "propagation": "b3"}, environ=environ)
    assert found == Settings(
        sampler="const:0",
        close_timeout_s=1,
        references="jaeger",
        extract="b3,jaeger,tracecontext",
        inject="b3multi,jaeger,tracecontext",
    )


def test_variables_of_every_client_are_asked_for() -> None:
    environ = {"JAEGER_PROPAGATION": "b3"}
    plain, every = (Settings.from_jaeger({}, environ=environ, jaeger_env=which) for which in ("python", "all"))
    assert (plain.extract[0], every.extract[0]) == ("jaeger", "b3")


def test_unknown_key_is_warned_of_once_with_the_closest(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        Settings.from_jaeger({"smapler": {}, "logging": True}, environ={})
    assert caplog.messages == ["configuration smapler: jaeger-client knows no such key; did you mean sampler?"]
    assert dict(telemetry.snapshot()) == {"config.jaeger.smapler": 2}


def test_headers_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^cannot use trace_id_header: got 'traceparent'"):
        Settings.from_jaeger({"trace_id_header": "traceparent"}, environ={})
