"""Deadlines: they pass, they end, and another's cancellation is not taken for one."""

from __future__ import annotations

import asyncio

import pytest

from portfolio_analytics.shared.deadlines import Deadlines, Patience


async def wait(deadlines: Deadlines, seconds: float, forever: asyncio.Event) -> str:
    task = deadlines.begin(seconds)
    try:
        await forever.wait()
        return "ended"
    except asyncio.CancelledError:
        if deadlines.passed(task):
            return "passed"
        raise
    finally:
        deadlines.end(task)


async def test_a_wait_ends_at_its_deadline() -> None:
    deadlines = Deadlines()
    deadlines.start()
    begun = asyncio.get_running_loop().time()
    async with asyncio.timeout(5):
        assert await asyncio.create_task(wait(deadlines, 0.3, asyncio.Event())) == "passed"
    assert asyncio.get_running_loop().time() - begun >= 0.25
    assert len(deadlines) == 0
    deadlines.stop()


async def test_a_wait_that_ends_is_forgotten() -> None:
    deadlines = Deadlines()
    deadlines.start()
    event = asyncio.Event()
    task = asyncio.create_task(wait(deadlines, 60, event))
    await asyncio.sleep(0)
    assert len(deadlines) == 1
    event.set()
    assert await task == "ended"
    assert len(deadlines) == 0
    deadlines.stop()


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    deadlines = Deadlines()
    deadlines.start()
    task = asyncio.create_task(wait(deadlines, 60, asyncio.Event()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    deadlines.stop()


async def test_a_task_goes_on_after_its_deadline() -> None:
    deadlines = Deadlines()
    deadlines.start()

    async def twice() -> list[str]:
        first = await wait(deadlines, 0.1, asyncio.Event())
        await asyncio.sleep(0.01)
        return [first, await wait(deadlines, 0.1, asyncio.Event())]

    async with asyncio.timeout(5):
        assert await asyncio.create_task(twice()) == ["passed", "passed"]
    deadlines.stop()


async def test_patience_cancels_what_is_not_done_and_nothing_else() -> None:
    patience = Patience(0.3)
    patience.start()
    loop = asyncio.get_running_loop()
    never, soon, later = loop.create_future(), loop.create_future(), loop.create_future()
    for future in (never, soon, later):
        patience.watch(future)
    assert patience.waiting() == 3
    soon.set_result("soon")
    loop.call_later(0.2, later.set_result, "later")
    begun = loop.time()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await never
    assert loop.time() - begun >= 0.3
    assert (soon.result(), later.result()) == ("soon", "later")
    assert patience.waiting() == 0
    patience.stop()
