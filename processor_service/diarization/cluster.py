"""Cluster the pieces of a whole file by speaker.

Long files are clustered in groups first, which bounds memory and time: a day has about 50,000 pieces.

The method is agglomerative clustering by average cosine similarity, relative to the similarity within the clusters.
Recordings differ: over a telephone line two people sound more alike than one person does in a noisy room. So the mean
similarity of two clusters is divided by the geometric mean of those within them: about 1 when both are one voice.
Clusters are sums of unit vectors: the mean similarity of the pairs between two is the product of their means.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# The prior similarity of two pieces of one voice, and its weight in pairs.
PRIOR_SIMILARITY = 0.6
PRIOR_PAIRS = 4.0
MIN_SIMILARITY = 0.2  # lower bound of the similarity within a cluster

Floats = npt.NDArray[np.float64]


class Clusters(NamedTuple):
    """Sums of unit vectors (clusters, size), and the number of vectors in each."""

    sums: Floats
    counts: Floats


class Merge(NamedTuple):
    """Two clusters became one, which keeps the number `kept`."""

    kept: int
    gone: int
    likeness: float


def merge_all(clusters: Clusters) -> list[Merge]:
    """Merge the most similar clusters first, until one is left. Takes n * n numbers of memory."""
    products = clusters.sums @ clusters.sums.T
    counts = clusters.counts.astype(np.float64)
    products[np.diag_indices_from(products)] -= counts  # without the pairs of a piece with itself
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
    """Merge `gone` into `kept`. The count of `gone` becomes 0."""
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
    """The likeness of one cluster to all. Values for merged clusters are undefined."""
    within = _within(np.diag(products), counts)
    likeness: Floats = products[one] / np.maximum(counts[one] * counts, 1) / np.sqrt(within[one] * within)
    return likeness


def _within(own_products: Floats, counts: Floats) -> Floats:
    """The mean similarity of the pairs of each cluster, shrunk to the prior if there are few pairs."""
    pairs = counts * (counts - 1)
    total = own_products + 2 * PRIOR_PAIRS * PRIOR_SIMILARITY
    within: Floats = np.maximum(total / (pairs + 2 * PRIOR_PAIRS), MIN_SIMILARITY)
    return within


SAME_VOICE = 0.6  # the likeness from which two clusters are one speaker; chosen on the files of docs/benchmarks.md
SURELY_SAME = 0.8  # the same within a group of a long file; its clusters are compared with other groups later
GROUP = 800  # pieces that are clustered at once: 20 minutes of speech
# The minimum speech of a speaker; clusters with less are assigned to the most similar speaker. Longer files have more
# single pieces of other sounds: a cough, a door, two voices at once.
MIN_SPEECH_S = 0.7
MIN_SHARE = 0.001
ADAPTATIONS = 2  # rounds; more change little

Labels = npt.NDArray[np.intp]


def find_speakers(
    embeddings: npt.NDArray[np.float32],
    seconds: npt.NDArray[np.floating],
    *,
    at_least: int | None = None,
    at_most: int | None = None,
) -> npt.NDArray[np.float32]:
    """Find the voices of the speakers, (speakers, size) of unit length, from the embeddings (pieces, size).

    `seconds` are the lengths of the pieces. The bounds hold if there are enough pieces.
    """
    members = _in_groups(embeddings.astype(np.float64))
    clusters = _clusters(embeddings, members)
    speech_s = np.array([seconds[one].sum() for one in members])
    speakers = _cut(merge_all(clusters), speech_s, at_least=at_least or 1, at_most=at_most)
    sums = np.stack([clusters.sums[list(one)].sum(axis=0) for one in speakers])
    voices: npt.NDArray[np.float32] = (sums / np.linalg.norm(sums, axis=1, keepdims=True)).astype(np.float32)
    return voices


def adapt_speakers(
    speakers: npt.NDArray[np.float32], embeddings: npt.NDArray[np.float32], weights: npt.NDArray[np.floating]
) -> npt.NDArray[np.float32]:
    """Adapt the voices to the pieces that resemble them most: spherical k-means. `weights` are those of the pieces."""
    weighted = embeddings * weights[:, None].astype(np.float32)
    for _ in range(ADAPTATIONS):
        nearest = (embeddings @ speakers.T).argmax(axis=1)
        sums = np.stack([weighted[nearest == number].sum(axis=0) for number in range(len(speakers))])
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        speakers = np.where(norms > 0, sums / np.maximum(norms, 1e-6), speakers)
    return speakers


def _in_groups(embeddings: Floats) -> list[Labels]:
    """Clusters that surely have one speaker each, few enough to compare all pairs; single pieces for a short file."""
    members = [np.array([number]) for number in range(len(embeddings))]
    while len(members) > GROUP:
        groups = [members[first : first + GROUP] for first in range(0, len(members), GROUP)]
        members = [one for group in groups for one in _merged(embeddings, group)]
    return members


def _merged(embeddings: Floats, members: list[Labels]) -> list[Labels]:
    """Merge to at most half as many clusters, so that every round makes progress."""
    merges = merge_all(_clusters(embeddings, members))
    ends = max(_first_below(merges, SURELY_SAME), (len(members) + 1) // 2)
    return [np.concatenate([members[one] for one in group]) for group in partition(len(members), merges[:ends])]


def _clusters(embeddings: npt.NDArray[np.floating], members: Sequence[Labels]) -> Clusters:
    sums = np.stack([embeddings[one].sum(axis=0, dtype=np.float64) for one in members])
    return Clusters(sums, np.array([len(one) for one in members], np.float64))


def partition(count: int, merges: Sequence[Merge]) -> list[list[int]]:
    """The groups that result from the merges of `count` items."""
    groups = {number: [number] for number in range(count)}
    for merge in merges:
        groups[merge.kept] += groups.pop(merge.gone)
    return list(groups.values())


def _cut(merges: Sequence[Merge], speech_s: Floats, *, at_least: int, at_most: int | None) -> list[list[int]]:
    """The groups that are speakers: those after the last merge of one voice, or the nearest level within the bounds."""
    count = len(speech_s)
    natural = _first_below(merges, SAME_VOICE)
    min_s = max(MIN_SPEECH_S, MIN_SHARE * float(speech_s.sum()))
    speakers = _speaker_counts(merges, speech_s, min_s)
    fitting = [level for level in range(count) if at_least <= speakers[level] <= (at_most or count)]
    if not fitting:  # too little speech for `at_least` speakers: every group counts
        return partition(count, merges[: max(0, count - at_least)])
    level = min(fitting, key=lambda level: abs(level - natural))
    groups = partition(count, merges[:level])
    return [group for group in groups if speech_s[group].sum() >= min_s]


def _first_below(merges: Sequence[Merge], likeness: float) -> int:
    return next((number for number, merge in enumerate(merges) if merge.likeness < likeness), len(merges))


def _speaker_counts(merges: Sequence[Merge], speech_s: Floats, min_s: float) -> list[int]:
    """The number of groups with enough speech to be speakers, before the first merge and after each."""
    totals = speech_s.copy()
    counts = [int((totals >= min_s).sum())]
    for merge in merges:
        totals[merge.kept] += totals[merge.gone]
        totals[merge.gone] = 0
        counts.append(int((totals >= min_s).sum()))
    return counts
