"""The type of every column: told by the source, declared in the schema, or inferred from text.

Inference needs one number a column: the highest *level* of its values (see `level`), all from one aggregation a table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import networkx as nx
from pyspark.sql import Column as SparkColumn
from pyspark.sql import functions as F

from spark_synth.errors import UserError
from spark_synth.schema.check import check_same_type, is_type, type_class
from spark_synth.schema.model import Column, ForeignKey, Kind, Schema
from spark_synth.sources.files import RawTable
from spark_synth.sources.parsing import cast_to, has_time
from spark_synth.sources.spark_util import col

BAD = 9  # level of a value that does not fit the kind or the declared type
_FITS = 1
_TEXT = 3
_LEVELS: dict[Kind, dict[int, str]] = {
    Kind.NUMERIC: {1: "int", 2: "bigint", 3: "double"},
    Kind.KEY: {1: "int", 2: "bigint", _TEXT: "string"},
    Kind.CATEGORICAL: {1: "int", 2: "bigint", _TEXT: "string"},
    Kind.DATETIME: {1: "date", 2: "timestamp"},
    Kind.BOOLEAN: {1: "boolean"},
}
_ALL_NULL = {Kind.NUMERIC: "double", Kind.DATETIME: "timestamp", Kind.BOOLEAN: "boolean"}
_FITTING = {
    Kind.NUMERIC: ("tinyint", "smallint", "int", "bigint", "float", "double", "decimal"),
    Kind.DATETIME: ("date", "timestamp", "timestamp_ntz"),
    Kind.BOOLEAN: ("boolean",),
    Kind.TEXT: ("string",),
    Kind.PII: ("string",),
}
_CANONICAL = r"^(0|-?[1-9][0-9]*)$"  # an integer that can be written back digit by digit
_WHOLE = r"^\s*[+-]?[0-9]+\s*$"

Node = tuple[str, str]  # table, column


@dataclass
class ColumnType:
    """What is known of one column's type: `fixed` by source or schema, or `inferred` (None: all NULL)."""

    fixed: str | None
    inferred: str | None = None
    only_integers: bool = False  # key-like text, all of it canonical integers
    only_text: bool = False  # key-like text, none of it a canonical integer


def source_type(table: str, name: str, column: Column, raw: RawTable) -> str | None:
    """The type that the schema or the source gives a column; None where only its text can tell."""
    given = raw.frame.schema[name].dataType.simpleString()
    if not is_type(given):
        raise UserError(f"column {table}.{name} has type {given}, which cannot be modelled: leave it out of the schema")
    fixed = column.type
    if fixed is None and name in raw.types and column.kind is Kind.NUMERIC:
        fixed = raw.types[name]
    typed_text = given == "string" and name not in raw.untyped
    if fixed is None and (given != "string" or (typed_text and column.kind not in _ALL_NULL)):
        fixed = given
    if fixed is not None:
        _check_fit(table, name, column, fixed)
    return fixed


def level(name: str, column: Column, fixed: str | None) -> SparkColumn:
    """Level of each value, NULL for NULL: the number of the narrowest type of its kind that holds it, or BAD."""
    value = col(name)
    if fixed is not None:
        fits = cast_to(name, fixed, column.format).isNotNull()
        steps = F.when(fits, _FITS).otherwise(BAD)
    elif column.kind is Kind.NUMERIC:
        whole = value.rlike(_WHOLE)
        steps = F.when(whole & cast_to(name, "int").isNotNull(), 1)
        steps = steps.when(whole & cast_to(name, "bigint").isNotNull(), 2)
        steps = steps.when(cast_to(name, "double").isNotNull(), 3).otherwise(BAD)
    elif column.kind is Kind.DATETIME:
        time = cast_to(name, "timestamp", column.format)
        midnight = F.lit(not has_time(column.format)) if column.format else time == F.date_trunc("day", time)
        steps = F.when(time.isNull(), BAD).when(midnight, 1).otherwise(2)
    elif column.kind is Kind.BOOLEAN:
        steps = F.when(cast_to(name, "boolean").isNotNull(), _FITS).otherwise(BAD)
    elif column.kind in (Kind.KEY, Kind.CATEGORICAL):
        whole = value.rlike(_CANONICAL)
        steps = F.when(whole & cast_to(name, "int").isNotNull(), 1)
        steps = steps.when(whole & cast_to(name, "bigint").isNotNull(), 2).otherwise(_TEXT)
    else:
        steps = F.lit(_FITS)
    return F.when(value.isNull(), None).otherwise(steps)


def needs_level(column: Column, fixed: str | None, given: str) -> bool:
    """Whether the values of a column must be looked at: to infer its type, or to see that they fit another one."""
    return fixed != given if fixed else column.kind in _LEVELS


def column_type(column: Column, fixed: str | None, lowest: int | None, highest: int | None) -> ColumnType:
    """What the levels of a column say about its type."""
    if fixed:
        return ColumnType(fixed)
    if column.kind not in _LEVELS:
        return ColumnType("string")
    inferred = None if highest is None else _LEVELS[column.kind][highest]
    if column.kind is Kind.DATETIME and column.format:
        inferred = "timestamp" if has_time(column.format) else "date"
    key_like = highest is not None and column.kind in (Kind.KEY, Kind.CATEGORICAL)
    return ColumnType(None, inferred, key_like and highest != _TEXT, key_like and lowest == _TEXT)


def settle_types(schema: Schema, types: Mapping[Node, ColumnType]) -> dict[Node, str]:
    """The final type of every column; foreign keys and the keys that they reference share theirs."""
    final = {
        node: t.fixed or t.inferred or _ALL_NULL.get(schema.tables[node[0]].columns[node[1]].kind, "string")
        for node, t in types.items()
    }
    graph: nx.Graph[Node] = nx.Graph()
    for child, parent, fk in _key_pairs(schema):
        graph.add_edge(child, parent)
        a, b = types[child], types[parent]
        if (a.only_integers and b.only_text) or (a.only_text and b.only_integers):
            words = ("whole numbers", "text") if a.only_integers else ("text", "whole numbers")
            raise UserError(
                f"foreign key column {'.'.join(child)} holds {words[0]}, but {'.'.join(parent)}, which it references, "
                f"holds {words[1]}: correct foreign key {fk.name} or the data"
            )
    for group in nx.connected_components(graph):
        shared = _common([types[n] for n in group])
        final |= {n: shared for n in group if shared and types[n].fixed is None}
    for child, parent, fk in _key_pairs(schema):
        check_same_type(child[0], child[1], final[child], fk, parent[1], final[parent])
    return final


def _common(group: list[ColumnType]) -> str | None:
    """The one type of columns that hold the same keys; None where there is none, or nothing is known."""
    fixed = {t.fixed for t in group if t.fixed}
    known = fixed or {t.inferred for t in group if t.inferred}
    if len(known) == 1:
        return next(iter(known))
    if known and all(type_class(t) == "integer" for t in known):
        return "bigint"
    if not fixed and "string" in known:
        return "string"
    if known == {"date", "timestamp"}:
        return "timestamp"
    return "double" if known and known <= {"int", "bigint", "double"} else None


def _key_pairs(schema: Schema) -> Iterator[tuple[Node, Node, ForeignKey]]:
    for name, table in schema.tables.items():
        for fk in table.foreign_keys:
            for ours, theirs in zip(fk.columns, fk.parent_columns, strict=True):
                yield (name, ours), (fk.parent, theirs), fk


def _check_fit(table: str, name: str, column: Column, type_: str) -> None:
    fitting = _FITTING.get(column.kind)
    if fitting and type_.partition("(")[0] not in fitting:
        raise UserError(
            f"column {table}.{name} is of kind {column.kind}, but its type is {type_}: give it another kind, or "
            f"declare its type as one of {', '.join(fitting)}"
        )
