"""Free text and names: produced, never copied.

A column whose name or kind tells what it holds draws from Faker; any other is spelled by a character model of order
two (a Markov chain over trigrams, fitted in Spark). Either way a value that occurs in the real column is redrawn.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from faker import Faker
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from spark_synth.encoding.bloom import Bloom, stacked

START, END = "\x02", "\x03"
MAX_TRIGRAMS = 20000
MAX_LENGTH = 120
POOL = 2000
TRIES = 12
LETTERS = "abcdefghijklmnopqrstuvwxyz"

# What a column name says it holds, most specific first; names are split into lower-case words.
PROVIDERS = (
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
    """How a text column is produced: from Faker (`provider`), or from trigram counts.

    Whether a row has a value at all is a sub-column (How.FLAG) where the real column has NULLs.
    """

    column: str
    provider: str | None
    trigrams: list[tuple[str, int]] = field(default_factory=list)
    max_length: int = MAX_LENGTH


def guess_provider(column: str) -> str | None:
    """The Faker provider that a column name stands for, or None."""
    words = set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column).lower()))
    return next((provider for names, provider in PROVIDERS if words & names), None)


def fit_texts(df: DataFrame, providers: Mapping[str, str | None]) -> list[TextPlan]:
    """Plans of text columns; trigrams of those without a provider are counted in one Spark job."""
    spelled = [c for c, provider in providers.items() if provider is None]
    grams: dict[str, list[tuple[str, int]]] = {c: [] for c in spelled}
    if spelled:
        whole = F.concat(F.lit(START * 2), F.substring("v", 1, MAX_LENGTH), F.lit(END))
        cut = F.transform(F.sequence(F.lit(1), F.length(whole) - 2), lambda i: whole.substr(i, F.lit(3)))
        shown = stacked(df, spelled).where(F.length("v") > 0)
        counted = shown.select("c", F.explode(cut).alias("g")).groupBy("c", "g").count()
        order = Window.partitionBy("c").orderBy(F.desc("count"), "g")
        kept = counted.withColumn("r", F.row_number().over(order)).where(F.col("r") <= MAX_TRIGRAMS)
        for row in sorted(kept.collect(), key=lambda r: r["r"]):
            grams[spelled[row["c"]]].append((row["g"], row["count"]))
    return [TextPlan(c, provider, grams.get(c, [])) for c, provider in providers.items()]


class TextMaker:
    """Draws values of one text column."""

    def __init__(self, plan: TextPlan, seed: int, real: Bloom | None) -> None:
        self.plan, self.real = plan, real
        self.pool = _faker_pool(plan.provider, seed) if plan.provider else None
        self.chain = _Chain(plan) if self.pool is None else None

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """n text values, none of them in the real column."""
        out = np.full(n, None, dtype=object)
        todo = np.arange(n)
        for attempt in range(TRIES):
            out[todo] = self._candidates(len(todo), rng)
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

    def _candidates(self, n: int, rng: np.random.Generator) -> np.ndarray:
        if self.pool is not None:
            drawn: np.ndarray = self.pool[rng.integers(0, len(self.pool), n)]
            return drawn
        assert self.chain is not None
        return self.chain.spell(n, rng)


class _Chain:
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

    def spell(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """n strings."""
        state, out = np.full(n, self.start), np.full(n, "", dtype=object)
        for _ in range(self.max_length):
            live = np.flatnonzero(state >= 0)
            if not len(live):
                break
            drawn = (self.cumulative[state[live]] < rng.random(len(live))[:, None]).sum(1).clip(max=len(self.chars) - 1)
            out[live] += np.where(self.chars[drawn] == END, "", self.chars[drawn])
            state[live] = np.where(self.chars[drawn] == END, -1, self.following[state[live], drawn])
        return np.array([s.strip() or "x" for s in out], dtype=object)


def _faker_pool(provider: str, seed: int) -> np.ndarray:
    """Distinct values of a Faker provider, the same for the same seed."""
    faker = Faker()
    faker.seed_instance(seed)
    return np.array(sorted({str(faker.format(provider)).replace("\n", ", ") for _ in range(POOL)}), dtype=object)
