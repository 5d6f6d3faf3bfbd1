"""The pytest plugin, in test suites of its own: what its fixture gives, what it restores, and that it costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]


def test_fixture_is_found_and_fresh_for_each_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        app="""
        import opentracing
        from opentelemetry import trace

        early, native = opentracing.tracer, trace.get_tracer(__name__)

        def charge():
            with early.start_active_span("charge"), native.start_as_current_span("query"):
                pass
        """,
        test_app="""
        import app, opentracing, pytest
        from opentelemetry import trace

        @pytest.mark.parametrize("number", range(3))
        def test_charge_is_traced(ot_bridge_tracer, number):
            app.charge()
            query, charge = ot_bridge_tracer.finished_spans()
            assert (charge.operation_name, query.parent_id) == ("charge", charge.context.span_id)

        def test_nothing_is_left():
            assert not opentracing.is_global_tracer_registered()
            assert type(trace.get_tracer_provider()) is trace.ProxyTracerProvider
            app.charge()
        """,
    )
    pytester.runpytest_subprocess("-W", "error").assert_outcomes(passed=4)


def test_leaked_scope_is_warned_of_and_not_in_the_next_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import opentracing

        def test_leaks(ot_bridge_tracer):
            opentracing.tracer.start_active_span("forgotten")

        def test_begins_at_the_root(ot_bridge_tracer):
            opentracing.tracer.start_span("root").finish()
            assert ot_bridge_tracer.finished_spans()[0].parent_id is None
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=2, warnings=1)
    result.stdout.fnmatch_lines(["*LeakedScopeWarning: the test left active: 'forgotten'*"])
    pytester.runpytest_subprocess("-W", "error").assert_outcomes(passed=2, errors=1)


def test_session_s_own_installation_is_back_after_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import opentracing, ot_bridge

        installed = ot_bridge.install("session")

        def test_one(ot_bridge_tracer):
            assert opentracing.global_tracer() is ot_bridge_tracer is not installed

        def test_two():
            assert opentracing.global_tracer() is installed is ot_bridge.install()
        """
    )
    pytester.runpytest_subprocess("-W", "error").assert_outcomes(passed=2)


def test_asserts_of_the_project_are_still_explained(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_fails(ot_bridge_tracer): assert ot_bridge_tracer.finished_spans() == [1]")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*assert*== [[]1[]]*"])


def test_plugin_can_be_switched_off(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_one(ot_bridge_tracer): pass")
    pytester.runpytest_subprocess("-p", "no:ot_bridge").assert_outcomes(errors=1)


def test_start_of_pytest_imports_no_sdk(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_one():
            ours = "ot_bridge", "opentelemetry", "opentracing"
            assert {name for name in sys.modules if name.startswith(ours)} == {"ot_bridge", "ot_bridge.pytest_plugin"}
        """
    )
    pytester.runpytest_subprocess("-p", "no:anyio").assert_outcomes(passed=1)


def test_package_that_is_imported_before_pytest_is_no_warning(pytester: pytest.Pytester) -> None:
    # ot-bridge run pytest: the package is there before pytest could rewrite its asserts.
    pytester.makepyfile("def test_one(ot_bridge_tracer): pass")
    program = "import sys, ot_bridge, pytest; sys.exit(pytest.main(['-q', '-W', 'error']))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=pytester.path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
