"""Read a repository, without running any of it, and determine its rung."""
