"""The classes of the segmentation net: sets of at most two of three local speakers, in the order of its training."""

from itertools import combinations

import numpy as np
import numpy.typing as npt

LOCAL_SPEAKERS = 3
AT_ONCE = 2
SETS = tuple(members for size in range(AT_ONCE + 1) for members in combinations(range(LOCAL_SPEAKERS), size))

Activity = npt.NDArray[np.bool_]  # (windows, frames, local speakers)


def decode(scores: npt.NDArray[np.floating]) -> Activity:
    """Who is heard at each frame: the likeliest set. Scores are (..., classes), the result (..., local speakers)."""
    members = np.array([[speaker in one for speaker in range(LOCAL_SPEAKERS)] for one in SETS])
    activity: Activity = members[np.argmax(scores, axis=-1)]
    return activity
