"""Receive, keep, analyse and show traces, on a laptop, without a backend. It never touches the runtime.

A datum's way: bytes of some protocol (`receive/` from sockets, files and backends by `query/`) become OTLP's
`ResourceSpans` (`formats/`, pure), which are kept (`store/`) or read at once into spans (`otlp.py`, `model.py`), which
make a tree (`tree.py`), on which each rule is a pure function (`analyse/` for one trace, `fleet/` for many), and which
is shown in the terminal or in one file (`render/`) or on the page (`page/`). The specification of the rules is
docs/analyse.md.
"""
