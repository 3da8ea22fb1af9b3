"""What the links of real rows lead to, as sub-columns of the linking row: the target's code, and what it carries."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_synth.encoding.encode import ABSENT
from spark_synth.encoding.plan import LinkPlan, TablePlan
from spark_synth.encoding.views import quoted


def fill_linked(
    encoded: DataFrame, plan: TablePlan, plans: Mapping[str, TablePlan], targets: Mapping[str, DataFrame]
) -> DataFrame:
    """`encoded` with the sub-columns that links lead to. targets: encoded rows of the tables that links point at."""
    columns = encoded.columns
    codes: list[Column] = []
    carried: list[Column] = []
    for n, link in enumerate(plan.matched):
        keys = [quoted(c).alias(f"__l{n}_{i}") for i, c in enumerate(link.parent_columns)]
        found = targets[link.parent].select(*keys, F.col("codes").alias(f"__to{n}"))
        match = [quoted(c) == F.col(f"__l{n}_{i}") for i, c in enumerate(link.columns)]
        encoded = encoded.join(found, match, "left")
        codes.append(link_code(link, plans[link.parent], F.col(f"__to{n}")))
        carried += carried_codes(link, F.col(f"__to{n}"))
    own, first, last = F.col("codes"), plan.matched[0].at, plan.fixed
    known = F.array(*codes, *carried).cast("array<smallint>")
    whole = F.concat(F.slice(own, 1, first), known, F.slice(own, last + 1, len(plan.cards)))
    return encoded.select(*[whole.alias(c) if c == "codes" else quoted(c) for c in columns])


def link_code(link: LinkPlan, target: TablePlan, codes: Column) -> Column:
    """The code of a link whose target has the sub-columns `codes`; 0 stands for none where the link may be NULL."""
    assert target.code is not None
    return F.coalesce(codes.getItem(target.code.at) + int(link.nullable), F.lit(0))


def carried_codes(link: LinkPlan, codes: Column) -> list[Column]:
    """What a row with that link is conditioned on."""
    return [F.coalesce(codes.getItem(i), F.lit(ABSENT)) for i in link.carried]
