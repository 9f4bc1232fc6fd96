"""Reports of a review, for people and for machines."""
