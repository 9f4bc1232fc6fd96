"""The second model of this repository: credits for cars."""
