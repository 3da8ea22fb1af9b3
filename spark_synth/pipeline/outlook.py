"""What a run will do, told before anything starts: order, owner and links of every table, and about what it costs.

Sub-columns are known only once the columns are fitted; the figures here are estimates from the schema and row counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pyspark.sql import SparkSession

from spark_synth.config import ModelSettings, RunConfig
from spark_synth.encoding.fit import MAX_SUMMARIES
from spark_synth.progress import Progress, duration
from spark_synth.schema.graph import OwnerChoice, generation_order, links, owned_children
from spark_synth.schema.joins import Join, before_values
from spark_synth.schema.model import ForeignKey, Kind, Schema
from spark_synth.training.fit import HOLDOUT_ROWS, SEEN_ROWS
from spark_synth.training.schedule import (
    COUNTED,
    Cost,
    Places,
    Share,
    counted_share,
    head_width,
    network_width,
    plan_shares,
)

WORKER_BYTES = 0.9e9  # a Python worker with torch and Spark's Arrow batches
STATE_BYTES = 16  # a weight, its gradient and the two moments of its optimiser
CELL_BYTES = 80  # a drawn sub-column of a row: its code, its value, and copies on the way to Spark
CODES = 16  # codes of a sub-column, on average
BLOCK_ROWS = 32_768  # rows drawn together, about
GENERATED_CELLS = 30e6  # cells (see training.schedule) that one modest CPU core draws per second
TABLE_SECONDS = 10  # fitting, writing and comparing a table, however small it is, on a modest machine of two cores
EFFORT = {"graph_vae": 2, "gan": 10}  # of a row, against the default family
FIXED_COST = 4  # sub-columns' worth of work that the known ones of a row take together
_EDGES = {
    "neural": "edges by a network",
    "block": "edges by the clusters at both ends",
    "configuration": "edges by degrees alone",
}
LOOKUP_ROWS = 100  # a table with no foreign key and so few rows may be a look-up table


@dataclass(frozen=True)
class TableOutlook:
    """One table of the plan. Times in seconds of one core, memory in bytes of one task; kept tables cost nothing."""

    table: str
    rows: int
    columns: int
    sub_columns: int = 0
    train_seconds: float = 0.0
    train_bytes: float = 0.0
    generate_seconds: float = 0.0
    generate_bytes: float = 0.0


def places(spark: SparkSession, config: RunConfig) -> Places:
    """Where tables train: as many side by side as cores allow, and GPUs where every task takes one."""
    context = spark.sparkContext
    conf = context.getConf()
    cores, per_task = context.defaultParallelism, int(conf.get("spark.task.cpus", "1"))
    local = conf.get("spark.master", "").startswith("local[")
    # the first that Spark names is the driver
    executors = 1 if local else max(1, len(context._jsc.sc().statusTracker().getExecutorInfos()) - 1)
    by_cores, ranks = cores // per_task, executors
    taken = float(conf.get("spark.task.resource.gpu.amount", "0"))
    if taken:
        gpus = int(executors * int(conf.get("spark.executor.resource.gpu.amount", "0")) / taken)
        by_cores, ranks = min(by_cores, gpus), gpus
    side_by_side = max(1, by_cores)
    ranks = config.train.world_size or max(1, min(ranks, side_by_side))
    return Places(side_by_side, max(1, cores // executors), ranks, config.train.distributed_rows)


def plan_training(
    config: RunConfig, sizes: Mapping[str, tuple[int, int]], parts: Mapping[str, str], where: Places
) -> tuple[dict[str, Cost], dict[str, Share]]:
    """Cost and share of every model, from its training rows and sub-columns. parts: the table of each model."""
    counted = {name for name in sizes if config.model_for(parts[name]).family in COUNTED}
    costs = {
        name: _cost_of(name, rows, columns, config.model_for(parts[name]), name == parts[name])
        for name, (rows, columns) in sizes.items()
    }
    side_by_side = config.train.parallel_tables or max(1, min(len(costs), where.slots))
    limits = config.train
    where = replace(where, slots=side_by_side) if where.ranks == 1 else where
    trained = [c for name, c in costs.items() if name not in counted]
    shares = plan_shares(trained, limits.max_minutes, where, limits.max_epochs, config.model.batch_rows)
    return costs, shares | {name: counted_share(costs[name]) for name in counted}


def _cost_of(name: str, rows: int, columns: int, model: ModelSettings, values: bool) -> Cost:
    """values: whether these are drawn, not degrees and links, which have a network of the default family."""
    hidden, effort = network_width(rows, columns, model.hidden), EFFORT.get(model.family, 1) if values else 1
    return Cost(name, rows, columns * effort, hidden, alone=model.family == "gan")


def structure_name(table: str) -> str:
    """The name of the model of a table's degrees and links."""
    return f"{table} (links)"


def outlook(
    config: RunConfig,
    schema: Schema,
    rows: Mapping[str, int],
    owners: Mapping[str, ForeignKey | None],
    joins: Mapping[str, Join],
    where: Places,
) -> list[TableOutlook]:
    """The tables in the order of generation."""
    trained = 1 - config.train.holdout
    made = [t for t in owners if not schema.table(t).reference]
    sizes = {t: (round(rows[t] * trained), _sub_columns(schema, t, owners)) for t in made}
    parts = dict(zip(made, made, strict=True))
    for t in made:
        matched = [fk for fk in links(schema.table(t), owners[t]) if not schema.table(fk.parent).reference]
        first = any(j.first and j.link.parent == t for j in joins.values())
        if first or (matched and (t not in joins or joins[t].edges == "neural")):
            parts[structure_name(t)] = t
            sizes[structure_name(t)] = (sizes[t][0], len(matched) + len(schema.children(t)))
    costs, shares = plan_training(config, sizes, parts, where)
    found = []
    for t in generation_order(schema, owners, before_values(joins)):
        one = TableOutlook(t, rows[t], len(schema.table(t).columns))
        for name in (n for n, of in parts.items() if of == t):
            one = _costed(one, costs[name], shares[name], config)
        found.append(one)
    return found


def _costed(one: TableOutlook, cost: Cost, share: Share, config: RunConfig) -> TableOutlook:
    """`one` and the cost of another of its models."""
    columns, hidden, made = cost.columns, cost.hidden, round(one.rows * config.generate.ratio)
    head = head_width(hidden, config.model_for(one.table).head)
    weights = columns * (hidden * head + CODES * (hidden + 2 * head)) + 8 * hidden**2
    batch = share.batch_rows * columns * (2 * hidden + 3 * head) * 4
    drawing = WORKER_BYTES + 4 * weights + CELL_BYTES * min(BLOCK_ROWS, made) * columns
    seen = 8 * min(SEEN_ROWS + HOLDOUT_ROWS, one.rows) * columns
    return replace(
        one,
        sub_columns=max(one.sub_columns, columns),
        train_seconds=one.train_seconds + share.nominal,
        train_bytes=max(one.train_bytes, WORKER_BYTES + STATE_BYTES * weights + batch + seen),
        generate_seconds=one.generate_seconds + replace(cost, rows=made).cells / GENERATED_CELLS,
        generate_bytes=max(one.generate_bytes, drawing),
    )


def tell_owners(
    schema: Schema, choices: Mapping[str, OwnerChoice], joins: Mapping[str, Join], progress: Progress
) -> None:
    """One line per table, in the order of generation: what it hangs on, why, and its links."""
    for t in generation_order(schema, {t: c.key for t, c in choices.items()}, before_values(joins)):
        found = [_link_line(fk, t, schema) for fk in links(schema.table(t), choices[t].key)]
        found += [f"{_edge(fk)} (follows from {fk.implied})" for fk in schema.table(t).foreign_keys if fk.implied]
        linked = f"; links: {', '.join(found)}" if found else ""
        if t in joins:
            linked += f"; a join table: {_EDGES[joins[t].edges]}"
            linked += f", before the values of {joins[t].link.parent}" if joins[t].first else ""
        progress.note(f"{t}: {_owner_line(choices[t])}{linked}")


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
        f"{duration(training)} of training at most and {duration(drawing)} of drawing rows; reading, "
        f"fitting, writing and comparing take {duration(TABLE_SECONDS * len(found))} besides, more for large tables"
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
    if fk.cut:
        return f"{_edge(fk)} (opens a cycle, filled last: {fk.cut})"
    others = {c for k in schema.table(table).foreign_keys if k is not fk and not k.implied for c in k.columns}
    same = [c for c in fk.columns if c in others]
    if 0 < len(same) < len(fk.columns):
        return f"{_edge(fk)} (of the same {', '.join(same)}{', filled last' if fk.last else ''})"
    return f"{_edge(fk)}{' (reference)' if schema.table(fk.parent).reference else ''}"


def _edge(fk: ForeignKey) -> str:
    kept = f" (keeps {fk.kept_orphans:,} orphans)" if fk.kept_orphans else ""
    return f"{'+'.join(fk.columns)} -> {fk.parent}{kept}"


def _sub_columns(schema: Schema, table: str, owners: Mapping[str, ForeignKey | None]) -> int:
    """About how many codes a row of the table has: values, links, degrees, and what it carries of its families."""
    spec = schema.table(table)
    kinds = [spec.columns[c].kind for c in spec.value_columns()]
    own = sum(2 if k is Kind.DATETIME else 1 for k in kinds) + (2 if owners[table] and Kind.DATETIME in kinds else 0)
    own += len(links(spec, owners[table])) + len(schema.children(table))
    carried = 0
    for child, _ in owned_children(table, owners):
        spec = schema.table(child)
        carried += min(MAX_SUMMARIES, sum(_summaries(spec.columns[c].kind) for c in spec.value_columns()))
    return max(1, own + carried)


def _summaries(kind: Kind) -> int:
    return 0 if kind in (Kind.TEXT, Kind.PII) else 1 if kind is Kind.BOOLEAN else 2


def _cost(seconds: float, size: float) -> tuple[str, str]:
    return duration(seconds), f"{size / 2**30:.1f} GiB"
