from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spark_synth.errors import UserError
from spark_synth.schema import Kind, from_sdv, load_schema, save_schema, to_sdv


def _metadata(**tables: dict[str, Any]) -> dict[str, Any]:
    return {"METADATA_SPEC_VERSION": "MULTI_TABLE_V1", "tables": tables, "relationships": []}


def _sorted(relationships: list[dict[str, str]]) -> list[list[tuple[str, str]]]:
    return sorted(sorted(r.items()) for r in relationships)


def test_real_metadata_round_trips(shared_data: Path, tmp_path: Path) -> None:
    files = sorted(shared_data.glob("*/metadata.json"))
    assert files
    for file in files:
        original = json.loads(file.read_text(encoding="utf-8"))
        schema = load_schema(file)
        written = json.loads(json.dumps(to_sdv(schema)))
        assert _sorted(written["relationships"]) == _sorted(original["relationships"])
        assert written["tables"] == original["tables"]
        save_schema(schema, tmp_path / "schema.yaml")
        assert load_schema(tmp_path / "schema.yaml") == schema


def test_kinds_providers_and_composite_keys() -> None:
    metadata = _metadata(
        person={
            "columns": {
                "id": {"sdtype": "id"},
                "site": {"sdtype": "id"},
                "mail": {"sdtype": "email"},
                "note": {"sdtype": "unknown"},
                "born": {"sdtype": "datetime", "datetime_format": "%d.%m.%Y"},
            },
            "primary_key": ["id", "site"],
        },
        visit={"columns": {"p": {"sdtype": "id"}, "s": {"sdtype": "id"}}},
    )
    metadata["relationships"] = [
        {
            "parent_table_name": "person",
            "parent_primary_key": ["id", "site"],
            "child_table_name": "visit",
            "child_foreign_key": ["p", "s"],
        }
    ]
    schema = from_sdv(metadata)
    columns = schema.tables["person"].columns
    assert (columns["mail"].kind, columns["mail"].provider) == (Kind.PII, "email")
    assert columns["note"].kind is Kind.TEXT
    assert schema.tables["visit"].foreign_keys[0].name == "visit.p+s"
    assert to_sdv(schema) == metadata


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"METADATA_SPEC_VERSION": "SINGLE_TABLE_V1"}, "MULTI_TABLE_V1"),
        (_metadata(t={"columns": {"a": {"sdtype": "numerica"}}}), "t.a has unknown sdtype 'numerica'"),
        (_metadata(t={"columns": {"a": {}}}), "t.a has unknown sdtype None"),
        (_metadata(t={"columns": []}), "tables.t.columns is not a mapping"),
        (_metadata(t={"columns": {"a": {"sdtype": "id"}}}) | {"relationships": [{}]}, "relationships[0] lacks"),
    ],
)
def test_mistakes_are_named(metadata: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        from_sdv(metadata)
    assert message in str(error.value)


def test_relationship_to_nowhere() -> None:
    metadata = _metadata(t={"columns": {"a": {"sdtype": "id"}}})
    names = ("parent_table_name", "parent_primary_key", "child_table_name", "child_foreign_key")
    for values, message in ((("u", "a", "t", "a"), "unknown table 'u'"), (("t", "b", "t", "a"), "unknown column t.b")):
        metadata["relationships"] = [dict(zip(names, values, strict=True))]
        with pytest.raises(UserError, match=message):
            from_sdv(metadata)
