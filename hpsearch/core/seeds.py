"""Randomness is addressed, not consumed: a seed is a function of where it is used.

So a fold's training does not depend on what ran before it, and a resumed study repeats nothing and skips nothing.
"""

import hashlib

MAX_SEED = 2**31 - 1


def derive(seed: int, purpose: str, *address: int) -> int:
    """A seed for one use, such as ``derive(7, "weights", trial, fold)``.

    Args:
        seed: The study's seed; any integer, 0 included.
        purpose: What the stream is for; streams of different purposes are independent.
        address: Trial, fold, epoch … as the purpose needs.

    Returns:
        An integer in ``[1, 2**31 - 1]``: valid for NumPy, TensorFlow and JAX alike, and never 0, which KerasTuner
        reads as "no seed".
    """
    text = "\x1f".join([str(int(seed)), purpose, *(str(int(part)) for part in address)])
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % MAX_SEED + 1
