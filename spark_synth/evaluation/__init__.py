"""How good a synthetic database is: metrics computed on Spark, integrity gates, and a report."""

from spark_synth.evaluation.ceiling import find_ceiling
from spark_synth.evaluation.database import evaluate_database
from spark_synth.evaluation.report import write_report
from spark_synth.evaluation.verdict import flatten

__all__ = ["evaluate_database", "find_ceiling", "flatten", "write_report"]
