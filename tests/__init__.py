"""Tests of the generator, of generated projects, and of this repository."""
