"""Privacy: erase a person's rows, and delete what is past its retention period."""
