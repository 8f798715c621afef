"""The page of one stay for those who care for the patient, and the list to work from when systems are down.

`/stays/{id}` says who and where the patient is, what the reader's side must do now, what others must, and
what has been told, in plain words with who told it and when. The forms stand in `acting/actions.html`, which
gets `stay` (`Stay`): its case, its entries, deadlines and questions as this reader knows them.
"""

import base64
import binascii
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property, partial
from typing import Any

from sqlalchemy import Connection

from adapter.discharge.notices import NoticeKind
from adapter.discharge.planning import Planning, planning
from adapter.discharge.wording import said as sentence
from adapter.discharge.wording import translated
from adapter.errors import NotFound
from adapter.fhir.bundles import Resource
from adapter.fhir.plan import Plan
from adapter.fhir.plan_graph import (
    human_name,
    items,
    narrative_text,
    own_key,
    postal,
    telephone,
    text_of,
    told,
)
from adapter.fhir.plan_reading import plan_in
from adapter.messaging.people import CARE
from adapter.phrases import phrase
from adapter.readers import Reader, organization
from adapter.shelves import Shelves
from adapter.store import cases as case_rows
from adapter.store import deliveries as delivery_rows
from adapter.store import parties as party_rows
from adapter.store import resources
from adapter.store.resources import Wanted
from adapter.store.statements import Row
from adapter.web.acting import acts
from adapter.web.plan_layout import Section as Table
from adapter.web.plan_layout import sheet
from adapter.web.plan_words import PlanWords
from adapter.web.site import File, Link, Look, Page, View, no_stay, number
from adapter.web.stay_contents import SECTIONS, Contents, Line, Told, attachments, cut, is_plan, said, spoken
from adapter.web.stay_seen import Due, Receipt, Seen, seen
from adapter.web.stay_threads import by_thread, place_of, quoted
from adapter.web.stay_timeline import MOST, answer, timeline
from adapter.web.words import Words

K = NoticeKind

MOST_STAYS = 300
"""Rows of the downtime list."""

_WAIT = 2.0  # seconds until what has come in can be read
_WRITTEN = (
    K.ENQUIRY, K.REPLY, K.NOTE, K.ANSWER, K.DEVIATION, K.MISROUTED, K.HEALTH_INFORMATION, K.OBJECTION,
    K.BEYOND_CONTROL, K.NO_MUNICIPAL_NEED,
)  # fmt: skip
"""What people write to each other in their own words."""

_OF_A_PLAN = ("goals", "actions", "meetings", "people")
_SHOWN_HERE = ("text/plain", "image/png", "image/jpeg", "image/gif")
"""What the browser may show by itself, in a box without scripts; everything else is saved."""

_ENDINGS = {
    "application/pdf": ".pdf", "text/plain": ".txt", "image/png": ".png", "image/jpeg": ".jpg",
    "image/gif": ".gif",
}  # fmt: skip
_KNOWN_TYPES = (*_ENDINGS, "application/msword", "application/rtf", "application/zip")
_MOST_ALIKE = 5  # forms of one kind; all of them have a page of their own
_LONGEST_DOCUMENT = 100_000
_LONGEST_LETTER = 600


# --- who it is about --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Who:
    """The patient as this reader may know them; `hidden`: not even the name, as in lists."""

    name: str = ""
    birth_date: date | datetime | str | None = None
    age: int | None = None
    sex: str | None = None  # FHIR administrative-gender
    address: str = ""
    telephone: str = ""
    languages: tuple[str, ...] = ()
    protected: bool = False
    hidden: bool = False


def who_it_is(patient: Resource | None, *, protected: bool, named: bool, today: date) -> Who:
    """What may be said of the patient."""
    if not named:
        return Who(protected=protected, hidden=True)
    known = patient or {}
    born = told(known.get("birthDate"))
    spoken = (c.get("language") or {} for c in items(known.get("communication")))
    return Who(
        name=said(human_name(known.get("name")), 200),
        birth_date=born,
        age=_age(born, today) if isinstance(born, date) else None,
        sex=text_of(known.get("gender")) or None,
        address="" if protected else said(postal(known.get("address")), 200),
        telephone="" if protected else said(telephone(known), 60),
        languages=tuple(filter(None, (_words_of(language) for language in spoken))),
        protected=protected,
    )


def _words_of(concept: Mapping[str, Any]) -> str:
    shown = (text_of(coding.get("display")) for coding in items(concept.get("coding")))
    text = text_of(concept.get("text")) or next(filter(None, shown), "")
    return said(text.capitalize(), 60)


def _age(born: date, today: date) -> int:
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


# --- a stay -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """What somebody has written to somebody: the beginning, and the rest of a long one."""

    kind: str
    sender: str
    receivers: tuple[str, ...]
    at: datetime
    text: str
    rest: str = ""
    answered: bool | None = None  # of an enquiry
    answers: tuple[str, datetime] | None = None  # who wrote what it answers, and when
    quoted: bool = False  # it came with the answer to it alone


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanShown:
    """A plan with what it asks for; its own page has all of it."""

    id: str
    plan: Plan
    tables: tuple[Table, ...]


@dataclass(frozen=True, kw_only=True)
class Stay:
    """All that one reader is shown of one stay, and what the forms of that page need."""

    look: Look
    known: Seen
    who: Who
    patient: Resource | None
    shelf: tuple[tuple[Resource, Row], ...]
    contents: Contents
    plans: tuple[PlanShown, ...]  # those on the reader's shelf, the one that changed last first

    @property
    def id(self) -> int:
        """The case's id, by which its pages are called."""
        return int(self.known.row["id"])

    @cached_property
    def planning(self) -> Planning:
        """How far the planning has come, as far as the reader knows."""
        return planning(self.known.case, self.look.inbox.cases.roles)

    @cached_property
    def answer(self) -> Any:
        """The municipality's last answer; None where there is none."""
        return next(iter(self.known.answers), None)

    @cached_property
    def letters(self) -> tuple[Letter, ...]:
        """What people have written, the thread with the newest letter first, and in it the newest first."""
        open_ = {e.notice.message_id for e in self.known.unanswered()}
        written = by_thread(self.known.standing(*_WRITTEN))
        by_id = {e.notice.message_id: e.notice for e in written}
        found = []
        for e in written:
            text = self.contents.clean(e.notice.text, _LONGEST_DOCUMENT // 10)
            if text:
                before = by_id.get(e.notice.refers_to or "")
                begun = cut(text, _LONGEST_LETTER) if len(text) > _LONGEST_LETTER * 1.3 else text
                found.append(
                    Letter(
                        kind=e.notice.kind.value,
                        sender=e.notice.sender,
                        receivers=e.notice.receivers,
                        at=e.notice.sent_at,
                        text=begun,
                        rest=text if begun != text else "",
                        answered=e.notice.message_id not in open_ if e.notice.kind is K.ENQUIRY else None,
                        answers=(before.sender, before.sent_at) if before is not None else None,
                    )
                )
        return tuple(self._with_quoted(found))

    def _with_quoted(self, letters: list[Letter]) -> list[Letter]:
        """Each with what came only with the answer to it, below the letter with which it came."""
        talks = [t.content for t in self.contents.tellings if t.content["resourceType"] == "Communication"]
        made = list(letters)
        for one in quoted(talks, [letter.rest or letter.text for letter in letters]):
            text = self.contents.clean(one.text, _LONGEST_DOCUMENT // 10)
            begun = cut(text, _LONGEST_LETTER) if len(text) > _LONGEST_LETTER * 1.3 else text
            rest = text if begun != text else ""
            letter = Letter(
                kind=K.NOTE.value,
                sender=one.sender,
                receivers=(),
                at=one.at,
                text=begun,
                rest=rest,
                quoted=True,
            )
            place = place_of(one, [known.rest or known.text for known in made])
            made.insert(len(made) if place is None else place, letter)
        return made

    @cached_property
    def ward(self) -> str:
        """The ward or unit, where a message names it."""
        return "" if self.who.protected else _place(self, "location")

    @cached_property
    def going_to(self) -> str:
        """Where the patient goes, where a message says it; never of a protected identity."""
        return "" if self.who.protected else _place(self, "destination")


def stay_of(look: Look) -> tuple[Stay, int]:
    """The stay in the path as this reader knows it, and the id that was asked for.

    Raises NotFound, in the same words, for one that is not there and one that is not for the reader's eyes.
    """
    wanted = number(look.path["id"])
    look.inbox.shelves.catch_up(_WAIT)
    row = case_rows.get(look.tx, wanted) if wanted is not None else None
    if row is None or wanted is None or not look.sight.sees_case(look.tx, row):
        raise no_stay()
    look = replace(look, sight=look.sight.over(row["patient"]))
    known = seen(look.tx, row, look.sight, look.inbox.cases, look.now)
    if known is None:
        raise no_stay()
    protected = look.sight.protected(look.tx, row["patient"])
    eyes = look.sight.eyes
    reader = Reader(shelves=look.inbox.shelves, eyes=eyes, partner=None)
    patient = reader.read(look.tx, "Patient", row["patient"])
    shelf = tuple(reader.told_in_case(look.tx, row["id"]))
    today = look.now.astimezone(look.words.zone).date()
    contents = Contents(
        tellings=tuple(_tellings(look.tx, look.inbox.shelves, known, shelf)),
        patient=patient,
        parties=[organization(party) for party in look.register.parties],
        protected=protected,
        words=plan_words_of(look.words),
        of=look.words.of,
        code=look.words.code,
        place=f"/stays/{row['id']}",
    )
    who = who_it_is(patient, protected=protected, named=True, today=today)
    return (
        Stay(
            look=look,
            known=known,
            who=who,
            patient=patient,
            shelf=shelf,
            contents=contents,
            plans=tuple(_plans(look, shelf, contents)),
        ),
        wanted,
    )


def plan_words_of(words: Words) -> PlanWords:
    """The words of what FHIR says, in the reader's language."""
    return PlanWords(language=words.language, zone=words.zone)


def _tellings(
    tx: Connection, shelves: Shelves, known: Seen, shelf: tuple[tuple[Resource, Row], ...]
) -> list[Told]:
    """What stands: of a message that was corrected or cancelled, only what the one that stands has too."""
    found = []
    names: dict[int, frozenset[str]] = {}
    by_message = {message: e for e in known.entries if (message := known.message_of(e)) is not None}
    by_id = {e.notice.message_id: e for e in known.entries}
    for content, version in shelf:
        message = version["message_row"]
        e = by_message.get(message)
        while e is not None and not e.counts:
            later = by_id.get(e.replaced_by or "")
            row = known.message_of(later) if later is not None else None
            if row is not None and row not in names:
                names[row] = frozenset(shelves.names_in(tx, row))
            e = later if row is not None and own_key(content) in names[row] else None
            if e is None:
                break
        else:
            notice = e.notice if e is not None else None
            found.append(
                Told(
                    content=content,
                    by=version["by"],
                    at=notice.sent_at if notice is not None else version["at"],
                    message=message,
                    kind=notice.kind if notice is not None else None,
                )
            )
    return found


def _plans(look: Look, shelf: tuple[tuple[Resource, Row], ...], contents: Contents) -> list[PlanShown]:
    """Each plan with those of its parts that lie on the reader's shelf, in their newest versions."""
    mine = {own_key(content): content for content, _ in shelf}
    plans = [(c, v) for c, v in shelf if is_plan(c) and c.get("status") != "entered-in-error"]
    shelves, words = look.inbox.shelves, contents.words
    made = []
    for content, version in sorted(plans, key=lambda found: found[1]["at"], reverse=True):
        names = shelves.names_in(look.tx, version["message_row"])
        around = [mine[name] for name in names if name in mine and name != own_key(content)]
        if contents.patient is not None:
            around.append(contents.patient)
        plan = plan_in([*around, *contents.parties], content, protected=contents.protected)
        told_of = sheet(plan, words, look.now).sections
        tables = tuple(_each_once(one) for one in told_of if one.id in _OF_A_PLAN and one.lines)
        made.append(PlanShown(id=content["id"], plan=plan, tables=tables))
    return made


def _each_once(table: Table) -> Table:
    """A table without what it says again of the same thing and the same people."""
    lines = {line.cells[:2]: line for line in reversed(table.lines) if line.cells[0]}
    return replace(table, lines=tuple(reversed(lines.values())))


def _place(stay: Stay, which: str) -> str:
    encounters = [t.content for t in stay.contents.tellings if t.content["resourceType"] == "Encounter"]
    graph = stay.contents.graph
    for it in reversed(encounters):
        stayed = it.get("hospitalization") or {}
        refs = (
            [one.get("location") for one in items(it.get("location"))]
            if which == "location"
            else [stayed.get("destination")]
        )
        named = [graph.name(ref, it) for ref in refs if isinstance(ref, dict)]
        if which == "destination":
            named.append(graph.concept(stayed.get("dischargeDisposition")))
        if any(named):
            return said(", ".join(name for name in named if name), 200)
    return ""


def stay(look: Look) -> View:
    """`/stays/{id}`: one stay, as its reader knows it; `?show=` leaves nothing of one part out."""
    found, wanted = stay_of(look)
    whole = look.query.get("show")
    most = None if whole == "timeline" else MOST
    values = {
        "stay": found,
        "acts": _acts(look, found),
        "mine": [due_line(due, look.words) for due in found.known.running(mine=True)],
        "theirs": [due_line(due, look.words) for due in found.known.running(mine=False)],
        "settled": [due_line(due, look.words) for due in found.known.settled()],
        "answer_line": answer(found.answer.notice, look.words) if found.answer is not None else None,
        "receipts": found.known.receipts()[: None if whole == "receipts" else 12],
        "receipts_number": len(found.known.receipts()),
        "sections": found.contents.sections(whole),
        "events": timeline(
            found.known,
            look.words,
            most,
            {placed.name: placed.title for placed in look.inbox.cases.agreement.placements},
        ),
        "events_number": len(found.known.entries),
        "whole": whole if whole in (*SECTIONS, "timeline", "receipts", "letters") else None,
        "letters": found.letters[: None if whole == "letters" else 12],
        "telephones": telephones(found.known, look),
        "receipt_of": partial(receipt_of, _waiting(look, found.known), found.known),
        "parties": lambda ids: look.words.list([look.words.party(one) for one in ids]),
        "heading": partial(heading, look.words),
    }
    elsewhere = f"/stays/{found.id}" if found.id != wanted else None
    title = look.words.of("Stay {number}", number=found.id)
    return View(
        template="stay/stay.html",
        title=title,
        values=values,
        elsewhere=elsewhere,
        patients=frozenset({found.known.row["patient"]}),
    )


def _acts(look: Look, found: Stay) -> tuple[Any, ...]:
    """What the person may do; the words of others in it are shown as everywhere on the page."""
    clean = found.contents.clean
    made = []
    for one in acts(look, found.known.row):
        often: Counter[str] = Counter()
        forms = []
        for form in one.forms:
            often[form.name] += 1
            if often[form.name] <= _MOST_ALIKE:
                forms.append(replace(form, lead=clean(form.lead)))
        made.append(replace(one, forms=tuple(forms)))
    return tuple(made)


@dataclass(frozen=True, kw_only=True, slots=True)
class DueLine:
    """A deadline in words."""

    kind: str
    who: str | None
    whom: str | None  # the receiver that it concerns, where that is another
    actor: str
    due_at: datetime
    state: str
    overdue: bool
    basis: str
    counted: str
    remarks: tuple[str, ...]
    settled_at: datetime | None
    noted: datetime | None


def due_line(due: Due, words: Words) -> DueLine:
    """How a deadline is told: what, by whom, for whom, how it is counted and by which paragraph."""
    d, language = due.deadline, words.language if words.language != "nn" else "nb"
    return DueLine(
        kind=d.kind,
        who=due.who,
        whom=d.party if d.party != due.who else None,
        actor=d.actor,
        due_at=d.due_at,
        state=d.state.value,
        overdue=words.overdue(d.due_at),
        basis=translated(d.basis, language),
        counted=sentence(d.counted, language),
        remarks=tuple(sentence(remark, language) for remark in d.remarks),
        settled_at=d.settled_at,
        noted=due.noted,
    )


def heading(words: Words, family: str, code: str) -> str:
    """A word of the field begun with a capital."""
    text = words.code(family, code)
    return text[:1].upper() + text[1:]


def receipt_of(waiting: Mapping[tuple[int, str], str], known: Seen, receipt: Receipt) -> tuple[str, str, str]:
    """How far a notice has come: family and code of the word, and how much it wants to be looked at."""
    if receipt.entry.void:
        return "receipt-step", "cancelled", "plain"
    if receipt.step is not None:
        return "receipt-step", receipt.step.value, _LEVELS.get(receipt.step.value, "busy")
    message = known.message_of(receipt.entry)
    state = waiting.get((message, receipt.party)) if message is not None else None
    if state in ("waiting", "given-up", "cancelled"):
        return "delivery", state, {"given-up": "bad", "cancelled": "plain"}.get(state, "busy")
    return "receipt-step", "sent", "busy"


def _waiting(look: Look, known: Seen) -> dict[tuple[int, str], str]:
    """How the newest delivery of each notice to each party stands, by the row of its message."""
    rows = delivery_rows.listed(look.tx, case_ids=[known.row["id"]])
    return {
        (r["message_row"], r["party"]): r["state"] for r in reversed(rows) if r["message_row"] is not None
    }


_LEVELS = {"accepted": "good", "seen": "good", "refused": "bad", "not-received": "bad"}


def telephones(known: Seen, look: Look) -> list[tuple[str, str]]:
    """Whom to call: the parties of the stay that have a telephone, but for the reader's own."""
    parties = {
        party
        for e in known.entries
        for party in (e.notice.sender, *e.notice.receivers)
        if not (look.sight.parties is not None and party in look.sight.parties)
    }
    found = (look.register.party(party) for party in sorted(parties))
    return [(one.name, one.telephone) for one in found if one is not None and one.telephone]


# --- documents --------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One section of a document: its heading, what is written, and its entries."""

    level: int  # 2 or 3
    heading: str
    text: str
    lines: tuple[Line, ...]


def document(look: Look) -> View:
    """`/stays/{id}/documents/{document}`: a report as it was written, in text."""
    found, _ = stay_of(look)
    wanted = look.path["document"]
    one = next(
        (
            t
            for t in found.contents.tellings
            if t.content["resourceType"] == "Composition" and t.content["id"] == wanted
        ),
        None,
    )
    if one is None:
        raise NotFound(phrase("There is no such document. The stay shows those that there are."))
    it, contents = one.content, found.contents
    title = contents.clean(it.get("title")) or said(contents.graph.concept(it.get("type")))
    values = {
        "stay": found,
        "told": one,
        "heading": title or look.words.of("Document"),
        "text": contents.clean(narrative_text(it), _LONGEST_DOCUMENT),
        "parts_of": tuple(_parts(contents, it, it, 2)),
        "authors": [said(contents.graph.name(ref, it)) for ref in items(it.get("author"))],
        "when": contents.words.when(told(it.get("date"))),
    }
    return View(
        template="stay/document.html",
        title=look.words.of("Document of stay {number}", number=found.id),
        values=values,
        patients=frozenset({found.known.row["patient"]}),
    )


def _parts(contents: Contents, document: Resource, holder: Resource, level: int) -> list[Part]:
    made: list[Part] = []
    for section in items(holder.get("section")):
        name = contents.clean(section.get("title")) or said(contents.graph.concept(section.get("code")))
        lines = tuple(dict.fromkeys(_lines(contents, document, section)))
        text = contents.clean(narrative_text(section), _LONGEST_DOCUMENT)
        inner = _parts(contents, document, section, 3) if level < 8 else []
        if text or lines or inner:
            made.append(Part(level=min(level, 3), heading=spoken(name), text=text, lines=lines))
            made += inner
    return made


def _lines(contents: Contents, document: Resource, section: Resource) -> list[Line]:
    """How each entry of a section is told; what the reader may not see is not among them."""
    graph = contents.graph
    found = (graph.follow(ref, document) for ref in items(section.get("entry")))
    return [line for one in found if one is not None for line in contents.lines_of(one)]


def attachment(look: Look) -> View:
    """`/stays/{id}/attachments/{kind}/{name}/{place}`: one attachment, to be saved or shown in a box."""
    found, _ = stay_of(look)
    key, place = f"{look.path['kind']}/{look.path['name']}", number(look.path["place"])
    listed = next((attachments(t.content) for t in found.contents.tellings if own_key(t.content) == key), [])
    content = _bytes(listed[place]) if place is not None and place < len(listed) else None
    if content is None or place is None:
        raise NotFound(phrase("There is no such document. The stay shows those that there are."))
    kind = text_of(listed[place].get("contentType")).partition(";")[0].strip().lower()
    title = found.contents.clean(listed[place].get("title"), 80) or look.words.of("Attachment")
    ending = _ENDINGS.get(kind, "")
    shown = kind if kind in _KNOWN_TYPES else "application/octet-stream"
    return View(
        template="",
        title="",
        values={},
        patients=frozenset({found.known.row["patient"]}),
        file=File(
            content=content,
            media_type=f"{shown}; charset=utf-8" if shown == "text/plain" else shown,
            name=title if not ending or title.lower().endswith(ending) else f"{title}{ending}",
            shown=kind in _SHOWN_HERE,
        ),
    )


def _bytes(attached: Resource) -> bytes | None:
    try:
        return base64.b64decode("".join(text_of(attached.get("data")).split()), validate=True) or None
    except (binascii.Error, ValueError):
        return None


# --- when systems are down --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """One stay of the downtime list."""

    id: int
    who: Who
    known: Seen
    answer: str
    due: tuple[DueLine, ...]
    telephones: tuple[tuple[str, str], ...]


def downtime(look: Look) -> View:
    """`/downtime`: the reader's current stays, to be printed before it is needed."""
    look.inbox.shelves.catch_up(_WAIT)
    sight, most = look.sight, MOST_STAYS + 1
    rows = party_rows.current(look.tx, sight.parties, most, protected=not sight.faceless)
    patients = _patients(look, [row["patient"] for row in rows])
    listed = []
    for row in rows[:MOST_STAYS]:
        known = seen(look.tx, row, look.sight, look.inbox.cases, look.now)
        if known is not None and known.current:
            listed.append(_downtime_row(look, row, known, patients.get(row["patient"])))
    values = {
        "rows": sorted(listed, key=lambda one: (one.known.case.planned_discharge or date.max, one.id)),
        "more": len(rows) > MOST_STAYS,
        "most": MOST_STAYS,
        "parties": _own_names(look),
        "heading": partial(heading, look.words),
    }
    return View(
        template="stay/downtime.html",
        title=look.words.of("Downtime list"),
        values=values,
        patients=frozenset(one.known.row["patient"] for one in listed),
    )


def _own_names(look: Look) -> str:
    """Whose list it is; nothing where it is everybody's."""
    if look.person.parties is None:
        return ""
    return look.words.list(map(look.words.party, look.person.parties))


def _downtime_row(look: Look, row: Row, known: Seen, patient: Resource | None) -> Listed:
    protected = look.sight.protected(look.tx, row["patient"])
    today = look.now.astimezone(look.words.zone).date()
    last = next(iter(known.answers), None)
    due = [*known.running(mine=True), *known.running(mine=False)]
    return Listed(
        id=row["id"],
        who=who_it_is(patient, protected=protected, named=not protected, today=today),
        known=known,
        answer=answer(last.notice, look.words) if last is not None else "",
        due=tuple(due_line(d, look.words) for d in due[:5]),
        telephones=tuple(telephones(known, look)),
    )


def _patients(look: Look, pseudonyms: list[str]) -> dict[str, Resource]:
    """The Patients on the reader's shelf, by pseudonym."""
    if not pseudonyms:
        return {}
    wanted = Wanted(kind="Patient", ids=tuple(pseudonyms), limit=len(pseudonyms), by_id=True)
    rows = resources.search(look.tx, look.sight.eyes, wanted)
    named = [(resources.version_in(row), f"Patient/{row['fhir_id']}") for row in rows]
    found = look.inbox.shelves.contents(look.tx, named, look.sight.eyes)
    return {one["id"]: one for one in found if one is not None}


PAGES = (
    Page(path="/stays/{id}", view=stay, roles=CARE),
    Page(path="/stays/{id}/documents/{document}", view=document, roles=CARE),
    Page(path="/stays/{id}/attachments/{kind}/{name}/{place}", view=attachment, roles=CARE),
    Page(path="/downtime", view=downtime, roles=CARE),
)
"""Every page of a stay and its address; docs/pages.md describes each."""

NAV = (Link(path="/downtime", label="Downtime list", roles=CARE),)
ACTIONS = ()
