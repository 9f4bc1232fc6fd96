"""Check that the tracking server is ready, before training starts."""

import argparse
import sys

from rung_ops.tracking import registry, server_check, store_address, sync


def main(arguments: list[str] | None = None) -> int:
    """Check the server, and copy waiting runs to it; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="rung-ops tracking ready", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--say",
        action="store_true",
        help="only print the problem and exit with 0, before commands that record no run",
    )
    only_says = parser.parse_args(arguments).say
    uri = store_address.tracking_uri()
    if not server_check.is_server(uri):
        return 0
    reason = server_check.problem(
        uri, store_address.policy().get("timeout_seconds", server_check.SECONDS)
    )
    if reason is None:
        return 0 if only_says else sync.main([])
    print(reason, file=sys.stderr)
    if only_says:
        print("Training continues: only the pipeline records a run.", file=sys.stderr)
    elif registry.continues_without_server():
        print(
            'Training continues, as ops/tracking.toml says (when_down = "continue"): the run is '
            "recorded locally and copied to the server when it is back.",
            file=sys.stderr,
        )
    else:
        print(
            "Nothing was trained. To train without the server and record the run later, set "
            'when_down = "continue" in ops/tracking.toml.',
            file=sys.stderr,
        )
        return 1
    return 0
