from __future__ import annotations

import re

import numpy as np
import pytest
from faker import Faker
from pyspark.sql import SparkSession

from spark_synth.encoding.bloom import Bloom, build_blooms
from spark_synth.encoding.text import LOCALES, TextMaker, TextPlan, fit_texts, guess_provider
from spark_synth.encoding.unique_text import unique_texts


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


def test_forms_are_counted_by_country(spark: SparkSession) -> None:
    rows: list[tuple[str | None, str | None]] = [(f"{3701 * i % 100_000:05d}", "Germany") for i in range(30)]
    rows += [(f"AB{i:02d}", "UK") for i in range(20)]
    rows += [(f"{i:05d}", "UK") for i in range(5)] + [(f"{i:03d}", "Malta") for i in range(3)] + [(None, "Spain")] * 9
    rows += [("1", None)] * 9
    (plan,) = fit_texts(spark.createDataFrame(rows, "p string, country string"), {"p": None}, "country")
    names = [re.sub("\x01", "", form) for form, _ in plan.forms]
    told = {home: {names[at]: n for at, n in counts} for home, counts in plan.forms_at_home.items()}
    assert told == {"Germany": {"99999": 30}, "UK": {"AB99": 20, "99999": 5}}  # of Malta there are too few
    (anywhere,) = fit_texts(spark.createDataFrame(rows, "p string, country string"), {"p": None})
    assert (anywhere.forms, anywhere.forms_at_home) == (plan.forms, {})


def test_spelling_keeps_to_the_trigrams(spark: SparkSession) -> None:
    df = spark.createDataFrame([(f"tea for {i:03d}",) for i in range(300)], "t string")
    (plan,) = fit_texts(df, {"t": None})
    made = TextMaker(plan, 1, None).draw(200, np.random.default_rng(0))
    assert all(v.startswith("tea for ") and set(v[8:]) <= set("0123456789") for v in made)


def test_names_in_capitals_stay_in_capitals(spark: SparkSession) -> None:
    df = spark.createDataFrame([("ANNA",), ("BO",)], "n string")
    (plan,) = fit_texts(df, {"n": "first_name"})
    assert all(v.isupper() for v in TextMaker(plan, 1, None).draw(50, np.random.default_rng(0)))


@pytest.mark.parametrize("values", ["tea {}", "{}-X7", "{:05d}", "name{}@host.org"])
def test_where_no_real_text_occurs_twice_none_does(spark: SparkSession, values: str) -> None:
    real = [values.format(i) for i in range(400)]
    df = spark.createDataFrame([(v, "same") for v in real], "t string, u string")
    plan, other = fit_texts(df, {"t": "email" if "@" in values else None, "u": None})
    assert plan.unique and not other.unique
    maker = TextMaker(plan, 1, Bloom(build_blooms(df, {"t": 400})["t"]))
    blocks = [unique_texts(maker, np.arange(low, low + 1000), 6000) for low in range(0, 6000, 1000)]
    made = np.concatenate(blocks).tolist()
    assert len(set(made)) == 6000 and not set(made) & set(real)
    assert blocks[1].tolist() == unique_texts(maker, np.arange(1000, 2000), 6000).tolist()


def test_unique_words_are_like_real_ones(spark: SparkSession) -> None:
    rng = np.random.default_rng(3)
    parts = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
    words = sorted({"".join(rng.choice(parts, 3)) for _ in range(400)})
    (plan,) = fit_texts(spark.createDataFrame([(w,) for w in words], "t string"), {"t": None})
    made = unique_texts(TextMaker(plan, 1, None), np.arange(50), 50).tolist()
    assert len(set(made)) == 50
    assert all(re.fullmatch(r"[a-z]+", v) for v in made)
    assert sum(map(len, made)) / 50 < 10


def test_names_stay_names_where_the_real_column_has_the_usual_ones(spark: SparkSession) -> None:
    """No letters are put behind them: names of other countries serve."""
    faker = Faker("en_US")
    usual = sorted({faker.first_name() for _ in range(20_000)})
    df = spark.createDataFrame([(n,) for n in usual * 2], "n string")
    (plan,) = fit_texts(df, {"n": "first_name"})
    maker = TextMaker(plan, 1, Bloom(build_blooms(df, {"n": len(usual)})["n"]))
    made = set(maker.draw(2000, np.random.default_rng(0)).tolist())
    known = {f.first_name() for f in map(Faker, LOCALES) for _ in range(20_000)}
    assert not made & set(usual) and len(made) > 150
    assert sum(v in known for v in made) > 0.95 * len(made)


def test_the_same_seeds_draw_the_same_texts() -> None:
    plan = TextPlan("n", "name")
    one, again, other = (TextMaker(plan, s, None).draw(50, np.random.default_rng(s)) for s in (1, 1, 2))
    assert one.tolist() == again.tolist()
    assert one.tolist() != other.tolist()


def test_a_column_without_text_still_makes_some() -> None:
    assert TextMaker(TextPlan("t", None), 1, None).draw(3, np.random.default_rng(0)).tolist() == ["x"] * 3


def test_names_are_those_of_the_country_that_the_real_ones_are_of(spark: SparkSession) -> None:
    faker = Faker("de_DE")
    faker.seed_instance(3)
    rows = [(faker.first_name(), faker.last_name(), faker.city()) for _ in range(300)]
    df = spark.createDataFrame(rows, "first string, last string, city string")
    plans = fit_texts(df, {"first": "first_name", "last": "last_name", "city": "city"})
    assert [p.locale for p in plans] == ["de_DE"] * 3 and all(p.latin for p in plans)
    german = {faker.last_name() for _ in range(5000)}
    made = TextMaker(plans[1], 1, None).draw(300, np.random.default_rng(0))
    assert np.mean([v in german for v in made]) > 0.9


@pytest.mark.parametrize(("names", "latin"), [(["Анна", "Пётр"], False), (["Anna", "Zoë"], True)])
def test_letters_stay_those_of_the_real_column(spark: SparkSession, names: list[str], latin: bool) -> None:
    (plan,) = fit_texts(spark.createDataFrame([(n,) for n in names], "n string"), {"n": "first_name"})
    assert plan.latin is latin
    abroad = TextMaker(plan, 1, None).of_country("ru_RU").draw(50, np.random.default_rng(0))
    assert any("а" <= letter <= "я" for name in abroad for letter in name) is not latin
