"""The files that ``keras.datasets`` keeps in its cache: found, checked, or fetched by Keras itself."""

import hashlib
import os
import socket
from functools import lru_cache
from pathlib import Path

from hpsearch.errors import DataError

SHA256 = {
    "imdb.npz": "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f",
    "reuters.npz": "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916",
}
"""Digests from Keras' own loaders, for the files that hold pickled lists: unpickling an unknown file runs its code."""

DOWNLOAD_TIMEOUT_S = 10.0


def keras_folder() -> Path:
    """Where Keras keeps data sets: ``$KERAS_HOME/datasets``, else ``~/.keras/datasets``."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets"


def cached(data_set: str, file: str) -> Path:
    """A file of Keras' data-set cache; where it is missing, Keras is asked to download it.

    Args:
        data_set: Name in ``keras.datasets``.
        file: Path below the cache folder.

    Raises:
        DataError: The file is not there and cannot be downloaded, or is not what Keras would download.
    """
    path = keras_folder() / file
    if not path.is_file():
        _download(data_set, path)
    if file in SHA256 and _sha256(path, path.stat().st_mtime_ns) != SHA256[file]:
        raise DataError(
            f"keras:{data_set}: {path} differs from the file that Keras downloads (SHA-256)",
            hint="it holds pickled lists, which are only read where the digest agrees: replace it by Keras' file",
        )
    return path


def _download(data_set: str, path: Path) -> None:
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_S)
    try:
        import keras

        getattr(keras.datasets, data_set).load_data()
        reason = "Keras put it elsewhere"
    except Exception as error:  # urllib wraps whatever the network does in errors of many classes
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
    finally:
        socket.setdefaulttimeout(timeout)
    if not path.is_file():
        raise DataError(
            f"keras:{data_set}: {path} is missing, and Keras could not download it: {reason}",
            hint=f"place {path.name} in {path.parent}, or set KERAS_HOME to the folder that has "
            f"{path.relative_to(keras_folder().parent)}",
        )


@lru_cache(maxsize=8)
def _sha256(path: Path, _modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
