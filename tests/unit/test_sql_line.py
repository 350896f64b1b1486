"""Places for custom SQL are given away fairly, none stays empty in vain, and whoever leaves takes nothing along."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import Conflict, TooManyRequests
from services.kit.settings import Settings
from services.query.sql.line import Line
from services.query.sql.slots import WORKSPACE_WAITING, Slots
from tests.oracle.sql_line import PlainLine

ONE, TWO = uuid4(), uuid4()


@settings(max_examples=200, deadline=None)
@given(
    bounds=st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(0, 6), st.integers(0, 4)),
    steps=st.lists(st.tuples(st.sampled_from("aaaabcd"), st.integers(0, 30), st.booleans()), max_size=60),
)
def test_the_line_serves_whom_the_plain_telling_of_its_rules_serves(
    bounds: tuple[int, int, int, int], steps: list[tuple[str, int, bool]]
) -> None:
    line: Line[int] = Line(*bounds)
    plain = PlainLine(*bounds)
    inside: list[tuple[str, int]] = []
    for ticket, (workspace, chosen, joins) in enumerate(steps):
        if joins or not inside:
            expected = plain.join(workspace, ticket)
            assert line.join(workspace, ticket) is (expected is not None)
            if expected is None:
                continue
            inside.append((workspace, ticket))
        else:
            leaving = inside.pop(chosen % len(inside))
            expected = plain.leave(*leaving)
            line.leave(*leaving)
        assert line.admit() == expected


def test_a_workspace_with_many_statements_holds_up_none_of_another() -> None:
    line: Line[str] = Line(places=3, each=2, most=64, most_each=20)
    for n in range(10):
        assert line.join("heavy", f"h{n}")
    assert line.admit() == ["h0", "h1"]
    assert line.join("light", "l0")
    assert line.admit() == ["l0"]
    for workspace, ticket in (("other", "o0"), ("other", "o1"), ("light", "l1")):
        assert line.join(workspace, ticket)
    assert line.admit() == []
    line.leave("heavy", "h0")
    assert line.admit() == ["o0"]  # it runs none, and heavy and light run one each
    line.leave("light", "l0")
    assert line.admit() == ["l1"]
    line.leave("light", "l1")
    assert line.admit() == ["h2"]  # each runs one, and heavy's turn came first


def slots(places: int = 1, each: int = 1) -> Slots:
    return Slots(Settings(sql_concurrency=places, sql_workspace_concurrency=each))


def soon(seconds: float = 5) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_a_place_is_waited_for_in_order() -> None:
    line, order = slots(), []

    async def run(name: str) -> None:
        async with line.take(ONE, soon()):
            order.append(name)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for name in "abcd":
            group.create_task(run(name))
    assert order == list("abcd")


async def test_without_a_place_in_time_or_in_the_line_there_is_an_error_that_says_when_to_come_back() -> None:
    line = slots()
    async with line.take(ONE, soon()):
        with pytest.raises(TooManyRequests) as raised:
            async with line.take(ONE, soon(0.15)):
                pass
        assert raised.value.retry_after
        waiting = [asyncio.create_task(_hold(line, ONE)) for _ in range(WORKSPACE_WAITING)]
        await asyncio.sleep(0)
        begun = asyncio.get_running_loop().time()
        with pytest.raises(TooManyRequests):
            await _hold(line, ONE)
        assert asyncio.get_running_loop().time() - begun < 3
        other = asyncio.create_task(_hold(line, TWO))
    await asyncio.gather(*waiting, other)


async def test_a_free_place_is_had_however_little_time_is_left() -> None:
    async with slots().take(ONE, soon(-1)):
        pass


@pytest.mark.parametrize("admitted_meanwhile", [False, True])
async def test_whoever_goes_away_leaves_the_line_and_the_place(admitted_meanwhile: bool) -> None:
    line = slots()
    first = asyncio.create_task(_hold(line, ONE, asyncio.Event()))
    await asyncio.sleep(0)
    gone = asyncio.create_task(_hold(line, ONE))
    await asyncio.sleep(0)
    if admitted_meanwhile:
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first  # its place is given to the one that is cancelled before it can notice
    gone.cancel()
    first.cancel()
    await asyncio.wait([first, gone])
    assert gone.cancelled()
    async with asyncio.timeout(1):
        await _hold(line, TWO)


async def test_a_statement_that_waits_is_withdrawn_by_its_id_and_workspace() -> None:
    line, first, second = slots(), uuid4(), uuid4()
    async with line.take(ONE, soon(), first):
        waiting = asyncio.create_task(_hold(line, ONE, query_id=second))
        await asyncio.sleep(0)
        line.withdraw(ONE, first)  # it runs: whoever cancels it tells the engine
        line.withdraw(TWO, second)
        await asyncio.sleep(0)
        assert not waiting.done()
        line.withdraw(ONE, second)
        with pytest.raises(Conflict):
            await waiting
    await _hold(line, ONE)


async def _hold(line: Slots, workspace: UUID, until: asyncio.Event | None = None, query_id: UUID | None = None) -> None:
    async with line.take(workspace, soon(), query_id):
        await (until.wait() if until else asyncio.sleep(0))
