"""The cache of ``keras.datasets``: finds a file, checks it, or lets Keras download it."""

import os
import socket
from functools import lru_cache
from pathlib import Path

from hpsearch.core.files import sha256_of
from hpsearch.errors import DataError

SHA256 = {
    "imdb.npz": "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f",
    "reuters.npz": "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916",
}
"""Digests from Keras' own loaders, for the files with pickled lists: unpickling a different file could run any code."""

DOWNLOAD_TIMEOUT_S = 10.0


def keras_folder() -> Path:
    """Where Keras caches data sets: ``$KERAS_HOME/datasets``, else ``~/.keras/datasets``."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets"


def cached(data_set: str, file: str) -> Path:
    """The path of a cached file. Keras downloads it if it is missing.

    Args:
        data_set: Name in ``keras.datasets``.
        file: Path relative to the cache folder.

    Raises:
        DataError: The file is missing and cannot be downloaded, or is not the file that Keras downloads.
    """
    path = keras_folder() / file
    if not path.is_file():
        _download(data_set, path)
    if file in SHA256 and _sha256(path, path.stat().st_mtime_ns) != SHA256[file]:
        raise DataError(
            f"keras:{data_set}: {path} differs from the file that Keras downloads (SHA-256)",
            code="changed-file",
            hint="it contains pickled objects, which are read only if the digest matches: replace it with Keras' file",
            source=f"keras:{data_set}",
            path=str(path),
        )
    return path


def _download(data_set: str, path: Path) -> None:
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_S)
    try:
        import keras

        getattr(keras.datasets, data_set).load_data()
        reason = "Keras put it somewhere else"
    except Exception as error:  # network errors have many classes
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
    finally:
        socket.setdefaulttimeout(timeout)
    if not path.is_file():
        raise DataError(
            f"keras:{data_set}: {path} is missing, and Keras could not download it: {reason}",
            code="no-download",
            hint=f"put {path.name} into {path.parent}, or set KERAS_HOME to a folder that contains "
            f"{path.relative_to(keras_folder().parent)}",
            source=f"keras:{data_set}",
            path=str(path),
        )


@lru_cache(maxsize=8)
def _sha256(path: Path, _modified: int) -> str:
    return sha256_of(path)
