"""What the terminal shows when a database is evaluated: how good it is, and where everything lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spark_synth.config import RunConfig
from spark_synth.pipeline.state import Manifest
from spark_synth.progress import Progress

_FIGURES = ("shapes", "pairs", "individual", "across tables")


def tell_summary(progress: Progress, config: RunConfig, metrics: Mapping[str, Any], manifest: Manifest) -> None:
    """What was written, where, and how good it is."""
    rows = []
    for table, one in metrics["tables"].items():
        scores = [each["score"] for each in one.get("quality", {}).values()] or [None, None]
        shown = ["-" if f is None else f"{f:.3f}" for f in (one["shape_mean"], one["pair_mean"])]
        shown += ["-" if s is None else f"{s:.0f}" for s in scores]
        entry = manifest.data["tables"].get(table, {})
        kept = "given rows" if entry.get("given") else "real rows kept" if entry.get("kept") else ""
        rows.append([table, f"{one['rows'][0]:,}", f"{one['rows'][1]:,}", *shown, kept])
    score = metrics["summary"].get("score")
    title = f"quality {score:.1f} of 100, {metrics['quality']['grade']}" if score is not None else "result"
    if best := metrics.get("ceiling", {}).get("summary", {}).get("score"):
        title += f" (another real sample: {best:.1f})"
    if (privacy := metrics.get("privacy", {})).get("score") is not None:
        title += f"; privacy {privacy['score']:.1f} of 100, {privacy['level']}"
    progress.summary(title, ["table", "real rows", "synthetic rows", *_FIGURES, ""], rows)
    for problem in metrics.get("problems", []):
        progress.note(f"problem: {problem}")
    folder = manifest.path.parent
    tables = f"{config.output} (schema)" if config.output_is_catalog else str(folder / "tables")
    progress.note(f"tables: {tables}")
    progress.note(f"report: {folder / 'report' / 'index.html'}")
    uri = config.resolved()["tracking"]["uri"] or "the default server"
    progress.note(f"MLflow: {uri}, experiment {config.tracking.experiment}")
