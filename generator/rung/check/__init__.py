"""Read any repository and say on which rung it stands: evidence, reports, fleets and proofs."""
