"""tornado-opentracing on tornado 5 and OpenTracing's TornadoScopeManager; and why not on tornado 6."""

from __future__ import annotations

import collections
import collections.abc
from typing import Any

import pytest

collections.MutableMapping = collections.abc.MutableMapping  # type: ignore[attr-defined]
