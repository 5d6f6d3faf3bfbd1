"""Tests that fill compat_matrix.md: a test says which cell it speaks for, and what it found is recorded.

    pytestmark = cell("libraries", "Flask-OpenTracing", packages=("Flask-OpenTracing", "flask"))

    def test_request_is_one_server_span(): ...

    @limited("two requests at a time share one span: it keeps spans by Flask's request proxy")
    def test_requests_at_the_same_time_lose_a_span(): ...

A cell is what its worst test says: it `fails`, was `not run`, is `unusable`, `limited` (both hold what the library or
the process does, and pass when that is so), or `works`. ``pytest --record FILE`` writes the cells of a run; see
tests/compat/recording.py. The sections, and the columns that each row of them must fill, are in
``ot_bridge.matrix.recorded``.
"""

from __future__ import annotations

import pytest

__all__ = ["cell", "limited", "unusable"]


def cell(
    section: str, row: str, column: str = "", *, packages: tuple[str, ...] = (), counterpart: str = ""
) -> pytest.MarkDecorator:
    """Return the mark of a test that speaks for a cell.

    Args:
        section: a key of SECTIONS in ot_bridge.matrix.recorded.
        row: what is tested.
        column: one of the section's columns, "" where it has none.
        packages: distributions whose versions belong into the cell, the tested one first.
        counterpart: the real thing on the other side, such as "redis-server 7".
    """
    return pytest.mark.cell(section, row, column, packages=packages, counterpart=counterpart)


def limited(reason: str, *, rationale: str | None = None) -> pytest.MarkDecorator:
    """Return the mark of a test that holds a limit.

    Args:
        reason: what does not work, for whom, and what to do about it; one sentence.
        rationale: the heading of the entry in RATIONALE.md when the limit is ot_bridge's own; None when it is the
            library's or the server's, and would be there with any tracer.
    """
    return pytest.mark.limited("limited", reason, rationale=rationale)


def unusable(reason: str) -> pytest.MarkDecorator:
    """Return the mark of a test that shows why something cannot be used at all, with any tracer."""
    return pytest.mark.limited("unusable", reason, rationale=None)
