"""Runs and versions of models: recorded, found, copied to a server and scored."""
