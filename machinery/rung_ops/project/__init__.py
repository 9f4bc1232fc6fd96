"""Where a project is, its settings, hooks and models."""
