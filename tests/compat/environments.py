"""The environments in which compat_matrix.md is measured, as data; noxfile.py makes a session of each.

To add a library: a file in tests/libraries/, and its packages and path in a row here, in an environment that it can
share with others, or in one of its own where its requirements exclude them.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["BASE", "ENVIRONMENTS", "Environment"]

BASE = (
    "hypothesis>=6.120,<7",
    "mock>=5,<6",
    "platformdirs>=4.2,<5",
    "pytest>=8.3,<10",
    "pytest-xdist>=3.6,<4",
    "requests>=2.31,<3",
)
"""What the tests themselves need, beside ot_bridge."""


class Environment(NamedTuple):
    """One virtual environment and the tests that run in it; what is not pinned is the newest there is.

    Attributes:
        python: a version, such as 3.13.
        packages: requirements.
        tests: files or directories below tests/.
        ci: whether CI runs it too.
        arguments: more for pytest, such as -W ignore::DeprecationWarning:library.
    """

    python: str
    packages: tuple[str, ...]
    tests: tuple[str, ...]
    ci: bool = True
    arguments: tuple[str, ...] = ()


_CONTRIB = ("celery", "django", "flask", "grpc", "httpx", "psycopg", "redis", "requests", "sqlalchemy", "urllib3")
_INSTRUMENTED = (*_CONTRIB, "asyncio", "logging", "threading")
_OVERRIDES = "--override=tests/compat/overrides.txt"
_LOOPS = ("anyio", "eventlet", "gevent", "tornado>=6.1", "trio")
_BUT_TORNADO_5 = ("--ignore=tests/loops/test_tornado_5.py",)

_SERVERS = ("celery", "flask", "gevent", "gunicorn", "pyuwsgi", "redis", "uvicorn", "uvicorn-worker")

ENVIRONMENTS: dict[str, Environment] = {
    "data": Environment(
        python="3.13",
        packages=(
            _OVERRIDES,
            "asyncpg",
            "asyncpg-opentracing",
            "celery",
            "celery-opentracing",
            "elasticsearch",
            "elasticsearch-opentracing",
            "grpcio",
            "grpcio-health-checking",
            "grpcio-opentracing",
            "psycopg2-binary",
            "redis",
            "redis-opentracing",
            "sqlalchemy",
            "sqlalchemy-opentracing",
        ),
        tests=(
            "tests/libraries/test_asyncpg_opentracing.py",
            "tests/libraries/test_celery_opentracing.py",
            "tests/libraries/test_elasticsearch_opentracing_newest.py",
            "tests/libraries/test_grpcio_opentracing.py",
            "tests/libraries/test_redis_opentracing.py",
            "tests/libraries/test_sqlalchemy_opentracing.py",
        ),
        # Celery's client leaves its sockets to the garbage collector.
        arguments=("-W", "ignore:unclosed:ResourceWarning"),
    ),
    "data-older": Environment(
        python="3.13",
        packages=(
            _OVERRIDES,
            "elasticsearch<6",
            "elasticsearch-opentracing",
            "grpcio",
            "grpcio-health-checking<1.63",
            "grpcio-opentracing",
            "psycopg2-binary",
            "sqlalchemy<1.4",
            "sqlalchemy-opentracing",
        ),
        tests=(
            "tests/libraries/test_elasticsearch_opentracing.py",
            "tests/libraries/test_grpcio_opentracing_stubs.py",
            "tests/libraries/test_sqlalchemy_opentracing_1_3.py",
        ),
        # Elasticsearch's client of 2017 has escapes in its docstrings that Python warns of when it compiles them.
        arguments=("-W", "ignore::SyntaxWarning"),
    ),
    # What these libraries ask for, as pip gives it: opentracing 2.3.
    "opentracing-2.3": Environment(
        python="3.13",
        packages=(
            "dbapi-opentracing",
            "psycopg",
            "psycopg2-binary",
            "pymongo",
            "pymongo-opentracing",
            "secantusdb>=0.7.0b3",
        ),
        tests=(
            "tests/libraries/test_dbapi_opentracing.py",
            "tests/libraries/test_opentracing_2_3.py",
            "tests/libraries/test_pymongo_opentracing.py",
            "tests/test_conformance.py",
            "tests/test_logs.py",
            "tests/test_references.py",
            "tests/test_scopes.py",
        ),
    ),
    "loops": Environment("3.13", _LOOPS, ("tests/loops",), arguments=_BUT_TORNADO_5),
    "loops-3.10": Environment("3.10", _LOOPS, ("tests/loops",), ci=False, arguments=_BUT_TORNADO_5),
    # OpenTracing's scope manager for tornado needs stack contexts, which tornado 6 no longer has.
    "loops-tornado-5": Environment("3.10", ("tornado==5.1.1",), ("tests/loops/test_tornado_5.py",)),
    "worlds": Environment(
        "3.13",
        (
            "opentelemetry-distro>=0.66b1,<0.67",
            *(f"opentelemetry-instrumentation-{name}>=0.66b1,<0.67" for name in _INSTRUMENTED),
            "celery>=5.7,<6",
            "django>=4.2,<5",  # django-opentracing's middleware fails from 5 on
            "flask>=3.1,<4",
            "grpcio",
            "httpx",
            "psycopg[binary]>=3.2,<4",
            "redis",
            "sqlalchemy>=2.0,<2.1",  # what its instrumentation takes
            "structlog",
            "urllib3>=2,<3",
            "celery-opentracing==0.0.1",
            "django-opentracing==1.1.0",
            "Flask-OpenTracing==2.0.0",
            "grpcio-opentracing==1.1.4",
            "redis-opentracing==1.0.0",
            "requests-opentracing==0.3.0",
        ),
        ("tests/worlds",),
    ),
    "processes": Environment("3.13", _SERVERS, ("tests/processes",), arguments=("--numprocesses=2", "--dist=loadfile")),
    # The programs of the how-to pages, as they are and served; jaeger-client is for those of before the swap.
    "pages": Environment(
        python="3.13",
        packages=(
            "django",
            "django-opentracing==1.1.0",
            "fastapi",
            "flask",
            "flask-opentracing==2.0.0",
            "grpcio-opentracing==1.1.4",
            "gunicorn",
            "jaeger-client==4.8.0",
            "opentelemetry-instrumentation-django",
            "opentelemetry-instrumentation-fastapi",
            "opentelemetry-instrumentation-flask",
            "opentelemetry-instrumentation-grpc",
            "six",
            "starlette-opentracing==0.1.0",
            "thrift>=0.16,<0.26",
            "tornado>=6.4,<7",
            "uvicorn",
        ),
        tests=("tests/test_pages.py", "tests/test_page_programs.py"),
        arguments=("-k", "flask.md or django.md or fastapi.md or grpc.md or test_grpc"),
    ),
    # flatten-dict and opentracing-utils import pkg_resources. Two libraries pin an OpenTracing and a tornado of old.
    "web": Environment(
        python="3.13",
        packages=(
            "--override=tests/compat/web.txt",
            "boto3>=1.35,<2",
            "celery>=5.4,<6",
            "django-opentracing==1.1.0",
            "django>=6,<7",
            "fastapi>=0.115,<1",
            "flask-opentracing==2.0.0",
            "flask>=3,<4",
            "logging-opentracing==0.1.2",
            "opentracing-decorator==1.1.0",
            "opentracing-instrumentation==3.3.1",
            "opentracing-utils==0.23.0",
            "psycopg2-binary>=2.9,<3",
            "redis>=5,<9",
            "requests-opentracing==0.3.0",
            "setuptools>=80,<82",
            "sqlalchemy>=2,<3",
            "starlette-opentracing==0.1.0",
            "tornado-opentracing==1.0.1",
            "tornado>=6.4,<7",
            "uvicorn>=0.34,<1",
        ),
        tests=(
            "tests/libraries/test_django_opentracing.py",
            "tests/libraries/test_flask_opentracing.py",
            "tests/libraries/test_logging_opentracing.py",
            "tests/libraries/test_opentracing_decorator.py",
            "tests/libraries/test_opentracing_instrumentation.py",
            "tests/libraries/test_opentracing_utils.py",
            "tests/libraries/test_requests_opentracing.py",
            "tests/libraries/test_starlette_opentracing.py",
            "tests/libraries/test_tornado_opentracing.py",
        ),
        # Of opentracing_instrumentation's hook of requests.
        arguments=(
            "-W",
            "ignore:urllib.parse.splittype() is deprecated:DeprecationWarning",
            "-W",
            "ignore:urllib.parse.splithost() is deprecated:DeprecationWarning",
        ),
    ),
    # The newest Python that tornado 5 can be built for.
    "web-tornado-5": Environment(
        python="3.11",
        packages=(
            "--override=tests/compat/web_tornado_5.txt",
            "boto3>=1.35,<2",
            "celery>=5.4,<6",
            "django-opentracing==1.1.0",
            "django>=4.2,<5",
            "opentracing-instrumentation==3.3.1",
            "psycopg2-binary>=2.9,<3",
            "redis>=5,<9",
            "sqlalchemy>=2,<3",
            "tornado-opentracing==1.0.1",
            "tornado>=5.1,<6",
            "uvicorn>=0.34,<1",
        ),
        tests=(
            "tests/libraries/test_django_opentracing.py",
            "tests/libraries/test_opentracing_instrumentation.py",
            "tests/libraries/test_tornado_opentracing.py",
        ),
        arguments=(
            "-W",
            "ignore:urllib.parse.splittype() is deprecated:DeprecationWarning",
            "-W",
            "ignore:urllib.parse.splithost() is deprecated:DeprecationWarning",
            # tornado 5's own.
            "-W",
            "ignore:invalid escape sequence:DeprecationWarning",
            "-W",
            "ignore:StackContext is deprecated:DeprecationWarning",
        ),
    ),
}
