"""Scope managers that the application chooses: the one of threads, and one of its own."""

import threading
import time

from jaeger_client import Config, ConstSampler, Tracer
from jaeger_client.reporter import InMemoryReporter
from opentracing import Scope, ScopeManager
from opentracing.scope_managers import ThreadLocalScopeManager


class RequestScope(Scope):
    def __init__(self, manager, span, finish_on_close):
        super().__init__(manager, span)
        self.finish_on_close = finish_on_close
        self.before = manager.stack.current

    def close(self):
        if self.finish_on_close:
            self.span.finish()
        self.manager.stack.current = self.before


class RequestScopeManager(ScopeManager):
    """Keeps what is active where the web framework keeps its request."""

    def __init__(self):
        super().__init__()
        self.stack = threading.local()
        self.stack.current = None
        self.activations = []

    def activate(self, span, finish_on_close):
        self.activations.append(span.operation_name)
        self.stack.current = RequestScope(self, span, finish_on_close)
        return self.stack.current

    @property
    def active(self):
        return self.stack.current


def work(tracer):
    with tracer.start_active_span("outer"):
        with tracer.start_active_span("inner", finish_on_close=False) as scope:
            print("active", tracer.active_span.operation_name, tracer.scope_manager.active.span.operation_name)
        scope.span.finish()
        print("active", tracer.active_span.operation_name)
        tracer.start_span("child").finish()
    print("active", tracer.active_span)


def main():
    manager = RequestScopeManager()
    config = Config({"sampler": {"type": "const", "param": 1}}, service_name="own-manager", scope_manager=manager)
    tracer = config.new_tracer()
    print("kept", config.scope_manager is manager, isinstance(tracer.scope_manager, RequestScopeManager))
    work(tracer)
    print(manager.activations)
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)

    reporter = InMemoryReporter()
    tracer = Tracer("thread-local", reporter, ConstSampler(True), scope_manager=ThreadLocalScopeManager())
    print("kept", isinstance(tracer.scope_manager, ThreadLocalScopeManager))
    work(tracer)
    print([(span.operation_name, span.parent_id is not None) for span in reporter.get_spans()])
    tracer.close()


if __name__ == "__main__":
    main()
