"""Small arrays as PNG images, without an imaging library."""

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray


def png(array: NDArray[np.generic]) -> bytes:
    """An image as PNG.

    Args:
        array: Shape ``(height, width)``, ``(height, width, 1)`` or ``(height, width, 3)``. 8-bit arrays with
            values above 127 are used as they are. All others are scaled from the smallest value
            (black) to the largest (white).

    Raises:
        ValueError: The array has another shape.
    """
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        raise ValueError(f"an image must have shape (height, width) or (height, width, 1 or 3), but got {array.shape}")
    pixels = _bytes(array)
    height, width = pixels.shape[:2]
    lines = pixels.reshape(height, -1)
    raw = np.concatenate([np.zeros((height, 1), np.uint8), lines], axis=1).tobytes()  # filter 0 before each line
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if pixels.ndim == 2 else 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(raw, 9)) + _chunk(b"IEND", b"")
    )


def data_uri(array: NDArray[np.generic]) -> str:
    """The image as a ``data:`` address, which a page contains itself."""
    return "data:image/png;base64," + base64.b64encode(png(array)).decode()


def _bytes(array: NDArray[np.generic]) -> NDArray[np.uint8]:
    if array.dtype == np.uint8 and array.max() > 127:
        return np.asarray(array, dtype=np.uint8)
    values = np.nan_to_num(array.astype(float))
    low, high = float(values.min()), float(values.max())
    stretched: NDArray[np.uint8] = np.round(255 * (values - low) / ((high - low) or 1.0)).astype(np.uint8)
    return stretched


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
