"""Randomness is addressed, not consumed: a seed depends only on where it is used.

So the training of a fold does not depend on what ran before, and a resumed study continues with the same numbers.
"""

import hashlib

MAX_SEED = 2**31 - 1


def derive(seed: int, purpose: str, *address: int) -> int:
    """A seed for one use, such as ``derive(7, "weights", trial, fold)``.

    Args:
        seed: The study's seed; any integer, including 0.
        purpose: The purpose. Seeds for different purposes are independent.
        address: Trial, fold, epoch …, depending on the purpose.

    Returns:
        An integer in ``[1, 2**31 - 1]``. NumPy, TensorFlow and JAX accept all of these. It is never 0, which means "no
        seed" to KerasTuner.
    """
    text = "\x1f".join([str(int(seed)), purpose, *(str(int(part)) for part in address)])
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % MAX_SEED + 1
