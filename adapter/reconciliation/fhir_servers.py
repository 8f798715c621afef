"""What we hold of a partner's FHIR server against what it holds: mail that is polled, and plans put there."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from time import sleep as wait_in_thread
from typing import Any

import orjson
from sqlalchemy import Connection

from adapter.errors import MailboxError
from adapter.messaging.register import Endpoint
from adapter.phrases import Phrase, phrase
from adapter.reconciliation import CannotCompare, Difference, fault_of, some
from adapter.shelves import Shelves
from adapter.store import Store, mailboxes, pushed, remembered, resources
from adapter.store.resources import Eyes
from adapter.store.statements import Row
from adapter.transport import CURSOR, Mail
from adapter.transport.fhir_client import Failed, Found, Server
from adapter.transport.fhir_listing import instant_text, parsed_instant
from adapter.transport.fhir_rest import INCLUDED, FhirMailbox
from adapter.transport.wire import Wire

LOOKED_BACK = timedelta(days=7)
"""How far back what a server lists is compared; shorter than what mailboxes remember (`retention.seen`)."""

FRESH = timedelta(hours=1)
"""What is younger may still be on its way in."""

MOST_PLANS = 50
"""Plans that are compared in one day; the next day goes on with the next ones."""

MOST_READ = 500
"""Requests of one comparison with a server of plans."""

SECONDS = 120.0
"""For which it may go on."""

_ENDED = ("completed", "rejected", "cancelled", "failed", "entered-in-error")
_STATUSES = (*_ENDED, "draft", "requested", "received", "accepted", "ready", "in-progress", "on-hold")
_AWAY = 3


@dataclass(frozen=True, kw_only=True)
class _Past:
    """A mailbox's memory as if it had read to a week ago, and nothing remembered of this look."""

    store: Store
    name: str
    since: datetime

    def get(self, key: str) -> str | None:
        marks = dict.fromkeys(INCLUDED, instant_text(self.since))
        return orjson.dumps(marks).decode() if key == CURSOR else None

    def put(self, key: str, value: str) -> None:
        """Nothing: this look leaves the real cursor where it is."""

    def seen(self, key: str) -> bool:
        with self.store.read() as tx:
            return mailboxes.seen(tx, self.name, key)


@dataclass(frozen=True, kw_only=True)
class WithMailbox:
    """The comparison with a FHIR server that is polled for mail."""

    endpoint: Endpoint
    store: Store
    clock: Callable[[], datetime]
    sleep: Callable[[float], None] = wait_in_thread

    @property
    def peer(self) -> str:
        """As alarms call it."""
        return f"mailbox {self.endpoint.name}"

    def __call__(self) -> list[Difference]:
        """What it lists of the last days and we have not taken."""
        now = self.clock()
        box = FhirMailbox(self.endpoint, clock=self.clock, max_pages=4, whole_look=None, sleep=self.sleep)
        memory = _Past(store=self.store, name=self.endpoint.name, since=now - LOOKED_BACK)
        try:
            mail = [one for one in box.poll(memory) if _changed_before(one, now - FRESH)]
        except MailboxError as error:
            raise CannotCompare(error.said) from None
        missing = [one.name for one in mail if not memory.seen(one.key)]  # it may have come meanwhile
        if not missing:
            return []
        text = phrase(
            "{number} resources of the last {days} days are listed there and were never taken: {names}; see "
            "the alarm `mailbox` of this server, and have its operator save them anew, so that they are "
            "listed as changed",
            number=len(missing),
            days=LOOKED_BACK.days,
            names=some(missing),
        )
        return [Difference(what="not taken", text=text)]


def _changed_before(mail: Mail, moment: datetime) -> bool:
    """Whether all of it was last changed before; what does not say so counts."""
    try:
        found = orjson.loads(mail.content)
        together = found.get("type") == "collection"
        parts = [one["resource"] for one in found["entry"]] if together else [found]
        said = [parsed_instant(one["meta"].get("lastUpdated")) for one in parts if "meta" in one]
    except (ValueError, LookupError, TypeError, AttributeError):
        return True
    return all(changed is None or changed < moment for changed in said)


@dataclass(kw_only=True)
class WithPlans:
    """The comparison with a FHIR server on which plans are put."""

    endpoint: Endpoint
    store: Store
    shelves: Shelves
    clock: Callable[[], datetime]
    sleep: Callable[[float], None] = wait_in_thread
    _asked: int = field(default=0, init=False)
    _failed: int = field(default=0, init=False)

    @property
    def peer(self) -> str:
        """As alarms call it."""
        return f"plans at {self.endpoint.name}"

    def __call__(self) -> list[Difference]:
        """Look at the next plans there, and at their Tasks; those in conflict wait for a person already."""
        self._asked = self._failed = 0
        self.shelves.catch_up()
        server = Server(endpoint=self.endpoint, wire=Wire(), sleep=self.sleep, until=monotonic() + SECONDS)
        gone: list[str] = []
        other: list[str] = []
        tasks: list[Phrase] = []
        for row in self._plans():
            if row["conflict"] is not None or self._asked >= MOST_READ:
                continue
            there = self._read(server, row, gone)
            if there is not None and self._is_other(row, there):
                other.append(_name(row))
            tasks += self._tasks(server, row, gone) if there is not None else ()
        return list(self._told(gone, other, tasks))

    def _plans(self) -> list[Row]:
        """The next few, in turn from day to day."""
        turn = (f"reconciliation/{self.endpoint.name}", "after")
        with self.store.read() as tx:
            after = int(remembered.value(tx, *turn) or 0)
            rows = pushed.plans(tx, self.endpoint.name, after=after, limit=MOST_PLANS)
        following = rows[-1]["id"] if len(rows) == MOST_PLANS else 0
        if following != after:
            self.store.write(lambda tx: remembered.keep(tx, *turn, str(following), self.clock()))
        return rows

    def _read(self, server: Server, row: Row, gone: list[str]) -> Found | None:
        """What stands there; None where it is gone, which is noted, or cannot be read."""
        if row["their_id"] is None or self._asked >= MOST_READ:
            return None
        self._asked += 1
        try:
            found = server.read(f"{row['type']}/{row['their_id']}", None)
        except Failed as failure:
            if failure.reply.status in (404, 410):
                gone.append(_name(row))
                return None
            self._failed += 1
            if self._failed == _AWAY or failure.reply.status in (401, 403, None):
                raise CannotCompare(fault_of(failure.reply)) from None
            return None
        self._failed = 0
        return found

    def _is_other(self, row: Row, there: Found) -> bool:
        """Another version than we have put or seen, for so long that it should have been read."""
        if there.etag == row["etag"] or not self._settled(there):
            return False
        with self.store.read() as tx:
            return not pushed.unfinished(tx, self.endpoint.name, _name(row))

    def _settled(self, there: Found) -> bool:
        meta = there.content.get("meta")
        changed = parsed_instant(meta.get("lastUpdated") if isinstance(meta, dict) else None)
        return changed is None or changed < self.clock() - FRESH

    def _tasks(self, server: Server, plan: Row, gone: list[str]) -> Iterator[Phrase]:
        """Tasks of a plan that are open at one end and ended at the other."""
        with self.store.read() as tx:
            rows = pushed.of_plan(tx, self.endpoint.name, _name(plan))
        for row in (one for one in rows if one["type"] == "Task"):
            there = self._read(server, row, gone)
            with self.store.read() as tx:
                here = self._status_here(tx, row["fhir_id"])
            if there is None or here is None or not self._settled(there):
                continue
            said = str(there.content.get("status"))
            if (said in _ENDED) != (here in _ENDED):
                known = said if said in _STATUSES else phrase("another status")
                yield phrase("{task} ({here} here, {there} there)", task=_name(row), here=here, there=known)

    def _status_here(self, tx: Connection, fhir_id: str) -> str | None:
        row = resources.named(tx, "Task", fhir_id)
        version = resources.version(tx, row["version"]) if row is not None and row["version"] else None
        if version is None:
            return None
        found: Any = self.shelves.content(tx, version, f"Task/{fhir_id}", Eyes(parties=None))
        return str(found["status"]) if found is not None else None

    def _told(self, gone: list[str], other: list[str], tasks: list[Phrase]) -> Iterator[Difference]:
        if gone:
            yield Difference(
                what="gone there",
                text=phrase(
                    "{number} resources that we have put there are gone: {names}; telephone its owner. To "
                    "put them there anew {press}",
                    number=len(gone),
                    names=some(gone),
                    press=self._press(gone[0]),
                ),
            )
        if other:
            yield Difference(
                what="another version there",
                text=phrase(
                    "{number} plans have been another version there for over an hour than the one that we "
                    "know: {names}; see the alarm `mailbox` of this server: it is read by itself. To put "
                    "ours {press}",
                    number=len(other),
                    names=some(other),
                    press=self._press(other[0]),
                ),
            )
        if tasks:
            yield Difference(
                what="Tasks differ",
                text=phrase(
                    "{number} Tasks are ended at one end only: {names}; telephone its owner which holds. "
                    "What is saved there anew is read by itself",
                    number=len(tasks),
                    names=some(tasks),
                ),
            )

    def _press(self, name: str) -> Phrase:
        """The command that sends the plan again; where it was changed there, a person decides then."""
        with self.store.read() as tx:
            row = next(iter(pushed.of_names(tx, self.endpoint.name, [name])), None)
            delivery = pushed.last_delivery(tx, self.endpoint.name, row["plan"]) if row is not None else None
        if delivery is None:
            return phrase("have its sender send the plan again")
        return phrase(
            "`discharge-adapter resend {delivery}`, then decide (`plan-conflicts`)", delivery=str(delivery)
        )


def _name(row: Row) -> str:
    return f"{row['type']}/{row['fhir_id']}"
