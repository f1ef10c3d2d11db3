"""The command that makes this machine work for a driver on another one."""

import re
import signal
import sys
from typing import Annotated

import typer

from hpsearch.cli.app import app
from hpsearch.cli.printing import complain
from hpsearch.errors import SpecError


@app.command()
def worker(
    connect: Annotated[str, typer.Option(help="Where the driver waits for workers.", metavar="HOST:PORT")],
    key_file: Annotated[
        str | None,
        typer.Option(help="A copy of the driver's worker.key; by default, this user's own."),
    ] = None,
    gpu: Annotated[
        str | None,
        typer.Option(help='GPU: its number, UUID or MIG device, or "none". The first by default.'),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores by default.")] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for a driver, and for the next one.")] = 600,
) -> None:
    """Work for a driver on another machine whose study has executor = "remote". May come and leave at any time."""
    from hpsearch.core.user_folders import cache_folder
    from hpsearch.executors.gpus import find, list_gpus
    from hpsearch.executors.joining import work
    from hpsearch.executors.keys import worker_key

    found = re.fullmatch(r"\[?([^\[\]\s]+?)\]?:(\d{1,5})", connect)
    if found is None or int(found.group(2)) > 65535:
        raise SpecError(
            f"--connect {connect!r} is no address",
            code="bad-address",
            hint="give the driver's machine and port, such as --connect head:4733",
            received=connect,
        )
    gpus = list_gpus()
    chosen = gpus if gpu is None else [] if gpu == "none" else find(gpu, gpus)
    if gpu not in (None, "none") and not chosen:
        found_here = tuple(map(str, gpus))
        raise SpecError(
            f"--gpu {gpu}: there is no such GPU; this machine has {', '.join(found_here) or 'none'}",
            code="no-such-gpu",
            hint="`hpsearch doctor` lists them; --gpu none uses the CPU",
            gpu=gpu,
            found=found_here,
        )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that nothing is left behind
    work(
        found.group(1),
        int(found.group(2)),
        worker_key(key_file),
        gpu=chosen[0].name if chosen else None,
        threads=threads,
        cache=cache_folder(),
        wait_s=wait,
        say=complain,
    )
