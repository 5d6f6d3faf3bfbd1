"""The redact* settings: what is taken from code and from variables, what is refused, and a secret that is not shown."""

from __future__ import annotations

import dataclasses
import logging
import pickle
from typing import Any

import pytest

from ot_bridge import ConfigError, Settings
from ot_bridge.config import SETTINGS
from ot_bridge.matrix import page
from ot_bridge.redacting import redactor_of

KEY = "correct horse battery staple"


def in_variables(**fields: str) -> Settings:
    return Settings.from_env({f"OT_BRIDGE_{name.upper()}": text for name, text in fields.items()})


def test_variables_say_the_same_as_code() -> None:
    from_variables = in_variables(
        redact="Own",
        redact_keys="user.email -> hash, *.iban, note -> truncate 20",
        redact_values="customer=C-[0-9]{1,8};plate=[A-Z]{2} [0-9]{2} -> hash",
        redact_safe_keys="next_page_token, raw.*",
        redact_enabled_rules="card_digits,email",
        redact_disabled_rules="jwt,aws",
        redact_hash_key=KEY,
        redact_dry_run="yes",
        redact_baggage="on",
    )
    assert from_variables == Settings(
        redact="own",
        redact_keys=["user.email -> hash", "*.iban", "note -> truncate 20"],
        redact_values=["customer=C-[0-9]{1,8}", "plate=[A-Z]{2} [0-9]{2} -> hash"],
        redact_safe_keys=["next_page_token", "raw.*"],
        redact_enabled_rules=["card_digits", "email"],
        redact_disabled_rules=["jwt", "aws"],
        redact_hash_key=KEY,
        redact_dry_run=True,
        redact_baggage=True,
    )


def test_function_is_taken_in_code() -> None:
    settings = Settings(redact_values=[("long_text", str.isupper)])
    found: Any = redactor_of(settings)
    assert (settings.redact_values, found.text("ABC")) == ((("long_text", str.isupper),), "[redacted: long_text]")


def test_same_settings_share_their_rules() -> None:
    assert redactor_of(Settings()) is redactor_of(Settings())
    assert redactor_of(Settings(redact="off")) is None


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("redact", "all", "got 'all'"),
        ("redact_keys", "*", "got '*'"),
        ("redact_keys", ["a -> shred"], "got 'a -> shred'"),
        ("redact_keys", [5], "got 5"),
        ("redact_keys", 5, "got 5"),
        ("redact_keys", "a -> hash", "expected redact_hash_key (OT_BRIDGE_REDACT_HASH_KEY) beside it"),
        ("redact_values", "x=a+", "without end"),
        ("redact_values", "x=[", "cannot be read"),
        ("redact_values", "jwt=a", "not taken"),
        ("redact_values", "x=a;x=b", "at most once"),
        ("redact_values", "x=a -> hash", "redact_hash_key"),
        ("redact_safe_keys", "a,*", "got '*'"),
        ("redact_safe_keys", {"a"}, "got {'a'}"),
        ("redact_enabled_rules", "cards", "did you mean 'card_digits'?"),
        ("redact_disabled_rules", "jwtt", "did you mean 'jwt'?"),
        ("redact_disabled_rules", "jwt,jwt", "at most once"),
        ("redact_dry_run", "maybe", "got 'maybe'"),
    ],
)
def test_bad_value_is_refused_with_the_name_of_its_field(field: str, value: Any, found: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(**{field: value})
    assert str(caught.value).startswith(f"cannot use {field}: ")
    assert found in str(caught.value)


@pytest.mark.parametrize("name", ["redact_hash_key", "redact_hash_keys", "redact_hashkey"])
@pytest.mark.parametrize("secret", ["hunter2", 1234567, ["hunter2"]])
def test_bad_hash_key_is_refused_and_not_shown(name: str, secret: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(**{name: secret})
    assert (name in str(caught.value), "hunter2" in str(caught.value), "1234567" in str(caught.value)) == (
        True,
        False,
        False,
    )


def test_hash_key_is_nowhere_to_be_read(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    settings = in_variables(redact_hash_key=KEY)
    with pytest.raises(ConfigError) as caught:
        in_variables(redact_hash_key="hunter2")
    shown = [settings, dataclasses.asdict(settings), SETTINGS, redactor_of(settings), page(), caught.value, caplog.text]
    assert [one for one in map(str, shown) if KEY in one or "hunter2" in one] == []
    assert [one for one in map(repr, shown) if KEY in one or "hunter2" in one] == []


def test_settings_with_a_hash_key_are_copied_and_pickled() -> None:
    settings = Settings(redact_hash_key=KEY, redact_keys="a -> hash")
    assert pickle.loads(pickle.dumps(settings)) == dataclasses.replace(settings) == settings
    assert dataclasses.replace(settings, redact_hash_key="another one of those") != settings
