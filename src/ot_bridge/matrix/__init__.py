"""compat_matrix.md, printed from the tables that the code runs on, so that the page cannot say something else.

``page`` puts it together; ``api`` and ``dropin`` hold the tables that no other module owns; ``held_by`` names the
tests. tests/test_matrix.py compares the page with what is printed, and looks for every test that is named.
"""

from __future__ import annotations

from ot_bridge.matrix.page import page

__all__ = ["page"]
