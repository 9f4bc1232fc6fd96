"""Ports of this machine."""

import socket


def free_port(host: str = "127.0.0.1") -> int:
    """Find a port that no process listens on."""
    with socket.socket() as opened:
        opened.bind((host, 0))
        return int(opened.getsockname()[1])
