"""Made-up metrics of a database of any size, with every figure that the report can show, and its schema."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from spark_synth.evaluation.verdict import summarise
from spark_synth.schema import Schema

KINDS = {
    "id": "key",
    "kind": "categorical",
    "amount": "numeric",
    "since": "datetime",
    "note": "text",
    "size": "numeric",
}
ABOUT = {
    "identifier": "<b>night</b>",
    "seed": 1,
    "versions": {"spark": "3.5"},
    "durations": {"train": 75.4, "evaluate": 12.0},
}
ODD = ("Größe der Tür", "größe der tür", "a/b", "CON", "客户订单明细", "<i>x</i>")  # names of the first tables below
PARTS = ("nearness", "closest", "copies", "inference", "singling", "membership")


def made_up_schema(tables: int) -> Schema:
    """Tables that hang together as in large databases: hubs, chains, a self reference, a cycle, some alone."""
    rng = np.random.default_rng(tables)
    schema = Schema()
    names = [ODD[i - 2] if 2 <= i < 2 + len(ODD) else f"table_{i:03d}" for i in range(tables)]
    for i, name in enumerate(names):
        schema.add_table(name, "id", dict(KINDS), reference=i == 1)
    for i, name in enumerate(names):
        if i and rng.random() < 0.8:
            for j, above in enumerate(sorted({int(i * rng.random() ** 2) for _ in range(1 + rng.poisson(0.7))})):
                schema.add_foreign_key(f"{name}.ref_{j}_id", f"{names[above]}.id")
    schema.add_foreign_key(f"{names[0]}.boss", f"{names[0]}.id")
    schema.add_foreign_key(f"{names[0]}.latest", f"{names[-1]}.id")
    if not schema.table(names[-1]).foreign_keys:
        schema.add_foreign_key(f"{names[-1]}.first", f"{names[0]}.id")
    return schema


def made_up_metrics(schema: Schema, seed: int = 0) -> dict[str, Any]:
    """Metrics as `evaluate_database` gives them, with all that may come on top."""
    rng = np.random.default_rng(seed)
    found = {name: _table(name, schema, i, rng) for i, name in enumerate(schema.tables)}
    names = list(schema.tables)
    return {
        "ratio": 1.0,
        "references": [t for t, v in schema.tables.items() if v.reference],
        "settings": {"max_pair_columns": 40, "sample_rows": 100_000, "detection_rows": 10_000},
        "tables": found,
        "summary": summarise(found),
        "problems": [],
        "notes": [f"{names[0]}.note: 3 values also occur in the real column"],
        "quality": {"score": 87.3, "grade": "Good"},
        "privacy": {
            "score": 91.2,
            "level": "Very Good",
            "parts": {p: float(rng.uniform(60, 100)) for p in PARTS},
            "tables": {t: {"alone": _risk(rng), "joined": _risk(rng) if v["fk"] else None} for t, v in found.items()},
        },
        "khop": {
            "paths": [
                {"path": [t, "way", names[0]], "hops": 2, "real": 0.4, "synth": 0.3, "score": 0.9} for t in names[2:40]
            ],
        },
        "rules": [{"table": t, "rule": "amount <= size", "real": 1.0, "synth": 0.97} for t in names[:30]],
        "targets": [_target(f"{t}.kind", rng) for t in names[:30]],
        "workload": {
            "score": 0.9,
            "best": 0.95,
            "queries": [
                {
                    "name": f"{t} by kind",
                    "sql": f"SELECT kind, count(*) FROM `{t}` GROUP BY kind",
                    "groups": [5, 5],
                    "values": {},
                    "error": float(rng.uniform(0, 0.4)),
                    "missing": 0.0,
                    "invented": 0.0,
                    "overlap": None,
                    "best": 0.05,
                }
                for t in names[:20]
            ],
        },
        "ceiling": {
            "summary": {"score": 95.0, "shapes": 0.98, "pairs": 0.97, "degrees": 0.95, "associations": 0.9},
            "tables": {t: {"shape_mean": 0.98, "pair_mean": 0.97, "columns": {"kind": 0.98}, "fk": {}} for t in found},
            "whole": [],
        },
    }


def _table(name: str, schema: Schema, i: int, rng: np.random.Generator) -> dict[str, Any]:
    table = schema.table(name)
    names = ["kind", "amount", "since", "size"]
    scores = [float(s) for s in rng.beta(9, 1, 6)]
    real = [float(s) for s in np.round(rng.uniform(-1, 1, 6), 2)]
    rows = 5 if i % 17 == 9 else int(10 ** rng.uniform(2, 7))
    shapes = {"individual": 100 * float(rng.beta(8, 1.5)), "cross_table": 100 * float(rng.beta(8, 1.5))}
    quality: dict[str, Any] = {
        k: {"score": v, "grade": grade(v), "parts": {"shapes": v / 100, "pairs": v / 100}} for k, v in shapes.items()
    }
    if table.reference:
        quality = {k: {"score": None, "grade": None, "parts": {}} for k in shapes}
    elif not table.foreign_keys:
        quality["cross_table"] = {"score": None, "grade": None, "parts": {}}
    columns = {c: _column(str(v.kind), rng) for c, v in table.columns.items()}
    return {
        "reference": table.reference,
        "rows": [rows, rows],
        "expected_rows": rows,
        "row_error": 0.0,
        "primary_key": {"columns": ["id"], "duplicates": 0, "nulls": 0},
        "shape_mean": scores[0],
        "pair_mean": scores[1],
        "columns": columns,
        "pairs": {
            "columns": names,
            "scores": scores,
            "real": real,
            "synth": [round(r * 0.8, 2) for r, _ in zip(real, combinations(names, 2), strict=True)],
            "mean": scores[1],
            "information_mad": 0.02,
            "sampled_rows": [rows, rows],
        },
        "detection": {"alone": _told(rng), "children": None},
        "fk": {fk.name: _link(fk.parent, fk.columns, j == 0, rng) for j, fk in enumerate(table.foreign_keys)},
        "quality": quality,
    }


def _column(kind: str, rng: np.random.Generator) -> dict[str, Any]:
    out: dict[str, Any] = {"kind": kind, "shape": None, "nulls": [0.0, 0.0], "plot": None}
    if kind == "categorical":
        shares = np.round(rng.dirichlet(np.ones(4), 2), 4)
        out |= {"shape": float(rng.beta(9, 1)), "nulls": [0.1, 0.12]}
        labels = ["a common one", "another that is rather long", "<b>bold</b>", None]
        out["plot"] = {"axis": "category", "labels": labels, "real": list(shares[0]), "synth": list(shares[1])}
    elif kind in ("numeric", "datetime"):
        edges = [float(v) for v in np.linspace(0, 1000, 13) * (86400 if kind == "datetime" else 1)]
        out |= {"shape": float(rng.beta(9, 1)), "plot": _bars(kind, edges, rng)}
    else:
        out |= {"distinct": [1.0, 1.0], "copied": 0}
        if kind == "text":
            out |= {"length_shape": float(rng.beta(9, 1)), "plot": _bars("length", list(range(0, 52, 4)), rng)}
    return out


def _bars(axis: str, edges: list[Any], rng: np.random.Generator) -> dict[str, Any]:
    shares = np.round(rng.dirichlet(np.full(len(edges) - 1, 3.0), 2), 4).tolist()
    return {"axis": axis, "edges": edges, "real": shares[0], "synth": shares[1]}


def _link(parent: str, columns: tuple[str, ...], owner: bool, rng: np.random.Generator) -> dict[str, Any]:
    worst = [{"parent": "amount", "child": c, "real": 0.5, "synth": float(rng.uniform(0, 1))} for c in ("kind", "size")]
    steps = [60.0 * 2**i for i in range(13)]
    figures = {"lag1": [0.5, 0.4], "lag1_within": [-0.2, 0.1], "icc": [0.3, None]}
    return {
        "columns": list(columns),
        "parent": parent,
        "owner": owner,
        "reference": False,
        "orphans": 0,
        "kept_orphans": None,
        "nulls": [0.0, 0.0],
        "degree": {
            "ks": float(rng.beta(1, 20)),
            "mean": [3.1, 3.0],
            "max": [40, 38],
            "scale": 1.0,
            "plot": _bars("children", list(range(13)), rng),
        },
        "association": {
            "pairs": 16,
            "strong": 4,
            "kept": 0.8,
            "score": 0.75,
            "mad": 0.05,
            "worst": worst,
            "sampled_rows": [9, 9],
        },
        "sequence": {
            "order": "since",
            "lag1_mad": 0.1,
            "lag1_within_mad": 0.3,
            "icc_mad": 0.3,
            "gap_ks": 0.12,
            "gaps": _bars("gap", steps, rng),
            "columns": {"amount": figures, "size": figures},
        }
        if owner
        else None,
    }


def _told(rng: np.random.Generator) -> dict[str, Any]:
    auc = float(rng.uniform(0.5, 0.8))
    kinds = {"axis": "category", "labels": ["one", "two", None], "real": [0.6, 0.3, 0.1], "synth": [0.4, 0.3, 0.3]}
    told = [
        {
            "feature": "amount",
            "share": 0.6,
            "plot": _bars("numeric", np.linspace(0, 90, 25).tolist(), rng),
            "nulls": [0.0, 0.0],
        },
        {"feature": "kind", "share": 0.4, "plot": kinds, "nulls": [0.0, 0.1]},
    ]
    return {"auc": auc, "low": auc - 0.03, "high": auc + 0.03, "accuracy": 0.6, "rows": 500, "told": told}


def _risk(rng: np.random.Generator) -> dict[str, Any]:
    score = float(rng.uniform(50, 100))
    return {
        "score": score,
        "parts": dict.fromkeys(PARTS, score),
        **{p: {"score": score, "share": 0.051, "expected": 0.05, "pair": [0.1, 0.2]} for p in PARTS[:4]},
        "singling": {"score": score, "column": "kind", "found": "a real value that must not be shown"},
        "membership": None,
    }


def _target(target: str, rng: np.random.Generator) -> dict[str, Any]:
    real, synth = float(rng.uniform(0.7, 0.9)), float(rng.uniform(0.5, 0.8))
    return {
        "target": target,
        "table": target.removesuffix(".kind"),
        "rows": {"train": 1000, "test": 1000},
        "auc_real": real,
        "auc_synth": synth,
        "f1_real": real,
        "f1_synth": synth,
        "mc_auc": abs(1 - real / synth),
        "mc_f1": abs(1 - real / synth),
        "ceiling_mc_auc": 0.02,
        "ceiling_mc_f1": 0.03,
    }


def grade(score: float) -> str:
    """A word for a score, as the metrics may give one."""
    words = ((90, "Excellent"), (80, "Good"), (70, "Moderate"), (60, "Poor"))
    return next((word for least, word in words if score >= least), "Very Poor")
