"""Writes the comparison with peers: a table for the terminal, and docs/performance.md."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.kept import kept
from benchmarks.measure import CONTENDERS
from benchmarks.workloads import WORKLOADS

Row = Mapping[str, Any]
HEADER = ("study", "contender", "trials measured", "cold, s", "warm, s", "s per trial", "hpsearch is", "best score")


def table(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """One line per study and contender.

    Seconds are wall times of whole processes. ≈ marks an extrapolation from fewer trials. "hpsearch is" compares cold
    processes.
    """
    found = {(row["workload"], row["contender"], row["cache"]): row for row in rows}
    lines: list[tuple[str, ...]] = []
    for workload, contender in dict.fromkeys((row["workload"], row["contender"]) for row in rows):
        cold, warm, ours = (
            found.get(key)
            for key in ((workload, contender, "cold"), (workload, contender, "warm"), (workload, "hpsearch", "cold"))
        )
        row = cold or warm
        assert row is not None
        lines.append(
            (
                _study(row),
                CONTENDERS[contender].title,
                f"{row['trials']} of {row['full_trials']}",
                _seconds(cold),
                _seconds(warm),
                f"{row['full_wall'] / row['full_trials']:.2f}",
                _ratio(cold, ours),
                f"{row['best']:.4f}",
            )
        )
    return lines


def _study(row: Row) -> str:
    one = WORKLOADS[row["workload"]]
    return f"{one.title}, {row['full_trials']} × {one.folds} × {one.epochs}"


def _seconds(row: Row | None) -> str:
    if row is None:
        return "–"
    return f"{'' if row['trials'] == row['full_trials'] else '≈ '}{row['full_wall']:.1f}"


def _ratio(row: Row | None, ours: Row | None) -> str:
    if row is None or ours is None or row["contender"] == "hpsearch" or row["full_trials"] != ours["full_trials"]:
        return ""
    ratio = row["full_wall"] / ours["full_wall"]
    return f"{ratio:.1f}× faster" if ratio >= 1 else f"{1 / ratio:.1f}× slower"


def render_table(rows: Sequence[Row]) -> str:
    """The table as text, for the terminal."""
    lines = [HEADER, *table(rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADER))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def write_page(path: Path, rows: Sequence[Row]) -> None:
    """Write docs/performance.md: the table, and the commands that repeat it."""
    sections = [
        "# Performance",
        "`python -m benchmarks.peers` (`make bench`) generates this page. Do not edit it.",
        _METHOD,
        _markdown(HEADER, table(rows)),
        *(
            ["Some studies are smaller than documented. Their figures only test the benchmark."]
            if any(not row["full_size"] for row in rows)
            else []
        ),
        "## Measured on",
        _machines(rows),
        "## Commands",
        "```\n" + "\n".join(dict.fromkeys(row["command"] for row in rows)) + "\n```",
    ]
    sections += [*lane_section(), *shares_section(), *pruning_section(), *racing_section()]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n\n".join(sections) + "\n", encoding="utf-8")


_METHOD = """\
Every tool runs the same search, written as its users would write it. Rows, stratified folds, model, space, epochs and
batch size are the same. The peers train one fold after the other with Keras `fit` and log every epoch of every fold to
MLflow (`benchmarks/contenders`). hpsearch reads a study file (`benchmarks/study_file.py`). The size of a study is
*trials × folds × epochs*.

- *cold, s*: wall time of the whole process, from start to exit, without compiled programs on disk.
- *warm, s*: the same for a second process, which finds the compiled programs of the first.
- hpsearch's times include the refit of the winner on all development rows, its test and the saved model. The peers do
  none of these.
- ≈: measured on fewer trials, then extrapolated at the peer's own time per trial. The first trial does not count for
  this time.
- *s per trial*: cold wall time, divided by the number of trials.
- *best score*: the best cross-validated accuracy among the measured trials, at the best epoch of the mean curve over
  the folds."""


def _machines(rows: Sequence[Row]) -> str:
    lines = []
    for machine in {repr(row["machine"]): row["machine"] for row in rows}.values():
        own = [row for row in rows if row["machine"] == machine]
        dates, commits = sorted({row["date"] for row in own}), sorted({row["commit"] for row in own} - {""})
        lines += [f"- {name}: {value}" for name, value in machine.items()]
        lines.append(f"- date: {', '.join(dates)}" + (f"; commit {', '.join(commits)}" if commits else ""))
    return "\n".join(lines)


def lane_section() -> list[str]:
    """The figures of ``benchmarks.lane_throughput``."""
    rows = [
        (name, f"{row['engine_s'] * 1e3:.1f}", f"{row['loop_s'] * 1e3:.1f}", f"{row['share']:.0%}")
        for name, row in kept("lane_throughput").items()
    ]
    header = ("study", "fused engine, ms per epoch", "JAX loop, ms per epoch", "throughput, share of the loop's")
    title = "## One lane compared with a hand-written JAX loop"
    text = (
        "One trial on a holdout, with the same model and rows, measured by `python -m benchmarks.lane_throughput`. The "
        "loop draws dropout masks with JAX's generator. The engine draws them from a cheaper hash."
    )
    return [title, text, _markdown(header, rows)] if rows else []


def shares_section() -> list[str]:
    """The figures of ``benchmarks.shares``."""
    rows = [
        (
            WORKLOADS[name].title,
            str(row["trials"]),
            f"{row['wall_s']:.1f}",
            *(f"{row[part]:.0%}" for part in ("programs", "building", "tracking")),
        )
        for name, row in kept("shares").items()
    ]
    header = (
        "study",
        "trials",
        "wall, s",
        "running XLA programs",
        "building and loading programs",
        "tracking, CPU per core",
    )
    text = (
        "Shares of the wall time of a second, warm run, without imports, measured by `python -m benchmarks.shares`. "
        "Programs and their building overlap. Refit, test, report and registration take the rest."
    )
    return ["## Where the time of a warm study goes", text, _markdown(header, rows)] if rows else []


def pruning_section() -> list[str]:
    """The figures of ``benchmarks.pruning``, one table per bundle size."""
    sections = []
    for study in kept("pruning").values():
        settings = study["settings"]
        side = "one after the other" if settings["bundle"] == 1 else f"{settings['bundle']} side by side"
        rows = [
            (
                name,
                f"{row['epochs_to_target']:.0f}",
                f"{row['speedup']:.2f}×",
                f"{row['epochs']:.0f}",
                f"{row['stopped']:.1f}",
                f"{row['best_kept']:.0%}",
                f"{row['loss_of_best']:.5f}",
            )
            for name, row in study["rules"].items()
        ]
        title = f"{settings['trials']} trials × {settings['folds']} folds × {settings['epochs']} epochs, trained {side}"
        sections += [f"### {title}, median over {settings['seeds']} seeds", _markdown(_PRUNING_HEADER, rows)]
    return ["## Pruning", _PRUNING, *sections] if sections else []


_PRUNING_HEADER = (
    "rule",
    "epochs to the unpruned best",
    "speed-up",
    "epochs of the study",
    "trials stopped",
    "best trial kept",
    "mean loss of best score",
)
_PRUNING = """\
Every rule replays the same real curves (digits MLP, `benchmarks/curve_bank.py`) in the same random order. An epoch is
one epoch of all folds of a trial.

*Epochs to the unpruned best* counts the epochs until some trial is as good as the best trial of the study without
pruning. If the rule stops that best trial, the replay continues with further trials.

Optuna's pruners get the mean over all folds after each epoch. A K-fold objective written for Optuna cannot give them
this mean.

`python -m benchmarks.pruning` repeats the measurement."""


def racing_section() -> list[str]:
    """The figures of ``benchmarks.racing_error_rate``."""
    sections = []
    for study in kept("racing").values():
        allowed = 1 - study["settings"]["confidence"]
        rows = [
            (name, f"{row['winners']}", f"{row['wrong']:.2%}", f"{row['upper']:.2%}", f"{row['saved']:.0%}")
            for name, row in study["curves"].items()
        ]
        sections += [
            f"Racing promises to stop at most {allowed:.0%} of the trials that would have won. "
            "`python -m benchmarks.racing_error_rate` measures it:",
            _markdown(
                ("curves", "would have won", "of these stopped", "upper 95 % limit", "epochs saved on others"), rows
            ),
        ]
    return ["## How often racing is wrong", *sections] if sections else []


def _markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    cells = [header, ("---",) * len(header), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)
