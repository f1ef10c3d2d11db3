"""The user's own code: ``package.module:name``, searched for next to the study file first, then like any import."""

import importlib
import sys
from pathlib import Path

from hpsearch.core.files import sha256_of
from hpsearch.core.foreign import errors_as
from hpsearch.core.imports import wait_for_imports
from hpsearch.core.words import closest, first_line, listed, quoted
from hpsearch.errors import HpsearchError


def load_object(address: str, folder: str | Path, error: type[HpsearchError]) -> object:
    """The object that ``package.module:name`` names.

    Puts the study file's folder and the working directory at the front of ``sys.path``. They stay there, because the
    user's module may import its neighbours later.

    Args:
        address: ``package.module:name``.
        folder: The study file's folder.
        error: The class to raise; depends on what is loaded.

    Raises:
        HpsearchError: Of class `error`: the module cannot be imported or has no such name.
    """
    module_name, _, name = address.partition(":")
    for path in (str(Path.cwd()), str(Path(folder).resolve())):
        if path not in sys.path:
            sys.path.insert(0, path)
    wait_for_imports()  # the module may import it, too; and caches must not be emptied while a thread fills them
    importlib.invalidate_caches()  # the file may be newer than Python's cached listing of its folder

    def explain(reason: Exception) -> HpsearchError:
        if isinstance(reason, ModuleNotFoundError):
            return _no_module(address, module_name, reason, folder, error)
        return error(
            f"{address}: importing {module_name} failed: {type(reason).__name__}: {first_line(reason)}",
            code="import-failed",
            hint=f"`python -c 'import {module_name}'` shows the traceback",
            address=address,
            type=type(reason).__name__,
        )

    with errors_as(explain):
        module = importlib.import_module(module_name)
    if not hasattr(module, name):
        public = [one for one in vars(module) if not one.startswith("_")]
        near = closest(name, public)
        raise error(
            f"{address}: module {quoted(module_name)} ({getattr(module, '__file__', 'built in')}) has no "
            f"{quoted(name)}",
            code="no-such-name",
            hint=f"did you mean {quoted(near)}?" if near else f"it has {listed(public) or 'no public names'}",
            address=address,
            name=name,
            closest=near,
        )
    return getattr(module, name)


def _no_module(
    address: str, module_name: str, missing: ModuleNotFoundError, folder: str | Path, error: type[HpsearchError]
) -> HpsearchError:
    """The error for a module that is missing itself, or that imports another one that is missing."""
    if missing.name is not None and (module_name == missing.name or module_name.startswith(missing.name + ".")):
        return error(
            f"{address}: there is no module {quoted(missing.name)}",
            code="no-module",
            hint=f"hpsearch looks in {Path(folder).resolve()}, the working directory and the installed packages",
            address=address,
            module=missing.name,
        )
    return error(
        f"{address}: importing {module_name} failed: {missing}",
        code="import-failed",
        hint=f"install {missing.name}, or correct the import",
        address=address,
        type=type(missing).__name__,
        module=missing.name,
    )


def source_digest(address: str, folder: str | Path) -> str | None:
    """SHA-256 of the file that contains ``package.module:name``, found as :func:`load_object` does, but not imported.

    Returns:
        64 hexadecimal digits; None if no file on Python's path contains the module.
    """
    module = Path(*address.partition(":")[0].split("."))
    for path in (Path(folder), Path.cwd(), *map(Path, sys.path)):
        for file in (path / module / "__init__.py", path / module.with_suffix(".py")):
            if file.is_file():
                return sha256_of(file)
    return None
