"""Ctrl-C at a moment when Python drops it."""

import _thread
import sys


def hear_again(unraisable: "sys.UnraisableHookArgs") -> None:
    """Repeat a Ctrl-C that has come while Python collected garbage; report anything else as Python does.

    An exception in a finalizer goes nowhere. Python prints it and goes on, so the user would have to press Ctrl-C
    again. For :data:`sys.unraisablehook`.
    """
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        _thread.interrupt_main()
    else:
        sys.__unraisablehook__(unraisable)
