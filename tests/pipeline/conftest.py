"""A small shop, as it might be found: seven tables with what real databases do to a tool."""

from __future__ import annotations

import datetime
import decimal
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from tests.pipeline.market import Market, train_market

SCHEMA = """
tables:
  countries:
    primary_key: [code]
    reference: true
    columns: {code: key, title: text}
  customers:
    primary_key: [id]
    columns:
      id: key
      name: pii:name
      country: key
      joined: datetime
      score: numeric
      plan: categorical
      fax: numeric
    foreign_keys:
      - {columns: [country], parent: countries}
  products:
    primary_key: [sku]
    columns: {sku: key, group: categorical, price: numeric}
  orders:
    primary_key: [id]
    columns: {id: key, customer: key, placed: datetime, state: categorical, paid: boolean, note: text}
    foreign_keys:
      - {columns: [customer], parent: customers}
  items:
    primary_key: [order, line]
    columns: {order: key, line: key, sku: key, quantity: numeric, "net.amount": numeric}
    foreign_keys:
      - {columns: [order], parent: orders}
      - {columns: [sku], parent: products}
  visits:
    primary_key: [customer, day]
    columns: {customer: key, day: datetime, pages: numeric}
    foreign_keys:
      - {columns: [customer], parent: customers}
  staff:
    primary_key: [id]
    columns: {id: key, boss: key, salary: numeric}
    foreign_keys:
      - {columns: [boss], parent: staff}
"""
CUSTOMERS, PRODUCTS, BUSY = 150, 25, 3000


@pytest.fixture(scope="session")
def market(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Market:
    """Another one, trained: what the ways to generate from a training are tried on."""
    return train_market(tmp_path_factory.mktemp("market"))


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the source: Parquet with exact types, two CSV files, and schema.yaml."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "schema.yaml").write_text(SCHEMA)
    rng = np.random.default_rng(11)
    _countries_and_staff(folder, rng)
    ids = [str(uuid.UUID(int=int(i), version=4)) for i in rng.integers(0, 2**62, CUSTOMERS)]
    joined = [datetime.date(2019, 1, 1) + datetime.timedelta(days=int(d)) for d in rng.integers(0, 700, CUSTOMERS)]
    customers = {
        "id": pa.array(ids),
        "name": pa.array([f"Person Number {i}" for i in range(CUSTOMERS)]),
        "country": pa.array([None if r < 0.1 else f"C{int(r * 10)}" for r in rng.random(CUSTOMERS)]),
        "joined": pa.array(joined),
        "score": _decimals(rng.gamma(2, 30, CUSTOMERS), 8),
        "plan": pa.array(["basic"] * CUSTOMERS),
        "fax": pa.array([None] * CUSTOMERS, pa.float64()),
    }
    _write(folder, "customers", customers)
    skus = [f"P-{i:04d}" for i in range(PRODUCTS)]
    products = {
        "sku": pa.array(skus),
        "group": pa.array(rng.choice(["tea", "cake"], PRODUCTS)),
        "price": _decimals(rng.gamma(3, 4, PRODUCTS), 10),
    }
    _write(folder, "products", products)
    _visits(folder, rng, ids, joined)
    orders = _orders(folder, rng, ids, joined)
    _items(folder, rng, orders, skus)
    return folder


def _countries_and_staff(folder: Path, rng: np.random.Generator) -> None:
    pd.DataFrame({"code": [f"C{i}" for i in range(12)], "title": [f"Land {i}" for i in range(12)]}).to_csv(
        folder / "countries.csv", index=False
    )
    staff = pd.DataFrame({"id": range(1, 61), "boss": [None if i < 3 else 1 + i // 4 for i in range(60)]})
    staff["boss"] = staff["boss"].astype("Int64")
    staff.assign(salary=rng.integers(20, 90, 60) * 100).to_csv(folder / "staff.csv", index=False)


def _visits(folder: Path, rng: np.random.Generator, ids: list[str], joined: list[datetime.date]) -> None:
    rows = [
        (c, start + datetime.timedelta(days=int(d)))
        for c, start in zip(ids, joined, strict=True)
        for d in np.sort(rng.choice(60, rng.integers(0, 9), replace=False))
    ]
    columns = {"customer": pa.array([c for c, _ in rows]), "day": pa.array([d for _, d in rows])}
    _write(folder, "visits", columns | {"pages": pa.array(rng.poisson(4, len(rows)), pa.int16())})


def _orders(folder: Path, rng: np.random.Generator, ids: list[str], joined: list[datetime.date]) -> list[int]:
    """Keys of the orders: two customers in five have none, one has 3,000, one order in twenty has no customer."""
    degrees = rng.poisson(3, CUSTOMERS) * (rng.random(CUSTOMERS) < 0.6)
    degrees[7] = BUSY
    owner = np.repeat(np.arange(CUSTOMERS), degrees)
    start = pd.to_datetime(pd.Series(joined)).to_numpy("datetime64[s]")[owner]
    placed = start + (rng.gamma(2, 40, len(owner)) * 86400).astype(int).astype("timedelta64[s]")
    keys = [3_000_000_000 + int(i) for i in rng.permutation(len(owner))]
    columns = {
        "id": pa.array(keys, pa.int64()),
        "customer": pa.array([None if rng.random() < 0.05 else ids[c] for c in owner]),
        "placed": pa.array(placed, pa.timestamp("us", tz="UTC")),
        "state": pa.array(rng.choice(["open", "sent", "done", "lost"], len(owner), p=[0.2, 0.3, 0.4995, 0.0005])),
        "paid": pa.array(rng.random(len(owner)) < 0.8),
        "note": pa.array([f"please call {i}" if i % 4 == 0 else None for i in range(len(owner))]),
    }
    _write(folder, "orders", columns)
    return keys


def _items(folder: Path, rng: np.random.Generator, orders: list[int], skus: list[str]) -> None:
    lines = rng.integers(0, 4, len(orders))
    count = int(lines.sum())
    quantity = rng.integers(1, 6, count)
    columns = {
        "order": pa.array(np.repeat(np.array(orders), lines), pa.int64()),
        "line": pa.array(np.concatenate([np.arange(1, n + 1) for n in lines]), pa.int32()),
        "sku": pa.array([None if r < 0.02 else skus[int(r * r * PRODUCTS)] for r in rng.random(count)]),
        "quantity": pa.array(quantity, pa.int32()),
        "net.amount": pa.array((quantity * rng.gamma(3, 4, count)).round(2)),
    }
    _write(folder, "items", columns)


def _decimals(values: np.ndarray, precision: int) -> pa.Array:
    return pa.array([decimal.Decimal(f"{v:.2f}") for v in values], pa.decimal128(precision, 2))


def _write(folder: Path, table: str, columns: dict[str, pa.Array]) -> None:
    pq.write_table(pa.table(columns), folder / f"{table}.parquet")
