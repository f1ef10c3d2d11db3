"""What an engine has to say besides its events, collected from several threads."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Journal:
    """Notes for the user, and seconds spent on building and compiling."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._notes: list[str] = []
        self._compile_seconds = 0.0

    def note(self, text: str) -> None:
        """Add a note; the same text twice counts once."""
        with self._lock:
            self._notes.append(text)

    @contextmanager
    def compiling(self) -> Iterator[None]:
        """Count the time inside as spent on building and compiling, unless it raises."""
        begun = time.perf_counter()
        yield
        with self._lock:
            self._compile_seconds += time.perf_counter() - begun

    def take_notes(self) -> tuple[str, ...]:
        """Notes since the last call."""
        with self._lock:
            notes, self._notes = tuple(dict.fromkeys(self._notes)), []
        return notes

    def take_compile_seconds(self) -> float:
        """Seconds since the last call."""
        with self._lock:
            seconds, self._compile_seconds = self._compile_seconds, 0.0
        return seconds
