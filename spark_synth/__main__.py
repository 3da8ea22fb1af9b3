"""`python -m spark_synth` is the `spark-synth` command."""

from spark_synth.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
