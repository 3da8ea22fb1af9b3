from __future__ import annotations

import gzip
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from spark_synth.config import SourceSettings
from spark_synth.errors import UserError
from spark_synth.schema import Column, Kind, Schema, load_schema
from spark_synth.sources import Database, open_database

Open = Callable[..., Database]


def _rows(frame: DataFrame) -> list[tuple[Any, ...]]:
    return sorted((tuple(r) for r in frame.collect()), key=str)


def _types(database: Database, table: str) -> dict[str, str | None]:
    return {c: spec.type for c, spec in database.schema.tables[table].columns.items()}


def _one(**kinds: str) -> Schema:
    return Schema().add_table("t", "id", kinds)


def _family(orphans: str = "null", **extra: str) -> Schema:
    schema = Schema().add_table("parent", "id").add_table("child", "id", extra)
    return schema.add_foreign_key("child.parent_id", "parent.id", orphans=orphans)


def test_types_come_from_kinds_and_values(open_files: Open) -> None:
    schema = _one(
        small="numeric",
        big="numeric",
        real="numeric",
        none="numeric",
        zip="categorical",
        code="categorical",
        flag="boolean",
        day="datetime",
        time="datetime",
        note="text",
    )
    text = (
        "id,small,big,real,none,zip,code,flag,day,time,note\n"
        "1,007,3000000000,12.50,,01234,5,true,2020-01-01,2020-01-01 10:00:00,12\n"
        "2,-3,1,1e3,,12345,,false,2020-01-02,2020-01-02,\n"
    )
    database = open_files(schema, {"t": text})
    assert _types(database, "t") == {
        "id": "int",
        "small": "int",
        "big": "bigint",
        "real": "double",
        "none": "double",
        "zip": "string",
        "code": "int",
        "flag": "boolean",
        "day": "date",
        "time": "timestamp",
        "note": "string",
    }
    assert {f.name: f.dataType.simpleString() for f in database.tables["t"].schema} == _types(database, "t")
    first, second = database.tables["t"].orderBy("id").collect()
    assert (first["small"], first["big"], first["real"], first["zip"]) == (7, 3_000_000_000, 12.5, "01234")
    assert (second["code"], second["note"], second["none"]) == (None, None, None)
    assert database.rows == {"t": 2}


def test_awkward_text_and_names(open_files: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    schema = Schema().add_table("the t", "Kennung.Nr", {"größe, mm": "numeric", "a`b": "text"})
    text = '\ufeffKennung.Nr,extra,a`b,"größe, mm"\n1,x,"line one\nline ""two"", end", \n2,y,"",5\n'
    with gzip.open(tmp_path / "the t.csv.gz", "wt", encoding="utf-8") as file:
        file.write(text)
    schema.tables["the t"].columns["größe, mm"] = Column(kind=Kind.CATEGORICAL)
    with caplog.at_level(logging.WARNING, "spark_synth"):
        database = open_files(schema)
    assert "extra" in caplog.text
    assert list(database.schema.tables["the t"].columns) == ["Kennung.Nr", "a`b", "größe, mm"]
    assert database.tables["the t"].columns == ["Kennung.Nr", "a`b", "größe, mm"]
    assert _rows(database.tables["the t"]) == [(1, 'line one\nline "two", end', " "), (2, None, "5")]


def test_declared_formats_and_types(open_files: Open) -> None:
    schema = _one(day="datetime", price="numeric", code="categorical")
    schema.tables["t"].columns["day"].format = "%d.%m.%Y"
    schema.tables["t"].columns["price"].type = "decimal(8,2)"
    schema.tables["t"].columns["code"].type = "string"
    database = open_files(schema, {"t": "id,day,price,code\n1,31.12.2020,12.50,7\n"})
    assert _types(database, "t") == {"id": "int", "day": "date", "price": "decimal(8,2)", "code": "string"}
    assert [str(v) for v in _rows(database.tables["t"])[0]] == ["1", "2020-12-31", "12.50", "7"]


def test_foreign_keys_take_the_type_of_their_key(open_files: Open) -> None:
    database = open_files(_family(), {"parent": "id\n01\n5\n", "child": "id,parent_id\n1,5\n"})
    assert _types(database, "child")["parent_id"] == "string"
    database = open_files(_family(), {"parent": "id\n5000000000\n5\n", "child": "id,parent_id\n1,5\n2,\n"})
    assert _types(database, "child")["parent_id"] == "bigint"
    database = open_files(_family(), {"parent": "id\n5\n", "child": "id,parent_id\n1,\n2,\n"})
    assert _types(database, "child")["parent_id"] == "int"


def test_orphans_become_null_and_are_counted(open_files: Open) -> None:
    files = {"parent": "id\n1\n2\n", "child": "id,parent_id\n1,1\n2,9\n3,\n4,8\n"}
    database = open_files(_family(), files)
    assert _rows(database.tables["child"]) == [(1, 1), (2, None), (3, None), (4, None)]
    assert database.orphans == {"child.parent_id": 2}
    database = open_files(_family("drop"), files)
    assert _rows(database.tables["child"]) == [(1, 1), (3, None)]
    assert database.rows["child"] == 2


def test_orphans_in_the_primary_key_are_dropped(open_files: Open) -> None:
    schema = Schema().add_table("parent", "id").add_table("child", ["parent_id", "nr"])
    schema.add_foreign_key("child.parent_id", "parent.id")
    database = open_files(schema, {"parent": "id\n1\n", "child": "parent_id,nr\n1,1\n2,1\n"})
    assert _rows(database.tables["child"]) == [(1, 1)]
    assert database.orphans == {"child.parent_id": 1}


def test_a_column_of_two_keys_keeps_its_value(open_files: Open) -> None:
    schema = Schema().add_table("port", "faa").add_table("weather", ["faa", "hour"], {"hour": "numeric"})
    schema.add_table("flight", "id").add_foreign_key("flight.origin", "port.faa")
    schema.tables["flight"].columns["hour"] = Column(kind=Kind.NUMERIC)
    schema.add_foreign_key("flight.(origin,hour)", "weather.(faa,hour)").add_foreign_key("weather.faa", "port.faa")
    files = {"port": "faa\nJFK\n", "weather": "faa,hour\nJFK,1\n", "flight": "id,origin,hour\n1,JFK,1\n2,JFK,2\n"}
    assert _rows(open_files(schema, files).tables["flight"]) == [(1, "JFK", 1), (2, "JFK", None)]


def test_dropped_rows_orphan_others(open_files: Open) -> None:
    schema = Schema().add_table("a", "id").add_table("b", "id").add_table("c", "id")
    schema.add_foreign_key("b.a", "a.id", orphans="drop").add_foreign_key("c.b", "b.id")
    database = open_files(schema, {"a": "id\n1\n", "b": "id,a\n1,1\n2,9\n", "c": "id,b\n1,1\n2,2\n"})
    assert _rows(database.tables["c"]) == [(1, 1), (2, None)]
    assert database.orphans == {"b.a": 1, "c.b": 1}


def test_orphans_that_are_kept_stay_and_are_counted(open_files: Open) -> None:
    schema = _family("keep").add_table("top", "id").add_foreign_key("parent.top", "top.id", orphans="drop")
    files = {"top": "id\n1\n", "parent": "id,top\n1,1\n2,9\n", "child": "id,parent_id\n1,1\n2,9\n3,\n4,8\n5,2\n"}
    database = open_files(schema, files)
    assert _rows(database.tables["child"]) == [(1, 1), (2, 9), (3, None), (4, 8), (5, 2)]
    assert database.orphans == {"child.parent_id": 3, "parent.top": 1} and database.rows["child"] == 5
    assert database.schema.tables["child"].foreign_keys[0].kept_orphans == 3
    files["child"] = "id,parent_id\n1,1\n2,\n"
    assert open_files(schema, files).schema.tables["child"].foreign_keys[0].kept_orphans == 0


@pytest.mark.parametrize("owner", [True, False])
def test_a_sample_keeps_its_share_of_orphans_and_no_others(open_files: Open, owner: bool) -> None:
    schema = Schema().add_table("parent", "id").add_table("child", "id").add_table("mate", "id")
    schema.add_foreign_key("child.parent", "parent.id", owner=owner, orphans="keep")
    schema.add_foreign_key("mate.parent", "parent.id", owner=True)  # so that the parent is cut
    parents = "".join(f"{i}\n" for i in range(200))
    children = "".join(f"{i},{i % 200 if i < 400 else 1000 + i // 2}\n" for i in range(600))
    mates = "".join(f"{i},{i}\n" for i in range(200))
    files = {"parent": f"id\n{parents}", "child": f"id,parent\n{children}", "mate": f"id,parent\n{mates}"}
    database = open_files(schema, files, sample=0.5)
    parent = {r[0] for r in database.tables["parent"].collect()}
    rows = database.tables["child"].collect()
    lost = [r["parent"] for r in rows if r["parent"] is not None and r["parent"] not in parent]
    assert len(lost) == database.schema.tables["child"].foreign_keys[0].kept_orphans and min(lost) >= 1000
    if owner:
        assert 60 < len(lost) < 140 and {lost.count(k) for k in lost} == {2}, "families of orphans stay whole"
    else:
        assert len(lost) == 200 and sum(r["parent"] is None for r in rows) == 2 * (200 - len(parent))


def test_self_reference(open_files: Open) -> None:
    schema = Schema().add_table("t", "id").add_foreign_key("t.boss", "t.id")
    database = open_files(schema, {"t": "id,boss\n1,\n2,1\n3,9\n"})
    assert _rows(database.tables["t"]) == [(1, None), (2, 1), (3, None)]


def test_parquet_and_delta_keep_their_types(spark: SparkSession, tmp_path: Path, open_files: Open) -> None:
    frame = spark.sql("select cast(1 as smallint) id, 'x' s, cast(1.50 as decimal(9,2)) d, '01' k, '2020-01-01' day")
    frame.write.parquet(str(tmp_path / "parent.parquet"))
    child = spark.sql("select id, cast(1 as bigint) parent_id from range(3)")
    child.limit(1).write.format("delta").save(str(tmp_path / "child"))
    child.write.format("delta").mode("overwrite").save(str(tmp_path / "child"))
    schema = _family()
    schema.tables["parent"].columns |= {
        "s": Column(kind=Kind.TEXT),
        "d": Column(kind=Kind.NUMERIC),
        "k": Column(kind=Kind.CATEGORICAL),
        "day": Column(kind=Kind.DATETIME),
    }
    database = open_files(schema)
    assert list(_types(database, "parent").values()) == ["smallint", "string", "decimal(9,2)", "string", "date"]
    assert database.rows == {"parent": 1, "child": 3}
    child.write.format("delta").mode("append").save(str(tmp_path / "child"))
    assert database.tables["child"].count() == 3  # as it was when it was opened
    assert database.places == {
        "parent": (str(tmp_path / "parent.parquet"), None),
        "child": (str(tmp_path / "child"), 1),
    }


def test_key_types_that_differ_in_typed_files(spark: SparkSession, tmp_path: Path, open_files: Open) -> None:
    spark.range(3).write.parquet(str(tmp_path / "parent.parquet"))
    spark.sql("select id, string(id) parent_id from range(3)").write.parquet(str(tmp_path / "child.parquet"))
    with pytest.raises(UserError, match=r"child\.parent_id is string, but parent\.id, .* is bigint"):
        open_files(_family())


@pytest.mark.parametrize(
    ("schema", "files", "message"),
    [
        (_family(), {"parent": "id\n1\n"}, "table 'child' has no data: looked for"),
        (_one(amount="numeric"), {"t": "id,amuont\n1,1\n"}, "column t.amount of the schema is not in"),
        (_one(amount="numeric"), {"t": "id,amuont\n1,1\n"}, "did you mean 'amuont'"),
        (_one(), {"t": "id\n1\n2\n1\n"}, "primary key (id) not unique: 1 rows"),
        (_one(), {"t": "id,x\n1,1\n,1\n"}, "primary key (id) is NULL in 1 rows"),
        (_one(), {"t": "id\n"}, "table 't' has no rows"),
        (_one(), {"t": ""}, "is empty"),
        (_one(a="numeric"), {"t": "id,a\n1,1\n2,abc\n"}, "column t.a: 1 values are not a numeric"),
        (_one(a="datetime"), {"t": "id,a\n1,soon\n"}, "column t.a: 1 values are not a datetime"),
        (_one(a="boolean"), {"t": "id,a\n1,maybe\n"}, "column t.a: 1 values are not a boolean"),
        (_one(a="text"), {"t": "id,a\n1,x,y\n2,z\n"}, "1 lines have more or fewer fields"),
        (_one(), {"t": "id,a\n1,x,y\n2,z\n"}, "1 lines have more or fewer fields"),
        (_family("error"), {"parent": "id\n1\n", "child": "id,parent_id\n1,2\n2,3\n"}, "child.parent_id: 2 rows"),
        (
            _family(),
            {"parent": "id\n1\n", "child": "id,parent_id\n1,abc\n"},
            "child.parent_id holds text, but parent.id",
        ),
        (_family("drop"), {"parent": "id\n1\n", "child": "id,parent_id\n1,2\n"}, "'child' has no rows left"),
    ],
)
def test_bad_data_is_one_clear_line(open_files: Open, schema: Schema, files: dict[str, str], message: str) -> None:
    with pytest.raises(UserError) as error:
        open_files(schema, files)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert "abc" not in str(error.value), "a message must not show data"


def test_declared_type_that_values_do_not_fit(open_files: Open) -> None:
    schema = _one(a="numeric")
    schema.tables["t"].columns["a"].type = "int"
    with pytest.raises(UserError, match=r"t\.a: 1 values are not of type int"):
        open_files(schema, {"t": "id,a\n1,1\n2,5000000000\n"})


def test_kind_that_the_source_type_denies(spark: SparkSession, tmp_path: Path, open_files: Open) -> None:
    spark.sql("select 1 id, date'2020-01-01' a, binary('a') b").write.parquet(str(tmp_path / "t.parquet"))
    with pytest.raises(UserError, match=r"t\.a is of kind numeric, but its type is date"):
        open_files(_one(a="numeric"))
    with pytest.raises(UserError, match=r"t\.b has type binary"):
        open_files(_one(b="text"))


def test_nanoseconds_of_pandas_are_timestamps(spark: SparkSession, tmp_path: Path, open_files: Open) -> None:
    times = pd.DatetimeIndex([pd.Timestamp(1577836800123456789), pd.NaT, pd.Timestamp(-1)])
    frame = pd.DataFrame({"id": [1, 2, 3], "a b": times, "z": times.tz_localize("Asia/Tokyo")})
    frame.to_parquet(tmp_path / "t.parquet", index=False)
    database = open_files(_one(**{"a b": "datetime", "z": "datetime"}))
    assert _types(database, "t") == {"id": "bigint", "a b": "timestamp_ntz", "z": "timestamp"}
    rows = database.tables["t"].selectExpr("cast(`a b` as string)", "cast(z as string)").collect()
    assert [tuple(r) for r in rows] == [
        ("2020-01-01 00:00:00.123456", "2019-12-31 15:00:00.123456"),
        (None, None),
        ("1969-12-31 23:59:59.999999", "1969-12-31 14:59:59.999999"),
    ]


def test_missing_source(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="source.path .* does not exist"):
        open_database(spark, SourceSettings(path=str(tmp_path / "none")), _one(), 0)


def test_a_real_database(spark: SparkSession, shared_data: Path) -> None:
    folder = shared_data / "northwind"
    source = SourceSettings(path=str(folder))
    database = open_database(spark, source, load_schema(folder / "metadata.json"), 0)
    assert database.rows["order_details"] == 2155
    assert not any(database.orphans.values())
    assert _types(database, "territories") == {
        "territory_id": "string",
        "territory_description": "string",
        "region_id": "int",
    }
