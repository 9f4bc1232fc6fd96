"""Statistics that gate, rollout, monitor and autopilot share."""
