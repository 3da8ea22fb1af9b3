"""Measure the synthetic tables: `spark-submit jobs/evaluate.py --conf C`; flags of `spark-synth evaluate`."""

import sys

from spark_synth.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["evaluate", *sys.argv[1:]]))
