"""A shared folder: whole files or none, nothing overwritten, nothing followed, nothing lost."""

import errno
import os
import stat
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from adapter.errors import MailboxError
from adapter.transport import HEAD
from adapter.transport.directory import Directory, DirectoryMailbox, file_name

from .conftest import endpoint_at


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def box(folder) -> DirectoryMailbox:
    return DirectoryMailbox("årdal", folder)


def put(folder: Path, name: str, content: bytes = b"<MsgHead/>", age: int = 0) -> Path:
    """A file in `in/`, put there `age` seconds before the first of January 2026."""
    path = folder / "in" / name
    path.write_bytes(content)
    os.utime(path, (1767222000 - age,) * 2)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- out --------------------------------------------------------------------------------------------------


def test_a_message_becomes_one_whole_file_that_is_taken_but_not_delivered(folder, message):
    reply = Directory().send(message, endpoint_at(str(folder)))
    assert (reply.taken, reply.delivered, reply.status, reply.error) == (True, False, None, None)
    (name,) = names(folder / "out")
    assert name == "6f1c1d2e-0b7a-4c3e-9d55-3f0a5be0c811-17.json"
    assert (folder / "out" / name).read_bytes() == message.content


def test_the_suffix_follows_the_content_type(message):
    for content_type, suffix in [("application/fhir+xml", ".xml"), ("text/xml; charset=iso-8859-1", ".xml")]:
        assert file_name(replace(message, content_type=content_type)).endswith(suffix)


def test_a_second_attempt_replaces_the_first_and_another_delivery_does_not(folder, message):
    endpoint = endpoint_at(str(folder))
    for one in (message, replace(message, content=b"{}"), replace(message, delivery_id=18)):
        assert Directory().send(one, endpoint).taken
    assert [path.stat().st_size for path in sorted((folder / "out").iterdir())] == [2, len(message.content)]


@pytest.mark.parametrize(
    "hostile", ["../../etc/passwd", "/etc/passwd", "..", "a\x00b", "", "ø" * 500, "C:\\x", "."]
)
def test_an_odd_message_id_stays_within_the_folder_and_keeps_its_own_name(folder, message, hostile):
    odd = replace(message, message_id=hostile)
    assert Directory().send(odd, endpoint_at(str(folder))).taken
    (name,) = names(folder / "out")
    assert name == file_name(odd)
    assert name.isascii()
    assert len(name) < 140
    assert name != file_name(replace(message, message_id=hostile + "."))


def test_the_file_is_synced_before_and_the_folder_after_the_rename(folder, message, monkeypatch):
    steps = []
    fsync, rename = os.fsync, Path.replace

    def note_sync(handle: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"
        steps.append(f"sync {kind} {names(folder / 'out')[0].rpartition('.')[2]}")
        fsync(handle)

    def note_rename(path: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_rename)
    Directory().send(message, endpoint_at(str(folder)))
    assert steps == ["sync file part", "rename", "sync folder json"]


def test_a_missing_folder_is_not_created_but_said(tmp_path, message):
    reply = Directory().send(message, endpoint_at(str(tmp_path)))
    assert (reply.taken, reply.status) == (False, None)
    assert reply.error == "the folder out/ is not there; create it, or mount the share it is on"
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "is full"), (errno.EACCES, "permissions"), (errno.EIO, os.strerror(errno.EIO))],
)
def test_a_disk_that_says_no_leaves_nothing_behind(folder, message, monkeypatch, number, words):
    def fail(handle: int) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(os, "fsync", fail)
    reply = Directory().send(message, endpoint_at(str(folder)))
    assert not reply.taken
    assert words in (reply.error or "")
    assert names(folder / "out") == []


# --- in ---------------------------------------------------------------------------------------------------


def test_files_come_oldest_first_with_their_bytes(folder, box, memory):
    put(folder, "b.xml", b"\xe6\x00<", age=10)
    put(folder, "c.json", b"{}", age=30)
    put(folder, "a.txt", b"?", age=10)
    mails = list(box.poll(memory))
    assert [(m.name, m.content, m.content_type) for m in mails] == [
        ("c.json", b"{}", "application/json"),
        ("a.txt", b"?", None),
        ("b.xml", b"\xe6\x00<", "application/xml"),
    ]
    assert [m.key for m in box.poll(memory)] == [m.key for m in mails]


def test_what_is_no_finished_file_is_left_alone(folder, box, memory, tmp_path):
    put(folder, "half.xml.part")
    put(folder, ".hidden.xml")
    (folder / "in" / "sub").mkdir()
    (folder / "in" / "sub" / "deep.xml").write_bytes(b"x")
    (tmp_path / "secret.xml").write_bytes(b"secret")
    (folder / "in" / "link.xml").symlink_to(tmp_path / "secret.xml")
    os.mkfifo(folder / "in" / "pipe.xml")
    put(folder, "real.xml")
    assert [mail.name for mail in box.poll(memory)] == ["real.xml"]


def test_a_file_that_has_become_a_link_is_not_followed(folder, box, memory, tmp_path):
    put(folder, "a.xml", age=2)
    swapped = put(folder, "b.xml", b"ours", age=1)
    secret = tmp_path / "secret"
    secret.write_bytes(b"them")
    os.utime(secret, (swapped.stat().st_mtime,) * 2)
    poll = box.poll(memory)
    assert next(poll).name == "a.xml"
    swapped.unlink()
    swapped.symlink_to(secret)
    assert list(poll) == []


def test_an_accepted_file_goes_to_done(folder, box, memory):
    put(folder, "melding.xml", b"1")
    for mail in box.poll(memory):
        box.done(mail)
    assert names(folder / "in") == []
    assert (folder / "done" / "melding.xml").read_bytes() == b"1"


def test_a_failed_file_has_its_reason_beside_it(folder, box, memory):
    put(folder, "melding.xml", b"1")
    (mail,) = box.poll(memory)
    box.failed(mail, "the receiver is unknown: Årdal")
    assert names(folder / "failed") == ["melding.xml", "melding.xml.reason"]
    reason = (folder / "failed" / "melding.xml.reason").read_text(encoding="utf-8")
    assert reason == "the receiver is unknown: Årdal\n"


def test_nothing_in_done_or_failed_is_overwritten(folder, box, memory):
    for n in range(3):
        put(folder, "melding.xml", b"%d" % n)
        (mail,) = box.poll(memory)
        box.done(mail)
        put(folder, "melding.xml", b"%d" % n)
        (mail,) = box.poll(memory)
        box.failed(mail, f"reason {n}")
    kept = ["melding-1.xml", "melding-2.xml", "melding.xml"]
    assert names(folder / "done") == kept
    assert [(folder / "done" / name).read_bytes() for name in kept] == [b"1", b"2", b"0"]
    assert (folder / "failed" / "melding-2.xml.reason").read_text() == "reason 2\n"


def test_a_reason_left_alone_is_not_overwritten_either(folder, box, memory):
    (folder / "failed").mkdir()
    (folder / "failed" / "melding.xml.reason").write_text("an older one")
    put(folder, "melding.xml")
    (mail,) = box.poll(memory)
    box.failed(mail, "a newer one")
    assert names(folder / "failed") == ["melding-1.xml", "melding-1.xml.reason", "melding.xml.reason"]
    assert (folder / "failed" / "melding.xml.reason").read_text() == "an older one"


@pytest.mark.parametrize("name", ["done", "failed"])
def test_a_folder_that_is_a_link_is_not_followed(folder, box, memory, tmp_path_factory, name):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (folder / name).symlink_to(elsewhere)
    put(folder, "melding.xml")
    (mail,) = box.poll(memory)
    with pytest.raises(MailboxError, match=f"the folder {name}/ is a link"):
        box.done(mail) if name == "done" else box.failed(mail, "T10")
    assert names(elsewhere) == []
    assert names(folder / "in") == ["melding.xml"]


def test_a_reason_does_not_go_where_a_link_leads(folder, box, memory, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "not there"
    (folder / "failed").mkdir()
    (folder / "failed" / "melding.xml.reason").symlink_to(elsewhere)
    put(folder, "melding.xml")
    (mail,) = box.poll(memory)
    box.failed(mail, "T10")
    assert not elsewhere.exists()
    assert (folder / "failed" / "melding-1.xml.reason").read_text() == "T10\n"


def test_what_was_accepted_before_a_crash_is_moved_and_not_handed_on_again(folder, box, memory):
    put(folder, "melding.xml")
    (mail,) = box.poll(memory)
    memory.accept(mail)
    assert list(box.poll(memory)) == []
    assert names(folder / "done") == ["melding.xml"]


def test_the_same_file_put_there_again_is_handed_on_again(folder, box, memory):
    put(folder, "melding.xml", age=60)
    (mail,) = box.poll(memory)
    memory.accept(mail)
    box.done(mail)
    put(folder, "melding.xml", age=30)
    assert [mail.name for mail in box.poll(memory)] == ["melding.xml"]


def test_a_file_replaced_since_it_was_read_stays_for_the_next_poll(folder, box, memory):
    put(folder, "melding.xml", b"old", age=60)
    (mail,) = box.poll(memory)
    put(folder, "melding.xml", b"new", age=30)
    box.done(mail)
    assert [again.content for again in box.poll(memory)] == [b"new"]
    assert not (folder / "done").exists()


def test_a_file_that_somebody_took_away_is_no_error(folder, box, memory):
    first, second = put(folder, "a.xml", age=2), put(folder, "b.xml", age=1)
    poll = box.poll(memory)
    mail = next(poll)
    first.unlink()
    second.unlink()
    box.done(mail)
    assert list(poll) == []


def test_a_file_beyond_the_limit_is_handed_on_as_its_head_and_hash(folder, memory):
    content = bytes(range(256)) * 1000
    put(folder, "stor.xml", content)
    put(folder, "passe.xml", content[:200_000])
    big, small = sorted(
        DirectoryMailbox("årdal", folder, largest=200_000).poll(memory), key=lambda m: m.name
    )[::-1]
    assert big.content == content[:HEAD]
    assert big.oversize is not None
    assert (big.oversize.size, big.oversize.sha256) == (256_000, sha256(content).hexdigest())
    assert small.oversize is None


def test_a_file_that_is_still_growing_waits(folder, box, memory, monkeypatch):
    path = put(folder, "melding.xml", b"half")
    read = DirectoryMailbox._content

    def grow(self, file, size):
        with path.open("ab") as other:
            other.write(b"the rest")
        return read(self, file, size)

    monkeypatch.setattr(DirectoryMailbox, "_content", grow)
    assert list(box.poll(memory)) == []
    monkeypatch.undo()
    assert [mail.content for mail in box.poll(memory)] == [b"halfthe rest"]


def test_a_poll_is_bounded(folder, memory):
    for n in range(5):
        put(folder, f"{n}.xml", age=n)
    box = DirectoryMailbox("årdal", folder, limit=2)
    assert [mail.name for mail in box.poll(memory)] == ["4.xml", "3.xml"]


def test_one_unreadable_file_does_not_stop_the_others(folder, box, memory, monkeypatch):
    put(folder, "a.xml", age=2)
    put(folder, "b.xml", age=1)
    opened = os.open

    def deny(path, *args, **kwargs):
        if str(path).endswith("a.xml"):
            raise PermissionError(errno.EACCES, "no")
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", deny)
    got = []
    with pytest.raises(MailboxError, match="mailbox årdal: 1 files"):
        for mail in box.poll(memory):
            got.append(mail.name)
    assert got == ["b.xml"]


def test_a_missing_folder_is_an_error_that_says_what_to_do(tmp_path, memory):
    with pytest.raises(MailboxError, match="mailbox årdal: the folder in/ is not there; create it"):
        list(DirectoryMailbox("årdal", tmp_path).poll(memory))


@pytest.mark.parametrize(
    "name", [b"\xe6\xf8\xe5.xml", "æøå og mellomrom %2F.xml".encode(), b"a\nb.xml", b"x" * 250]
)
def test_odd_file_names_are_moved_too(folder, box, memory, name):
    (folder / "in" / os.fsdecode(name)).write_bytes(b"1")
    (mail,) = box.poll(memory)
    mail.key.encode("utf-8")
    assert mail.name.isprintable()
    box.failed(mail, "a reason")
    assert names(folder / "in") == []
    assert len(names(folder / "failed")) == 2


@pytest.mark.parametrize(
    "number", ["01819012345", "018190 12345", "010190-1234", "19900101-1234", "199001011234", "0101901234"]
)
def test_a_name_with_what_may_be_an_identity_number_is_shown_without_it(folder, box, memory, number):
    put(folder, f"epikrise_{number}_v2.xml")
    (mail,) = box.poll(memory)
    assert mail.name == "epikrise_*_v2.xml"
    assert number not in repr(mail)


def test_a_time_in_a_name_is_shown(folder, box, memory):
    put(folder, "20261106120000-8143548.xml")
    assert [mail.name for mail in box.poll(memory)] == ["20261106120000-8143548.xml"]
