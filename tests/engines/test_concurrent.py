"""Merging streams of events that run in threads."""

import threading
from functools import partial

import pytest

from hpsearch.training.engines.fused.concurrent import run_concurrently


def collect(events, found):
    for event in events:
        found.append(event)  # one by one: what came before an error counts


def numbers(start, count=3):
    yield from range(start, start + count)


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_every_event_comes_once_and_in_the_order_of_its_stream(at_once):
    streams = [partial(numbers, start) for start in (0, 10, 20)]
    found = list(run_concurrently(streams, at_once))
    assert sorted(found) == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    for start in (0, 10, 20):
        assert [one for one in found if start <= one < start + 3] == [start, start + 1, start + 2]


def test_streams_really_run_at_the_same_time():
    meeting = threading.Barrier(2, timeout=20)

    def meet():
        meeting.wait()  # raises unless the other one is there as well
        yield threading.get_ident()

    assert len(set(run_concurrently([meet, meet], 2))) == 2


def test_what_a_stream_raises_reaches_the_reader_after_its_events():
    def broken():
        yield 1
        raise ValueError("no such rows")

    events, found = run_concurrently([broken, partial(numbers, 100, 2)], 2), []
    with pytest.raises(ValueError, match="no such rows"):
        collect(events, found)
    assert 1 in found


def test_a_reader_that_leaves_stops_the_streams():
    ended = threading.Event()

    def endless():
        try:
            while True:
                yield 1
        finally:
            ended.set()

    events = run_concurrently([endless, endless], 2)
    assert next(events) == 1
    before = threading.active_count()
    events.close()
    assert ended.wait(20)
    assert threading.active_count() == before - 2
