"""The stages of a run: discover, plan, train, generate, evaluate, and all of them."""

from spark_synth.pipeline.stages import discover, evaluate, export, generate, plan, run, train

__all__ = ["discover", "evaluate", "export", "generate", "plan", "run", "train"]
