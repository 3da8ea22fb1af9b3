"""Propose keys and relationships: `spark-submit jobs/discover.py --conf C`; flags of `spark-synth discover`."""

import sys

from spark_synth.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["discover", *sys.argv[1:]]))
