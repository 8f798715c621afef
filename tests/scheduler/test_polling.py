"""Polling: what was taken, its key and the cursor are stored together; files end in done or failed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from adapter.discharge.notices import NoticeKind
from adapter.errors import MailboxError, StoreError
from adapter.inbox import Acceptance, Inbox
from adapter.incoming import Incoming
from adapter.scheduler.polling import Memory, Round
from adapter.store import mailboxes, tables
from adapter.transport import Mail
from adapter.transport.directory import DirectoryMailbox
from tests.conftest import StandingClock
from tests.stage import Stage, stage
from tests.test_inbox import forbid

ADMITTED = NoticeKind.ADMITTED


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    yield made
    made.close()


@dataclass
class Letterbox:
    """A mailbox with letters in it, and perhaps a fault at its end."""

    letters: list[Mail]
    fault: str | None = None
    ended: list[str] = field(default_factory=list)

    def poll(self, memory) -> Iterator[Mail]:
        yield from (m for m in self.letters if not memory.seen(m.key))
        if self.fault:
            raise MailboxError(self.fault)

    def done(self, mail: Mail) -> None:
        self.ended.append(f"done {mail.name}")

    def forget(self, mail: Mail) -> None:
        self.ended.append(f"forgotten {mail.name}")

    def failed(self, mail: Mail, reason: str) -> None:
        self.ended.append(f"failed {mail.name}: {reason}")


def round_of(play: Stage, box: object, **more: object) -> Round:
    built = play.built
    values = {"name": "box", "channel": "poll", "partner": None, "clock": play.clock, "inbox": built.inbox}
    return Round(mailbox=box, store=built.store, **(values | more))


def mail(content: bytes, key: str, cursor: str | None = None) -> Mail:
    return Mail(content=content, content_type=None, key=key, name=key, cursor=cursor)


def test_mail_is_taken_once_and_the_cursor_moves_with_it(play: Stage):
    box = Letterbox([mail(play.message(ADMITTED), "a", "c1"), mail(b"rubbish", "b", "c2")])
    assert round_of(play, box)() == 2
    assert round_of(play, box)() == 0
    assert box.ended[0] == "done a"
    assert box.ended[1].startswith("failed b: refused: neither")
    memory = Memory(store=play.built.store, name="box", clock=play.clock)
    assert (memory.get("cursor"), memory.get("other"), memory.seen("a")) == ("c2", None, True)
    memory.put("cursor", "c3")
    assert memory.get("cursor") == "c3"
    assert len(play.rows(tables.message)) == 2


def test_what_could_not_be_stored_waits_with_the_cursor_before_it(play: Stage):
    box = Letterbox([mail(play.message(ADMITTED), "a", "c1")])
    forbid(play, "fact")
    with pytest.raises(StoreError):
        round_of(play, box)()
    assert box.ended == []
    with play.built.store.read() as connection:
        assert mailboxes.cursor(connection, "box") is None
        assert not mailboxes.seen(connection, "box", "a")


def test_a_mailbox_that_cannot_be_read_is_an_alarm_until_it_can(play: Stage):
    box = Letterbox([mail(play.message(ADMITTED), "a")], fault="mailbox box: the server does not answer")
    assert round_of(play, box)() == 1
    round_of(play, box)()
    assert [a["kind"] for a in play.rows(tables.alarm, until=None)] == ["mailbox"]
    box.fault = None
    round_of(play, box)()
    assert play.rows(tables.alarm, until=None) == []
    assert len(play.rows(tables.alarm)) == 1


class Fragile:
    """An inbox that stumbles over some mail, as over something that nobody has thought of."""

    def __init__(self, inbox: Inbox, over: bytes) -> None:
        self.inbox, self.outbox, self.over = inbox, inbox.outbox, over

    def accept(self, incoming: Incoming, now: datetime) -> Acceptance:
        if incoming.content == self.over:
            raise RecursionError("Synnøve Fjellheim")
        return self.inbox.accept(incoming, now)


def test_mail_over_which_we_stumble_holds_up_nothing_but_the_cursor(play: Stage):
    box = Letterbox([mail(b"poison", "a", "c1"), mail(play.message(ADMITTED), "b", "c2")])
    look = round_of(play, box, inbox=Fragile(play.built.inbox, b"poison"))
    with capture_logs() as logs:
        assert look() == 1
    assert box.ended == ["done b"]
    [alarm] = play.rows(tables.alarm, until=None)
    assert (alarm["kind"], "over a (RecursionError)" in alarm["text"]) == ("mailbox", True)
    assert "Fjellheim" not in f"{alarm}{logs}"
    assert logs[0]["error"] == "RecursionError"
    memory = Memory(store=play.built.store, name="box", clock=play.clock)
    assert (memory.get("cursor"), memory.seen("a")) == (None, False)
    assert round_of(play, box)() == 1  # after the next version
    assert play.rows(tables.alarm, until=None) == []


def test_a_mailbox_that_makes_us_stumble_is_an_alarm(play: Stage):
    class Broken(Letterbox):
        def poll(self, memory) -> Iterator[Mail]:
            yield from self.letters
            raise OverflowError("date value out of range")

    box = Broken([mail(play.message(ADMITTED), "a")])
    assert round_of(play, box)() == 1
    [alarm] = play.rows(tables.alarm, until=None)
    assert "OverflowError" in alarm["text"]
    assert "date value" not in alarm["text"]


def test_an_empty_look_costs_no_commit(play: Stage):
    look = round_of(play, Letterbox([]))
    look()
    before = play.built.store.writer.commits
    look()
    assert play.built.store.writer.commits == before


def test_files_go_to_done_or_to_failed_with_the_reason_beside(play: Stage, tmp_path: Path):
    incoming = tmp_path / "in"
    incoming.mkdir()
    (incoming / "a.json").write_bytes(play.message(ADMITTED))
    (incoming / "b.json").write_bytes(b"rubbish")
    (incoming / "c.json.part").write_bytes(b"not yet whole")
    look = round_of(play, DirectoryMailbox("box", tmp_path), channel="directory")
    assert (look(), look()) == (2, 0)
    assert [p.name for p in (tmp_path / "done").iterdir()] == ["a.json"]
    reason = (tmp_path / "failed" / "b.json.reason").read_text()
    assert "check what was sent" in reason
    assert [p.name for p in incoming.iterdir()] == ["c.json.part"]
    assert [m["channel"] for m in play.rows(tables.message)] == ["directory", "directory"]


def test_a_partner_s_folder_speaks_for_that_partner_only(play: Stage):
    partner = next(p for p in play.built.register.partners if p.name == "sogndal-drift")
    box = Letterbox([mail(play.message(ADMITTED), "a")])
    round_of(play, box, partner=partner)()
    assert "may not send for" in box.ended[0]
