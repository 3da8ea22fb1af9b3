"""Runs side by side: `spark-submit jobs/compare.py --conf C RUN RUN`; flags of `spark-synth compare`."""

import sys

from spark_synth.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["compare", *sys.argv[1:]]))
