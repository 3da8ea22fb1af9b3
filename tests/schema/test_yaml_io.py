from __future__ import annotations

from pathlib import Path

import pytest

from spark_synth.errors import UserError
from spark_synth.schema import Kind, Orphans, Schema, load_schema, save_schema

FLIGHTS = """
tables:
  planes:
    primary_key: tailnum
    columns: {tailnum: key, seats: {kind: numeric, type: int}, no: 'pii:name'}
  airports:
    primary_key: [faa]
    reference: true
    columns: {faa: key, "odd: name, é": text}
  flights:
    columns:
      tailnum: key
      origin: key
      dest: key
      time: {kind: datetime, format: '%Y-%m-%d'}
    foreign_keys:
      - {columns: [tailnum], parent: planes, owner: true, orphans: null}
      - {columns: [origin], parent: airports, orphans: drop}
      - {columns: [dest], parent: airports, parent_columns: [faa], orphans: error, owner: false, name: to}
approved: false
"""


def _write(folder: Path, text: str, name: str = "schema.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_the_short_form(tmp_path: Path) -> None:
    schema = load_schema(_write(tmp_path, FLIGHTS))
    assert not schema.approved
    assert schema.tables["airports"].reference
    assert schema.tables["planes"].primary_key == ("tailnum",)
    assert schema.tables["planes"].columns["no"].provider == "name"
    assert schema.tables["planes"].columns["seats"].type == "int"
    assert schema.tables["flights"].columns["time"].format == "%Y-%m-%d"
    tail, origin, dest = schema.tables["flights"].foreign_keys
    assert (tail.name, tail.owner, tail.orphans, tail.parent_columns) == (
        "flights.tailnum",
        True,
        Orphans.NULL,
        ("tailnum",),
    )
    assert (origin.owner, origin.orphans) == (None, Orphans.DROP)
    assert (dest.name, dest.owner, dest.orphans) == ("to", False, Orphans.ERROR)


def test_round_trip(tmp_path: Path) -> None:
    schema = load_schema(_write(tmp_path, FLIGHTS))
    schema.tables["flights"].evidence = "unique: yes, 'quoted'"
    schema.tables["flights"].foreign_keys[0].confidence = 0.75
    save_schema(schema, tmp_path / "again.yaml")
    assert load_schema(tmp_path / "again.yaml") == schema
    assert "seats: {kind: numeric, type: int}" in (tmp_path / "again.yaml").read_text(encoding="utf-8")


def test_schema_made_by_hand_survives(tmp_path: Path) -> None:
    schema = Schema()
    schema.add_table("a", ["x", "y"], {"x": "numeric", "007": "boolean"})
    schema.add_table("b").add_foreign_key("b.(x,y)", "a.(x,y)")
    save_schema(schema, tmp_path / "s.yaml")
    again = load_schema(tmp_path / "s.yaml")
    assert again == schema
    assert again.tables["a"].columns["007"].kind is Kind.BOOLEAN


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tabels: {}", "unknown key 'tabels' (did you mean 'tables'?)"),
        ("tables: {t: {colums: {a: key}}}", "did you mean 'columns'"),
        ("tables: {t: {columns: {a: numerik}}}", "t.a: unknown kind 'numerik'"),
        ("tables: {t: {columns: {a: {type: int}}}}", "t.a"),
        ("tables: {t: {columns: {a: {kind: key, fromat: x}}}}", "did you mean 'format'"),
        ("tables: {t: {columns: {a: {kind: key, type: [int]}}}}", "column t.a: type must be text"),
        ("tables: {t: {columns: [a]}}", "columns must be a mapping"),
        ("tables: {t: {columns: {a: key}, reference: maybe}}", "must be true or false"),
        ("tables: {t: {columns: {a: key}, foreign_keys: [{columns: [a]}]}}", "lacks 'parent'"),
        (
            "tables: {t: {columns: {a: key}, foreign_keys: [{columns: [a], parent: t, orphans: lose}]}}",
            "null, error, drop, keep",
        ),
        ("tables: {t: {columns: {a: key, a: key}}}", "'a' is given twice"),
        ("tables: {t: {columns: {a: key}}", "schema.yaml: line"),
        ("[]", "expected"),
        ("{}", "no tables"),
    ],
)
def test_mistakes_are_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        load_schema(_write(tmp_path, text))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_file(tmp_path: Path) -> None:
    for name in ("none.yaml", "none.json"):
        with pytest.raises(UserError, match="does not exist"):
            load_schema(tmp_path / name)


def test_sdv_metadata_in_any_file(tmp_path: Path) -> None:
    text = '{"METADATA_SPEC_VERSION": "MULTI_TABLE_V1", "tables": {"t": {"columns": {"a": {"sdtype": "id"}}}}}'
    for name in ("metadata.json", "metadata.txt"):
        assert load_schema(_write(tmp_path, text, name)).tables["t"].columns["a"].kind is Kind.KEY
    with pytest.raises(UserError, match="line 1"):
        load_schema(_write(tmp_path, "{", "metadata.json"))
