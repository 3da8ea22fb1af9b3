"""Faker's locales: the one whose names a column has, and the one of a country.

Names tell: a column is put down to the locale whose first and last names cover clearly more of its values than those of
the United States, which Faker takes where nothing is said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import cache

import faker.providers.address
import faker.providers.person
from faker.providers.date_time import Provider as Times
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_synth.known_names import known_names, locales_of
from spark_synth.schema.names import quote

_COUNTRY = re.compile(r"country", re.IGNORECASE)
USUAL = "en_US"
ROWS = 2000  # whose names are looked at
CLEARLY, LEAST = 0.1, 0.2  # share of names by which another locale has to lead, and that it has to know
OF_PEOPLE = ("first_name", "last_name", "name")
_ALIASES = {
    **dict.fromkeys(("uk", "england", "scotland", "wales", "great britain"), "GB"),
    **dict.fromkeys(("u.s.", "u.s.a.", "united states of america"), "US"),
    **{"ireland": "IE", "netherlands": "NL", "holland": "NL", "china": "CN", "russian federation": "RU", "korea": "KR"},
}


def names_country(column: str) -> bool:
    """Whether a column of this name says which country a row is of."""
    return _COUNTRY.search(column) is not None


def locale_of_names(df: DataFrame, providers: Mapping[str, str | None]) -> str:
    """The locale that the names of people in a table are of, "" where they tell none; one Spark job.

    providers: Faker providers by column. At most ROWS rows, chosen by a hash, come to the driver, which keeps none.
    """
    columns = [c for c, p in providers.items() if p in OF_PEOPLE]
    if not columns:
        return ""
    parts = [F.lower(quote(c)) for c in columns]
    rows = df.select(F.concat_ws(" ", *parts).alias("v")).where("v <> ''").orderBy(F.xxhash64("v")).limit(ROWS)
    return likeliest([word for row in rows.collect() for word in re.findall(r"[^\W\d_]+", row["v"])])


def likeliest(words: list[str]) -> str:
    """The locale that clearly knows the most of these lower-case words as names of people; "" where none does."""
    counts = Counter(words)
    known = {locale: sum(n for w, n in counts.items() if w in names) for locale, names in _names().items()}
    best = max(known, key=lambda locale: (known[locale], locale))
    clear = known[best] >= LEAST * len(words) and known[best] - known[USUAL] >= CLEARLY * len(words)
    return best if words and clear else ""


@cache
def locale_of_country(country: str) -> str | None:
    """The locale for addresses of a country, by its English name or its code of two or three letters."""
    asked = country.strip().lower()
    code = _ALIASES.get(asked) or next(
        (c.alpha_2_code for c in Times.countries if asked in map(str.lower, (c.name, c.alpha_2_code, c.alpha_3_code))),
        None,
    )
    found = [locale for locale in locales_of(faker.providers.address.__name__) if code and locale.endswith(f"_{code}")]
    own = [locale for locale in found if locale.startswith((f"{(code or '').lower()}_", "en_"))]
    return next(iter([*own, *found]), None)


@cache
def _names() -> dict[str, frozenset[str]]:
    """Lower-case first and last names of people, by locale."""
    locales = locales_of(faker.providers.person.__name__)
    return {locale: frozenset[str]().union(*known_names(locale)) for locale in locales}
