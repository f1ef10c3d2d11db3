"""Trials per second of several drivers on one study, on one PostgreSQL, with training that only waits.

``python -m benchmarks.joined postgresql+psycopg://user@host/name``: 1, 2 and 4 drivers, random search, trials of 3
folds and 4 epochs. With ``--epoch 0``, what remains is what drivers and database cost. Each run is a study of its own.
"""

import argparse
import subprocess
import sys
import time

from hpsearch.ledger import Ledger
from hpsearch.search.driver import Driver
from hpsearch.search.joining import JoinedClaims, taking_a_seat
from hpsearch.search.monitor import PruningMonitor
from hpsearch.search.observer import Observer
from hpsearch.search.preparation import tuner_settings
from hpsearch.search.suggesting import Suggester
from hpsearch.search.watchdog import Watchdog
from hpsearch.testing.synthetic import SyntheticExecutor, make_record, make_spec


def drive(uri: str, name: str, trials: int, epoch: float, algorithm: str) -> None:
    """One driver, from the moment at which a line comes on its standard input."""
    spec = make_spec(uri, name=name, trials=trials, algorithm=algorithm)
    with taking_a_seat(uri, name, Observer()) as seat:
        ledger = Ledger(uri)
        if not ledger.has(name):
            ledger.create(make_record(spec))
        record = ledger.load(name)
        claims = JoinedClaims(record, ledger, seat, Observer())
        seat.pass_on()
        suggester = Suggester(spec.search.tuner, algorithm, tuner_settings(spec, record.space))
        executor = SyntheticExecutor(on_epoch=lambda: time.sleep(epoch))
        print("ready", flush=True)
        sys.stdin.readline()
        Driver(
            record,
            ledger,
            executor=executor,
            suggester=suggester,
            monitor=PruningMonitor(record),
            observer=Observer(),
            interrupted=lambda: False,
            watchdog=Watchdog(spec.resources),
            claims=claims,
        ).search()
        claims.close()
        print(len({trial for trial, _ in executor.trained}), flush=True)


def measure(uri: str, count: int, trials: int, epoch: float, algorithm: str) -> None:
    """Start drivers, let them begin at once, and print what they reach together."""
    name = f"joined-{count}-{time.time_ns()}"
    command = [sys.executable, "-m", "benchmarks.joined", uri, "--drive", name, "--trials", str(trials)]
    command += ["--epoch", str(epoch), "--algorithm", algorithm]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    drivers = [subprocess.Popen(command, text=True, **pipes) for _ in range(count)]  # type: ignore[call-overload]
    for driver in drivers:
        assert driver.stdout.readline() == "ready\n"
    begun = time.perf_counter()
    for driver in drivers:
        driver.stdin.write("go\n")
        driver.stdin.flush()
    shares = [int(driver.stdout.readline()) for driver in drivers]
    seconds = time.perf_counter() - begun
    found = Ledger(uri).load(name)
    assert [trial.number for trial in found.trials] == list(range(trials))
    assert sum(shares) == trials, "a trial was trained twice"
    print(f"{count} drivers, {algorithm}, epochs of {epoch:g} s: {trials / seconds:.1f} trials/s; each: {shares}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("uri")
    parser.add_argument("--drive", default="", help="used by the program itself")
    parser.add_argument("--trials", type=int, default=120)
    parser.add_argument("--epoch", type=float, default=0.1)
    parser.add_argument("--algorithm", default="random")
    given = parser.parse_args()
    if given.drive:
        drive(given.uri, given.drive, given.trials, given.epoch, given.algorithm)
        return
    for count in (1, 2, 4):
        measure(given.uri, count, given.trials, given.epoch, given.algorithm)


if __name__ == "__main__":
    main()
