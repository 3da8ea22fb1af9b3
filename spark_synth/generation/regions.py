"""Cities, addresses and codes that fit the country in their row: a row of Sweden gets a Swedish city."""

from __future__ import annotations

import numpy as np
import pandas as pd

from spark_synth.encoding.locales import locale_of_country
from spark_synth.encoding.plan import TablePlan
from spark_synth.encoding.text import TextMaker

AT_HOME = {"city", "street_address", "address", "postcode", "phone_number"}  # providers of what differs by country


def countries_of(out: pd.DataFrame, plan: TablePlan) -> np.ndarray:
    """Text object (n,): the country that each row of `out` (x0.. its values) is said to be of, None where it names
    none, no column of the table tells, or no text of the plan goes by it."""
    said = country_of(plan)
    if said is None or not any(t.provider in AT_HOME or t.forms_at_home for t in plan.texts):
        return np.full(len(out), None, dtype=object)
    named: np.ndarray = np.array([None if pd.isna(c) else c for c in out[said]], dtype=object)
    return named


def country_of(plan: TablePlan) -> str | None:
    """The column of `out` that names the country of a row, None where none does."""
    return next((f"x{i}" for i, v in enumerate(plan.values) if v.country), None)


def draw_at_home(maker: TextMaker, countries: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Values object (n,), none of them real; countries: text object (n,), None where any will do."""
    text = maker.draw(len(countries), rng, countries)
    if maker.plan.provider not in AT_HOME:
        return text
    of_row, named = pd.factorize(countries)  # -1, the last of what follows, where there is none
    homes = np.array([*map(locale_of_country, named), None], dtype=object)[of_row]
    for home in sorted(set(homes) - {None}):
        rows = np.flatnonzero(homes == home)
        text[rows] = maker.of_country(home).draw(len(rows), rng)
    return text
