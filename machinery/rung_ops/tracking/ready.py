"""Say whether the tracking server is ready, before anything is trained."""

import sys

from rung_ops.tracking import registry, server_check, store_address, sync


def main(arguments: list[str] | None = None) -> int:
    """Ask the server, and bring it what waits here; return the exit code.

    With --say it stops nothing: what follows records no run.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    uri = store_address.tracking_uri()
    if not server_check.is_server(uri):
        return 0
    wrong = server_check.problem(
        uri, store_address.policy().get("timeout_seconds", server_check.SECONDS)
    )
    if wrong is None:
        return 0 if "--say" in arguments else sync.main([])
    print(wrong, file=sys.stderr)
    if "--say" in arguments:
        print("Training goes on: it records no run. The pipeline does.", file=sys.stderr)
    elif registry.goes_on():
        print(
            'Training goes on without it, as ops/tracking.toml says (when_down = "continue"): the run '
            "is recorded here, and brought there when it is back.",
            file=sys.stderr,
        )
    else:
        print(
            'Nothing was trained. To train without it and record the run later: when_down = "'
            'continue" in ops/tracking.toml.',
            file=sys.stderr,
        )
        return 1
    return 0
