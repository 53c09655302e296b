"""Ports on the loopback address: which are free, which process has one, whether a server answers."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import secrets
import socket
import time
from urllib.parse import urlsplit

import psutil

from service.embedded.supervisor import StackError

LOOPBACK = "127.0.0.1"
# Below the ports that systems give to outgoing connections (Linux: 32768 and up, IANA and macOS: 49152 and up). Such a
# port may become a connection's own right after it was seen to be free, and then no server can bind it.
PORTS = range(20_000, 32_768)
_turns = itertools.count(secrets.randbelow(len(PORTS)))


class PortTaken(StackError):
    """Another process listens on a port that was asked for."""


def free_port() -> int:
    """One of PORTS that nobody listens on, and that this process was not given lately.

    Raises:
        PortTaken: all of them are taken.
    """
    for turn in itertools.islice(_turns, len(PORTS)):
        if is_free(port := PORTS[turn % len(PORTS)]):
            return port
    raise PortTaken(f"every port from {PORTS[0]} to {PORTS[-1]} on {LOOPBACK} is taken. End what holds them")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def require_free(port: int, option: str, *, wait: float = 0.0) -> int:
    """The port itself where it is free, any free one for 0.

    Args:
        port: 0 to 65535.
        option: the command-line option that names another, for the message.
        wait: seconds to wait for it.

    Raises:
        PortTaken: somebody listens there; the message names who, where that can be seen, and the remedy.
    """
    if port == 0:
        return free_port()
    deadline = time.monotonic() + wait
    while not is_free(port):
        if time.monotonic() >= deadline:
            other = port + 1 if port < 65535 else port - 1
            raise PortTaken(
                f"port {port} on {LOOPBACK} is taken{_by_whom(port)}."
                f" End that, or choose another port: gradus up {option} {other} ({option} 0 takes any)"
            )
        time.sleep(0.1)
    return port


def _by_whom(port: int) -> str:
    with contextlib.suppress(psutil.Error):  # macOS shows other people's connections to root only
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f" by process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return ""


def http_answers(url: str, *, timeout: float = 1.0) -> bool:
    """Whether a GET of this http address on this machine answers 200. No proxy is asked."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or LOOPBACK, parts.port, timeout=timeout)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def valkey_answers(port: int, password: str, *, timeout: float = 1.0) -> bool:
    """Whether the broker lets us in and has loaded its data (two commands of its line protocol)."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2 and (part := connection.recv(4096)):
                answer += part
            return answer == b"+OK\r\n+PONG\r\n"
    except OSError:
        return False
