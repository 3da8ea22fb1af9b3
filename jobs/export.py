"""Write the synthetic tables to a database: `spark-submit jobs/export.py --conf C`; flags of `spark-synth export`."""

import sys

from spark_synth.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["export", *sys.argv[1:]]))
