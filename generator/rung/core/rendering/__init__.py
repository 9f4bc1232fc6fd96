"""The template rendered as git trees: which template, with which answers, and where they are kept."""
