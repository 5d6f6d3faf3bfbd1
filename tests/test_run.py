"""`ot-bridge run`: programs without a line of set-up, in processes of their own."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from collectors import http_collector
from peers.prepare import Missing, prepared
from zero_code import BRIDGE, SOURCE, environment, run, spans_of

POSIX = pytest.mark.skipif(os.name == "nt", reason="exec and signals of POSIX")

# What runs in each of the programs below.
ONE_SPAN = """
import opentracing
with opentracing.global_tracer().start_active_span({name!r}):
    pass
"""


def program(folder: Path, text: str, name: str = "app.py") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return name


@pytest.mark.parametrize(
    "words",
    [
        ("python", "app.py"),
        ("--", "python", "app.py"),
        ("python", "-u", "-X", "dev", "app.py"),
        (sys.executable, "app.py"),
        ("python", "-m", "app"),
        ("-m", "app"),
        ("--", "-m", "app"),
        ("app.py",),
        ("./app.py",),
        ("sh", "-c", "python app.py && exit 0"),
        ("env", "LANG=C", "python", "app.py"),
    ],
    ids=" ".join,
)
def test_spans_of_a_program_without_set_up_arrive(words: tuple[str, ...], tmp_path: Path) -> None:
    program(tmp_path, ONE_SPAN.format(name="work"))
    with http_collector() as (endpoint, arrivals):
        done = run(*words, cwd=tmp_path, endpoint=endpoint, variables={"OTEL_SERVICE_NAME": "shop"})
        found = spans_of(arrivals)
    assert (done.returncode, done.stdout, done.stderr, found) == (0, "", "", [("shop", "work")])


def test_program_finds_the_tracer_before_its_first_line(tmp_path: Path) -> None:
    app = program(
        tmp_path,
        "import json, opentracing, ot_bridge\n"
        "from opentracing import tracer\n"
        "from opentelemetry import propagate, trace\n"
        "print(json.dumps([type(tracer).__name__, tracer is opentracing.global_tracer() is ot_bridge.install(),\n"
        "    opentracing.is_global_tracer_registered(), type(trace.get_tracer_provider()).__name__,\n"
        "    type(propagate.get_global_textmap()).__name__]))",
    )
    done = run("python", app, cwd=tmp_path)
    assert json.loads(done.stdout) == ["BridgeTracer", True, True, "TracerProvider", "MixedFleetPropagator"]


def test_native_program_is_traced_as_well(tmp_path: Path) -> None:
    app = program(
        tmp_path,
        "from opentelemetry import trace\nwith trace.get_tracer('mine').start_as_current_span('native'): pass\n",
    )
    with http_collector() as (endpoint, arrivals):
        run("python", app, cwd=tmp_path, endpoint=endpoint, variables={"OTEL_SERVICE_NAME": "shop"})
        assert spans_of(arrivals) == [("shop", "native")]


@pytest.mark.parametrize("first", ["opentracing", "opentelemetry.trace"])
def test_provider_of_the_application_is_taken_for_both(first: str, tmp_path: Path) -> None:
    app = program(
        tmp_path,
        f"import {first}, opentracing\n"
        "from opentelemetry import trace\n"
        "early, tracer = trace.get_tracer('early'), opentracing.global_tracer()\n"
        "with tracer.start_active_span('before'), early.start_as_current_span('before too'): pass\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from opentelemetry.sdk.trace.export import SimpleSpanProcessor\n"
        "from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter\n"
        "exporter = InMemorySpanExporter()\n"
        "provider = TracerProvider()\n"
        "provider.add_span_processor(SimpleSpanProcessor(exporter))\n"
        "trace.set_tracer_provider(provider)\n"
        "with tracer.start_active_span('old'), early.start_as_current_span('new'): pass\n"
        "new, old = exporter.get_finished_spans()\n"
        "print(new.name, old.name, new.parent.span_id == old.context.span_id, early.resource is provider.resource)\n",
    )
    with http_collector() as (endpoint, arrivals):
        done = run("python", app, cwd=tmp_path, endpoint=endpoint, variables={"OTEL_SERVICE_NAME": "shop"})
        found = spans_of(arrivals)
    assert (done.stdout, done.stderr) == ("new old True True\n", "")
    assert found == [("shop", "before"), ("shop", "before too")]


def test_tracer_that_the_application_makes_records_its_spans_itself(tmp_path: Path) -> None:
    app = program(
        tmp_path,
        "import ot_bridge\n"
        "with ot_bridge.BridgeTracer().start_active_span('own'): pass\n"
        "print(dict(ot_bridge.telemetry.snapshot()))\n",
    )
    with http_collector() as (endpoint, arrivals):
        done = run("python", app, cwd=tmp_path, endpoint=endpoint, variables={"OTEL_SERVICE_NAME": "shop"})
        found = spans_of(arrivals)
    assert (done.stdout, done.stderr, found) == ("{}\n", "", [("shop", "own")])


@pytest.mark.parametrize(
    "library", ["opentracing.mocktracer", "opentelemetry.sdk.trace.export", "ot_bridge.config", "ot_bridge"]
)
def test_bridge_is_installed_whatever_is_imported_first(library: str, tmp_path: Path) -> None:
    app = program(tmp_path, f"import {library}, opentracing; print(type(opentracing.tracer).__name__)")
    done = run("python", app, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("BridgeTracer\n", "")


def test_process_that_does_not_trace_does_not_load_the_sdk(tmp_path: Path) -> None:
    text = "import sys; print(*[one for one in sys.modules if one.startswith(('opentel', 'opentracing', 'logging'))])"
    done = run("python", program(tmp_path, text), cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("\n", "")


def test_exporter_is_loaded_at_the_first_export(tmp_path: Path) -> None:
    app = program(
        tmp_path,
        "import opentracing, sys\n"
        "print('requests' in sys.modules)\n"
        "with opentracing.tracer.start_active_span('one'): pass\n"
        "print(opentracing.tracer.flush(), 'requests' in sys.modules)\n",
    )
    with http_collector() as (endpoint, arrivals):
        done = run("python", app, cwd=tmp_path, endpoint=endpoint, variables={"OTEL_SERVICE_NAME": "shop"})
        found = spans_of(arrivals)
    assert (done.stdout, found) == ("False\nTrue True\n", [("shop", "one")])


def test_gevent_can_still_patch_before_anything_is_imported(tmp_path: Path) -> None:
    app = program(
        tmp_path,
        "from gevent import monkey; monkey.patch_all()\nimport sys\n"
        "sys.stdout.write(str('ssl' in sys.modules))\n"
        # At the end of the interpreter gevent can start no thread for its resolver, from Python 3.12 on.
        + ONE_SPAN.format(name="green")
        + "sys.exit(not opentracing.global_tracer().flush())\n",
    )
    with http_collector() as (endpoint, arrivals):
        done = run("python", "-W", "error", app, cwd=tmp_path, endpoint=endpoint)
        found = spans_of(arrivals)
    assert (done.returncode, done.stderr, [name for _, name in found]) == (0, "", ["green"])


class TestProcess:
    """The command is what runs: nothing of ot-bridge stands between it and its caller."""

    def test_streams_arguments_and_status_are_the_commands_own(self, tmp_path: Path) -> None:
        text = "import sys; print(sys.argv[1:], sys.stdin.read()); print('err', file=sys.stderr); sys.exit(37)"
        app = program(tmp_path, text)
        done = run("python", app, "--explain", "-x", "--", "a b", "", cwd=tmp_path, given="in\n")
        assert (done.returncode, done.stdout, done.stderr) == (
            37,
            "['--explain', '-x', '--', 'a b', ''] in\n\n",
            "err\n",
        )

    @POSIX
    def test_process_keeps_its_id_and_its_signals(self, tmp_path: Path) -> None:
        text = (
            "import os, signal\nprint(os.getpid(), int(signal.getsignal(signal.SIGINT) == signal.default_int_handler),"
            " flush=True)\nsignal.pause()"
        )
        words = [*BRIDGE, "python", program(tmp_path, text)]
        # What is ignored here, as it is in a shell's background job, is ignored there.
        default = str(int(signal.getsignal(signal.SIGINT) is not signal.SIG_IGN))
        for number in (signal.SIGTERM, signal.SIGKILL):
            process = subprocess.Popen(words, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            assert process.stdout.readline().split() == [str(process.pid), default]
            process.send_signal(number)
            assert process.wait(20) == -number
            process.stdout.close()

    @POSIX
    def test_broken_pipe_ends_a_shell_as_ever(self, tmp_path: Path) -> None:
        done = run("sh", "-c", "trap '' TERM; yes | head -1; kill -PIPE $$; echo alive", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (-signal.SIGPIPE, "y\n")

    def test_command_beside_the_interpreter_need_not_be_on_the_path(self, tmp_path: Path) -> None:
        done = run("flask", "--version", cwd=tmp_path, variables={"PATH": os.defpath})
        assert (done.returncode, "Flask" in done.stdout) == (0, True)

    def test_directory_with_a_main_module_runs(self, tmp_path: Path) -> None:
        (tmp_path / "shop").mkdir()
        program(tmp_path / "shop", "print('here')", "__main__.py")
        assert run("shop", cwd=tmp_path).stdout == "here\n"

    @pytest.mark.parametrize(
        ("words", "status", "text"),
        [
            ((), 2, "no command: expected 'ot-bridge run python app.py', or -m MODULE, app.py, gunicorn ..."),
            (("-m",), 2, "-m needs the name of a module, such as 'ot-bridge run -m shop.server'"),
            (("gunicor",), 127, "cannot find the command 'gunicor'; did you mean 'gunicorn'?"),
            (("ap.py",), 127, "cannot find the command 'ap.py'; did you mean 'app.py'?"),
            (("./notes.txt",), 126, "cannot execute './notes.txt': Permission denied"),
            (
                ("--explian", "python", "app.py"),
                2,
                "no such option: --explian; expected --explain, --json, --help, -m MODULE or a command",
            ),
        ],
        ids=str,
    )
    def test_command_that_cannot_start_is_said(
        self, words: tuple[str, ...], status: int, text: str, tmp_path: Path
    ) -> None:
        program(tmp_path, "")
        program(tmp_path, "", "notes.txt")
        done = run(*words, cwd=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (status, "", f"Error: {text}\n")

    @pytest.mark.parametrize("flags", ["-I", "-E", "-S", "-bE", "-W ignore -I"])
    def test_python_that_would_not_let_the_bridge_in_is_refused(self, flags: str, tmp_path: Path) -> None:
        done = run("python", *flags.split(), program(tmp_path, "print('ran')"), cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("Error: the command starts Python with -")
        assert "by which ot_bridge comes in; start it without -" in done.stderr

    @POSIX
    def test_script_whose_first_line_would_not_let_the_bridge_in_is_refused(self, tmp_path: Path) -> None:
        script = tmp_path / "tool"
        script.write_text(f"#!{sys.executable} -Es\nprint('ran')\n", encoding="utf-8")
        script.chmod(0o755)
        done = run("./tool", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("Error: the first line of ./tool starts Python with -Es")

    @pytest.mark.parametrize(
        "words", [("-c", "print('ran')", "-I"), ("app.py", "-I"), ("-u", "-m", "app", "-E")], ids=str
    )
    def test_flags_of_the_program_are_its_own(self, words: tuple[str, ...], tmp_path: Path) -> None:
        program(tmp_path, "print('ran')")
        done = run("python", *words, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, "ran\n")

    def test_python_path_that_is_set_stays(self, tmp_path: Path) -> None:
        (tmp_path / "lib").mkdir()
        program(tmp_path / "lib", "WHERE = 'lib'", "shoplib.py")
        app = program(
            tmp_path, "import os, shoplib; print(shoplib.WHERE, os.environ['PYTHONPATH'].split(os.pathsep)[1:])"
        )
        before = os.pathsep.join([str(tmp_path / "lib"), SOURCE])
        done = run("python", app, cwd=tmp_path, variables={"PYTHONPATH": before})
        assert done.stdout == f"lib {[str(tmp_path / 'lib'), SOURCE]}\n"

    def test_run_below_run_sets_nothing_twice(self, tmp_path: Path) -> None:
        app = program(tmp_path, "import os; print(os.environ['PYTHONPATH'].split(os.pathsep)[1:])")
        done = run(*BRIDGE, "python", app, cwd=tmp_path)
        assert (done.stdout, done.stderr) == (f"{[SOURCE]}\n", "")


class TestMistakes:
    def test_wrong_variable_stops_it_before_the_start(self, tmp_path: Path) -> None:
        app = program(tmp_path, "print('ran')")
        done = run("python", app, cwd=tmp_path, variables={"OT_BRIDGE_SEMCONV": "legcy"})
        assert (done.returncode, done.stdout, done.stderr) == (
            2,
            "",
            (
                "Error: cannot use semconv: got 'legcy' (environment variable OT_BRIDGE_SEMCONV), expected 'legacy',"
                " 'dup' or 'new'; did you mean 'legacy'?\n"
            ),
        )

    def test_process_with_a_wrong_variable_of_the_sdk_goes_on_without_tracing(self, tmp_path: Path) -> None:
        app = program(
            tmp_path,
            "import opentracing, os, jaeger_client\n"
            "with opentracing.tracer.start_active_span('x') as scope: print(type(scope).__name__, os.getpid())\n",
        )
        done = run("python", app, cwd=tmp_path, variables={"OTEL_TRACES_SAMPLER": "always_one"})
        name, pid = done.stdout.split()
        assert (done.returncode, name) == (0, "Scope")
        assert done.stderr == (
            "ot_bridge: this process is not traced: cannot use OTEL_TRACES_SAMPLER: got 'always_one' (environment"
            " variable), expected one of always_on, always_off, traceidratio, parentbased_always_on,"
            " parentbased_always_off, parentbased_traceidratio, ot_bridge_const, ot_bridge_probabilistic,"
            " ot_bridge_ratelimiting, ot_bridge_guaranteed, ot_bridge_remote; did you mean 'always_on'?"
            f" (process {pid})\n"
        )

    def test_child_with_a_wrong_variable_of_the_bridge_goes_on_without_tracing(self, tmp_path: Path) -> None:
        app = program(tmp_path, "import opentracing; opentracing.tracer.start_span('x').finish(); print('ran')")
        done = run("env", "OT_BRIDGE_EXTRACT=b4", "python", app, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, "ran\n")
        assert done.stderr.startswith("ot_bridge: this process is not traced: cannot use extract: got 'b4'")
        assert done.stderr.count("\n") == 1

    def test_broken_installation_stops_nobody(self, tmp_path: Path) -> None:
        text = "import sys\nsys.modules['opentelemetry.sdk.trace'] = None\nimport opentracing\nprint('ran')\n"
        done = run("python", program(tmp_path, text), cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, "ran\n")
        assert done.stderr.startswith("ot_bridge: this process is not traced: ModuleNotFoundError: ")
        assert done.stderr.count("\n") == 1


class TestSiteCustomize:
    """The one that was there before runs as it did."""

    def test_own_one_of_the_program_runs_before_it(self, tmp_path: Path) -> None:
        (tmp_path / "lib").mkdir()
        program(tmp_path / "lib", "import sys; sys.mark = 'set'; NAME = __name__", "sitecustomize.py")
        app = program(
            tmp_path, "import sys, sitecustomize\nprint(sys.mark, sitecustomize.NAME, sitecustomize.__file__)"
        )
        before = os.pathsep.join([str(tmp_path / "lib"), SOURCE])
        done = run("python", app, cwd=tmp_path, variables={"PYTHONPATH": before})
        assert done.stdout == f"set sitecustomize {tmp_path / 'lib' / 'sitecustomize.py'}\n"

    def test_one_that_looks_for_the_next_itself_does_not_find_ours_again(self, tmp_path: Path) -> None:
        # As those of debuggers and of other tracers do.
        for name, text in (
            (
                "one",
                (
                    "import sys, os\nsys.path.remove(os.path.dirname(__file__))\ndel sys.modules['sitecustomize']\n"
                    "import sitecustomize\nsys.marks.append('one')"
                ),
            ),
            ("two", "import sys; sys.marks = ['two']"),
        ):
            (tmp_path / name).mkdir()
            program(tmp_path / name, text, "sitecustomize.py")
        app = program(tmp_path, "import sys, opentracing\nprint(sys.marks, type(opentracing.tracer).__name__)")
        before = os.pathsep.join([str(tmp_path / "one"), str(tmp_path / "two"), SOURCE])
        done = run("python", app, cwd=tmp_path, variables={"PYTHONPATH": before})
        assert (done.stdout, done.stderr) == ("['two', 'one'] BridgeTracer\n", "")

    def test_one_that_fails_is_reported_by_python_and_the_bridge_works(self, tmp_path: Path) -> None:
        (tmp_path / "lib").mkdir()
        program(tmp_path / "lib", "raise ValueError('theirs')", "sitecustomize.py")
        app = program(tmp_path, "import opentracing; print(type(opentracing.tracer).__name__)")
        before = os.pathsep.join([str(tmp_path / "lib"), SOURCE])
        plain = subprocess.run(
            [sys.executable, "-c", ""], env=environment(PYTHONPATH=before), capture_output=True, text=True, check=True
        )
        done = run("python", app, cwd=tmp_path, variables={"PYTHONPATH": before})
        # The launcher is a Python too.
        assert (done.stdout, done.stderr) == ("BridgeTracer\n", plain.stderr * 2)

    def test_coverage_of_subprocesses_works_beside_it(self, tmp_path: Path) -> None:
        app = program(tmp_path, ONE_SPAN.format(name="covered"))
        with http_collector() as (endpoint, arrivals):
            done = run("coverage", "run", "--data-file=c.data", app, cwd=tmp_path, endpoint=endpoint)
            assert (done.returncode, [name for _, name in spans_of(arrivals)]) == (0, ["covered"])


class TestChildren:
    @pytest.mark.parametrize(
        "text",
        [
            "import subprocess, sys\nsubprocess.run([sys.executable, 'child.py'], check=True)",
            "import os\nos.system('python child.py')",
            (
                "import multiprocessing, child\n"
                "if __name__ == '__main__':\n"
                "    process = multiprocessing.get_context('spawn').Process(target=child.work)\n"
                "    process.start(); process.join()"
            ),
        ],
        ids=["subprocess", "shell", "spawn"],
    )
    def test_child_processes_are_traced(self, text: str, tmp_path: Path) -> None:
        body = "import opentracing\ndef work():\n    with opentracing.tracer.start_active_span('child'): pass\n"
        program(tmp_path, f"{body}if __name__ == '__main__': work()\n", "child.py")
        with http_collector() as (endpoint, arrivals):
            variables = {"OTEL_SERVICE_NAME": "shop"}
            done = run("python", program(tmp_path, text), cwd=tmp_path, endpoint=endpoint, variables=variables)
            found = spans_of(arrivals)
        assert (done.returncode, done.stderr, found) == (0, "", [("shop", "child")])

    @POSIX
    @pytest.mark.parametrize("imported_by", ["parent", "child"])
    @pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
    def test_last_spans_of_multiprocessing_are_sent(self, method: str, imported_by: str, tmp_path: Path) -> None:
        early = "import opentracing" if imported_by == "parent" else ""
        text = (
            f"{early}\nimport multiprocessing\n"
            "def work(number):\n"
            "    import opentracing\n"
            "    with opentracing.tracer.start_active_span(f'child {number}'): pass\n"
            "if __name__ == '__main__':\n"
            f"    context = multiprocessing.get_context({method!r})\n"
            "    processes = [context.Process(target=work, args=(number,)) for number in range(2)]\n"
            "    for process in processes: process.start()\n"
            "    for process in processes: process.join()\n"
            "    print([process.exitcode for process in processes])\n"
        )
        with http_collector() as (endpoint, arrivals):
            done = run("python", program(tmp_path, text), cwd=tmp_path, endpoint=endpoint)
            found = [name for _, name in spans_of(arrivals)]
        assert (done.stdout, done.stderr, found) == ("[0, 0]\n", "", ["child 0", "child 1"])

    @POSIX
    def test_forked_child_has_the_tracer_of_its_parent(self, tmp_path: Path) -> None:
        text = (
            "import opentracing, os, sys\n"
            "with opentracing.tracer.start_active_span('parent'): pass\n"
            "if (pid := os.fork()) == 0:\n"
            "    with opentracing.tracer.start_active_span('child'): pass\n"
            "    sys.exit()\n"
            "os.waitpid(pid, 0)\n"
        )
        with http_collector() as (endpoint, arrivals):
            variables = {"OTEL_SERVICE_NAME": "shop"}
            run("python", program(tmp_path, text), cwd=tmp_path, endpoint=endpoint, variables=variables)
            assert spans_of(arrivals) == [("shop", "child"), ("shop", "parent")]


class TestEnvironments:
    """Where jaeger-client is installed, and where it is not."""

    TEXT = (
        "import importlib.metadata, json, jaeger_client, jaeger_client.constants\n"
        "try: version = importlib.metadata.version('jaeger-client')\n"
        "except importlib.metadata.PackageNotFoundError: version = None\n"
        "jaeger_client.Config({'sampler': {'type': 'const', 'param': 1}}, service_name='old').initialize_tracer()\n"
        "import opentracing\n"
        "with opentracing.tracer.start_active_span('work'): pass\n"
        "print(json.dumps([jaeger_client.__name__, jaeger_client.constants.TRACE_ID_HEADER, version]))\n"
    )

    def test_installed_jaeger_client_is_shadowed(self, tmp_path: Path) -> None:
        if importlib.util.find_spec("jaeger_client") is None:
            pytest.skip("jaeger-client is not installed here")
        with http_collector() as (endpoint, arrivals):
            done = run("python", program(tmp_path, self.TEXT), cwd=tmp_path, endpoint=endpoint)
            found = [name for _, name in spans_of(arrivals)]
        assert json.loads(done.stdout) == [
            "ot_bridge.jaeger_client",
            "uber-trace-id",
            metadata.version("jaeger-client"),
        ]
        assert found == ["work"]

    def test_jaeger_client_need_not_be_installed(self, tmp_path: Path) -> None:
        otel = prepared()["otel"]
        if isinstance(otel, Missing):
            pytest.skip(otel.reason)
        launcher = (otel.command, "-m", "ot_bridge.cli", "run")
        path = os.pathsep.join([str(otel.packages), SOURCE])
        with http_collector() as (endpoint, arrivals):
            done = run(
                program(tmp_path, self.TEXT),
                cwd=tmp_path,
                endpoint=endpoint,
                launcher=launcher,
                variables={"PYTHONPATH": path},
            )
            found = [name for _, name in spans_of(arrivals)]
        assert json.loads(done.stdout) == ["ot_bridge.jaeger_client", "uber-trace-id", None]
        assert found == ["work"]

    def test_interpreter_without_the_bridge_says_so_and_runs(self, tmp_path: Path) -> None:
        # The launcher finds the bridge by its own path, the interpreter that it starts does not.
        code = f"import sys; sys.path.insert(0, {SOURCE!r}); from ot_bridge.cli import main; main()"
        bare = subprocess.run([sys.executable, "-m", "venv", "--without-pip", "bare"], cwd=tmp_path, check=True)
        assert bare.returncode == 0
        other = tmp_path / "bare" / "bin" / "python"
        app = program(tmp_path, "import subprocess, sys; print('ran'); subprocess.run([sys.executable, '-c', ''])")
        words = [sys.executable, "-c", code, "run", str(other), app]
        variables = {name: value for name, value in environment().items() if name != "PYTHONPATH"}
        done = subprocess.run(words, cwd=tmp_path, env=variables, capture_output=True, text=True, check=True)
        line = f"ot_bridge: {other} is not traced: ot_bridge is not installed there\n"
        assert (done.stdout, done.stderr) == ("ran\n", line)
