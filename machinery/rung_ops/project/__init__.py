"""Where a project lies, its settings, hooks and models."""
