"""The rows that stand for code instead of data: OpenTracing's interface, and what may be a carrier."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["API_RULES", "CARRIER_RULES", "ApiRule", "CarrierRule"]


class ApiRule(NamedTuple):
    """One row: a name, what the bridge does for it, and the tests that hold that."""

    name: str
    does: str
    held_by: tuple[str, ...]


class CarrierRule(NamedTuple):
    """One row: a carrier, what becomes of it, and the tests that hold that."""

    carrier: str
    becomes: str
    held_by: tuple[str, ...]


API_RULES: Final = (
    # opentracing
    ApiRule(
        "opentracing.tracer, global_tracer()",
        "the installed tracer, also where a module took the default tracer object before install",
        (
            "test_bootstrap::test_install_sets_the_globals_of_both_libraries",
            "test_bootstrap::test_early_tracer_reaches_the_installed_one",
        ),
    ),
    ApiRule(
        "opentracing.set_global_tracer, is_global_tracer_registered",
        "OpenTracing's own; install calls the first",
        ("test_bootstrap::test_install_sets_the_globals_of_both_libraries",),
    ),
    ApiRule(
        "opentracing.child_of, follows_from, Reference",
        "OpenTracing's own; see References",
        ("test_references::test_first_child_of_is_the_parent",),
    ),
    ApiRule(
        "opentracing.start_child_span",
        "OpenTracing's own, through Tracer.start_span",
        ("test_matrix::test_start_child_span_gives_a_child",),
    ),
    # Tracer
    ApiRule(
        "Tracer.start_span",
        "starts a span; tags are there before the sampler is asked; no argument raises",
        (
            "test_span_life::test_whole_exported_span",
            "test_tags::test_sampler_and_processor_see_the_initial_tags",
            "test_peers_defects::test_M6_malformed_times_and_values_never_raise",
        ),
    ),
    ApiRule(
        "Tracer.start_active_span",
        "the same, and makes the span active in both APIs; ignore_active_span and finish_on_close are honoured",
        (
            "test_peers_defects::test_H5_start_active_span_ignores_the_active_span_when_told",
            "test_scopes::test_finish_on_close_of_start_active_span",
        ),
    ),
    ApiRule(
        "Tracer.active_span",
        "the active span of this tracer, a native OpenTelemetry span among them; None without one",
        (
            "test_scopes::test_the_same_objects_come_back",
            "test_peers_defects::test_H3_native_span_is_active",
            "test_two_tracers::test_second_does_not_see_the_scope_of_the_first",
        ),
    ),
    ApiRule(
        "Tracer.scope_manager",
        "on OpenTelemetry's Context, or the one that was given, kept in step with it",
        (
            "test_scope_managers::test_manager_keeps_its_class",
            "test_scope_managers::test_native_code_sees_the_active_span",
        ),
    ),
    ApiRule(
        "Tracer.inject",
        "see Formats and Carriers; a context without ids sends its baggage, a foreign one nothing",
        (
            "test_inject_extract::test_sampled_span_is_sent_in_both_formats",
            "test_inject_extract::test_inject_takes_a_span",
            "test_inject_extract::test_inject_of_a_container_sends_its_baggage_alone",
        ),
    ),
    ApiRule(
        "Tracer.extract",
        "None when there is nothing; a context without ids for baggage or a debug id alone; see Formats and Carriers",
        (
            "test_inject_extract::test_extract_of_nothing_is_none",
            "test_inject_extract::test_baggage_only_is_a_container",
            "test_inject_extract::test_strict_extract_raises_what_jaeger_client_raised",
        ),
    ),
    ApiRule(
        "Tracer.flush (not in OpenTracing)",
        "exports what has finished, within a time; tells whether that was done",
        ("test_shutdown::test_flush_sends_what_waits", "test_shutdown::test_flush_does_not_wait_for_a_stuck_exporter"),
    ),
    ApiRule(
        "Tracer.close (not in OpenTracing)",
        "exports what has finished and stops, within a time, any number of times; only flushes a provider of yours",
        (
            "test_peers_defects::test_M1_close_and_flush_are_there",
            "test_bootstrap::test_given_provider_is_flushed_and_not_shut_down",
        ),
    ),
    ApiRule(
        "Tracer.unwrap (not in OpenTracing)",
        "the OpenTelemetry tracer",
        ("test_matrix::test_tracer_unwraps_to_opentelemetrys",),
    ),
    # Span
    ApiRule(
        "Span.context",
        "an immutable context: a baggage item that is set later is in the next one",
        ("test_peers_defects::test_M7_context_is_immutable",),
    ),
    ApiRule(
        "Span.tracer",
        "the tracer that started it",
        ("test_span_life::test_tracer_is_opentracings_own", "test_two_tracers::test_span_tells_its_own_tracer"),
    ),
    ApiRule(
        "Span.set_operation_name",
        "renames it until it is finished; an empty name is 'unnamed'",
        (
            "test_span_life::test_set_operation_name_renames_until_finish",
            "test_span_life::test_operation_name_becomes_text",
        ),
    ),
    ApiRule(
        "Span.finish",
        "ends it; a second time changes nothing; finish_time is in seconds",
        (
            "test_span_life::test_second_finish_changes_nothing",
            "test_span_life::test_start_and_finish_time_are_whole_microseconds",
        ),
    ),
    ApiRule(
        "Span.set_tag",
        "see Tags and Values; returns the span; ignored after finish",
        (
            "test_tags::test_set_tag_returns_the_span",
            "test_span_life::test_calls_after_finish_change_nothing_and_never_raise",
        ),
    ),
    ApiRule(
        "Span.log_kv",
        "see Logs; returns the span",
        ("test_logs::test_log_kv_becomes_an_event", "test_logs::test_log_kv_returns_the_span"),
    ),
    ApiRule(
        "Span.log_event, log (deprecated)",
        "as log_kv; return the span",
        ("test_logs::test_log_event_chains", "test_logs::test_log_chains"),
    ),
    ApiRule(
        "Span.set_baggage_item",
        "sets an item, None deletes it; where the span is active OpenTelemetry's API has it at once; no log event",
        (
            "test_baggage::test_item_set_on_the_active_span_is_read_and_sent_natively",
            "test_baggage::test_none_deletes",
            "test_baggage::test_set_item_adds_no_event_and_no_attribute",
        ),
    ),
    ApiRule(
        "Span.get_baggage_item",
        "the item of that key, else of a key that differs in case only; None without one",
        ("test_baggage::test_get_item_falls_back_to_any_case",),
    ),
    ApiRule(
        "Span as context manager",
        "an exception is recorded once, the status is ERROR, the span is finished, the exception goes on",
        (
            "test_logs::test_exception_is_recorded_once_with_status_and_full_traceback",
            "test_logs::test_any_exception_passes_through_unchanged",
        ),
    ),
    ApiRule(
        "Span.operation_name (jaeger-client)",
        "can be read and set",
        ("test_peers_defects::test_operation_name_of_a_span_can_be_read",),
    ),
    ApiRule(
        "Span.trace_id, span_id, parent_id, flags, is_sampled(), is_debug() (jaeger-client)",
        "integers; flags are 1 for sampled and 2 for debug",
        (
            "test_peers_defects::test_L7_span_and_context_have_ids",
            "test_matrix::test_span_tells_its_flags_as_jaeger_does",
        ),
    ),
    ApiRule(
        "Span.info(), error() (jaeger-client)",
        "log an event; error() sets the error tag too",
        ("test_logs::test_info_and_error_of_jaeger_client_still_work",),
    ),
    ApiRule(
        "Span.unwrap (not in OpenTracing)",
        "the OpenTelemetry span: the same object when the bridge made it",
        ("test_span_life::test_span_is_of_both_apis",),
    ),
    # SpanContext
    ApiRule(
        "SpanContext.baggage",
        "a read-only mapping of strings",
        ("test_baggage::test_baggage_of_a_context_is_read_only",),
    ),
    ApiRule(
        "SpanContext.trace_id, span_id, sampled, debug, debug_id, flags, trace_flags, trace_state, is_remote, is_valid",
        "ids are integers, 0 when there is none; the last four are OpenTelemetry's",
        (
            "test_span_life::test_context_tells_all_that_the_contract_names",
            "test_inject_extract::test_extracted_context_is_remote_and_complete",
        ),
    ),
    ApiRule(
        "SpanContext, copied and pickled",
        "equal to what it was, with baggage, debug flag and debug id",
        ("test_span_life::test_context_survives",),
    ),
    ApiRule(
        "SpanContext.refused (not in OpenTracing)",
        "the ids that trust_incoming refused, None without any",
        ("test_trust::test_refused_context_carries_nothing_but_what_was_refused",),
    ),
    ApiRule(
        "SpanContext.unwrap (not in OpenTracing)",
        "OpenTelemetry's SpanContext: the same object",
        ("test_span_life::test_context_is_of_both_apis", "test_mixed_api::test_context_unwraps_to_opentelemetrys"),
    ),
    # Scope, ScopeManager
    ApiRule(
        "Scope.span", "the span that was activated, the same object", ("test_scopes::test_activated_span_comes_back",)
    ),
    ApiRule("Scope.manager", "the manager that made it", ("test_matrix::test_scope_knows_its_manager",)),
    ApiRule(
        "Scope.close",
        "twice, out of order, in another thread or task: no exception, no error in the log, nothing stays active",
        (
            "test_scopes::test_scope_closed_twice_finishes_once",
            "test_scopes::test_parent_closed_before_its_child_waits_for_it",
            "test_scopes::test_scope_closed_in_another_thread_is_finished_and_left",
            "test_peers_defects::test_M9_scope_closed_twice_elsewhere_or_out_of_order_logs_and_leaks_nothing",
        ),
    ),
    ApiRule(
        "Scope as context manager",
        "as Span; finishes the span only when finish_on_close",
        ("test_logs::test_exception_in_a_scope_that_does_not_finish_is_recorded",),
    ),
    ApiRule(
        "ScopeManager.activate",
        "any OpenTracing or OpenTelemetry span; None makes no span active",
        (
            "test_scopes::test_foreign_span_is_active_as_it_is",
            "test_scopes::test_activating_none_hides_the_active_span",
            "test_mixed_api::test_native_span_can_be_activated",
        ),
    ),
    ApiRule(
        "ScopeManager.active",
        "the same scope and span each time; a native span gets a scope that shows it",
        (
            "test_scopes::test_the_same_objects_come_back",
            "test_mixed_api::test_native_span_is_the_same_object_each_time",
        ),
    ),
    # Threads, greenlets, pools
    ApiRule(
        "ot_bridge.in_context (not in OpenTracing)",
        "a function that runs with what is active now, in any thread, greenlet, callback or process, any time",
        (
            "test_carrying::test_span_and_baggage_are_active_in_both_apis_and_nothing_is_afterwards",
            "test_carrying::test_every_kind_of_callable_is_carried",
            "test_managers::test_pool_is_given_the_span_that_is_active_for_the_manager",
        ),
    ),
    ApiRule(
        "ot_bridge.ContextExecutor (not in OpenTracing)",
        "an executor that does so with every function; all else is its own",
        (
            "test_threads::test_work_of_many_requests_in_one_pool_is_in_the_trace_of_each",
            "test_carrying::test_executor_is_what_it_wraps_in_all_else",
        ),
    ),
)


CARRIER_RULES: Final = (
    CarrierRule(
        "HTTP_HEADERS or TEXT_MAP, extract: anything with items()",
        "read; header names in any case",
        ("test_inject_extract::test_extract_reads_any_mapping_in_any_case",),
    ),
    CarrierRule(
        "a value as text, bytes (UTF-8), or a list or tuple of them",
        "read; see Several lines of one header",
        ("test_inject_extract::test_one_value_in_any_wrapping_is_read",),
    ),
    CarrierRule(
        "a name as bytes",
        "read",
        ("test_inject_extract::test_bytes_as_keys_are_read",),
    ),
    CarrierRule(
        "HTTP_HEADERS or TEXT_MAP, inject: anything that takes carrier[name] = value, but no list",
        "written, names in lower case; what it held stays",
        (
            "test_inject_extract::test_inject_writes_any_mapping",
            "test_inject_extract::test_inject_keeps_what_the_carrier_holds",
        ),
    ),
    CarrierRule(
        "BINARY, extract: bytes, bytearray or memoryview",
        "read in Jaeger's layout; None when it is corrupted",
        (
            "test_inject_extract::test_binary_has_the_layout_of_jaeger",
            "test_inject_extract::test_corrupted_binary_is_none",
        ),
    ),
    CarrierRule(
        "BINARY, inject: a bytearray",
        "extended",
        ("test_inject_extract::test_binary_is_appended_to_the_carrier",),
    ),
    CarrierRule(
        "anything else",
        "opentracing.InvalidCarrierException",
        (
            "test_inject_extract::test_carrier_without_items_is_invalid",
            "test_inject_extract::test_carrier_that_cannot_be_written_is_invalid",
        ),
    ),
    CarrierRule(
        "a format that is none of the three",
        "opentracing.UnsupportedFormatException",
        ("test_inject_extract::test_unknown_format_is_unsupported",),
    ),
    CarrierRule(
        "a baggage key that is no header name, a value with a line break",
        "never begins another header: the key is skipped with one warning, the value is encoded or skipped",
        (
            "test_inject_extract::test_baggage_key_forges_no_header",
            "test_inject_extract::test_baggage_value_forges_no_header",
        ),
    ),
)
