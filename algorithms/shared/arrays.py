"""The arrays that learners compute with. Shapes are said where one is taken or returned."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
