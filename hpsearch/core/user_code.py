"""The user's own code: ``package.module:name`` looked up beside the study file first, then as Python does."""

import difflib
import hashlib
import importlib
import sys
from pathlib import Path

from hpsearch.errors import HpsearchError


def load_object(address: str, folder: str | Path, error: type[HpsearchError]) -> object:
    """What ``package.module:name`` names.

    The study file's folder and the working directory are put at the front of ``sys.path`` (and stay there: the
    user's module may import its neighbours later).

    Args:
        address: ``package.module:name``.
        folder: The study file's folder.
        error: The class to raise, by what is being loaded.

    Raises:
        HpsearchError: Of class `error`: the module cannot be imported or has no such name.
    """
    module_name, _, name = address.partition(":")
    for path in (str(Path.cwd()), str(Path(folder).resolve())):
        if path not in sys.path:
            sys.path.insert(0, path)
    importlib.invalidate_caches()  # the file may be newer than the finder's listing of its folder
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as missing:
        if missing.name is not None and (module_name == missing.name or module_name.startswith(missing.name + ".")):
            raise error(
                f"{address}: there is no module {missing.name!r}",
                hint=f"it is looked for in {Path(folder).resolve()}, the working directory and the installed packages",
            ) from None
        raise error(
            f"{address}: importing {module_name} failed: {missing}", hint=f"install {missing.name}, or mend the import"
        ) from missing
    except Exception as reason:
        raise error(
            f"{address}: importing {module_name} failed: {type(reason).__name__}: {reason}",
            hint=f"`python -c 'import {module_name}'` shows the traceback",
        ) from reason
    if not hasattr(module, name):
        public = [one for one in vars(module) if not one.startswith("_")]
        close = difflib.get_close_matches(name, public, n=1)
        raise error(
            f"{address}: module {module_name!r} ({getattr(module, '__file__', 'built in')}) has no {name!r}",
            hint=f"did you mean {close[0]!r}?" if close else f"it has {', '.join(public) or 'nothing public'}",
        )
    return getattr(module, name)


def source_digest(address: str, folder: str | Path) -> str | None:
    """SHA-256 of the file that ``package.module:name`` stands in, looked up as :func:`load_object` does, not imported.

    Returns:
        64 hexadecimal digits; None where the module is no file of Python's path.
    """
    module = Path(*address.partition(":")[0].split("."))
    for path in (Path(folder), Path.cwd(), *map(Path, sys.path)):
        for file in (path / module / "__init__.py", path / module.with_suffix(".py")):
            if file.is_file():
                return hashlib.sha256(file.read_bytes()).hexdigest()
    return None
