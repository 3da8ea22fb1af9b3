"""Codes (telephone numbers, postal codes: text without words) by the forms that the real ones have, `(999) 999-9999`.

Where a row names a country, its codes take the forms that codes of this country have.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from spark_synth.encoding.bloom import stacked
from spark_synth.schema.names import quote

SIGN = "\x01"
MAX_LENGTH = 120
MAX_FORMS = 500
MAX_AT_HOME = 5000  # forms of countries that are kept for a column
CONSTANT = 5  # values of one form that must agree in a character for it to be kept, and of a country for its own forms
LETTERS = "abcdefghijklmnopqrstuvwxyz"
FORM_SIGNS = {"9": "0123456789", "A": LETTERS.upper(), "a": LETTERS}

Counts = list[tuple[str, int]]
AtHome = dict[str, list[tuple[int, int]]]


class FormCounts(NamedTuple):
    """The commonest forms of a column with their values, and by country which of them (by place) have how many."""

    forms: Counts
    at_home: AtHome


def fit_forms(df: DataFrame, columns: list[str], country: str | None) -> dict[str, FormCounts]:
    """The forms of each column; a character that all values of a form share is part of it.

    country: the column that names the country of a row, if there is one.
    """
    if not columns:
        return {}
    form = F.col("v")
    for class_, sign in ((r"[0-9]", "9"), (r"\p{Lu}", "A"), (r"\p{Ll}", "a")):
        form = F.regexp_replace(form, class_, sign)
    home = F.col(quote(country)).cast("string") if country else F.lit(None).cast("string")
    values = stacked(df, columns, home.alias("h")).where(F.length("v").between(1, MAX_LENGTH)).withColumn("f", form)
    found, places = {c: FormCounts([], {}) for c in columns}, dict[tuple[int, str], int]()
    for row in sorted(_commonest(values).collect(), key=lambda r: r["r"]):
        known = {s["i"]: s["x"] for s in row["s"]}
        spelled = [known.get(i) or (f"{SIGN}{x}" if x in FORM_SIGNS else x) for i, x in enumerate(row["f"])]
        forms = found[columns[row["c"]]].forms
        places[row["c"], row["f"]] = len(forms)
        forms.append(("".join(spelled), row["n"]))
    for row in sorted(_at_home(values).collect(), key=lambda r: r["r"]) if country else ():
        at_home = found[columns[row["c"]]].at_home
        if (row["c"], row["f"]) in places:
            at_home.setdefault(row["h"], []).append((places[row["c"], row["f"]], row["n"]))
    return found


def _commonest(values: DataFrame) -> DataFrame:
    """c, f, n values, s the characters by place, r from 1, of `values` c, v, f: the commonest forms of each column."""
    places = values.select("c", "f", F.posexplode(F.split("v", "")).alias("i", "x")).where(F.col("x") != "")
    agreed = F.when((F.min("x") == F.max("x")) & (F.count("x") >= CONSTANT), F.min("x")).alias("x")
    signs = places.groupBy("c", "f", "i").agg(agreed, F.count("x").alias("n"))
    merged = signs.groupBy("c", "f").agg(F.max("n").alias("n"), F.collect_list(F.struct("i", "x")).alias("s"))
    return _first(merged, MAX_FORMS, F.desc("n"), F.col("f"))


def _at_home(values: DataFrame) -> DataFrame:
    """c, h, f, n values, r from 1, of `values` c, h, f: of countries with CONSTANT values or more, large ones first."""
    counted = values.where(F.col("h").isNotNull()).groupBy("c", "h", "f").agg(F.count(F.lit(1)).alias("n"))
    total = counted.withColumn("t", F.sum("n").over(Window.partitionBy("c", "h"))).where(F.col("t") >= CONSTANT)
    return _first(total, MAX_AT_HOME, F.desc("t"), F.col("h"), F.desc("n"), F.col("f"))


def _first(rows: DataFrame, count: int, *order: Column) -> DataFrame:
    return rows.withColumn("r", F.row_number().over(Window.partitionBy("c").orderBy(*order))).where(F.col("r") <= count)


class Forms:
    """Forms with their shares, over all and of countries; digits and letters are drawn evenly."""

    def __init__(self, counts: FormCounts) -> None:
        signs = [re.findall(f"{SIGN}?.", form, re.DOTALL) for form, _ in counts.forms]
        self.forms = [np.array([FORM_SIGNS.get(s[1:], s) for s in form], dtype=object) for form in signs]
        self.shares = np.array([n for _, n in counts.forms], dtype=float)
        self.shares /= self.shares.sum()
        self.at_home = counts.at_home

    def draw(self, n: int, rng: np.random.Generator, countries: np.ndarray | None = None) -> np.ndarray:
        """n values; countries: text object (n,), None where a row names none."""
        out = np.full(n, None, dtype=object)
        drawn = self.choose(rng.random(n), range(len(self.forms)), countries)
        for at in np.unique(drawn):
            rows = np.flatnonzero(drawn == at)
            signs = [np.array(list(s))[rng.integers(0, len(s), len(rows))] for s in self.forms[at]]
            out[rows] = ["".join(x) for x in zip(*signs, strict=True)]
        return out

    def choose(self, uniform: np.ndarray, among: Sequence[int], countries: np.ndarray | None) -> np.ndarray:
        """int64 (n,): for each place float64 (n,) in [0, 1) one of the forms `among`, by their shares in the country of
        the row, or over all where that is not known to have any of them."""
        allowed = np.zeros(len(self.forms))
        allowed[list(among)] = 1.0
        drawn = _place(self.shares * allowed, uniform)
        for country in set(self.at_home) & set(() if countries is None else countries):
            own = np.zeros(len(self.forms))
            for at, n in self.at_home[country]:
                own[at] = n * allowed[at]
            if own.any():
                rows = np.flatnonzero(countries == country)
                drawn[rows] = _place(own, uniform[rows])
        return drawn


def _place(shares: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """int64 (n,): which of the shares (not yet of sum 1) each place falls into."""
    ends = np.cumsum(shares)
    return np.searchsorted(ends / ends[-1], uniform, side="right").clip(max=len(shares) - 1)
