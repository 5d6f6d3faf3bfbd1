"""A stand-in for the drop-in's SpanContext."""


class SpanContext:
    """Four integers."""

    def __init__(self, trace_id: int, span_id: int, parent_id: int | None, flags: int) -> None:
        self.trace_id, self.span_id, self.parent_id, self.flags = trace_id, span_id, parent_id, flags
