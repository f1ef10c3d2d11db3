"""Workers as actors of a Ray cluster: one long-lived actor per slot, which holds a worker process.

Ray starts the actors where there is room for them, and carries messages. What it may lose, such as a reply whose node
goes down, is numbered and said again, so nothing is heard twice and nothing is missed while an actor lives. Actors are
never restarted or retried by Ray: what to do about a lost bundle is the driver's decision.
"""

import os
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hpsearch.core.user_folders import cache_folder
from hpsearch.errors import ExecutorError
from hpsearch.executors.channel import SIGN_OF_LIFE_S, SILENCE_S
from hpsearch.executors.far import FarExecutor, FarSeat
from hpsearch.executors.far_messages import FromPlace, ToPlace, parts_of
from hpsearch.executors.messages import Lost
from hpsearch.executors.place import Place, greeting
from hpsearch.spec import StudySpec
from hpsearch.spec.elsewhere import RaySection
from hpsearch.training.environment import WorkerSettings

_FRUITLESS = 3
"""How often, for each worker, one may be lost before it gets to work until there is no more hope."""

_CONNECTS_S = 10.0
"""How long connecting to a cluster may take."""

_ASKS_S = 5.0
"""How often to look whether the cluster has room for more workers."""


class WorkerActor:
    """What runs on a node. Its two methods run at the same time, so a stop arrives while a bundle trains.

    Args:
        threads: CPU threads of its worker.
    """

    def __init__(self, threads: int) -> None:
        gpu = os.environ.get("CUDA_VISIBLE_DEVICES") or None
        self._place = Place(gpu=None if gpu == "-1" else gpu, threads=threads, cache=cache_folder())
        self._said: deque[tuple[int, FromPlace]] = deque([(1, greeting())])
        self._number = 1
        self._heard = 0
        self._telling, self._taking = threading.Lock(), threading.Lock()
        self._early: dict[int, ToPlace] = {}

    def tell(self, messages: Sequence[tuple[int, ToPlace]]) -> None:
        """Take numbered messages. They may come late, or twice."""
        with self._telling:
            self._early |= {number: message for number, message in messages if number > self._heard}
            while (message := self._early.pop(self._heard + 1, None)) is not None:
                self._heard += 1
                self._place.tell(message)

    def take(self, after: int, timeout_s: float) -> tuple[int, list[tuple[int, FromPlace]]]:
        """What has happened after the message of this number, and the number of the last message that has come.

        Waits up to `timeout_s` seconds for the first.
        """
        with self._taking:
            while self._said and self._said[0][0] <= after:
                self._said.popleft()
            if not self._said:
                for message in self._place.hear(timeout_s):
                    self._number += 1
                    self._said.append((self._number, message))
            return self._heard, list(self._said)


class RaySeat(FarSeat):
    """An actor, or one that Ray has not found a node for yet."""

    def __init__(self, ray: Any, actor: Any) -> None:
        super().__init__("a worker that Ray has not started yet")
        self._ray, self._actor = ray, actor
        self._sent: deque[tuple[int, ToPlace]] = deque()
        self._number = 0
        self._after = 0
        self.started = False
        self.asked_at = time.monotonic()
        self.reply = actor.take.remote(0, SIGN_OF_LIFE_S)

    def tell(self, message: ToPlace) -> None:
        self._number += 1
        self._sent.append((self._number, message))
        self._actor.tell.remote([(self._number, message)])

    def tell_file(self, place: str, file: Path, path: str) -> None:
        for part in parts_of(place, file, path):
            self.tell(part)

    def receive(self) -> Sequence[FromPlace]:
        """What the reply has, after which the next one is awaited."""
        try:
            heard, numbered = self._ray.get(self.reply)
        except self._ray.exceptions.ActorUnavailableError:
            time.sleep(0.1)  # the connection broke, perhaps because the node did: Ray says so at the next call
            self._ask()
            self._actor.tell.remote(list(self._sent))
            return ()
        except (self._ray.exceptions.RayError, ConnectionError) as error:
            where = "" if self.started else " before it began"
            return (Lost(f"the worker {self.name} was lost{where}: {_in_one_line(error)}", gone=True),)
        while self._sent and self._sent[0][0] <= heard:
            self._sent.popleft()
        news = [message for number, message in numbered if number > self._after]
        self._after = max([self._after, *(number for number, _ in numbered)])
        self.started, self.asked_at = True, time.monotonic()
        self._ask()
        return news

    def _ask(self) -> None:
        self.reply = self._actor.take.remote(self._after, SIGN_OF_LIFE_S)

    @property
    def silent(self) -> bool:
        """Whether a started actor has said nothing for too long."""
        return self.started and time.monotonic() - self.asked_at > SILENCE_S

    def close(self) -> None:
        with suppress(Exception):  # it may be dead, and the cluster gone
            self._ray.kill(self._actor)


class RayExecutor(FarExecutor):
    """Workers on a Ray cluster. More are asked for when nodes come, and when some were lost.

    Args:
        spec: The study file; see ``[resources.ray]``.
        settings: One entry: what is asked of every worker.

    Raises:
        ExecutorError: Ray is not installed, or there is no cluster at the address.
        HpsearchError: A file that the study needs is not there.
    """

    def __init__(self, spec: StudySpec, settings: Sequence[WorkerSettings]) -> None:
        super().__init__(spec, settings)
        self._ray = _imported()
        self._section = spec.resources.ray
        self._workers = spec.resources.workers
        self._ours = not self._ray.is_initialized()
        if self._ours:
            _connect(self._ray, self._section)
        self._seats_asked: list[RaySeat] = []
        self._asked_at = 0.0
        self._fruitless = 0
        self._cpus, self._gpus = self._needs()
        self._width = self._wanted()
        self._ask()

    @property
    def width(self) -> int:
        return self._width

    def _nodes(self) -> list[dict[str, float]]:
        """The resources of the nodes that are alive and can train."""
        nodes = [one["Resources"] for one in self._ray.nodes() if one["Alive"]]
        return [one for one in nodes if one.get("CPU", 0) > 0 or one.get("GPU", 0) > 0]

    def _needs(self) -> tuple[float, float]:
        """CPUs and GPUs of a worker."""
        nodes = self._nodes()
        gpus, cpus = self._section.gpus, self._section.cpus
        if gpus == "auto":
            gpus = 1.0 if any(one.get("GPU", 0) for one in nodes) else 0.0
        if cpus == "auto":
            fitting = [one for one in nodes if one.get("GPU", 0) >= gpus]
            per_node = [one.get("CPU", 1.0) / max(1.0, one.get("GPU", 0) // gpus if gpus else 1.0) for one in fitting]
            cpus = float(max(1, int(min(per_node, default=1.0))))
            if isinstance(self._workers, int) and not gpus:
                total = sum(one.get("CPU", 0.0) for one in fitting)
                cpus = max(1.0, min(cpus, total // self._workers))
        return float(cpus), float(gpus)

    def _wanted(self) -> int:
        if isinstance(self._workers, int):
            return self._workers
        return max(1, sum(self._fits(one) for one in self._nodes()))

    def _fits(self, node: dict[str, float]) -> int:
        """How many workers a node has room for."""
        needs = {"CPU": self._cpus, "GPU": self._gpus, **self._section.resources}
        return min((int(node.get(name, 0) / amount + 1e-9) for name, amount in needs.items() if amount), default=1)

    def _ask(self) -> None:
        """Ask Ray for the workers that are missing."""
        self._asked_at = time.monotonic()
        with suppress(self._ray.exceptions.RayError, ConnectionError):
            missing = self._wanted() - len(self._seats_asked)
            for _ in range(missing):
                self._seats_asked.append(RaySeat(self._ray, self._actor()))

    def _actor(self) -> Any:
        options = {
            "num_cpus": self._cpus,
            "num_gpus": self._gpus,
            "resources": self._section.resources or None,
            "max_restarts": 0,
            "max_task_retries": 0,
            "max_concurrency": 2,
            "scheduling_strategy": "SPREAD",
            "runtime_env": {"env_vars": {"PYTHONUNBUFFERED": "1"}},
        }
        return self._ray.remote(WorkerActor).options(**options).remote(max(1, int(self._cpus)))

    def _incoming(self, timeout_s: float) -> Iterator[tuple[FarSeat, FromPlace]]:
        if time.monotonic() - self._asked_at > _ASKS_S:
            self._ask()
        replies = {seat.reply: seat for seat in self._seats_asked}
        if not replies:
            time.sleep(timeout_s)
            return
        ready, _ = self._ray.wait(list(replies), num_returns=len(replies), timeout=0)
        if not ready:
            ready, _ = self._ray.wait(list(replies), num_returns=1, timeout=timeout_s)
        for reply in ready:
            yield from ((replies[reply], message) for message in self._received(replies[reply]))
        for seat in [one for one in self._seats_asked if one.silent]:
            self._seats_asked.remove(seat)
            yield seat, Lost(f"the worker {seat.name} has given no sign of life for {SILENCE_S:g} s", gone=True)
            seat.close()

    def _received(self, seat: RaySeat) -> Sequence[FromPlace]:
        news = seat.receive()
        if news and isinstance(news[-1], Lost) and news[-1].gone:
            self._seats_asked.remove(seat)
            if seat in self._seats:
                self._asked_at = 0.0  # another one is asked for at once
                self._fruitless = 0
            else:
                self._count_fruitless(news[-1].reason)
        return news

    def _count_fruitless(self, reason: str) -> None:
        """Give up on a cluster in which no worker ever gets to work.

        Raises:
            ExecutorError: Too many were lost before they did.
        """
        self._fruitless += 1
        if self._fruitless > _FRUITLESS * self._width and not self._seats:
            raise ExecutorError(
                f"no worker gets to work on the Ray cluster; the last of {self._fruitless}: {reason}",
                code="no-worker-on-ray",
                hint="hpsearch has to be installed on all nodes, in the same version; Ray's own logs say more",
            )

    def _how_to_join(self) -> str:
        need = f"{self._cpus:g} CPUs" + (f" and {self._gpus:g} GPUs" if self._gpus else "")
        have = self._ray.available_resources()
        free = f"{have.get('CPU', 0):g} CPUs and {have.get('GPU', 0):g} GPUs"
        return f"waiting for the Ray cluster: a worker needs {need} on one node, and {free} are free on all of them"

    def close(self) -> None:
        for seat in self._seats_asked:
            seat.close()
        if self._ours:
            self._ray.shutdown()


def _imported() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise ExecutorError(
            'executor = "ray": Ray is not installed', code="no-ray", hint="`pip install 'hpsearch[ray]'`"
        ) from None
    return ray


def _connect(ray: Any, section: RaySection) -> None:
    """Join the cluster."""
    local = section.address == "local"
    options = {"include_dashboard": False} if local else {}
    try:
        _check_reachable(section.address)
        ray.init(address=section.address, log_to_driver=False, logging_level="ERROR", **options)
    except (ConnectionError, RuntimeError, ValueError, OSError, TimeoutError) as error:
        raise ExecutorError(
            f"resources.ray.address: there is no Ray cluster at {section.address!r}: {_in_one_line(error)}",
            code="no-cluster",
            hint="`ray start --head` starts one here, and `ray status` shows it; for one with a token, set "
            "RAY_AUTH_MODE=token and copy the head's ~/.ray/auth_token to this machine",
            address=section.address,
        ) from None


def _check_reachable(address: str) -> None:
    """Without a cluster there, Ray would not raise, but end this process.

    Raises:
        OSError: Nobody listens at the address.
    """
    if address not in ("auto", "local"):
        host, _, port = address.removeprefix("ray://").rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), _CONNECTS_S).close()


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
