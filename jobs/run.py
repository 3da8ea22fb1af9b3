"""The whole job, resumable: `spark-submit jobs/run.py --conf C`; flags of `spark-synth run`."""

import sys

from spark_synth.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["run", *sys.argv[1:]]))
