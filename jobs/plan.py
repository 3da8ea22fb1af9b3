"""What a run will do and cost: `spark-submit jobs/plan.py --conf C`; flags of `spark-synth plan`."""

import sys

from spark_synth.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["plan", *sys.argv[1:]]))
