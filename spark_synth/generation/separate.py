"""Pairs that may occur once (a student and a course): rows that repeat one exchange their link with another row.

An exchange leaves the number of rows of every target as it is. All rows that repeat a pair try some partners at once;
an exchange is made where both new pairs are free, and rounds go on while that leaves fewer repeated pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from spark_synth.encoding.at_once import written
from spark_synth.encoding.views import quoted
from spark_synth.generation.seeds import stream

ROUNDS = 12
STALE = 2  # rounds without an exchange after which what still repeats is taken to be stuck
PARTNERS = 16  # rows that each repeating row tries in one round, at least
MOST_PARTNERS = 2048
FEW = 1000  # targets of a group, all of which a row that repeats another may be offered
TRIES = 50_000  # that a round makes, about, where few rows are left: those that hardly any partner suits


def separate(
    rows: DataFrame,
    unique: Sequence[str],
    link: Sequence[str],
    seed: int,
    work: str,
    drop: bool,
    cell: tuple[str, str] | None = None,
    only: bool = False,
) -> DataFrame:
    """`rows` (with __idx from 0) in which no values of the columns `unique` occur twice.

    Only the columns `link`, all of them in `unique`, change, and only by exchange between rows. Rows with a NULL in
    `unique` are left alone. drop: whether rows that still repeat others after all rounds go; they stay otherwise.
    work: a folder for the state between rounds, so that no plan grows with them. cell: columns with the first __idx and
    the number of those rows that a row had better exchange with. only: with no others.
    """
    rest = [c for c in unique if c not in link]
    own, target = [f"__own{i}" for i in range(len(rest))], [f"__to{i}" for i in range(len(link))]
    named = [quoted(c).alias(n) for c, n in zip([*rest, *link], own + target, strict=True)]
    near = [F.col(c).alias(f"__cell{i}") for i, c in enumerate(cell or ())]
    pairs = rows.select("__idx", *named, *near).dropna()
    size = (rows.agg(F.max("__idx")).head() or [0])[0] or 0
    left, stale, changed = size + 1, 0, False
    for attempt in range(ROUNDS):
        repeated = _repeated(pairs, own + target)
        before, left = left, repeated.count()
        stale = stale + 1 if left == before else 0
        if not left or stale == STALE:
            break
        if not changed:  # what `rows` is made from is not computed again and again
            pairs, changed = written(pairs, f"{work}/pairs"), True
            repeated = _repeated(pairs, own + target)
        inside = cell is not None and (only or attempt % 3 < 2)
        bounds = (F.col("__cell0"), F.col("__cell1")) if inside else (F.lit(0), F.lit(size + 1))
        partners = min(MOST_PARTNERS, max(PARTNERS, TRIES // left))
        made = _exchanges(pairs, repeated, own, target, bounds, partners, stream(seed, attempt))
        pairs = written(_apply(pairs, made, target), f"{work}/{attempt}")
    if changed:
        rows = _with_links(rows, pairs, link, target)
    return _without(rows, pairs, own + target) if drop and changed else rows


def redirected(
    rows: DataFrame, targets: DataFrame, own: Sequence[str], link: Mapping[str, str], group: Mapping[str, str]
) -> DataFrame:
    """`rows` (with __idx) in which those that repeat the columns `own` and `link` of another are linked to a target of
    their group that `own` does not have yet, where groups have few.

    A small group cannot always be matched by exchange: three lines of an order, all of them sent twice, need two full
    shipments. link, group: column of `rows` -> of `targets`.
    """
    ends = [quoted(p).cast("string").alias(c) for c, p in (*link.items(), *group.items())]
    offered = targets.select(*ends)
    few = offered.groupBy(*group).count().where(F.col("count") <= FEW).select(*group)
    pairs = rows.select("__idx", *dict.fromkeys([*own, *group, *link])).dropna()
    repeated = _repeated(pairs, [*own, *link]).join(few, list(group), "left_semi")
    families = repeated.select(*dict.fromkeys([*own, *group])).distinct()
    free = families.join(offered, list(group)).join(pairs, [*own, *link], "left_anti")
    target = [f"__to{i}" for i in range(len(link))]
    number = F.row_number().over(Window.partitionBy(*own).orderBy(F.xxhash64(*own, *link), *link))
    named = [F.col(c).alias(t) for c, t in zip(link, target, strict=True)]
    given = free.withColumn("__n", number).select(*own, "__n", *named)
    asking = repeated.withColumn("__n", F.row_number().over(Window.partitionBy(*own).orderBy("__idx")))
    return _with_links(rows, asking.join(given, [*own, "__n"]), list(link), target)


def without_repeats(rows: DataFrame, unique: Sequence[str]) -> DataFrame:
    """`rows` (with __idx) without those that repeat the values of the columns `unique` of another one; rows with a NULL
    there stay."""
    names = [f"__own{i}" for i in range(len(unique))]
    named = [quoted(c).alias(n) for c, n in zip(unique, names, strict=True)]
    return _without(rows, rows.select("__idx", *named).dropna(), names)


def _without(rows: DataFrame, pairs: DataFrame, key: list[str]) -> DataFrame:
    return rows.join(_repeated(pairs, key).select("__idx"), "__idx", "left_anti")


def _repeated(pairs: DataFrame, key: list[str]) -> DataFrame:
    """All rows of a pair but the first."""
    place = F.row_number().over(Window.partitionBy(*key).orderBy("__idx"))
    return pairs.withColumn("__place", place).where("__place > 1").drop("__place")


def _exchanges(
    pairs: DataFrame,
    repeated: DataFrame,
    own: list[str],
    target: list[str],
    bounds: tuple[Column, Column],
    partners: int,
    seed: int,
) -> DataFrame:
    """(__idx, __partner, own and target of both): exchanges that make two pairs which nobody else has or gets."""
    theirs = {c: f"p_{c}" for c in own + target}
    partner = (bounds[0] + F.pmod(F.xxhash64("__idx", "__try", F.lit(seed)), bounds[1])).alias("__partner")
    tries = repeated.withColumn("__try", F.explode(F.sequence(F.lit(0), F.lit(partners - 1)))).select("*", partner)
    sound = pairs.join(repeated.select("__idx"), "__idx", "left_anti")
    others = sound.select(F.col("__idx").alias("__partner"), *[F.col(a).alias(b) for a, b in theirs.items()])
    found = tries.join(others, "__partner")
    taken = pairs.select(*[F.col(c).alias(f"t_{c}") for c in own + target])
    for mine, other in (({}, theirs), (theirs, {})):  # own row with their target, their row with own target
        key = _key(own, mine) + _key(target, other)
        match = [F.col(f"t_{c}") == k for c, k in zip(own + target, key, strict=True)]
        found = found.join(taken, match, "left_anti")
    first = F.row_number().over(Window.partitionBy("__idx").orderBy("__try"))
    found = found.withColumn("__place", first).where("__place = 1")
    alone = F.row_number().over(Window.partitionBy("__partner").orderBy("__idx"))
    found = found.withColumn("__place", alone).where("__place = 1").drop("__place", "__try")
    new = [_key(own, {}) + _key(target, theirs), _key(own, theirs) + _key(target, {})]
    each = F.explode(F.array(*[F.struct(*[k.alias(c) for k, c in zip(n, own + target, strict=True)]) for n in new]))
    keys = found.select("__idx", each.alias("k"))
    shared = F.count(F.lit(1)).over(Window.partitionBy(*[f"k.{c}" for c in own + target]))
    clashes = keys.withColumn("__n", shared).where("__n > 1").select("__idx").distinct()
    return found.join(clashes, "__idx", "left_anti")


def _key(columns: list[str], rename: dict[str, str]) -> list[Column]:
    return [F.col(rename.get(c, c)) for c in columns]


def _apply(pairs: DataFrame, made: DataFrame, target: list[str]) -> DataFrame:
    """The pairs after the exchanges."""
    mine = made.select("__idx", *[F.col(f"p_{c}").alias(f"n_{c}") for c in target])
    theirs = made.select(F.col("__partner").alias("__idx"), *[F.col(c).alias(f"n_{c}") for c in target])
    joined = pairs.join(mine.unionByName(theirs), "__idx", "left")
    new = [F.coalesce(f"n_{c}", c).alias(c) for c in target]
    return joined.select(*[c for c in pairs.columns if c not in target], *new)


def _with_links(rows: DataFrame, pairs: DataFrame, link: Sequence[str], target: list[str]) -> DataFrame:
    """`rows` with the link of the pairs; rows that are in no pair keep theirs."""
    joined = rows.join(pairs.select("__idx", *target), "__idx", "left")
    new = {c: F.coalesce(F.col(t), quoted(c)).alias(c) for c, t in zip(link, target, strict=True)}
    return joined.select(*[new.get(c, quoted(c)) for c in rows.columns])
