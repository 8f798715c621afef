"""A Python that has loaded the adapter; processes that begin there are real, without the second of loading.

`start` and `run` are subprocess's for the words that follow `python`; `command` is a program for shells. Each
process has files, a folder and an environment of its own, and can be killed as any other.
"""

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from socket import socket
from typing import IO, Any

from tests.warm.asking import ask

ROOT = Path(__file__).parents[2]


@dataclass
class Process:
    """A process that began there; as subprocess.Popen has it, as far as tests need it."""

    pid: int
    stdout: IO[bytes] | None
    told: socket = field(repr=False)
    returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status, None while it lives; minus the signal that killed it."""
        try:
            return self.wait(timeout=0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, once there is one."""
        if self.returncode is None:
            self.told.settimeout(timeout)
            try:
                self.returncode = int(self.told.recv(100))
            except (TimeoutError, BlockingIOError) as error:
                raise subprocess.TimeoutExpired("a warm process", timeout or 0.0) from error
            self.told.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """To the process, where it lives."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(
    words: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stdin: IO[bytes] | None = None,
    stdout: IO[bytes] | int | None = None,
    stderr: IO[bytes] | None = None,
) -> Process:
    """Start what `python WORDS` would, `-m MODULE …`; no file is /dev/null, for `stderr` our own."""
    read, write = os.pipe() if stdout == subprocess.PIPE else (None, stdout)
    with Path(os.devnull).open("r+b") as nothing:
        files = [_number(one) for one in (stdin or nothing, write or nothing, stderr or 2)]
        told = ask(_address(), words, str(cwd), dict(os.environ if env is None else env), files)
    pid = int(told.recv(100))
    if read is None:
        return Process(pid, None, told)
    os.close(files[1])
    return Process(pid, os.fdopen(read, "rb"), told)


def _number(file: Any) -> int:
    return file if isinstance(file, int) else int(file.fileno())


def run(
    words: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    input: bytes = b"",  # as subprocess calls it
    timeout: float = 60,
) -> "subprocess.CompletedProcess[bytes]":
    """Run it to its end; its status, and what it has printed."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
        given.write(input)
        given.seek(0)
        process = start(words, cwd=cwd, env=env, stdin=given, stdout=out, stderr=said)
        try:
            status = process.wait(timeout)
        finally:
            process.kill()
        out.seek(0)
        said.seek(0)
        return subprocess.CompletedProcess(words, status, out.read(), said.read())


def command(at: Path, words: str) -> Path:
    """Make a program there that runs those words and its own after them."""
    asking = Path(__file__).with_name("asking.py")
    at.write_text(f"#!/bin/sh\nexec '{sys.executable}' -IS '{asking}' '{_address()}' {words} \"$@\"\n")
    at.chmod(0o755)
    return at


@cache
def _address() -> str:
    """Where the one that has loaded everything listens; it ends with us."""
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    served = subprocess.Popen(
        [sys.executable, "-m", "tests.warm.serving", f"{folder}/s"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    atexit.register(_end, served, folder)
    assert served.stdout is not None
    assert served.stdout.readline(), "it did not start"
    return f"{folder}/s"


def _end(served: "subprocess.Popen[bytes]", folder: Path) -> None:
    served.terminate()
    served.wait()
    shutil.rmtree(folder, ignore_errors=True)
