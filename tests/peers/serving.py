# ruff: noqa: ANN001, ANN002, ANN201, ANN202, UP010, UP031
"""The HTTP side of the peers in Python, for Python 2.7 too, which is why nothing here is annotated.

A peer prints its port on standard output and serves until its standard input ends. A request is a POST of

    {"sampler": "on", "baggage": {...}, "path": [{"url": ..., "sampler": "off"}, ...]}

where the sampler is the one for a root that starts here, and the path is who is called next. Trace headers are the
library's own business. The answer is what the peer saw, with the answer of the next one as "next".
"""

from __future__ import print_function

import json
import sys
import threading
import traceback

try:
    from http.client import HTTPConnection
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from socketserver import ThreadingMixIn
except ImportError:  # Python 2.7
    from BaseHTTPServer import BaseHTTPRequestHandler, HTTPServer
    from httplib import HTTPConnection
    from SocketServer import ThreadingMixIn

LIMIT_S = 20


class Server(ThreadingMixIn, HTTPServer):
    daemon_threads = True
    request_queue_size = 128


def serve(hop):
    """Serve until standard input ends.

    Args:
        hop: takes the incoming headers, the sampler, the baggage to set, and a function that takes the outgoing
            headers and gives the answer of the next peer; gives its own answer, see `report`.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])).decode("utf-8"))
            try:
                headers = {name: as_text(value) for name, value in self.headers.items()}
                code = 200
                answer = hop(headers, asked["sampler"], asked["baggage"], lambda out: call(asked["path"], out))
            except Exception:
                code, answer = 500, {"error": traceback.format_exc()}
            body = json.dumps(answer).encode("utf-8")
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.daemon = True
    thread.start()
    print(server.server_address[1])
    sys.stdout.flush()
    sys.stdin.read()
    server.shutdown()


def as_text(value):
    """Give a header's value as text, as Flask and tornado do; the server of Python 2.7 itself gives bytes."""
    return value.decode("latin-1") if isinstance(value, bytes) else value


def call(path, headers):
    """Call the first peer of the path with the headers as they are; give its answer, None at the end of the path."""
    if not path:
        return None
    connection = HTTPConnection(path[0]["url"], timeout=LIMIT_S)
    try:
        asked = {"sampler": path[0]["sampler"], "baggage": {}, "path": path[1:]}
        connection.request("POST", "/", json.dumps(asked).encode("utf-8"), headers)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8")
        if answer.status != 200:
            raise ValueError("HTTP %d from the next peer: %s" % (answer.status, text))
        return json.loads(text)
    finally:
        connection.close()


def report(trace_id, span_id, parent_id, sampled, debug, baggage, following):
    """Give the answer of one peer: ids in lower-case hex at their full width, the parent empty for a root."""
    return {
        "trace_id": "%032x" % trace_id,
        "span_id": "%016x" % span_id,
        "parent_id": "%016x" % parent_id if parent_id else "",
        "sampled": bool(sampled),
        "debug": bool(debug),
        "baggage": dict(baggage),
        "next": following,
    }
