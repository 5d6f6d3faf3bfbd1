"""elasticsearch-opentracing with the newest client of Elasticsearch cannot be imported."""

from __future__ import annotations

import importlib

import pytest

from compat.cells import cell, unusable
from libraries.requirements import needs

needs("elasticsearch>=9", "elasticsearch-opentracing")

pytestmark = cell(
    "libraries",
    "elasticsearch-opentracing",
    "elasticsearch 9",
    packages=("elasticsearch-opentracing", "elasticsearch", "opentracing"),
    counterpart="none is reached",
)


@unusable(
    "it derives from a class that elasticsearch 8 gave up, and in 6 and 7 the arguments of that class were others: "
    "take elasticsearch 5.5.3"
)
def test_import_fails() -> None:
    with pytest.raises(ImportError, match="Transport"):
        importlib.import_module("elasticsearch_opentracing")
