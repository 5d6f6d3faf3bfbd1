"""Set up by the four variables that jaeger-client for Python reads: the agent's host and port, tags, 128 bits."""

import os
import time

from jaeger_client import Config


def main():
    print(os.environ["JAEGER_TAGS"], os.environ["JAEGER_TRACEID_128BIT"])
    config = Config(
        {"sampler": {"type": "const", "param": 1}, "tags": {"deployment": "blue", "replica": 3, "canary": False}},
        service_name="environment",
    )
    tracer = config.new_tracer()
    own = {key: value for key, value in tracer.tags.items() if key not in ("ip", "hostname", "jaeger.version")}
    print(sorted(own.items()), "hostname" in tracer.tags, "ip" in tracer.tags, "jaeger.version" in tracer.tags)
    span = tracer.start_span("with-process-tags")
    print("wide", span.trace_id.bit_length() > 64)
    span.finish()
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)

    # what the process says of itself can be overridden
    named = Config(
        {"sampler": {"type": "const", "param": 1}, "tags": {"hostname": "given-host", "ip": "198.51.100.7"}},
        service_name="named-host",
    ).new_tracer()
    print(named.tags["hostname"], named.tags["ip"])
    named.start_span("with-given-host").finish()
    closed = named.close()
    while not closed.done():
        time.sleep(0.01)


if __name__ == "__main__":
    main()
