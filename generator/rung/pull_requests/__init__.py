"""`rung fleet update` and `rung fleet climb`: a branch and a pull or merge request for each repository.

It stands on `check`, which finds and clones the repositories, and on `core`, which plans and applies.
"""
