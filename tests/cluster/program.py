"""A driver of its own: trains tables on the cluster whose master and settings the first argument names, and writes what
came out as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from spark_synth.config import RunConfig, SparkSettings
from spark_synth.pipeline.outlook import places
from spark_synth.session import build_session
from spark_synth.training.job import FitJob
from spark_synth.training.place import train_tables


def main() -> None:
    """Train."""
    asked = json.loads(Path(sys.argv[1]).read_text())
    spark = build_session(SparkSettings(master=asked["master"], conf=asked["conf"]), log_file=Path(asked["log"]))
    config = RunConfig.model_validate({"source": {"path": "."}, "schema": "none", "output": "none"})
    results = train_tables(spark, [FitJob(**j) for j in asked["jobs"]], lambda table, entry: None)
    told = {"places": asdict(places(spark, config)), "tables": {t: asdict(r) for t, r in results.items()}}
    Path(asked["results"]).write_text(json.dumps(told))
    spark.stop()


if __name__ == "__main__":
    main()
