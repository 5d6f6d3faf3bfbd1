"""Keeps spans in SQLite: one writer, many readers."""
