"""The keyed queue."""

import asyncio

import pytest

from bananas_operator.queue import SearchKey, SearchQueue

A, B = SearchKey("lab", "a"), SearchKey("lab", "b")


def queue(jitter: float = 1.0) -> SearchQueue:
    return SearchQueue(backoff_seconds=0.05, backoff_limit_seconds=0.4, jitter=lambda: jitter)


async def taken(q: SearchQueue, seconds: float = 0.02) -> SearchKey | None:
    try:
        return await asyncio.wait_for(q.take(), seconds)
    except TimeoutError:
        return None


async def test_a_key_that_is_rung_often_is_taken_once() -> None:
    q = queue()
    for _ in range(5):
        q.ring(A)
    assert await taken(q) == A
    q.done(A)
    assert await taken(q) is None


async def test_a_key_in_work_is_not_given_to_another_worker_but_is_due_again_after() -> None:
    q = queue()
    q.ring(A)
    assert await taken(q) == A
    q.ring(A)
    assert await taken(q) is None
    q.done(A)
    assert await taken(q) == A


async def test_other_keys_go_on_while_one_is_in_work() -> None:
    q = queue()
    q.ring(A)
    q.ring(B)
    assert {await taken(q), await taken(q)} == {A, B}


async def test_a_key_comes_again_after_the_time_that_the_pass_asked_for() -> None:
    q = queue()
    q.ring(A)
    await q.take()
    q.done(A, again_after=0.05)
    assert await taken(q, 0.01) is None
    assert await taken(q, 1) == A


async def test_a_ring_is_not_put_off_by_a_later_due_time() -> None:
    q = queue()
    q.ring(A, after=100)
    q.ring(A)
    assert await taken(q) == A


async def test_errors_back_off_exponentially_up_to_the_limit_and_a_success_ends_it() -> None:
    q = queue()
    waits = [q.failed(A) for _ in range(6)]
    assert waits == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.4, 0.4])
    q.done(A)
    assert q.failed(A) == pytest.approx(0.05)


async def test_jitter_shortens_a_backoff_by_at_most_half() -> None:
    assert queue(jitter=0.0).failed(A) == pytest.approx(0.025)


async def test_a_ring_during_a_backoff_does_not_shorten_it() -> None:
    q = queue()
    q.ring(A)
    await q.take()
    q.failed(A)
    q.ring(A)
    assert await taken(q, 0.02) is None
    assert await taken(q, 1) == A


async def test_a_backoff_may_begin_shorter() -> None:
    q = queue()
    assert [q.failed(A, 0.01) for _ in range(3)] == pytest.approx([0.01, 0.02, 0.04])


async def test_two_workers_share_the_keys() -> None:
    q = queue()
    first, second = asyncio.create_task(q.take()), asyncio.create_task(q.take())
    await asyncio.sleep(0)
    q.ring(A)
    q.ring(B)
    assert {await asyncio.wait_for(first, 1), await asyncio.wait_for(second, 1)} == {A, B}
