"""Discovery: the schema of a database that declares none, proposed from its tables with the evidence for it."""

from spark_synth.discovery.profile import Look
from spark_synth.discovery.propose import Proposal, propose

__all__ = ["Look", "Proposal", "propose"]
