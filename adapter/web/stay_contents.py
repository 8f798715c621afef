"""What messages have told of a patient's needs, in plain words, each with who told it and when.

Everything comes from the reader's own shelves. Mark-up of messages becomes text; what a later message has
corrected or cancelled is not among it. What has no section of its own stands under `other`: nothing is
dropped in silence.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from adapter.discharge.notices import NoticeKind
from adapter.fhir.bundles import EVENT_SYSTEM, Resource
from adapter.fhir.plan import Finding, Medicine, Span
from adapter.fhir.plan_graph import (
    Graph,
    amount,
    codes,
    first_code,
    items,
    kind_of,
    narrative_text,
    occurrence,
    own_key,
    taken_back,
    telephone,
    text_of,
    told,
)
from adapter.fhir.plan_health import findings, medicines
from adapter.fhir.sections import sections_of
from adapter.fhir.telling import told as in_one_line
from adapter.web.plan_words import PlanWords

SECTIONS = (
    "careful", "needs", "health", "medicines", "function", "findings", "aids", "services", "appointments",
    "contacts", "documents", "other",
)  # fmt: skip
"""In the order in which they are read."""

MOST_LINES = 40
"""Lines of one telling; the section by itself shows all of them."""

MOST_TELLINGS = 4
LONGEST = 3000
"""Characters of one text; the document by itself shows all of it."""

FUNCTION = "urn:oid:2.16.578.1.12.4.1.1.9111"
"""IPLOS: what a person manages, each on a scale from 1 to 5."""

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_MARGIN = 400
_UNSAID_SIGNS = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f\ufeff]")
_CAMEL = re.compile(r"(?<=[a-zæøå])(?=[A-ZÆØÅ])")
_SUPPORT = frozenset((
    "Patient", "Encounter", "Practitioner", "Location", "Provenance", "MessageHeader", "Medication", "Device",
    "EpisodeOfCare", "Binary", "Task", "HealthcareService", "OperationOutcome", "Specimen",
))  # fmt: skip
"""What stands behind other things, or in another part of the page."""

_MEDICINES = ("MedicationStatement", "MedicationRequest")
_TALK = ("Communication", "CommunicationRequest")


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """One resource from the reader's shelves: who told it, when, and in which message."""

    content: Resource
    by: str
    at: datetime
    message: int
    kind: NoticeKind | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One thing: what it is, and what is told of it; `href` leads to all of it."""

    what: str
    text: str = ""
    hint: str = ""
    call: str = ""  # a telephone number
    href: str | None = None
    saved: bool = False  # whether that is a file to be saved


@dataclass(frozen=True, kw_only=True, slots=True)
class Telling:
    """What one party has told at one time."""

    by: str
    at: datetime
    lines: tuple[Line, ...]
    more: int = 0  # lines that are left out here


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """All that is told under one heading, the newest first."""

    id: str
    tellings: tuple[Telling, ...]
    number: int
    more: int = 0  # lines of older tellings, and others that are left out here


def said(text: Any, most: int = LONGEST) -> str:
    """A text of somebody else's without what steers the page or the reader's eye instead of being read."""
    whole = cut(str(text), most)
    shown = (c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs") else "" for c in whole)
    return _UNSAID_SIGNS.sub("", "".join(shown)).strip()


def cut(text: str, most: int = LONGEST) -> str:
    """A text that is no longer than that, with a sign where it goes on."""
    return text if len(text) <= most else f"{text[:most].rstrip()} […]"


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What lies on the reader's shelves of one stay; `place` is the address of its page."""

    tellings: Sequence[Told]
    patient: Resource | None
    parties: Sequence[Resource]
    protected: bool
    words: PlanWords
    of: Callable[..., str]  # our own sentences
    code: Callable[[str, str | None], str]  # and words of codes
    place: str
    used: set[int] = field(default_factory=set)

    # --- the graph ---

    @cached_property
    def graph(self) -> Graph:
        """Everything together, so that names are found; it says no identity number, ever."""
        known = [t.content for t in self.tellings if t.content.get("resourceType") != "Patient"]
        patient = [self.patient] if self.patient is not None else []
        entries = tuple(("", one) for one in (*patient, *known, *self.parties))
        return Graph(entries=entries, patient=self.patient, shielded=self.protected)

    @cached_property
    def _medicines(self) -> Mapping[str, Medicine]:
        return {one.key: one for one in medicines(self.graph)}

    @cached_property
    def _findings(self) -> Mapping[str, tuple[Finding, ...]]:
        found: dict[str, tuple[Finding, ...]] = {}
        for one in findings(self.graph):
            key = one.key.partition("#")[0]
            found[key] = (*found.get(key, ()), one)
        return found

    def clean(self, text: Any, most: int = LONGEST) -> str:
        """A text without identity numbers and what must stay unsaid; a long one is cut."""
        if not isinstance(text, str):
            return ""
        return said(self.graph.clean(text[: most + _MARGIN]), most)  # so that no number is cut in two

    # --- sections ---

    def sections(self, whole: str | None = None) -> tuple[Section, ...]:
        """Every section that says something; `whole` is the one of which nothing is left out."""
        placed: dict[str, dict[tuple[str, datetime], list[Line]]] = {}
        for one in sorted(self.tellings, key=lambda t: (t.at, t.message), reverse=True):
            if taken_back(one.content):
                continue
            for section, line in self._lines(one):
                if line.what or line.text:
                    told_then = placed.setdefault(section, {}).setdefault((one.by, one.at), [])
                    if line not in told_then:
                        told_then.append(line)
        for line in self._of_patient():
            placed.setdefault("contacts", {}).setdefault(("", _LONG_AGO), []).append(line)
        return tuple(_section(name, placed[name], name == whole) for name in SECTIONS if name in placed)

    def lines_of(self, resource: Resource) -> tuple[Line, ...]:
        """How one resource is told, wherever it stands."""
        known = next((one for one in self.tellings if one.content is resource), None)
        found = self._lines(known) if known is not None else ()
        return tuple(line for _, line in found if line.what or line.text)

    def _lines(self, one: Told) -> Iterator[tuple[str, Line]]:
        resource, kind = one.content, one.content["resourceType"]
        if kind in _SUPPORT or (self.protected and kind == "RelatedPerson"):
            return
        made = _BY_TYPE.get(kind)
        if made is not None:
            yield from made(self, one)
        elif kind not in _TALK:
            yield "other", Line(what=self.words.kind(kind), text=self.one_line(resource))
        yield from self._attached(one)

    def one_line(self, resource: Resource) -> str:
        """All that a resource says, in one line."""
        language = self.words.language if self.words.language in ("en", "nb", "nn", "sv") else "nb"
        lookup = self.graph.follow
        return self.clean(in_one_line(resource, lambda ref: lookup(ref, resource), language))

    def _notes(self, resource: Resource) -> str:
        return _joined(said(note.text) for note in self.graph.notes(resource))

    # --- what to be careful with, health, needs ---

    def _caution(self, one: Told) -> Iterator[tuple[str, Line]]:
        it = one.content
        felt = (self.graph.concept(r.get("manifestation")) for r in items(it.get("reaction")))
        text = _joined((*felt, self._notes(it)))
        yield "careful", Line(what=said(self.graph.gist(it)), text=said(text))

    def _condition(self, one: Told) -> Iterator[tuple[str, Line]]:
        it = one.content
        status = first_code(it.get("clinicalStatus"))
        since = self.words.when(told(it.get("onsetDateTime")))
        stands = self.words.code("problem", status) if status and status != "active" else ""
        hint = _joined((stands, self.of("since {day}", day=since) if since else ""))
        what = said(self.graph.gist(it))
        text = _joined((self._coded(it, what), self._notes(it)))
        yield "health", Line(what=what, text=text, hint=hint)

    def _coded(self, it: Resource, what: str) -> str:
        """What the codes say, where the author's own words say something else."""
        own = said(self.graph.concept({"coding": (it.get("code") or {}).get("coding")}))
        return own if own != what else ""

    def _goal(self, one: Told) -> Iterator[tuple[str, Line]]:
        it = one.content
        if self._in_plan(it):
            return
        due = next((told(t.get("dueDate")) for t in items(it.get("target")) if t.get("dueDate")), None)
        hint = self.of("Goal, by {day}", day=self.words.when(due)) if due else self.of("Goal")
        what = said(self.graph.concept(it.get("description")))
        yield "needs", Line(what=what, text=self._notes(it), hint=hint)

    # --- medicines ---

    def _medicine(self, one: Told) -> Iterator[tuple[str, Line]]:
        it = one.content
        found = self._medicines.get(own_key(it))
        if found is None:
            return
        what = _joined((" ".join((said(found.what), self._strength(it))).strip(), self._form(it)))
        taken = self.words.span(Span(repeat=found.span.repeat, text=found.span.text))
        more = (
            self.graph.concept(d.get("additionalInstruction"))
            for key in ("dosage", "dosageInstruction")
            for d in items(it.get(key))
        )
        text = _joined((said(found.dose), taken, said(found.reason), self._notes(it), *more))
        status = found.status or "unknown"
        stands = self.words.code("medicine", status) if status not in ("active", "unknown") else ""
        period = self.words.span(Span(start=found.span.start, end=found.span.end))
        how = said(self.graph.concept(it.get("category")))
        yield "medicines", Line(what=what, text=text, hint=_joined((stands, how, period)))

    def _given(self, one: Told) -> Iterator[tuple[str, Line]]:
        it = one.content
        ref = it.get("medicationReference")
        name = self.graph.concept(it.get("medicationCodeableConcept")) or self.graph.name(ref, it)
        what = _joined((f"{said(name)} {self._strength(it)}".strip(), self._form(it)))
        dosage = it.get("dosage") or {}
        at = self.words.span(occurrence(self.graph, it, "effective"))
        text = _joined((self.clean(dosage.get("text")), self._notes(it)))
        yield "medicines", Line(what=what, text=text, hint=self.of("Given {when}", when=at) if at else "")

    def _prescribed(self, it: Resource) -> Resource:
        return self.graph.follow(it.get("medicationReference"), it) or {}

    def _strength(self, it: Resource) -> str:
        parts = items(self._prescribed(it).get("ingredient"))
        known = [part["strength"] for part in parts if isinstance(part.get("strength"), dict)]
        return " + ".join(self.words.amount(amount(strength)).removesuffix("/") for strength in known)

    def _form(self, it: Resource) -> str:
        return said(self.graph.concept(self._prescribed(it).get("form")).lower())

    # --- how the person manages ---

    def _observed(self, one: Told) -> Iterator[tuple[str, Line]]:
        it = one.content
        placed = sections_of(it, profile="both")
        section = "function" if {"functional-status", "behavioral-health"} & {*placed} else "findings"
        scale = any(system == FUNCTION for system, _ in codes(it.get("code")))
        note = self._notes(it)
        parts = [] if it["resourceType"] == "QuestionnaireResponse" else items(it.get("component"))
        if parts:
            yield (
                section,
                Line(
                    what=said(self.graph.gist(it)),
                    text=_joined((*(self._part(part) for part in parts), note)),
                    hint=self._when(it),
                ),
            )
            return
        for found in self._findings.get(own_key(it), ()):
            value = self._on_scale(it) if scale else said(self.words.answers(found.said))
            text = _joined((value, said(found.comment), note))
            hint = self.words.when(found.at) or self._when(it)
            yield section, Line(what=said(found.what), text=text, hint=hint)

    def _when(self, it: Resource) -> str:
        return self.words.span(occurrence(self.graph, it, "effective"))

    def _part(self, part: Resource) -> str:
        named = self.graph.concept(part.get("code")) or spoken(first_code(part.get("code")))
        value = self.words.answers(self.graph.value(part)) or first_code(part.get("valueCodeableConcept"))
        return said(f"{named}: {value}" if value else named)

    def _on_scale(self, it: Resource) -> str:
        number = it.get("valueInteger")
        return self.code("manages", str(number)) if isinstance(number, int) else ""

    def _aid(self, one: Told) -> Iterator[tuple[str, Line]]:
        it = one.content
        what = self.one_line(it) if it["resourceType"] != "DeviceUseStatement" else self._device(it)
        hint = said(self.graph.concept(it.get("reasonCode")))
        yield "aids", Line(what=what, text=self._notes(it), hint=hint)

    def _device(self, it: Resource) -> str:
        found = self.graph.follow(it.get("device"), it) or {}
        names = [text_of(one.get("name")) for one in items(found.get("deviceName"))]
        said_so = self.clean(next((n for n in names if n), "")) or self.graph.concept(found.get("type"))
        return said(said_so) or self.one_line(it)

    # --- services and appointments ---

    def _service(self, one: Told) -> Iterator[tuple[str, Line]]:
        it = one.content
        if self._in_plan(it):
            return
        wanted = it.get("intent") in ("proposal", "plan")
        what = said(self.graph.gist(it))
        status = text_of(it.get("status"))
        stands = self.words.code("action", status) if status not in ("active", "") else ""
        hint = _joined((stands, self.words.span(occurrence(self.graph, it))))
        text = _joined((self._coded(it, what), self._notes(it)))
        yield "needs" if wanted else "services", Line(what=what or self.of("Follow-up"), text=text, hint=hint)

    def _care_plan(self, one: Told) -> Iterator[tuple[str, Line]]:
        """The services that were granted; plans of their own have a part of the page."""
        it = one.content
        if not is_services(it):
            return
        if text := self.clean(narrative_text(it)):
            yield "services", Line(what="", text=text)
        for activity in items(it.get("activity")):
            detail = activity.get("detail") or self.graph.follow(activity.get("reference"), it) or {}
            what = self.clean(detail.get("description")) or self.graph.concept(detail.get("code"))
            hint = self.words.span(occurrence(self.graph, detail, "scheduled"))
            yield "services", Line(what=said(what), text=self._notes(activity), hint=hint)

    def _appointment(self, one: Told) -> Iterator[tuple[str, Line]]:
        it = one.content
        if self._in_plan(it):
            return
        when = self.words.hours(told(it.get("start")), told(it.get("end")))
        status = text_of(it.get("status"))
        stands = self.words.code("meeting", status) if status and status != "booked" else ""
        more = (when, self.clean(it.get("comment")), self.clean(it.get("patientInstruction")))
        actors = (p.get("actor") for p in items(it.get("participant")))
        where = (self.graph.name(a, it) for a in actors if kind_of(a) not in ("Patient", ""))
        text = _joined((*more, *(said(name) for name in where)))
        what = said(self.graph.gist(it)) or self.of("Meeting")
        yield "appointments", Line(what=what, text=text, hint=stands)

    # --- whom to call ---

    def _kin(self, one: Told) -> Iterator[tuple[str, Line]]:
        it = one.content
        role = self.graph.concept(it.get("relationship")) or self.words.code("part", "next-of-kin")
        call = self.clean(telephone(it))
        yield "contacts", Line(what=said(self.graph.called(it)), text=said(role), call=call)

    def _role(self, one: Told) -> Iterator[tuple[str, Line]]:
        it = one.content
        person = self.graph.follow(it.get("practitioner"), it) or {}
        name = said(self.graph.called(person)) if person else ""
        skills = (self.graph.concept(q.get("code")) for q in items(person.get("qualification")))
        where = self.graph.name(it.get("organization"), it)
        call = self.clean(telephone(it) or telephone(person))
        roles = said(self.graph.concept(it.get("code")))
        text = _joined((roles, *map(said, skills), said(where)))
        if name or call:
            yield "contacts", Line(what=name or text, text=text if name else "", call=call)

    def _organization(self, one: Told) -> Iterator[tuple[str, Line]]:
        call = self.clean(telephone(one.content))
        if call:
            yield "contacts", Line(what=said(self.graph.called(one.content)), call=call)

    def _team(self, one: Told) -> Iterator[tuple[str, Line]]:
        for member in items(one.content.get("participant")):
            ref = member.get("member") or member.get("onBehalfOf")
            found = self.graph.follow(ref, one.content)
            if self.graph.hidden(ref, found) or kind_of(ref) == "Patient":
                continue
            code = first_code(member.get("role"))
            role = self.graph.concept(member.get("role")) or self.words.code("part", code or "member")
            name = said(self.graph.name(ref, one.content))
            yield "contacts", Line(what=name or said(role), text=said(role) if name else "",
                                   call=self.clean(telephone(found or {})))  # fmt: skip

    def _of_patient(self) -> Iterator[Line]:
        """The next of kin and the GP whom only the Patient names."""
        patient = self.patient or {}
        for contact in items(patient.get("contact")) if not self.protected else ():
            name = self.graph.called({"name": contact.get("name")})
            role = self.graph.concept(contact.get("relationship")) or self.words.code("part", "next-of-kin")
            yield Line(what=said(name), text=said(role), call=self.clean(telephone(contact)))
        for ref in items(patient.get("generalPractitioner")):
            name = self.graph.name(ref, patient)
            if name:
                found = self.graph.follow(ref, patient) or {}
                yield Line(what=said(name), text=self.of("GP"), call=self.clean(telephone(found)))

    # --- documents ---

    def _composition(self, one: Told) -> Iterator[tuple[str, Line]]:
        it = one.content
        text = self.clean(narrative_text(it))
        if one.kind is NoticeKind.CARE_NEEDS and text:
            yield "needs", Line(what="", text=text)
        title = self.clean(it.get("title")) or self.graph.concept(it.get("type"))
        when = self.words.when(told(it.get("date")))
        href = f"{self.place}/documents/{it['id']}"
        shown = "" if one.kind is NoticeKind.CARE_NEEDS else cut(text, 600)
        yield "documents", Line(what=said(title), text=shown, hint=when, href=href)

    def _document(self, _: Told) -> Iterator[tuple[str, Line]]:
        return iter(())  # what is attached to it is told of every resource

    def _attached(self, one: Told) -> Iterator[tuple[str, Line]]:
        """What is attached, to be opened."""
        for number, attachment in enumerate(attachments(one.content)):
            title = self.clean(attachment.get("title")) or said(self.graph.gist(one.content))
            kind = said(text_of(attachment.get("contentType")))
            when = self.words.when(told(attachment.get("creation")) or told(one.content.get("date")))
            here = isinstance(attachment.get("data"), str)
            where = f"{self.place}/attachments/{own_key(one.content)}/{number}"
            text = "" if here else self.of("was not sent along")
            hint = _joined((kind, when))
            yield (
                "documents",
                Line(
                    what=title or self.of("Attachment"),
                    text=text,
                    hint=hint,
                    href=where if here else None,
                    saved=True,
                ),
            )

    # --- what belongs to a plan ---

    @cached_property
    def _planned(self) -> frozenset[str]:
        """What a plan leads to, as `Type/id`."""
        plans = [t.content for t in self.tellings if is_plan(t.content)]
        refs = (
            ref
            for plan in plans
            for ref in (
                *items(plan.get("goal")),
                *(activity.get("reference") for activity in items(plan.get("activity"))),
            )
        )
        found = (self.graph.follow(ref) for ref in refs)
        return frozenset(own_key(one) for one in found if one is not None)

    def _in_plan(self, it: Resource) -> bool:
        return own_key(it) in self._planned


def is_services(plan: Resource) -> bool:
    """Whether a CarePlan says which services a municipality has granted."""
    return (EVENT_SYSTEM, NoticeKind.SERVICES_GRANTED.value) in codes(plan.get("category"))


def is_plan(resource: Resource) -> bool:
    """Whether it is a plan that has pages of its own."""
    return resource.get("resourceType") == "CarePlan" and not is_services(resource)


def attachments(resource: Resource) -> list[Resource]:
    """The Attachments of a DocumentReference, a Communication or Media, in their order."""
    found = [content.get("attachment") for content in items(resource.get("content"))]
    found += [part.get("contentAttachment") for part in items(resource.get("payload"))]
    if resource.get("resourceType") == "DiagnosticReport":
        found += items(resource.get("presentedForm"))
    return [one for one in found if isinstance(one, dict)]


def spoken(code: str) -> str:
    """A code of several words as it is read: `HjelpLegemiddeladm` is `Hjelp legemiddeladm`."""
    parts = _CAMEL.split(code)
    return " ".join([*parts[:1], *(part.lower() for part in parts[1:])])


def _section(name: str, told_by: Mapping[tuple[str, datetime], list[Line]], whole: bool) -> Section:
    made = []
    for (by, at), told_then in told_by.items():
        lines = _without_bare(told_then)
        kept = lines if whole else lines[:MOST_LINES]
        made.append(Telling(by=by, at=at, lines=tuple(kept), more=len(lines) - len(kept)))
    kept_tellings = made if whole else made[:MOST_TELLINGS]
    number = sum(len(telling.lines) + telling.more for telling in made)
    shown = sum(len(telling.lines) for telling in kept_tellings)
    return Section(id=name, tellings=tuple(kept_tellings), number=number, more=number - shown)


def _joined(parts: Iterable[str]) -> str:
    """What is not empty, in one line; what is a sentence ends where the next begins."""
    said_so = [part for part in parts if part]
    return ", ".join([*(part.removesuffix(".") for part in said_so[:-1]), *said_so[-1:]])


def _without_bare(lines: Sequence[Line]) -> list[Line]:
    """Without what another line tells with more words."""
    fuller = {line.what.lower() for line in lines if line.text or line.hint or line.call}
    return [
        line
        for line in lines
        if line.text or line.hint or line.call or line.href or line.what.lower() not in fuller
    ]


_Made = Callable[[Contents, Told], Iterator[tuple[str, Line]]]
_BY_TYPE: dict[str, _Made] = {
    "AllergyIntolerance": Contents._caution,
    "Flag": Contents._caution,
    "Condition": Contents._condition,
    "Goal": Contents._goal,
    **dict.fromkeys(_MEDICINES, Contents._medicine),
    "MedicationAdministration": Contents._given,
    "Observation": Contents._observed,
    "QuestionnaireResponse": Contents._observed,
    "DeviceUseStatement": Contents._aid,
    "DeviceRequest": Contents._aid,
    "ServiceRequest": Contents._service,
    "CarePlan": Contents._care_plan,
    "Appointment": Contents._appointment,
    "RelatedPerson": Contents._kin,
    "PractitionerRole": Contents._role,
    "Organization": Contents._organization,
    "CareTeam": Contents._team,
    "Composition": Contents._composition,
    "DocumentReference": Contents._document,
}
"""How each type of resource is told; of any other, one line."""
