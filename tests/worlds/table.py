"""What is run, and which spans must come of it: layers x modes, as data.

A program is a chain of *steps*: each is a part that one API or both instrument, or a span of the program's own. A case
says for each part who instruments it, and what is expected follows: every step's spans, each the child of the one
before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

__all__ = ["CASES", "LAYERS", "OLD", "Case", "Layer"]

OLD: Final = "OpenTracing"
"""Who made a span: this, or the last word of an instrumentation's name."""

REMOTE: Final = "remote"
TWICE: Final = "twice"


class Part(NamedTuple):
    """The spans of something that can be instrumented, from the outer to the inner one.

    Attributes:
        old: by OpenTracing alone.
        native: by OpenTelemetry alone.
        both: by both; "= " before a span says that it stands beside the one before it.
        switches: the names of OpenTelemetry's instrumentation.
    """

    old: tuple[str, ...]
    native: tuple[str, ...]
    both: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()


PARTS: Final[Mapping[str, Part]] = {
    # servers: OpenTelemetry's span is the only SERVER where both are on
    "flask": Part(
        ("SERVER VIEW by OpenTracing",),
        ("SERVER GET /VIEW by flask",),
        ("SERVER GET /VIEW by flask", "INTERNAL VIEW by OpenTracing"),
        ("flask",),
    ),
    "django": Part(
        ("SERVER VIEW by OpenTracing",),
        ("SERVER GET VIEW by django",),
        ("SERVER GET VIEW by django", "INTERNAL VIEW by OpenTracing"),
        ("django",),
    ),
    "grpc_server": Part(
        ("SERVER /shop.Stock/Count by OpenTracing",),
        ("SERVER /shop.Stock/Count by grpc",),
        ("SERVER /shop.Stock/Count by grpc", "INTERNAL /shop.Stock/Count by OpenTracing"),
        ("grpc_server",),
    ),
    # clients: both stay, the one that is nearer to the wire is the parent of what is called
    "requests": Part(
        ("CLIENT requests.get by OpenTracing",),
        ("CLIENT GET by requests",),
        ("CLIENT requests.get by OpenTracing", "CLIENT GET by requests"),
        ("requests",),
    ),
    "httpx": Part(
        ("CLIENT get stock by OpenTracing",),
        ("CLIENT GET by httpx",),
        ("CLIENT get stock by OpenTracing", "CLIENT GET by httpx"),
        ("httpx",),
    ),
    "urllib3": Part(
        ("CLIENT get stock by OpenTracing",),
        ("CLIENT GET by urllib3",),
        ("CLIENT get stock by OpenTracing", "CLIENT GET by urllib3"),
        ("urllib3",),
    ),
    "grpc_client": Part(
        ("CLIENT /shop.Stock/Count by OpenTracing",),
        ("CLIENT /shop.Stock/Count by grpc",),
        ("CLIENT /shop.Stock/Count by OpenTracing", "CLIENT /shop.Stock/Count by grpc"),
        ("grpc_client",),
    ),
    "sqlalchemy": Part(
        ("CLIENT query by OpenTracing",),
        ("CLIENT connect by sqlalchemy", "= CLIENT SELECT :memory: by sqlalchemy"),
        (
            "CLIENT connect by sqlalchemy",
            "= CLIENT SELECT :memory: by sqlalchemy",
            "= CLIENT query by OpenTracing",
        ),
        ("sqlalchemy",),
    ),
    "psycopg": Part(
        ("CLIENT query by OpenTracing",),
        ("CLIENT SELECT by psycopg",),
        ("CLIENT query by OpenTracing", "CLIENT SELECT by psycopg"),
        ("psycopg",),
    ),
    "redis": Part(
        ("CLIENT ECHO by OpenTracing",),
        ("CLIENT ECHO by redis",),
        ("CLIENT ECHO by OpenTracing", "CLIENT ECHO by redis"),
        ("redis",),
    ),
    "publish": Part(
        ("PRODUCER publish charge by OpenTracing",),
        ("PRODUCER apply_async/charge by celery",),
        ("PRODUCER apply_async/charge by celery", "PRODUCER publish charge by OpenTracing"),
        ("celery",),
    ),
    "worker": Part(
        ("CONSUMER charge by OpenTracing",),
        ("CONSUMER run/charge by celery",),
        ("CONSUMER run/charge by celery", "INTERNAL charge by OpenTracing"),
        ("celery",),
    ),
    # what hands a span on, and makes none or one of the program's own
    "asyncio": Part(
        ("INTERNAL check by OpenTracing",),
        ("INTERNAL asyncio coro-check by asyncio",),
        ("INTERNAL asyncio coro-check by asyncio", "INTERNAL check by OpenTracing"),
        ("asyncio",),
    ),
    "threading": Part((), (), (), ("threading",)),
    "logging": Part((), (), (), ("logging",)),
    # written by hand in the programs
    "entry": Part(("SERVER front by OpenTracing",), ("SERVER front by shop",)),
    "inner": Part(("INTERNAL count by OpenTracing",), ("INTERNAL count by shop",)),
}

WORK: Final = "INTERNAL work by OpenTracing"
COUNT: Final = "INTERNAL count by OpenTracing"

Who = Mapping[str, str]
"""For each part ``old``, ``native`` or ``both``."""


class Layer(NamedTuple):
    """A row of the table.

    Attributes:
        words: the program and its arguments; a server's name stands for its URL.
        steps: parts, ``part:VIEW`` for one that is asked for more than one thing, and spans of the program's own.
        modes: for each column who instruments what; more than one where there are two halves.
        packages: what is tested, the first the instrumentation.
        variables: more that the program needs.
        server: the fixture of the server that it needs, "" for none.
        worker: whether a Celery worker runs beside it.
        counterpart: the real thing on the other side.
    """

    words: tuple[str, ...]
    steps: tuple[str, ...]
    modes: Mapping[str, tuple[Who, ...]]
    packages: tuple[str, ...]
    variables: Mapping[str, str] = {}
    server: str = ""
    worker: bool = False
    counterpart: str = ""


class Case(NamedTuple):
    """One run."""

    row: str
    column: str
    number: int
    who: Who

    @property
    def layer(self) -> Layer:
        """What it is a case of."""
        return LAYERS[self.row]

    @property
    def name(self) -> str:
        """For the output of the tests."""
        return f"{self.row}-{self.column}{self.number or ''}"

    def parts(self, *wanted: str) -> list[str]:
        """Return the parts that are instrumented in one of these ways."""
        return [part for part, way in self.who.items() if way in wanted]

    @property
    def switches(self) -> list[str]:
        """The instrumentations of OpenTelemetry that are on."""
        return sorted({switch for part in self.parts("native", "both") for switch in PARTS[part].switches})

    @property
    def tree(self) -> list[str]:
        """The spans that must come of it, one in a line, indented by their depth."""
        lines = [REMOTE]
        _grow(lines, iter(self.layer.steps), self.who, 1)
        return lines


def _grow(lines: list[str], steps: Iterator[str], who: Who, depth: int) -> None:
    for step in steps:
        if step == TWICE:
            rest = tuple(steps)
            for _ in range(2):
                _grow(lines, iter(rest), who, depth)
            return
        part, _, view = step.partition(":")
        spans = getattr(PARTS[part], who[part]) if part in who else (step,)
        for span in spans:
            if span.startswith("= "):
                depth -= 1
            lines.append(f"{'  ' * depth}{span.removeprefix('= ').replace('VIEW', view)}")
            depth += 1


def _modes(own: str, other: str) -> Mapping[str, tuple[Who, ...]]:
    """Return the modes of a part that stands with another one, the other side of it."""
    return {
        "OpenTracing alone": ({own: "old", other: "old"},),
        "OpenTelemetry alone": ({own: "native", other: "native"},),
        "both": ({own: "both", other: "native"}, {own: "both", other: "old"}),
        "half of each": ({own: "native", other: "old"}, {own: "old", other: "native"}),
    }


def _shop(server: str, client: str, own: str, *packages: str) -> Layer:
    steps = (f"{server}:front", WORK, client, f"{server}:stock", COUNT)
    other = client if own == server else server
    return Layer(("shop.py", server, client), steps, _modes(own, other), packages)


def _store(name: str, server: str, *packages: str, counterpart: str) -> Layer:
    words = ("store.py", name, server) if server else ("store.py", name)
    steps = ("entry", WORK, name)
    return Layer(words, steps, _modes(name, "entry"), packages, server=server, counterpart=counterpart)


_HOPS: Final[Mapping[str, tuple[Who, ...]]] = {
    "OpenTracing alone": ({"entry": "old", "threading": "old", "inner": "old"},),
    "OpenTelemetry alone": ({"entry": "native", "threading": "native", "inner": "old"},),
    "both": ({"entry": "native", "threading": "both", "inner": "old"},),
    "half of each": (
        {"entry": "old", "threading": "native", "inner": "native"},
        {"entry": "native", "threading": "old", "inner": "native"},
    ),
}


def _instead_of_threading(part: str) -> Mapping[str, tuple[Who, ...]]:
    return {
        column: tuple({part if key == "threading" else key: way for key, way in who.items()} for who in cases)
        for column, cases in _HOPS.items()
    }


LAYERS: Final[Mapping[str, Layer]] = {
    "flask": _shop(
        "flask", "requests", "flask", "opentelemetry-instrumentation-flask", "flask", "Flask-OpenTracing"
    ),
    "django": _shop(
        "django", "requests", "django", "opentelemetry-instrumentation-django", "django", "django-opentracing"
    ),
    "requests": _shop(
        "flask", "requests", "requests", "opentelemetry-instrumentation-requests", "requests", "requests-opentracing"
    ),
    "httpx": _shop("django", "httpx", "httpx", "opentelemetry-instrumentation-httpx", "httpx"),
    "urllib3": _shop("flask", "urllib3", "urllib3", "opentelemetry-instrumentation-urllib3", "urllib3"),
    "sqlalchemy": _store(
        "sqlalchemy", "", "opentelemetry-instrumentation-sqlalchemy", "sqlalchemy", counterpart="SQLite"
    ),
    "psycopg": _store(
        "psycopg", "postgres_server", "opentelemetry-instrumentation-psycopg", "psycopg", counterpart="PostgreSQL"
    ),
    "redis": _store(
        "redis",
        "redis_server",
        "opentelemetry-instrumentation-redis",
        "redis",
        "redis-opentracing",
        counterpart="redis-server",
    ),
    "grpc": Layer(
        ("rpc.py",),
        ("entry", WORK, "grpc_client", "grpc_server", COUNT),
        {
            "OpenTracing alone": ({"entry": "old", "grpc_client": "old", "grpc_server": "old"},),
            "OpenTelemetry alone": ({"entry": "native", "grpc_client": "native", "grpc_server": "native"},),
            "both": ({"entry": "native", "grpc_client": "both", "grpc_server": "both"},),
            "half of each": (
                {"entry": "old", "grpc_client": "old", "grpc_server": "native"},
                {"entry": "native", "grpc_client": "native", "grpc_server": "old"},
            ),
        },
        ("opentelemetry-instrumentation-grpc", "grpcio", "grpcio-opentracing"),
    ),
    "celery": Layer(
        ("tasks.py",),
        ("entry", WORK, "publish", "worker", COUNT),
        {
            "OpenTracing alone": ({"entry": "old", "publish": "old", "worker": "old"},),
            "OpenTelemetry alone": ({"entry": "native", "publish": "native", "worker": "native"},),
            "both": ({"entry": "native", "publish": "both", "worker": "both"},),
            "half of each": (
                {"entry": "native", "publish": "old", "worker": "native"},
                {"entry": "old", "publish": "native", "worker": "old"},
            ),
        },
        ("opentelemetry-instrumentation-celery", "celery", "celery-opentracing"),
        server="redis_server",
        worker=True,
        counterpart="redis-server, a worker",
    ),
    "asyncio": Layer(
        ("hops.py", "asyncio"),
        ("entry", WORK, TWICE, "asyncio", "inner"),
        _instead_of_threading("asyncio"),
        ("opentelemetry-instrumentation-asyncio",),
        variables={"OTEL_PYTHON_ASYNCIO_COROUTINE_NAMES_TO_TRACE": "check"},
    ),
    "threading": Layer(
        ("hops.py", "threading"),
        ("entry", WORK, TWICE, "threading", "inner"),
        _HOPS,
        ("opentelemetry-instrumentation-threading",),
    ),
    "logging": Layer(
        ("logs.py",),
        ("entry", "logging", "inner"),
        _instead_of_threading("logging"),
        ("opentelemetry-instrumentation-logging", "structlog"),
    ),
}

CASES: Final = [
    Case(row, column, number, who)
    for row, layer in LAYERS.items()
    for column, found in layer.modes.items()
    for number, who in enumerate(found)
]
