"""The Python that has loaded everything: `python -m tests.warm.serving ADDRESS` forks whatever is asked for.

It ends when its standard input does, so that it outlives nobody.
"""

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import threading
import traceback

from adapter.fhir.validation import warm
from tests.warm.asking import LONGEST

LOADED = (
    "adapter.cli", "adapter.fhir.validation", "adapter.runtime", "adapter.scheduler.clockwork",
    "adapter.scheduler.delivering", "adapter.simulator.load", "adapter.simulator.region", "adapter.web.app",
    "tests.receivers", "uvicorn",
)  # fmt: skip


class Serving:
    """Listens, forks, and tells how each process has ended."""

    def __init__(self, address: str) -> None:
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(address)
        self.listener.listen(64)
        self.woken, wakes = socket.socketpair()
        self.woken.setblocking(False)
        wakes.setblocking(False)
        self.wakes = wakes
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        self.living: dict[int, socket.socket] = {}

    def until_a_child(self) -> list[str]:
        """Serve; the return is in a new process, which is to run these words."""
        looked_at = selectors.DefaultSelector()
        for one in (self.listener, self.woken, sys.stdin):
            looked_at.register(one, selectors.EVENT_READ)
        while True:
            for key, _ in looked_at.select():
                if key.fileobj is sys.stdin:
                    os._exit(0)
                elif key.fileobj is self.woken:
                    self.woken.recv(4096)
                    self.tell_of_the_dead()
                elif (words := self.begin()) is not None:
                    looked_at.close()
                    return words

    def begin(self) -> list[str] | None:
        """Fork for who is asking: None for us, the words for the child."""
        connection, _ = self.listener.accept()
        wanted, files, _, _ = socket.recv_fds(connection, LONGEST, 3)
        words, folder, environment = json.loads(wanted)
        pid = os.fork()
        if pid == 0:
            connection.close()
            self.become(folder, environment, files)
            return list(words)
        self.living[pid] = connection
        connection.send(str(pid).encode())
        for one in files:
            os.close(one)
        return None

    def tell_of_the_dead(self) -> None:
        for pid in list(self.living):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                with (
                    self.living.pop(pid) as connection,
                    contextlib.suppress(OSError),
                ):  # who asked may be gone
                    connection.send(str(os.waitstatus_to_exitcode(status)).encode())

    def become(self, folder: str, environment: dict[str, str], files: list[int]) -> None:
        """A child's own place, environment and files."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for one in (self.listener, self.woken, self.wakes, *self.living.values()):
            one.close()
        for number, one in enumerate(files):
            os.dup2(one, number)
            os.close(one)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.stdin, sys.stdout, sys.stderr = (_text(number) for number in range(3))


def _text(number: int) -> io.TextIOWrapper:
    """Standard input, output or error, as Python opens them."""
    file = os.fdopen(number, "rb" if number == 0 else "wb", closefd=False)
    return io.TextIOWrapper(file, "utf-8", line_buffering=number == 2 or os.isatty(number))


def main() -> None:
    for name in LOADED:
        importlib.import_module(name)
    warm()
    assert threading.active_count() == 1, "only a process of one thread may fork"
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us ends us
    serving = Serving(sys.argv[1])
    gc.freeze()  # what all share is not looked through, and so not copied
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    words = serving.until_a_child()
    assert words[0] == "-m", "only modules are run"
    sys.argv = words[1:]
    sys.path[0] = os.getcwd()  # noqa: PTH109  # as Python writes it
    _end(_status_of(words[1]))


def _status_of(module: str) -> int:
    """Run it as `python -m` does; its exit status."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        sys.stderr.write(f"{end.code}\n")
        return 1
    except BaseException:  # noqa: BLE001  # Python would print it as well
        traceback.print_exc()
        return 1
    return 0


def _end(status: int) -> None:
    """End as Python does, without taking to pieces what was loaded: it takes longer than many a command."""
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are no daemons
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
