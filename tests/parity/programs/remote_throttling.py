"""Credits for debug spans come from the agent."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

from jaeger_client import Config

ASKED = []


class Agent(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlparse(self.path)
        query = parse_qs(url.query)
        ASKED.append((url.path, query.get("service"), query.get("operations"), query["uuid"][0].isdigit()))
        body = json.dumps({"balances": [{"operation": "wanted", "balance": 1 if len(ASKED) == 1 else 0}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Agent)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    config = Config(
        {
            "sampler": {"type": "const", "param": 0},
            "throttler": {"port": server.server_port, "refresh_interval": 1},
        },
        service_name="throttled",
    )
    tracer = config.new_tracer()
    print("at first", tracer.start_span("wanted", tags={"sampling.priority": 1}).is_debug())
    deadline = time.time() + 20
    span = tracer.start_span("wanted", tags={"sampling.priority": 1})
    while not span.is_debug() and time.time() < deadline:
        time.sleep(0.05)
        span = tracer.start_span("wanted", tags={"sampling.priority": 1})
    print("with a credit", span.is_debug(), span.flags)
    span.finish()
    print("it is spent", tracer.start_span("wanted", tags={"sampling.priority": 1}).is_debug())
    print("asked", ASKED[0])
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)


if __name__ == "__main__":
    main()
