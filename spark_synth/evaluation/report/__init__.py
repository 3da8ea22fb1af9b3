"""The HTML report: a folder of pages that opens anywhere and asks nothing of the network."""

from spark_synth.evaluation.report.pages import write_report

__all__ = ["write_report"]
