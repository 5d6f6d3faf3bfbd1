"""Redaction: every row of the tables, found and not found; the rules of the user; no text that takes long."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ot_bridge import telemetry
from ot_bridge.redaction import RULES, HashKey, Redactor, RuleError, values
from ot_bridge.redaction.keys import Glob, secret_word, words_of
from ot_bridge.redaction.patterns import MAX_STEPS, PatternError, check, steps
from ot_bridge.redaction.rules import OPTIONAL_RULES, SECRET_PAIRS, SECRET_WORDS, read_key_rule, read_value_rule
from step_counter import Counted

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----"

# -- keys --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        *sorted(SECRET_WORDS),
        *("_".join(pair) for pair in sorted(SECRET_PAIRS)),
        "db.password",
        "DB_PASSWORD",
        "userPassword",
        "passWord",
        "mysql_pwd",
        "user[password]",
        "new_password",
        "password_new",
        "password2",
        "password-confirmation",
        "token_value",
        "token.hash",
        "old token",
        "apiKey",
        "APIKey",
        "X-Api-Key",
        "aws.secret_access_key",
        "accessToken",
        "Set-Cookie",
        "next_page_token",  # a false positive that safe_keys are for
        "http.request.header.x-auth-token",
    ],
)
def test_key_is_secret(key: str) -> None:
    assert Redactor().attributes({key: "x"}) == {key: "[redacted: key]"}
    assert telemetry.snapshot() == {"redaction.key": 1}


@pytest.mark.parametrize(
    "key",
    [
        "token_count",
        "cookie.consent",
        "password_reset_count",
        "input_tokens",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.token",
        "session_duration_ms",
        "session.id",
        "session_id",
        "auth.method",
        "auth_types",
        "secretary",
        "password_hint",
        "primary_key",
        "routing.key",
        "monkey",
        "url.token",
        "http.route",
        "db.system",
        "jaeger-debug-id",
        "sampler.token",
        "value",
        "new",
        "2",
        "",
        "kee\u00df",
    ],
)
def test_key_is_no_secret(key: str) -> None:
    attributes = {key: "x"}
    assert Redactor().attributes(attributes) is attributes
    assert telemetry.snapshot() == {}


def test_numbers_and_booleans_are_never_redacted_by_key() -> None:
    attributes = {"password": 5, "token": True, "secret": 1.5, "cookie": None, "pin": True, "cvv": False}
    assert Redactor().attributes(attributes) is attributes


@pytest.mark.parametrize("key", ["card.cvv", "cvv2", "ssn", "pin", "cvc"])
def test_number_under_the_name_of_a_secret_number_is_redacted(key: str) -> None:
    assert Redactor().attributes({key: 123, "n": 1}) == {key: "[redacted: key]", "n": 1}


def test_words_of_a_key() -> None:
    assert words_of("http.URLPath2-fooBAR[x] Y") == ["http", "url", "path", "2", "foo", "bar", "x", "y"]
    assert [secret_word("a.token_2.new"), secret_word("new.2"), secret_word("x" * 10_000 + ".token")] == [
        "token",
        None,
        "token",
    ]


@pytest.mark.parametrize("header", ["authorization", "Proxy-Authorization", "proxy_authorization"])
def test_scheme_of_an_authorization_is_kept(header: str) -> None:
    key = f"http.request.header.{header}"
    found = Redactor().attributes({key: ("Bearer abc", "Basic dTpw", "abc")})
    assert found == {key: ("Bearer REDACTED", "Basic REDACTED", "[redacted: header]")}


@pytest.mark.parametrize(
    "name", ["cookie", "set-cookie", "x-api-key", "x_api_key", "x-csrf-token", "x-amz-security-token"]
)
@pytest.mark.parametrize("side", ["request", "response"])
def test_header_is_secret(name: str, side: str) -> None:
    key = f"http.{side}.header.{name}"
    assert Redactor().attributes({key: "a=b"}) == {key: "[redacted: header]"}


@pytest.mark.parametrize("name", ["accept", "content-type", "x-request-id", "cookie-policy"])
def test_header_is_no_secret(name: str) -> None:
    attributes = {f"http.request.header.{name}": ("application/json",)}
    assert Redactor().attributes(attributes) is attributes


# -- texts -------------------------------------------------------------------------------------------------------------

SHAPED = {
    JWT: ("jwt", "[redacted: jwt]"),
    f"token={JWT}&x": ("jwt", "token=[redacted: jwt]&x"),
    f"q=Bearer%20{JWT}": ("jwt", "q=Bearer%20[redacted: jwt]"),
    "eyJhbGciOi.eyJx": ("jwt", "[redacted: jwt]"),
    "id AKIAIOSFODNN7EXAMPLE.": ("aws", "id [redacted: aws]."),
    **{f"gh{letter}_{'a1' * 18}": ("github", "[redacted: github]") for letter in "pousr"},
    **{f"xox{letter}-2021-abcdef": ("slack", "[redacted: slack]") for letter in "abprs"},
    "key sk_live_4eC39HqLyjWD": ("stripe", "key [redacted: stripe]"),
    "AIza" + "Sy-_5" * 7: ("google", "[redacted: google]"),
    f"a\n{PEM}\nb": ("pem", "a\n[redacted: pem]\nb"),
    PEM[:50]: ("pem", "[redacted: pem]"),
    "-----BEGIN PRIVATE KEY-----\\nMII": ("pem", "[redacted: pem]"),
    "auth: Bearer abcdefghijklmnop/+=": ("bearer", "auth: Bearer [redacted: bearer]"),
    "BEARER abcdefghijklmnop": ("bearer", "BEARER [redacted: bearer]"),
    "at postgres://app:hunter2@db:5432/x now": ("userinfo", "at postgres://REDACTED:REDACTED@db:5432/x now"),
    "redis://:pa@ss@cache": ("userinfo", "redis://REDACTED:REDACTED@cache"),
    "4111 1111 1111 1111": ("card", "[redacted: card]"),
    "pay 5500-0000-0000-0004 12/26": ("card", "pay [redacted: card] 12/26"),
    "3782 822463 10005": ("card", "[redacted: card]"),
    "2223 0031 2200 3222": ("card", "[redacted: card]"),
    "6011-1111-1111-1117": ("card", "[redacted: card]"),
}  # fmt: skip


@pytest.mark.parametrize("text", SHAPED, ids=lambda text: ascii(text)[:30])
def test_secret_shows_in_a_text(text: str) -> None:
    rule, redacted = SHAPED[text]
    assert Redactor().text(text) == redacted
    assert telemetry.snapshot() == {f"redaction.{rule}": 1}


@pytest.mark.parametrize("text", SHAPED, ids=lambda text: ascii(text)[:30])
def test_redacted_text_is_clean(text: str) -> None:
    redacted = SHAPED[text][1]
    assert Redactor().text(redacted) is redacted


@pytest.mark.parametrize("text", SHAPED, ids=lambda text: ascii(text)[:30])
def test_rule_that_is_disabled_finds_nothing(text: str) -> None:
    rule = SHAPED[text][0]
    enabled = {row.name for row in RULES if row.default and row.name != rule} - {"bearer" if rule == "jwt" else ""}
    assert Redactor(enabled).text(text) is text


CLEAN = [
    "",
    "GET",
    "eyJhIjoxfQ==",
    "keyJack.eyJ",
    "AKIASHORT",
    "XAKIAIOSFODNN7EXAMPLE",
    "AKIAIOSFODNN7EXAMPLEX",
    "ghp_short",
    "ghx_" + "a" * 40,
    "foxbox-b",
    "xoxb-1",
    "sk_test_4eC39HqLyjWD",
    "task_live_4eC39HqLyjWD",
    "AIzaShort",
    "-----BEGIN PUBLIC KEY-----\nMII",
    "-----BEGIN CERTIFICATE-----",
    "bearer of news",
    "Bearer short",
    "https://shop.example/users/@me",
    "mailto:a@b.example",
    "http://h:8080/a@b:c",
    "SELECT * FROM t WHERE a = '@x:y'",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",  # 40 hex digits
    "+49 30 901820",
    "192.0.2.1",
    "7b2a9d3e-5f10-4c2e-9a53-0c7f1c1d9e11",
    "4111 1111 1111 1112",  # check digit
    "1111 1111 1111 1117",  # no issuer
    "4111-1111 1111-1111",  # mixed
    "4111111111111111",  # bare digits: card_digits
    "1700000000000",
    "0.4111111111111111",
    "4111 1111 1111 11111",
    "x4111 1111 1111 1111",
    "4111-1111-1111-1111-1111",
    "2026-11-22 14:03:15",
    "a@example.com",
]


@pytest.mark.parametrize("text", CLEAN, ids=lambda text: ascii(text)[:30])
def test_text_is_clean(text: str) -> None:
    redactor = Redactor()
    assert (redactor.text(text) is text, redactor.value("k", text) is text) == (True, True)
    assert telemetry.snapshot() == {}


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("http://u:p@h/x?a=1", "http://REDACTED:REDACTED@h/x?a=1"),
        ("http://u@h/x", "http://REDACTED:REDACTED@h/x"),
        ("/x?AWSAccessKeyId=1&Signature=2&sig=3&X-Goog-Signature=4&a=5",
         "/x?AWSAccessKeyId=REDACTED&Signature=REDACTED&sig=REDACTED&X-Goog-Signature=REDACTED&a=5"),
        ("token=1&page=2;api_key=3", "token=REDACTED&page=2;api_key=REDACTED"),
        ("/cb#access_token=1&state=2", "/cb#access_token=REDACTED&state=2"),
        ("/x?access%5Ftoken=1", "/x?access%5Ftoken=REDACTED"),
        ("/x?next=/y?token=1", "/x?next=/y?token=REDACTED"),
        ("/x?token=", "/x?token="),
        ("/x?signature=1&SIG=2&tokens=3&page_token_count=4", "/x?signature=1&SIG=2&tokens=3&page_token_count=4"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["url.full", "url.query", "http.url", "http.target"])
def test_url_loses_its_secrets(key: str, text: str, redacted: str) -> None:
    redactor = Redactor()
    assert [redactor.value(key, text) for _ in range(2)] == [redacted, redacted]
    assert redactor.value(key, redacted) is redacted


def test_query_key_seen_clean_before_hides_no_other_one() -> None:
    redactor = Redactor()
    urls = {
        "/x?a=1": "/x?a=1",
        "/x?a=1&token=2": "/x?a=1&token=REDACTED",
        "/x?a=token=2": "/x?a=token=2",
        "/a=1&token=2": "/a=1&token=REDACTED",
        "/x?a=1&token&tokens&tokenx": "/x?a=1&token&tokens&tokenx",
        "/x&token=1?a=1": "/x&token=REDACTED?a=1",
        "/x?token=1": "/x?token=REDACTED",
        "/x?a=1#token=1": "/x?a=1#token=REDACTED",
        "/x?a=1;token=1": "/x?a=1;token=REDACTED",
        "/x?a=1?token=1": "/x?a=1?token=REDACTED",
        "/x?a=http://u@h": "/x?a=http://REDACTED:REDACTED@h",
    }
    assert {url: redactor.value("http.url", url) for url in urls} == urls


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ('{"user": "a", "password": "b"}', '{"user": "a", "password": "[redacted: key]"}'),
        ("{'user': 'a', 'apiKey': 'b'}", "{'user': 'a', 'apiKey': '[redacted: key]'}"),
        ('[{"token":"a\\"b"}, {"token_count": "1"}]', '[{"token":"[redacted: key]"}, {"token_count": "1"}]'),
        ('{"secret": "cut o', '{"secret": "[redacted: key]"'),
        ('{"a": 1, "b": {"pwd": "x"}}', '{"a": 1, "b": {"pwd": "[redacted: key]"}}'),
        ('{"password": 5, "token": ""}', '{"password": 5, "token": ""}'),
        ('"password": "b"', '"password": "b"'),
    ],
)
def test_members_of_json_text_are_keys(text: str, redacted: str) -> None:
    found = Redactor().value("body", text)
    assert found == redacted
    assert Redactor().value("body", redacted) is redacted


def test_values_of_every_kind_are_looked_at() -> None:
    redactor = Redactor()
    given = {"a": (JWT, "x"), "b": f"\x00\xff{JWT}".encode("latin-1"), "c": {"password": "x", "d": [JWT]}, "e": b"\xff"}
    assert redactor.attributes(given) == {
        "a": ("[redacted: jwt]", "x"),
        "b": "\x00\xff[redacted: jwt]",
        "c": {"password": "[redacted: key]", "d": ["[redacted: jwt]"]},
        "e": b"\xff",
    }
    assert given["a"] == (JWT, "x")


def test_optional_rules_are_off() -> None:
    given = {"n": 4111111111111111, "s": "card 4111111111111111", "e": "a@b.example", "peer.ipv4": "192.0.2.1",
             "user.id": 7}  # fmt: skip
    assert Redactor().attributes(given) is given
    assert Redactor(OPTIONAL_RULES).attributes(given) == {
        "n": "[redacted: card_digits]",
        "s": "card [redacted: card_digits]",
        "e": "[redacted: email]",
        "peer.ipv4": "[redacted: ip]",
        "user.id": "[redacted: user_id]",
    }


@pytest.mark.parametrize("number", [1700000000000, 4111111111111112, 411111111111111, 10**19 + 1])
def test_number_is_no_card(number: int) -> None:
    given = {"n": number, "s": str(number), "f": f"0.{number}"}
    assert Redactor(OPTIONAL_RULES).attributes(given) is given


def test_every_rule_is_tried_here() -> None:
    tried = {rule for rule, _ in SHAPED.values()} | {"key", "header", "url", *OPTIONAL_RULES}
    assert tried == {rule.name for rule in RULES}


# -- the user's rules --------------------------------------------------------------------------------------------------


def own(*keys: str, **others: Any) -> Redactor:
    values_ = [read_value_rule(rule) for rule in others.pop("own_values", ())]
    return Redactor(own_keys=[read_key_rule(key) for key in keys], own_values=values_, **others)


def test_own_keys_are_exact_or_patterns_in_any_case() -> None:
    given = {"User.Email": "a", "x.iban": "b", "iban": "c", "tax": 5, "taxes": 6, "a.b.c": True}
    assert own("user.email", "*.iban", "TAX", "a*b*c").attributes(given) == {
        "User.Email": "[redacted: key]",
        "x.iban": "[redacted: key]",
        "iban": "c",
        "tax": "[redacted: key]",
        "taxes": 6,
        "a.b.c": "[redacted: key]",
    }
    assert telemetry.snapshot() == {"redaction.own_key": 4}


def test_hash_is_the_same_for_the_same_value_and_key() -> None:
    redactor = own("user -> hash", hash_key=HashKey(b"k" * 16))
    other = own("user -> hash", hash_key=HashKey(b"l" * 16))
    found = [redactor.value("user", value) for value in ("a", "a", "b", 7)] + [other.value("user", "a")]
    assert [bool(re.fullmatch(r"\[hashed: [0-9a-f]{16}\]", text)) for text in found] == [True] * 5
    assert (found[0] == found[1], len(set(found))) == (True, 4)
    assert redactor.value("user", found[0]) is found[0]


def test_truncated_value_keeps_its_start() -> None:
    assert own("note -> truncate 4").attributes({"note": "abcdef", "x": 1}) == {"note": "abcd", "x": 1}
    given = {"note": "abcd"}
    assert own("note -> truncate 4").attributes(given) is given


def test_own_values_replace_what_they_find() -> None:
    redactor = own(own_values=["customer=C-[0-9]{4}", "plate=[A-Z]{2} [0-9]{2} -> hash"], hash_key=HashKey(b"k" * 16))
    found = redactor.text("C-1234 and C-12 and AB 12")
    assert re.fullmatch(r"\[redacted: customer\] and C-12 and \[hashed: [0-9a-f]{16}\]", found)
    assert redactor.text(found) is found
    assert telemetry.snapshot() == {"redaction.customer": 1, "redaction.plate": 1}


def test_own_pattern_does_not_find_its_marker() -> None:
    redactor = own(own_values=["word=red[a-z]{1,9}"])
    found = redactor.text("redacted, reduced")
    assert (found, redactor.text(found)) == ("[redacted: word], [redacted: word]", "[redacted: word], [redacted: word]")


def test_own_function_decides_on_the_whole_text() -> None:
    redactor = own(own_values=[("long_text", lambda text: len(text) > 5)])
    assert [redactor.text(text) for text in ("short", "longer")] == ["short", "[redacted: long_text]"]


def test_own_rule_that_fails_redacts_and_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    def fail(text: str) -> bool:
        raise ValueError(text)

    redactor = own(own_values=[("bad", fail)])
    assert [redactor.value("k", "hunter2") for _ in range(2)] == ["[redacted: failed]"] * 2
    assert telemetry.snapshot() == {"redaction.failed.bad": 2}
    assert [record.getMessage() for record in caplog.records] == ["redaction rule bad failed (ValueError)"]
    assert "hunter2" not in caplog.text


def test_safe_keys_are_not_touched() -> None:
    given = {"next_page_token": "x", "raw.a": JWT, "raw.b": (JWT,)}
    redactor = own("raw.*", safe_keys=["next_page_token", "RAW.*"])
    assert redactor.attributes(given) is given
    assert redactor.attributes(given) is given


def test_dry_run_counts_and_changes_nothing() -> None:
    redactor = own("note", dry_run=True, own_values=[("bad", lambda text: 1 / 0)])
    given = {"password": "x", "note": "y", "n": 1, "http.url": "/x?token=1", "j": '{"token": "x"}', "a": (JWT,)}
    assert [redactor.attributes(given) is given for _ in range(2)] == [True, True]
    assert redactor.text(JWT) is JWT
    assert {name: number for name, number in telemetry.snapshot().items() if "failed" not in name} == {
        "redaction.dry_run.jwt": 3,
        "redaction.dry_run.key": 4,
        "redaction.dry_run.own_key": 2,
        "redaction.dry_run.url": 2,
    }


def test_hash_key_is_never_shown() -> None:
    key = HashKey(b"correct horse battery")
    assert {f"{key}", f"{key!r}", str([key])} == {"<hidden>", "[<hidden>]"}
    assert (key == HashKey(b"correct horse battery"), key == HashKey(b"x" * 16), key == b"x") == (True, False, False)


@pytest.mark.parametrize("text", ["a*b", "*b", "a*", "*b*", "a*c*b", "*"])
@given(key=st.text("abc", max_size=8))
def test_glob_matches_as_a_pattern_would(text: str, key: str) -> None:
    assert Glob(text).matches(key) == bool(re.fullmatch(text.replace("*", ".*"), key))


@pytest.mark.parametrize(
    "rule", ["", "*", " -> hash", "a -> ", "a -> shred", "a -> truncate", "a -> truncate 0", 5, None], ids=repr
)
def test_key_rule_is_refused(rule: object) -> None:
    with pytest.raises(RuleError):
        read_key_rule(rule)


@pytest.mark.parametrize(
    "rule",
    ["", "x", "x=", "X=a", "=a", "jwt=a", "own_key=a", "x=a -> truncate 4", "x=(", "x=a{0,5}", "x=a+b", "x=(a)\\1",
     f"x={'a' * 201}", ("jwt", bool), ("x", 5), 5],
    ids=repr,
)  # fmt: skip
def test_value_rule_is_refused(rule: object) -> None:
    with pytest.raises(RuleError):
        read_value_rule(rule)


# -- no text that takes long -------------------------------------------------------------------------------------------

PATTERNS = {
    name: value
    for name, value in vars(values).items()
    if isinstance(value, re.Pattern) and name != "_ISSUERS"  # of at most 19 digits
}
PIECES = [
    "a", "eyJ", "eyJa.", "eyJ-", "a.", "AKIA", "AIza", "ghp_", "ghp_a", "xoxb-", "xoxb-a", "sk_live_", "sk_live_a",
    "-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "-----END ", "-", " ", "Bearer ", "Bearer a", "://", "://a:", "://:@",
    "://a@", "@", ":", "4", "4111 ", "4111-", "4111 1111 1111 ", "3782 822463 ", "a@", "a@a.", "a.b", "?a=", "&a",
    "a=b", "=", '"a": ', '"', '"a', "\\", '"\\', "'a': '", '{"a":"', "%20", "%20eyJ",
]  # fmt: skip


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("piece", PIECES)
def test_pattern_takes_linear_time(name: str, piece: str) -> None:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        counts = []
        for size in (600, 1200):  # beyond what the longest bounded repeat can take
            text = (piece * size)[:size] + "\x00"
            counted = Counted(PATTERNS[name])
            assert counted.spans(text) == [found.span() for found in PATTERNS[name].finditer(text)]
            counts.append(counted.steps)
    finally:
        sys.setrecursionlimit(before)
    assert counts[1] <= 2.4 * counts[0], counts


def test_pattern_that_takes_quadratic_time_would_be_seen() -> None:
    counts = []
    for size in (600, 1200):
        counted = Counted(re.compile(r"[a-z]+@"))
        counted.spans("a" * size)
        counts.append(counted.steps)
    assert counts[1] > 3 * counts[0]


@pytest.mark.parametrize(
    "pattern",
    [
        r"[\w.]{1,64}@[\w.-]{1,200}",
        r"C-[0-9]{8}",
        r"(?i)kunde\d{4,12}",
        r"\b[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]{4}){3,7}",
        r"(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)",
        r"abc|abd|x",
    ],
)
def test_own_pattern_takes_no_more_steps_than_were_reckoned(pattern: str) -> None:
    compiled = check(pattern)
    for piece in ("a", "a.", "C-1", "kunde1", "AB12 ", "1", "1-", "ab"):
        text = (piece * 400)[:400]
        counted = Counted(compiled)
        counted.spans(text)
        assert counted.steps <= len(text) * (steps(pattern) + 20)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(a{1,9}){1,9}b", "steps"),
        ("(?:a|aa){1,60}b", "steps"),
        (r"\w{1,50}\w{1,50}x", "steps"),
        ("a+", "without end"),
        ("a*b", "without end"),
        ("a{3,}", "without end"),
        ("(?:x(?:y*)?)z", "without end"),
        (r"(a)\1", "groups"),
        ("(?P<q>a)(?P=q)", "groups"),
        ("(a)?(?(1)b|c)", "groups"),
        ("[", "cannot be read"),
        ("a{0,3}", "empty text"),
        ("", "empty text"),
        ("a" * 201, "201 characters"),
    ],
)
def test_own_pattern_is_refused(pattern: str, reason: str) -> None:
    with pytest.raises(PatternError, match=reason):
        check(pattern)


def test_own_pattern_at_the_limit_is_let_through() -> None:
    assert MAX_STEPS == 1000
    assert steps(r"[\w.]{1,64}@[\w.-]{1,200}") == 265
    assert check("a{1,255}b{1,255}").pattern == "a{1,255}b{1,255}"


# -- any text ----------------------------------------------------------------------------------------------------------

ANY_VALUE = st.one_of(
    st.text(), st.integers(), st.floats(), st.booleans(), st.binary(), st.tuples(st.text(), st.text())
)


@given(st.dictionaries(st.text(), ANY_VALUE))
def test_any_attributes_come_out_redacted_once(given: dict[str, Any]) -> None:
    redactor = Redactor()
    once = redactor.attributes(given)
    assert redactor.attributes(once) is once
    assert set(once) == set(given)


@given(st.text(), st.sampled_from(sorted(SHAPED)), st.text())
def test_secret_in_any_text_is_found(before: str, text: str, after: str) -> None:
    assert text not in Redactor().text(f"{before} {text} {after}")
