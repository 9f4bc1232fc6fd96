"""Browse the training runs: `uv run poe runs` names the server's address, and opens it.

Rung keeps this file; change it through tracking.toml.
"""

import sys
import webbrowser

from ops import address, reach


def main() -> int:
    """Open the server's pages in a browser; return the exit code."""
    uri = address.tracking_uri()
    if not reach.is_server(uri):
        print(f"Runs are recorded in {uri}: `uv run mlflow ui --backend-store-uri {uri}`.")
        return 0
    reach.demand(uri, address.policy().get("timeout_seconds", reach.SECONDS))
    print(f"The training runs: {uri}/#/experiments")
    webbrowser.open(f"{uri}/#/experiments")
    return 0


if __name__ == "__main__":
    sys.exit(main())
