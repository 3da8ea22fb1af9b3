"""Columns that repeat one of the row at the other end of a foreign key."""

from __future__ import annotations

from pyspark.sql import SparkSession

from spark_synth.encoding.copies import find_copies
from spark_synth.encoding.plan import SAME
from spark_synth.schema import Schema


def test_what_is_equal_everywhere_is_copied(spark: SparkSession) -> None:
    schema = Schema()
    schema.add_table("customers", "id", {"city": "categorical", "since": "datetime", "note": "text", "one": "numeric"})
    schema.add_table("tracks", "id", {"price": "numeric", "list": "numeric", "city": "categorical"})
    columns = {
        "ship_city": "categorical",
        "almost": "categorical",
        "price": "numeric",
        "since": "datetime",
        "one": "numeric",
        "paid": "numeric",
    }
    schema.add_table("sales", "id", {"customer": "key", "track": "key", **columns, "one": "numeric"})
    schema.add_foreign_key("sales.customer", "customers.id").add_foreign_key("sales.track", "tracks.id")
    city = "if(id % 7 = 0, null, concat('c', id % 5))"
    tables = {
        "customers": spark.range(40).selectExpr(
            "id", f"{city} as city", "date_add(date'2020-01-01', cast(id as int)) as since", "'x' as note", "1.0 as one"
        ),
        "tracks": spark.range(30).selectExpr(
            "id", "id % 3 + 0.99 as price", "cast(id + 0.5 as double) as list", "'nowhere' as city"
        ),
    }
    sales = spark.range(500).selectExpr("id", "if(id % 11 = 0, null, id % 40) as customer", "id % 30 as track")
    joined = sales.join(tables["customers"].withColumnRenamed("id", "customer"), "customer", "left")
    joined = joined.join(tables["tracks"].withColumnRenamed("id", "track").drop("city"), "track", "left")
    almost, paid = "if(id = 3, 'other', city) as almost", "if(id % 3 = 0, 0.8D * list, list) as paid"
    tables["sales"] = joined.selectExpr(
        "id", "customer", "track", "city as ship_city", almost, "price", "since", "one", paid
    )
    for name, df in tables.items():
        for field in df.schema:
            column = schema.tables[name].columns[field.name]
            schema.tables[name].columns[field.name] = column.model_copy(update={"type": field.dataType.simpleString()})
    found = find_copies(tables, "sales", schema, schema.table("sales").foreign_keys)
    assert found == {
        "sales.customer": (("ship_city", "city"), (SAME + "almost", "city"), ("since", "since"), ("one", "one")),
        "sales.track": (("price", "price"), (SAME + "paid", "list")),
    }
