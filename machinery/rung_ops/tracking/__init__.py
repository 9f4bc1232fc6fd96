"""Runs and versions on a server: started, asked, and given what was recorded elsewhere."""
