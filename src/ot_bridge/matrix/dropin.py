"""The rows about the drop-in for jaeger_client: calls that are there and do something else, or nothing."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["DROPIN_RULES", "SURFACE_TESTS", "DropinRule"]


class DropinRule(NamedTuple):
    """One row: what is called or read, what the drop-in does, and the tests that hold that."""

    name: str
    does: str
    held_by: tuple[str, ...]


SURFACE_TESTS: Final = (
    "test_jaeger_client_surface::test_every_public_name_is_there_or_has_a_row",
    "test_jaeger_client_surface::test_every_attribute_of_every_instance_is_there_or_has_a_row",
    "test_jaeger_client_surface::test_every_call_form_is_taken",
)
"""The tests that compare the two packages."""

DROPIN_RULES: Final = (
    DropinRule(
        "SpanContext.trace_id = ..., span_id, parent_id, flags",
        "changes nothing, and says so once: build a SpanContext with the ids that are wanted",
        ("test_jaeger_client_span_context::test_assigning_an_id_changes_nothing_and_says_so_once",),
    ),
    DropinRule(
        "SpanContext(...) with ids that are no numbers of their width",
        "a context without ids; jaeger-client fails when it is used",
        ("test_jaeger_client_span_context::test_context_with_wrong_ids_is_one_without_ids",),
    ),
    DropinRule(
        "SpanContext.baggage, Span.tags, Span.logs",
        "copies: what is put into them is not sent",
        (
            "test_jaeger_client_span_context::test_baggage_that_is_read_is_a_dict_of_the_callers_own",
            "test_jaeger_client_span::test_tags_and_logs_are_lists_of_the_callers_own",
        ),
    ),
    DropinRule(
        "Span.tags = ..., logs, finished",
        "changes nothing, and says so once: call set_tag(), log_kv(), finish()",
        ("test_jaeger_client_span::test_assigning_what_can_only_be_read_changes_nothing_and_says_so_once",),
    ),
    DropinRule(
        "set_tag, log_kv after finish",
        "ignored and counted; jaeger-client still adds to the lists",
        ("test_jaeger_client_span::test_finished_span_does_not_change",),
    ),
    DropinRule(
        "sampling.priority=None, or a list",
        "ignored; jaeger-client raises TypeError",
        ("test_jaeger_client_span::test_priority_over_which_jaeger_client_raises_is_ignored",),
    ),
    DropinRule(
        "tags before sampling.priority in the dict of an unsampled span",
        "kept; jaeger-client loses them",
        ("test_jaeger_client_span::test_tags_before_the_priority_are_kept",),
    ),
    DropinRule(
        "class Mine(Span)",
        "cannot be built: set attributes on a span, or replace its methods; both are kept",
        (
            "test_jaeger_client_surface::test_class_derived_from_span_says_what_to_do",
            "test_jaeger_client_span::test_free_attributes_stay",
            "test_jaeger_client_span::test_replaced_methods_are_called",
        ),
    ),
    DropinRule(
        "one_span_per_rpc=True",
        "not supported, and says so once: client and server have a span each",
        ("test_jaeger_client_tracer::test_one_span_per_rpc_says_so_once",),
    ),
    DropinRule(
        "io_loop=...",
        "taken and not used: no loop of tornado is needed",
        ("test_jaeger_client_config::test_derived_class_may_make_its_own_channel",),
    ),
    DropinRule(
        "class Mine(Reporter) with _send, _submit, _consume_queue or getProtocol",
        "never called, and says so once: override report_span, or add a SpanProcessor to the tracer's provider",
        (
            "test_jaeger_client_reporter::test_reporter_that_overrides_thrift_says_so_once",
            "test_jaeger_client_reporter::test_reporter_that_overrides_report_span_is_used_and_says_nothing",
        ),
    ),
    DropinRule(
        "a sampler, throttler, reporter or metrics factory that raises",
        "does not reach the application, and is told of once",
        (
            "test_jaeger_client_sampler::test_own_sampler_that_fails_samples_nothing_and_says_so_once",
            "test_jaeger_client_sampler::test_throttler_that_fails_forces_nothing_and_says_so_once",
            "test_jaeger_client_tracer::test_own_reporter_that_fails_reaches_nobody_and_is_told_of_once",
            "test_jaeger_client_tracer::test_metrics_that_fail_reach_nobody_and_are_told_of_once",
        ),
    ),
    DropinRule(
        "RemoteControlledSampler, RemoteThrottler with a channel of one's own",
        "its host and ports are asked over HTTP; its request_sampling_strategy() is not called",
        (
            "test_jaeger_client_sampler::test_remote_sampler_asks_the_agent_and_its_metrics_arrive",
            "test_jaeger_client_sampler::test_throttler_asks_the_agent_and_its_metrics_arrive",
        ),
    ),
    DropinRule(
        "a rate out of range",
        "ConfigError, a ValueError; jaeger-client has an assert there",
        ("test_jaeger_client_sampler::test_rate_out_of_range_is_refused",),
    ),
    DropinRule(
        "JAEGER_TAGS with an item without =, or with a second one",
        "the item is skipped; the first = separates; jaeger-client raises ValueError",
        ("test_jaeger_client_config::test_tags_over_which_jaeger_client_raises_are_read",),
    ),
    DropinRule(
        "Config(...).tags",
        "leaves the config's dict alone; jaeger-client writes JAEGER_TAGS into it",
        ("test_jaeger_client_config::test_tags_of_the_variable_win_and_the_callers_dict_is_left_alone",),
    ),
    DropinRule(
        "BinaryCodec().extract of damaged bytes",
        "None; jaeger-client raises struct.error",
        ("test_jaeger_client_codecs::test_damaged_binary_is_nothing",),
    ),
    DropinRule(
        "a value without text",
        "a placeholder in Span.tags; jaeger-client has the error's text there",
        ("test_jaeger_client_span::test_value_without_text_is_a_placeholder",),
    ),
)
"""In the order in which a reader meets them."""
