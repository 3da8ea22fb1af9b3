from __future__ import annotations

import numpy as np
import pandas as pd
from faker import Faker

from spark_synth.encoding.plan import How, TablePlan, ValuePlan
from spark_synth.encoding.text import TextMaker, TextPlan
from spark_synth.generation.regions import draw_at_home, locales_of


def _plan(column: str) -> TablePlan:
    plan = TablePlan.__new__(TablePlan)
    plan.texts = [TextPlan("city", "city")]
    plan.values = [ValuePlan("size", How.NUMERIC, []), ValuePlan(column, How.CATEGORY, [])]
    return plan


def test_cities_are_those_of_the_country_in_their_row() -> None:
    countries = ["Germany", "Sweden", None, "Atlantis"] * 50
    homes = locales_of(pd.DataFrame({"x0": 1.0, "x1": countries}), _plan("ship_country"))
    assert homes[:4].tolist() == ["de_DE", "sv_SE", None, None]
    made = draw_at_home(TextMaker(TextPlan("city", "city"), 1, None), homes, np.random.default_rng(0))
    faker = Faker("de_DE")
    german = {faker.city() for _ in range(20_000)}
    of_country = [v in german for v in made]
    assert np.mean(of_country[0::4]) > 0.9 and np.mean(of_country[1::4]) < 0.1
    assert all(isinstance(v, str) and v for v in made)


def test_without_a_country_any_city_will_do() -> None:
    homes = locales_of(pd.DataFrame({"x0": [1.0], "x1": ["Germany"]}), _plan("region"))
    assert homes.tolist() == [None]
