"""``ot-bridge config``: what it reads, what it prints and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

SECRET = "hunter2-hunter2"
CONST = "{'sampler': {'type': 'const', 'param': 1}}"
HOMESERVER = """\
server_name: example.org
opentracing:
  enabled: true
  jaeger_config:
    sampler: {type: const, param: 1}
    logging: false
"""


def run(*arguments: str, stdin: str | bytes = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command; no terminal is there."""
    done = subprocess.run(
        [sys.executable, "-m", "ot_bridge.cli", "config", *arguments],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **variables},
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


# -- the table ---------------------------------------------------------------------------------------------------------

CONFIG = {
    "sampler": {"type": "probabilistic", "param": 0.1},
    "logging": True,
    "local_agent": {"reporting_host": "jaeger-agent", "reporting_port": 6831},
    "reporter_flush_interval": 2,
    "reporter_batch_sise": 10,
    "tags": {"team": "pay", "db_password": SECRET, "url": f"http://u:{SECRET}@db/"},
}

PAGE = """\
Old key                      Value           New place
────────────────────────────────────────────────────────────────────────────────
sampler.type                 probabilistic   OT_BRIDGE_SAMPLER=
                                             probabilistic:0.1
sampler.param                0.1             OT_BRIDGE_SAMPLER=
                                             probabilistic:0.1
logging                      True            dropped because no variable logs
                                             every span: ot_bridge.jaeger_client
                                             does so from this key, elsewhere
                                             OTEL_TRACES_EXPORTER=otlp,console
                                             prints them
local_agent.reporting_host   jaeger-agent    OTEL_EXPORTER_OTLP_ENDPOINT=
                                             http://jaeger-agent:4318
                                             with OTLP's port; the old port
                                             takes no OTLP
local_agent.reporting_port   6831            dropped because a UDP port of
                                             Jaeger's agent takes no OTLP; the
                                             endpoint has OTLP's own port
reporter_flush_interval      2               OTEL_BSP_SCHEDULE_DELAY=2000
reporter_batch_sise          10              dropped because jaeger-client knows
                                             no such key; did you mean
                                             reporter_batch_size?
tags.team                    pay             OTEL_RESOURCE_ATTRIBUTES=
                                             team=pay
tags.db_password             (not shown)     OTEL_RESOURCE_ATTRIBUTES=
                                             (not shown)
tags.url                     (not shown)     OTEL_RESOURCE_ATTRIBUTES=
                                             (not shown)
service_name                 shop            OTEL_SERVICE_NAME=shop
generate_128bit_trace_id     (default)       OT_BRIDGE_TRACE_ID_BITS=64
                                             jaeger-client's ids are short
                                             unless it is told otherwise
references                   (default)       OT_BRIDGE_REFERENCES=jaeger
                                             in jaeger-client the active span
                                             comes before references=

3 of 11 keys could not be carried.

Environment
export OTEL_SERVICE_NAME=shop
export OTEL_EXPORTER_OTLP_ENDPOINT=http://jaeger-agent:4318
export OTEL_BSP_SCHEDULE_DELAY=2000
export OT_BRIDGE_SAMPLER=probabilistic:0.1
export OT_BRIDGE_TRACE_ID_BITS=64
export OT_BRIDGE_REFERENCES=jaeger
# OTEL_RESOURCE_ATTRIBUTES: not shown, --format env has it
"""


def stripped(text: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def test_page_has_each_old_key_and_its_new_place_or_why_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "jaeger.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False), encoding="utf-8")
    done = run(str(tmp_path / "jaeger.yaml"), "--service-name", "shop")
    assert (done.returncode, done.stderr) == (0, "")
    assert stripped(done.stdout) == PAGE


def test_table_is_at_most_80_columns_wide_and_shows_no_control_character() -> None:
    config = {"tags": {"k" * 60: "v" * 300, "e\x1b[31m": "\x07\n"}, "trace_id_header": "x-" + "y" * 90}
    done = run("--literal", repr(config), "--format", "table")
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert [one for one in done.stdout if not one.isprintable() and one != "\n"] == []


def test_all_that_is_given_is_carried_is_said() -> None:
    done = run("--literal", CONST, "--format", "table", "--strict")
    assert (done.returncode, done.stdout.rstrip().rpartition("\n")[2]) == (0, "All that was given is carried.")


# -- input -------------------------------------------------------------------------------------------------------------

ENVIRONMENT = [
    "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318",
    "OT_BRIDGE_SAMPLER=const:1",
    "OT_BRIDGE_TRACE_ID_BITS=64",
    "OT_BRIDGE_REFERENCES=jaeger",
]
NO_NAME = "No service name: add --service-name NAME, or set OTEL_SERVICE_NAME\n"


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (["--literal", CONST], ""),
        (["--literal", '{"sampler": {"type": "const", "param": true}}'], ""),
        (["--literal", "sampler: {type: const, param: 1}", "--syntax", "yaml"], ""),
        ([], CONST),
        (["-"], "sampler:\n  type: const\n  param: yes\n"),
        (["--section", "opentracing.jaeger_config"], HOMESERVER),
    ],
)
def test_configuration_is_read_from_an_argument_or_stdin(arguments: list[str], stdin: str) -> None:
    done = run(*arguments, "--format", "dotenv", stdin=stdin)
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (0, ENVIRONMENT, NO_NAME)


@pytest.mark.parametrize(
    ("name", "text", "more"),
    [
        ("a.json", json.dumps({"sampler": {"type": "const", "param": 1}}), []),
        ("a.yaml", "sampler: {type: const, param: 1}", []),
        ("a.txt", CONST, []),
        ("homeserver.yaml", HOMESERVER, ["--section", "opentracing.jaeger_config"]),
    ],
)
def test_configuration_is_read_from_a_file(name: str, text: str, more: list[str], tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    done = run(str(tmp_path / name), *more, "--format", "dotenv")
    assert (done.returncode, done.stdout.splitlines()) == (0, ENVIRONMENT)


def test_environment_is_read_only_when_asked_for() -> None:
    variables = {"JAEGER_AGENT_HOST": "agent", "JAEGER_SAMPLER_TYPE": "const", "JAEGER_SAMPLER_PARAM": "1"}
    file_alone = run("--literal", CONST, "-f", "json", **variables)
    both = run("--literal", CONST, "-f", "json", "--env", **variables)
    python = run("--env", "-f", "json", **variables)
    every = run("--jaeger-env", "all", "-f", "json", **variables)
    found = [json.loads(done.stdout)["environment"] for done in (file_alone, both, python, every)]
    assert [(each["OTEL_EXPORTER_OTLP_ENDPOINT"], each["OT_BRIDGE_SAMPLER"]) for each in found] == [
        ("http://localhost:4318", "const:1"),
        ("http://agent:4318", "const:1"),
        ("http://agent:4318", "remote:endpoint=http://agent:5778/sampling"),
        ("http://agent:4318", "const:1"),
    ]


def test_what_is_set_already_is_not_printed_again() -> None:
    done = run("--env", "-f", "env", OTEL_EXPORTER_OTLP_ENDPOINT="http://c", OTEL_SERVICE_NAME="shop")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.partition("=")[0] for line in done.stdout.splitlines()] == [
        "export OT_BRIDGE_SAMPLER",
        "export OT_BRIDGE_TRACE_ID_BITS",
        "export OT_BRIDGE_REFERENCES",
    ]


UNREADABLE: list[tuple[list[str], str, str]] = [
    (["/nowhere/jaeger.yaml"], "", "cannot read /nowhere/jaeger.yaml: No such file or directory"),
    ([], "", "cannot read stdin: it is empty"),
    ([], "a: [", "cannot read stdin: it is no YAML"),
    (["--literal", "{'a': f()}"], "", "cannot read --literal: f() is code, expected a literal: values only"),
    (["--literal", CONST, "file"], "", "got a file and --literal, expected one of them"),
    (["--env", "--section", "a"], "", "--section needs a file"),
    ([], HOMESERVER, "no key of jaeger-client in it itself, but in section 'opentracing.jaeger_config'"),
    (["--section", "opentracing.jaeger"], HOMESERVER, "did you mean 'opentracing.jaeger_config'?"),
    (["--literal", "{'sampler': {'type': 'cosnt'}}"], "", "cannot use sampler.type: got 'cosnt'"),
    (["--literal", "{'trace_id_header': 'traceparent'}"], "", "cannot use trace_id_header: got 'traceparent'"),
    (["--format", "xml"], "", "'xml' is not one of"),
]


@pytest.mark.parametrize(("arguments", "stdin", "message"), UNREADABLE, ids=[c[2][:40] for c in UNREADABLE])
def test_input_that_cannot_be_used_ends_with_2_and_says_why(arguments: list[str], stdin: str, message: str) -> None:
    done = run(*arguments, stdin=stdin)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_stdin_that_is_no_text_ends_with_2() -> None:
    done = run("-", stdin=b"a\xff")
    assert done.returncode == 2
    assert "cannot read stdin: it is no text in UTF-8 (byte 1)" in done.stderr


# -- how it ends -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "code"),
    [
        (CONST, 0),
        ("{'sampler': {'type': 'const', 'param': 1}, 'logging': False, 'enabled': True}", 0),
        ("{'smapler': {}}", 1),
        ("{'logging': True}", 1),
        ("{'local_agent': {'reporting_port': 6831}}", 1),
    ],
)
def test_strict_ends_with_1_when_something_could_not_be_carried(config: str, code: int) -> None:
    strict, lenient = (run("--literal", config, "--format", "env", *more) for more in (["--strict"], []))
    assert (strict.returncode, lenient.returncode) == (code, 0)
    assert strict.stdout == lenient.stdout != ""


@pytest.mark.parametrize("form", ["env", "dotenv", "k8s", "otel-config"])
def test_what_could_not_be_carried_is_said_beside_every_format(form: str) -> None:
    done = run("--literal", "{'smapler': {}}", "--service-name", "shop", "--format", form)
    assert done.stderr == "smapler: dropped because jaeger-client knows no such key; did you mean sampler?\n"


# -- secrets -----------------------------------------------------------------------------------------------------------

SECRETS: list[dict[str, Any]] = [
    {"tags": {"password": SECRET}},
    {"tags": {"api-key": SECRET}},
    {"tags": {"note": f"Bearer {SECRET}"}},
    {"tags": {"dsn": f"postgres://u:{SECRET}@db/x"}},
    {"local_agent": {"auth_token": SECRET}},
    {"auth": {"password": SECRET}},
    {"nested": {"deep": [{"token": SECRET}]}},
    {"credentials": [SECRET]},
]


@pytest.mark.parametrize("config", SECRETS, ids=repr)
def test_table_and_old_values_show_no_secret(config: dict[str, Any]) -> None:
    table = run("--literal", repr({**config, "service_name": "shop"}))
    rows = json.loads(run("--literal", repr(config), "--format", "json").stdout)["rows"]
    assert "shop" in table.stdout
    assert "unte" not in table.stdout + table.stderr + json.dumps(rows)
    assert "(not shown)" in json.dumps(rows)


def test_secrets_of_the_variables_are_not_shown() -> None:
    variables = {
        "JAEGER_PASSWORD": SECRET,
        "JAEGER_AUTH_TOKEN": SECRET,
        "JAEGER_ENDPOINT": f"http://u:{SECRET}@c/api/traces",
        "JAEGER_TAGS": f"token={SECRET},x{SECRET}",
        "JAEGER_OWN": SECRET,
    }
    for which in ("python", "all"):
        done = run("--env", "--jaeger-env", which, **variables)
        assert done.returncode == 0
        assert SECRET not in "".join(done.stdout.split()) + done.stderr
