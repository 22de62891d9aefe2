"""Names for the arrays that the models pass around, so that signatures say what they hold."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]
Millis: TypeAlias = NDArray[np.int64]  # Unix time, UTC
Keys: TypeAlias = NDArray[np.uint64]  # of keyed noise
Columns: TypeAlias = dict[
    str, NDArray[Any]
]  # "property" or "property:channel" -> one value per device and time
