"""Review many repositories at once, and show the rung of each in one table."""
