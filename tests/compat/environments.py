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


ENVIRONMENTS: dict[str, Environment] = {}
