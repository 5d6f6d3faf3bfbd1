"""The scope manager for Tornado's stack contexts, which Tornado 6 does not have any more."""

from jaeger_client import Config


def main():
    try:
        from opentracing.scope_managers.tornado import TornadoScopeManager, tracer_stack_context
    except ImportError as error:
        print("not with this tornado:", error.name or type(error).__name__)
        return
    tracer = Config(
        {"sampler": {"type": "const", "param": 1}}, service_name="stack-contexts", scope_manager=TornadoScopeManager()
    ).new_tracer()
    with tracer_stack_context():
        with tracer.start_active_span("in-stack-context"):
            tracer.start_span("child").finish()


if __name__ == "__main__":
    main()
