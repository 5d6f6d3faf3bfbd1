"""The sampling server decides, and changes its mind; it is asked again and again."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote_plus

from jaeger_client import Config

STRATEGIES = {
    "all": {"strategyType": "PROBABILISTIC", "probabilisticSampling": {"samplingRate": 1.0}},
    "none": {"strategyType": "PROBABILISTIC", "probabilisticSampling": {"samplingRate": 0.0}},
    "limited": {"strategyType": "RATE_LIMITING", "rateLimitingSampling": {"maxTracesPerSecond": 400}},
    "per-operation": {
        "strategyType": "PROBABILISTIC",
        "operationSampling": {
            "defaultSamplingProbability": 1.0,
            "defaultLowerBoundTracesPerSecond": 0.001,
            "perOperationStrategies": [{"operation": "cold", "probabilisticSampling": {"samplingRate": 0.0}}],
        },
    },
}


ASKED = set()


class Server(BaseHTTPRequestHandler):
    strategy = "all"

    def do_GET(self):
        ASKED.add(unquote_plus(self.path))
        body = json.dumps(STRATEGIES[Server.strategy]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def wait_until(condition):
    deadline = time.time() + 20
    while not condition():
        if time.time() > deadline:
            return "never"
        time.sleep(0.05)
    return "as the server says"


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    config = Config(
        {"sampling_refresh_interval": 0.2, "local_agent": {"sampling_port": server.server_port}, "max_operations": 5},
        service_name="asks a server",
    )
    tracer = config.new_tracer()

    def tags(operation):
        sampled, found = tracer.sampler.is_sampled(2**63, operation)
        return sampled, dict(found)

    for strategy, expected in (
        ("all", (True, {"sampler.type": "probabilistic", "sampler.param": 1.0})),
        ("none", (False, {"sampler.type": "probabilistic", "sampler.param": 0.0})),
        ("limited", (True, {"sampler.type": "ratelimiting", "sampler.param": 400})),
        ("per-operation", (True, {"sampler.type": "probabilistic", "sampler.param": 1.0})),
    ):
        Server.strategy = strategy
        print(strategy, wait_until(lambda expected=expected: tags("hot") == expected))
        span = tracer.start_span("hot")
        span.set_tag("strategy", strategy)
        span.finish()
    print("asked", sorted(ASKED))
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)


if __name__ == "__main__":
    main()
