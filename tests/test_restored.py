"""A store is lost and put back as it was an hour before: nothing is lost, and nothing happens twice.

Real receivers over HTTP, real folders, a real FHIR server that is polled; time is an argument. Beside it
runs a store that has lost nothing, and in the end both know the same.
"""

import errno
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from uuid import UUID

import pytest
from lxml import etree
from sqlalchemy import Connection

from adapter import restoring as restoring_module
from adapter.config import FhirMailboxSettings, Region, Settings
from adapter.discharge.notices import NoticeKind
from adapter.errors import StoreError
from adapter.fhir.bundles import Subject
from adapter.fhir.wire import parse
from adapter.inbox import Acceptance, Inbox
from adapter.messaging.acknowledgement import Status
from adapter.messaging.register import Partner
from adapter.restoring import Done, Receipts, Restoring
from adapter.runtime import Adapter, Stations, stations
from adapter.runtime import jobs as runtime_jobs
from adapter.scheduler.delivering import Deliverer
from adapter.scheduler.duties import OfOne
from adapter.simulator.fhir_server import FhirServer
from adapter.simulator.receivers import FhirReceiver
from adapter.simulator.threads import serving
from adapter.store import alarms as alarm_rows
from adapter.store import backup, deliveries, messages, restored, subscriptions, tables
from adapter.transport.directory import DirectoryMailbox
from tests.conftest import StandingClock
from tests.message_servers import Exchange, empty_store, exchange
from tests.stage import TORBJORN, FakePost, Stage, answering, receipt, region, stage, taken

pytestmark = pytest.mark.postgres_in_soak

K = NoticeKind


@dataclass
class World:
    """Indre Sogn around one store: the hospital pushes, leaves files, and has a server that is polled."""

    folder: Path
    known: Region
    clock: StandingClock
    receivers: dict[str, FhirReceiver]
    hospital: FhirServer
    built: Stations
    adapter: Adapter

    @property
    def store(self) -> Path:
        return self.folder / "store.db"

    @property
    def stage(self) -> Stage:
        return Stage(built=self.built, post=FakePost(answer=taken()), clock=self.clock)

    def started(self) -> "Done | None":
        """Begin over the store as it is on the disk; what followed from a restore."""
        settings = Settings(
            store=f"sqlite:///{self.store}",
            pseudonym_key="one key for both",
            fhir_mailboxes=(FhirMailboxSettings(name="hospital", address=self.hospital.base),),
        )
        self.built = stations(settings, region=self.known, clock=self.clock)
        outbox = replace(self.built.outbox, jitter=lambda: 0.0)
        inbox = replace(self.built.inbox, outbox=outbox)
        self.built = replace(self.built, outbox=outbox, inbox=inbox)
        self.adapter = Adapter(self.built, role="worker")
        return runtime_jobs.restoring(self.adapter.built, self.adapter.jobs)()

    def work(self, rounds: int = 6) -> None:
        """What the running adapter does by itself, for a few minutes."""
        for _ in range(rounds):
            self.adapter.duties()
            for name, (_, job) in self.adapter.jobs.items():
                if name.startswith("poll ") or name == "held receipts":
                    assert isinstance(job, OfOne) and self.adapter.duties.on(job.name)
                    job()
            self.deliver()
            self.clock.forward(seconds=30)

    def deliver(self) -> None:
        built = self.built
        carrier = Deliverer(store=built.store, inbox=built.inbox, outbox=built.outbox, clock=self.clock)
        for future in carrier.round():
            future.result()
        carrier.stop()

    def end(self) -> None:
        self.built.store.close()

    def pause(self, endpoint: str) -> None:
        self.built.store.write(lambda tx: deliveries.pause(tx, endpoint, self.clock(), "Solveig"))

    def resume(self, endpoint: str) -> None:
        self.built.store.write(lambda tx: deliveries.resume(tx, endpoint))

    # --- the hospital, and Årdal ---

    def push(self, content: bytes) -> Any:
        return self.stage.receive(
            content, channel="http", partner=Partner(name="push", parties=("laerdal-sjukehus",))
        )

    def leave(self, content: bytes, name: str) -> None:
        """A file in the folder of the hospital."""
        place = self.folder / "laerdal-sjukehus" / "in"
        (place / f"{name}.part").write_bytes(content)
        (place / f"{name}.part").rename(place / f"{name}.xml")

    def hold(self, content: bytes) -> None:
        """A message on the hospital's own server."""
        self.hospital.put(parse(content))

    def aardal_answers(self) -> None:
        """Årdal reads its folder and gives one AppRec for each message, ever."""
        out, read = self.folder / "aardal" / "out", self.folder / "aardal" / "read"
        read.mkdir(exist_ok=True)
        for file in sorted(out.iterdir()) if out.exists() else []:
            name = file.name.rsplit("-", 1)[0]
            if not (read / name).exists():
                made = receipt(file.read_bytes(), Status.ACCEPTED, at=self.clock())
                (self.folder / "aardal" / "in" / f"{name}.xml").write_bytes(made)
            shutil.move(file, read / name)

    def rows(self, table: Any, **wanted: Any) -> list[Any]:
        return self.stage.rows(table, **wanted)


@contextmanager
def world(folder: Path, clock: StandingClock) -> Iterator[World]:
    """Every municipality but Årdal reads FHIR over HTTP, the hospital and Årdal PLO from folders."""
    known, register = region(), region().register_
    names = [e.name for e in register.endpoints if e.name not in ("laerdal-sjukehus", "aardal")]
    receivers = {name: FhirReceiver(name, clock=clock) for name in names}
    hospital = FhirServer("hospital", clock=clock)
    with serving(*receivers.values(), hospital):
        for name in ("laerdal-sjukehus", "aardal"):
            for part in ("in", "out"):
                (folder / name / part).mkdir(parents=True)
        endpoints = [
            replace(e, transport="fhir", dialect="fhir", address=receivers[e.name].url)
            if e.name in receivers
            else replace(e, transport="directory", dialect="plo-1.6", address=str(folder / e.name))
            for e in register.endpoints
        ]
        known = known.model_copy(update={"register_": replace(register, endpoints=tuple(endpoints))})
        (folder / "store.db").write_bytes(empty_store())
        made = World(
            folder=folder, known=known, clock=clock, receivers=receivers, hospital=hospital,
            built=None, adapter=None,  # type: ignore[arg-type]  # they come with the start
        )  # fmt: skip
        made.started()
        yield made
        made.end()


class Play:
    """The same acts on each stage; ids by hand, so that both hospitals write the same bytes."""

    def __init__(self, place: World) -> None:
        self.place = place

    def message(self, number: int, kind: NoticeKind, plo: bool = False, **more: Any) -> bytes:
        make = self.place.stage.plo if plo else self.place.stage.message
        own = {"message_id": str(UUID(int=number))}
        if not plo:
            own["transmission_id"] = str(UUID(int=number + 10_000))
        return make(kind, **own, **more)

    def before(self) -> None:
        """Until the backup: a stay, and one thing that waits for a receiver that is down."""
        place = self.place
        assert place.push(self.message(1, K.ADMITTED, receivers=("sogndal",))).outcome == "accepted"
        place.leave(self.message(2, K.ADMITTED, plo=True, receivers=("aardal",), subject=TORBJORN), "early")
        place.pause("luster")
        assert (
            place.push(self.message(7, K.ADMITTED, receivers=("luster",), subject=OLAV)).outcome == "accepted"
        )
        place.work()
        place.aardal_answers()
        place.work()

    def hour(self) -> list[bytes]:
        """The hour that is lost: by push, from the folder, from the server; what was pushed."""
        place = self.place
        place.resume("luster")
        pushed = [
            self.message(3, K.READY_FOR_DISCHARGE, receivers=("sogndal", "aardal")),
            self.message(4, K.CARE_NEEDS, receivers=("luster",), subject=OLAV),
        ]
        for content in pushed:
            assert place.push(content).outcome == "accepted"
        ready = self.message(5, K.READY_FOR_DISCHARGE, plo=True, receivers=("aardal",), subject=TORBJORN)
        place.leave(ready, "ready")
        place.leave(ready[:-60], "broken")
        place.hold(self.message(6, K.ADMITTED, receivers=("vik",), subject=GURO))
        place.work()
        place.aardal_answers()
        place.work()
        place.clock.forward(minutes=20)
        return pushed


OLAV = Subject(
    identifiers=(("urn:oid:2.16.578.1.12.4.1.4.1", "13844146338"),),
    family="Haug",
    given="Olav",
    gender="male",
)
GURO = Subject(
    identifiers=(("urn:oid:2.16.578.1.12.4.1.4.1", "01843711144"),),
    family="Lie",
    given="Guro",
    gender="female",
)


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[World, World]]:
    with world(tmp_path / "kept", StandingClock()) as kept, world(tmp_path / "lost", StandingClock()) as lost:
        yield kept, lost


def known(place: World) -> Any:
    """What the cases say, whatever numbers they have."""
    cases = {row["id"]: dict(row) for row in place.rows(tables.case)}
    names = ("patient", "hospital", "municipality", "state", "admitted_at", "ready_at", "discharged_at")
    said = sorted(str([one[n] for n in names]) for one in cases.values())
    due = Counter(
        str(
            [
                cases[d["case_id"]]["patient"],
                *(d[n] for n in ("kind", "actor", "party", "since", "due_at", "state")),
            ]
        )
        for d in place.rows(tables.deadline)
    )
    return said, due


def received(place: World) -> dict[str, Counter[str]]:
    """How often each receiver was told each thing by one id, whatever else came again under that id."""
    return {name: Counter(one.memory.taken) for name, one in place.receivers.items()}


def bytes_by_id(place: World) -> dict[tuple[str, str], set[bytes]]:
    found: dict[tuple[str, str], set[bytes]] = {}
    for name, one in place.receivers.items():
        for arrival in one.memory.arrivals:
            found.setdefault((name, arrival.message_id), set()).add(arrival.digest)
    return found


def apprecs(place: World) -> list[tuple[str, str]]:
    """The receipts that the hospital has found in its folder: their ids, and of which messages."""
    found = []
    for file in (place.folder / "laerdal-sjukehus" / "out").glob("*.xml"):
        root = etree.parse(file).getroot()
        found.append((root.findtext("{*}Id"), root.findtext("{*}OriginalMsgId/{*}Id")))
    return sorted(set(found))


def test_a_store_put_back_as_it_was_an_hour_ago_loses_and_doubles_nothing(both: tuple[World, World]) -> None:
    kept, lost = both
    for place in both:
        Play(place).before()
        backup.write(place.built.store, place.folder / "copy.db", place.clock())
        of = place.clock()
        place.clock.forward(minutes=1)
        pushed = Play(place).hour()

    lost.end()
    for file in lost.folder.glob("store.db*"):
        file.unlink()
    backup.restore(f"sqlite:///{lost.store}", lost.folder / "copy.db", lost.clock())
    done = lost.started()
    assert done is not None
    assert (done.of, done.going_out) == (of, 1)
    lost.resume("luster")  # as a person had done in the hour that is lost
    assert done.taken_again["laerdal-sjukehus"] >= 2
    lost.work()
    lost.aardal_answers()
    for content in pushed:  # the partner was asked to send again
        assert lost.push(content).outcome == "accepted"
    lost.work()
    lost.aardal_answers()
    lost.work()
    kept.work()

    messages = [
        {
            (m["sender"], m["message_id"], m["outcome"])
            for m in place.rows(tables.message)
            if m["sender"] == "laerdal-sjukehus"
        }
        for place in both
    ]
    assert len(messages[0]) == 7
    assert messages[0] == messages[1]
    assert known(kept) == known(lost)
    assert received(kept) == received(lost)
    again = bytes_by_id(lost)
    assert len(again) >= 4
    assert all(len(digests) == 1 for digests in again.values())
    assert apprecs(kept) == apprecs(lost)
    assert len({of for _, of in apprecs(lost)}) == len(apprecs(lost)) >= 1  # never a second one
    read = [{f.name for f in (place.folder / "aardal" / "read").iterdir()} for place in both]
    assert read[0] == read[1]
    states = [Counter((d["kind"], d["party"], d["state"]) for d in p.rows(tables.delivery)) for p in both]
    assert states[0] == states[1]


def test_what_is_done_is_told_once_and_ended_by_a_person(both: tuple[World, World]) -> None:
    _, lost = both
    Play(lost).before()
    backup.write(lost.built.store, lost.folder / "copy.db", lost.clock())
    lost.end()
    lost.store.unlink()
    backup.restore(f"sqlite:///{lost.store}", lost.folder / "copy.db", lost.clock())
    lost.clock.forward(hours=1)
    assert lost.started() is not None
    lost.end()
    assert lost.started() is None
    (alarm,) = lost.rows(tables.alarm, kind="restored")
    assert "put back as it was at 2014-03-03 10:" in alarm["text"]
    assert "1 of laerdal-sjukehus" in alarm["text"]
    assert "1 deliveries that waited then go out" in alarm["text"]
    alarms = lost.built.outbox.alarms
    lost.built.store.write(
        lambda tx: alarms.close(tx, alarm["id"], lost.clock(), by="Solveig", why="they have sent again")
    )
    assert lost.rows(tables.alarm, kind="restored")[0]["until"] is not None


# --- one thing at a time ------


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock, settings=Settings(pseudonym_key="k"))
    yield made
    made.close()


def restoring(play: Stage, *folders: DirectoryMailbox, **more: Any) -> Restoring:
    """The station; the store was put back as it was an hour ago."""
    told = restored.Restored(at=play.clock(), of=play.clock() - timedelta(hours=1))
    play.write(lambda tx: restored.mark(tx, told))
    known = {"message_servers": (), "partners": ()} | more
    return Restoring(store=play.built.store, outbox=play.outbox, folders=folders, clock=play.clock, **known)


def test_nothing_follows_where_nothing_was_restored(play: Stage) -> None:
    station = replace(restoring(play))
    assert station() is not None
    assert station() is None
    assert len(play.rows(tables.alarm)) == 1


def test_what_was_sent_and_has_no_receipt_is_sent_again_as_the_same_bytes(play: Stage) -> None:
    play.receive(play.message(K.ADMITTED))
    play.receive(play.plo(K.ADMITTED, receivers=("aardal",)))  # KITH gives no second receipt: nothing to ask
    play.deliver()
    before = [m.content for name, m in play.post.sent if name == "sogndal"]
    done = restoring(play)()
    assert done is not None
    assert done.asked_again == 1
    play.deliver()
    assert [m.content for name, m in play.post.sent if name == "sogndal"] == before * 2
    assert [name for name, _ in play.post.sent].count("aardal") == 1


def test_what_has_its_receipt_is_not_asked_about(play: Stage) -> None:
    play.post.answer = answering(play.clock)
    play.receive(play.message(K.ADMITTED))
    while play.deliver():
        pass
    done = restoring(play)()
    assert done is not None
    assert (done.asked_again, done.going_out) == (0, 0)


def test_a_receipt_of_the_lost_hour_counts_from_when_it_was_given(play: Stage) -> None:
    """Not from when we asked again: deadlines run from the receiver's word."""
    given = play.clock() - timedelta(minutes=30)
    restoring(play)()
    play.clock.forward(minutes=5)  # type: ignore[attr-defined]
    play.receive(play.message(K.ADMITTED, at=given - timedelta(minutes=1)))
    play.deliver()
    play.receive(receipt(play.post.sent[0][1].content, Status.ACCEPTED, at=given))
    assert play.delivery()["accepted_at"] == given


@pytest.mark.parametrize("ago", [timedelta(hours=2), timedelta(seconds=-200)])
def test_a_clock_that_is_wrong_does_not_date_a_receipt_before_its_message(
    play: Stage, ago: timedelta
) -> None:
    restoring(play)()
    given = play.clock() - ago
    play.clock.forward(minutes=5)  # type: ignore[attr-defined]
    play.receive(play.message(K.ADMITTED))
    play.deliver()
    play.receive(receipt(play.post.sent[0][1].content, Status.ACCEPTED, at=given))
    assert play.delivery()["accepted_at"] == play.clock()


def test_a_receipt_that_comes_before_its_message_counts_when_that_comes_again(play: Stage) -> None:
    message = play.message(K.ADMITTED, receivers=("aardal",))
    look = Receipts(inbox=play.built.inbox, clock=play.clock)
    restoring(play)()
    with play.built.store.read() as tx:
        assert restored.pending(tx) is None
    other = stage_beside(play)
    other.receive(message)
    other.deliver()
    (made,) = [m.content for name, m in other.post.sent if name == "aardal"]
    other.close()
    assert play.receive(receipt(made, Status.ACCEPTED, at=play.clock())).outcome == "quarantined"
    assert look() == 0
    play.receive(message)
    assert look() == 1
    assert play.delivery()["state"] == "acknowledged"
    play.deliver()
    assert "aardal" not in [name for name, _ in play.post.sent]  # it is there already
    assert [a["kind"] for a in play.rows(tables.alarm, until=None)] == ["restored"]


def test_a_receipt_counts_however_much_is_held_beside_it(
    play: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoring_module, "AT_ONCE", 3)
    restoring(play)()
    play.receive(play.message(K.ADMITTED))
    play.deliver()
    made = play.post.sent[0][1].content
    held = play.receive(receipt(made, Status.ACCEPTED, at=play.clock()))
    assert held.outcome == "accepted"
    back = {"outcome": "quarantined", "code": "unknown-original"}  # as if it had come before its message
    play.write(lambda tx: messages.change(tx, held.message_row or 0, **back))
    for _ in range(4):
        play.receive(b"nobody can read this")
    assert Receipts(inbox=play.built.inbox, clock=play.clock)() == 1


class OneIsRefused(Inbox):
    """The store says no to whatever is held first."""

    def release(self, tx: Connection, row: int, now: datetime, *, by: str | None) -> Acceptance:
        if row == min(messages.held_as(tx, "unknown-original")):
            raise StoreError("the store refused: no room")
        return super().release(tx, row, now, by=by)


def test_one_that_the_store_refuses_holds_up_no_other(play: Stage) -> None:
    restoring(play)()
    for _ in range(2):
        play.receive(play.message(K.ADMITTED))
        play.deliver()
    back = {"outcome": "quarantined", "code": "unknown-original"}  # as if they had come before their messages
    for _, sent in play.post.sent[-2:]:
        held = play.receive(receipt(sent.content, Status.ACCEPTED, at=play.clock()))
        play.write(lambda tx, row=held.message_row or 0: messages.change(tx, row, **back))
    inbox = play.built.inbox
    refusing = OneIsRefused(**{f.name: getattr(inbox, f.name) for f in fields(inbox)})
    assert Receipts(inbox=refusing, clock=play.clock)() == 1


def stage_beside(play: Stage) -> Stage:
    """The same stations with the same key, over the store that was lost."""
    folder = Path(mkdtemp())
    return stage(f"sqlite:///{folder}/lost.db", play.clock, settings=Settings(pseudonym_key="k"))


def test_numbers_of_events_are_never_given_twice(play: Stage) -> None:
    row = {
        "name": "s", "status": "active", "topic": "t", "body": "{}", "events": 7, "updated_at": play.clock(),
    }  # fmt: skip
    play.write(lambda tx: subscriptions.make(tx, row))
    restoring(play)()
    assert play.rows(tables.subscription)[0]["events"] == 7 + subscriptions.LEAP


def test_people_are_told_whom_to_ask_for_what(play: Stage, tmp_path: Path) -> None:
    away = DirectoryMailbox("luster", tmp_path / "luster")
    (tmp_path / "luster").mkdir()
    (tmp_path / "luster" / "done").write_text("no folder")
    restoring(play, away, message_servers=("nhn",), partners=("helse-vest", "sogndal-pleie"))()
    (alarm,) = play.rows(tables.alarm, kind="restored")
    assert (
        "ask to send again what was sent over HTTP since 2014-03-03 09:00, receipts too: helse-vest,"
        in alarm["text"].replace("Ask", "ask")
    )
    assert "of nhn what was fetched" in alarm["text"].replace("Of", "of")
    assert "mailbox luster: the folder done/" in alarm["text"]


@pytest.mark.parametrize(("role", "alarms"), [("worker", 1), ("web", 0)])
def test_it_is_done_at_the_start_of_what_delivers(
    tmp_path: Path, clock: StandingClock, role: str, alarms: int
) -> None:
    (tmp_path / "copy.db").write_bytes(empty_store())
    backup.restore(f"sqlite:///{tmp_path}/store.db", tmp_path / "copy.db", clock())
    built = stations(Settings(store=f"sqlite:///{tmp_path}/store.db", port=0), clock=clock)
    adapter = Adapter(built, role=role)
    adapter.start()
    with built.store.read() as tx:
        assert alarm_rows.counts(tx).get("restored", 0) == alarms
    adapter.stop()


# --- the message server ------


def put_back(place: Exchange, folder: Path) -> Exchange:
    """The adapter begins over the store as it was at the backup."""
    built = place.stage.built
    place.stage.close()
    for file in folder.glob("store.db*"):
        file.unlink()
    backup.restore(built.settings.store, folder / "copy.db", place.stage.clock())
    again = stations(built.settings, region=built.region, clock=place.stage.clock)
    post = dict.fromkeys(("fhir", "directory", "webhook"), place.stage.post)
    outbox = replace(again.outbox, transports={**again.outbox.transports, **post}, jitter=lambda: 0.0)
    again = replace(again, outbox=outbox, inbox=replace(again.inbox, outbox=outbox))
    adapter = Adapter(again, role="worker")
    assert runtime_jobs.restoring(adapter.built, adapter.jobs)() is not None
    return replace(place, stage=replace(place.stage, built=again), adapter=adapter)


def test_what_waited_is_posted_to_the_message_server_as_the_same_message(
    tmp_path: Path, clock: StandingClock
) -> None:
    with exchange(tmp_path, clock) as place:
        place.stage.receive(place.stage.message(K.ADMITTED, receivers=("aardal",)), channel="http")
        backup.write(place.stage.built.store, tmp_path / "copy.db", clock())
        place.stage.deliver()
        again = put_back(place, tmp_path)
        again.stage.deliver()
        first, second = again.server.holds.values()
        assert first.business.content == second.business.content
        again.stage.close()


def test_a_receipt_that_the_message_server_has_is_not_given_again(
    tmp_path: Path, clock: StandingClock
) -> None:
    with exchange(tmp_path, clock) as place:
        report = place.stage.plo(K.REPORT_OF_ADMISSION, sender="aardal", receivers=("laerdal-sjukehus",))
        assert place.post(report).taken
        assert place.poll() == 1
        backup.write(place.stage.built.store, tmp_path / "copy.db", clock())
        place.stage.deliver()
        given = place.server.requests("POST", "/apprec")
        assert len(given) == 1
        again = put_back(place, tmp_path)
        again.stage.deliver()
        assert place.server.requests("POST", "/apprec") == given
        assert [d["state"] for d in again.stage.rows(tables.delivery, kind="receipt")] == ["sent"]
        again.stage.close()


# --- a folder ------


def in_a_folder(place: Path, *names: str) -> DirectoryMailbox:
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(name)
    (place / "in").mkdir(exist_ok=True)
    return DirectoryMailbox("box", place)


def names_in(place: Path) -> list[str]:
    return sorted(str(one.relative_to(place)) for one in place.rglob("*") if one.is_file())


def test_what_was_taken_since_is_laid_back(tmp_path: Path) -> None:
    box = in_a_folder(tmp_path, "done/a.xml", "failed/b.xml", "failed/b.xml.reason", "in/c.xml")
    moved = (tmp_path / "done" / "a.xml").stat().st_ctime
    assert box.again(datetime.fromtimestamp(moved + 60, UTC)) == 0
    assert box.again(datetime.fromtimestamp(moved - 60, UTC)) == 2
    assert names_in(tmp_path) == ["in/a.xml", "in/b.xml", "in/c.xml"]
    assert box.again(datetime.fromtimestamp(moved - 60, UTC)) == 0


def test_a_file_written_long_ago_and_taken_since_is_laid_back_too(tmp_path: Path) -> None:
    """Its sender's program kept the time at which it was written."""
    box = in_a_folder(tmp_path, "done/a.xml")
    os.utime(tmp_path / "done" / "a.xml", (0, 0))
    assert box.again(datetime.fromtimestamp((tmp_path / "done" / "a.xml").stat().st_ctime - 1, UTC)) == 1


def test_nothing_in_the_folder_is_replaced_or_followed(tmp_path: Path) -> None:
    box = in_a_folder(tmp_path, "done/a.xml", "in/a.xml", "in/a-1.xml", "secret")
    (tmp_path / "done" / "link.xml").symlink_to(tmp_path / "secret")
    assert box.again(datetime.fromtimestamp(0, UTC)) == 1
    assert (tmp_path / "in" / "a.xml").read_text() == "in/a.xml"
    assert (tmp_path / "in" / "a-2.xml").read_text() == "done/a.xml"


def test_a_share_that_knows_no_links_is_laid_back_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    box = in_a_folder(tmp_path, "done/a.xml", "in/a.xml")
    monkeypatch.setattr(os, "link", refuse)
    assert box.again(datetime.fromtimestamp(0, UTC)) == 1
    assert names_in(tmp_path) == ["in/a-1.xml", "in/a.xml"]


def test_a_folder_from_which_nothing_was_ever_taken_has_nothing_to_lay_back(tmp_path: Path) -> None:
    assert in_a_folder(tmp_path).again(datetime.fromtimestamp(0, UTC)) == 0
