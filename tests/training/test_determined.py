"""Pairs of codes that cannot be: found where one column tells the other, and nowhere else."""

from __future__ import annotations

import numpy as np
import torch

from spark_synth.models.batch import ABSENT
from spark_synth.training.determined import forbidden_pairs

REGIONS, COUNTRIES = 24, 8  # a third code each is of the same country
COUNTRY = np.arange(REGIONS) % COUNTRIES


def codes(rows: int = 60, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Regions and their countries."""
    region = np.random.default_rng(seed).integers(0, REGIONS, rows)
    return torch.from_numpy(region), torch.from_numpy(COUNTRY[region])


def forbidden(source: torch.Tensor, target: torch.Tensor, cards: tuple[int, int]) -> torch.Tensor | None:
    return forbidden_pairs(source, target, torch.arange(len(source)), cards, tried=100)


def test_a_region_is_in_no_other_country() -> None:
    region, country = codes()
    found = forbidden(country, region, (COUNTRIES, REGIONS))
    assert found is not None
    seen = torch.unique(region)
    allowed = found[:, seen] == 0
    assert allowed.sum(0).tolist() == [1] * len(seen)
    assert torch.equal(allowed.float().argmax(0), seen % COUNTRIES)
    backwards = forbidden(region, country, (REGIONS, COUNTRIES))
    assert backwards is not None and torch.equal(backwards, found.T)


def test_regions_never_seen_may_be_anywhere() -> None:
    region, country = codes()
    region, country = region[region != 5], country[region != 5]
    found = forbidden(country, region, (COUNTRIES, REGIONS))
    assert found is not None and not found[:, 5].any()


def test_no_region_comes_with_many_countries() -> None:
    region, country = codes(90)
    region[::4] = 0
    found = forbidden(country, region, (COUNTRIES, REGIONS))
    assert found is not None and not found[:, 0].any() and found[:, 1].any()


def test_columns_that_have_nothing_to_do_with_each_other() -> None:
    rng = np.random.default_rng(1)
    for cards in ((8, 24), (2, 50), (5, 5), (40, 40)):
        a, b = (torch.from_numpy(rng.integers(0, k, 60)) for k in cards)
        assert forbidden(a, b, cards) is None


def test_a_few_repeats_are_no_evidence() -> None:
    region, country = torch.arange(REGIONS), torch.from_numpy(COUNTRY)
    region, country = torch.cat([region, region[:2]]), torch.cat([country, country[:2]])
    assert forbidden(country, region, (COUNTRIES, REGIONS)) is None


def test_rows_of_one_family_are_one_witness() -> None:
    """All rows of a customer have the customer's region and country: that says nothing of other customers."""
    region, country = (x.repeat_interleave(20) for x in (torch.arange(6), torch.arange(6) // 2))
    family = torch.arange(6).repeat_interleave(20)
    assert forbidden_pairs(country, region, family, (3, 6), tried=1) is None
    assert forbidden_pairs(country, region, torch.arange(len(region)), (3, 6), tried=1) is not None


def test_absent_codes_and_huge_tables_are_left_alone() -> None:
    region, country = codes()
    assert forbidden(country, torch.full_like(region, ABSENT), (COUNTRIES, REGIONS)) is None
    assert forbidden(country, region, (1000, 1000)) is None
