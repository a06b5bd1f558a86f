"""Which pieces are spoken by the same person, over the whole file.

Long files are clustered in groups first, so that memory and time stay bounded: a day is some fifty thousand pieces.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# Agglomerative clustering by average cosine similarity, in units of how alike the members of the clusters are.
#
# Recordings differ: over a telephone line two people sound more alike than one person does in a noisy room. So the
# mean similarity between two clusters is divided by the geometric mean of those within them: about 1 when both are
# one voice. Clusters are kept as sums of unit vectors: the mean similarity of the pairs between two is the product of
# their means.

# How alike two pieces of one voice are where nothing is known yet, and how many pairs it takes to know better.
USUAL_SIMILARITY = 0.6
USUAL_PAIRS = 4.0
LEAST_SIMILARITY = 0.2  # within a cluster: less says that it is none

Floats = npt.NDArray[np.float64]


class Clusters(NamedTuple):
    """Sums of unit vectors (clusters, size), and of how many each is."""

    sums: Floats
    counts: Floats


class Merge(NamedTuple):
    """Two clusters became one, which goes on under the first number."""

    kept: int
    gone: int
    likeness: float


def merge_all(clusters: Clusters) -> list[Merge]:
    """What becomes of the clusters, the most alike first, until one is left; n * n numbers of memory."""
    products = clusters.sums @ clusters.sums.T
    counts = clusters.counts.astype(np.float64)
    products[np.diag_indices_from(products)] -= counts  # a piece is no pair with itself
    likeness = _likeness(products, counts)
    merges = []
    for _ in range(len(counts) - 1):
        kept, gone = sorted(divmod(int(likeness.argmax()), len(counts)))
        merges.append(Merge(kept, gone, float(likeness[kept, gone])))
        _join(products, counts, kept, gone)
        likeness[gone] = likeness[:, gone] = -np.inf
        alive = np.flatnonzero(counts)
        likeness[kept, alive] = likeness[alive, kept] = _likeness_of(products, counts, kept)[alive]
        likeness[kept, kept] = -np.inf
    return merges


def _join(products: Floats, counts: Floats, kept: int, gone: int) -> None:
    """The first takes in the second, whose count becomes zero."""
    between = products[kept, gone]
    within = products[kept, kept] + products[gone, gone] + 2 * between
    products[kept] += products[gone]
    products[:, kept] = products[kept]
    products[kept, kept] = within
    counts[kept] += counts[gone]
    counts[gone] = 0


def _likeness(products: Floats, counts: Floats) -> Floats:
    within = _within(np.diag(products), counts)
    likeness: Floats = products / np.outer(counts, counts) / np.sqrt(np.outer(within, within))
    np.fill_diagonal(likeness, -np.inf)
    return likeness


def _likeness_of(products: Floats, counts: Floats, one: int) -> Floats:
    """Of one cluster to all; of those that are gone it means nothing."""
    within = _within(np.diag(products), counts)
    likeness: Floats = products[one] / np.maximum(counts[one] * counts, 1) / np.sqrt(within[one] * within)
    return likeness


def _within(own_products: Floats, counts: Floats) -> Floats:
    """The mean similarity of the pairs of each cluster, drawn to the usual where there are few."""
    pairs = counts * (counts - 1)
    known = own_products + 2 * USUAL_PAIRS * USUAL_SIMILARITY
    within: Floats = np.maximum(known / (pairs + 2 * USUAL_PAIRS), LEAST_SIMILARITY)
    return within


SAME_VOICE = 0.6  # likeness from which on two clusters are one speaker; chosen on the files that the README names
SURELY_SAME = 0.8  # the same within a group of a long file, whose remaining clusters meet those of the others later
GROUP = 800  # pieces that are clustered at once: twenty minutes of speech
# Of a speaker; who says less is taken for the most similar of the others. The longer the file, the more single pieces
# sound like nobody: a cough, a door, two voices at once.
LEAST_SPEECH_S = 0.7
LEAST_SHARE = 0.001

Labels = npt.NDArray[np.intp]


def find_speakers(
    embeddings: npt.NDArray[np.float32],
    seconds: npt.NDArray[np.floating],
    *,
    at_least: int | None = None,
    at_most: int | None = None,
) -> npt.NDArray[np.float32]:
    """The voices of the speakers, (speakers, size), each of unit length, out of pieces of (pieces, size).

    `seconds` is how long each piece is. The number of speakers is found; the bounds hold as far as there are pieces.
    """
    members = _in_groups(embeddings.astype(np.float64))
    clusters = _clusters(embeddings, members)
    speech_s = np.array([seconds[one].sum() for one in members])
    speakers = _cut(merge_all(clusters), speech_s, at_least=at_least or 1, at_most=at_most)
    sums = np.stack([clusters.sums[list(one)].sum(axis=0) for one in speakers])
    voices: npt.NDArray[np.float32] = (sums / np.linalg.norm(sums, axis=1, keepdims=True)).astype(np.float32)
    return voices


def _in_groups(embeddings: Floats) -> list[Labels]:
    """Pieces that surely belong together, few enough clusters to be compared with each other; of a short file, each."""
    members = [np.array([number]) for number in range(len(embeddings))]
    while len(members) > GROUP:
        groups = [members[first : first + GROUP] for first in range(0, len(members), GROUP)]
        members = [one for group in groups for one in _merged(embeddings, group)]
    return members


def _merged(embeddings: Floats, members: list[Labels]) -> list[Labels]:
    """At most half as many, so that every round gets nearer to the end."""
    merges = merge_all(_clusters(embeddings, members))
    ends = max(_first_below(merges, SURELY_SAME), (len(members) + 1) // 2)
    return [np.concatenate([members[one] for one in group]) for group in partition(len(members), merges[:ends])]


def _clusters(embeddings: npt.NDArray[np.floating], members: Sequence[Labels]) -> Clusters:
    sums = np.stack([embeddings[one].sum(axis=0, dtype=np.float64) for one in members])
    return Clusters(sums, np.array([len(one) for one in members], np.float64))


def partition(count: int, merges: Sequence[Merge]) -> list[list[int]]:
    """The groups that the merges make of so many."""
    groups = {number: [number] for number in range(count)}
    for merge in merges:
        groups[merge.kept] += groups.pop(merge.gone)
    return list(groups.values())


def _cut(merges: Sequence[Merge], speech_s: Floats, *, at_least: int, at_most: int | None) -> list[list[int]]:
    """The groups that are speakers: those after the last merge of one voice, or the nearest that keep the bounds."""
    count = len(speech_s)
    natural = _first_below(merges, SAME_VOICE)
    least_s = max(LEAST_SPEECH_S, LEAST_SHARE * float(speech_s.sum()))
    speakers = _speaker_counts(merges, speech_s, least_s)
    fitting = [level for level in range(count) if at_least <= speakers[level] <= (at_most or count)]
    if not fitting:  # too little speech for so many: every group counts
        return partition(count, merges[: max(0, count - at_least)])
    level = min(fitting, key=lambda level: abs(level - natural))
    groups = partition(count, merges[:level])
    return [group for group in groups if speech_s[group].sum() >= least_s]


def _first_below(merges: Sequence[Merge], likeness: float) -> int:
    return next((number for number, merge in enumerate(merges) if merge.likeness < likeness), len(merges))


def _speaker_counts(merges: Sequence[Merge], speech_s: Floats, least_s: float) -> list[int]:
    """How many groups have enough speech to be speakers, before the first merge and after each."""
    totals = speech_s.copy()
    counts = [int((totals >= least_s).sum())]
    for merge in merges:
        totals[merge.kept] += totals[merge.gone]
        totals[merge.gone] = 0
        counts.append(int((totals >= least_s).sum()))
    return counts
