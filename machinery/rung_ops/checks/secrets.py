"""Look for secrets in the files that git tracks, without any tool of a shell."""

import sys

from rung_ops.project import current
from rung_ops.system import git

BASELINE = ".secrets.baseline"


def main() -> int:
    """Run detect-secrets over the tracked files; return its exit code."""
    from detect_secrets.pre_commit_hook import main as hook

    listed = git.run(current().repository, "ls-files", "-z", errors="surrogateescape")
    if listed.returncode != 0:
        print(f"git cannot list the files: {listed.stderr.strip()}", file=sys.stderr)
        return 1
    files = [
        name
        for name in listed.stdout.split("\0")
        if name and (current().repository / name).is_file()
    ]
    return int(hook(["--no-verify", "--baseline", BASELINE, *files]))
