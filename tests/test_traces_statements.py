from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ot_bridge.traces.analyse.statements import key_pattern, path_template, sql, target
from ot_bridge.traces.model import Kind
from traces_made import made

# Nobody is asked to be quick: the machine may have other work.
CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize(
    ("statement", "folded"),
    [
        pytest.param("SELECT * FROM t WHERE id = 42", "SELECT * FROM t WHERE id = ?", id="number"),
        pytest.param("SELECT a1 FROM t2 WHERE n = 'O''Brien'", "SELECT a1 FROM t2 WHERE n = ?", id="text with a quote"),
        pytest.param(r"SELECT 1.5e3, -2, E'x\'y', 0xFF", "SELECT ?, ?, ?, ?", id="other literals"),
        pytest.param("SELECT $$a 'b'$$, $q$c$q$", "SELECT ?, ?", id="dollar quotes"),
        pytest.param("a = ? b = %s c = %(x)s d = $1 e = :n f = @p", "a = ? b = ? c = ? d = ? e = ? f = ?", id="places"),
        pytest.param("SELECT x::int FROM t", "SELECT x FROM t", id="cast"),
        pytest.param("id IN (1, 2,3)", "id IN (?)", id="list"),
        pytest.param("id IN (%s, %s)", "id IN (?)", id="list of places"),
        pytest.param("id = ANY(ARRAY[1, 2])", "id = ANY(ARRAY[?])", id="array"),
        pytest.param("INSERT INTO t VALUES (1,'a'), (2, NULL)", "INSERT INTO t VALUES (?)", id="rows"),
        pytest.param("SELECT 1 -- why\nFROM /* x */ t", "SELECT ? FROM t", id="comments"),
        pytest.param("x IS NULL AND y IS NOT NULL", "x IS NULL AND y IS NOT NULL", id="null as a test"),
        pytest.param('SELECT "a 1" FROM #tmp WHERE b = 1', 'SELECT "a 1" FROM #tmp WHERE b = ?', id="quoted name"),
        pytest.param("SELECT 'abc", "SELECT ?", id="cut in a text"),
        pytest.param("id IN (1, 2, 3,", "id IN (?)", id="cut in a list"),
        pytest.param("VALUES (1, 'a'), (2, '", "VALUES (?)", id="cut in a row"),
        pytest.param("SELECT a /* cut", "SELECT a", id="cut in a comment"),
        pytest.param("not sql at all", "not sql at all", id="something else"),
    ],
)
def test_a_statement_is_folded(statement: str, folded: str) -> None:
    assert sql(statement) == folded


def test_mysql_quotes_text_twice_and_comments_with_a_hash() -> None:
    assert sql('SELECT "joe", `a 1` FROM t # why', mysql=True) == "SELECT ?, `a 1` FROM t"


@CALM
@given(st.text(alphabet="sel'\"$`?(),-/*#:@%\\ 19aIN\n", max_size=60))
def test_any_text_can_be_folded_and_folding_again_changes_nothing_of_spaces(statement: str) -> None:
    folded = sql(statement)
    assert folded == " ".join(folded.split())


@CALM
@given(st.integers(), st.integers(), st.lists(st.integers(), min_size=1), st.lists(st.integers(), min_size=1))
def test_statements_that_differ_in_values_only_are_one(one: int, other: int, few: list[int], many: list[int]) -> None:
    def statement(value: int, values: list[int]) -> str:
        listed = ", ".join(map(str, values))
        return "SELECT * FROM t WHERE a = {0} AND b = 'x{0}' AND c IN ({1})".format(value, listed)  # noqa: S608, UP032

    assert sql(statement(one, few)) == sql(statement(other, many))


@pytest.mark.parametrize(
    ("command", "pattern"),
    [
        ("get user:42", "GET user:?"),
        ("MGET user:1 user:2", "MGET user:?"),
        ("HSET cart:550e8400-e29b-41d4-a716-446655440000 qty 3", "HSET cart:?-?-?-?-? ?"),
        ("SET a:b 1", "SET a:b ?"),
        ("GET ?", "GET ?"),
        ("GET user:1\nGET user:2", "GET user:?"),
    ],
)
def test_a_command_is_folded_to_the_pattern_of_its_keys(command: str, pattern: str) -> None:
    assert key_pattern(command) == pattern


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/users/42/orders", "/users/{}/orders"),
        ("/v1/x/550e8400-e29b-41d4-a716-446655440000", "/v1/x/{}"),
        ("/item-12?page=2&a=b", "/item-{}?a&page"),
        ("/a/joe@example.org", "/a/{}"),
        ("/static/app", "/static/app"),
    ],
)
def test_a_path_is_folded(path: str, template: str) -> None:
    assert path_template(path) == template


SQL = {"db.system": "postgresql", "db.statement": "SELECT * FROM t WHERE id = 7"}


@pytest.mark.parametrize(
    ("kind", "tags", "expected"),
    [
        pytest.param("client", SQL, ("sql", "SELECT * FROM t WHERE id = ?"), id="old conventions"),
        pytest.param(
            "client",
            {"db.system.name": "postgresql", "db.query.text": "SELECT 1 FROM t"},
            ("sql", "SELECT ? FROM t"),
            id="new conventions",
        ),
        pytest.param(
            "client", {"db.type": "sql", "db.statement": "SELECT 2 FROM t"}, ("sql", "SELECT ? FROM t"), id="ot"
        ),
        pytest.param(
            "client", {"db.type": "redis", "db.statement": "GET a:1"}, ("key-value", "GET a:?"), id="ot redis"
        ),
        pytest.param(
            "client",
            {"db.system": "mongodb", "db.operation": "find", "db.mongodb.collection": "users"},
            ("database", "find users"),
            id="mongodb",
        ),
        pytest.param(
            "client", {"http.method": "GET", "http.url": "http://b/u/1?x=2"}, ("http", "GET b/u/{}?x"), id="http old"
        ),
        pytest.param(
            "client",
            {
                "http.request.method": "GET",
                "url.full": "http://b/u/1",
                "server.address": "b",
                "url.template": "/u/{id}",
            },
            ("http", "GET b/u/{id}"),
            id="http new",
        ),
        pytest.param(
            "client", {"rpc.system": "grpc", "rpc.service": "a.B", "rpc.method": "C"}, ("rpc", "a.B/C"), id="rpc"
        ),
        pytest.param("producer", {"messaging.destination": "mail"}, ("message", "send mail"), id="message"),
        pytest.param("client", {"peer.service": "b"}, ("call", "call {}"), id="plain client"),
        pytest.param(
            "client", {"http.method": "GET", "http.url": "http://[bad"}, ("http", "GET "), id="unreadable url"
        ),
        pytest.param("internal", {}, None, id="a piece of work"),
        pytest.param("server", {"http.method": "GET", "http.url": "http://b/"}, None, id="an entry"),
        pytest.param("client", {"db.system": "postgresql", "db.statement": "BEGIN"}, None, id="a transaction"),
        pytest.param("client", {"db.system": "postgresql", "db.statement": "SELECT 1"}, None, id="a ping"),
    ],
)
def test_what_a_span_asked_for_is_read_from_any_convention(
    kind: Kind, tags: dict[str, Any], expected: tuple[str, str] | None
) -> None:
    found = target(made("call 7", 1, kind=kind, tags=tags))
    assert (found and found[:2]) == expected


@pytest.mark.parametrize("name", ["connect", "pool.checkout", "tcp.connect"])
def test_connecting_is_no_call(name: str) -> None:
    assert target(made(name, 1, kind="client", tags={"db.system": "postgresql"})) is None


@pytest.mark.parametrize(
    ("statement", "more", "exact"),
    [
        ("SELECT 1 FROM t", {}, "SELECT 1 FROM t"),
        ("SELECT a FROM t WHERE e = 'x@y.z:q'", {}, "SELECT a FROM t WHERE e = 'x@y.z:q'"),
        ("SELECT a FROM t WHERE b = %s", {}, None),
        (
            "SELECT a FROM t WHERE b = %s",
            {"db.query.parameter.0": "5"},
            "SELECT a FROM t WHERE b = %s\ndb.query.parameter.0=5",
        ),
        ("SELECT a FROM t WHERE b...", {}, None),
    ],
)
def test_values_are_known_only_where_the_span_has_them_all(
    statement: str, more: dict[str, str], exact: str | None
) -> None:
    found = target(made("q", 1, kind="client", tags={"db.system": "postgresql", "db.statement": statement, **more}))
    assert found is not None
    assert found.exact == exact
