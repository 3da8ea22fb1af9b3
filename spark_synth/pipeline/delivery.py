"""What is done to each table of a database in the making, and told in its manifest."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame

from spark_synth.config import RunConfig
from spark_synth.encoding.at_once import each
from spark_synth.generation.links import fill_links
from spark_synth.generation.run import Generation
from spark_synth.generation.tables import draw_table, generate_table, is_final
from spark_synth.generation.waves import may_repeat, numbers_used, with_own_texts, without_repeats
from spark_synth.pipeline.state import Manifest
from spark_synth.progress import Progress
from spark_synth.schema.names import quote
from spark_synth.sinks import table_target, write_delta


def levels(run: Generation, tables: Collection[str]) -> list[list[str]]:
    """Tables by their depth below owners and link targets, and below the rows of their sets."""
    depth: dict[str, int] = {}
    for t, plan in run.plans.items():
        above = [k.parent for k in plan.matched if not k.late] + ([plan.owner.parent] if plan.owner else [])
        above += [s.other for s in plan.sets]
        depth[t] = 1 + max((depth[p] for p in above), default=-1)
    return [[t for t in tables if depth[t] == d] for d in range(max(depth.values()) + 1)]


@dataclass(frozen=True)
class Delivery:
    """What is done to each table, and told in the manifest."""

    run: Generation
    config: RunConfig
    manifest: Manifest
    run_id: str
    progress: Progress

    def make(self, tables: Collection[str]) -> None:
        """Draw and write tables, those before them in order being there."""
        self.progress.stage(f"generate {len(tables)} tables")
        for level in levels(self.run, set(tables) - set(self.run.kept)):
            each(level, self.draw)
        self.progress.stage("write Delta tables")
        each([t for t in self.run.plans if t in tables], self.write)

    def draw(self, table: str) -> None:
        """Draw a table, and deliver it at once where nothing is still to be done to its rows."""
        run, state = self.run, self.manifest.state_of(table)
        if state == "written" or (state == "rows" and Path(run.work, table, "_SUCCESS").exists()):
            return
        began = time.monotonic()
        if is_final(run, table) and table not in run.part and not self._may_repeat(table):
            drawn, count = draw_table(run, table)
            columns = [quote(c) for c in run.plans[table].columns]
            drawn = with_own_texts(run, table, drawn.select(*columns))
            rows = self._deliver(table, drawn, count, used=numbers_used(run, table, count))
        else:
            rows = generate_table(run, table)
            self.manifest.table(table, state="rows", rows=rows, used=numbers_used(run, table, rows))
        seconds = time.monotonic() - began
        self.manifest.table(table, seconds=round(seconds, 1))
        self.progress.done(table, f"{rows:,} rows, {rows / seconds:,.0f} rows/s")

    def write(self, table: str) -> None:
        """Write a table that was not delivered when it was drawn."""
        if self.manifest.state_of(table) == "written":
            return
        kept = table in self.run.kept
        rows = self._kept(table) if kept else self._finished(table)
        self.progress.done(table, f"{rows:,} rows written")

    def _kept(self, table: str) -> int:
        """Rows written of a kept table: none in later waves, since they are there."""
        given = {"given": self.config.generate.given[table]} if table in self.run.given else {}
        if self.manifest.wave:
            there = self.manifest.data["tables"][table]["rows"]
            self._say_written(table, 0, used=numbers_used(self.run, table, there), **given)
            return 0
        rows = self._deliver(table, fill_links(self.run, table), None, **given)
        self.manifest.table(table, used=numbers_used(self.run, table, rows))
        return rows

    def _finished(self, table: str) -> int:
        drawn = self.manifest.tables[table]["rows"]
        loses = bool(self.run.plans[table].unique) or self._may_repeat(table)
        made = with_own_texts(self.run, table, fill_links(self.run, table))
        made = without_repeats(self.run, table, made)
        rows = self._deliver(table, made, None if loses else drawn)
        if self.manifest.wave and rows < drawn:
            self.progress.note(f"{table}: {drawn - rows:,} rows left out that repeat what may occur once")
            self.manifest.table(table, left_out=drawn - rows)
        return rows

    def _may_repeat(self, table: str) -> bool:
        return self.run.there is not None and table in may_repeat(self.run)

    def _deliver(self, table: str, rows: DataFrame, expected: int | None, **more: Any) -> int:  # noqa: ANN401
        """Write the finished rows of a table, once, and say so in the manifest; their number."""
        app_id = f"spark-synth/{self.run_id}/{self.manifest.name}/{table}"
        manifest, target = self.manifest, self.target(table)
        count = write_delta(rows, target, app_id, manifest.write, expected, replace=manifest.redraw)
        self._say_written(table, count, **more)
        return count

    def _say_written(self, table: str, rows: int, **more: Any) -> None:  # noqa: ANN401 - what JSON takes
        kept = table in self.run.kept
        self.manifest.table(table, state="written", rows=rows, target=self.target(table), kept=kept, **more)

    def target(self, table: str) -> str:
        """Where a table is written."""
        return table_target(self.config.output, self.manifest.name, table)
