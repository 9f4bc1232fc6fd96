"""Print the address of the training runs and open it in a browser: `uv run poe runs`."""

import webbrowser

from rung_ops.tracking import server_check, store_address


def main() -> int:
    """Open the server's pages in a browser; return the exit code."""
    uri = store_address.tracking_uri()
    if not server_check.is_server(uri):
        print(f"Runs are recorded in {uri}. Run `uv run mlflow ui --backend-store-uri {uri}`.")
        return 0
    server_check.require(uri, store_address.policy().get("timeout_seconds", server_check.SECONDS))
    print(f"Training runs: {uri}/#/experiments")
    webbrowser.open(f"{uri}/#/experiments")
    return 0
