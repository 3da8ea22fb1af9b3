from __future__ import annotations

from collections.abc import Callable

import pytest
from pyspark.sql import SparkSession

from spark_synth.errors import UserError
from spark_synth.schema import Schema
from spark_synth.sources import Database
from spark_synth.sources.sample import sample_tables

Open = Callable[..., Database]
FAMILIES = 400


def _schema() -> Schema:
    """customer owns order owns item; product is a reference; tag is only linked to; note may have no customer."""
    schema = Schema().add_table("customer", "id").add_table("order", "id").add_table("item", "id")
    schema.add_table("product", "id", reference=True).add_table("tag", "id").add_table("note", "id")
    schema.add_foreign_key("order.customer", "customer.id", owner=True)
    schema.add_foreign_key("item.order", "order.id", owner=True).add_foreign_key("item.product", "product.id")
    schema.add_foreign_key("item.tag", "tag.id", owner=False)
    schema.add_foreign_key("tag.best_order", "order.id", owner=False)
    return schema.add_foreign_key("note.customer", "customer.id", owner=True)


def _files() -> dict[str, str]:
    ids = range(1, FAMILIES + 1)
    return {
        "customer": "id\n" + "".join(f"{i}\n" for i in ids),
        "order": "id,customer\n" + "".join(f"{i},{i}\n{i + 1000},{i}\n" for i in ids),
        "item": "id,order,product,tag\n" + "".join(f"{i},{i},{i % 3 + 1},{i % 5 + 1}\n" for i in ids),
        "product": "id\n1\n2\n3\n",
        "tag": "id,best_order\n1,1\n2,2\n3,3\n4,4\n5,5\n",
        "note": "id,customer\n" + "".join(f"{i},{i if i % 2 else ''}\n" for i in ids),
    }


def test_families_stay_whole(open_files: Open) -> None:
    database = open_files(_schema(), _files(), sample=0.25)
    customers = {r[0] for r in database.tables["customer"].collect()}
    orders = {r["id"]: r["customer"] for r in database.tables["order"].collect()}
    assert 60 < len(customers) < 140
    assert set(orders) == customers | {c + 1000 for c in customers}
    assert {r["id"] for r in database.tables["item"].collect()} == customers
    assert database.rows["customer"] == len(customers) and database.rows["order"] == 2 * len(customers)
    assert (database.rows["product"], database.rows["tag"]) == (3, 5), "references and mere targets stay whole"
    best = {r["id"]: r["best_order"] for r in database.tables["tag"].collect()}
    assert best == {i: i if i in orders else None for i in range(1, 6)}
    notes = database.tables["note"].collect()
    assert {r["id"] for r in notes if r["customer"]} == {c for c in customers if c % 2}
    assert 20 < sum(r["customer"] is None for r in notes) < 80, "rows without a parent are cut by their own key"


def test_the_seed_chooses(spark: SparkSession) -> None:
    schema = Schema().add_table("parent", "id").add_table("child", "id").add_foreign_key("child.parent", "parent.id")
    tables = {"parent": spark.range(200).toDF("id"), "child": spark.sql("select id, id as parent from range(200)")}
    owners = {"parent": None, "child": schema.tables["child"].foreign_keys[0]}

    def chosen(seed: int) -> set[int]:
        return {r[0] for r in sample_tables(tables, schema, owners, 0.5, seed)["child"].collect()}

    assert chosen(1) == chosen(1) != chosen(2)


def test_nothing_left_is_an_error(open_files: Open) -> None:
    schema = Schema().add_table("parent", "id").add_table("child", "id")
    schema.add_foreign_key("child.parent", "parent.id", owner=True)
    with pytest.raises(UserError, match="has no rows left in a sample of 1e-06: raise source.sample"):
        open_files(schema, {"parent": "id\n1\n", "child": "id,parent\n1,1\n"}, sample=0.000001)
