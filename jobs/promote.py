"""Name the champion among models: `spark-submit jobs/promote.py --conf C`; flags of `spark-synth promote`."""

import sys

from spark_synth.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["promote", *sys.argv[1:]]))
