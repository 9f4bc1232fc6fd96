"""Check what was predicted: drift, missing values, bounds, age, and what really happened."""
