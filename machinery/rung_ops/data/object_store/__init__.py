"""The raw data in an object store: listed and fetched into data/incoming."""
