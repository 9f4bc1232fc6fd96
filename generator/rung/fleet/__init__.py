"""Review many repositories at once, and say in one table where each stands."""
