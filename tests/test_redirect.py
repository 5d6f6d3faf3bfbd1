"""``import jaeger_client`` under the redirection: every module under two names, and one object each."""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest

from ot_bridge.autostart import redirect

NEW = "ot_bridge.jaeger_client"


@pytest.fixture(autouse=True)
def _redirected() -> Iterator[None]:
    undo = redirect.arm()
    yield
    undo()


@pytest.mark.parametrize(
    "name", ["", ".constants", ".config", ".span", ".span_context", ".metrics", ".metrics.prometheus"]
)
def test_module_is_the_same_object_under_both_names(name: str) -> None:
    old, new = importlib.import_module(f"jaeger_client{name}"), importlib.import_module(f"{NEW}{name}")
    assert old is new
    assert new.__spec__ is not None
    assert (new.__name__, new.__spec__.name, new.__spec__.loader) == (f"{NEW}{name}", f"{NEW}{name}", new.__loader__)


def test_classes_are_the_same_whichever_name_they_come_by() -> None:
    import jaeger_client
    from jaeger_client import constants
    from jaeger_client.metrics.prometheus import PrometheusMetricsFactory

    from ot_bridge import jaeger_client as new
    from ot_bridge.jaeger_client.metrics import prometheus

    assert jaeger_client.Span is new.Span
    assert jaeger_client.constants is constants
    assert constants.TRACE_ID_HEADER == "uber-trace-id"
    assert PrometheusMetricsFactory is prometheus.PrometheusMetricsFactory  # type: ignore[comparison-overlap]


def test_pickles_of_either_name_are_read() -> None:
    from ot_bridge.jaeger_client import SpanContext

    data = pickle.dumps(SpanContext, protocol=0)
    old = data.replace(b"cot_bridge.jaeger_client", b"cjaeger_client")
    assert old != data
    assert (pickle.loads(data), pickle.loads(old)) == (SpanContext, SpanContext)


def test_metadata_of_the_real_package_is_left_alone() -> None:
    assert metadata.version("jaeger-client") == "4.8.0"


@pytest.mark.parametrize("name", ["jaeger_client.crossdock", "jaeger_client.metrics.statsd"])
def test_missing_module_says_what_to_do(name: str) -> None:
    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module(name)
    assert (caught.value.name, str(caught.value)) == (
        name,
        (
            f"No module named {name!r}: under ot_bridge jaeger_client is ot_bridge.jaeger_client, which has no such "
            "module: remove the import, or start this program without ot_bridge"
        ),
    )


def test_module_that_the_dropin_needs_and_lacks_is_named_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, f"{NEW}.constants", raising=False)
    monkeypatch.setattr(redirect, "import_module", lambda name: importlib.import_module("prometheus_klient"))
    importlib.import_module(NEW)
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'prometheus_klient'$"):
        importlib.import_module("jaeger_client.constants")


def test_module_can_be_looked_for_reloaded_and_patched(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.find_spec("jaeger_client.constants")
    assert spec is not None
    module = importlib.import_module("jaeger_client.constants")
    assert importlib.reload(module) is module is sys.modules[f"{NEW}.constants"]
    monkeypatch.setattr("jaeger_client.constants.TRACE_ID_HEADER", "other")
    assert importlib.import_module(f"{NEW}.constants").TRACE_ID_HEADER == "other"


def test_many_threads_get_one_module() -> None:
    for name in [name for name in sys.modules if name.startswith("jaeger_client")]:
        del sys.modules[name]
    found: list[ModuleType] = []
    threads = [
        threading.Thread(target=lambda: found.append(importlib.import_module("jaeger_client.config"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [importlib.import_module(f"{NEW}.config")] * 8


def test_real_package_comes_back_when_it_is_undone() -> None:
    program = (
        "import jaeger_client\n"
        "from ot_bridge.autostart import redirect\n"
        "real = jaeger_client\n"
        "undo = redirect.arm(); redirect.arm()()\n"
        "import jaeger_client as second\n"
        "undo()\n"
        "import jaeger_client as third\n"
        "print(real.__name__, second.__name__, third is real)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"jaeger_client {NEW} True\n"


def test_file_of_the_program_that_has_the_name_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jaeger_client.py").write_text("raise RuntimeError", encoding="utf-8")
    (tmp_path / "jaeger_client_extras.py").write_text("NAME = __name__", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    names = [importlib.import_module(name).__name__ for name in ("jaeger_client", "jaeger_client_extras")]
    assert names == [NEW, "jaeger_client_extras"]
