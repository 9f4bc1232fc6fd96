"""`rung fleet`: the rungs of many repositories in one table."""
