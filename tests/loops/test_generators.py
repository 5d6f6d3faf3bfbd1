"""Generators that yield while a span is active: advanced here and there, closed early, forgotten."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from compat.cells import cell
from loops.scenario import Tracing, look, nothing_is_active, request, whole, work
from ot_bridge import in_context

generators = cell("loops", "generators")
async_generators = cell("loops", "asynchronous generators")


@pytest.fixture
def tracing() -> Tracing:
    return Tracing.of()


def rows(tracing: Tracing, number: int = 1) -> Iterator[int]:
    with tracing.tracer.start_active_span("rows", tags={"request": number}):
        for row in range(3):
            yield row
            work(tracing, number)


async def pages(tracing: Tracing, number: int = 1) -> AsyncIterator[int]:
    with tracing.tracer.start_active_span("pages", tags={"request": number}):
        for page in range(3):
            yield page
            await asyncio.sleep(0)
            work(tracing, number)


# --- generators


@generators
def test_generator_that_is_read_to_its_end_leaves_the_request_active(tracing: Tracing) -> None:
    with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
        scope.span.set_baggage_item("tenant", "acme")
        assert list(rows(tracing)) == [0, 1, 2]
        look(tracing, scope.span, "acme")
    nothing_is_active(tracing)
    assert tracing.trees() == ["1: request(rows(work work work))"]


@generators
@pytest.mark.parametrize("way", ["close", "forget", "throw"])
def test_generator_that_is_broken_off_leaves_the_request_active(tracing: Tracing, way: str) -> None:
    with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
        scope.span.set_baggage_item("tenant", "acme")
        generator: Any = rows(tracing)
        next(generator)
        if way == "close":
            generator.close()
        elif way == "throw":
            with pytest.raises(KeyError):
                generator.throw(KeyError("x"))
        del generator
        gc.collect()
        look(tracing, scope.span, "acme")
    nothing_is_active(tracing)
    assert tracing.trees() == ["1: request(rows)"]


@generators
def test_generator_that_outlives_the_request_leaves_nothing_active(tracing: Tracing) -> None:
    with tracing.tracer.start_active_span("request", tags={"request": 1}):
        generator = rows(tracing)
        next(generator)
    assert list(generator) == [1, 2]
    nothing_is_active(tracing)
    for _ in request(tracing, 2):
        pass
    assert tracing.trees() == ["1: request(rows(work work work))", "2: request(native(query))"]


@generators
def test_generator_is_advanced_in_other_contexts(tracing: Tracing) -> None:
    generator = rows(tracing)
    for _ in range(4):
        contextvars.Context().run(next, generator, None)
        nothing_is_active(tracing)
    assert {tree.partition(": ")[0] for tree in tracing.trees()} == {"1"}


@generators
def test_body_of_a_generator_function_runs_in_the_context_it_was_given(tracing: Tracing) -> None:
    with tracing.tracer.start_active_span("request", tags={"request": 1}):
        carried = in_context(rows)
    generators = [carried(tracing) for _ in range(2)]
    for step in zip(*generators, strict=True):  # in turns, and in other requests
        assert step[0] == step[1]
        nothing_is_active(tracing)
        with tracing.tracer.start_active_span("other", tags={"request": 2}):
            pass
    assert tracing.trees() == ["1: request(rows(work work work) rows(work work work))", *["2: other"] * 3]


@generators
def test_generator_in_a_context_answers_send_throw_and_close(tracing: Tracing) -> None:
    def echo() -> Iterator[Any]:
        said: list[Any] = []
        with tracing.tracer.start_active_span("echo", tags={"request": 1}):
            while len(said) < 3:
                try:
                    said.append((yield len(said)))
                except KeyError as error:  # noqa: PERF203
                    said.append(error)
        return said

    generator: Any = in_context(echo)()
    error = KeyError("x")
    assert [next(generator), generator.send("a"), generator.throw(error)] == [0, 1, 2]
    with pytest.raises(StopIteration) as stopped:
        generator.send("b")
    assert stopped.value.value == ["a", error, "b"]
    broken: Any = in_context(echo)()
    next(broken)
    broken.close()
    nothing_is_active(tracing)
    assert tracing.trees() == ["1: echo"] * 2


# --- asynchronous generators


@async_generators
def test_async_generator_that_is_read_to_its_end_leaves_the_request_active(tracing: Tracing) -> None:
    async def main() -> None:
        with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
            scope.span.set_baggage_item("tenant", "acme")
            assert [page async for page in pages(tracing)] == [0, 1, 2]
            look(tracing, scope.span, "acme")

    asyncio.run(main())
    assert tracing.trees() == ["1: request(pages(work work work))"]


@async_generators
@pytest.mark.parametrize("way", ["break", "aclose", "aclose in another task", "forget"])
def test_async_generator_that_is_broken_off_leaves_the_request_active(tracing: Tracing, way: str) -> None:
    async def main() -> None:
        with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
            scope.span.set_baggage_item("tenant", "acme")
            generator: Any = pages(tracing)
            async for _ in generator:
                break
            if way == "aclose":
                await generator.aclose()
            elif way == "aclose in another task":
                await asyncio.create_task(generator.aclose())
            del generator
            gc.collect()
            for _ in range(3):  # the loop closes what is forgotten, in a task
                await asyncio.sleep(0)
            look(tracing, scope.span, "acme")
        nothing_is_active(tracing)

    asyncio.run(main())
    assert tracing.trees() == ["1: request(pages)"]


@async_generators
def test_async_generators_in_turns_do_not_mix(tracing: Tracing) -> None:
    async def read(number: int) -> None:
        with tracing.tracer.start_active_span("request", tags={"request": number}):
            async for _ in pages(tracing, number):
                await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*(read(number) for number in range(10)))
        nothing_is_active(tracing)

    asyncio.run(main())
    assert tracing.trees() == whole(range(10), "request(pages(work work work))")


@async_generators
def test_body_of_an_async_generator_function_runs_in_the_context_it_was_given(tracing: Tracing) -> None:
    async def main() -> None:
        with tracing.tracer.start_active_span("request", tags={"request": 1}):
            carried = in_context(pages)
        async for _ in carried(tracing):
            nothing_is_active(tracing)
        broken: Any = carried(tracing)
        await broken.__anext__()
        await broken.aclose()
        thrown: Any = carried(tracing)
        await thrown.__anext__()
        with pytest.raises(KeyError):
            await thrown.athrow(KeyError("x"))
        nothing_is_active(tracing)

    asyncio.run(main())
    assert tracing.trees() == ["1: request(pages pages pages(work work work))"]
