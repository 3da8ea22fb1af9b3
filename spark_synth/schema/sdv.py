"""SDV `MULTI_TABLE_V1` metadata, read and written.

SDV knows neither owners, reference tables, orphan policies nor declared types: those are lost on the way out.
Composite keys are written as lists, which SDV's own multi-table models do not take.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from spark_synth.errors import UserError
from spark_synth.schema.check import suggestion
from spark_synth.schema.model import Column, ForeignKey, Kind, Schema

SPEC_KEY = "METADATA_SPEC_VERSION"
_SPEC = "MULTI_TABLE_V1"
_KINDS = {
    "numerical": Kind.NUMERIC,
    "categorical": Kind.CATEGORICAL,
    "datetime": Kind.DATETIME,
    "boolean": Kind.BOOLEAN,
    "id": Kind.KEY,
    "unknown": Kind.TEXT,
}
_SDTYPES = {kind: sdtype for sdtype, kind in _KINDS.items()}


def from_sdv(metadata: Mapping[str, Any]) -> Schema:
    """A Schema from SDV multi-table metadata. Sdtypes beyond the six basic ones are Faker providers: kind pii."""
    if metadata.get(SPEC_KEY) != _SPEC:
        raise UserError(f"SDV metadata: {SPEC_KEY} is {metadata.get(SPEC_KEY)!r}, only {_SPEC!r} can be read")
    schema = Schema()
    for name, spec in _mapping(metadata.get("tables"), "tables").items():
        schema.add_table(name)
        table = schema.tables[name]
        for column, entry in _mapping(spec.get("columns"), f"tables.{name}.columns").items():
            table.columns[column] = _column(name, column, _mapping(entry, f"tables.{name}.columns.{column}"))
        table.primary_key = _names(spec.get("primary_key"))
    for i, entry in enumerate(metadata.get("relationships") or []):
        relationship = _mapping(entry, f"relationships[{i}]")
        missing = [k for k in _RELATIONSHIP if k not in relationship]
        if missing:
            raise UserError(f"SDV metadata: relationships[{i}] lacks {missing[0]!r}")
        _add_relationship(schema, relationship)
    return schema


def to_sdv(schema: Schema) -> dict[str, Any]:
    """SDV multi-table metadata of a schema."""
    tables: dict[str, Any] = {}
    relationships = []
    for name, table in schema.tables.items():
        tables[name] = {"columns": {c: _sdtype(spec) for c, spec in table.columns.items()}}
        if table.primary_key:
            tables[name]["primary_key"] = _one_or_list(table.primary_key)
        for fk in table.foreign_keys:
            values = (fk.parent, _one_or_list(fk.parent_columns), name, _one_or_list(fk.columns))
            relationships.append(dict(zip(_RELATIONSHIP, values, strict=True)))
    return {SPEC_KEY: _SPEC, "tables": tables, "relationships": relationships}


_RELATIONSHIP = ("parent_table_name", "parent_primary_key", "child_table_name", "child_foreign_key")


def _add_relationship(schema: Schema, entry: Mapping[str, Any]) -> None:
    parent, child = entry["parent_table_name"], entry["child_table_name"]
    ends = [(child, _names(entry["child_foreign_key"])), (parent, _names(entry["parent_primary_key"]))]
    for table, columns in ends:
        if table not in schema.tables:
            raise UserError(
                f"SDV metadata: relationship {child} -> {parent} names unknown table {table!r}"
                f"{suggestion(table, schema.tables)}"
            )
        known = schema.tables[table].columns
        for column in columns:
            if column not in known:
                raise UserError(
                    f"SDV metadata: relationship {child} -> {parent} names unknown column "
                    f"{table}.{column}{suggestion(column, known)}"
                )
    holder = schema.tables[child]
    name = f"{child}.{'+'.join(ends[0][1])}"
    if any(fk.name == name for fk in holder.foreign_keys):  # one column that references two tables
        name = f"{name}->{parent}"
    holder.foreign_keys.append(ForeignKey(name=name, columns=ends[0][1], parent=parent, parent_columns=ends[1][1]))


def _column(table: str, name: str, entry: Mapping[str, Any]) -> Column:
    sdtype = entry.get("sdtype")
    if sdtype in _KINDS:
        kind = _KINDS[sdtype]
        return Column(kind=kind, format=entry.get("datetime_format") if kind is Kind.DATETIME else None)
    if not isinstance(sdtype, str) or sdtype not in _providers():
        raise UserError(
            f"SDV metadata: column {table}.{name} has unknown sdtype {sdtype!r}{suggestion(str(sdtype), _KINDS)}"
        )
    return Column(kind=Kind.PII, provider=sdtype)


def _sdtype(column: Column) -> dict[str, str]:
    if column.kind is Kind.PII:
        return {"sdtype": column.provider or "unknown"}
    made = {"sdtype": _SDTYPES[column.kind]}
    if column.format:
        made["datetime_format"] = column.format
    return made


@cache
def _providers() -> frozenset[str]:
    """Names of the methods of the standard Faker providers."""
    from faker import Faker  # imported here: most metadata names no provider, and Faker loads slowly

    return frozenset(m for p in Faker().get_providers() for m in dir(p) if not m.startswith("_"))


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UserError(f"SDV metadata: {where} is not a mapping")
    return value


def _names(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(str(v) for v in value) if isinstance(value, list) else ()


def _one_or_list(names: tuple[str, ...]) -> str | list[str]:
    return names[0] if len(names) == 1 else list(names)
