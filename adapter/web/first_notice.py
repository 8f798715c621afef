"""`/ward/new`: the first notice of a stay, where the hospital's own system cannot send it.

The patient's number is looked at before anything is sent, and travels in the form's body alone: no address,
title, log or error holds it.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

from adapter.discharge.notices import NoticeKind
from adapter.discharge.turns import known
from adapter.errors import NotFound
from adapter.fhir.bundles import Subject
from adapter.fhir.numbers import number_in
from adapter.messaging.people import Role
from adapter.messaging.register import Party
from adapter.speaking import Speaking, Unsaid, hosted_by_us
from adapter.web.acting import answers_for_it, day_in, mistake, past_in, words_in
from adapter.web.acting_forms import Field
from adapter.web.site import Action, Doing, Link, Look, Mistake, Page, View

K = NoticeKind

_KINDS = (K.ADMITTED, K.CARE_NEEDS, K.NEED_IDENTIFIED)
_RECEIVERS = ("municipality", "municipal-acute-bed", "open-care", "gp")
_GENDERS = ("female", "male", "other", "unknown")
_LONGEST_NAME = 100
_BORN = range(1880, 2200)


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstNotice:
    """The form, as `acting/new.html` shows it."""

    id: str
    key: str
    fields: tuple[Field, ...]


def new(look: Look) -> View:
    """The empty form, or the one that was filled in with what is wrong."""
    wards = [p for p in _wards(look) if hosted_by_us(look.register, p)]
    form = FirstNotice(id="new", key=look.inbox.new_id(), fields=_fields(look, wards))
    title = look.words.of("Send a first notice")
    return View(template="acting/new.html", title=title, values={"form": form, "wards": bool(wards)})


def _wards(look: Look) -> list[Party]:
    found = (look.register.party(p) for p in look.sight.own(Role.WARD))
    day = look.now.astimezone(look.inbox.zone).date()
    return [p for p in found if p is not None and p.valid_on(day)]


def _fields(look: Look, wards: list[Party]) -> tuple[Field, ...]:
    words, day = look.words, look.now.astimezone(look.inbox.zone).date()
    now = f"{look.now.astimezone(look.inbox.zone):%Y-%m-%dT%H:%M}"
    sweden = K.SIP_CALL in known(look.inbox.cases.agreement)
    to = [p for p in look.register.parties if p.kind in _RECEIVERS and p.valid_on(day)]

    def field(name: str, label: str, type: str = "text", **more: Any) -> Field:
        return Field(name=name, label=words.of(label), type=type, **more)

    def names(parties: list[Party]) -> tuple[tuple[str, str], ...]:
        return tuple((p.id, p.name) for p in parties)

    kinds = tuple((k.value, words.heading("notice", k.value)) for k in _kinds(look.inbox.cases.agreement))
    genders = (("", "–"), *((g, words.code("gender", g)) for g in _GENDERS))  # nobody's is taken for granted
    hint = words.of("Left empty only where the patient has none. It is in no address and no log.")
    more = [
        field("street", "Registered address: street"),
        field("postal_code", "Postal code"),
        field("city", "Town"),
    ]
    return (
        field("ward", "From", "select", options=names(wards)),
        field("kind", "What is told", "select", options=kinds),
        field("number", "National identity number", hint=hint),
        field("family", "Family name", required=True),
        field("given", "Given name", required=True),
        field("born", "Date of birth", "date", required=True),
        field("gender", "Sex", "select", options=genders),
        *(more if sweden else ()),
        field("admitted", "Admitted at", "datetime-local", value=now, required=True),
        field("acute", "The admission is acute", "checkbox"),
        field("planned", "Expected to leave on", "date", required=sweden),
        field("to", "To", "checks", options=names(to)),
        field("text", "Care needs, where they are told", "textarea"),
    )


def _kinds(agreement: Any) -> tuple[NoticeKind, ...]:
    may = known(agreement)
    return tuple(kind for kind in _KINDS if kind in may)


def _send(doing: Doing) -> str:
    words = doing.words
    kind = next((k for k in _kinds(doing.inbox.cases.agreement) if k.value == doing.text("kind")), None)
    if kind is None:
        raise Mistake({"kind": words.of("Choose one of those in the list.")})
    admitted = past_in(doing, "admitted", None)
    planned = day_in(doing, "planned", needed=K.SIP_CALL in known(doing.inbox.cases.agreement))
    if planned is not None and planned < admitted.date():
        raise Mistake({"planned": words.of("That is before the patient was admitted.")})
    text = words_in(doing, "text", needed="Write the care needs." if kind is K.CARE_NEEDS else None)
    if text is not None and kind is not K.CARE_NEEDS:
        said = words.of("Only care needs carry words; choose care needs, or leave this empty.")
        raise Mistake({"text": said})
    speaking = Speaking(inbox=doing.inbox, sight=doing.sight)
    try:
        told = speaking.begin(
            doing.tx,
            kind,
            subject=_subject(doing),
            party=doing.text("ward"),
            receivers=_receivers(doing),
            key=doing.text("key"),
            now=doing.now,
            by=doing.by,
            responsible=answers_for_it(doing),
            occurred=admitted if kind is K.ADMITTED else doing.now,
            admitted=admitted,
            planned_discharge=planned,
            acute=bool(doing.text("acute")),
            text=text,
        )
    except Unsaid as error:
        raise mistake(doing, error) from error
    except NotFound as error:
        raise Mistake({"ward": words.of("Choose one of those in the list.")}) from error
    return f"/stays/{told.case_id}"


def _receivers(doing: Doing) -> list[str]:
    day = doing.now.astimezone(doing.inbox.zone).date()
    may = {p.id for p in doing.register.parties if p.kind in _RECEIVERS and p.valid_on(day)}
    chosen = [party for party in dict.fromkeys(doing.form.get("to", ())) if party in may]
    if not chosen:
        raise Mistake({"to": doing.words.of("Choose who is told.")})
    return chosen


def _subject(doing: Doing) -> Subject:
    """Who it is about; Mistake where the number cannot be that person's."""
    born = day_in(doing, "born", needed=True, years=_BORN)
    if born is not None and born > doing.now.astimezone(doing.inbox.zone).date():
        raise Mistake({"born": doing.words.of("That lies ahead.")})
    needed = "Write the name."
    family = words_in(doing, "family", needed=needed, most=_LONGEST_NAME)
    given = words_in(doing, "given", needed=needed, most=_LONGEST_NAME)
    gender = doing.text("gender")
    address = tuple(words_in(doing, name, most=_LONGEST_NAME) for name in ("street", "postal_code", "city"))
    return Subject(
        identifiers=_number(doing, born),
        family=family,
        given=given,
        birth_date=born,
        gender=gender if gender in _GENDERS else None,
        address=(address[0], address[1], address[2]) if any(address) else None,
    )


def _number(doing: Doing, born: date | None) -> tuple[tuple[str, str], ...]:
    typed = doing.text("number")
    if not typed:
        return ()
    found = number_in(typed, doing.inbox.cases.agreement.name)
    if found is None:
        said = doing.words.of("This cannot be a number: a digit is wrong or missing. Compare it once more.")
        raise Mistake({"number": said})
    if born is not None and not found.fits(born):
        said = doing.words.of("The number and the date of birth are not one person's. Compare both.")
        raise Mistake({"number": said})
    return ((found.system, found.value),)


_WARD = frozenset({Role.WARD})

PAGES = (Page(path="/ward/new", view=new, roles=_WARD),)

NAV: tuple[Link, ...] = ()

ACTIONS = (Action(path="/ward/new", act=_send, roles=_WARD, again=new),)
"""What a ward sends about somebody of whom nothing has been told yet."""
