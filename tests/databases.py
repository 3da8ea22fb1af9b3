"""Folders of CSV files with SDV metadata, loaded into databases that hold them to their constraints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Engine

UNIQUE: dict[str, dict[str, list[tuple[str, ...]]]] = {
    "sakila": {"store": [("manager_staff_id",)], "rental": [("rental_date", "inventory_id", "customer_id")]},
}
CHECKS = {
    "sakila": {
        "film": ["rating IN ('G', 'PG', 'PG-13', 'R', 'NC-17')", "length > 0"],
        "payment": ["amount >= 0"],
    },
    "northwind": {
        "order_details": ["discount >= 0 AND discount <= 1", "quantity > 0", "unit_price >= 0"],
        "products": ["unit_price >= 0", "reorder_level >= 0", "units_in_stock >= 0", "units_on_order >= 0"],
        "employees": ["birth_date < hire_date"],
    },
    "chinook": {"InvoiceLine": ['"UnitPrice" >= 0'], "Track": ['"Milliseconds" > 0', '"Bytes" > 0']},
}


def load_folder(folder: Path, engine: Engine) -> dict[str, int]:
    """Make the tables of a folder with keys, NOT NULL, unique constraints and checks, and fill them; rows by table."""
    told = json.loads((folder / "metadata.json").read_text())
    extra = folder / "extra_keys.json"
    composite = json.loads(extra.read_text()).get("composite_primary_keys", {}) if extra.exists() else {}
    frames = {
        t: _typed(pd.read_csv(folder / f"{t}.csv.gz", dtype=str), v["columns"]) for t, v in told["tables"].items()
    }
    metadata = sa.MetaData()
    for t, frame in frames.items():
        primary = told["tables"][t].get("primary_key") or composite.get(t, [])
        primary = [primary] if isinstance(primary, str) else primary
        sa.Table(t, metadata, *_columns(frame, primary), *_extras(folder.name, t))
    for r in told["relationships"]:
        parent = metadata.tables[r["parent_table_name"]]
        metadata.tables[r["child_table_name"]].append_constraint(
            sa.ForeignKeyConstraint(
                [r["child_foreign_key"]],
                [parent.c[r["parent_primary_key"]]],
                name=f"fk_{r['child_table_name']}_{r['child_foreign_key']}",
                use_alter=True,
                deferrable=True,
                initially="DEFERRED",
            )
        )
    with engine.begin() as connection:
        metadata.create_all(connection)
        for t, frame in frames.items():
            connection.execute(sa.insert(metadata.tables[t]), list(_rows(frame)))
    return {t: len(frame) for t, frame in frames.items()}


def _typed(frame: pd.DataFrame, columns: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    """Numbers and times as such; identifiers where they are whole numbers without leading zeros."""
    for name, column in columns.items():
        values = frame[name].dropna()
        if column["sdtype"] == "datetime":
            frame[name] = pd.to_datetime(frame[name])
        elif column["sdtype"] in ("numerical", "id") and values.str.fullmatch(r"-?(0|[1-9]\d{0,17})").all():
            frame[name] = frame[name].astype("Int64")
        elif column["sdtype"] == "numerical":
            frame[name] = frame[name].astype(float)
    return frame


def _columns(frame: pd.DataFrame, primary: Sequence[str]) -> Iterator[sa.Column[Any]]:
    for name in frame.columns:
        values = frame[name]
        key, full = name in primary, not values.isna().any()
        yield sa.Column(str(name), _type(values), primary_key=key, nullable=not full, autoincrement=False)


def _type(values: pd.Series) -> Any:  # noqa: ANN401 - a type of SQLAlchemy
    if values.isna().all():
        return sa.Integer()
    if pd.api.types.is_datetime64_any_dtype(values):
        return sa.Date() if (values.dropna() == values.dropna().dt.normalize()).all() else sa.DateTime()
    if pd.api.types.is_integer_dtype(values):
        return sa.BigInteger() if values.max() > 2**31 - 1 else sa.Integer()
    if pd.api.types.is_float_dtype(values):
        return sa.Numeric(12, 2) if (values.dropna().round(2) == values.dropna()).all() else sa.Double()
    longest = int(values.dropna().str.len().max() or 1)
    return sa.String(max(10, 2 * longest)) if longest <= 200 else sa.Text()


def _extras(database: str, table: str) -> list[Any]:
    unique = [sa.UniqueConstraint(*u) for u in UNIQUE.get(database, {}).get(table, [])]
    return [*unique, *(sa.CheckConstraint(c) for c in CHECKS.get(database, {}).get(table, []))]


def _rows(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    rows: list[dict[Any, Any]] = frame.astype(object).where(frame.notna(), None).to_dict("records")
    for row in rows:
        yield {str(k): v.to_pydatetime() if isinstance(v, pd.Timestamp) else v for k, v in row.items()}
