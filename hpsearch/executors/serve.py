"""The main program of a worker process: answers the driver over one connection until that closes."""

import ctypes
import faulthandler
import os
import pickle
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from queue import SimpleQueue

from hpsearch.errors import ExecutorError, HpsearchError
from hpsearch.executors.messages import Answer, Call, Hello, Raised, Request, Returned, Stop, Train
from hpsearch.training.environment import set_up
from hpsearch.training.protocol import WorkerProtocol
from hpsearch.training.worker import Worker

_PR_SET_PDEATHSIG = 1
"""Of Linux' ``prctl``."""


def serve(descriptor: int) -> None:
    """Answer requests until the driver closes the connection."""
    faulthandler.register(signal.SIGUSR1)
    _die_with_the_driver()
    connection = Connection(descriptor)
    hello: Hello = connection.recv()
    set_up(hello.settings)
    requests: SimpleQueue[Call | Train] = SimpleQueue()
    stopped: set[int] = set()
    threading.Thread(target=listen, args=(connection, requests, stopped), daemon=True).start()
    worker = Worker(hello.spec, predictions=hello.settings.predictions)
    while True:
        match requests.get():
            case Train(bundle):
                for event in worker.train(bundle, lambda: frozenset(stopped)):
                    connection.send(event)
            case Call() as call:
                connection.send(answer(worker, call))


def _die_with_the_driver() -> None:
    """Have the system kill this process when the driver dies: C code that keeps the GIL also keeps :func:`listen`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def answer(worker: WorkerProtocol, call: Call) -> Answer:
    """What a worker's call returns or raises, sure to pickle."""
    try:
        returned = Returned(getattr(worker, call.method)(*call.args, **call.kwargs))
        pickle.dumps(returned)
    except HpsearchError as error:
        return Raised(_sendable(error))
    except Exception as error:  # a defect of ours or of a library: the driver shows it, and this process goes on
        text = f"{call.method} failed in a worker: {type(error).__name__}: {error}\n{traceback.format_exc()}"
        return Raised(ExecutorError(text, code="call-failed", method=call.method, error=type(error).__name__))
    return returned


def _sendable(error: HpsearchError) -> HpsearchError:
    """The error, its values as texts if they do not pickle: they may be the user's, or a plug-in's."""
    try:
        pickle.dumps(error)
    except (pickle.PicklingError, TypeError, AttributeError):
        error.values = {name: repr(value) for name, value in error.values.items()}
    return error


def listen(connection: Connection, requests: "SimpleQueue[Call | Train]", stopped: set[int]) -> None:
    """Read requests while the main thread trains, so that it notices a stop, or the driver's death, at once."""
    try:
        while True:
            request: Request = connection.recv()
            if isinstance(request, Stop):
                stopped.update(request.trials)
            else:
                # Cleared here and not where training begins: a stop may follow right behind its bundle.
                stopped.clear()
                requests.put(request)
    except (EOFError, OSError):
        # The driver is gone. Nothing here is worth keeping: what counts is in the ledger.
        os._exit(0)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
