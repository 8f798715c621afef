"""A folder shared with a partner: `out/` for what leaves, `in/` for what comes, then `done/` or `failed/`.

A file appears under its name whole or not at all: it is written as `.part`, synced and renamed, on both
sides. A written file is taken but not delivered; only a receipt says that somebody has fetched it.
"""

import errno
import os
import re
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from heapq import nsmallest
from itertools import chain, count
from pathlib import Path
from time import perf_counter
from typing import BinaryIO
from urllib.parse import quote, unquote_to_bytes

from adapter.errors import MailboxError
from adapter.messaging.delivery import Reply
from adapter.messaging.register import Endpoint
from adapter.phrases import English, Phrase, phrase
from adapter.transport import HEAD, LARGEST, Mail, Memory, Outgoing, Oversize

_LIKE_A_NATIONAL_NUMBER = re.compile(r"(?<!\d)(?:\d{2})?\d{6}[-+ ]?\d{4,5}(?!\d)")
_REASON = ".reason"
_TYPES = {".xml": "application/xml", ".json": "application/json"}


class Directory:
    """Writes each message as one file into `out/` under the endpoint's address."""

    def send(self, message: Outgoing, endpoint: Endpoint) -> Reply:
        """Write, sync, rename. A second attempt replaces the file of the first, if it is still there."""
        started = perf_counter()
        error: Phrase | None = None
        try:
            _write(Path(endpoint.address) / "out", file_name(message), message.content)
        except OSError as fault:
            error = _words(fault, "out")
        return Reply(taken=error is None, error=error, ms=(perf_counter() - started) * 1000)


def file_name(message: Outgoing) -> str:
    """The same in every attempt: message id and delivery, and a suffix by content type.

    The delivery is in it because a message id is unique for its sender only.
    """
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", message.message_id)[:100]
    if safe != message.message_id:
        safe += f"-{sha256(message.message_id.encode()).hexdigest()[:8]}"
    suffix = "json" if "json" in message.content_type else "xml"
    return f"{safe}-{message.delivery_id}.{suffix}"


def _write(folder: Path, name: str, content: bytes) -> None:
    # two workers may hold the same delivery for a moment: each has a part file of its own
    part = folder / f"{name}.{os.getpid()}-{threading.get_ident()}.part"
    part.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o660), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(folder / name)
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    _sync(folder)


def _sync(folder: Path) -> None:
    """Make the folder's entries last; network file systems that cannot do so do it by themselves."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as fault:
        if fault.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def _words(fault: OSError, folder: str) -> Phrase:
    """What is wrong, without any file's name."""
    if fault.errno in (errno.ENOENT, errno.ENOTDIR):
        return phrase(
            "the folder {folder}/ is not there; create it, or mount the share it is on", folder=folder
        )
    if fault.errno in (errno.ENOSPC, errno.EDQUOT):
        return phrase("the disk of the folder {folder}/ is full", folder=folder)
    if fault.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return phrase(
            "the folder {folder}/ does not let us write or read; correct its permissions", folder=folder
        )
    if fault.errno == errno.ELOOP:
        return phrase(
            "the folder {folder}/ is a link, which could lead anywhere; put a folder there, or mount one",
            folder=folder,
        )
    why = English(os.strerror(fault.errno or 0))
    return phrase("the folder {folder}/ cannot be used: {why}", folder=folder, why=why)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Waiting:
    path: Path
    modified: int  # nanoseconds
    size: int


class DirectoryMailbox:
    """Takes what lies in `in/` under `address`, oldest first, at most `limit` files in a poll."""

    def __init__(self, name: str, address: Path, *, largest: int = LARGEST, limit: int = 500) -> None:
        self.name = name
        self._folder = address
        self._largest = largest
        self._limit = limit

    def poll(self, memory: Memory) -> Iterator[Mail]:
        """New files. One that was accepted before a crash, but not moved, is moved now.

        A file that cannot be read, or changes while it is read, stays for the next poll. Raises MailboxError
        in the end where a file could not be read, or at once where `in/` cannot.
        """
        try:
            waiting = nsmallest(self._limit, self._waiting(), key=lambda one: (one.modified, one.path.name))
        except OSError as fault:
            raise self._error(_words(fault, "in")) from None
        unread = 0
        for one in waiting:
            try:
                mail = self._read(one)
            except OSError as fault:
                unread += fault.errno not in (errno.ENOENT, errno.ELOOP)  # gone, or a link by now
                continue
            if mail is None:
                continue
            if memory.seen(mail.key):
                self.done(mail)
            else:
                yield mail
        if unread:
            raise self._error(
                phrase("{number} files in in/ cannot be read; correct their permissions", number=unread)
            )

    def done(self, mail: Mail) -> None:
        """Move the file to `done/`."""
        self._move(mail, "done", None)

    def forget(self, mail: Mail) -> None:
        """Delete the file, unless another one has taken its place since."""
        source, modified = self._source(mail)
        try:
            with suppress(FileNotFoundError):
                if str(source.lstat().st_mtime_ns) == modified:
                    source.unlink()
        except OSError as fault:
            raise self._error(_words(fault, "in")) from None

    def failed(self, mail: Mail, reason: str) -> None:
        """Move the file to `failed/`, with the reason in a file of the same name and `.reason` beside it."""
        self._move(mail, "failed", reason)

    def again(self, since: datetime) -> int:
        """Lay back into `in/` what was taken since then, from `done/` and `failed/`; returns how many.

        A file counts by when it was last moved or written, whichever is later.
        """
        laid, after = 0, since.timestamp()
        for folder in ("done", "failed"):
            try:
                laid += sum(self._lay_back(one) for one in _moved_since(self._folder / folder, after))
            except OSError as fault:
                raise self._error(_words(fault, folder)) from None
        return laid

    def _lay_back(self, source: Path) -> bool:
        """Into `in/`, replacing nothing there, and without the reason why it had failed."""
        place = self._folder / "in"
        place.mkdir(exist_ok=True)
        names = chain([source.name], (f"{source.stem}-{n}{source.suffix}" for n in count(1)))
        try:
            next(name for name in names if _renamed(source, place / name))
        except FileNotFoundError:
            return False  # another process has laid it back
        (source.parent / _beside(source.name)).unlink(missing_ok=True)
        return True

    def _waiting(self) -> Iterator[_Waiting]:
        """Regular files under their final names; no links, which could lead anywhere."""
        with os.scandir(self._folder / "in") as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name.endswith(".part"):
                    continue
                if not entry.is_file(follow_symlinks=False):
                    continue
                with suppress(FileNotFoundError):
                    found = entry.stat(follow_symlinks=False)
                    yield _Waiting(path=Path(entry.path), modified=found.st_mtime_ns, size=found.st_size)

    def _read(self, one: _Waiting) -> Mail | None:
        """The file as mail; None where it is being changed."""
        handle = os.open(one.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return None
            content, digest = self._content(file, one.size)
            after = os.fstat(handle)
        if (after.st_mtime_ns, after.st_size) != (one.modified, one.size):
            return None
        # the time is in the key because a sender that puts the same file there again waits for an answer
        return Mail(
            content=content,
            content_type=_TYPES.get(one.path.suffix.lower()),
            key=f"{quote(os.fsencode(one.path.name))}/{one.modified}/{digest}",
            name=_shown(one.path.name),
            oversize=Oversize(size=one.size, sha256=digest) if one.size > self._largest else None,
        )

    def _content(self, file: BinaryIO, size: int) -> tuple[bytes, str]:
        """What is kept of the file, and the hash of all of it; no more than `size` bytes are read."""
        if size <= self._largest:
            content = file.read(size)
            return content, sha256(content).hexdigest()
        head = file.read(HEAD)
        digest = sha256(head)
        left = size - len(head)
        while left > 0 and (piece := file.read(min(left, 1 << 20))):
            digest.update(piece)
            left -= len(piece)
        return head, digest.hexdigest()

    def _move(self, mail: Mail, folder: str, reason: str | None) -> None:
        """Move the mail's file, unless it is gone or another one has taken its place since."""
        source, modified = self._source(mail)
        try:
            with suppress(FileNotFoundError):
                if str(source.lstat().st_mtime_ns) == modified:
                    with _opened(self._folder / folder) as place:
                        _move_into(place, source, reason)
        except OSError as fault:
            raise self._error(_words(fault, folder)) from None

    def _source(self, mail: Mail) -> tuple[Path, str]:
        """The mail's file, and when it was written."""
        quoted, modified, _ = mail.key.split("/")
        return self._folder / "in" / os.fsdecode(unquote_to_bytes(quoted)), modified

    def _error(self, what: Phrase) -> MailboxError:
        return MailboxError(phrase("mailbox {mailbox}: {faults}", mailbox=self.name, faults=what))


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """A handle of the folder, made if it is not there; never of what a link leads to."""
    with suppress(FileExistsError):
        folder.mkdir()
    try:
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except NotADirectoryError:
        if folder.is_symlink():
            raise OSError(errno.ELOOP, "a link") from None
        raise
    try:
        yield place
    finally:
        os.close(place)


def _move_into(place: int, source: Path, reason: str | None) -> None:
    """Rename without replacing anything, the reason first: a file in `failed/` always has one."""
    target = _claim(place, source.name, with_reason=reason is not None)
    try:
        if reason is not None:
            with os.fdopen(_new(place, _beside(target)), "w", encoding="utf-8") as file:
                file.write(f"{reason}\n")
        os.replace(source, target, dst_dir_fd=place)
    except OSError:
        for name in (target, _beside(target)) if reason is not None else (target,):
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=place)
        raise


def _claim(place: int, name: str, *, with_reason: bool) -> str:
    """An empty file of our own under a name that was free, for the real one to be renamed over."""
    # shortened so that a number and `.reason` still fit into the 255 bytes that a name may have
    stem = os.fsdecode(os.fsencode(Path(name).stem)[:200])
    suffix = os.fsdecode(os.fsencode(Path(name).suffix)[:20])
    number = 0
    while True:
        target = f"{stem}-{number}{suffix}" if number else stem + suffix
        if not (with_reason and _taken(place, _beside(target))):
            with suppress(FileExistsError):
                os.close(_new(place, target))
                return target
        number += 1


def _new(place: int, name: str) -> int:
    """A handle of a file that was not there, not even as a link."""
    return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=place)


def _taken(place: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=place, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _beside(name: str) -> str:
    return f"{name}{_REASON}"


def _renamed(source: Path, target: Path) -> bool:
    """Give a file another name; False where that is taken, for nothing is replaced."""
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as fault:
        if fault.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        if target.exists():  # a network share without links
            return False
        source.rename(target)
        return True
    source.unlink()
    return True


def _moved_since(folder: Path, after: float) -> list[Path]:
    """Regular files that were moved there, or written, after that second; none where there is no folder."""
    try:
        with os.scandir(folder) as entries:
            named = {e.name: e for e in entries if e.is_file(follow_symlinks=False)}
    except FileNotFoundError:
        return []
    found = []
    for name, entry in sorted(named.items()):
        with suppress(FileNotFoundError):
            known = entry.stat(follow_symlinks=False)
            is_reason = name.endswith(_REASON) and name.removesuffix(_REASON) in named
            if max(known.st_mtime, known.st_ctime) >= after and not is_reason:
                found.append(Path(entry.path))
    return found


def _shown(name: str) -> str:
    """A file's name as a log may hold it."""
    text = os.fsencode(name).decode("utf-8", "replace")
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return _LIKE_A_NATIONAL_NUMBER.sub("*", text)
