from __future__ import annotations

import re

import numpy as np
import pytest
from pyspark.sql import SparkSession

from spark_synth.encoding.bloom import Bloom, build_blooms
from spark_synth.encoding.text import TextMaker, TextPlan, fit_texts, guess_provider


@pytest.mark.parametrize(
    ("column", "provider"),
    [
        ("first_name", "first_name"),
        ("LastName", "last_name"),
        ("e-mail", "email"),
        ("City", "city"),
        ("note", None),
        ("contact_title", None),
    ],
)
def test_names_tell_the_provider(column: str, provider: str | None) -> None:
    assert guess_provider(column) == provider


def test_a_real_text_never_comes_out(spark: SparkSession) -> None:
    words = ["ab", "ba", "aab", "abb", "bab"] * 4 + [None]
    df = spark.createDataFrame([(w, "Smith") for w in words], "t string, name string")
    plans = fit_texts(df, {"t": None, "name": "last_name"})
    blooms = build_blooms(df, {"t": 25, "name": 25})
    real = {*words, "Smith"}
    for plan in plans:
        made = TextMaker(plan, 1, Bloom(blooms[plan.column])).draw(3000, np.random.default_rng(0))
        assert all(isinstance(v, str) and v for v in made)
        assert set(made).isdisjoint(real)


def test_codes_keep_their_forms_and_what_all_share(spark: SparkSession) -> None:
    rows = [(f"AB-{i:03d}", f"({200 + i}) 555-{i:04d}" if i % 3 else f"0{i:05d}") for i in range(300)]
    plans = fit_texts(spark.createDataFrame(rows, "code string, phone string"), {"code": None, "phone": None})
    codes, phones = (TextMaker(p, 1, None).draw(300, np.random.default_rng(0)) for p in plans)
    assert all(re.fullmatch(r"AB-\d{3}", v) for v in codes)
    assert all(re.fullmatch(r"\(\d{3}\) 555-\d{4}|00\d{4}", v) for v in phones)
    assert 60 < sum(v.startswith("(") is False for v in phones) < 140


def test_spelling_keeps_to_the_trigrams(spark: SparkSession) -> None:
    df = spark.createDataFrame([(f"tea for {i:03d}",) for i in range(300)], "t string")
    (plan,) = fit_texts(df, {"t": None})
    made = TextMaker(plan, 1, None).draw(200, np.random.default_rng(0))
    assert all(v.startswith("tea for ") and set(v[8:]) <= set("0123456789") for v in made)


def test_names_in_capitals_stay_in_capitals(spark: SparkSession) -> None:
    df = spark.createDataFrame([("ANNA",), ("BO",)], "n string")
    (plan,) = fit_texts(df, {"n": "first_name"})
    assert all(v.isupper() for v in TextMaker(plan, 1, None).draw(50, np.random.default_rng(0)))


def test_the_same_seeds_draw_the_same_texts() -> None:
    plan = TextPlan("n", "name")
    one, again, other = (TextMaker(plan, s, None).draw(50, np.random.default_rng(s)) for s in (1, 1, 2))
    assert one.tolist() == again.tolist()
    assert one.tolist() != other.tolist()


def test_a_column_without_text_still_makes_some() -> None:
    assert TextMaker(TextPlan("t", None), 1, None).draw(3, np.random.default_rng(0)).tolist() == ["x"] * 3
