"""128-bit trace ids: asked for by the configuration, received, sent on."""

import time

from jaeger_client import Config
from opentracing import Format


def main():
    sampler = {"type": "const", "param": 1}
    wide = Config({"sampler": sampler, "generate_128bit_trace_id": True}, service_name="wide").new_tracer()
    narrow = Config({"sampler": sampler}, service_name="narrow").new_tracer()
    print("limits", wide.max_trace_id_bits, narrow.max_trace_id_bits)
    root = wide.start_span("wide-root")
    print("wide", root.trace_id.bit_length() > 64, root.span_id.bit_length() <= 64)
    carrier = {}
    wide.inject(root, Format.TEXT_MAP, carrier)
    received = narrow.extract(Format.TEXT_MAP, carrier)
    print("received whole", received.trace_id == root.trace_id, received.span_id == root.span_id)
    child = narrow.start_span("narrow-child", child_of=received)
    print("kept", child.trace_id == root.trace_id)
    child.finish()
    root.finish()
    binary = bytearray()
    wide.inject(root, Format.BINARY, binary)
    print("binary", len(binary), wide.extract(Format.BINARY, binary).trace_id == root.trace_id)
    own = narrow.start_span("narrow-root")
    print("narrow", own.trace_id.bit_length() <= 64)
    own.finish()
    context = narrow.extract(
        Format.TEXT_MAP, {"uber-trace-id": "1de0000000000000000000000000aaaa:aaaaaaaaaaaa0001:0:1"}
    )
    span = narrow.start_span("continued", child_of=context)
    print("%x" % span.trace_id)
    span.finish()
    for tracer in (wide, narrow):
        closed = tracer.close()
        while not closed.done():
            time.sleep(0.01)


if __name__ == "__main__":
    main()
