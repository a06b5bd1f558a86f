"""Clustering of synthetic voices: directions with noise, as similar as those of real recordings."""

import numpy as np
import numpy.typing as npt
import pytest

from processor_service.diarization.cluster import GROUP, adapt_speakers, find_speakers

SIZE = 192
PIECE_S = 1.4
Embeddings = npt.NDArray[np.float32]


def _pieces(counts: list[int], *, noise: float, common: float = 0.0, seed: int = 0) -> tuple[Embeddings, list[int]]:
    """Unit vectors of several speakers and the speaker of each. `common` is the part that the recording adds to all."""
    random = np.random.default_rng(seed)
    voices = random.standard_normal((len(counts), SIZE)) / np.sqrt(SIZE)
    line = random.standard_normal(SIZE) / np.sqrt(SIZE)
    owners = random.permutation(np.repeat(np.arange(len(counts)), counts))
    vectors = voices[owners] + common * line + noise * random.standard_normal((len(owners), SIZE)) / np.sqrt(SIZE)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit.astype(np.float32), owners.tolist()


def _speakers(embeddings: Embeddings, **bounds: int) -> Embeddings:
    return find_speakers(embeddings, np.full(len(embeddings), PIECE_S), **bounds)


def _are_separated(embeddings: Embeddings, owners: list[int], speakers: Embeddings) -> bool:
    """Whether the most similar speakers of the pieces correspond one to one to their speakers."""
    pairs = set(zip(owners, (embeddings @ speakers.T).argmax(axis=1).tolist(), strict=True))
    return len(pairs) == len(speakers) == len(set(owners))


@pytest.mark.parametrize("noise", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("common", [0.0, 0.8])
@pytest.mark.parametrize("counts", [[12], [9, 9], [40, 5, 12], [10] * 8], ids=str)
def test_speakers_are_found_with_noise_and_a_common_part(counts: list[int], common: float, noise: float) -> None:
    embeddings, owners = _pieces(counts, noise=noise, common=common)

    assert _are_separated(embeddings, owners, _speakers(embeddings))


def test_a_long_file_is_clustered_in_groups_with_the_same_result() -> None:
    embeddings, owners = _pieces([GROUP, GROUP // 2, GROUP // 4], noise=0.7)

    assert _are_separated(embeddings, owners, _speakers(embeddings))


def test_clustering_of_unrelated_pieces_ends() -> None:
    strangers = np.random.default_rng(0).standard_normal((GROUP + 1, SIZE)).astype(np.float32)

    assert len(_speakers(strangers / np.linalg.norm(strangers, axis=1, keepdims=True))) > 1


@pytest.mark.parametrize(("bounds", "count"), [({"at_most": 2}, 2), ({"at_least": 5}, 5), ({"at_least": 2}, 3)])
def test_bounds_are_kept(bounds: dict[str, int], count: int) -> None:
    embeddings, _ = _pieces([12, 12, 12], noise=0.6)

    assert len(_speakers(embeddings, **bounds)) == count


def test_there_are_no_more_speakers_than_pieces() -> None:
    embeddings, _ = _pieces([2], noise=0.3)

    assert len(_speakers(embeddings, at_least=5)) == 2


def test_a_single_piece_is_not_a_speaker_in_a_long_file() -> None:
    embeddings, _ = _pieces([700, 800, 1], noise=0.5)

    assert len(_speakers(embeddings)) == 2


def test_one_piece_is_one_speaker() -> None:
    embeddings, _ = _pieces([1], noise=0.3)

    np.testing.assert_allclose(_speakers(embeddings), embeddings, atol=1e-6)


def test_adapted_speakers_follow_their_pieces() -> None:
    embeddings, owners = _pieces([30, 20], noise=0.4)
    true = np.stack([embeddings[np.array(owners) == number].sum(axis=0) for number in range(2)])
    rough = embeddings[[owners.index(0), owners.index(1)]]

    adapted = adapt_speakers(rough, embeddings, np.ones(len(embeddings)))

    np.testing.assert_allclose(adapted, true / np.linalg.norm(true, axis=1, keepdims=True), atol=1e-5)


def test_a_speaker_without_pieces_is_unchanged() -> None:
    embeddings, _ = _pieces([5], noise=0.1)
    speakers = np.stack([embeddings[0], -embeddings[0]])

    adapted = adapt_speakers(speakers, embeddings, np.zeros(len(embeddings)))

    np.testing.assert_array_equal(adapted, speakers)
