"""Data and models that a Python program or a notebook has in memory, kept so that other processes can use them.

Both go into a folder of the workspace as a module that a study file can name: ``given_<data>_<code>:data`` returns the
rows, mapped into memory, and ``given_<data>_<code>:build`` is the build function, both named after their digests. From
there on, such a study is like any other: workers, ``resume``, ``predict`` and MLflow's models find everything in that
folder.
"""

import base64
import hashlib
import inspect
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING

import numpy as np

from hpsearch import own_code
from hpsearch.core.files import close_to_others, make_folder
from hpsearch.core.foreign import errors_as, said
from hpsearch.data.functions import parts_of_tf_data
from hpsearch.data.plain import are_several, plain_array, plain_frame
from hpsearch.errors import DataError, HpsearchError, ModelError

if TYPE_CHECKING:
    import pandas as pd

PARTS = ("x", "y", "x_test", "y_test", "groups", "time", "sample_weight", "sample_weight_test")
"""What may be given, by the names of :func:`hpsearch.run`."""

_OTHER = {"x": "y", "y": "x", "x_test": "y_test", "y_test": "x_test"}
"""Part → the other one of its rows."""

_DATA = '''
from pathlib import Path


def data():
    """The rows, as they were given."""
    import numpy as np
    import pandas as pd

    folder = Path(__file__).parent
    parts = {path.stem: np.load(path, mmap_mode="r") for path in folder.glob("*.npy")}
    parts |= {path.stem: pd.read_parquet(path) for path in folder.glob("*.parquet")}
    for part, names in SEVERAL.items():
        arrays = [parts.pop(f"{part}.{place}") for place in range(len(names))]
        parts[part] = tuple(arrays) if None in names else dict(zip(names, arrays))
    return parts.pop("x") if set(parts) == {"x"} else parts
'''

_SEVERAL = """
# Part → the names of its arrays; None for those in order.
SEVERAL = {several!r}
"""

_BUILD = """
from base64 import b85decode

from cloudpickle import loads

# What the function uses: packages that a model of this study requires.
{imports}

_model = loads(b85decode({pickled!r}))
# Layers, losses and functions that Keras looks up by name when it loads a saved model. Data keep theirs.
globals().update({{name: one for name, one in _model["names"].items() if name != "data"}})
build = _model["build"]
"""

_CALLBACKS = 'callbacks = _model["callbacks"]\n'


def keep(
    root: Path, build: object, parts: Mapping[str, object], *, callbacks: object = None, shared: bool = False
) -> tuple[Path, str]:
    """Write what is given into a folder of its own. The same data and code have the same folder.

    Args:
        root: The workspace's folder for these.
        build: A build function, a ``HyperModel`` or its class; None without one.
        parts: Some of :data:`PARTS`; those that are None are left out.
        callbacks: A function of a config that returns callbacks, or a list of them; None without any.
        shared: Whether others may read a new folder.

    Returns:
        The folder, and the name of the module in it: with ``data`` if there are parts, with ``build`` if there is one.

    Raises:
        DataError: Something cannot be written as an array or a table.
        ModelError: The build function refers to what cannot be pickled.
        OSError: The folder cannot be written.
    """
    several: dict[str, list[str | None]] = {}
    plain = dict(_plain(parts, several))
    data = hashlib.sha256(repr(several).encode() if several else b"")
    for name, value in plain.items():
        data.update(name.encode())
        _add(data, value)
    code = "" if build is None else own_code.digest_of(_code(build, callbacks)).hex()
    module = "_".join(["given", *filter(None, (data.hexdigest()[:12] if plain else "", code[:12]))])
    folder = root / module
    if not (folder / f"{module}.py").exists():
        make_folder(root, shared=shared)
        # Several programs may keep the same at once, and each may be killed: a folder appears when it is complete.
        with TemporaryDirectory(dir=root, prefix=".", ignore_cleanup_errors=True) as unfinished:
            written = Path(unfinished) / module
            written.mkdir()
            _fill(written, plain, several, build, callbacks)
            if not shared:
                close_to_others(written)
            try:
                written.rename(folder)
            except OSError:
                if not (folder / f"{module}.py").exists():
                    raise
    return folder, module


def _fill(
    folder: Path,
    plain: "Mapping[str, np.ndarray | pd.DataFrame]",
    several: Mapping[str, Sequence[str | None]],
    build: object,
    callbacks: object,
) -> None:
    for name, value in plain.items():
        _write(folder, name, value)
    text = '"""Written by hpsearch.run: a study needs this folder."""\n'
    if plain:
        text += _SEVERAL.format(several=several) + _DATA
    if build is not None:
        imports = "".join(f"import {name}\n" for name in own_code.packages(_code(build, callbacks)))
        text += _BUILD.format(pickled=base64.b85encode(_pickled(build, callbacks)).decode(), imports=imports)
        text += _CALLBACKS if callbacks is not None else ""
        if source := _source(build):
            (folder / "build.txt").write_text(source, encoding="utf-8")
    (folder / f"{folder.name}.py").write_text(text, encoding="utf-8")


def _plain(
    parts: Mapping[str, object], several: dict[str, list[str | None]]
) -> Iterator[tuple[str, "np.ndarray | pd.DataFrame"]]:
    """Arrays, and tables of pandas. `several` gets the names of arrays that together are one part."""
    given = {name: value for name, value in parts.items() if value is not None}
    for x, y, weights in (("x", "y", "sample_weight"), ("x_test", "y_test", "sample_weight_test")):
        pair = parts_of_tf_data(given[x], x) if x in given else None
        if pair is None:
            continue
        if y in given:
            raise DataError(
                f"{x} is a tf.data.Dataset, which has the targets, but {y} is given, too",
                code="targets-twice",
                hint=f"leave {y} out",
                part=y,
            )
        given[x], given[y], found = pair
        given |= {} if found is None else {weights: found}
    for name in PARTS:
        if name not in given:
            continue
        inputs = _arrays_of(name, given[name], given.get(_OTHER[name])) if name in _OTHER else []
        if inputs:
            several[name] = [one for one, _ in inputs]
            for place, (_, value) in enumerate(inputs):
                yield f"{name}.{place}", plain_array(name, value)
        else:
            frame = plain_frame(name, given[name]) if name in ("x", "x_test") else None
            yield name, plain_array(name, given[name]) if frame is None else frame


def _arrays_of(name: str, value: object, other: object) -> list[tuple[str | None, object]]:
    """Several inputs or outputs that no table holds, each with its name or None; empty for tables and arrays."""
    if are_several(value, other):
        return [(None, one) for one in value]
    if not isinstance(value, Mapping):
        return []
    wide = any(np.ndim(one) > 1 and np.shape(one)[1:] != (1,) for one in value.values() if not hasattr(one, "iloc"))
    return [(str(one), array) for one, array in value.items()] if wide or name.startswith("y") else []


def _add(digest: "hashlib._Hash", value: "np.ndarray | pd.DataFrame") -> None:
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)  # not all dtypes have a buffer
        return
    import pandas as pd

    digest.update(repr([*value.dtypes.items()]).encode())
    digest.update(pd.util.hash_pandas_object(value, index=False).to_numpy().tobytes())


def _write(folder: Path, name: str, value: "np.ndarray | pd.DataFrame") -> None:
    if isinstance(value, np.ndarray):
        np.save(folder / f"{name}.npy", value, allow_pickle=False)
        return

    def explain(error: Exception) -> HpsearchError:
        return DataError(
            f"{name} cannot be kept as a table: {said(error)}",
            code="cannot-keep-table",
            hint="give every column one type: numbers, texts, booleans, dates or categories",
            part=name,
        )

    with errors_as(explain):
        value.to_parquet(folder / f"{name}.parquet", index=False)


def _code(build: object, callbacks: object) -> object:
    """What is kept of the user's code."""
    return build if callbacks is None else (build, callbacks)


def _pickled(build: object, callbacks: object) -> bytes:
    """The user's code, with everything that it refers to in the notebook or the program."""

    def explain(error: Exception) -> HpsearchError:
        return ModelError(
            f"{_name(build)}{' or its callbacks' if callbacks is not None else ''} cannot be kept for the workers: "
            f"{said(error)}",
            code="cannot-keep-build",
            hint="it must not refer to open files, sessions or locks; or put it into a module of its own",
            error=type(error).__name__,
        )

    # A module beside the program is not there for workers and for later: its code is kept, not its name.
    modules = own_code.own_modules(_code(build, callbacks))
    with errors_as(explain):
        try:
            return _pickled_with(build, callbacks, modules)
        except Exception:  # whatever holds what cannot be pickled: a module may, as long as its name is found
            return _pickled_with(build, callbacks, [])


def _pickled_with(build: object, callbacks: object, modules: Sequence[ModuleType]) -> bytes:
    import cloudpickle

    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        names = own_code.referred(_code(build, callbacks))
        pickled: bytes = cloudpickle.dumps({"build": build, "callbacks": callbacks, "names": names})
        return pickled
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


def _source(build: object) -> str:
    """The text of the build function, for people; empty where there is none, as at Python's prompt."""
    try:
        return textwrap.dedent(inspect.getsource(build if isinstance(build, FunctionType | type) else type(build)))
    except (OSError, TypeError):
        return ""


def _name(build: object) -> str:
    return str(getattr(build, "__qualname__", type(build).__name__))
