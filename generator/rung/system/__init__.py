"""What all products share: git, processes, locks, pages, and folders that appear whole."""
