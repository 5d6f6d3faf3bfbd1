"""The demo: a shop's checkout across real processes, with an old, a bridged and a native tracer in one trace.

Read `services/` first: six short programs as a team writes them. Then the way of one span: `receiver` takes it
over its own protocol (`jaeger` for UDP), `spans` turns it into a record, `verdict` judges the trace, `tree` draws it.
`fleet` says which programs run, `launcher` runs them, `checkout` is the whole story.
"""
