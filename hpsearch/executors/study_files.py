"""The files that a study needs on other machines: its data file, its code, and what ``[resources] files`` names."""

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from hpsearch.core.files import sha256_of
from hpsearch.core.words import quoted
from hpsearch.data.files import SUFFIXES, find_file
from hpsearch.errors import SpecError
from hpsearch.executors.far_messages import StudyFile
from hpsearch.spec import StudySpec

_MODULE = re.compile(r"(?!keras:|sklearn:)([\w.]+):\w+")


class StudyFiles:
    """What of a study travels to workers that do not have it.

    Code is the modules beside the study file, or in the working directory, that the study file names, and those among
    them that these import, by what their ``import`` statements say. Installed packages do not travel.

    Args:
        spec: The study file.

    Attributes:
        files: The files, each with its digest.
        data: The name of the one that is the data source; empty if none is.

    Raises:
        DataError: The data file is not there.
        SpecError: A pattern of ``[resources] files`` fits no file.
    """

    def __init__(self, spec: StudySpec) -> None:
        self._folder = Path(spec.folder).resolve()
        self._paths: dict[str, Path] = {}
        source = _data_file(spec, self._folder)
        self.data = "" if source is None else self._name(source)
        for file in _files_of(spec, self._folder):
            self._paths.setdefault(self._name(file), file)
        self.files = tuple(_described(name, path) for name, path in sorted(self._paths.items()))

    def _name(self, file: Path) -> str:
        for root in (self._folder, Path.cwd()):
            if file.is_relative_to(root):
                return file.relative_to(root).as_posix()
        return str(file)

    def path(self, name: str) -> Path | None:
        """Where a file of :attr:`files` is here; None if it is none of them, or another one by now."""
        described = next((one for one in self.files if one.path == name), None)
        if described is None:
            return None
        try:
            return self._paths[name] if _described(name, self._paths[name]) == described else None
        except OSError:
            return None


def _files_of(spec: StudySpec, folder: Path) -> Iterator[Path]:
    if (source := _data_file(spec, folder)) is not None:
        yield source
    seen: set[Path] = set()
    schedules = [str(one["schedule"]) for one in spec.training.callbacks if "schedule" in one]
    for address in (spec.data.source, spec.model.build, *spec.objective.addresses, *schedules):
        if address and (found := _MODULE.fullmatch(address)):
            yield from _code(found.group(1), (folder, Path.cwd()), seen)
    for pattern in spec.resources.files:
        fitting = [one for one in sorted(folder.glob(pattern)) if one.is_file()]
        if not fitting:
            raise SpecError(
                f"resources.files: {quoted(pattern)} fits no file in {folder}",
                code="no-such-file",
                hint="patterns are relative to the study file, such as data/*.npy",
                pattern=pattern,
            )
        yield from fitting


def _data_file(spec: StudySpec, folder: Path) -> Path | None:
    source = spec.data.source
    return find_file(source, folder).resolve() if Path(source).suffix.lower() in SUFFIXES else None


def _code(module: str, roots: tuple[Path, ...], seen: set[Path]) -> Iterator[Path]:
    """The file of a module, those of the packages that it is in, and all that they import from the same folders."""
    parts = module.split(".")
    if parts[0] == "hpsearch":
        return
    for root in roots:
        found = False
        for depth in range(1, len(parts) + 1):
            for file in (
                root.joinpath(*parts[:depth], "__init__.py"),
                root.joinpath(*parts[:depth]).with_suffix(".py"),
            ):
                if file.is_file():
                    found = True
                    if file not in seen:
                        seen.add(file)
                        yield file
                        yield from _beside(file)
                        for imported in _imported(file, ".".join(parts[:depth])):
                            yield from _code(imported, roots, seen)
        if found:
            return


def _beside(file: Path) -> Iterator[Path]:
    """The rows beside a module that :mod:`hpsearch.given` has written."""
    if re.fullmatch(r"given(_[0-9a-f]{12})+", file.stem) and file.parent.name == file.stem:
        yield from (one for one in sorted(file.parent.iterdir()) if one.is_file() and one != file)


def _imported(file: Path, module: str) -> Iterator[str]:
    """The names of all modules that a file's ``import`` statements may mean."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return  # the worker says so
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            start = ".".join([*filter(None, above), *filter(None, [node.module])])
            if start:
                yield start
            yield from (f"{start}.{one.name}" if start else one.name for one in node.names if one.name != "*")


def _described(name: str, path: Path) -> StudyFile:
    about = path.stat()
    return StudyFile(name, about.st_size, digest_of(path, about.st_size, about.st_mtime_ns))


@lru_cache(maxsize=1000)
def digest_of(path: Path, size: int, changed_ns: int) -> str:
    """SHA-256 of a file that has this size and time of change: another time, another file."""
    del size, changed_ns
    return sha256_of(path)
