"""One stage in a process of its own, whose memory can be watched; the last line of stdout is what came out.

python -m bench.scale_job train CONFIG: the MLflow run id.
python -m bench.scale_job generate CONFIG RUN_ID TABLE: as JSON, rows and seconds of every table, and the seconds in
which Spark writes the rows of TABLE to Delta once more.
python -m bench.scale_job evaluate CONFIG: the seconds of it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from spark_synth import pipeline
from spark_synth.config import RunConfig, load_config
from spark_synth.pipeline.state import Manifest
from spark_synth.progress import set_quiet
from spark_synth.session import build_session
from spark_synth.sinks import read_delta, write_delta


def generated(config: RunConfig, run_id: str, table: str) -> str:
    """What is said of a generation."""
    began = time.perf_counter()
    folder = pipeline.generate(config, run_id)
    seconds = time.perf_counter() - began
    rows = read_delta(build_session(config.spark), str(folder / "tables" / table))
    began = time.perf_counter()
    write_delta(rows, str(folder / "copy"), "bench/copy", 1)
    plain = time.perf_counter() - began
    tables = {t: {k: e.get(k) for k in ("rows", "seconds")} for t, e in Manifest.read(folder).data["tables"].items()}
    return json.dumps({"tables": tables, "seconds": seconds, "plain": plain})


def evaluated(config: RunConfig) -> str:
    """The seconds of an evaluation."""
    began = time.perf_counter()
    pipeline.evaluate(config)
    return str(time.perf_counter() - began)


STAGES: dict[str, Callable[..., str]] = {"train": pipeline.train, "generate": generated, "evaluate": evaluated}

if __name__ == "__main__":
    set_quiet(True)
    stage, path, *more = sys.argv[1:]
    sys.stdout.write(STAGES[stage](load_config(Path(path)), *more) + "\n")
