"""Cities and addresses that fit the country in their row: a row of Sweden gets a Swedish city."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from spark_synth.encoding.locales import locale_of_country
from spark_synth.encoding.plan import How, TablePlan
from spark_synth.encoding.text import TextMaker

AT_HOME = {"city", "street_address", "address", "postcode", "phone_number"}  # providers of what differs by country
_COUNTRY = re.compile(r"country", re.IGNORECASE)


def locales_of(out: pd.DataFrame, plan: TablePlan) -> np.ndarray:
    """Text object (n,): the locale of the country that each row of `out` (x0.. its values) is said to be of; None where
    it names none that Faker has addresses of, or no text of the plan goes by it."""
    said = country_of(plan)
    if said is None or not any(text.provider in AT_HOME for text in plan.texts):
        return np.full(len(out), None, dtype=object)
    of_row, countries = pd.factorize(out[said])  # -1, the last of what follows, where there is none
    found: np.ndarray = np.array([*map(locale_of_country, countries), None], dtype=object)[of_row]
    return found


def country_of(plan: TablePlan) -> str | None:
    """The column of `out` that names the country of a row, None where none does."""
    named = [i for i, v in enumerate(plan.values) if v.how is How.CATEGORY and _COUNTRY.search(v.column)]
    return f"x{named[0]}" if named else None


def draw_at_home(maker: TextMaker, homes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Values object (n,), none of them real; homes: object (n,) of locales, None where any will do."""
    text = maker.draw(len(homes), rng)
    for home in sorted(set(homes) - {None}) if maker.plan.provider in AT_HOME else ():
        rows = np.flatnonzero(homes == home)
        text[rows] = maker.of_country(home).draw(len(rows), rng)
    return text
