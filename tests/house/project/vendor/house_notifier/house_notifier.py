"""Sends what monitor and autopilot report to the house's channel."""

import json
import os
import urllib.request

from rung_ops.addons import Addon


def notify(subject: str, message: str) -> None:
    """Post a message to the channel, if there is one."""
    if address := os.environ.get("HOUSE_CHANNEL"):
        body = json.dumps({"text": f"{subject}: {message}"}).encode()
        urllib.request.urlopen(urllib.request.Request(address, body), timeout=10).close()


ADDON = Addon(summary="reports to the house's channel", notify="house_notifier:notify")
