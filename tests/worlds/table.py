"""What is run, and which spans must come of it: layers x modes, as data.

A program is a chain of *steps*: each is a part that one API or both instrument, or a span of the program's own. A case
says for each part who instruments it, and what is expected follows: every step's spans, each the child of the one
before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

__all__ = ["CASES", "LAYERS", "NO_PARENT", "OLD", "REMOTE", "UNKNOWN", "Case", "Layer", "Tree", "shown"]

OLD: Final = "OpenTracing"
"""Who made a span: this, or the last word of an instrumentation's name."""

REMOTE: Final = "remote"
NO_PARENT: Final = "no parent"
UNKNOWN: Final = "unknown parent"
TWICE: Final = "twice"
WIRE: Final = "wire"
"""Where a message goes to another process; ``lost`` when no trace comes out."""


class Part(NamedTuple):
    """The spans of something that can be instrumented, from the outer to the inner one.

    Attributes:
        old: by OpenTracing alone.
        native: by OpenTelemetry alone.
        both: by both. "- " before a span says that what made it does not activate it: nothing is its child.
        switches: the names of OpenTelemetry's instrumentation.
        named: what the warning names where both are on.
    """

    old: tuple[str, ...]
    native: tuple[str, ...]
    both: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    named: tuple[str, ...] = ()


PARTS: Final[Mapping[str, Part]] = {
    # servers: OpenTelemetry's span is the only SERVER where both are on
    "flask": Part(
        ("SERVER VIEW by OpenTracing",),
        ("SERVER GET /VIEW by flask",),
        ("SERVER GET /VIEW by flask", "INTERNAL VIEW by OpenTracing"),
        ("flask",),
        ("opentelemetry.instrumentation.flask", "flask_opentracing"),
    ),
    "django": Part(
        ("SERVER VIEW by OpenTracing",),
        ("SERVER GET VIEW by django",),
        ("SERVER GET VIEW by django", "INTERNAL VIEW by OpenTracing"),
        ("django",),
        ("opentelemetry.instrumentation.django", "django_opentracing"),
    ),
    "grpc_server": Part(
        ("SERVER /shop.Stock/Count by OpenTracing",),
        ("SERVER /shop.Stock/Count by grpc",),
        ("SERVER /shop.Stock/Count by grpc", "INTERNAL /shop.Stock/Count by OpenTracing"),
        ("grpc_server",),
        ("opentelemetry.instrumentation.grpc", "grpc_opentracing"),
    ),
    # clients: both stay, the one that is nearer to the wire is the parent of what is called
    "requests": Part(
        ("CLIENT requests.get by OpenTracing",),
        ("CLIENT GET by requests",),
        ("CLIENT requests.get by OpenTracing", "CLIENT GET by requests"),
        ("requests",),
        ("opentelemetry.instrumentation.requests", "requests_opentracing"),
    ),
    "httpx": Part(
        ("CLIENT get stock by OpenTracing",),
        ("CLIENT GET by httpx",),
        ("CLIENT get stock by OpenTracing", "CLIENT GET by httpx"),
        ("httpx",),
        ("opentelemetry.instrumentation.httpx", "get stock"),
    ),
    "urllib3": Part(
        ("CLIENT get stock by OpenTracing",),
        ("CLIENT GET by urllib3",),
        ("CLIENT get stock by OpenTracing", "CLIENT GET by urllib3"),
        ("urllib3",),
        ("opentelemetry.instrumentation.urllib3", "get stock"),
    ),
    "grpc_client": Part(
        ("CLIENT /shop.Stock/Count by OpenTracing",),
        ("CLIENT /shop.Stock/Count by grpc",),
        ("- CLIENT /shop.Stock/Count by OpenTracing", "CLIENT /shop.Stock/Count by grpc"),
        ("grpc_client",),
    ),
    "sqlalchemy": Part(
        ("CLIENT query by OpenTracing",),
        ("- CLIENT connect by sqlalchemy", "- CLIENT SELECT by sqlalchemy"),
        ("- CLIENT connect by sqlalchemy", "- CLIENT SELECT by sqlalchemy", "CLIENT query by OpenTracing"),
        ("sqlalchemy",),
    ),
    "psycopg": Part(
        ("CLIENT query by OpenTracing",),
        ("CLIENT SELECT by psycopg",),
        ("CLIENT query by OpenTracing", "CLIENT SELECT by psycopg"),
        ("psycopg",),
        ("opentelemetry.instrumentation.psycopg", "query"),
    ),
    "redis": Part(
        ("CLIENT ECHO by OpenTracing",),
        ("CLIENT ECHO by redis",),
        ("CLIENT ECHO by OpenTracing", "CLIENT ECHO by redis"),
        ("redis",),
        ("opentelemetry.instrumentation.redis", "redis_opentracing"),
    ),
    "publish": Part(
        ("PRODUCER publish charge by OpenTracing",),
        ("PRODUCER apply_async/charge by celery",),
        ("PRODUCER apply_async/charge by celery", "PRODUCER publish charge by OpenTracing"),
        ("celery",),
        ("opentelemetry.instrumentation.celery", "celery_opentracing"),
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
        ("- INTERNAL asyncio coro-check by asyncio",),
        ("- INTERNAL asyncio coro-check by asyncio", "INTERNAL check by OpenTracing"),
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

TENANT: Final = {"tenant": "acme"}
"""The baggage that the request brings."""

Tree = tuple[str, list["Tree"]]
"""A span, and the spans below it."""


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


class Limit(NamedTuple):
    """What does not work.

    Attributes:
        reason: for compat_matrix.md.
        rationale: the heading of its entry where it is ot_bridge's own, see compat.cells.
        tree: the spans that come of it instead.
        noise: what a library says of it on stderr, beside what the bridge says.
    """

    reason: str
    rationale: str | None = None
    tree: tuple[str, ...] = ()
    noise: tuple[str, ...] = ()


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

    def parts(self, *wanted: str, worker: bool | None = None) -> list[str]:
        """Return the parts that are instrumented in one of these ways, in one process or, with None, in all."""
        return [part for part, way in self.who.items() if way in wanted and worker in (None, part == "worker")]

    def switches(self, *, worker: bool) -> list[str]:
        """Return the instrumentations of OpenTelemetry's that are on in a process."""
        return sorted({one for part in self.parts("native", "both", worker=worker) for one in PARTS[part].switches})

    @property
    def warned(self) -> list[tuple[str, ...]]:
        """The pairs of names that a warning must have."""
        return [PARTS[part].named for part in self.parts("both") if PARTS[part].named]

    @property
    def limit(self) -> Limit | None:
        """What does not work in this case, None when all does."""
        return LIMITS.get((self.row, self.column))

    @property
    def tree(self) -> list[str]:
        """The spans that must come of it, one in a line, indented by their depth."""
        if self.limit is not None and self.limit.tree:
            return list(self.limit.tree)
        steps = [*self.layer.steps]
        later: list[str] = []
        if self.who.get(WIRE) == "lost":
            there = steps.index(WIRE)
            steps, later = steps[:there], [NO_PARENT, *shown(_grown(steps[there + 1 :], self.who), 1)]
        return [REMOTE, *shown(_grown(steps, self.who), 1), *later]

    @property
    def baggage(self) -> dict[str, dict[str, str]]:
        """What both APIs must see in the program's own spans."""
        seen = {"work": TENANT, "count": {**TENANT, "order": "42", "by": "native"}}
        if WORK not in self.layer.steps:
            seen["count"] = TENANT  # nobody has added to it
        elif self.who.get(WIRE) == "lost":
            seen["count"] = {}
        elif self.who.get("threading") in ("old", "both"):
            del seen["count"]["by"]  # the thread is given a span, which does not have what the Context had beside it
        return {name: items for name, items in seen.items() if any(f" {name} by " in line for line in self.tree)}


def shown(trees: Iterable[Tree], depth: int = 0) -> list[str]:
    """Return trees as lines, the children of each span in one order, whatever theirs was."""
    found = sorted([f"{'  ' * depth}{line}", *shown(below, depth + 1)] for line, below in trees)
    return [line for lines in found for line in lines]


def _grown(steps: Sequence[str], who: Who) -> list[Tree]:
    if not steps:
        return []
    step, *rest = steps
    if step == TWICE:
        return _grown(rest, who) * 2
    if step == WIRE:
        return _grown(rest, who)
    part, _, view = step.partition(":")
    spans = [span.replace("VIEW", view) for span in (getattr(PARTS[part], who[part]) if part in who else (step,))]
    trees = _grown(rest, who)
    for span in reversed(spans):
        trees = [(span[2:], []), *trees] if span.startswith("- ") else [(span, trees)]
    return trees


def _modes(own: str, other: str) -> Mapping[str, tuple[Who, ...]]:
    """Return the modes of a part that stands with another one, the other side of it."""
    return {
        "OpenTracing alone": ({own: "old", other: "old"},),
        "OpenTelemetry alone": ({own: "native", other: "native"},),
        "both": ({own: "both", other: "native"},),
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
    "flask": _shop("flask", "requests", "flask", "opentelemetry-instrumentation-flask", "flask", "Flask-OpenTracing"),
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
        ("entry", WORK, "publish", WIRE, "worker", COUNT),
        {
            "OpenTracing alone": ({"entry": "old", "publish": "old", "worker": "old"},),
            "OpenTelemetry alone": ({"entry": "native", "publish": "native", "worker": "native"},),
            "both": ({"entry": "native", "publish": "both", "worker": "both"},),
            "half of each": (
                {"entry": "native", "publish": "old", WIRE: "lost", "worker": "native"},
                {"entry": "old", "publish": "native", WIRE: "lost", "worker": "old"},
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
        # At INFO, which is what it sets up otherwise, the bridge tells of its start.
        variables={"OTEL_PYTHON_LOG_CORRELATION": "true", "OTEL_PYTHON_LOG_LEVEL": "warning"},
    ),
}

CASES: Final = [
    Case(row, column, number, who)
    for row, layer in LAYERS.items()
    for column, found in layer.modes.items()
    for number, who in enumerate(found)
]

_NOT_ACTIVE: Final = (
    "two CLIENT spans of one call stand side by side, and nothing says so: {one} does not activate its span, so that "
    "neither is seen by the other; switch one off"
)

LIMITS: Final[Mapping[tuple[str, str], Limit]] = {
    ("sqlalchemy", "both"): Limit(_NOT_ACTIVE.format(one="OpenTelemetry's instrumentation of SQLAlchemy")),
    ("grpc", "both"): Limit(_NOT_ACTIVE.format(one="grpcio-opentracing's client")),
    ("celery", "both"): Limit(
        "the OpenTracing span of the task is lost, as celery-opentracing and OpenTelemetry's instrumentation leave "
        "Celery's signals in the order in which they entered; switch one off, as the sender's warning says",
        rationale="What if native code leaves before the OpenTracing scope inside it?",
        tree=(
            REMOTE,
            "  SERVER front by shop",
            "    INTERNAL work by OpenTracing",
            "      PRODUCER apply_async/charge by celery",
            "        CONSUMER run/charge by celery",
            "        PRODUCER publish charge by OpenTracing",
            UNKNOWN,
            "  INTERNAL count by OpenTracing",
        ),
        noise=("SCOPE LEAK! ", "AttributeError: 'NoneType' object has no attribute 'span'"),
    ),
    ("celery", "half of each"): Limit(
        "a task starts a trace of its own, as celery-opentracing and OpenTelemetry's instrumentation put the context "
        "under different names into a message; the sender and the worker must have the same one"
    ),
}
