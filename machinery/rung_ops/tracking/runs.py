"""Browse the training runs: `uv run poe runs` names the server's address, and opens it."""

import webbrowser

from rung_ops.tracking import server_check, store_address


def main() -> int:
    """Open the server's pages in a browser; return the exit code."""
    uri = store_address.tracking_uri()
    if not server_check.is_server(uri):
        print(f"Runs are recorded in {uri}: `uv run mlflow ui --backend-store-uri {uri}`.")
        return 0
    server_check.demand(uri, store_address.policy().get("timeout_seconds", server_check.SECONDS))
    print(f"The training runs: {uri}/#/experiments")
    webbrowser.open(f"{uri}/#/experiments")
    return 0
