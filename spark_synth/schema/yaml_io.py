"""schema.yaml, the one human-edited file, and the dispatch between it and SDV metadata."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from spark_synth.errors import UserError
from spark_synth.schema.check import check_schema, suggestion
from spark_synth.schema.model import Column, ForeignKey, Kind, Orphans, Schema, Table, parse_kind
from spark_synth.schema.sdv import SPEC_KEY, from_sdv
from spark_synth.yaml_text import load_yaml_mapping

_TOP = ("tables", "approved")
_TABLE = ("primary_key", "reference", "columns", "foreign_keys", "confidence", "evidence")
_COLUMN = ("kind", "type", "format", "provider")
_FOREIGN_KEY = ("name", "columns", "parent", "parent_columns", "owner", "orphans", "confidence", "evidence")
_HEADER = f"""\
# Kinds of columns: {", ".join(k for k in Kind if k is not Kind.PII)}, pii:<faker provider>.
# owner: true on the foreign key under which a table's rows are sequences; orphans: {", ".join(Orphans)}.
"""
_REVIEW = "# Proposed, not confirmed: review it, then set approved to true.\n"


def load_schema(path: str | Path) -> Schema:
    """The schema declared in a file: schema.yaml, or SDV metadata (.json, or any file that says so)."""
    is_json = Path(path).suffix == ".json"
    data = _json(path) if is_json else load_yaml_mapping(path, "schema file")
    try:
        schema = from_sdv(data) if is_json or SPEC_KEY in data else _schema(data)
        check_schema(schema)
    except UserError as e:
        raise UserError(f"schema file {path}: {e}") from None
    return schema


def save_schema(schema: Schema, path: str | Path) -> None:
    """Write schema.yaml in its short form; what has its default value is left out."""
    body = {"approved": schema.approved, "tables": {n: _table_out(schema, n) for n in schema.tables}}
    text = yaml.dump(body, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    header = _HEADER if schema.approved else _HEADER + _REVIEW
    Path(path).write_text(header + text, encoding="utf-8")


# Reading ---------------------------------------------------------------------------------------------------------


def _json(path: str | Path) -> dict[str, Any]:
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"schema file {path} does not exist") from None
    except json.JSONDecodeError as e:
        raise UserError(f"schema file {path}: line {e.lineno}: {e.msg}") from None
    except (OSError, UnicodeDecodeError) as e:
        raise UserError(f"schema file {path} cannot be read: {e}") from None
    if not isinstance(data, dict):
        raise UserError(f"schema file {path}: expected SDV metadata, found no mapping")
    return data


def _schema(data: dict[str, Any]) -> Schema:
    _known(data, _TOP, "the schema")
    tables = _mapping(data.get("tables") or {}, "tables")
    schema = Schema(
        tables={n: _table(n, _mapping(t, f"table {n!r}")) for n, t in tables.items()},
        approved=_flag(data.get("approved", "true"), "approved"),
    )
    for table in schema.tables.values():
        for fk in table.foreign_keys:
            if not fk.parent_columns and fk.parent in schema.tables:
                fk.parent_columns = schema.tables[fk.parent].primary_key
    return schema


def _table(name: str, entry: dict[str, Any]) -> Table:
    where = f"table {name!r}"
    _known(entry, _TABLE, where)
    columns = _mapping(entry.get("columns") or {}, f"{where}: columns")
    keys = entry.get("foreign_keys") or []
    if not isinstance(keys, list):
        raise UserError(f"{where}: foreign_keys must be a list")
    return Table(
        columns={c: _column(name, c, spec) for c, spec in columns.items()},
        primary_key=_names(entry.get("primary_key"), f"{where}: primary_key"),
        foreign_keys=[_foreign_key(name, i, _mapping(k, f"{where}: foreign_keys[{i}]")) for i, k in enumerate(keys)],
        reference=_flag(entry.get("reference", "false"), f"{where}: reference"),
        confidence=_number(entry.get("confidence"), f"{where}: confidence"),
        evidence=_text(entry.get("evidence"), f"{where}: evidence"),
    )


def _column(table: str, name: str, entry: object) -> Column:
    if isinstance(entry, str):
        return parse_kind(entry, table, name)
    where = f"column {table}.{name}"
    spec = _mapping(entry, where)
    _known(spec, _COLUMN, where)
    values = {key: _text(value, f"{where}: {key}") for key, value in spec.items()}
    column = parse_kind(values.get("kind") or "", table, name)
    column.type, column.format = values.get("type"), values.get("format")
    column.provider = column.provider or values.get("provider")
    return column


def _foreign_key(table: str, index: int, entry: dict[str, Any]) -> ForeignKey:
    where = f"table {table!r}: foreign_keys[{index}]"
    _known(entry, _FOREIGN_KEY, where)
    for key in ("columns", "parent"):
        if not entry.get(key):
            raise UserError(f"{where} lacks {key!r}")
    columns = _names(entry["columns"], f"{where}: columns")
    if not isinstance(entry["parent"], str):
        raise UserError(f"{where}: parent must be the name of a table")
    orphans = entry.get("orphans") or "null"  # a bare null is YAML's own, and means the policy of that name
    if orphans not in list(Orphans):
        raise UserError(f"{where}: orphans is {orphans!r}, it must be one of {', '.join(Orphans)}")
    owner = entry.get("owner")
    return ForeignKey(
        name=_text(entry.get("name"), f"{where}: name") or f"{table}.{'+'.join(columns)}",
        columns=columns,
        parent=entry["parent"],
        parent_columns=_names(entry.get("parent_columns"), f"{where}: parent_columns"),
        owner=None if owner is None else _flag(owner, f"{where}: owner"),
        orphans=Orphans(orphans),
        confidence=_number(entry.get("confidence"), f"{where}: confidence"),
        evidence=_text(entry.get("evidence"), f"{where}: evidence"),
    )


def _known(entry: dict[str, Any], known: Iterable[str], where: str) -> None:
    for key in entry:
        if key not in known:
            raise UserError(f"{where}: unknown key {key!r}{suggestion(key, known)}")


def _mapping(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(k, str) for k in value):
        raise UserError(f"{where} must be a mapping whose keys are names (quote a name such as 'null')")
    return value


def _names(value: object, where: str) -> tuple[str, ...]:
    """Column names: a list, or one name alone."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or not all(isinstance(n, str) for n in value):
        raise UserError(f"{where} must be a list of column names")
    return tuple(value)


def _text(value: object, where: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise UserError(f"{where} must be text")
    return value


def _flag(value: object, where: str) -> bool:
    if value not in ("true", "false", "True", "False"):
        raise UserError(f"{where} is {value!r}, it must be true or false")
    return str(value).lower() == "true"


def _number(value: object, where: str) -> float | None:
    if value is None:
        return None
    try:
        return float(str(value))
    except ValueError:
        raise UserError(f"{where} is {value!r}, it must be a number") from None


# Writing ---------------------------------------------------------------------------------------------------------


class _Inline(dict[str, Any]):
    """A mapping written on one line."""


class _Dumper(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)  # lists stand under their key, not beside it


_Dumper.add_representer(_Inline, lambda d, v: d.represent_mapping("tag:yaml.org,2002:map", v, flow_style=True))
_Dumper.add_representer(tuple, lambda d, v: d.represent_sequence("tag:yaml.org,2002:seq", v, flow_style=True))


def _table_out(schema: Schema, name: str) -> dict[str, Any]:
    table = schema.tables[name]
    out: dict[str, Any] = {}
    if table.primary_key:
        out["primary_key"] = table.primary_key
    if table.reference:
        out["reference"] = True
    out |= _evidence(table)
    out["columns"] = {c: _column_out(spec) for c, spec in table.columns.items()}
    if table.foreign_keys:
        out["foreign_keys"] = [_foreign_key_out(schema, name, fk) for fk in table.foreign_keys]
    return out


def _column_out(column: Column) -> str | _Inline:
    kind = f"{column.kind}:{column.provider}" if column.provider else str(column.kind)
    extra = {k: v for k, v in (("type", column.type), ("format", column.format)) if v is not None}
    return _Inline(kind=kind, **extra) if extra else kind


def _foreign_key_out(schema: Schema, table: str, fk: ForeignKey) -> dict[str, Any]:
    out: dict[str, Any] = {"columns": fk.columns, "parent": fk.parent}
    if fk.parent not in schema.tables or fk.parent_columns != schema.tables[fk.parent].primary_key:
        out["parent_columns"] = fk.parent_columns
    if fk.owner is not None:
        out["owner"] = fk.owner
    if fk.orphans is not Orphans.NULL:
        out["orphans"] = str(fk.orphans)
    if fk.name != f"{table}.{'+'.join(fk.columns)}":
        out["name"] = fk.name
    return out | _evidence(fk)


def _evidence(item: Table | ForeignKey) -> dict[str, Any]:
    return {k: v for k, v in (("confidence", item.confidence), ("evidence", item.evidence)) if v is not None}
