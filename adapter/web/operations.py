"""The operations board: the delivery log with its search, one delivery, and what is done by hand.

Operators see pseudonyms; only the page of one delivery shows what was sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Connection

from adapter.bulks import stands
from adapter.errors import AdapterError, NotFound
from adapter.incoming import Incoming
from adapter.mappings import Addressing
from adapter.mappings.known import named
from adapter.messaging.people import Person, Role
from adapter.messaging.register import ReceiptWhen, Register, Side
from adapter.parcels import NOTICES
from adapter.phrases import phrase
from adapter.store import cases as case_rows
from adapter.store import deliveries as delivery_rows
from adapter.store import messages as message_rows
from adapter.store import overview as counted
from adapter.store import searching, shown
from adapter.store.searching import Wanted
from adapter.store.statements import Row
from adapter.web.asking import KINDS, STATES, Asked, Asking, between
from adapter.web.comparing import compared
from adapter.web.pretty import pretty
from adapter.web.site import Action, Doing, Link, Look, Page, View, number
from adapter.web.views import NO_PSEUDONYM, is_withheld, pseudonym_in, receipts_of, withheld

PAGE = 50
"""Rows of one page of the log."""

MOST_COUNTED = 1000
"""Deliveries up to which they are counted exactly."""

WATCHERS = frozenset({Role.OPERATIONS, Role.AUDITOR})
OPERATORS = frozenset({Role.OPERATIONS})

STRANGERS_FOR = timedelta(days=30)
"""For so long the log counts messages of which nothing was kept."""

FILTERS = (
    "text",
    "state",
    "party",
    "kind",
    "dialect",
    "endpoint",
    "case",
    "patient",
    "since",
    "until",
    "awaiting",
)
"""What may stand in the address of the log, beside `before`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """What the address of the log asks for."""

    asked: Asked
    kept: Mapping[str, str]  # of the address, what may be shown again
    notes: tuple[str, ...]  # what is wrong with it

    @property
    def wanted(self) -> Wanted:
        """What the store is asked."""
        return self.asked.wanted

    @property
    def address(self) -> str:
        """The filter as it stands in an address."""
        return urlencode(self.kept)


def choices(look: Look | Doing) -> dict[str, list[str]]:
    """What the lists of the filter offer."""
    seen = {*counted.queues(look.tx), *counted.last_delivered(look.tx)}
    return {
        "state": list(STATES),
        "party": sorted({p.id for p in look.register.parties} | seen),
        "kind": list(KINDS),
        "dialect": sorted({e.dialect for e in look.register.endpoints}),
        "endpoint": sorted(e.name for e in look.register.endpoints),
    }


def filter_of(look: Look | Doing, query: Mapping[str, str], offered: Mapping[str, list[str]]) -> Filter:
    """Read the address of the log; whatever cannot be meant is told."""
    say = look.words
    given = {name: text.strip() for name in FILTERS if (text := query.get(name, "")).strip()}
    asking = Asking(
        words=look.words,
        register=look.register,
        zone=look.inbox.zone,
        endpoints=offered["endpoint"],
        dialects=offered["dialect"],
    )
    asked = asking.read(given.get("text", ""))
    notes, wanted = [*asked.mistakes], asked.wanted
    kept = dict(given) if asked.kept else {n: v for n, v in given.items() if n != "text"}
    unknown = {
        "state": say.of("The state is not one of those in the list."),
        "party": say.of("The party is not one of those in the list."),
        "kind": say.of("Nothing of that kind is sent."),
        "dialect": say.of("There is nothing of that name."),
        "endpoint": say.of("There is nothing of that name."),
    }
    for name, otherwise in unknown.items():
        if name in given and given[name] not in offered[name]:
            notes.append(otherwise)
            kept.pop(name, None)
        elif name == "state" and name in given:
            both = {*wanted.states, given[name]}
            wanted = replace(wanted, states=(given[name],) if len(both) == 1 else ("none",))
        elif name in given:
            wanted = _with(wanted, {name: given[name]})
    if "awaiting" in given:
        if given["awaiting"] != "1":
            notes.append(say.of("In the address awaiting is 1, or left out."))
            kept.pop("awaiting")
        wanted = replace(wanted, awaiting=True)
    days = {name: _day(given[name]) for name in ("since", "until") if name in given}
    for name, day in days.items():
        if day is None:
            notes.append(say.of("Write a day as 2014-03-03."))
            kept.pop(name)
    if not notes:
        since, until = days.get("since"), days.get("until")
        from_then = asking.start(since) if since else None
        to_then = asking.start(until + timedelta(days=1)) if until and until < date.max else None
        wanted = _with(wanted, between(wanted, from_then, to_then))
    ids = _case_ids(look, given, notes, kept)
    if ids is not None:
        both_ids = ids if wanted.case_ids is None else sorted({*ids} & {*wanted.case_ids})
        wanted = replace(wanted, case_ids=tuple(both_ids))
    return Filter(asked=replace(asked, wanted=wanted), kept=kept, notes=tuple(notes))


def _with(wanted: Wanted, changes: Mapping[str, Any]) -> Wanted:
    return replace(wanted, **changes)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        return None


def _case_ids(
    look: Look | Doing, given: Mapping[str, str], notes: list[str], kept: dict[str, str]
) -> list[int] | None:
    """The cases that the filters name; None where they name none, so that all are meant."""
    found: set[int] | None = None
    if "case" in given:
        wanted = number(given["case"])
        row = case_rows.get(look.tx, wanted) if wanted is not None else None
        if row is None:
            notes.append(
                look.words.of("There is no such case; a case has a number, as in the list of cases.")
            )
            kept.pop("case")
        found = {row["id"]} if row is not None else set()
    if "patient" in given:
        named = pseudonym_in(given["patient"])
        if named is None:
            notes.append(look.words.of(NO_PSEUDONYM))
            kept.pop("patient")
        own = set(case_rows.ids_of(look.tx, named)) if named else set()
        found = own if found is None else found & own
    return sorted(found) if found is not None else None


def log(look: Look) -> View:
    """`/deliveries`: the log, newest first, found by words and by what stands in the address."""
    offered = choices(look)
    chosen = filter_of(look, look.query, offered)
    notes = [*chosen.notes]
    before = number(look.query.get("before") or None)
    if look.query.get("before") and before is None:
        notes.append(look.words.of("In the address before is the number of a delivery, as in the log."))
    found: list[int] = []
    counted_up = 0
    if not notes:
        every = searching.ids(look.tx, chosen.wanted, limit=MOST_COUNTED + 1)
        counted_up = len(every)
        found = [n for n in every if before is None or n < before][: PAGE + 1]
        if len(found) <= PAGE and counted_up > MOST_COUNTED:  # further back than was counted
            found = searching.ids(look.tx, chosen.wanted, limit=PAGE + 1, before=before)
    rows = searching.rows(look.tx, found[:PAGE])
    strangers = message_rows.not_relevant(look.tx, look.now - STRANGERS_FOR)
    values: dict[str, Any] = {
        "deliveries": shown.deliveries(look.tx, rows),
        "count": counted_up,
        "most": MOST_COUNTED,
        "older": found[PAGE - 1] if len(found) > PAGE else None,
        "newest": before is None,
        "offered": offered,
        "kept": chosen.kept,
        "address": chosen.address,
        "asked": chosen.asked,
        "notes": notes,
        "unread": searching.unread(look.tx) if chosen.wanted.in_words else 0,
        "acts": look.person.holds(*OPERATORS),
        "strangers": sum(row["count"] for row in strangers),
        "strangers_days": STRANGERS_FOR.days,
    }
    return View(template="operations/log.html", title=look.words.of("Deliveries"), values=values)


def looked_up(tx: Connection, person: Person, patient: str, now: datetime) -> dict[str, Any]:
    """That somebody has asked for a patient by the number, for the audit; the number stands nowhere."""
    role = next((role.value for role in (Role.OPERATIONS, Role.AUDITOR) if person.holds(role)), None)
    return {
        "at": now,
        "what": "search",
        "type": "Patient",
        "patient": patient,
        "found": len(case_rows.ids_of(tx, patient)),
        "person": person.id,
        "role": role,
    }


def delivery(look: Look) -> View:
    """`/deliveries/{id}`: one delivery, its attempts, both sides of its message, its receipts, what to do."""
    tx, say = look.tx, look.words
    row = delivery_rows.get(tx, look.row("delivery"))
    if row is None:
        raise NotFound(phrase("There is no such delivery. The delivery log shows those that there are."))
    told = message_rows.get(tx, row["message_row"]) if row["message_row"] is not None else None
    as_sent = message_rows.content(tx, row["payload"])
    unaltered = told is not None and told["payload"] == row["payload"]
    received = None if unaltered or told is None else message_rows.content(tx, told["payload"])
    hidden = withheld(look) if is_withheld(look, told) else None
    went, came = ((hidden or pretty(side)) if side is not None else None for side in (as_sent, received))
    values = {
        "delivery": shown.deliveries(tx, [row])[0],
        "stands": stands(row),
        "as_sent": went,
        "told": shown.held(told) if told is not None else None,
        "as_received": came,
        "compared": compared(came, went) if came is not None and went is not None and not hidden else None,
        "losses": losses(look, told, received, row["dialect"]) if received is not None else (),
        "unaltered": unaltered,
        "receipts": receipts_of(tx, row, told, hidden),
        "notes": case_rows.notes_about(tx, f"delivery {row['id']}"),
        "acts": doable(look, row),
        "parties": receivers(look.register, told["sender"] if told is not None else None),
    }
    title = say.of("Delivery {number}", number=row["id"])
    return View(template="operations/delivery.html", title=title, values=values)


def losses(look: Look, told: Row | None, content: bytes | None, dialect: str) -> tuple[str, ...]:
    """What is known to have had no place in the dialect in which it went out, or none here."""
    if told is None or content is None or told["dialect"] == dialect:
        return ()
    incoming = Incoming(content=content, content_type=told["content_type"])
    try:
        reading = look.inbox.read(incoming).reading
        if reading is None or reading.bundle is None:
            return () if reading is None else reading.losses
        envelope = reading.envelope
        addressing = Addressing(
            message_id=envelope.message_id,
            transmission_id=envelope.message_id,
            sender=envelope.sender,
            receiver=envelope.receivers[0],
        )
        written = named(dialect).write(reading.bundle, dialect=dialect, addressing=addressing)
    except (AdapterError, LookupError, ValueError):
        return ()
    return tuple(dict.fromkeys((*reading.losses, *written.losses)))


def doable(look: Look, row: Row) -> tuple[str, ...]:
    """What an operator may do with a delivery as it stands."""
    if not look.person.holds(*OPERATORS):
        return ()
    state, settled = row["state"], row["resume_state"] or row["state"]
    found = []
    if state == "waiting" and row["resume_state"] is not None:
        found.append("take-back")
    elif state in ("waiting", "sent", "refused", "given-up", "acknowledged"):
        found.append("resend")
    if settled == "given-up":
        found.append("take-up")
    if state in ("waiting", "sent") and settled in ("waiting", "sent"):
        found.append("give-up")
    if row["message_row"] is not None and row["kind"] in NOTICES and state not in ("cancelled", "leased"):
        found.append("reissue")
    return tuple(found)


def receivers(register: Register, sender: str | None) -> list[str]:
    """Whom something can be reissued to: those with an endpoint, or whose board is their system."""
    board = (p for p in register.parties if p.side is Side.OURS and p.receipt is ReceiptWhen.STORED)
    ways = {p.id for p in register.parties if register.endpoint_of(p) is not None} | {p.id for p in board}
    return sorted(ways - {sender})


PAGES = (
    Page(path="/deliveries", view=log, roles=WATCHERS),
    Page(path="/deliveries/{id}", view=delivery, roles=WATCHERS),
)
"""The pages of the operations board; docs/pages.md describes each."""

ACTIONS: tuple[Action, ...] = ()
"""What operators do on them."""

NAV: tuple[Link, ...] = ()
