"""A little market: six tables, each with a kind of key that must not come twice, quick to train."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from deltalake import DeltaTable

from spark_synth import pipeline
from spark_synth.config import RunConfig, load_config
from spark_synth.errors import RunError
from spark_synth.pipeline import delivery
from tests.places import CONF

SCHEMA = """
tables:
  countries:
    primary_key: [code]
    reference: true
    columns: {code: key, title: text}
  customers:
    primary_key: [id]
    columns: {id: key, country: key, segment: categorical, budget: numeric}
    foreign_keys:
      - {columns: [country], parent: countries}
  products:
    primary_key: [sku]
    columns: {sku: key, price: numeric}
  orders:
    primary_key: [id]
    columns: {id: key, customer: key, placed: datetime, total: numeric}
    foreign_keys:
      - {columns: [customer], parent: customers}
  items:
    primary_key: [order, line]
    columns: {order: key, line: key, sku: key, quantity: numeric}
    foreign_keys:
      - {columns: [order], parent: orders}
      - {columns: [sku], parent: products}
  borders:
    primary_key: [a, b]
    columns: {a: key, b: key, length: numeric}
    foreign_keys:
      - {columns: [a], parent: countries}
      - {columns: [b], parent: countries}
"""
KEYS = {
    "countries": ["code"],
    "customers": ["id"],
    "products": ["sku"],
    "orders": ["id"],
    "items": ["order", "line"],
    "borders": ["a", "b"],
}
LINKS = [
    ("customers", "country", "countries", "code"),
    ("orders", "customer", "customers", "id"),
    ("items", "order", "orders", "id"),
    ("items", "sku", "products", "sku"),
    ("borders", "a", "countries", "code"),
    ("borders", "b", "countries", "code"),
]
QUICK = {"evaluate__detection_rows": 0, "evaluate__ceiling": "false", "evaluate__privacy_rows": 0}
CUSTOMERS, PRODUCTS, COUNTRIES = 120, 20, 8
EPOCHS = 8  # of every training


def write_market(folder: Path) -> None:
    """The tables as Parquet, and schema.yaml. Wholesale customers have many and large orders, others few and small."""
    rng = np.random.default_rng(3)
    (folder / "schema.yaml").write_text(SCHEMA)
    codes = [f"C{i}" for i in range(COUNTRIES)]
    customers = pd.DataFrame(
        {
            "id": [str(uuid.UUID(int=int(i), version=4)) for i in rng.integers(0, 2**62, CUSTOMERS)],
            "country": rng.choice(codes, CUSTOMERS),
            "segment": rng.choice(["retail", "wholesale"], CUSTOMERS),
            "budget": rng.integers(1, 1000, CUSTOMERS),
        }
    )
    large = (customers["segment"] == "wholesale").to_numpy()
    degrees = np.where(large, rng.integers(6, 12, CUSTOMERS), rng.integers(0, 3, CUSTOMERS))
    owner = np.repeat(np.arange(CUSTOMERS), degrees)
    orders = pd.DataFrame(
        {
            "id": np.arange(101, 101 + len(owner), dtype=np.int16),
            "customer": customers["id"].to_numpy()[owner],
            "placed": (pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 300, len(owner)), "D")).date,
            "total": np.where(large[owner], rng.integers(500, 900, len(owner)), rng.integers(10, 90, len(owner))),
        }
    )
    lines = rng.integers(1, 4, len(orders))
    skus = [f"P-{i:03d}" for i in range(PRODUCTS)]
    items = pd.DataFrame(
        {
            "order": np.repeat(orders["id"].to_numpy(), lines),
            "line": np.concatenate([np.arange(1, n + 1) for n in lines]).astype(np.int32),
            "sku": rng.choice(skus, lines.sum()),
            "quantity": rng.integers(1, 6, lines.sum()),
        }
    )
    pairs = [(a, b) for a in codes for b in codes if a < b and rng.random() < 0.6]
    borders = pd.DataFrame(pairs, columns=["a", "b"]).assign(length=rng.integers(10, 900, len(pairs)))
    tables = {
        "countries": pd.DataFrame({"code": codes, "title": [f"Land {c}" for c in codes]}),
        "customers": customers,
        "products": pd.DataFrame({"sku": skus, "price": rng.integers(1, 50, PRODUCTS)}),
        "orders": orders,
        "items": items,
        "borders": borders,
    }
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)


@dataclass(frozen=True)
class Market:
    """The folder of a trained market (source in `real`, output in `out`)."""

    folder: Path
    run_id: str = ""

    def config(self, identifier: str | None, **changes: object) -> RunConfig:
        """The configuration it was trained with, but for `changes` (a__b for option a.b)."""
        options: dict[str, object] = {
            "source.path": self.folder / "real",
            "schema": self.folder / "real" / "schema.yaml",
            "output": self.folder / "out",
            "model.hidden": 32,
            "model.head": 16,
            "model.max_bins": 8,
            "train.max_epochs": EPOCHS,
            **{k.replace("__", "."): v for k, v in changes.items()},
        }
        return load_config(CONF, [f"{k}={v}" for k, v in options.items()], identifier=identifier)

    def tables(self, identifier: str) -> dict[str, pd.DataFrame]:
        """Every table of a synthetic database, in the order of its keys."""
        found = self.folder / "out" / identifier / "tables"
        return {t: DeltaTable(found / t).to_pandas().sort_values(k, ignore_index=True) for t, k in KEYS.items()}

    def manifest(self, identifier: str) -> dict[str, Any]:
        """The manifest of a synthetic database."""
        found: dict[str, Any] = json.loads((self.folder / "out" / identifier / "manifest.json").read_text())
        return found

    def finish(self, identifier: str) -> None:
        """A finished database of this name: a copy of the one that is generated when the first is asked for."""
        out = self.folder / "out"
        if not (out / "finished").exists():
            pipeline.generate(self.config("finished"))
        shutil.copytree(out / "finished", out / identifier)
        manifest = out / identifier / "manifest.json"
        manifest.write_text(manifest.read_text().replace(f"{out}/finished/", f"{out}/{identifier}/"))


def train_market(folder: Path) -> Market:
    """Make it and train it, in a new folder."""
    (folder / "real").mkdir()
    write_market(folder / "real")
    market = Market(folder)
    return Market(folder, pipeline.train(market.config(None)))


@contextmanager
def interrupted(fails: Callable[[str], bool]) -> Iterator[None]:
    """A command that ends as soon as it writes a table whose place `fails` accepts."""

    def writes(*args: Any, **more: Any) -> int:  # noqa: ANN401
        if fails(str(args[1])):
            raise RunError("interrupted")
        return write(*args, **more)

    write: Callable[..., int] = delivery.__dict__["write_delta"]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RunError, match="interrupted"):
        patch.setattr(delivery, "write_delta", writes)
        yield


def check_keys(tables: dict[str, pd.DataFrame]) -> None:
    """No key twice or NULL, no orphan."""
    for name, keys in KEYS.items():
        assert not tables[name].duplicated(keys).any() and not tables[name][keys].isna().any().any(), name
    for child, column, parent, key in LINKS:
        assert set(tables[child][column].dropna()) <= set(tables[parent][key]), (child, column)
