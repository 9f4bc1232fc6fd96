"""What `rung assess` does: from a team's answers to a strategy and a roadmap, and how it is read."""
