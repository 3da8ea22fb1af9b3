"""The plan of a run: what is told before anything starts."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from spark_synth.config import RunConfig, load_config
from spark_synth.pipeline.outlook import TableOutlook, lookup_tables, outlook, tell_costs, tell_owners
from spark_synth.progress import Progress
from spark_synth.schema.graph import choose_owners, explain_owners
from spark_synth.schema.model import Schema
from spark_synth.training.schedule import Places

ROWS = {"regions": 12, "customers": 50_000, "orders": 2_000_000}


@pytest.fixture
def schema() -> Schema:
    numbers = {f"n{i}": "numeric" for i in range(10)}
    made = Schema().add_table("regions", "id", {"title": "text"}).add_table("customers", "id", numbers)
    made.add_table("orders", "id", {"placed": "datetime", "amount": "numeric", "state": "categorical"})
    made.add_foreign_key("orders.customer", "customers.id").add_foreign_key("orders.region", "regions.id")
    return made


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    path = tmp_path / "c.yaml"
    path.write_text("source: {path: data}\nschema: s.yaml\noutput: out\n")
    return load_config(path)


def planned(config: RunConfig, schema: Schema, rows: dict[str, int] = ROWS) -> list[TableOutlook]:
    return outlook(config, schema, rows, choose_owners(schema, rows), {}, Places(4, 4))


def owner_lines(schema: Schema) -> list[str]:
    text = io.StringIO()
    out = Progress(quiet=False, console=Console(file=text, width=140, highlight=False))
    tell_owners(schema, explain_owners(schema, ROWS), {}, out)
    return [line.strip() for line in text.getvalue().splitlines()]


def test_tables_come_in_the_order_of_generation_with_owner_and_links(config: RunConfig, schema: Schema) -> None:
    assert [x.table for x in planned(config, schema)] == ["regions", "customers", "orders"]
    lines = owner_lines(schema)
    assert [line.split(":")[0] for line in lines] == ["regions", "customers", "orders"]
    assert lines[-1].startswith("orders: rows in sequence under customer -> customers (50,000 rows of customers")
    assert lines[-1].endswith("; links: region -> regions")
    assert lookup_tables(schema, ROWS) == ["regions"]
    schema.tables["regions"].reference = True
    assert owner_lines(schema)[-1].endswith("; links: region -> regions (reference)")
    assert lookup_tables(schema, ROWS) == []


def test_costs_grow_with_the_work_and_stay_in_the_budget(config: RunConfig, schema: Schema) -> None:
    found = {x.table: x for x in planned(config, schema)}
    more = {x.table: x for x in planned(config, schema, {**ROWS, "orders": 4_000_000})}
    assert more["orders"].generate_seconds == pytest.approx(2 * found["orders"].generate_seconds)
    assert found["customers"].sub_columns > 10 + 4  # what it carries of its orders comes on top of its own
    assert sum(x.train_seconds for x in found.values()) <= 4 * 60 * config.train.max_minutes
    assert more["orders"].generate_bytes == found["orders"].generate_bytes  # blocks have one size
    schema.tables["regions"].reference = True
    kept = planned(config, schema)[0]
    assert (kept.sub_columns, kept.train_seconds, kept.generate_seconds) == (0, 0, 0)


def test_what_is_told(config: RunConfig, schema: Schema) -> None:
    lines = owner_lines(schema)
    assert (
        lines[0].startswith("regions: no owner") and "orders: rows in sequence under customer -> customers" in lines[2]
    )
    text = io.StringIO()
    out = Progress(quiet=False, console=Console(file=text, width=140, highlight=False))
    tell_costs(planned(config, schema), config, 4, out)
    told = text.getvalue()
    assert "3. orders" in told and "2,000,000" in told and "GiB" in told
    assert "3 tables, 2,050,012 rows" in told and "on 4 cores" in told
