"""Foreign keys that are NULL beside a column that another key has too."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from spark_synth.schema import Schema
from spark_synth.sources.partly import mark_partly


@pytest.mark.parametrize(("assignee", "tenant", "partly"), [(None, 1, True), (None, None, False), (7, 1, False)])
def test_a_key_is_partly_null_beside_a_shared_column(
    spark: SparkSession, assignee: int | None, tenant: int | None, partly: bool
) -> None:
    schema = Schema().add_table("tenants", "id").add_table("users", ["tenant", "id"]).add_table("tickets", "id")
    schema.add_foreign_key("users.tenant", "tenants.id").add_foreign_key("tickets.tenant", "tenants.id")
    schema.add_foreign_key("tickets.(tenant,assignee)", "users.(tenant,id)")
    rows = spark.createDataFrame([(1, 1, 7), (2, tenant, assignee)], "id int, tenant int, assignee int")
    mark_partly(spark, {"tickets": rows}, schema)
    assert [fk.partly for fk in schema.table("tickets").foreign_keys] == [False, partly]
