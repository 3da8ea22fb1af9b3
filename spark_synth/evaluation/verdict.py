"""Headline figures, integrity gates, and the flat form of the metrics for a tracking server."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from spark_synth.evaluation.measures import mean
from spark_synth.evaluation.quality import DETECTION_ROWS
from spark_synth.evaluation.sequences import sequence_figures
from spark_synth.schema.model import Kind

ROW_TOLERANCE = 0.05
ORPHAN_TOLERANCE = 0.02  # of the rows
_Tables = Mapping[str, Mapping[str, Any]]


def _links(tables: _Tables) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    return ((t, name, fk) for t, v in tables.items() for name, fk in v["fk"].items())


def summarise(tables: _Tables) -> dict[str, float | int | None]:
    """Means over tables and foreign keys whose rows were generated; worst cases over all of them.

    `shapes`: mean over tables of the mean over columns; `pairs`: likewise of pair trends; `degrees`: mean over foreign
    keys of 1 - KS; `associations`: mean over foreign keys of the share of strong real associations between parent and
    child that is neither lost nor exceeded.
    """
    made = [v for v in tables.values() if not v["reference"]]
    scored = [fk for _, _, fk in _links(tables) if not fk["reference"]]
    associations = [fk["association"] for fk in scored if fk["association"]]
    parts = {
        "shapes": mean(v["shape_mean"] for v in made),
        "pairs": mean(v["pair_mean"] for v in made),
        "degrees": mean(None if fk["degree"]["ks"] is None else 1 - fk["degree"]["ks"] for fk in scored),
        "associations": mean(a["score"] for a in associations),
    }
    keys = [v["primary_key"] for v in tables.values() if v["primary_key"]]
    return {
        **parts,
        "kept": mean(a["kept"] for a in associations),
        "association_mad": mean(a["mad"] for a in associations),
        "information_mad": mean(v["pairs"]["information_mad"] for v in made),
        **sequence_figures(tables),
        "c2st": mean(_aucs(made, "alone")),
        "c2st_children": mean(_aucs(made, "children")),
        "c2st_ancestors": mean(_aucs(made, "ancestors")),
        "max_orphans": max((unresolved(fk) for _, _, fk in _links(tables)), default=0),
        "duplicate_keys": sum(k["duplicates"] for k in keys),
        "null_keys": sum(k["nulls"] for k in keys),
        "copied": sum(n for _, _, n in _copies(tables, gate=True)),
        "max_row_error": max((v["row_error"] for v in tables.values()), default=0.0),
        "rows_real": sum(v["rows"][0] for v in tables.values()),
        "rows_synth": sum(v["rows"][1] for v in tables.values()),
    }


def _aucs(tables: Iterable[Mapping[str, Any]], way: str) -> list[float]:
    """How well a classifier tells the rows of tables that are large enough from real ones."""
    found = [(v.get("detection") or {}).get(way) for v in tables if min(v["rows"]) >= DETECTION_ROWS]
    return [f["auc"] for f in found if f]


def unresolved(fk: Mapping[str, Any]) -> int:
    """Synthetic rows that should have a row in the parent: orphans, unless real ones were kept."""
    return 0 if fk["kept_orphans"] else int(fk["orphans"])


def _copies(tables: _Tables, gate: bool) -> Iterator[tuple[str, str, int]]:
    """Columns with copied values: keys and free text (the gate), or personal data, where a name may occur by chance."""
    for t, v in tables.items():
        for name, column in v["columns"].items():
            if column.get("copied") and (column["kind"] != Kind.PII) == gate:
                yield t, name, column["copied"]


def find_problems(tables: _Tables) -> list[str]:
    """One line for each integrity gate that failed; empty when the database is sound."""
    problems = []
    for t, v in tables.items():
        key = v["primary_key"]
        if key and key["duplicates"]:
            problems.append(f"{t}: {key['duplicates']:,} rows repeat a primary key ({', '.join(key['columns'])})")
        if key and key["nulls"]:
            problems.append(f"{t}: {key['nulls']:,} rows have a NULL in the primary key ({', '.join(key['columns'])})")
        # half a row cannot be generated: a difference of one row is never a fault
        if abs(v["rows"][1] - v["expected_rows"]) > max(1.0, ROW_TOLERANCE * v["expected_rows"]):
            problems.append(f"{t}: {v['rows'][1]:,} rows where {v['expected_rows']:,.0f} are expected")
    for t, name, fk in _links(tables):
        kept = fk["kept_orphans"]
        rows = tables[t]["rows"][1]
        if kept and abs(kept[1] - kept[0]) * rows > max(1.0, ORPHAN_TOLERANCE * rows):
            problems.append(f"{t}: {kept[1]:.1%} of the rows are orphans of {name} where {kept[0]:.1%} are expected")
        if unresolved(fk):
            problems.append(f"{t}: {fk['orphans']:,} rows of foreign key {name} have no row in {fk['parent']}")
    for t, name, rows in _copies(tables, gate=True):
        problems.append(f"{t}.{name}: {rows:,} values are copies of real ones")
    return problems


def find_notes(tables: _Tables) -> list[str]:
    """What a reader should know that is no fault."""
    return [
        f"{t}.{name}: {rows:,} values also occur in the real column; personal data may coincide by chance"
        for t, name, rows in _copies(tables, gate=False)
    ]


def flatten(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The figures as name -> number, in names a tracking server takes (letters, digits and `_/. -`)."""
    flat: dict[str, float | None] = {f"summary/{k}": v for k, v in metrics["summary"].items()}
    flat["summary/problems"] = len(metrics["problems"])
    flat |= {f"ceiling/{k}": v for k, v in metrics.get("ceiling", {}).get("summary", {}).items()}
    for t, v in metrics["tables"].items():
        flat |= {f"{t}/{k}": v[k] for k in ("shape_mean", "pair_mean", "row_error")}
        flat |= {f"{t}/quality/{way}": each["score"] for way, each in v.get("quality", {}).items()}
        flat[f"{t}/rows"] = v["rows"][1]
        flat |= {f"{t}/c2st/{way}": d["auc"] for way, d in (v.get("detection") or {}).items() if d}
        flat |= {f"{t}/shape/{c}": column["shape"] for c, column in v["columns"].items()}
        for name, fk in v["fk"].items():
            flat[f"{t}/fk/{name}/orphans"] = fk["orphans"]
            flat[f"{t}/fk/{name}/degree_ks"] = fk["degree"]["ks"]
            flat |= {f"{t}/fk/{name}/{k}": (fk["association"] or {}).get(k) for k in ("kept", "mad")}
    privacy = metrics.get("privacy", {})
    flat |= {f"privacy/{k}": v for k, v in {"score": privacy.get("score"), **privacy.get("parts", {})}.items()}
    for target in metrics.get("targets", []):
        told = {k: v for k, v in target.items() if isinstance(v, float)}
        flat |= {f"targets/{target['target']}/{k}": v for k, v in told.items()}
    flat |= {f"khop/{'/'.join(p['keys'])}": p["score"] for p in metrics.get("khop", {}).get("paths", [])}
    flat |= {f"workload/{k}": v for k, v in metrics.get("workload", {}).items() if k != "queries"}
    out: dict[str, float] = {}
    for name, value in flat.items():
        if value is not None:
            out[_unused(re.sub(r"[^A-Za-z0-9_/. -]", "_", name), out)] = float(value)
    return out


def _unused(name: str, taken: Mapping[str, float]) -> str:
    """The name, numbered if another one became the same when its letters were replaced."""
    free, n = name, 1
    while free in taken:
        n += 1
        free = f"{name}_{n}"
    return free
