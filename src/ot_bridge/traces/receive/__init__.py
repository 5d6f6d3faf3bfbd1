"""Sockets that spans arrive at, one file for each protocol family; what arrives is handed on as `ResourceSpans`."""
