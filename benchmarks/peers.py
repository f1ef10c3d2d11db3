"""Compares hpsearch with its peers on the same K-fold search. `make bench` calls it.

    python -m benchmarks.peers                                    everything (hours on two cores)
    python -m benchmarks.peers --workload digits-mlp --peer-trials 4
    python -m benchmarks.peers --workload digits-cnn --contender hpsearch --contender optuna-jax --trials 8
    python -m benchmarks.peers --render --write docs/performance.md     write the page again, measure nothing

Each contender runs in its own process. The whole process is measured: start, imports, data, search, tracking, exit.
Every measurement is appended to ``build/benchmarks/peers.jsonl``, so rows can be measured one at a time. The latest
measurement of a row counts. ``--peer-trials`` measures peers on fewer trials and extrapolates at their own time per
trial; the table marks such figures. hpsearch always runs all trials.
"""

import argparse
import json
import shlex
import sys
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.machine import commit, describe
from benchmarks.measure import CONTENDERS, ContenderFailedError, Measurement, measure
from benchmarks.performance import render_table, write_page
from benchmarks.workloads import WORKLOADS

RESULTS = Path("build/benchmarks/peers.jsonl")


def main() -> None:
    args, failures = _parse(), []
    if not args.render:
        failures = _measure_all(args)
    rows = load_results(RESULTS)
    if not rows:
        sys.exit("\n".join(failures) or f"nothing measured yet: {RESULTS} does not exist")
    print(render_table(rows))
    if args.write:
        write_page(args.write, rows)
        print(f"wrote {args.write}")
    if failures:
        sys.exit("not measured:\n" + "\n".join(f"  - {one}" for one in failures))


def load_results(path: Path) -> list[dict[str, object]]:
    """The latest measurement of every (workload, contender, cache), in the order of workloads and contenders."""
    if not path.exists():
        return []
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    latest = {(row["workload"], row["contender"], row["cache"]): row for row in rows}
    places = [list(WORKLOADS), list(CONTENDERS), ["cold", "warm"]]
    return [
        latest[key] for key in sorted(latest, key=lambda key: [p.index(k) for p, k in zip(places, key, strict=True)])
    ]


def _measure_all(args: argparse.Namespace) -> list[str]:
    """Measure the chosen rows. A failure is reported at the end, because a full comparison takes hours."""
    failures = []
    for workload in (WORKLOADS[name] for name in args.workload or WORKLOADS):
        if missing := workload.missing_data():
            print(f"{workload.title}: skipped, {missing}", file=sys.stderr)
            continue
        full = args.trials or workload.trials
        for contender in (CONTENDERS[name] for name in args.contender or CONTENDERS):
            trials = full if contender.engine else min(full, args.peer_trials or full)
            print(f"{workload.title} · {contender.title} · {trials} trials …", file=sys.stderr, flush=True)
            caches = ("cold", "warm") if contender.name == "hpsearch" or args.all_warm else ("cold",)
            try:
                for one in measure(contender, workload, trials=trials, caches=caches):
                    _keep(one, full=full, sized=args.trials is None)
            except ContenderFailedError as error:
                failures.append(str(error))
    return failures


def _keep(one: Measurement, *, full: int, sized: bool) -> None:
    row = asdict(one) | {
        "full_trials": full,
        "full_wall": one.projected(full),
        "full_size": sized,
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit(),
        "machine": describe(),
        "command": shlex.join(["python", "-m", "benchmarks.peers", *_without_write(sys.argv[1:])]),
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print(f"  {one.cache}: {one.wall:.1f} s, best {one.best:.4f}", file=sys.stderr, flush=True)


def _without_write(arguments: list[str]) -> list[str]:
    """The arguments without ``--write``, which has no influence on the figures."""
    skipped = {i + shift for i, one in enumerate(arguments) if one == "--write" for shift in (0, 1)}
    return [one for i, one in enumerate(arguments) if i not in skipped and not one.startswith("--write=")]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", action="append", choices=list(WORKLOADS), help="may be repeated; default: all")
    parser.add_argument("--contender", action="append", choices=list(CONTENDERS), help="may be repeated; default: all")
    parser.add_argument("--trials", type=int, help="run a smaller study everywhere, to test the benchmark")
    parser.add_argument("--peer-trials", type=int, metavar="N", help="measure peers on N trials and extrapolate")
    parser.add_argument("--all-warm", action="store_true", help="measure a warm run of the peers, too")
    parser.add_argument("--render", action="store_true", help="measure nothing; show the stored figures")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page to this file, in Markdown")
    args = parser.parse_args()
    if args.peer_trials is not None and args.peer_trials < 2:
        parser.error(
            f"--peer-trials must be at least 2, because the first trial is not typical, but got {args.peer_trials}"
        )
    return args


if __name__ == "__main__":
    main()
