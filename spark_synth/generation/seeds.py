"""Random streams that depend on what is drawn, never on where: the seed, the table and the block."""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, *what: object) -> int:
    """A 63-bit seed for one named stream."""
    digest = hashlib.blake2b(repr((seed, *what)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def wave_seed(seed: int, wave: int) -> int:
    """The seed of all that is drawn in one wave of a database; that of the first is the seed of the run."""
    return stream(seed, "wave", wave) if wave else seed


def uniforms(seed: int, name: str, index: np.ndarray) -> np.ndarray:
    """Uniforms float64 (n,) in [0, 1) that belong to integer indices (n,): splitmix64 (Steele et al., 2014)."""
    x = index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(stream(seed, name))
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    out: np.ndarray = (x >> np.uint64(11)).astype(np.float64) / float(1 << 53)
    return out
