"""What each page shows: a template and the documents for it, read in one transaction.

Lists hold no message body, no name and no identity number; only `/messages/{id}` and `/deliveries/{id}` show
what was sent, to somebody who has signed in.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from itertools import product
from typing import Any

from sqlalchemy import Connection

from adapter.alarming import BY_HAND
from adapter.cases import pseudonym
from adapter.closing import OPEN
from adapter.discharge.planning import document as told
from adapter.errors import ConfigurationError, NotFound
from adapter.fhir.bundles import NATIONAL_IDENTIFIERS, Subject
from adapter.fhir.protecting import protects
from adapter.incoming import Incoming
from adapter.ledger import Ledger, bounds, month_of
from adapter.messaging.alarm_words import TO_DO
from adapter.messaging.envelope import masked
from adapter.messaging.people import Role
from adapter.messaging.register import Register
from adapter.phrases import Phrase, phrase, technical
from adapter.reports import waiting
from adapter.store import alarms as alarm_rows
from adapter.store import cases as case_rows
from adapter.store import deliveries as delivery_rows
from adapter.store import endpoint_health, protections, resources, shown
from adapter.store import messages as message_rows
from adapter.store import overview as counted
from adapter.store.statements import Row
from adapter.web.overview import Unsettled, summary, tiles
from adapter.web.pretty import Pretty, pretty
from adapter.web.site import Action, Doing, Link, Look, Mistake, Page, View, number
from adapter.web.timeline import timeline
from adapter.web.wording import Wording, place

PAGE = 50
"""Rows of one page of a list."""

LONGEST = 125
"""Rows of a list that has no pages: some 150 kB."""

_COUNTED = 300  # messages, the newest held or refused, among which those held are counted

_NO_CASE = "There is no such case. The list of cases shows those that there are."

NO_PSEUDONYM = (
    "In the address a patient is a pseudonym, which begins with P. Never put an identity number there; "
    "use the search form of the delivery log."
)

_PSEUDONYM = re.compile(r"P[A-Z2-7]{16}")


# --- the region -------------------------------------------------------------------------------------------


def overview(look: Look) -> View:
    """`/`: each party, the latest cases and deliveries."""
    tx = look.tx
    day = look.now.astimezone(look.words.zone).date()
    shown_tiles = tiles(
        look.register,
        day,
        look.words,
        queues=counted.queues(tx),
        tries=counted.last_tries(tx),
        delivered=counted.last_delivered(tx),
        paused=delivery_rows.pauses(tx),
        ailing=endpoint_health.ailing(tx),
    )
    unsettled = Unsettled(
        alarms=sum(alarm_rows.counts(tx).values()),
        overdue=counted.deadlines_behind(tx, look.now, 1)[1],
        held=sum(1 for m in message_rows.held(tx, _COUNTED) if m["outcome"] == "quarantined"),
    )
    values = {
        "tiles": shown_tiles,
        "summary": summary(shown_tiles, unsettled, look.words),
        "states": counted.cases_by_state(tx),
        "cases": [shown.case_line(row) for row in case_rows.listed(tx, limit=8)],
        "deliveries": shown.deliveries(tx, delivery_rows.listed(tx, limit=8)),
        "overdue": unsettled.overdue,
        "held": unsettled.held,
    }
    return View(template="overview.html", title=look.words.of("Overview"), values=values)


def endpoints(look: Look) -> View:
    """`/endpoints`: where messages go, and how those places do."""
    tx = look.tx
    depth: dict[str, dict[str, int]] = {}
    oldest: dict[str, datetime] = {}
    for name, state, count, since in delivery_rows.queue_depth(tx):
        if state == "sent":
            continue  # not all of these await a receipt
        depth.setdefault(name or "", {})[state] = count
        if since is not None:
            oldest[name or ""] = min(oldest.get(name or "", since), since)
    last, paused = delivery_rows.last_attempts(tx), delivery_rows.pauses(tx)
    ailing = endpoint_health.ailing(tx)
    for name, count in counted.unreceipted(tx).items():
        depth.setdefault(name or "", {})["sent"] = count
    documents = [
        shown.endpoint(
            e.name,
            e.address,
            e.dialect,
            depth=depth.get(e.name, {}),
            oldest=oldest.get(e.name),
            last=last.get(e.name),
            paused=paused.get(e.name),
            ailing=ailing.get(e.name),
            now=look.now,
        )
        | {"transport": e.transport, "parties": _parties_at(look.register, e.name)}
        for e in look.register.endpoints
    ]
    values = {"endpoints": documents, "homeless": depth.get("", {}).get("waiting", 0)}
    return View(template="endpoints.html", title=look.words.of("Endpoints"), values=values)


def _parties_at(register: Register, endpoint: str) -> list[str]:
    places = ((party, register.endpoint_of(party)) for party in register.parties)
    return [party.name for party, found in places if found is not None and found.name == endpoint]


def alarms(look: Look) -> View:
    """`/alarms`: what needs a person, open ones first."""
    documents = [alarm_line(row, look.words) for row in alarm_rows.listed(look.tx, limit=LONGEST)]
    return View(
        template="alarms.html",
        title=look.words.of("Alarms"),
        values={"alarms": documents, "to_do": TO_DO, "by_hand": BY_HAND},
    )


def alarm_line(row: Row, say: Wording) -> dict[str, Any]:
    """An alarm with the page about its subject."""
    href = place(row["subject"], row["case_id"])
    of_case = href == f"/cases/{row['case_id']}"
    about = say.subject(f"case {row['case_id']}" if of_case else row["subject"])
    return shown.alarm(row) | {"href": href, "about": about}


def deadlines(look: Look) -> View:
    """`/deadlines`: what is overdue, then what is to come."""
    behind, count = counted.deadlines_behind(look.tx, look.now, LONGEST)
    ahead = counted.deadlines_ahead(look.tx, look.now, LONGEST)
    extra = ("patient", "hospital", "municipality")
    values = {
        "behind": [shown.deadline(row) | {name: row[name] for name in extra} for row in behind],
        "ahead": [shown.deadline(row) | {name: row[name] for name in extra} for row in ahead],
        "count": count,
    }
    return View(template="deadlines.html", title=look.words.of("Deadlines"), values=values)


# --- deliveries ------------------------------------------------------------------------------------------


def pseudonym_in(text: str | None) -> str | None:
    """A pseudonym out of an address; None where it is none, as a number is."""
    return text if text is not None and _PSEUDONYM.fullmatch(text) else None


def patient_of(tx: Connection, key: bytes, number: str) -> str:
    """The pseudonym under which the number is known, whichever national system it is of.

    Where nobody is known by it, the pseudonym that a Norwegian national number would give.
    """
    bare = "".join(number.split())
    digits = bare.replace("-", "")
    spellings = dict.fromkeys((bare, digits, f"{digits[:-4]}-{digits[-4:]}"))
    names = [
        pseudonym(key, Subject(identifiers=((system, value),)))
        for value, system in product(spellings, NATIONAL_IDENTIFIERS)
    ]
    return next((name for name in names if case_rows.ids_of(tx, name)), names[0])


def receipts_of(
    tx: Connection, row: Row, told: Row | None, hidden: Pretty | None = None
) -> list[dict[str, Any]]:
    """The messages that told us what the receiver said of it; `hidden`, where given, is shown for each."""
    case = case_rows.get(tx, row["case_id"]) if row["case_id"] is not None else None
    if case is None or told is None:
        return []
    notices = shown.case(tx, case)["notices"]
    evidence = [
        e
        for n in notices
        if n["message_id"] == told["message_id"] and n["sender"] == told["sender"]
        for e in n["evidence"]
        if e["party"] == row["party"] and (place(e["source"]) or "").startswith("/messages/")
    ]
    found: dict[int, dict[str, Any]] = {}
    for e in evidence:
        receipt = message_rows.get(tx, int(e["source"].rsplit(" ", 1)[-1]))
        if receipt is not None:
            said = found.setdefault(
                receipt["id"], {"steps": [], "body": hidden or _body(tx, receipt["payload"])}
            )
            said["steps"].append(e["step"])
            said |= {"id": receipt["id"], "at": shown.when(receipt["received_at"])}
    return list(found.values())


# --- cases ------------------------------------------------------------------------------------------------


def cases(look: Look) -> View:
    """`/cases`: the latest change first."""
    patient = look.query.get("patient") or None
    known = patient is None or pseudonym_in(patient) is not None
    rows = case_rows.listed(look.tx, patient=patient, limit=LONGEST) if known else []
    values = {
        "cases": [shown.case_line(row) for row in rows],
        "patient": pseudonym_in(patient),
        "most": LONGEST,
        "notes": [] if known else [look.words.of(NO_PSEUDONYM)],
    }
    return View(template="cases.html", title=look.words.of("Cases"), values=values)


def case(look: Look) -> View:
    """`/cases/{id}`: one case with its timeline; an id that was merged leads to the case that it is now."""
    wanted = look.row("case")
    row = case_rows.get(look.tx, wanted)
    if row is None:
        raise NotFound(phrase(_NO_CASE))
    elsewhere = f"/cases/{row['id']}" if row["id"] != wanted else None
    known = shown.case(look.tx, row, look.inbox.cases.roles)
    _in_readers_language(look, row["id"], known["deadlines"])
    law = look.inbox.cases.agreement
    today = look.now.astimezone(law.zone).date()
    on = [_placement(look, placed) for placed in known["placements"]]
    names = {placed["name"] for placed in on}
    values = {
        "case": known,
        "protection": protections.of(look.tx, row["patient"]),
        "may_lift": look.person.named,
        "placements": on,
        "choices": [p for p in law.placements if p.holds(today) and p.name not in names],
        "follow_ups": law.follow_up_kinds,
        "planning": told(look.inbox.cases.planning(look.tx, row["id"])),
        "events": timeline(known, case_rows.notes(look.tx, row["id"]), look.words),
        "plans": resources.plans_of(look.tx, row["patient"]),
        "key": look.inbox.new_id(),
        "closable": row["state"] in OPEN,
        "reports": [
            look.words.party(task.party)
            for task in waiting(look.tx, look.inbox.shelves, row["patient"], row["id"])
        ],
        "ahead": [d for d in known["deadlines"] if d["state"] in ("open", "missed") and not d["noted_at"]],
    }
    return View(
        template="case.html",
        title=look.words.of("Case {number}", number=row["id"]),
        values=values,
        elsewhere=elsewhere,
    )


def _in_readers_language(look: Look, case_id: int, deadlines: list[dict[str, Any]]) -> None:
    """Reasons that were stored before they were kept as phrases, as the law's catalogs say them."""
    language = look.words.language
    older = any(d["reason"] and not isinstance(d["reason"], Phrase) for d in deadlines)
    if language == "en" or not older:
        return
    told = look.inbox.cases.explained(look.tx, case_id, look.now, language)["deadlines"]
    said = {_which(d): "; ".join(why[language] for why in d["why"][1:]) for d in told}
    for d in deadlines:
        if said.get(_which(d)):
            d["said"] = said[_which(d)]


def _which(deadline: dict[str, Any]) -> tuple[Any, ...]:
    due = datetime.fromisoformat(deadline["due_at"])
    return (deadline["kind"], deadline["actor"], deadline["party"], due, deadline["about"])


def _placement(look: Look, placed: dict[str, Any]) -> dict[str, Any]:
    """What a case is placed on, by its title; or why it asks for nothing."""
    law = look.inbox.cases.agreement
    at = datetime.fromisoformat(placed["at"])
    try:
        found = law.placement(placed["name"], at.astimezone(law.zone).date())
    except ConfigurationError as error:
        return placed | {"title": placed["name"], "kind": None, "unknown": technical(str(error))}
    return placed | {"title": found.title, "kind": found.kind.value, "unknown": None}


def why(look: Look) -> View:
    """`/cases/{id}/why`: each deadline and charged day in words, in the languages of reader and country."""
    row = case_rows.get(look.tx, look.row("case"))
    if row is None:
        raise NotFound(phrase(_NO_CASE))
    told = look.inbox.cases.explained(look.tx, row["id"], look.now, look.words.language)
    agreement = look.words.heading("country", told["agreement"])
    values = {"case": row, "told": told, "agreement": agreement}
    return View(template="why.html", title=look.words.of("Case {number}", number=row["id"]), values=values)


def payments(look: Look) -> View:
    """`/payments?month=2024-03`: what each municipality owes for a month, by day or by mean."""
    month = look.query.get("month") or month_of(look.now.astimezone(look.words.zone).date())
    try:
        bounds(month)
    except ValueError:
        raise NotFound(phrase("A month is written as 2024-03.")) from None
    statement = Ledger(cases=look.inbox.cases).statement(look.tx, month, look.now)
    values = {
        "statement": statement,
        "first": date.fromisoformat(f"{month}-01"),
        "totals": statement.totals,
        "averaged": any(line.agreement for line in statement.lines),
        "lines": statement.lines[:LONGEST],
        "more": max(0, len(statement.lines) - LONGEST),
    }
    return View(template="payments.html", title=look.words.of("Payments"), values=values)


# --- messages ---------------------------------------------------------------------------------------------


def message(look: Look) -> View:
    """`/messages/{id}`: one message as it came, what became of it, and what its sender was told."""
    wanted = look.row("message")
    found = shown.message_of(look.tx, wanted)
    row = message_rows.get(look.tx, wanted)
    if found is None or row is None:
        text = "There is no such message. The quarantine and the cases lead to those that there are."
        raise NotFound(phrase(text))
    hidden = withheld(look) if is_withheld(look, row) else None
    told = _body(look.tx, row["acknowledgement"])
    values = {
        "message": found,
        "body": hidden or _body(look.tx, row["payload"]),
        "acknowledgement": told and (hidden or told),
        "deliveries": shown.deliveries(look.tx, delivery_rows.listed(look.tx, message_row=wanted)),
    }
    return View(
        template="message.html",
        title=look.words.of("Message {number}", number=wanted),
        values=values,
        patients=_whose(look, row) if row["case_id"] is None else frozenset(),
    )


def withheld(look: Look) -> Pretty:
    """What stands in the place of a message about somebody with a protected identity."""
    text = (
        "The identity is protected: name, address, telephone, next of kin, texts and documents are for "
        "named staff only."
    )
    return Pretty(form="text", text=look.words.of(text))


def is_withheld(look: Look, row: Row | None) -> bool:
    """Whether a message is about somebody with a protected identity, by itself or by what is known."""
    content = message_rows.content(look.tx, row["payload"]) if row is not None else None
    if row is None or content is None:
        return False
    case = case_rows.get(look.tx, row["case_id"]) if row["case_id"] is not None else None
    if case is not None and protections.is_protected(look.tx, case["patient"]):
        return True
    reading = look.inbox.read(Incoming(content=content, content_type=row["content_type"])).reading
    entries = reading.bundle.get("entry", ()) if reading is not None and reading.bundle is not None else ()
    return protects(entries)


def _whose(look: Look, row: Row) -> frozenset[str]:
    """Who is named in a message of no case, as one that is held; nobody where it cannot be read."""
    content = message_rows.content(look.tx, row["payload"])
    if content is None:
        return frozenset()
    subject = look.inbox.read(Incoming(content=content, content_type=row["content_type"])).subject
    return frozenset({pseudonym(look.inbox.pseudonym_key, subject)}) if subject is not None else frozenset()


def _body(tx: Connection, digest: bytes | None) -> Any:
    content = message_rows.content(tx, digest)
    return pretty(content) if content is not None else None


def quarantine(look: Look) -> View:
    """`/quarantine`: what is held until our own data is right, and what was refused for good."""
    documents = [shown.held(row) for row in message_rows.held(look.tx, LONGEST)]
    values = {
        "held": [m for m in documents if m["releasable"]],
        "refused": [m for m in documents if not m["releasable"]],
        "most": LONGEST,
    }
    return View(template="quarantine.html", title=look.words.of("Quarantine"), values=values)


# --- acting -----------------------------------------------------------------------------------------------


def _seen(doing: Doing) -> str:
    with _no_alarm(doing):
        doing.inbox.outbox.alarms.see(doing.tx, doing.row(), doing.now, by=doing.by)
    return "/alarms"


def _close(doing: Doing) -> str:
    why = doing.text("why")
    if not why:
        raise Mistake({"why": doing.words.of("Say what was done.")})
    if masked(why) != why:
        raise Mistake({"why": doing.words.of("Leave out what looks like an identity number.")})
    with _no_alarm(doing):
        doing.inbox.outbox.alarms.close(doing.tx, doing.row(), doing.now, by=doing.by, why=why)
    return "/alarms"


def case_id_in(doing: Doing) -> int:
    """The case of the address; NotFound where there is none."""
    wanted = number(doing.path["id"])
    row = case_rows.get(doing.tx, wanted) if wanted is not None else None
    if row is None:
        raise NotFound(phrase(_NO_CASE))
    return int(row["id"])


def told_at(doing: Doing) -> datetime | None:
    """What a form says when something was, by the hospital's clock; None where it is left empty."""
    text = doing.text("at")
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        text = "Write when it was as 2024-03-08T10:00, or leave it."
        raise Mistake({"at": doing.words.of(text)}) from None
    return at if at.tzinfo is not None else at.replace(tzinfo=doing.inbox.zone)


def _followed_up(doing: Doing) -> str:
    case_id, at = case_id_in(doing), told_at(doing) or doing.now
    new_id, what = doing.inbox.new_id(), doing.text("name") or None
    with _mistaken(doing):
        doing.inbox.cases.followed_up(doing.tx, case_id, at, doing.now, new_id=new_id, by=doing.by, what=what)
    return f"/cases/{case_id}"


def _place(doing: Doing) -> str:
    case_id, at = case_id_in(doing), told_at(doing) or doing.now
    new_id = doing.inbox.new_id()
    with _mistaken(doing):
        doing.inbox.cases.place(
            doing.tx, case_id, doing.text("name"), at, doing.now, new_id=new_id, by=doing.by
        )
    return f"/cases/{case_id}"


def _take_off(doing: Doing) -> str:
    case_id = case_id_in(doing)
    with _mistaken(doing):
        doing.inbox.cases.take_off(
            doing.tx, case_id, doing.text("name"), doing.now, new_id=doing.inbox.new_id, by=doing.by
        )
    return f"/cases/{case_id}"


@contextmanager
def _mistaken(doing: Doing) -> Iterator[None]:
    """What cannot be recorded is the form's mistake, told where it was filled in."""
    try:
        yield
    except NotFound as error:
        raise Mistake({"": doing.words.told(error.said, begin=True, stop=True)}) from error


@contextmanager
def _no_alarm(doing: Doing) -> Iterator[None]:
    try:
        yield
    except NotFound as error:
        text = "There is no open alarm with this number that a person can see to."
        raise NotFound(phrase(text)) from error


WATCHERS = frozenset({Role.OPERATIONS, Role.AUDITOR})
"""Who sees the pages of operations."""

_OPERATORS = frozenset({Role.OPERATIONS})

PAGES = tuple(
    Page(path=path, view=view, roles=WATCHERS)
    for path, view in {
        "/": overview,
        "/cases": cases,
        "/cases/{id}": case,
        "/cases/{id}/why": why,
        "/messages/{id}": message,
        "/quarantine": quarantine,
        "/endpoints": endpoints,
        "/payments": payments,
        "/alarms": alarms,
        "/deadlines": deadlines,
    }.items()
)
"""Every page of operations and its address; docs/pages.md describes each."""

NAV = tuple(
    Link(path=path, label=label, roles=WATCHERS)
    for path, label in (
        ("/", "Overview"),
        ("/cases", "Cases"),
        ("/deadlines", "Deadlines"),
        ("/deliveries", "Deliveries"),
        ("/quarantine", "Quarantine"),
        ("/endpoints", "Endpoints"),
        ("/payments", "Payments"),
        ("/alarms", "Alarms"),
    )
)

ACTIONS = tuple(
    Action(path=path, act=act, roles=_OPERATORS, again=again)
    for path, act, again in (
        ("/alarms/{id}/seen", _seen, alarms),
        ("/alarms/{id}/close", _close, alarms),
        ("/cases/{id}/followed-up", _followed_up, case),
        ("/cases/{id}/place", _place, case),
        ("/cases/{id}/take-off", _take_off, case),
    )
)
"""What operators do on them."""
