"""Free text and names: produced, never copied.

A column whose name or kind tells what it holds draws from Faker. Codes (phone numbers, postal codes: text without
words) fill the forms that the real ones have (encoding.forms); any other text is spelled by a character model of order
two (a Markov chain over trigrams, fitted in Spark). Whatever the way, a value of the real column is redrawn. Where no
real value occurs twice, none does here: texts are then spelled from the number of their row (encoding.unique_text).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from faker import Faker
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from spark_synth.encoding.bloom import Bloom, stacked
from spark_synth.encoding.forms import LETTERS, MAX_LENGTH, AtHome, Counts, FormCounts, Forms, fit_forms
from spark_synth.encoding.locales import USUAL, locale_of_names

START, END = "\x02", "\x03"
MAX_TRIGRAMS = 20000
WORDS = 0.05  # share of values with a word (three letters in a row) up to which a column holds codes
HLL_ERROR = 0.02
POOL = 2000
ENOUGH, FEW = 200, 20  # values of a pool, and of one of a single country, that are not real
LOCALES = (USUAL, "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pt_BR", "sv_SE", "pl_PL")  # Latin letters
TRIES = 12

# What a column name says it holds, most specific first; names are split into lower-case words.
PROVIDERS: tuple[tuple[set[str], str | None], ...] = (
    ({"title", "type", "kind", "status"}, None),
    ({"first", "firstname", "given", "forename"}, "first_name"),
    ({"last", "lastname", "surname", "family"}, "last_name"),
    ({"email", "mail"}, "email"),
    ({"company", "employer"}, "company"),
    ({"contact", "fullname"}, "name"),
    ({"city", "town"}, "city"),
    ({"address", "street"}, "street_address"),
)


@dataclass
class TextPlan:
    """How a text column is produced: from Faker (`provider`), from `forms`, or from trigram counts.

    forms: (form, real values of it); after SIGN, 9, A and a stand for any digit and letter, all else for itself.
    forms_at_home: by country, which of them rows of it have, and how many.
    upper: all real values are in capitals; unique: none of them occurs twice; latin: all letters are; locale: of Faker,
    "" the usual ones. Whether a row has a value at all is a sub-column (How.FLAG) where the real column has NULLs.
    """

    column: str
    provider: str | None
    trigrams: list[tuple[str, int]] = field(default_factory=list)
    forms: Counts = field(default_factory=list)
    forms_at_home: AtHome = field(default_factory=dict)
    upper: bool = False
    unique: bool = False
    latin: bool = True
    locale: str = ""
    max_length: int = MAX_LENGTH


def guess_provider(column: str) -> str | None:
    """The Faker provider that a column name stands for, or None."""
    words = set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column).lower()))
    return next((provider for names, provider in PROVIDERS if words & names), None)


def fit_texts(df: DataFrame, providers: Mapping[str, str | None], country: str | None = None) -> list[TextPlan]:
    """Plans of text columns: one Spark job tells codes from words, one each counts their forms and their trigrams.

    country: the column that names the country of a row, if there is one.
    """
    names = list(providers)
    if not names:
        return []
    letters = F.col("v").rlike(r"\p{L}")
    kinds = (
        stacked(df, names)
        .groupBy("c")
        .agg(
            F.avg(F.col("v").rlike(r"\p{L}{3}").cast("double")).alias("words"),
            F.min((letters & (F.col("v") == F.upper("v"))) | ~letters).alias("upper"),
            (F.approx_count_distinct("v", HLL_ERROR) >= (1 - 4 * HLL_ERROR) * F.count("v")).alias("varied"),
            (~F.max(F.col("v").rlike(r"[\p{L}&&[^\p{IsLatin}]]"))).alias("latin"),
        )
    )
    found = {names[r["c"]]: r for r in kinds.collect()}
    unique = _unique(df, [c for c, r in found.items() if r["varied"]])
    own = [c for c in names if providers[c] is None and c in found]
    forms = fit_forms(df, [c for c in own if found[c]["words"] <= WORDS], country)
    trigrams = _trigrams(df, [c for c in own if c not in forms])
    locale = locale_of_names(df, providers)
    told = {c: {"upper": r["upper"], "latin": r["latin"]} for c, r in found.items()}
    return [
        TextPlan(
            c,
            p,
            trigrams.get(c, []),
            *forms.get(c, FormCounts([], {})),
            unique=c in unique,
            locale=locale if p else "",
            **told.get(c, {}),
        )
        for c, p in providers.items()
    ]


def _unique(df: DataFrame, columns: list[str]) -> set[str]:
    """Those of the columns in which no value occurs twice."""
    if not columns:
        return set()
    repeated = stacked(df, columns).groupBy("c", "v").count().where("count > 1").select("c").distinct()
    return set(columns) - {columns[r["c"]] for r in repeated.collect()}


def _trigrams(df: DataFrame, columns: list[str]) -> dict[str, list[tuple[str, int]]]:
    """The commonest trigrams of each column."""
    if not columns:
        return {}
    out: dict[str, list[tuple[str, int]]] = {c: [] for c in columns}
    whole = F.concat(F.lit(START * 2), F.substring("v", 1, MAX_LENGTH), F.lit(END))
    cut = F.transform(F.sequence(F.lit(1), F.length(whole) - 2), lambda i: whole.substr(i, F.lit(3)))
    shown = stacked(df, columns).where(F.length("v") > 0)
    counted = shown.select("c", F.explode(cut).alias("g")).groupBy("c", "g").count()
    order = Window.partitionBy("c").orderBy(F.desc("count"), "g")
    kept = counted.withColumn("r", F.row_number().over(order)).where(F.col("r") <= MAX_TRIGRAMS)
    for row in sorted(kept.collect(), key=lambda r: r["r"]):
        out[columns[row["c"]]].append((row["g"], row["count"]))
    return out


class TextMaker:
    """Draws values of one text column. at_home: of names, those of the plan's locale alone."""

    def __init__(self, plan: TextPlan, seed: int, real: Bloom | None, at_home: bool = False) -> None:
        self.plan, self.real = plan, real
        self.source: Pool | Forms | Chain
        self._seed, self._of_country = seed, dict[str, TextMaker]()
        if plan.provider:
            self.source = Pool(plan, seed, real, at_home)
        else:
            self.source = Forms(FormCounts(plan.forms, plan.forms_at_home)) if plan.forms else Chain(plan)

    def of_country(self, locale: str) -> TextMaker:
        """One that draws names of a country; this one where it has none in the letters of the column."""
        if locale not in self._of_country:
            made = TextMaker(replace(self.plan, locale=locale), self._seed, self.real, at_home=True)
            known = isinstance(made.source, Pool) and len(made.source.values)
            self._of_country[locale] = made if known else self
        return self._of_country[locale]

    def draw(self, n: int, rng: np.random.Generator, countries: np.ndarray | None = None) -> np.ndarray:
        """n text values, none of them in the real column. countries: text object (n,), of the rows that name one."""
        out = np.full(n, None, dtype=object)
        todo = np.arange(n)
        for attempt in range(TRIES):
            at = countries[todo] if countries is not None else None
            out[todo] = self.source.draw(len(todo), rng, at)
            if attempt >= TRIES // 2:  # a small vocabulary: make the value differ
                tails = rng.integers(0, len(LETTERS), (len(todo), attempt))
                out[todo] = [v + "".join(LETTERS[k] for k in t) for v, t in zip(out[todo], tails, strict=True)]
            if self.real is None:
                return out
            todo = todo[self.real.contains(out[todo])]
            if not len(todo):
                return out
        out[todo] = None
        return out


class Pool:
    """Distinct values of a Faker provider that the real column does not have, the same for the same seed. Where it has
    most of those of the plan's locale, those of other countries serve, and in the end two of them put together.

    at_home: no other countries.
    """

    def __init__(self, plan: TextPlan, seed: int, real: Bloom | None, at_home: bool = False) -> None:
        made: set[str] = set()
        free: list[str] = []
        others, enough = ((), FEW) if at_home else (LOCALES, ENOUGH)
        for locale in dict.fromkeys([plan.locale or USUAL, *others]):
            made |= _of_locale(plan, locale, seed)
            free = _not_real(sorted(made), real)
            if len(free) >= enough:
                break
        if len(free) < enough and made:
            rng, every = np.random.default_rng(seed), np.array(sorted(made), dtype=object)
            pairs = every[rng.integers(0, len(every), (POOL, 2))]
            free += _not_real(sorted({f"{a}-{b}" for a, b in pairs if a != b} - set(free)), real)
        self.values = np.array(free or sorted(made), dtype=object)

    def draw(self, n: int, rng: np.random.Generator, countries: np.ndarray | None = None) -> np.ndarray:
        """n values."""
        drawn: np.ndarray = self.values[rng.integers(0, len(self.values), n)]
        return drawn


def _of_locale(plan: TextPlan, locale: str, seed: int) -> set[str]:
    """Values of a provider in a locale; of a column in Latin letters none in others."""
    faker = Faker(locale)
    faker.seed_instance(seed)
    found = {str(faker.format(plan.provider)).replace("\n", ", ") for _ in range(POOL)}
    if plan.latin:
        found = {v for v in found if all(unicodedata.name(c, "").startswith("LATIN") for c in v if c.isalpha())}
    return {v.upper() for v in found} if plan.upper else found


def _not_real(values: list[str], real: Bloom | None) -> list[str]:
    if real is None or not values:
        return values
    known = real.contains(np.array(values, dtype=object))
    return [v for v, k in zip(values, known, strict=True) if not k]


class Chain:
    """Trigram chain as arrays: for each two-character state, its next characters and their cumulative shares."""

    def __init__(self, plan: TextPlan) -> None:
        grams = plan.trigrams or [(START * 2 + "x", 1), (START + "x" + END, 1)]
        states = sorted({g[:2] for g, _ in grams})
        self.chars = np.array(sorted({g[2] for g, _ in grams}), dtype=object)
        at, where = {s: i for i, s in enumerate(states)}, {c: i for i, c in enumerate(self.chars)}
        weights = np.zeros((len(states), len(self.chars)))
        following = np.full((len(states), len(self.chars)), -1, dtype=np.int64)
        for gram, count in grams:
            weights[at[gram[:2]], where[gram[2]]] += count
            following[at[gram[:2]], where[gram[2]]] = at.get(gram[1:], -1)
        self.cumulative = np.cumsum(weights, 1) / weights.sum(1, keepdims=True)
        self.following, self.start, self.max_length = following, at[START * 2], plan.max_length

    def draw(self, n: int, rng: np.random.Generator, countries: np.ndarray | None = None) -> np.ndarray:
        """n values."""
        state, out = np.full(n, self.start), np.full(n, "", dtype=object)
        for _ in range(self.max_length):
            live = np.flatnonzero(state >= 0)
            if not len(live):
                break
            drawn = (self.cumulative[state[live]] < rng.random(len(live))[:, None]).sum(1).clip(max=len(self.chars) - 1)
            out[live] += np.where(self.chars[drawn] == END, "", self.chars[drawn])
            state[live] = np.where(self.chars[drawn] == END, -1, self.following[state[live], drawn])
        return np.array([s.strip() or "x" for s in out], dtype=object)
