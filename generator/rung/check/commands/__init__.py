"""The commands `rung check` and `rung fleet`, each in one file."""
