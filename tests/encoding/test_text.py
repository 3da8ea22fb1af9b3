from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import SparkSession

from spark_synth.encoding.bloom import Bloom, build_blooms
from spark_synth.encoding.text import TextMaker, TextPlan, fit_texts, guess_provider


@pytest.mark.parametrize(
    ("column", "provider"),
    [("first_name", "first_name"), ("LastName", "last_name"), ("e-mail", "email"), ("City", "city"), ("note", None)],
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


def test_spelling_keeps_to_the_trigrams(spark: SparkSession) -> None:
    df = spark.createDataFrame([(f"AB-{i:03d}",) for i in range(300)], "t string")
    (plan,) = fit_texts(df, {"t": None})
    made = TextMaker(plan, 1, None).draw(200, np.random.default_rng(0))
    assert all(v.startswith("AB-") and set(v[3:]) <= set("0123456789") for v in made)


def test_the_same_seeds_draw_the_same_texts() -> None:
    plan = TextPlan("n", "name")
    one, again, other = (TextMaker(plan, s, None).draw(50, np.random.default_rng(s)) for s in (1, 1, 2))
    assert one.tolist() == again.tolist()
    assert one.tolist() != other.tolist()


def test_a_column_without_text_still_makes_some() -> None:
    assert TextMaker(TextPlan("t", None), 1, None).draw(3, np.random.default_rng(0)).tolist() == ["x"] * 3
