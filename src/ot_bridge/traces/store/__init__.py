"""Keeps spans in SQLite: one writer, many readers.

The way of a batch: `writer.py` (queue, thread), `store.py` (transactions, and every question), `writing.py` (rows for
all tables), `rows.py` (what is read of a span), `retaining.py` (what is deleted). A question: `query.py`,
`searching.py` (its SQL), `store.py`.
"""
