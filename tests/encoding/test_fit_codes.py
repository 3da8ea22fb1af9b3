"""What the code of a row tells where every row has its own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from pyspark.sql import SparkSession

from spark_synth.schema import Schema
from tests.encoding.fitting import fitted_to


def test_what_follows_from_the_code_of_a_row(spark: SparkSession, tmp_path: Path) -> None:
    """Twenty people: the first two have no boss, the last three one that is not there, the others an earlier one."""
    boss = [None, None, *(i % 5 for i in range(15)), 90, 91, 92]
    people = pd.DataFrame(
        {"id": range(20), "boss": pd.Series(boss, dtype="Int64"), "pay": [100.0 + i for i in range(20)]}
    )
    schema = Schema().add_table("people", "id", {"pay": "numeric"})
    schema.add_foreign_key("people.boss", "people.id", orphans="keep")
    schema.tables["people"].foreign_keys[0].kept_orphans = 3
    rows = spark.createDataFrame(
        people.astype(object).where(people.notna(), None), "id bigint, boss bigint, pay double"
    )
    fitted = fitted_to(spark, schema, {"people": rows}, tmp_path)
    plan = fitted.plans["people"]
    (link,) = plan.matched
    assert plan.code is not None and plan.code.follows and link.clusters == 20
    coded = fitted.frame(spark, "people").toPandas().set_index("id")["__code"]
    for person, above in zip(people["id"], boss, strict=True):
        level, code = plan.code.follows[coded[person]][len(plan.degrees) :][:2]
        if above is None:
            assert (level, code) == (0, 0)
        elif above >= 90:
            assert (level, code) == (link.levels, link.codes - 1)
        else:
            assert 0 < level < link.levels and code == coded[above] + 1
