"""Writes the table of kinds: ``python -m tests.kinds --write docs/results.md``."""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from .check import KINDS, Found, Kind, check

BEGIN, END = "<!-- kinds: begin -->", "<!-- kinds: end -->"


def row(kind: Kind, found: Found) -> str:
    equal = "its noise is its own" if found.equal is None else "yes" if found.equal else f"no ({found.gap:.1e})"
    kept = {"file": "yes", "weights": "by its build function"}[found.kept]
    return f"| {kind.title} | {found.engine} | {equal} | {kept} | {'yes' if found.predicted == 3 else 'no'} |"


def table(only: list[str]) -> str:
    lines = [
        "| kind | engine | equal to Keras `fit` | saved and loaded again | predicts raw rows |",
        "|---|---|---|---|---|",
    ]
    for kind in KINDS:
        if only and kind.build not in only:
            continue
        begun = time.perf_counter()
        with TemporaryDirectory() as folder:
            found = check(kind, Path(folder))
        lines.append(row(kind, found))
        print(
            f"{lines[-1]} {time.perf_counter() - begun:.0f} s {found.reason if found.engine == 'fit' else ''}",
            flush=True,
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="a page with the two marks between which the table goes")
    parser.add_argument("--only", nargs="*", default=[], help="names of build functions")
    options = parser.parse_args()
    found = table(options.only)
    if options.write:
        text = options.write.read_text(encoding="utf-8")
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        options.write.write_text(f"{before}{BEGIN}\n{found}\n{END}{after}", encoding="utf-8")


main()
