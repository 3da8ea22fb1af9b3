from __future__ import annotations

import re

import numpy as np
import pandas as pd
from faker import Faker

from spark_synth.encoding.plan import How, TablePlan, ValuePlan
from spark_synth.encoding.text import TextMaker, TextPlan
from spark_synth.encoding.unique_text import unique_texts
from spark_synth.generation.regions import countries_of, draw_at_home


def _plan(column: str) -> TablePlan:
    plan = TablePlan.__new__(TablePlan)
    plan.texts = [TextPlan("city", "city")]
    plan.values = [ValuePlan("size", How.NUMERIC, []), ValuePlan(column, How.CATEGORY, [])]
    return plan


def test_cities_are_those_of_the_country_in_their_row() -> None:
    countries = ["Germany", "Sweden", None, "Atlantis"] * 50
    named = countries_of(pd.DataFrame({"x0": 1.0, "x1": countries}), _plan("ship_country"))
    assert named.tolist() == countries
    made = draw_at_home(TextMaker(TextPlan("city", "city"), 1, None), named, np.random.default_rng(0))
    faker = Faker("de_DE")
    german = {faker.city() for _ in range(20_000)}
    of_country = [v in german for v in made]
    assert np.mean(of_country[0::4]) > 0.9 and np.mean(of_country[1::4]) < 0.1
    assert all(isinstance(v, str) and v for v in made)


def test_a_key_of_a_reference_table_of_countries_names_one_too() -> None:
    plan = _plan("region")
    plan.values.append(ValuePlan("people.country", How.REFERENCE, [], keys=("country_code",)))
    assert countries_of(pd.DataFrame({"x0": [1.0], "x1": ["a"], "x2": ["DE"]}), plan).tolist() == ["DE"]
    plan.values[-1] = ValuePlan("people.place", How.REFERENCE, [], keys=("country_code", "city_code"))
    assert countries_of(pd.DataFrame({"x0": [1.0], "x1": ["a"], "x2": ["DE"]}), plan).tolist() == [None]


def test_without_a_country_any_city_will_do() -> None:
    named = countries_of(pd.DataFrame({"x0": [1.0], "x1": ["Germany"]}), _plan("region"))
    assert named.tolist() == [None]


FORMS = [("\x01A\x019", 30), ("\x019\x019\x019\x019\x019", 10), ("\x019\x019\x019\x019-\x01A\x01A\x01A\x01A\x01A", 5)]


def test_codes_have_the_forms_of_the_country_in_their_row() -> None:
    plan = TextPlan("postal", None, forms=FORMS, forms_at_home={"Germany": [(1, 10)], "Ruritania": [(0, 3), (2, 1)]})
    countries = np.array(["Germany", "Ruritania", None, "Atlantis"] * 200, dtype=object)
    made = draw_at_home(TextMaker(plan, 1, None), countries, np.random.default_rng(0))
    assert all(re.fullmatch(r"\d{5}", v) for v in made[0::4])
    long = [bool(re.fullmatch(r"\d{4}-[A-Z]{5}", v)) for v in made[1::4]]
    assert 0.15 < np.mean(long) < 0.35
    assert all(re.fullmatch(r"[A-Z]\d", v) for v, k in zip(made[1::4], long, strict=True) if not k)
    assert {len(v) for v in made[2::4]} == {2, 5, 10}


def test_codes_that_occur_once_have_them_too_and_still_occur_once() -> None:
    plan = TextPlan(
        "phone", None, forms=FORMS, forms_at_home={"Germany": [(1, 10)], "Ruritania": [(0, 3)]}, unique=True
    )
    countries = np.array(["Germany", "Ruritania", None, "Atlantis"] * 500, dtype=object)
    made = unique_texts(TextMaker(plan, 1, None), np.arange(2000), 2000, countries)
    assert len(set(made)) == 2000
    assert all(re.fullmatch(r"\d{5}", v) for v in made[0::4])
    assert {len(v) for v in made[1::4]} == {5, 10}  # its own form is too short for so many: any that is not
