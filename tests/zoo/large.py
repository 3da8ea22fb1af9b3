"""A database of hundreds of tables: every shape of the zoo several times over, a deep chain, a wide table, and links
between them all.

    python -m tests.zoo.large FOLDER [TABLES]    writes it as Parquet with its schema.yaml
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from spark_synth.schema import Schema
from tests.zoo.catalogue import SHAPES
from tests.zoo.draws import VALUES, Rng, Shape, Tables
from tests.zoo.runs import write

TABLES = 300
DEPTH, WIDTH = 12, 120  # levels of the chain, columns of the wide table
LINKED = 0.7  # share of the components that link to an earlier one


def large(tables: int = TABLES) -> Shape:
    """At least so many tables; about 600 rows each."""
    rng = np.random.default_rng(11)
    schema, made = Schema(), Tables()
    _add(schema, made, "deep", *_deep(Rng(rng)))
    _add(schema, made, "wide", *_wide(Rng(rng)))
    part = 0
    while len(made) < tables:
        name = list(SHAPES)[part % len(SHAPES)]
        _add(schema, made, f"{name}_{part // len(SHAPES)}", *SHAPES[name](Rng(rng)))
        part += 1
    _link(schema, made, Rng(rng))
    return schema, made


def _add(schema: Schema, made: Tables, prefix: str, part: Schema, tables: Tables) -> None:
    """Put a shape into the database; its tables get the prefix."""
    for name, table in part.tables.items():
        keys = [
            fk.model_copy(update={"parent": f"{prefix}_{fk.parent}", "name": f"{prefix}_{fk.name}"})
            for fk in table.foreign_keys
        ]
        schema.tables[f"{prefix}_{name}"] = table.model_copy(update={"foreign_keys": keys})
        made[f"{prefix}_{name}"] = tables[name]


def _deep(d: Rng) -> Shape:
    schema, tables, above = Schema(), {"c0": d.parent(300)}, "c0"
    schema.add_table(above, "id", VALUES)
    for level in range(1, DEPTH):
        name = f"c{level}"
        schema.add_table(name, "id", VALUES).add_foreign_key(f"{name}.up", f"{above}.id")
        tables[name], above = d.child(tables[above], "up", 1.1), name
    return schema, tables


def _wide(d: Rng) -> Shape:
    rows = d.parent(600)
    more = {f"v{i}": (rows["a"] * (i % 7) + d.rng.normal(0, 20, len(rows))).round(1) for i in range(WIDTH - 4)}
    schema = Schema().add_table("t", "id", VALUES | dict.fromkeys(more, "numeric"))
    return schema, {"t": pd.concat([rows, pd.DataFrame(more)], axis=1)}


def _link(schema: Schema, made: Tables, d: Rng) -> None:
    """Let tables refer to roots of earlier components, some rows to none; references, whose real rows stay, do not."""
    numbered = [t for t, rows in made.items() if "id" in rows and pd.api.types.is_integer_dtype(rows["id"])]
    roots = [t for t in numbered if schema.tables[t].primary_key == ("id",) and not schema.tables[t].foreign_keys]
    for i, table in enumerate(roots[1:], 1):
        if d.rng.random() > LINKED or schema.tables[table].reference:
            continue
        parent = roots[d.rng.integers(0, i)]
        made[table] = made[table].assign(elsewhere=d.pick(made[parent]["id"], len(made[table]), null=0.2))
        schema.add_foreign_key(f"{table}.elsewhere", f"{parent}.id")


if __name__ == "__main__":
    write(Path(sys.argv[1]), *large(int(sys.argv[2]) if len(sys.argv) > 2 else TABLES))
