"""Tasks end although a library in them loses a cancellation."""

from __future__ import annotations

import asyncio

from services.kit.lifecycle import end


async def test_a_task_that_loses_a_cancellation_is_cancelled_again() -> None:
    result: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    lost = 0

    async def waits_with_a_library() -> None:
        nonlocal lost
        try:
            await asyncio.wait_for(result, 60)
        except asyncio.CancelledError:
            lost += 1
        await asyncio.sleep(60)

    task = asyncio.create_task(waits_with_a_library())
    await asyncio.sleep(0)
    await end([task])
    assert task.cancelled()
    assert lost == 1


async def test_an_ended_task_is_left_alone_and_a_failed_one_keeps_its_error() -> None:
    async def fails() -> None:
        raise ValueError("mine")

    done = asyncio.create_task(asyncio.sleep(0, "done"))
    failed = asyncio.create_task(fails())
    await asyncio.wait([done, failed])
    await end([done, failed])
    assert done.result() == "done"
    assert isinstance(failed.exception(), ValueError)
