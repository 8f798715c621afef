"""Who has looked, and emergency access: asked for by those who care, reviewed by an auditor.

Auditors see pseudonyms. An identity number that is typed to find a patient is turned into one and goes no
further. Emergency access opens one patient for a while; whether anything is known of the patient is said only
after it has been written down.
"""

import csv
import re
from datetime import date, datetime, time, timedelta
from io import StringIO
from typing import Any

from adapter.errors import NotFound
from adapter.messaging.envelope import masked
from adapter.messaging.people import CARE, Role
from adapter.phrases import phrase
from adapter.sight import Sight
from adapter.store import cases as case_rows
from adapter.store import emergencies, resources
from adapter.store.resources import Looks
from adapter.store.statements import Row
from adapter.web import looking
from adapter.web.site import Action, Doing, File, Link, Look, Mistake, Page, View, number
from adapter.web.views import patient_of
from adapter.web.words import as_said

PAGE = 50
"""Looks on one page."""

MOST_EXPORTED = 10_000
"""Lines of one CSV file."""

SHORTEST_REASON = 10
"""Characters of a reason for emergency access."""

VERDICTS = ("justified", "not-justified")
"""What a reviewer may find; the catalogs have words for each."""

_LONGEST_REASON = 1000
_LONGEST_NUMBER = 40
_is_pseudonym = re.compile(r"P[A-Z2-7]{16}").fullmatch


# --- who has looked ---------------------------------------------------------------------------------------


def looks(look: Look) -> View:
    """`/looks`: who has looked at whom, the newest first, filtered by what stands in the address."""
    kept, notes = _kept(look)
    before = number(look.query.get("before"))
    rows = [] if notes else _rows(look, kept, limit=PAGE + 1, before=before)
    values = {
        "looks": [_line(look, row) for row in rows[:PAGE]],
        "older": rows[PAGE - 1]["id"] if len(rows) > PAGE else None,
        "newest": before is None,
        "kept": kept,
        "notes": notes,
        "unreviewed": emergencies.unreviewed(look.tx),
    }
    return View(template="access/looks.html", title=look.words.of("Who has looked"), values=values)


def looks_csv(look: Look) -> View:
    """`/looks.csv`: the same to take away, at most ten thousand lines."""
    kept, notes = _kept(look)
    if notes:
        raise NotFound(as_said(notes[0]))
    of = look.words.of
    out = StringIO()
    made = csv.writer(out, lineterminator="\r\n")
    heads = ("Time", "Who", "Identifier", "Role", "What", "Page", "Patient", "Reason")
    made.writerow([of(head) for head in heads])
    for row in _rows(look, kept, limit=MOST_EXPORTED):
        line = _line(look, row)
        made.writerow(
            [
                row["at"].astimezone(look.words.zone).isoformat(timespec="seconds"),
                *(_plain(line[name]) for name in ("who", "id", "role", "what", "page", "patient", "why")),
            ]
        )
    file = File(
        content=out.getvalue().encode("utf-8-sig"), media_type="text/csv; charset=utf-8", name="looks.csv"
    )
    return View(template="", title="", values={}, file=file)


def _plain(text: str | None) -> str:
    """For a cell that a spreadsheet must not take for a formula."""
    return f"'{text}" if text and text[0] in "=+-@\t\r" else text or ""


def _kept(look: Look) -> tuple[dict[str, str], list[str]]:
    """The filters in force, and what is wrong with those that cannot be."""
    names = ("person", "patient", "from", "until", "emergency")
    kept = {name: text for name in names if (text := look.query.get(name, "").strip()[:200])}
    notes = []
    if "patient" in kept and not _is_pseudonym(kept["patient"]):
        notes.append(look.words.of(_NO_PSEUDONYM))
        del kept["patient"]
    for name in ("from", "until"):
        if name in kept and _day(kept[name]) is None:
            notes.append(look.words.of("A day is written as 2026-03-01."))
            del kept[name]
    return kept, notes


_NO_PSEUDONYM = (
    "In the address a patient is a pseudonym, which begins with P. Never put an identity number there; "
    "use the search form."
)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _rows(look: Look, kept: dict[str, str], *, limit: int, before: int | None = None) -> list[Row]:
    first, last = _day(kept.get("from", "")), _day(kept.get("until", ""))
    wanted = Looks(
        patients=(kept["patient"],) if "patient" in kept else None,
        who=kept.get("person"),
        emergency="emergency" in kept,
        since=_midnight(look, first) if first is not None else None,
        until=_midnight(look, last + timedelta(days=1)) if last is not None and last < date.max else None,
    )
    return resources.accesses(look.tx, None, wanted, limit=limit, after=before)


def _midnight(look: Look, day: date) -> datetime:
    return datetime.combine(day, time.min, look.words.zone)


def _line(look: Look, row: Row) -> dict[str, Any]:
    roles = [one for one in (row["role"] or "").split(", ") if one]
    return {
        "at": row["at"],
        "who": row["name"] or row["person"] or row["partner"] or look.words.of("a machine, in evaluation"),
        "id": row["person"] or row["partner"] or "",
        "role": look.words.list([look.words.code("role", role) for role in roles]),
        "what": look.words.code("look", row["what"]),
        "page": row["page"] or f"/fhir/{row['type']}",
        "patient": row["patient"],
        "why": row["why"],
    }


def _search(doing: Doing) -> str:
    """The number that was typed becomes a pseudonym, and goes no further; that it was asked for is kept."""
    patient = _pseudonym(doing)
    doing.concerns.add(patient)
    return f"/looks?patient={patient}"


def _pseudonym(doing: Doing) -> str:
    typed = doing.text("number")
    if not 4 < len(typed) <= _LONGEST_NUMBER:
        raise Mistake({"number": doing.words.of("Write the patient's whole identity number.")})
    return patient_of(doing.tx, doing.inbox.pseudonym_key, typed)


# --- emergency access -------------------------------------------------------------------------------------


def emergency(look: Look) -> View:
    """`/emergency`: ask for access to one patient, and what is open now."""
    rows = emergencies.open_of(look.tx, look.person.id, look.now)
    opened = [
        {
            "id": row["id"],
            "until": row["until"],
            "why": row["why"],
            "cases": case_rows.listed(look.tx, patient=row["patient"], limit=PAGE)
            if row["patient"] in look.sight.emergencies
            else [],
        }
        for row in rows
    ]
    return View(
        template="access/emergency.html",
        title=look.words.of("Emergency access"),
        values={"opened": opened, "shortest": SHORTEST_REASON, "lasts": look.emergency_access},
        patients=frozenset(row["patient"] for row in rows),
    )


def _open(doing: Doing) -> str:
    why = " ".join(doing.text("why").split())
    wrong: dict[str, str] = {}
    if not SHORTEST_REASON <= len(why) <= _LONGEST_REASON:
        wrong["why"] = doing.words.of(
            "Say in at least {number} characters why you must see this patient now.", number=SHORTEST_REASON
        )
    elif masked(why) != why:
        wrong["why"] = doing.words.of("Leave out what looks like an identity number.")
    if not 4 < len(doing.text("number")) <= _LONGEST_NUMBER:
        wrong["number"] = doing.words.of("Write the patient's whole identity number.")
    if wrong:
        raise Mistake(wrong)
    patient = _pseudonym(doing)
    emergencies.begin(
        doing.tx,
        person=doing.person.id,
        name=doing.person.name,
        patient=patient,
        why=why,
        now=doing.now,
        until=doing.now + doing.emergency_access,
    )
    opened = Sight(person=doing.person, register=doing.register, emergencies={patient: why})
    looking.write(doing.tx, "emergency", "/emergency", {patient}, opened, doing.now)
    return "/emergency"


def _end(doing: Doing) -> str:
    row = emergencies.get(doing.tx, doing.row())
    if row is None or row["person"] != doing.person.id:
        raise NotFound(phrase("There is no such emergency access."))
    emergencies.end(doing.tx, row["id"], doing.now)
    return "/emergency"


def reviews(look: Look) -> View:
    """`/emergencies`: every emergency access with what its reviewer found; those without a verdict first."""
    before = number(look.query.get("before"))
    rows = emergencies.listed(look.tx, limit=PAGE + 1, before=before)
    shown = [{**row, "open": row["until"] > look.now, "found": _verdict(row)} for row in rows[:PAGE]]
    values = {
        "emergencies_told": shown,
        "older": rows[PAGE - 1]["id"] if len(rows) > PAGE and rows[PAGE - 1]["reviewed_at"] else None,
        "verdicts": VERDICTS,
    }
    return View(template="access/emergencies.html", title=look.words.of("Emergency access"), values=values)


def _verdict(row: Row) -> tuple[str, str] | None:
    if row["verdict"] is None:
        return None
    code, _, text = row["verdict"].partition(": ")
    return code, text


def _review(doing: Doing) -> str:
    row = emergencies.get(doing.tx, doing.row())
    if row is None:
        raise NotFound(phrase("There is no such emergency access."))
    code, text = doing.text("verdict"), " ".join(doing.text("words").split())[:_LONGEST_REASON]
    if row["person"] == doing.person.id:
        raise Mistake({"": doing.words.of("Somebody else must review your own emergency access.")})
    if code not in VERDICTS:
        raise Mistake({"verdict": doing.words.of("Choose whether the access was justified.")})
    if code == "not-justified" and not text:
        raise Mistake({"words": doing.words.of("Say what was wrong with it.")})
    if masked(text) != text:
        raise Mistake({"words": doing.words.of("Leave out what looks like an identity number.")})
    verdict = f"{code}: {text}" if text else code
    if not emergencies.review(doing.tx, row["id"], by=doing.by, now=doing.now, verdict=verdict):
        raise Mistake({"": doing.words.of("It has been reviewed already.")})
    return "/emergencies"


_AUDITORS = frozenset({Role.AUDITOR})

PAGES = (
    Page(path="/looks", view=looks, roles=_AUDITORS),
    Page(path="/looks.csv", view=looks_csv, roles=_AUDITORS),
    Page(path="/emergencies", view=reviews, roles=_AUDITORS),
    Page(path="/emergency", view=emergency, roles=CARE),
)
"""The pages about looking, and their addresses; docs/pages.md describes each."""

NAV = (
    Link(path="/looks", label="Who has looked", roles=_AUDITORS),
    Link(path="/emergencies", label="Emergency access", roles=_AUDITORS),
    Link(path="/emergency", label="Emergency access", roles=CARE),
)

ACTIONS = (
    Action(path="/looks/search", act=_search, roles=_AUDITORS, again=looks),
    Action(path="/emergencies/{id}/review", act=_review, roles=_AUDITORS, again=reviews),
    Action(path="/emergency", act=_open, roles=CARE, again=emergency),
    Action(path="/emergency/{id}/end", act=_end, roles=CARE, again=emergency),
)
"""What is done there."""
