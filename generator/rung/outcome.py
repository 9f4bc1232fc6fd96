"""What a command says at its end: what it did, and what to type next."""

from rung.new import Born, next_steps

NAMELESS = """\
git does not know your name, so the first commit bears Rung's. Put it right with
  git config --global user.name "Your Name"
  git config --global user.email you@example.com
  git commit --amend --reset-author --no-edit"""


def born(made: Born, *, wants_git: bool) -> str:
    """Say where a new project stands and what to do with it."""
    lines = [f"{made.folder}: rung {made.level}, {len(made.files)} files."]
    if made.repository and not made.committed and wants_git:
        lines.append(f"It stands inside the repository {made.repository}: add and commit it there.")
    if not made.signed:
        lines.append(NAMELESS)
    if made.asks:
        lines += ["\nThe team brings:", *(f"  * {ask}" for ask in made.asks)]
    return "\n".join([*lines, "\nNext:", *(f"  {step}" for step in next_steps(made.folder))])
