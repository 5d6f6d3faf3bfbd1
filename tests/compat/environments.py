"""The environments in which compat_matrix.md is measured, as data; noxfile.py makes a session of each.

To add a library: a file in tests/libraries/, and its packages and path in a row here, in an environment that it can
share with others, or in one of its own where its requirements exclude them.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["BASE", "ENVIRONMENTS", "Environment"]

BASE = ("hypothesis>=6.120,<7", "mock>=5,<6", "pytest>=8.3,<10", "requests>=2.31,<3")
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


_LOOPS = ("anyio", "eventlet", "gevent", "tornado>=6.1", "trio")
_BUT_TORNADO_5 = ("--ignore=tests/loops/test_tornado_5.py",)

_SERVERS = ("celery", "flask", "gevent", "gunicorn", "pyuwsgi", "redis", "uvicorn", "uvicorn-worker")

ENVIRONMENTS: dict[str, Environment] = {
    "loops": Environment("3.13", _LOOPS, ("tests/loops",), arguments=_BUT_TORNADO_5),
    "loops-3.10": Environment("3.10", _LOOPS, ("tests/loops",), ci=False, arguments=_BUT_TORNADO_5),
    # OpenTracing's scope manager for tornado needs stack contexts, which tornado 6 no longer has.
    "loops-tornado-5": Environment("3.10", ("tornado==5.1.1",), ("tests/loops/test_tornado_5.py",)),
    "processes": Environment("3.13", _SERVERS, ("tests/processes",)),
}
