"""How a process is asked for: `python asking.py ADDRESS WORDS…` is, to a shell, the one that was asked for.

It loads next to nothing, as that is what it is for.
"""

import json
import os
import socket
import sys

LONGEST = 128 * 1024
"""Bytes of what is asked; Linux lets a packet be about 200,000 long."""


def ask(
    address: str, words: list[str], folder: str, environment: dict[str, str], files: list[int]
) -> socket.socket:
    """Ask; the answers are the new process's id, and its exit status once it has ended."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(address)
    wanted = json.dumps([list(words), folder, environment]).encode()
    assert len(wanted) < LONGEST
    socket.send_fds(connection, [wanted], files)
    return connection


def main() -> None:
    told = ask(sys.argv[1], sys.argv[2:], os.getcwd(), dict(os.environ), [0, 1, 2])  # noqa: PTH109  # pathlib is slow
    told.recv(100)
    status = int(told.recv(100))
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
