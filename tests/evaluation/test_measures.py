"""The formulas, against values known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from spark_synth.evaluation import bins, measures
from spark_synth.evaluation.tally import Axis, Counts, Plan


def test_ks_is_the_largest_distance_of_the_cumulated_shares() -> None:
    assert measures.ks(np.array([1.0, 1, 2]), np.array([0.0, 2, 2])) == pytest.approx(0.25)
    assert measures.ks(np.array([1.0]), np.array([7.0])) == 0
    assert measures.ks(np.zeros(3), np.ones(3)) is None


def test_total_variation_is_half_the_difference_of_shares() -> None:
    assert measures.total_variation(np.array([3.0, 1]), np.array([1.0, 3])) == pytest.approx(0.5)
    assert measures.total_variation(np.array([0.0, 0]), np.array([1.0, 3])) is None


def test_cramers_v_is_one_for_identity_and_near_zero_for_independence() -> None:
    assert measures.cramers_v(np.diag([500.0, 500, 500])) == pytest.approx(1.0, abs=1e-6)
    assert measures.cramers_v(np.full((3, 4), 100.0)) == 0
    assert measures.cramers_v(np.array([[100.0, 0], [50, 0]])) is None  # a constant has no association
    assert measures.cramers_v(np.diag([2.0, 2])) is None  # too few rows


def test_correlation_ratio_explains_what_the_group_means_explain() -> None:
    x, group = np.arange(100.0) % 2 * 10, np.arange(100) % 2
    sums = [np.bincount(group, w, minlength=3).astype(float) for w in (None, x, x * x)]
    assert measures.correlation_ratio(*sums) == pytest.approx(1.0)
    noise = np.random.default_rng(0).normal(size=100)
    sums = [np.bincount(group, w).astype(float) for w in (None, noise, noise * noise)]
    assert measures.correlation_ratio(*sums) == pytest.approx(0, abs=0.2)


def test_tally_counts_agree_with_numpy_with_nulls_and_in_any_batches() -> None:
    rng = np.random.default_rng(1)
    x, z = rng.normal(5, 2, 1000), rng.normal(size=1000)
    y = x * 3 + z
    y[::7] = np.nan
    c = np.where(x > 5, 1.0, 0.0)  # 1 is the commonest category, 0 any other
    axes = (
        Axis("x", True, np.quantile(x, np.linspace(0, 1, 401)), bins.edges(x, False, False), mean=5.0, spread=2.0),
        Axis("y", True, np.nanquantile(y, np.linspace(0, 1, 401)), np.array([-9.0, 9, 50])),
        Axis("c", False, top=("a",)),
    )
    plan = Plan(axes, 10, shapes=True, tables=((0, 2),), groups=((2, 0),), left=(0, 1), right=(0, 1))
    vectors = np.zeros((2, plan.size))
    rows = np.stack([x, y, c], axis=1)
    for part in np.array_split(rows, 7):
        plan.add(vectors[0], part, np.ones(len(part), dtype=bool))
    plan.add(vectors[1], rows, np.ones(len(rows), dtype=bool))
    np.testing.assert_allclose(vectors[0], vectors[1])
    counts = Counts(plan, vectors)
    known = ~np.isnan(y)
    correlation = measures.pearson(*counts.moments()[0])
    assert correlation[0, 1] == pytest.approx(np.corrcoef(x[known], y[known])[0, 1])
    assert counts.rows(picked=True) == [1000, 1000]
    assert counts.table(0, 2)[0].sum() == 1000
    assert counts.group(2, 0)[0, 0].sum() == 1000
    assert counts.part("cells", 1)[0].sum() == known.sum()


@pytest.mark.parametrize(
    ("values", "whole", "time"),
    [
        (np.array([3.0]), True, False),
        (np.arange(1947.0, 2012), True, False),
        (np.array([0.0, 1e-9]), False, False),
        (np.array([-1e12, 1e12]), False, False),
        (np.array([0.0, 86400.0 * 40000]), True, True),
        (np.array([0.0, 0.5]), False, True),
    ],
)
def test_bars_are_few_and_cover_the_values(values: measures.Floats, whole: bool, time: bool) -> None:
    edges = bins.edges(values, whole, time)
    assert 2 <= len(edges) <= 33
    assert np.all(np.diff(edges) > 0)
    assert edges[0] <= np.quantile(values, 0.01) and edges[-1] >= np.quantile(values, 0.99)


def test_mutual_information_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import normalized_mutual_info_score

    random = np.random.default_rng(0)
    a = random.integers(0, 4, 500)
    for b in (random.integers(0, 3, 500), (a + random.integers(0, 2, 500)) % 4, a):
        table = np.zeros((5, 5))
        np.add.at(table, (a, b), 1)
        wanted = normalized_mutual_info_score(a, b, average_method="geometric")
        assert measures.mutual_information(table) == pytest.approx(wanted)
    assert measures.mutual_information(np.array([[9.0, 1.0]])) is None  # one of them is constant
