"""What the codes of a sub-column have in common, as a few numbers each, so that rare codes share what is learnt.

Numbers: neighbouring bins. Categories: words ("F-C-G" knows what "F", "C" and "G-F" have taught; "Crime|Drama" what
"Drama" has). A network adds weights of these features to the free vector of a code (models.shared).
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

FEATURES = 6  # at most, per sub-column
WORDS = 64  # shared words of a column that are looked at
WORD = re.compile(r"[^\W\d_]+")


def ordered_features(places: np.ndarray) -> np.ndarray:
    """float64 (K, FEATURES): cosines of the places (K,) in [0, 1]."""
    cosines: np.ndarray = np.cos(np.pi * np.asarray(places, dtype=float)[:, None] * np.arange(1, FEATURES + 1))
    return cosines


def word_features(categories: list[str]) -> np.ndarray:
    """float64 (K, F), F <= FEATURES: each category's shares of the words that it has in common with others.

    More than FEATURES such words are reduced to the leading singular vectors. F is 0 where no word is shared.
    """
    words = [Counter(WORD.findall(c.lower())) for c in categories]
    known = Counter(w for found in words for w in found)
    common = [w for w, n in sorted(known.items(), key=lambda x: (-x[1], x[0])) if n >= 2][:WORDS]
    shares = np.array([[found[w] / max(1, found.total()) for w in common] for found in words])
    if len(common) <= FEATURES:
        return shares.reshape(len(categories), len(common))
    left, size, _ = np.linalg.svd(shares, full_matrices=False)
    reduced: np.ndarray = (left * size)[:, :FEATURES] / size[0]
    return reduced
