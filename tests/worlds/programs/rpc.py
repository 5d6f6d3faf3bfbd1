"""A gRPC service and its client."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import opentracing
from sides import OLD, begin, entry, native_baggage, work

begin()


def stock(request: bytes, context: Any) -> bytes:
    # grpcio-opentracing hands its span over in the context; it does not activate it.
    parent = context.get_active_span() if hasattr(context, "get_active_span") else None
    with work("count", parent):
        return b"3"


def main() -> None:
    server: Any = grpc.server(ThreadPoolExecutor(max_workers=1))
    port = server.add_insecure_port("127.0.0.1:0")
    if "grpc_server" in OLD:
        from grpc_opentracing import open_tracing_server_interceptor
        from grpc_opentracing.grpcext import intercept_server

        server = intercept_server(server, open_tracing_server_interceptor(opentracing.global_tracer()))
    methods = {"Count": grpc.unary_unary_rpc_method_handler(stock)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Stock", methods),))
    server.start()
    plain = channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    if "grpc_client" in OLD:
        from grpc_opentracing import open_tracing_client_interceptor
        from grpc_opentracing.grpcext import intercept_channel

        channel = intercept_channel(channel, open_tracing_client_interceptor(opentracing.global_tracer()))
    with entry("front"), work("work") as span, native_baggage("by", "native"):
        span.set_baggage_item("order", "42")
        print(channel.unary_unary("/shop.Stock/Count")(b"", timeout=20).decode())
    plain.close()
    server.stop(None).wait()


if __name__ == "__main__":
    main()
