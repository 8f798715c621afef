"""A fault proxy between two real processes: each request may be delayed, broken off, or lose its answer.

Which fault a request meets is thrown from a seed. `calm` ends all of them.
"""

import random
import socket
import struct
import threading
from collections import Counter
from contextlib import suppress
from enum import StrEnum
from time import sleep

from tests.transport.conftest import read_request

_RESET = struct.pack("ii", 1, 0)  # lingering for no time: the peer gets a reset


class Fault(StrEnum):
    """What may happen to a request on its way."""

    DELAY = "delay"
    RESET_BEFORE = "reset before the body"
    RESET_AFTER = "reset after the body"
    TRUNCATED = "truncated answer"
    LOST = "lost acknowledgement"  # it was taken, and nobody is told
    EMPTY = "empty answer"  # it was taken, which is said without the acknowledgement


class Proxy:
    """Listens on a port of its own, and hands on to another until it is closed."""

    def __init__(self, target: int, *, seed: int, share: float) -> None:
        self.met: Counter[str] = Counter()
        self._target, self._share = target, share
        self._dice = random.Random(seed)
        self._deck: list[Fault] = []  # each is met once before any is met again
        self._lock = threading.Lock()
        self._calm = False
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def calm(self) -> None:
        """From now on everything goes through."""
        self._calm = True

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self._socket.accept()
                threading.Thread(target=self._converse, args=(line,), daemon=True).start()

    def _converse(self, line: socket.socket) -> None:
        with suppress(OSError), line:
            line.settimeout(10)
            while True:
                fault = self._thrown()
                if fault is Fault.RESET_BEFORE:
                    if line.recv(1):  # its head has begun
                        self._met(fault)
                        _reset(line)
                    return
                request = read_request(line)
                if not request or not self._handed_on(line, request, fault):
                    return

    def _handed_on(self, line: socket.socket, request: bytes, fault: Fault | None) -> bool:
        """One request and its answer; whether the connection still stands."""
        if fault is not None:
            self._met(fault)
        if fault is Fault.RESET_AFTER:
            _reset(line)
            return False
        if fault is Fault.DELAY:
            sleep(self._dice.uniform(0.05, 0.4))
        with socket.create_connection(("127.0.0.1", self._target), timeout=10) as there:
            there.sendall(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
            answer = b"".join(iter(lambda: there.recv(65536), b""))
        if fault is Fault.LOST:
            _reset(line)
            return False
        if fault is Fault.EMPTY:
            line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return False
        if fault is Fault.TRUNCATED:
            line.sendall(answer[: answer.index(b"\r\n\r\n") + 4 + 40])
            return False
        line.sendall(answer)
        return False  # the other side was told to close

    def _thrown(self) -> Fault | None:
        with self._lock:
            if self._calm or self._dice.random() >= self._share:
                return None
            self._deck = self._deck or self._dice.sample(list(Fault), len(Fault))
            return self._deck.pop()

    def _met(self, fault: Fault) -> None:
        with self._lock:
            self.met[fault.value] += 1


def _reset(line: socket.socket) -> None:
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    line.close()
