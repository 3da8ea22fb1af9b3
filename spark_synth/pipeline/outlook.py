"""What a run will do, told before anything starts: order, owner and links of every table, and about what it costs.

Sub-columns are known only once the columns are fitted; the figures here are estimates from the schema and row counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spark_synth.config import RunConfig
from spark_synth.encoding.fit import MAX_SUMMARIES
from spark_synth.progress import Progress
from spark_synth.schema.graph import OwnerChoice, explain_owners, generation_order, links, owned_children
from spark_synth.schema.model import ForeignKey, Kind, Schema
from spark_synth.training.schedule import Cost, network_width, plan_shares

WORKER_BYTES = 0.9e9  # a Python worker with torch and Spark's Arrow batches
STATE_BYTES = 16  # a weight, its gradient and the two moments of its optimiser
CODES = 16  # codes of a sub-column, on average
SEEN_ROWS = 100_000  # training and held-out rows that a training task holds
BLOCK_ROWS = 32_768  # rows drawn together, about
GENERATED_CELLS = 30e6  # cells (rows x sub-columns x hidden units) that one modest CPU core draws per second
PER_ROW = 12  # sub-columns' worth of work that every row costs besides
LOOKUP_ROWS = 100  # a table with no foreign key and so few rows may be a look-up table


@dataclass(frozen=True)
class TableOutlook:
    """One table of the plan. Times in seconds of one core, memory in bytes of one task."""

    table: str
    rows: int
    columns: int
    sub_columns: int
    owner: str
    links: tuple[str, ...]
    train_seconds: float
    train_bytes: float
    generate_seconds: float
    generate_bytes: float


def outlook(config: RunConfig, schema: Schema, rows: Mapping[str, int], slots: int) -> list[TableOutlook]:
    """The tables in the order of generation. slots: tasks that run side by side."""
    choices = explain_owners(schema, rows)
    owners = {t: c.key for t, c in choices.items()}
    columns = {t: 0 if schema.table(t).reference else _sub_columns(schema, t, owners) for t in owners}
    costs = {}
    for t, n in columns.items():
        trained = round(rows[t] * (1 - config.train.holdout)) if n else 0
        costs[t] = Cost(t, trained, n, network_width(trained, max(1, n), config.model_for(t).hidden))
    trained_costs = [c for c in costs.values() if c.columns]
    slots = config.train.parallel_tables or max(1, min(len(trained_costs), slots))
    plan = plan_shares(trained_costs, config.train.max_minutes, slots, config.train.max_epochs, config.model.batch_rows)
    found = []
    for t in generation_order(owners):
        cost, made = costs[t], rows[t] * config.generate.ratio if columns[t] else 0.0
        head = min(config.model_for(t).head, cost.hidden // 4)
        weights = cost.columns * (cost.hidden * head + CODES * (cost.hidden + 2 * head)) + 8 * cost.hidden**2
        batch = plan[t].batch_rows * cost.columns * (2 * cost.hidden + 3 * head) * 4 if t in plan else 0
        drawn = made * (cost.columns + PER_ROW) * cost.hidden / GENERATED_CELLS
        found.append(
            TableOutlook(
                t,
                rows[t],
                len(schema.table(t).columns),
                cost.columns,
                _owner_line(choices[t]),
                tuple(_link_line(fk, t, schema) for fk in links(schema.table(t), owners[t])),
                plan[t].nominal if t in plan else 0.0,
                WORKER_BYTES + STATE_BYTES * weights + batch + 8.0 * min(SEEN_ROWS, rows[t]) * cost.columns,
                drawn if columns[t] else 0.0,
                WORKER_BYTES + 4 * weights + min(BLOCK_ROWS, made) * (16 * cost.columns + 64 * cost.columns),
            )
        )
    return found


def tell_owners(found: list[TableOutlook], progress: Progress) -> None:
    """One line per table: what it hangs on, why, and its links."""
    for one in found:
        linked = f"; links: {', '.join(one.links)}" if one.links else ""
        progress.note(f"{one.table}: {one.owner}{linked}")


def tell_costs(found: list[TableOutlook], config: RunConfig, slots: int, progress: Progress) -> None:
    """The table of sizes and costs, and the whole."""
    columns = ["table", "rows", "columns", "sub-columns", "training", "task memory", "generation", "task memory"]
    lines = [
        [
            f"{i}. {x.table}",
            f"{x.rows:,}",
            str(x.columns),
            str(x.sub_columns or "-"),
            *(_cost(x.train_seconds, x.train_bytes) if x.train_seconds else ("-", "-")),
            *(_cost(x.generate_seconds, x.generate_bytes) if x.sub_columns else ("-", "-")),
        ]
        for i, x in enumerate(found, 1)
    ]
    progress.summary("plan (estimates; times of one core)", columns, lines)
    training = min(config.train.max_minutes * 60, sum(x.train_seconds for x in found) / slots)
    drawing = sum(x.generate_seconds for x in found) / slots
    total, sub = sum(x.rows for x in found), sum(x.sub_columns for x in found)
    progress.note(
        f"{len(found)} tables, {total:,} rows, about {sub:,} sub-columns; on {slots} cores about "
        f"{_time(training)} of training at most and {_time(drawing)} of drawing rows, besides reading and writing"
    )


def lookup_tables(schema: Schema, rows: Mapping[str, int]) -> list[str]:
    """Tables that may be look-up tables: small, without foreign keys, referred to by others, not marked yet."""
    return [
        t
        for t, v in schema.tables.items()
        if not v.reference and not v.foreign_keys and rows[t] <= LOOKUP_ROWS and schema.children(t)
    ]


def _owner_line(choice: OwnerChoice) -> str:
    if choice.key is None:
        return f"no owner ({choice.reason})"
    return f"rows in sequence under {_edge(choice.key)} ({choice.reason})"


def _link_line(fk: ForeignKey, table: str, schema: Schema) -> str:
    if fk.parent == table:
        return f"{_edge(fk)} (itself)"
    return f"{_edge(fk)}{' (reference)' if schema.table(fk.parent).reference else ''}"


def _edge(fk: ForeignKey) -> str:
    return f"{'+'.join(fk.columns)} -> {fk.parent}"


def _sub_columns(schema: Schema, table: str, owners: Mapping[str, ForeignKey | None]) -> int:
    """About how many codes a row of the table has: values, links, degrees, and what it carries of its families."""
    spec = schema.table(table)
    kinds = [spec.columns[c].kind for c in spec.value_columns()]
    own = sum(2 if k is Kind.DATETIME else 1 for k in kinds) + (2 if owners[table] and Kind.DATETIME in kinds else 0)
    own += len(links(spec, owners[table])) + len(schema.children(table))
    carried = sum(
        min(MAX_SUMMARIES, sum(_summaries(schema.table(child).columns[c].kind) for c in _values(schema, child)))
        for child, _ in owned_children(table, owners)
    )
    return max(1, own + carried)


def _values(schema: Schema, table: str) -> list[str]:
    return schema.table(table).value_columns()


def _summaries(kind: Kind) -> int:
    return 0 if kind in (Kind.TEXT, Kind.PII) else 1 if kind is Kind.BOOLEAN else 2


def _cost(seconds: float, size: float) -> tuple[str, str]:
    return _time(seconds), f"{size / 2**30:.1f} GiB"


def _time(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )
