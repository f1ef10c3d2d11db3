"""Seals: they tell which champions this user has made, wherever their folders are now.

A digest beside a file only shows damage: whoever changes the file can change the digest too. A seal is a digest that
takes a key of this user's (HMAC-SHA256: H. Krawczyk et al., RFC 2104, 1997). The key stays outside of every workspace,
so nobody who hands on a folder can seal what is in it.
"""

import hashlib
import hmac
from pathlib import Path

from hpsearch.core.own_keys import KEY_BYTES, read_or_make
from hpsearch.core.user_folders import state_folder


def seal_of(study: str, sha256: str) -> str:
    """The seal of a champion that has been made here; empty if no key can be kept.

    Args:
        study: The study's name.
        sha256: Digest of the champion's file.
    """
    key = _key(make=True)
    return "" if key is None else _sealed(key, study, sha256)


def is_own(study: str, sha256: str, seal: str) -> bool:
    """Whether this user has set the seal on this file."""
    key = _key(make=False)
    return key is not None and hmac.compare_digest(seal.encode(), _sealed(key, study, sha256).encode())


def _sealed(key: bytes, study: str, sha256: str) -> str:
    return hmac.new(key, f"champion\0{study}\0{sha256}".encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def key_file() -> Path:
    """Where this user's key is."""
    return state_folder() / "key"


def _key(*, make: bool) -> bytes | None:
    """The key; None if there is none, or no place to keep one."""
    try:
        path = key_file()
        found = read_or_make(path) if make else path.read_bytes()
    except (OSError, RuntimeError):  # no home at all is a RuntimeError
        return None
    return found if len(found) == KEY_BYTES else None
