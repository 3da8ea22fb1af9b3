"""A proposed schema as one page: the diagram, and of each table its keys, links and columns, and why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from spark_synth.evaluation.report.diagram import Face, diagram
from spark_synth.evaluation.report.environment import templates
from spark_synth.evaluation.report.keys import keys_of
from spark_synth.schema.model import Schema
from spark_synth.whole import write_whole

DOUBTFUL = 0.8  # confidence below which a proposal is shown as to be looked at


def write_proposal(schema: Schema, told: Mapping[tuple[str, str], str], rows: Mapping[str, int], path: Path) -> None:
    """Write the page. told: by table and column, what was found out about it, in words; rows: of each table."""
    keys = keys_of(schema, {t: {"fk": {}} for t in schema.tables})
    names = {t: f"table-{i}" for i, t in enumerate(schema.tables)}
    faces = {t: Face("none", f"{rows[t]:,}", f"#{names[t]}", f"{rows[t]:,} rows") for t in schema.tables}
    page = (
        templates()
        .get_template("proposal.html.j2")
        .render(
            schema=schema,
            names=names,
            rows=rows,
            told=told,
            doubtful=DOUBTFUL,
            diagram=diagram(keys, faces, "Tables and proposed keys"),
        )
    )
    write_whole(path, lambda p: p.write_text(page, encoding="utf-8"))
