"""asyncio with the two scope managers that opentracing has for it."""

import asyncio

from jaeger_client import Config
from opentracing.scope_managers.asyncio import AsyncioScopeManager
from opentracing.scope_managers.contextvars import ContextVarsScopeManager


async def fetch(tracer, name, parent=None):
    with tracer.start_active_span(name, child_of=parent) as scope:
        await asyncio.sleep(0.01)
        scope.span.set_tag("slept", True)
        with tracer.start_active_span(name + "-parse"):
            await asyncio.sleep(0)
        return tracer.active_span is scope.span


async def explicit(tracer):
    """Tasks are given their parent."""
    with tracer.start_active_span("explicit") as scope:
        results = await asyncio.gather(*[fetch(tracer, "explicit-%d" % n, scope.span) for n in range(2)])
        print("own scopes", results, tracer.active_span is scope.span)
    print("left", tracer.active_span)


async def implicit(tracer):
    """Tasks inherit their parent, where the scope manager can do that."""
    with tracer.start_active_span("implicit"):
        task = asyncio.ensure_future(fetch(tracer, "implicit-task"))
        awaited = await fetch(tracer, "implicit-awaited")
        print("awaited", awaited, "task", await task)


def main():
    sampler = {"sampler": {"type": "const", "param": 1}}
    asyncio_config = Config(sampler, service_name="asyncio-scopes", scope_manager=AsyncioScopeManager())
    variables_config = Config(sampler, service_name="contextvars-scopes", scope_manager=ContextVarsScopeManager())
    print("kept", isinstance(variables_config.scope_manager, ContextVarsScopeManager))
    for config, jobs in ((asyncio_config, (explicit,)), (variables_config, (explicit, implicit))):
        tracer = config.new_tracer()
        print(isinstance(tracer.scope_manager, type(config.scope_manager)))

        async def run(tracer=tracer, jobs=jobs):
            for job in jobs:
                await job(tracer)
            tracer.close()
            await asyncio.sleep(0.3)

        asyncio.run(run())


if __name__ == "__main__":
    main()
