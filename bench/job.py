"""Train and generate from one configuration, in a process of its own, so that its memory can be watched.

python -m bench.job CONFIG: the last line of stdout is the MLflow run id of the training.
"""

from __future__ import annotations

import sys

from spark_synth import pipeline
from spark_synth.config import load_config
from spark_synth.progress import set_quiet

if __name__ == "__main__":
    set_quiet(True)
    config = load_config(sys.argv[1])
    run_id = pipeline.train(config)
    pipeline.generate(config, run_id)
    sys.stdout.write(f"{run_id}\n")
