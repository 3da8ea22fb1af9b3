"""What the links of real rows lead to, as sub-columns of the linking row: the target's code, and what it carries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.edge_plan import LinkPlan
from spark_synth.encoding.encode import ABSENT
from spark_synth.encoding.plan import TablePlan
from spark_synth.encoding.views import key_text, quoted


def fill_linked(
    encoded: DataFrame, plan: TablePlan, plans: Mapping[str, TablePlan], targets: Mapping[str, DataFrame]
) -> DataFrame:
    """`encoded` with the sub-columns that links lead to. targets: encoded rows of the tables that links point at."""
    columns = encoded.columns
    for n, link in enumerate(plan.matched):
        keys = [quoted(c).alias(f"__l{n}_{i}") for i, c in enumerate(link.parent_columns)]
        found = targets[link.parent].select(*keys, shown_by(link, plans[link.parent], F.col("codes")).alias(f"__to{n}"))
        match = [quoted(c) == F.col(f"__l{n}_{i}") for i, c in enumerate(link.columns)]
        encoded = encoded.join(found, match, "left")
    known = [or_nothing(k, F.col(f"__to{n}"), map(quoted, k.columns)) for n, k in enumerate(plan.matched)]
    own, first, last = F.col("codes"), plan.matched[0].at, plan.fixed
    whole = F.concat(F.slice(own, 1, first), in_order(known), F.slice(own, last + 1, len(plan.cards)))
    return encoded.select(*[whole.alias(c) if c == "codes" else quoted(c) for c in columns])


def shown_by(link: LinkPlan, target: TablePlan, codes: Column) -> Column:
    """What a row with the sub-columns `codes` shows to those that link to it: the code of the link, what is carried."""
    assert target.code is not None
    parts = [codes.getItem(target.code.at) + int(link.nullable), *(codes.getItem(i) for i in link.carried)]
    return F.array(*parts).cast("array<smallint>")


def or_nothing(link: LinkPlan, shown: Column, keys: Iterable[Column]) -> Column:
    """What `shown_by` gives, or what a row without that link has: the code of NULL, or of an orphan if none of its
    `keys` is NULL, and nothing carried."""
    code = F.lit(0)
    if link.orphans:
        code = F.when(key_text(list(keys)).isNull(), 0).otherwise(link.codes - 1)
    nothing = F.array(code, *[F.lit(ABSENT)] * len(link.carried))
    return F.coalesce(shown, nothing.cast("array<smallint>"))


def in_order(known: list[Column]) -> Column:
    """The sub-columns that links lead to, in their order: the codes of all links, then what is carried by each."""
    codes = F.array(*[k.getItem(0) for k in known])
    return F.concat(codes, *[F.slice(k, 2, F.size(k)) for k in known])
