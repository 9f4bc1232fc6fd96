"""`rung check --prove`: findings proven by running a repository's commands in a copy."""
