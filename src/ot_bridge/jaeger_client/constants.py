"""A stand-in for the drop-in's constants."""

TRACE_ID_HEADER = "uber-trace-id"
