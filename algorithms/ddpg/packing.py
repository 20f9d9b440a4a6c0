"""Arrays of a state as text: networks and transitions are too many numbers to be written in decimal every round."""

from base64 import b64decode, b64encode
from typing import Any

import numpy as np
from numpy.typing import NDArray


def packed(numbers: NDArray[Any]) -> str:
    """Numbers as base64 of their little-endian bytes: half as long as in decimal, and quicker by far."""
    return b64encode(numbers.astype(numbers.dtype.newbyteorder("<"), copy=False).tobytes()).decode()


def unpacked(text: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The numbers of :func:`packed`, flat.

    Raises:
        ValueError: It is no such text.
    """
    return np.frombuffer(b64decode(text, validate=True), dtype.newbyteorder("<")).astype(dtype)
