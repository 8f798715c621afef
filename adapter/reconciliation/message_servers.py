"""What we hold of a message server (NHN EDI 2.0) against what it holds: posted messages, and mail for us.

It lists only what is unread and gives nothing by its MsgId, so what somebody else has marked read there is
seen only where we had begun to fetch it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any
from zoneinfo import ZoneInfo

from adapter.mappings.kith.message_server import Carried, guid, standing, statuses
from adapter.messaging.delivery import DeliveryState
from adapter.messaging.register import EDI, Register
from adapter.phrases import Phrase, phrase
from adapter.reconciliation import CannotCompare, Difference, fault_of, some
from adapter.store import Store, deliveries, messages, remembered
from adapter.store.statements import Row
from adapter.transport.edi import CAME, MESSAGES, WENT, Numbers, went_as
from adapter.transport.edi_client import MessageServer, parsed

MOST = 200
"""Posted messages that are asked about in one comparison; the next goes on with the next ones."""

PAGE = 100
"""Messages in one list: the most that the server gives."""

TOO_LONG = timedelta(days=1)
"""For which mail may lie there unread, and a message be unconfirmed."""

LOOKED_BACK = timedelta(days=10)

_AWAY = 3  # answers in a row that fail until the server counts as away

_NAMELESS = "sent, and not known as what"
_UNKNOWN = "not known there"
_REJECTED = "rejected there"
_UNCONFIRMED = "unconfirmed there for over a day"
_SAID = {
    _NAMELESS: "{number} deliveries that we hold as sent are sent, and not known as what: {deliveries}; "
    "telephone the receivers, or `discharge-adapter resend {first}`, and the same for the others",
    _UNKNOWN: "{number} deliveries that we hold as sent are not known there: {deliveries}; "
    "`discharge-adapter resend {first}`, and the same for the others",
    _REJECTED: "{number} deliveries that we hold as sent are rejected there: {deliveries}; "
    "telephone the receivers, or `discharge-adapter resend {first}`, and the same for the others",
    _UNCONFIRMED: "{number} deliveries that we hold as sent are unconfirmed there for over a day: "
    "{deliveries}; telephone the receivers, or `discharge-adapter resend {first}`, and the same for the "
    "others",
}


@dataclass(kw_only=True)
class WithMessageServer:
    """The comparison with one account at a message server."""

    server: MessageServer
    store: Store
    register: Register
    numbers: Numbers
    her_ids: Sequence[int]  # whose mail is fetched
    zone: ZoneInfo
    clock: Callable[[], datetime]
    _failed: int = field(default=0, init=False)  # answers in a row

    @property
    def peer(self) -> str:
        """As alarms call it."""
        return f"message server {self.server.name}"

    def __call__(self) -> list[Difference]:
        """Ask about the next posted messages, and for the mail that lies there."""
        self._failed = 0
        return [*self._posted(), *self._mail()]

    # --- what we posted ---

    def _posted(self) -> list[Difference]:
        found: dict[str, list[int]] = {}
        for row, number in self._awaited():
            what = self._asked(row, number)
            if what is not None:
                found.setdefault(what, []).append(row["id"])
        nameless = self._nameless()
        if nameless:
            found[_NAMELESS] = nameless
        return [Difference(what=what, text=_told(what, ids)) for what, ids in found.items()]

    def _awaited(self) -> list[tuple[Row, str]]:
        """The next few that are held as sent without a receipt, with the server's ids of them."""
        place = self.server.name
        turn = (f"reconciliation/{place}", "after")
        with self.store.read() as tx:
            after = remembered.value(tx, *turn) or ""
            noted = remembered.listed(tx, place, WENT, after=after, most=MOST)
            rows = [(deliveries.get(tx, int(key.removeprefix(WENT))), id) for key, id in noted]
        following = noted[-1][0] if len(noted) == MOST else ""
        if following != after:
            self.store.write(lambda tx: remembered.keep(tx, *turn, following, self.clock()))
        return [(row, id) for row, id in rows if row is not None and _is_awaited(row)]

    def _asked(self, row: Row, number: str) -> str | None:
        """What is odd about one of them there; None where nothing is, or it cannot be said."""
        reply = self.server.call("GET", f"{MESSAGES}/{number}/status", self.server.place())
        if reply.status == HTTPStatus.NOT_FOUND:
            return _UNKNOWN
        if not self._answered(reply):
            return None
        numbers = frozenset[int]().union(*self.numbers(row["party"]))
        mine = standing(statuses(parsed(reply)), numbers)
        if mine is not None and mine.receipt is None and mine.carried is Carried.REJECTED:
            return _REJECTED
        old = row["sent_at"] is not None and self.clock() - row["sent_at"] > TOO_LONG
        waits = mine is not None and mine.receipt is None and mine.carried is Carried.UNCONFIRMED
        return _UNCONFIRMED if waits and old else None

    def _nameless(self) -> list[int]:
        """Sent there, and no note of ours says under which id the server has it."""
        address = self.server.access.account.address
        names = {
            e.name for e in self.register.endpoints if e.transport == EDI and e.address.rstrip("/") == address
        }
        with self.store.read() as tx:
            sent = deliveries.listed(tx, state=DeliveryState.SENT.value, awaiting=True, limit=10 * MOST)
            ours = [row["id"] for row in sent if row["endpoint"] in names]
            return [id for id in ours if remembered.value(tx, self.server.name, went_as(id)) is None]

    # --- what lies there for us ---

    def _mail(self) -> list[Difference]:
        unread: dict[str, datetime | None] = {}
        for her_id in self.her_ids:
            unread |= self._unread(her_id)
        before = self.clock() - TOO_LONG
        old = [id for id, made in unread.items() if made is not None and made < before]
        differences = []
        if old:
            text = phrase(
                "{number} messages lie unread there that were written over a day ago, though the mail is "
                "fetched; see the alarm `mailbox` of this server, or its log, and ask its operator about "
                "{messages}",
                number=len(old),
                messages=some(old),
            )
            differences.append(Difference(what="mail lies unread", text=text))
        lost = self._never_taken(unread)
        if lost:
            text = phrase(
                "{number} messages are read there, which we had begun to fetch and never took: somebody "
                "else reads this mail, or a store was restored. Ask the operator who has read them, and have "
                "their senders send again: {messages}",
                number=len(lost),
                messages=some(lost),
            )
            differences.append(Difference(what="read, and never taken", text=text))
        return differences

    def _unread(self, her_id: int) -> dict[str, datetime | None]:
        """The oldest of one HER-id: the server's ids, and when each was written."""
        query = {
            "ReceiverHerIds": her_id,
            "MessagesToFetch": PAGE,
            "OrderBy": "Ascending",
            "IncludeMetadata": "true",
        }
        reply = self.server.call("GET", MESSAGES, self.server.place(), query=query)
        listed = parsed(reply) if self._answered(reply) else None
        entries = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
        found = {
            guid(one.get("id")): _moment(one.get("businessDocumentGenDate"), self.zone) for one in entries
        }
        return {id: made for id, made in found.items() if id is not None}

    def _never_taken(self, unread: dict[str, datetime | None]) -> list[str]:
        now = self.clock()
        with self.store.read() as tx:
            noted = remembered.between(
                tx,
                self.server.name,
                CAME,
                since=now - LOOKED_BACK,
                until=now - timedelta(hours=1),
                most=10 * PAGE,
            )
            known = messages.with_ids(tx, [key.rpartition("/")[2] for key, _ in noted])
        lost = [id for key, id in noted if key.rpartition("/")[2] not in known]
        return [id for id in lost if id not in unread]

    def _answered(self, reply: Any) -> bool:
        """Whether it was answered. Raises CannotCompare where the server is away."""
        if reply.taken and reply.error is None:
            self._failed = 0
            return True
        self._failed += 1
        if self._failed == _AWAY or reply.status in (401, None):
            raise CannotCompare(fault_of(reply))
        return False


def _is_awaited(row: Row) -> bool:
    sent = row["state"] == DeliveryState.SENT.value
    return bool(sent and row["expects_receipt"] and row["accepted_at"] is None)


def _told(what: str, ids: Sequence[int]) -> Phrase:
    named = some([str(one) for one in ids])
    return phrase(_SAID[what], number=len(ids), deliveries=named, first=str(ids[0]))


def _moment(text: Any, zone: ZoneInfo) -> datetime | None:
    """GenDate; without an offset it is on the hospital's clock."""
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=zone)
