"""What codes have in common: neighbouring places and shared words."""

from __future__ import annotations

import numpy as np
import pytest

from spark_synth.encoding.codecs import CategoricalCodec, NumericCodec
from spark_synth.encoding.features import FEATURES, WORDS, ordered_features, word_features


def distance(features: np.ndarray, i: int, j: int) -> float:
    return float(np.linalg.norm(features[i] - features[j]))


def test_neighbouring_places_are_alike() -> None:
    found = ordered_features(np.linspace(0, 1, 20))
    assert found.shape == (20, FEATURES)
    assert distance(found, 4, 5) < distance(found, 4, 6) < distance(found, 4, 9)


def test_categories_that_share_words_are_alike() -> None:
    names = ["G", "F", "C", "F-C", "F-C-G", "F-G-C", "A"]
    found = word_features(names)
    assert found.shape == (7, 3)
    assert distance(found, 4, 5) == 0
    assert distance(found, 4, 3) < distance(found, 4, 0) and distance(found, 3, 1) < distance(found, 3, 0)
    assert not found[6].any()


@pytest.mark.parametrize("names", [[], ["red", "green"], ["1-2", "1-3"]])
def test_no_shared_word_no_feature(names: list[str]) -> None:
    assert word_features(names).shape == (len(names), 0)


def test_many_words_are_reduced() -> None:
    words = [chr(97 + i % 26) + chr(97 + i // 26) for i in range(2 * WORDS)]
    names = words + [f"{a}|{b}" for a, b in zip(words[::2], words[1::2], strict=True)]
    found = word_features(names)
    assert found.shape == (len(names), FEATURES) and np.isfinite(found).all()
    np.testing.assert_array_equal(found, word_features(names))


def test_null_and_rare_codes_have_no_features() -> None:
    codec = CategoricalCodec(nullable=True, categories=["F", "F-C", "C"], counts=[9, 5, 3], other=True)
    found = codec.features()
    assert found.shape == (codec.card, 2)
    assert not found[0].any() and not found[-1].any() and found[1:4].any(axis=1).all()
    number = NumericCodec(nullable=True, special=[0.0], bins=[[1.0, 2.0], [2.0, 5.0]]).features()
    assert number.shape == (4, FEATURES) and not number[0].any() and number[1:].any(axis=1).all()
    assert NumericCodec(nullable=True).features().shape == (1, FEATURES)
