"""The second model of this repository: credits for the household."""
