"""How a service of the shop opens and closes, and where it finds the others. Nothing in here traces.

A service takes a free port, prints it as its first line, and reads the addresses of the shop as one line of JSON
from standard input. It serves until standard input ends, so no service outlives the process that started it.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from typing import TYPE_CHECKING

from werkzeug.datastructures import Headers
from werkzeug.serving import make_server

if TYPE_CHECKING:
    # the standard library has it at run time from Python 3.11 on
    from _typeshed.wsgi import WSGIApplication

__all__ = ["address_of", "header_tags", "serve"]

_addresses: dict[str, str] = {}


def serve(app: WSGIApplication, *, threaded: bool = True) -> None:
    """Serve `app` on a free port of the loopback until the shop closes."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, app, threaded=threaded)
    print(server.server_port, flush=True)
    _addresses.update(json.loads(sys.stdin.readline() or "{}"))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    sys.stdin.read()
    server.shutdown()


def address_of(service: str) -> str:
    """Return where a service of the shop answers, such as `http://127.0.0.1:40001`."""
    return _addresses[service]


def header_tags(headers: Headers) -> dict[str, str]:
    """Return the trace headers of a request as tags, so that its span tells which header brought the trace."""
    names = ("uber-trace-id", "traceparent")
    return {f"http.request.header.{name}": headers[name] for name in names if name in headers}
