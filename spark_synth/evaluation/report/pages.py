"""The pages of the report, and the folder they lie in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment

from spark_synth.evaluation.report import charts, heat, risk, view, words
from spark_synth.evaluation.report.diagram import Face, diagram
from spark_synth.evaluation.report.environment import asset, templates
from spark_synth.evaluation.report.files import file_names
from spark_synth.evaluation.report.keys import Keys, keys_of
from spark_synth.schema.model import Schema

_MANY_QUERIES = 12  # above it they have a page of their own
_MANY_TABLES = 60  # above it a page shows only the worst columns as charts, or the folder grows past comfort
_CHARTS = 12
_NEIGHBOURS = 24  # of a table in the diagram of its page
_SHOWN = 20  # rows of the lists of the first page that grow with the tables


def write_report(
    metrics: Mapping[str, Any], folder: Path, about: Mapping[str, Any], schema: Schema | None = None
) -> Path:
    """Write the report into `folder` (made if absent) and return the path of its first page, `index.html`.

    `about` says what was made: any names and values, a value being text, a number, a list, or one more mapping. Shown
    in the order given; `identifier` is the title, and numbers in a mapping called `durations` are seconds. `schema`
    tells the diagram all keys; without it there are those that the metrics know. Beside index.html there are
    tables/*.html (one a table), privacy.html, perhaps workload.html, style.css and report.js.
    """
    names = file_names(metrics["tables"])
    tables = [view.table_view(t, v, metrics, names[t]) for t, v in metrics["tables"].items()]
    tables.sort(key=lambda t: (t["reference"], 101.0 if t["lowest"] is None else t["lowest"], t["name"]))
    queries = sorted(metrics.get("workload", {}).get("queries", []), key=lambda q: -(q["error"] or q["missing"]))
    pages = folder / "tables"
    pages.mkdir(parents=True, exist_ok=True)
    for old in pages.glob("*.html"):
        old.unlink()
    for name in ("style.css", "report.js"):
        (folder / name).write_text(asset(name), encoding="utf-8")
    environment = _environment(metrics, about, tables, queries)
    keys = keys_of(schema, metrics["tables"])
    (folder / "privacy.html").write_text(environment.get_template("privacy.html.j2").render(), encoding="utf-8")
    workload = folder / "workload.html"
    workload.unlink(missing_ok=True)
    if len(queries) > _MANY_QUERIES:
        workload.write_text(environment.get_template("workload.html.j2").render(), encoding="utf-8")
    _write_tables(environment, pages, tables, keys)
    index = folder / "index.html"
    drawn = diagram(keys, _faces(tables, "tables/"), "Tables and keys")
    index.write_text(
        environment.get_template("index.html.j2").render(diagram=drawn, **_first(metrics, tables)), "utf-8"
    )
    return index


def _write_tables(environment: Environment, pages: Path, tables: Sequence[Mapping[str, Any]], keys: Keys) -> None:
    """A page for each table, that lead from one to the next."""
    template = environment.get_template("table.html.j2")
    faces = _faces(tables, "")
    shown = _CHARTS if len(tables) > _MANY_TABLES else None
    for i, table in enumerate(tables):
        near = keys.around(table["name"], _NEIGHBOURS)
        tied = {r.table for r in keys.references if r.parent == table["name"]}
        alone = len(near.own) == 1 and not near.references
        page = template.render(
            t=table,
            root="../",
            title=table["name"],
            diagram=None if alone else diagram(near, faces, f"Keys of {table['name']}", table["name"]),
            hidden=len(tied - set(near.own)),
            drawn=table["drawn"][:shown],
            left_out=table["drawn"][shown:] if shown else [],
            before=tables[i - 1] if i else None,
            after=tables[i + 1] if i + 1 < len(tables) else None,
        )
        (pages / table["href"]).write_text(page, encoding="utf-8")


def _first(metrics: Mapping[str, Any], tables: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What only the first page shows."""
    worst_rules = sorted(metrics.get("rules", []), key=lambda r: (r["synth"] or 0) - (r["real"] or 0))
    hops = sorted(view.tied(metrics), key=lambda h: h["score"])
    targets = sorted(metrics.get("targets", []), key=lambda t: -(t.get("mc_auc") or 0))
    judged = view.judged(tables)
    return {
        "few": view.FEW if len(judged) < sum(not t["reference"] for t in tables) else 0,
        "columns": view.worst_columns(judged),
        "pairs": view.worst_pairs(judged),
        "links": view.worst_links(judged),
        "rules": worst_rules[:_SHOWN],
        "hops": hops[:_SHOWN],
        "targets": targets[:_SHOWN],
        "all_rules": len(worst_rules),
        "all_hops": len(hops),
        "all_targets": len(targets),
    }


def _faces(tables: Sequence[Mapping[str, Any]], folder: str) -> dict[str, Face]:
    made = {}
    for t in tables:
        shade, mark, said = view.told(t)
        made[t["name"]] = Face(shade, mark, folder + t["href"], said)
    return made


def _environment(
    metrics: Mapping[str, Any],
    about: Mapping[str, Any],
    tables: Sequence[Mapping[str, Any]],
    queries: Sequence[Mapping[str, Any]],
) -> Environment:
    """Templates with all that every page needs."""
    environment = templates()
    names = ("percent", "score", "points", "figure", "count", "grade", "shade", "title")
    environment.filters |= {name: getattr(words, name) for name in names}
    environment.globals |= {
        "chart": charts.chart,
        "dumbbells": charts.dumbbells,
        "heat_maps": heat.heat_maps,
        "difference_steps": heat.difference_steps(),
        "strength_steps": heat.strength_steps(),
        "risk": risk,
        "by_risk": sorted(tables, key=lambda t: (t["reference"], risk.least(t["privacy"]), -t["copied"], t["name"])),
        "association_rows": view.association_rows,
        "sequence_rows": view.sequence_rows,
        "run": str(about.get("identifier", "synthetic database")),
        "about": [(words.title(k), words.text(k, v)) for k, v in about.items()],
        "metrics": metrics,
        "summary": metrics["summary"],
        "privacy": metrics.get("privacy"),
        "quality": metrics["quality"],
        "parts": view.parts(metrics),
        "ceiling": metrics.get("ceiling", {"summary": {}, "tables": {}}),
        "tables": tables,
        "pages": {t["name"]: t["href"] for t in tables},
        "queries": queries,
        "many_queries": len(queries) > _MANY_QUERIES,
        "root": "",
    }
    return environment
