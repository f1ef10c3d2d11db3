"""The main program of a worker process: answers the driver over one connection until that closes."""

import os
import pickle
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from hpsearch.errors import ExecutorError, HpsearchError
from hpsearch.training.worker import Worker, prepare


def serve(descriptor: int) -> None:
    """Serve requests ``(method, args)``; ``("train", bundle)`` answers with events, others with ``(ok, value)``."""
    connection = Connection(descriptor)
    spec, settings = connection.recv()
    prepare(settings)
    requests: SimpleQueue[tuple[str, Any]] = SimpleQueue()
    stopped: set[int] = set()
    threading.Thread(target=_listen, args=(connection, requests, stopped), daemon=True).start()
    worker = Worker(spec)
    while True:
        method, payload = requests.get()
        if method == "train":
            for event in worker.train(payload, lambda: frozenset(stopped)):
                connection.send(event)
        else:
            connection.send(_answer(worker, method, payload))


def _answer(worker: Worker, method: str, args: tuple[Any, ...]) -> tuple[bool, Any]:
    try:
        answer = True, getattr(worker, method)(*args)
        pickle.dumps(answer)
    except HpsearchError as error:
        return False, error
    except Exception as error:
        text = f"{method} failed in a worker: {type(error).__name__}: {error}\n{traceback.format_exc()}"
        return False, ExecutorError(text)
    return answer


def _listen(connection: Connection, requests: "SimpleQueue[tuple[str, Any]]", stopped: set[int]) -> None:
    """Read requests while the main thread trains, so that a stop, or the driver's death, is seen at once."""
    try:
        while True:
            method, payload = connection.recv()
            if method == "stop":
                stopped.update(payload)
            else:
                # Here, not where training begins: a stop may be on the heels of its bundle.
                stopped.clear()
                requests.put((method, payload))
    except (EOFError, OSError):
        # The driver is gone. Nothing here is worth keeping: what counts is in the ledger.
        os._exit(0)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
