"""Which test holds which row of the tables that other modules own: row -> tests, each as ``module::name``.

A row without a test of its own is not here, and the page then says so with an empty cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = [
    "FORMATS",
    "JAEGER_CONFIG",
    "LINES",
    "LOGS",
    "NEW_NAMES",
    "REFERENCES",
    "SAMPLERS",
    "SETTINGS",
    "TAGS",
    "TAIL",
    "VALUES",
]

Tests = Mapping[str, tuple[str, ...]]

_PLAIN: Final = ("test_tags::test_tag_is_only_an_attribute",)

TAGS: Final[Tests] = {
    "span.kind": (
        "test_tags::test_span_kind_becomes_the_kind",
        "test_tags::test_unknown_span_kind_is_internal_and_kept",
        "test_tags::test_last_span_kind_wins",
    ),
    "error": (
        "test_tags::test_true_error_is_the_status",
        "test_tags::test_other_error_text_stays_an_attribute",
        "test_tags::test_last_error_wins",
    ),
    "sampling.priority": (
        "test_tags::test_positive_sampling_priority_at_start_forces_a_debug_span",
        "test_tags::test_zero_sampling_priority_at_start_drops_the_span",
        "test_tags::test_unusable_sampling_priority_stays_an_attribute",
    ),
    "http.status_code": (*_PLAIN, "test_tags::test_http_status_code_implies_the_status"),
    "http.status_message": (*_PLAIN, "test_tags::test_error_description_comes_from"),
    "otel.status_code": (*_PLAIN, "test_tags::test_otel_status_code_is_the_status"),
    "otel.status_description": (
        "test_tags::test_error_description_comes_from",
        "test_tags::test_otel_status_code_stands_beside_a_false_error",
    ),
    **dict.fromkeys(
        (
            "peer.port",
            "component",
            "peer.service",
            "peer.hostname",
            "peer.ipv4",
            "peer.ipv6",
            "peer.address",
            "http.method",
            "http.url",
            "db.type",
            "db.instance",
            "db.statement",
            "db.user",
            "message_bus.destination",
            "sampler.type",
            "sampler.param",
            "jaeger-debug-id",
            "service",
        ),
        _PLAIN,
    ),
}

NEW_NAMES: Final = (
    "test_tags::test_semconv_new_renames",
    "test_tags::test_semconv_dup_keeps_old_names_beside_the_new",
    "test_tags::test_semconv_new_splits_peer_address",
    "test_tags::test_semconv_new_names_the_peer_port_by_kind",
    "test_tags::test_semconv_new_adds_the_error_type_of_an_exception",
)

LOGS: Final[Tests] = {
    "event": (
        "test_logs::test_log_kv_becomes_an_event",
        "test_logs::test_event_name_is_always_a_text_that_encodes",
    ),
    "error.object": (
        "test_logs::test_error_log_with_an_exception_is_an_exception_event",
        "test_logs::test_error_log_whose_object_is_no_exception_never_raises",
        "test_logs::test_error_log_keeps_the_text_given_as_its_object",
    ),
    "error.kind": ("test_logs::test_error_log_without_an_exception_is_an_exception_event",),
    "message": (
        "test_logs::test_error_log_without_an_exception_is_an_exception_event",
        "test_tags::test_error_description_comes_from_an_error_log",
    ),
    "stack": (
        "test_logs::test_error_log_with_a_traceback_object_has_its_text",
        "test_logs::test_error_log_of_an_exception_that_was_never_raised",
    ),
    "any other": ("test_logs::test_log_kv_becomes_an_event",),
}

_BECOMES: Final = ("test_values::test_value_becomes",)

VALUES: Final[Tests] = {
    "bool, str, float, int within 64 bits": _BECOMES,
    "int beyond 64 bits": (*_BECOMES, "test_values::test_hostile_value_never_raises_and_loses_no_span"),
    "NaN, infinity": (*_BECOMES, "test_values::test_nan_stays_a_double"),
    "None": ("test_values::test_none_tag_is_skipped", "test_values::test_none_log_field_is_the_text_none"),
    "bytes, bytearray, memoryview": _BECOMES,
    "list, tuple of values that become one primitive type": (
        *_BECOMES,
        "test_values::test_stringify_sequences_gives_the_text_that_jaeger_sent",
    ),
    "mixed or nested list, dict": ("test_values::test_value_becomes_json_text",),
    "datetime, date, time": _BECOMES,
    "IntEnum, other subclasses of int, float, str": _BECOMES,
    "numpy scalar, numpy array": ("test_values::test_numpy_value_becomes",),
    "exception, class, traceback": (*_BECOMES, "test_logs::test_error_log_with_a_traceback_object_has_its_text"),
    "set, Decimal, UUID, Enum, complex, other objects": _BECOMES,
    "object whose __str__ raises": ("test_values::test_hostile_value_never_raises_and_loses_no_span",),
    "text with a lone surrogate": _BECOMES,
    "key that is not text": ("test_values::test_key_becomes_text", "test_values::test_empty_key_is_skipped"),
}

REFERENCES: Final[Tests] = {
    "the caller's context, inside an OpenTelemetry server span that continues the same caller": (
        "test_doubles::test_second_server_span_is_an_internal_child_of_the_first",
    ),
    "child_of": (
        "test_references::test_child_of_argument_beats_the_references",
        "test_references::test_child_of_argument_beats_the_active_span",
    ),
    "references, no child_of": (
        "test_references::test_first_child_of_is_the_parent",
        "test_references::test_first_reference_is_the_parent_where_no_child_of_is_given",
        "test_references::test_references_beat_the_active_span",
    ),
    "references, no child_of, with references='jaeger'": (
        "test_references::test_references_jaeger_keeps_the_active_span_as_parent",
        "test_references::test_references_jaeger_uses_the_reference_where_no_span_is_active",
    ),
    "neither": (
        "test_references::test_nothing_as_reference_leaves_the_active_span_as_parent",
        "test_peers_defects::test_H5_start_active_span_ignores_the_active_span_when_told",
    ),
    "a reference that is not the parent": ("test_references::test_reference_to_another_trace_is_a_link",),
    "FOLLOWS_FROM the parent": ("test_references::test_follows_from_alone_continues_the_trace",),
    "CHILD_OF the parent": ("test_references::test_child_of_the_parent_makes_no_link",),
    "a reference of unknown type": ("test_references::test_unknown_type_is_a_follows_from_link_and_never_the_parent",),
    "a context without ids": (
        "test_references::test_container_gives_baggage_and_starts_a_root",
        "test_references::test_container_as_reference_is_never_a_link",
    ),
    "a context that trust_incoming refused": (
        "test_trust::test_refused_trace_starts_anew_with_a_link",
        "test_trust::test_refused_reference_is_one_link_too",
    ),
    "None, a no-op or unreadable context": (
        "test_references::test_nothing_beside_a_reference_is_skipped",
        "test_references::test_foreign_reference_is_ignored",
    ),
    "baggage of several references": ("test_references::test_baggage_is_the_union_and_the_parent_wins",),
}

_VECTORS: Final = (
    "test_codecs_vectors::test_header_vector_is_read_as_stated",
    "test_codecs_vectors::test_header_vector_is_written_as_stated",
)

FORMATS: Final[Tests] = {
    "jaeger": (
        *_VECTORS,
        "test_codecs_jaeger::test_jaeger_client_reads_what_the_bridge_writes",
        "test_codecs_jaeger::test_the_bridge_reads_what_jaeger_client_writes",
    ),
    "tracecontext": (
        *_VECTORS,
        "test_codecs_tracecontext::test_opentelemetry_reads_what_the_bridge_writes",
        "test_codecs_tracecontext::test_the_bridge_reads_what_opentelemetry_writes",
    ),
    "baggage": (
        *_VECTORS,
        "test_codecs_baggage::test_opentelemetry_reads_what_the_bridge_writes",
        "test_codecs_baggage::test_the_bridge_reads_what_opentelemetry_writes",
    ),
    "b3": (*_VECTORS, "test_codecs_b3::test_decision_of_the_single_header"),
    "b3multi": (
        *_VECTORS,
        "test_codecs_b3::test_jaeger_client_reads_what_the_bridge_writes",
        "test_codecs_b3::test_the_bridge_reads_what_jaeger_client_writes",
    ),
    "ottrace": (*_VECTORS, "test_codecs_ottrace::test_decision_is_sampled_when_it_says_so"),
    "BINARY": (
        "test_binary::test_layout_is_that_of_jaeger",
        "test_binary::test_jaeger_client_reads_what_the_bridge_writes",
        "test_binary::test_the_bridge_reads_what_jaeger_client_writes",
    ),
}

LINES: Final = (
    "test_codecs_carrier::test_several_lines_come_together",
    "test_codecs_carrier::test_item_with_several_different_values_is_dropped_and_noted",
    "test_codecs_tracecontext::test_two_different_lines_of_traceparent_are_malformed",
)

SETTINGS: Final[Tests] = {
    "extract": ("test_inject_extract::test_settings_choose_what_is_read",),
    "inject": ("test_inject_extract::test_settings_choose_what_is_sent",),
    "trace_id_bits": ("test_span_life::test_trace_id_bits_64_makes_short_roots_and_keeps_long_traces",),
    "references": ("test_references::test_references_jaeger_keeps_the_active_span_as_parent",),
    "double_servers": ("test_doubles::test_kept_double_servers_are_said_all_the_same",),
    "semconv": NEW_NAMES[:2],
    "strict_extract": ("test_inject_extract::test_strict_extract_raises_what_jaeger_client_raised",),
    "error_false_as_ok": ("test_tags::test_false_error_is_ok_when_asked_for",),
    "status_from_http": ("test_tags::test_status_from_http_can_be_switched_off",),
    "error_log_sets_status": ("test_logs::test_error_log_sets_the_status_when_asked_for",),
    "sampler": (
        "test_sampling_otel::test_install_takes_the_sampler_of_the_settings",
        "test_sampling_otel::test_setting_wins_over_opentelemetry_s_variable_and_says_so",
    ),
    "tail": (
        "test_tail_settings::test_one_variable_keeps_what_failed",
        "test_tail_specs::test_text_says",
        "test_tail_loopback::test_every_error_and_every_slow_request_arrives",
    ),
    "debug_throttle": ("test_sampling_throttling::test_forced_trace_is_paid_for",),
    "meter": (
        "test_meter::test_each_of_its_settings_switches_it_on",
        "test_meter::test_spans_are_counted_by_what_became_of_them",
    ),
    "cpu_budget": ("test_meter::test_budget_is_warned_of_once",),
    "adaptive_budget": (
        "test_meter::test_adaptive_budget_is_kept_and_let_go",
        "test_meter_model::test_step_of_the_load_is_over_the_budget_for_one_window",
    ),
    "late_sampling": ("test_rationale::test_late_sampling_exports_what_was_asked_for_after_the_start",),
    "stringify_sequences": ("test_values::test_stringify_sequences_gives_the_text_that_jaeger_sent",),
    "max_tag_value_length": ("test_values::test_max_tag_value_length_cuts",),
    "max_traceback_length": ("test_values::test_max_traceback_length_cuts_the_stacktrace_only",),
    "baggage_plus_is_space": ("test_codecs_baggage::test_value_may_be_a_plus_or_a_space_as_the_fleet_says",),
    "mask_random_bit": ("test_telemetry::test_random_bit_is_masked_when_asked_for",),
    "trust_incoming": (
        "test_trust::test_refused_trace_starts_anew_with_a_link",
        "test_trust::test_predicate_decides_by_the_headers",
        "test_trust::test_next_root_of_the_bridge_has_the_link",
    ),
    **dict.fromkeys(
        ("baggage_max_items", "baggage_max_bytes", "baggage_allow", "baggage_deny"),
        ("test_limits::test_limit_holds_both_ways", "test_limits::test_limit_holds_for_binary_both_ways"),
    ),
    "redact": (
        "test_redaction_spans::test_no_processor_sees_a_secret",
        "test_redaction_spans::test_redaction_can_be_switched_off",
        "test_redaction_spans::test_own_rules_can_stand_alone",
    ),
    "redact_keys": (
        "test_redaction_rules::test_own_keys_are_exact_or_patterns_in_any_case",
        "test_redaction_rules::test_truncated_value_keeps_its_start",
    ),
    "redact_values": (
        "test_redaction_rules::test_own_values_replace_what_they_find",
        "test_redaction_rules::test_own_pattern_is_refused",
    ),
    **dict.fromkeys(
        ("redact_safe_keys", "redact_disabled_rules"),
        ("test_redaction_spans::test_safe_and_disabled_settings_are_obeyed",),
    ),
    "redact_enabled_rules": ("test_redaction_rules::test_optional_rules_are_off",),
    "redact_hash_key": (
        "test_redaction_rules::test_hash_is_the_same_for_the_same_value_and_key",
        "test_redaction_settings::test_hash_key_is_nowhere_to_be_read",
    ),
    "redact_dry_run": ("test_redaction_spans::test_dry_run_changes_nothing_and_counts_each_value_once",),
    "find_unfinished": (
        "test_watch::test_span_that_is_old_is_reported_with_its_line",
        "test_watch::test_span_that_was_thrown_away_is_reported_at_once",
    ),
    "flood_limit": ("test_watch::test_flood_is_counted_and_told_once",),
    "flood_collapse": (
        "test_watch::test_flood_is_collapsed_into_one_summary",
        "test_watch::test_errors_are_never_collapsed",
        "test_watch::test_span_with_something_below_it_is_not_collapsed",
    ),
    "redact_baggage": ("test_redaction_spans::test_baggage_is_sent_as_it_is_unless_asked",),
    "trace_id_header": ("test_codecs_jaeger::test_header_names_can_be_configured_as_in_jaeger_client",),
    "baggage_header_prefix": ("test_codecs_jaeger::test_header_names_can_be_configured_as_in_jaeger_client",),
    "debug_id_header": ("test_codecs_jaeger::test_header_names_can_be_configured_as_in_jaeger_client",),
    "baggage_header": ("test_codecs_jaeger::test_header_names_can_be_configured_as_in_jaeger_client",),
    "scope_name": ("test_peers_defects::test_M10_instrumentation_scope_has_the_standard_name",),
    "close_timeout_s": ("test_shutdown::test_process_ends_in_time_whatever_the_collector_does",),
    "flush_on_sigterm": (
        "test_ends::test_sigterm_ends_a_process_after_its_spans_were_sent",
        "test_ends::test_handler_of_the_application_stays",
        "test_ends::test_signal_is_left_alone",
    ),
}

TAIL: Final[Tests] = {
    "drop": (
        "test_tail_processor::test_drop_rule_wins_over_everything_but_an_error",
        "test_tail_processor::test_drop_rule_asks_local_roots_only_and_waits_for_their_end",
    ),
    "errors": (
        "test_tail_processor::test_error_in_any_span_keeps_the_whole_trace",
        "test_tail_processor::test_late_error_after_a_drop_is_exported_alone_and_says_so",
    ),
    "slow": (
        "test_tail_processor::test_root_is_slow_when_it_takes_longer_than_the_limit",
        "test_tail_parts::test_slow_by_percentile_keeps_what_is_unusual_for_its_operation",
    ),
    "slowspan": ("test_tail_processor::test_slowspan_keeps_a_trace_with_any_slow_span",),
    "attr": ("test_tail_processor::test_attribute_of_any_span_keeps",),
    "rate": ("test_tail_processor::test_rate_keeps_traces_per_second_that_nothing_else_kept",),
    "rest": (
        "test_tail_processor::test_baseline_keeps_its_part",
        "test_tail_processor::test_two_services_keep_the_same_traces_by_the_baseline",
    ),
    "remote": (
        "test_tail_processor::test_sampled_remote_parent_is_kept_whole_by_default",
        "test_tail_processor::test_sampled_remote_parent_is_decided_on_when_asked_for",
    ),
    "promote_local": ("test_tail_processor::test_promote_local_exports_what_the_head_sampler_did_not_choose",),
    "drop_errors": ("test_tail_processor::test_drop_rule_loses_against_an_error_unless_told",),
    "write_th": ("test_tail_parts::test_write_th_writes_on_every_exported_span",),
    "linger": ("test_tail_processor::test_linger_waits_after_the_last_span",),
    "max_age": ("test_tail_processor::test_long_trace_is_decided_by_age_with_what_is_there",),
    "max_spans_per_trace": ("test_tail_processor::test_giant_trace_is_decided_early_by_the_baseline",),
    "max_spans": ("test_tail_processor::test_under_pressure_the_oldest_undecided_trace_goes_by_the_baseline",),
    "max_kept": ("test_tail_processor::test_ceiling_bounds_what_is_kept_and_is_told_once",),
    "decisions": ("test_tail_processor::test_decision_is_remembered_for_as_many_traces_as_were_asked_for",),
}

SAMPLERS: Final[Tests] = {
    "const": ("test_sampling_decisions::test_const_always_decides_alike",),
    "probabilistic": (
        "test_sampling_decisions::test_probabilistic_decides_as_the_vectors_say",
        "test_sampling_decisions::test_probabilistic_decides_as_jaeger_client",
    ),
    "ratelimiting": ("test_sampling_decisions::test_ratelimiting_decides_as_jaeger_client",),
    "guaranteed": (
        "test_sampling_decisions::test_guaranteed_decides_as_jaeger_client",
        "test_sampling_decisions::test_per_operation_decides_as_jaeger_client",
    ),
    "remote": (
        "test_sampling_remote::test_answer_is_taken",
        "test_sampling_remote::test_bad_answer_leaves_the_last_good_one",
    ),
}

JAEGER_CONFIG: Final = (
    "test_jaeger_config_keys::test_value_is_carried",
    "test_jaeger_config_keys::test_value_that_is_not_carried_has_a_row_that_says_why",
    "test_jaeger_config_parity::test_both_read_the_same_from_the_same",
    "test_jaeger_config_sources::test_variables_of_every_client_are_read_when_asked_for",
    "test_jaeger_config_printed::test_printed_environment_gives_the_same_settings_provider_and_queue",
)
