"""One worker process per slot: a slot is a GPU, or a share of the CPU cores."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from multiprocessing.connection import wait

from hpsearch.executors.devices import no_slot_left, why_closed
from hpsearch.executors.messages import FromWorker, Hello, Lost, Request, Stop
from hpsearch.executors.pool import PoolExecutor, Seat
from hpsearch.executors.process import WorkerProcess
from hpsearch.spec import StudySpec
from hpsearch.training.environment import WorkerSettings


class LocalSeat(Seat):
    """A process on this machine, started when there is something for it to do."""

    def __init__(self, hello: Hello) -> None:
        super().__init__()
        self._hello = hello
        self.process: WorkerProcess | None = None

    def start(self) -> WorkerProcess:
        """Its process."""
        if self.process is None:
            self.process = WorkerProcess(self._hello)
        return self.process

    def send(self, request: Request) -> None:
        if isinstance(request, Stop):
            if self.process is not None:
                self.process.send(request)
            return
        if self.process is not None and self.process.dead and not why_closed(self._hello.settings):
            self.renew()  # it died while idle, which is no fault of this request
        self.start().send(request)

    def received(self) -> Sequence[FromWorker]:
        """What the process has sent."""
        assert self.process is not None
        messages = self.process.received()
        if messages and isinstance(lost := messages[-1], Lost):
            self.renew()
            return [*messages[:-1], self.last(lost)]
        return messages

    def last(self, lost: Lost) -> Lost:
        gone = why_closed(self._hello.settings)
        return replace(lost, reason=f"{lost.reason}; {gone}", gone=True) if gone else lost

    def end(self, reason: str) -> None:
        if self.process is not None:
            self.process.end(reason)

    def renew(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.close()

    def close(self) -> None:
        self.renew()


class ProcessesExecutor(PoolExecutor):
    """Worker processes on this machine.

    Args:
        spec: The study file, sent to each worker.
        settings: One per slot.
    """

    def __init__(self, spec: StudySpec, settings: Sequence[WorkerSettings]) -> None:
        super().__init__()
        self._local = [LocalSeat(Hello(spec, one)) for one in settings]
        self._seats += self._local
        self._local[0].start()  # the others when there is a bundle for them

    def _lose(self, seat: Seat, lost: Lost) -> None:
        if lost.gone and seat in self._seats:
            if not (left := self.slots - 1):
                raise no_slot_left(lost.reason)
            lost = replace(lost, reason=f"{lost.reason}, which leaves {left} worker{'s' * (left > 1)}")
        super()._lose(seat, lost)

    @property
    def pids(self) -> list[int | None]:
        """Process id of each slot's worker; None for a slot without one."""
        return [None if seat.process is None else seat.process.popen.pid for seat in self._local]

    def _arrivals(self, timeout_s: float) -> Iterable[tuple[Seat, FromWorker]]:
        connections = {seat.process.connection: seat for seat in self._local if seat.process is not None}
        if not connections:
            time.sleep(timeout_s)
        for ready in wait(list(connections), timeout_s) if connections else ():
            seat = connections[ready]  # type: ignore[index]
            for message in seat.received():
                yield seat, message
