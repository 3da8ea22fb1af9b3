"""Fit encoders and models: `spark-submit jobs/train.py --conf C`; flags of `spark-synth train`."""

import sys

from spark_synth.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["train", *sys.argv[1:]]))
