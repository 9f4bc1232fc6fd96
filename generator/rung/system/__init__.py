"""What all products stand on: git, processes, folders that appear whole, and short files."""
