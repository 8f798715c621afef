"""The disk is full: what is not stored is not acknowledged, it is said once, and all goes on afterwards."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import psutil
import pytest
import requests
from structlog.testing import capture_logs

from adapter.discharge.notices import NoticeKind
from adapter.errors import StoreError
from adapter.messaging.register import Partner
from adapter.scheduler.clockwork import Clockwork
from adapter.scheduler.polling import Round
from adapter.store import deliveries, tables
from adapter.transport.directory import DirectoryMailbox
from tests.conftest import StandingClock
from tests.faults.disks import SmallDisk, small_disk
from tests.faults.test_database_gone import load_at, ready, sent, wait_for
from tests.rig import TOKEN, rig
from tests.stage import FNR, SYNNOVE, Stage, answering, stage

FULL = "database or disk is full"
BEGINS = "the store cannot be written; nothing is acknowledged meanwhile"
OVER = "the store can be written again"


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    with small_disk() as made:
        yield made


@pytest.fixture
def play(disk: SmallDisk, clock: StandingClock) -> Iterator[Stage]:
    made = stage(disk.url, clock)
    made.post.answer = answering(clock)
    yield made
    made.close()


def message(play: Stage, number: int) -> bytes:
    who = replace(SYNNOVE, identifiers=((FNR, f"{21843012000 + number}"),))
    return play.message(NoticeKind.ADMITTED, receivers=("vik",), subject=who)


def until_full(play: Stage, first: int = 0) -> tuple[list[int], int]:
    """Take messages until the store will not; the rows of those taken, and how many were turned away."""
    rows, turned = [], 0
    for number in range(first, first + 400):
        try:
            done = play.receive(message(play, number))
        except StoreError as error:
            assert "full" in str(error) or "I/O" in str(error), error
            turned += 1
            if turned == 20:
                break
            continue
        assert done.acknowledgement is not None
        rows.append(done.message_row)
    return rows, turned


def test_nothing_is_acknowledged_that_is_not_stored_and_it_is_said_once(play: Stage, disk: SmallDisk) -> None:
    with capture_logs() as logs:
        before = [play.receive(message(play, n)).message_row for n in range(3)]
        disk.fill(play.built.store)
        taken, turned = until_full(play, first=10)
        assert turned == 20
        play.write(lambda tx: None)  # a commit of nothing proves nothing
        assert play.built.store.writer.outage.reason is not None
        assert [row["id"] for row in play.rows(tables.message)] == [*before, *taken]
        if disk.mounted:  # SQLite's own limit still lets pass what needs no new page
            with pytest.raises(StoreError):
                play.built.store.ready()  # so that a load balancer looks elsewhere
        disk.free(play.built.store)
        play.built.store.ready()
        after = play.receive(message(play, 500)).message_row
    assert [row["id"] for row in play.rows(tables.message)] == [*before, *taken, after]
    told = [line["event"] for line in logs if line["event"] in (BEGINS, OVER)]
    assert told == [BEGINS, OVER] or not disk.mounted
    assert told[0] == BEGINS
    assert told[-1] == OVER
    assert whole(play)


def whole(play: Stage) -> bool:
    """SQLite finds its file in order."""
    with play.built.store.read() as connection:
        return connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"


class TickingClock(StandingClock):
    """Ten seconds pass with each look at it."""

    def __call__(self) -> datetime:
        return self.forward(seconds=10)


def test_what_waits_to_be_delivered_waits_and_leaves_when_there_is_room(disk: SmallDisk) -> None:
    clock = TickingClock()
    play = stage(disk.url, clock)
    play.post.answer = answering(clock)
    for number in range(5):
        play.receive(message(play, number))
    disk.fill(play.built.store)
    until_full(play, first=10)  # what little there was is used up
    sent_before = 0
    for _ in range(3):
        clock.forward(seconds=70)
        try:
            play.deliver()  # the claim is a write as well
        except StoreError:
            assert len(play.post.sent) == sent_before, "nothing leaves that was not claimed"
        sent_before = len(play.post.sent)
    disk.free(play.built.store)
    clock.forward(minutes=2)
    play.write(lambda tx: deliveries.free_leases(tx, clock()))
    while play.deliver():
        pass
    vik = play.rows(tables.delivery, party="vik")
    assert {row["state"] for row in vik} == {"acknowledged"}
    assert len(play.rows(tables.fact, kind="accepted")) == len(vik)
    play.close()


def mailbox(play: Stage, folder: Path) -> Round:
    return Round(
        name="folder",
        channel="directory",
        mailbox=DirectoryMailbox("folder", folder),
        partner=Partner(name="folder", parties=("laerdal-sjukehus",)),
        store=play.built.store,
        inbox=play.built.inbox,
        clock=play.clock,
    )


def test_mail_stays_in_its_mailbox_until_it_can_be_stored(
    play: Stage, disk: SmallDisk, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    look = mailbox(play, tmp_path)
    disk.fill(play.built.store)
    until_full(play, first=10)
    before = len(play.rows(tables.message))
    (tmp_path / "in" / "one.json").write_bytes(message(play, 1))
    for _ in range(3):
        with pytest.raises(StoreError):
            look()
    assert [one.name for one in (tmp_path / "in").iterdir()] == ["one.json"]
    disk.free(play.built.store)
    assert look() == 1
    assert look() == 0
    assert [one.name for one in (tmp_path / "done").iterdir()] == ["one.json"]
    assert len(play.rows(tables.message)) == before + 1


def test_jobs_that_fail_for_hours_fill_no_log() -> None:
    """Some jobs run each second, and all of them fail of the same thing."""
    full = [True]

    def job() -> None:
        if full:
            raise StoreError(f"the store could not commit: {FULL}")

    works = Clockwork({name: (timedelta(days=1), job) for name in ("leases", "receipts", "deadlines")})
    jobs = [one.func for one in works._scheduler.get_jobs()]
    with capture_logs() as logs:
        for _ in range(3600):
            for run in jobs:
                run()
        full.clear()
        for run in jobs:
            run()
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("job failed", "error"),
        ("job works again", "info"),
    ]
    assert logs[1]["failed"] == 3600


@pytest.mark.soak
@pytest.mark.timeout(120)
def test_a_running_adapter_turns_partners_away_and_comes_back_by_itself(
    tmp_path: Path, disk: SmallDisk
) -> None:
    with rig(tmp_path, store=disk.url, names=("vik",)) as made:
        made.start()
        assert made.adapter is not None
        before = sent(made, 0, 10)
        wait_for(lambda: made.unfinished() == 0, "all has its receipt")
        if disk.mounted:
            disk.fill()
        else:
            limit(made.adapter.pid, 300_000)
        answers = [posted(made, 100 + n) for n in range(60)]
        assert answers[-20:] == [503] * 20
        assert ready(made) == 503
        time.sleep(4)
        assert made.adapter.poll() is None
        lines = [line for line in made.log().splitlines() if '"error"' in line]
        assert len(lines) <= 12, "\n".join(lines)
        if disk.mounted:
            disk.free()
        else:
            limit(made.adapter.pid, -1)
        wait_for(lambda: ready(made) == 200, "/readyz says so")
        after = sent(made, 400, 10)
        wait_for(lambda: made.unfinished() == 0, "all has its receipt")
        arrived = {str(a["message_id"]) for a in made.arrivals()}
        taken = answers.count(200)
        assert before | after <= arrived
        assert len(arrived) == len(before) + len(after) + taken
        assert made.count("message WHERE type <> 'receipt'") == len(arrived)
        assert made.cli("check", "--journal").returncode == 0


def posted(made, number: int) -> int:
    content = load_at(made, number, 1).moulds().content(number)
    head = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/fhir+json"}
    return requests.post(made.url, content, headers=head, timeout=30).status_code


def limit(process: int, size: int) -> None:
    """No file of that process grows beyond so many bytes."""
    psutil.Process(process).rlimit(psutil.RLIMIT_FSIZE, (size, psutil.RLIM_INFINITY))


def test_a_folder_that_is_gone_for_a_night_is_told_once(
    play: Stage, clock: StandingClock, tmp_path: Path
) -> None:
    """Its mailbox is looked at each second; there is one alarm, and one line of log."""
    look = mailbox(play, tmp_path / "gone")
    with capture_logs() as logs:
        for _ in range(50):
            look()
            clock.forward(seconds=1)
    assert [line["event"] for line in logs] == ["mailbox cannot be read"]
    assert len(play.rows(tables.alarm, kind="mailbox", until=None)) == 1
