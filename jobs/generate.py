"""Write the synthetic tables: `spark-submit jobs/generate.py --conf C`; flags of `spark-synth generate`."""

import sys

from spark_synth.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["generate", *sys.argv[1:]]))
