"""Agglomerative clustering by average cosine similarity, in units of how alike the members of the clusters are.

Recordings differ: over a telephone line two people sound more alike than one person does in a noisy room. So the mean
similarity between two clusters is divided by the geometric mean of those within them: about 1 when both are one voice.
Clusters are kept as sums of unit vectors: the mean similarity of the pairs between two is the product of their means.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

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
