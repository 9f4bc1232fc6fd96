"""Read a repository, without running anything of it, and say on which rung it stands."""
