"""Zipkin's way: client and server share one span."""

from jaeger_client import ConstSampler, Tracer
from jaeger_client.reporter import InMemoryReporter
from opentracing import Format


def main():
    for shared in (False, True):
        reporter = InMemoryReporter()
        tracer = Tracer("rpc", reporter, ConstSampler(True), one_span_per_rpc=shared)
        client = tracer.start_span("client", tags={"span.kind": "client"})
        carrier = {}
        tracer.inject(client, Format.TEXT_MAP, carrier)
        context = tracer.extract(Format.TEXT_MAP, carrier)
        server = tracer.start_span("server", child_of=context, tags={"span.kind": "server"})
        print(
            shared,
            "same span id",
            server.span_id == client.span_id,
            "parent is client",
            server.parent_id == client.span_id,
        )
        local = tracer.start_span("local", child_of=server)
        print("   local below", local.parent_id == server.span_id, local.trace_id == client.trace_id)
        local.finish()
        server.finish()
        client.finish()
        print("   reported", [span.operation_name for span in reporter.get_spans()], tracer.one_span_per_rpc)
        tracer.close()


if __name__ == "__main__":
    main()
