import os

from hpsearch.cli.live import PlainLines, ProgressConsole


def test_progress_that_nobody_reads_any_more_does_not_end_the_study() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", buffering=1, closefd=True) as stream:
        lines = PlainLines(ProgressConsole(file=stream))
        lines.note("one")
        lines.note("two")
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # where the rest goes when it is closed
