"""Arrays out of pickles that came as data: nothing but numpy's own reconstruction of an array is allowed."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.claims.fetch import Unsafe

_RECONSTRUCT = np.empty(0).__reduce__()[0]
# both spellings of its module: numpy 2 moved it
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise Unsafe(f"a pickle asks for '{module}.{name}', which is no part of a numeric array; it is not read")
        return _ALLOWED[module, name]


def array(content: bytes) -> NDArray[Any]:
    """The one numeric array of a pickle.

    Raises Unsafe for a pickle that names anything but what builds an array (before that thing is looked up), that is
    damaged, or that holds something else than an array of numbers.
    """
    try:
        found = _ArraysOnly(io.BytesIO(content)).load()
    except Unsafe:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        raise Unsafe(f"a pickle cannot be read as an array ({type(error).__name__}: {error})") from error
    if type(found) is not np.ndarray or found.dtype.kind not in "biuf":
        kind = f"an array of {found.dtype}" if isinstance(found, np.ndarray) else type(found).__name__
        raise Unsafe(f"a pickle holds {kind}, expected an array of numbers")
    return found
