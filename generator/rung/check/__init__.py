"""`rung check` and `rung fleet`: the rung of any repository, with evidence, reports and proofs."""
