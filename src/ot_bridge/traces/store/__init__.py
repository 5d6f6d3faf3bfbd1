"""Keeps spans in SQLite: one writer, many readers.

The way of a batch: `writer.py` (queue, thread), `store.py` (transactions), `writing.py` (rows for all tables),
`rows.py` (what is read of a span), `retaining.py` (what is deleted). A question: `query.py`, `store.py`, then
`searching.py` for lists and `reading.py` for one trace. Below both: `schema.py` (tables, versions) and `connections.py`
(how it is opened).
"""
