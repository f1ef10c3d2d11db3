"""Ctrl-C at a moment when Python drops it."""

import os
import signal
import sys
import threading

_SOON_S = 0.05


def hear_again(unraisable: "sys.UnraisableHookArgs") -> None:
    """Repeat a Ctrl-C that has come while Python collected garbage; report anything else as Python does.

    An exception in a finalizer goes nowhere. Python prints it and goes on, so the user would have to press Ctrl-C
    again. For :data:`sys.unraisablehook`.
    """
    if not isinstance(unraisable.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
        return
    # Later, and as a signal of the system: it has to end whatever the main thread waits for by then.
    again = threading.Timer(_SOON_S, os.kill, (os.getpid(), signal.SIGINT))
    again.daemon = True
    again.start()
