"""Tables, keys and relationships of a database: the one description that every other room works from.

Pure Python: nothing here needs Spark or torch, so a schema can be built and checked anywhere.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from spark_synth.errors import UserError


class Kind(StrEnum):
    """What a column means, which decides its codec and its metrics."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    DATETIME = "datetime"
    BOOLEAN = "boolean"
    TEXT = "text"
    PII = "pii"
    KEY = "key"


class Orphans(StrEnum):
    """What to do with foreign key values that resolve to no parent row."""

    NULL = "null"
    ERROR = "error"
    DROP = "drop"
    KEEP = "keep"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Column(_Strict):
    """One column. `type` is a Spark simple type string ("int", "decimal(10,2)"); None until the source told it."""

    kind: Kind
    provider: str | None = None  # Faker provider, for kind pii
    type: str | None = None
    format: str | None = None  # strptime format of datetimes in text sources


class ForeignKey(_Strict):
    """An edge of the schema graph, from `columns` of the table that holds it to `parent_columns` of `parent`."""

    name: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    owner: bool | None = None  # True: rows are ordered sequences under this key; None: chosen automatically
    orphans: Orphans = Orphans.NULL
    cut: str | None = None  # why a cycle of tables is opened here (schema.cycles); the key is filled last
    implied: str | None = None  # the foreign key of the same table that it follows from (schema.overlap, sources.paths)
    onward: str | None = None  # of the table that `implied` leads to: its foreign key that has the same value
    partly: bool = False  # some rows have NULL in it beside a column that another key has too (sources.partly)
    last: bool = False  # it shares a column with a key into a reference table, so it is filled when that is known
    gathered: float = 0.0  # share of the variance of time between families, where several keys could own
    kept_orphans: int = 0  # rows of the source without a row in the parent, where these are kept
    confidence: float | None = None
    evidence: str | None = None


class Table(_Strict):
    """A table: ordered columns, primary key (empty tuple: none), foreign keys in declaration order."""

    columns: dict[str, Column]
    primary_key: tuple[str, ...] = ()
    foreign_keys: list[ForeignKey] = Field(default_factory=list)
    reference: bool = False  # real rows are kept and rows link to them
    confidence: float | None = None
    evidence: str | None = None

    def foreign_key_columns(self) -> set[str]:
        """Names of the columns that take part in any foreign key."""
        return {c for fk in self.foreign_keys for c in fk.columns}

    def value_columns(self) -> list[str]:
        """Columns that carry content: neither key columns nor part of a foreign key."""
        links = self.foreign_key_columns()
        return [c for c, v in self.columns.items() if c not in links and v.kind is not Kind.KEY]


class Schema(_Strict):
    """All tables of a database. `approved` is False for a discovered schema until the user approves it."""

    tables: dict[str, Table] = Field(default_factory=dict)
    approved: bool = True

    def table(self, name: str) -> Table:
        """The table of that name; UserError where there is none."""
        if name not in self.tables:
            raise UserError(f"table {name!r} is not in the schema (tables: {', '.join(self.tables) or 'none'})")
        return self.tables[name]

    def add_table(
        self,
        name: str,
        primary_key: str | list[str] | None = None,
        columns: dict[str, str] | None = None,
        reference: bool = False,
    ) -> Schema:
        """Declare a table; `columns` maps names to kinds ("numeric", "pii:name", ...). Returns self, so calls chain."""
        if name in self.tables:
            raise UserError(f"table {name!r} is declared twice")
        keys = (primary_key,) if isinstance(primary_key, str) else tuple(primary_key or ())
        made = {c: parse_kind(k, name, c) for c, k in (columns or {}).items()}
        for key in keys:
            made.setdefault(key, Column(kind=Kind.KEY))
        self.tables[name] = Table(columns=made, primary_key=keys, reference=reference)
        return self

    def add_foreign_key(
        self, child: str, parent: str, owner: bool | None = None, orphans: str = "null", name: str | None = None
    ) -> Schema:
        """Declare `add_foreign_key("invoice.account_id", "account.account_id")`; composite: "t.(a,b)". Returns self."""
        table, columns = _split(child)
        parent_table, parent_columns = _split(parent)
        if len(columns) != len(parent_columns):
            raise UserError(f"foreign key {child} -> {parent}: {len(columns)} columns against {len(parent_columns)}")
        holder = self.table(table)
        self.table(parent_table)
        for c in columns:
            holder.columns.setdefault(c, Column(kind=Kind.KEY))
        holder.foreign_keys.append(
            ForeignKey(
                name=name or f"{table}.{'+'.join(columns)}",
                columns=columns,
                parent=parent_table,
                parent_columns=parent_columns,
                owner=owner,
                orphans=Orphans(orphans),
            )
        )
        return self

    def children(self, parent: str) -> list[tuple[str, ForeignKey]]:
        """(table, foreign key) pairs that point at `parent`, in schema order."""
        return [(t, fk) for t, v in self.tables.items() for fk in v.foreign_keys if fk.parent == parent]


def parse_kind(text: str, table: str, column: str) -> Column:
    """A Column from its short form: a kind, or `pii:<faker provider>`."""
    kind, _, provider = text.partition(":")
    if kind not in set(Kind) or (provider and kind != Kind.PII):
        raise UserError(
            f"column {table}.{column}: unknown kind {text!r} (use one of {', '.join(Kind)}, pii:<provider>)"
        )
    return Column(kind=Kind(kind), provider=provider or None)


def _split(path: str) -> tuple[str, tuple[str, ...]]:
    """('t', ('a', 'b')) of 't.(a,b)', ('t', ('a',)) of 't.a'."""
    table, _, columns = path.partition(".")
    names = tuple(c.strip() for c in columns.strip("()").split(",") if c.strip())
    if not table or not names:
        raise UserError(f"{path!r} does not name a column: write table.column or table.(column,column)")
    return table, names
