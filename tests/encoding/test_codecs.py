"""Codes and back, for whatever values a column may hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_synth.encoding.codecs import (
    FEATURES,
    NULL,
    TAIL_ROWS,
    NumericCodec,
    codec_from_json,
    fit_categorical,
    fit_numeric,
    ordered_features,
)
from spark_synth.encoding.profile import GRID, NumericProfile

MAX_BINS = 16
quick = settings(max_examples=60, deadline=None)
UNIFORM = np.array([0.0, 0.5, 1 - 1e-12])


def profile(values: list[float | None]) -> NumericProfile:
    """What Spark would say of these values."""
    filled = np.sort([v for v in values if v is not None])
    at = np.ceil(np.arange(GRID + 1) / GRID * len(filled)).astype(int) - 1
    digits = max((-int(d.as_tuple().exponent) for d in map(_decimal, filled)), default=0)
    return NumericProfile(
        rows=len(values),
        nulls=len(values) - len(filled),
        distinct=len(set(filled.tolist())),
        grid=filled[at.clip(0)].tolist() if len(filled) else [],
        mean=float(np.mean(filled)) if len(filled) else 0.0,
        std=float(np.std(filled)) if len(filled) else 0.0,
        decimals=digits if digits <= 6 else None,
    )


def _decimal(value: float):  # type: ignore[no-untyped-def]  # noqa: ANN202
    from decimal import Decimal

    plain = Decimal(repr(float(value))).normalize()
    return plain if plain.as_tuple().exponent < 0 else Decimal(int(plain))  # type: ignore[operator]


def fitted(values: list[float | None]) -> NumericCodec:
    """The codec of these values, with all of them counted where they are few."""
    seen = sorted({v for v in values if v is not None})
    counts = [(repr(v), values.count(v)) for v in seen]
    return fit_numeric(profile(values), counts if len(counts) <= MAX_BINS else None, MAX_BINS)


def encoded(codec: NumericCodec, values: list[float | None]) -> np.ndarray:
    return codec.encode(np.array([np.nan if v is None else v for v in values], dtype=float))


numbers = st.one_of(
    st.integers(-(10**12), 10**12).map(float),
    st.decimals(-(10**6), 10**6, places=2).map(float),
    st.sampled_from([0.0, -1.0, 9999.0, 2.0**31 + 5]),
)
columns = st.lists(st.one_of(st.none(), numbers), min_size=1, max_size=120)


@quick
@given(columns)
def test_numbers_stay_in_their_cell(values: list[float | None]) -> None:
    codec = fitted(values)
    codes = encoded(codec, values)
    assert codes.min() >= 0 and codes.max() < codec.card
    filled = [v for v in values if v is not None]
    for uniform in UNIFORM:
        back = codec.decode(codes, np.full(len(codes), uniform))
        assert [math.isnan(b) for b in back] == [v is None for v in values]
        assert all(min(filled) <= b <= max(filled) for b in back if not math.isnan(b))
        again = encoded(codec, [None if math.isnan(b) else float(b) for b in back])
        same = codec.decode(again, np.full(len(codes), uniform))
        # a value on the border of two bins may change sides, never the value
        np.testing.assert_allclose(same[again == codes], back[again == codes])


@quick
@given(columns)
def test_every_code_decodes_to_the_form_of_the_column(values: list[float | None]) -> None:
    codec = fitted(values)
    back = codec.decode(np.arange(codec.card), np.full(codec.card, 0.37))
    assert np.isnan(back).sum() == (codec.nullable or not any(v is not None for v in values))
    assert not codec.nullable or math.isnan(back[NULL])
    if codec.decimals is not None:
        shown = back[~np.isnan(back)]
        np.testing.assert_array_equal(shown, np.round(shown, codec.decimals))


@quick
@given(st.lists(numbers, min_size=1, max_size=60).map(lambda v: [float(x) for x in v[:MAX_BINS]]))
def test_few_values_come_back_exactly(values: list[float]) -> None:
    codec = fitted(list(values))
    back = codec.decode(encoded(codec, list(values)), np.full(len(values), 0.5))
    assert back.tolist() == values


@quick
@given(columns)
def test_codecs_survive_json(values: list[float | None]) -> None:
    codec = fitted(values)
    assert codec_from_json(codec.to_json()) == codec


def test_frequent_values_keep_codes_of_their_own() -> None:
    rng = np.random.default_rng(0)
    values = [0.0] * 500 + [-999.0] * 200 + rng.normal(50, 10, 1300).round(3).tolist()
    codec = fitted(values)
    assert {0.0, -999.0} <= set(codec.special)
    codes = encoded(codec, values)
    back = codec.decode(codes, rng.random(len(codes)))
    assert (back[:500] == 0).all() and (back[500:700] == -999).all()
    assert not np.isin(back[700:], [0.0, -999.0]).any()
    assert abs(back[700:].mean() - 50) < 0.5 and abs(back[700:].std() - 10) < 0.5


@pytest.mark.parametrize("values", [[None] * 5, [7.0] * 5, [2.0**40, 2.0**40 + 1], [None, 3.5]])
def test_degenerate_columns(values: list[float | None]) -> None:
    codec = fitted(values)
    assert codec.card == max(1, len(set(values)))
    back = codec.decode(encoded(codec, values), np.full(len(values), 0.9))
    assert [None if math.isnan(b) else b for b in back] == values


def test_small_columns_get_coarse_bins() -> None:
    rng = np.random.default_rng(1)
    small, large = rng.normal(size=100).tolist(), rng.normal(size=5000).tolist()
    assert fitted(small).card < fitted(large).card <= MAX_BINS + 1
    assert fitted(small).card <= 6


texts = st.lists(st.one_of(st.none(), st.sampled_from("abcdefgh")), min_size=1, max_size=80)


def _counts(values: list[str | None]) -> list[tuple[str, int]]:
    shown = sorted({v for v in values if v is not None}, key=lambda v: (-values.count(v), v))
    return [(v, values.count(v)) for v in shown]


@quick
@given(texts, st.integers(1, 6), st.integers(1, 5))
def test_categories_come_back_or_are_rare(values: list[str | None], threshold: int, most: int) -> None:
    counts = _counts(values)
    codec = fit_categorical(counts, len(values), values.count(None), most, threshold)
    codes = codec.encode(np.array(values, dtype=object))
    assert codes.min() >= 0 and codes.max() < codec.card
    kept = {v for v, n in counts if n >= threshold}
    for uniform in UNIFORM:
        back = codec.decode(codes, np.full(len(codes), uniform))
        assert {v for v in back if v is not None} <= kept
        for v, b in zip(values, back, strict=True):
            assert b == v or v not in codec.categories
            assert b is not None or v is None or not codec.categories
    assert codec_from_json(codec.to_json()) == codec


def test_rare_categories_never_come_out() -> None:
    values: list[str | None] = ["common"] * 90 + ["usual"] * 60 + ["rare"] * 4 + [None] * 10
    codec = fit_categorical(_counts(values), len(values), 10, 250, 5)
    every = codec.decode(
        np.repeat(np.arange(codec.card), 200), np.tile(np.linspace(0, 1, 200, endpoint=False), codec.card)
    )
    assert {v for v in every if v is not None} == {"common", "usual"}
    rare = codec.encode(np.array(["rare"], dtype=object))
    substitutes = codec.decode(np.repeat(rare, 1000), np.linspace(0, 1, 1000, endpoint=False))
    assert np.mean(substitutes == "usual") == pytest.approx(0.6, abs=0.01)  # the rarer one more often


def test_neighbouring_codes_have_like_features() -> None:
    found = ordered_features(np.linspace(0, 1, 20))
    near, further, far = (float(np.linalg.norm(found[4] - found[i])) for i in (5, 6, 9))
    assert found.shape == (20, FEATURES) and near < further < far


def test_null_has_no_place_in_the_order() -> None:
    found = NumericCodec(nullable=True, special=[0.0], bins=[[1.0, 2.0], [2.0, 5.0]]).features()
    assert found.shape == (4, FEATURES) and not found[0].any() and found[1:].any(axis=1).all()
    assert NumericCodec(nullable=True).features().shape == (1, FEATURES)


def test_a_long_tail_is_cut_into_parts_as_long_as_they_have_rows() -> None:
    values = np.random.default_rng(0).lognormal(0, 1.2, 2000).tolist()
    coarse = fit_numeric(profile(values), None, 10)
    fine = fit_numeric(profile(values), None, 10, widest=0.5)
    assert fit_numeric(profile(values), None, 10, widest=math.inf) == coarse and len(coarse.bins) == 10
    rows = np.bincount(fine.encode(np.array(values)), minlength=fine.card)
    width = np.array([b[-1] - b[0] for b in fine.bins]) / np.std(values)
    assert len(fine.bins) > 12 and rows.min() >= TAIL_ROWS - 2  # quantiles are steps of four rows
    assert ((width <= 0.5) | (rows < 2 * TAIL_ROWS + 8)).all() and (width < 0.5).mean() > 0.7
    assert [b[0] for b in fine.bins[1:]] == [b[-1] for b in fine.bins[:-1]]
    assert fit_numeric(profile([2.0] * 50), None, 10, widest=0.5).card <= 2
