"""A trace from Jaeger: by its v3 API, else by the one of its page, each time without Jaeger's corrections of times.

Source: `cmd/jaeger/internal/extension/jaegerquery` of jaeger; seeing.md 2.4.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from ot_bridge.traces.formats.detect import Contents, UnreadableError, read
from ot_bridge.traces.query.client import BackendError, Client, Reply

__all__ = ["WAYS", "fetch"]

WAYS: Sequence[tuple[str, str, dict[str, str]]] = (
    ("Jaeger's v3 API", "/api/v3/traces/{id}", {"rawTraces": "true"}),
    ("the API of Jaeger's page", "/api/traces/{id}", {"raw": "true"}),
)
"""Name, path and parameters, in the order in which they are tried."""


def fetch(client: Client, trace_id: int) -> tuple[Contents, str] | None:
    """Ask for a trace; return it and which API gave it, None when Jaeger has no such trace.

    Raises:
        BackendError: no API answered as Jaeger does.
    """
    refused, unknown = list[str](), False
    for name, path, parameters in WAYS:
        reply = client.get(path.format(id=f"{trace_id:032x}"), **parameters)
        if reply.status == 200 and reply.kind != "text/html":
            try:
                contents = read(reply.body, reply.url)
            except UnreadableError as error:
                if _is_empty(reply):
                    unknown = True
                else:
                    refused.append(str(error))
                continue
            if contents.batches:
                return contents, name
            unknown = True
        elif reply.status == 404 and _says_not_found(reply):
            unknown = True
        else:
            # Jaeger answers with its page to a path that it does not know.
            refused.append(f"{reply.url} answers {reply.status} {reply.kind}: {reply.beginning}"[:300])
    if unknown:
        return None
    raise BackendError(f"{client.base} does not answer as Jaeger's query API does: {'; '.join(refused)}")


def _says_not_found(reply: Reply) -> bool:
    """Tell Jaeger's own 404 from that of a server that does not know the path."""
    try:
        found = json.loads(reply.body)
    except ValueError:
        return "trace not found" in reply.beginning
    return isinstance(found, dict) and ("error" in found or "errors" in found)


def _is_empty(reply: Reply) -> bool:
    try:
        found = json.loads(reply.body or b"{}")
    except ValueError:
        return False
    return isinstance(found, dict) and not any(found.get(key) for key in ("result", "data", "resourceSpans"))
