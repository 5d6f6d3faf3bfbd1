"""Locks that survive a fork."""

from __future__ import annotations

import os
import threading

__all__ = ["fork_safe_lock"]


def fork_safe_lock() -> threading.Lock:
    """Return a lock that the child of a fork finds open, though another thread held it in the parent."""
    lock = threading.Lock()
    renew = getattr(lock, "_at_fork_reinit", None)  # as the threading module does with its own
    if renew is not None and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew)
    return lock
