from __future__ import annotations

import numpy as np

from spark_synth.generation.seeds import stream, uniforms


def test_streams_differ_by_seed_and_name_and_stay_in_range() -> None:
    seeds = {stream(s, *what) for s in (0, 1) for what in (("codes", "t", 0), ("codes", "t", 1), ("codes", "t1", 0))}
    assert len(seeds) == 6
    assert all(0 <= s < 2**63 for s in seeds)
    assert stream(3, "x", 1) == stream(3, "x", 1)


def test_uniforms_belong_to_their_index() -> None:
    index = np.arange(50_000)
    drawn = uniforms(1, "t", index)
    assert drawn.min() >= 0 and drawn.max() < 1
    assert abs(drawn.mean() - 0.5) < 0.01 and abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.02
    np.testing.assert_array_equal(uniforms(1, "t", index[::-1]), drawn[::-1])
    assert not np.array_equal(uniforms(2, "t", index), drawn)
