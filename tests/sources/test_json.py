from __future__ import annotations

import datetime
import gzip
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_synth.config import SourceSettings
from spark_synth.errors import UserError
from spark_synth.schema import Schema
from spark_synth.sources import list_tables, open_database

LINES = """{"id": 1, "size": 2.5, "born": "2020-01-02", "ok": true, "tags": [1, 2], "home": {"city": "Ulm"}, "n": "é"}
{"id": 2, "size": null, "born": null, "ok": false, "n": "b"}
"""


def _schema() -> Schema:
    kinds = {"size": "numeric", "born": "datetime", "ok": "boolean", "tags": "text", "home": "text", "n": "text"}
    return Schema().add_table("t", "id", kinds)


@pytest.mark.parametrize("ending", [".jsonl", ".ndjson", ".json.gz"])
def test_json_lines_are_typed_and_what_is_nested_is_text(spark: SparkSession, tmp_path: Path, ending: str) -> None:
    data = LINES.encode()
    (tmp_path / f"t{ending}").write_bytes(gzip.compress(data) if ending.endswith(".gz") else data)
    (tmp_path / "metadata.json").write_text("{}")
    source = SourceSettings(path=str(tmp_path))
    assert list_tables(spark, source) == ["t"]
    database = open_database(spark, source, _schema(), 0)
    first = database.tables["t"].where("id = 1").first()
    assert first is not None
    assert (first["size"], first["born"], first["ok"]) == (2.5, datetime.date(2020, 1, 2), True)
    assert (first["tags"], first["home"], first["n"]) == ("[1,2]", '{"city":"Ulm"}', "é")


def test_a_line_that_is_no_object_is_told(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"id": 1, "size": 1.0}\n{"id": 2, "si\n')
    schema = Schema().add_table("t", None, {"size": "numeric"})
    with pytest.raises(UserError, match=r"t\.jsonl: 1 lines are no JSON object"):
        open_database(spark, SourceSettings(path=str(tmp_path), format="json"), schema, 0)
