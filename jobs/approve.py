"""Mark a reviewed schema approved: `spark-submit jobs/approve.py SCHEMA --conf C`; flags of `spark-synth approve`."""

import sys

from spark_synth.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["approve", *sys.argv[1:]]))
