"""Run what can be run of a repository, in a copy and only when asked to, to prove its findings."""
