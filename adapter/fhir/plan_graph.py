"""The resources of a plan as a graph: who a reference leads to, what a datatype says, what must stay unsaid.

References lead by fullUrl, by `Type/id` (also behind a base address), by `#id` or by identifier. What may not
be shown is cut out of every text that leaves here: identity numbers always; where the identity is protected
(Patient.meta.security of v3-Confidentiality R or V) also addresses, telephones, next of kin and places.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cached_property
from re import IGNORECASE, Pattern, compile, escape
from typing import Any

from lxml import etree

from adapter.fhir.bundles import NATIONAL_IDENTIFIERS, Resource
from adapter.fhir.codes import words
from adapter.fhir.plan import Amount, Note, Repeat, Said, Span, Told

LEFT_OUT = "[…]"
"""Stands where a text held what may not be shown."""

_CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
_PROTECTED = frozenset(("R", "V"))
_ACTORS = words("Practitioner PractitionerRole Organization RelatedPerson Location HealthcareService Device")
_HIDDEN_KINDS = frozenset(("RelatedPerson", "Location"))
_BREAKS = frozenset(("p", "br", "li", "tr", "div", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol"))
_SPACES = compile(r"[ \t\r\f\v\xa0]+")
_WAYS = {"phone": 0, "sms": 1, "email": 2}
_ABOUT = (
    *("title", "description", "code", "medicationCodeableConcept", "serviceType", "vaccineCode"),
    *("type", "reasonCode", "category", "class"),
)
"""Elements that say what a resource is about, the best first."""
_SHORTEST = 4  # letters of a text that is cut out; shorter ones stand in too many words


def items(value: Any) -> list[Resource]:
    """The objects of a repeating element, or of one that stands once."""
    found = value if isinstance(value, list) else [value]
    return [item for item in found if isinstance(item, dict)]


def text_of(value: Any) -> str:
    """A string as it is; nothing of anything else."""
    return value.strip() if isinstance(value, str) else ""


def told(value: Any) -> Told | None:
    """A FHIR date, dateTime or instant; a year or a month stays text, and so does what cannot be read."""
    text = text_of(value)
    if not text:
        return None
    try:
        if "T" in text:
            moment = datetime.fromisoformat(text)
            return moment if moment.tzinfo is not None else text
        return date.fromisoformat(text) if len(text) == len("2026-01-01") else text
    except ValueError:
        return text


def codes(concept: Any) -> Iterator[tuple[str, str]]:
    """`(system, code)` of a CodeableConcept, a Coding, or a list of them."""
    for one in items(concept):
        for coding in items(one.get("coding")) or [one]:
            if text_of(coding.get("code")):
                yield text_of(coding.get("system")), coding["code"]


def first_code(concept: Any) -> str:
    """The first code of a CodeableConcept."""
    return next((code for _, code in codes(concept)), "")


def narrative_text(resource: Resource) -> str:
    """The narrative without its mark-up; empty where there is none, or none that can be read."""
    div = text_of((resource.get("text") or {}).get("div"))
    if not div:
        return ""
    try:
        root = etree.fromstring(div, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))
    except (etree.XMLSyntaxError, ValueError):
        return ""
    pieces: list[str] = []
    for happened, element in etree.iterwalk(root, events=("start", "end")):
        name = etree.QName(element).localname if isinstance(element.tag, str) else ""
        pieces.append("\n" if name in _BREAKS else " " if name == "td" else "")
        pieces.append(((element.text if happened == "start" else element.tail) or "").replace("\n", " "))
    lines = (_SPACES.sub(" ", line).strip() for line in "".join(pieces).split("\n"))
    return "\n".join(line for line in lines if line)


@dataclass(frozen=True, kw_only=True)
class Graph:
    """The resources at hand; `used` fills with those that a line was read from."""

    entries: tuple[tuple[str, Resource], ...]  # fullUrl or nothing, resource
    patient: Resource | None
    shielded: bool = False  # as protected as can be, whatever the patient's resource says
    used: set[int] = field(default_factory=set)

    # --- finding ---

    def follow(self, ref: Any, within: Resource | None = None) -> Resource | None:
        """The resource that a Reference leads to; None where it is not among these."""
        if not isinstance(ref, dict):
            return None
        target = text_of(ref.get("reference")).split("/_history/", 1)[0]
        if target.startswith("#"):
            inside = items((within or {}).get("contained"))
            return next((part for part in inside if f"#{part.get('id')}" == target), None)
        if target:
            tail = "/".join(target.split("/")[-2:])
            return self._by_name.get(target) or self._by_name.get(tail)
        return self._by_name.get(_identity(ref.get("identifier")))

    @cached_property
    def _by_name(self) -> dict[str, Resource]:
        names: dict[str, Resource] = {}
        for url, resource in reversed(self.entries):
            told_id = text_of(resource.get("id"))
            for identifier in items(resource.get("identifier")):
                names[_identity(identifier)] = resource
            if told_id:
                names[f"urn:uuid:{told_id}"] = resource
                names[f"{resource.get('resourceType')}/{told_id}"] = resource
            names[url] = resource
        names.pop("", None)
        return names

    def use(self, resource: Resource) -> Resource:
        """The same; it is no longer among what has no line."""
        self.used.add(id(resource))
        return resource

    def of_type(self, *kinds: str) -> Iterator[Resource]:
        """The resources of these types in their order, but for what their authors have taken back."""
        for _, resource in self.entries:
            if resource.get("resourceType") in kinds and not taken_back(resource):
                yield resource

    def unused(self) -> Iterator[Resource]:
        """What no line was read from."""
        return (resource for _, resource in self.entries if id(resource) not in self.used)

    # --- who must stay unsaid ---

    @property
    def protected(self) -> bool:
        """Whether the patient's identity is protected."""
        security = items(((self.patient or {}).get("meta") or {}).get("security"))
        return self.shielded or any(
            c.get("system") == _CONFIDENTIALITY and c.get("code") in _PROTECTED for c in security
        )

    def hidden(self, ref: Any, found: Resource | None) -> bool:
        """Whether a reference leads to next of kin or to a place of somebody with protected identity."""
        kind = (found or {}).get("resourceType") or kind_of(ref)
        return self.protected and kind in _HIDDEN_KINDS

    def clean(self, value: Any) -> str:
        """A text without what may not be shown."""
        text = text_of(value)
        return self._unsaid.sub(LEFT_OUT, text) if text and self._unsaid else text

    @cached_property
    def _unsaid(self) -> Pattern[str] | None:
        patterns = [_spelt(number) for number in self._numbers()]
        if self.protected:
            long_ones = {text for text in self._private() if len(text) >= _SHORTEST}
            patterns += [_worded(text) for text in sorted(long_ones, key=lambda text: (-len(text), text))]
        return compile("|".join(patterns), IGNORECASE) if patterns else None

    def _numbers(self) -> list[str]:
        """The identity numbers of everybody in the graph, and all that the patient is known by."""
        found = set()
        for _, resource in self.entries:
            person = resource.get("resourceType") in ("Patient", "RelatedPerson")
            for identifier in items(resource.get("identifier")):
                digits = "".join(c for c in text_of(identifier.get("value")) if c.isalnum())
                if (person or identifier.get("system") in NATIONAL_IDENTIFIERS) and len(digits) > _SHORTEST:
                    found |= {digits, digits[-10:]} if len(digits) == len("YYYYMMDDNNNN") else {digits}
        return sorted(found, key=lambda digits: (-len(digits), digits))

    def _private(self) -> Iterator[str]:
        for _, resource in self.entries:
            kind = resource.get("resourceType")
            if kind in ("Patient", *_HIDDEN_KINDS):
                yield from _ways_to(resource)
            if kind in _HIDDEN_KINDS:
                yield from _names_of(resource)
            if kind == "Encounter":
                stay = resource.get("hospitalization") or {}
                place = self.follow(stay.get("destination"), resource)
                yield from _names_of(place or {})
                yield text_of((stay.get("destination") or {}).get("display"))
            for contact in items(resource.get("contact")) if kind == "Patient" else ():
                yield from _ways_to(contact)
                yield from _names_of(contact)

    # --- what it is called, and what it says ---

    def name(self, ref: Any, within: Resource | None = None) -> str:
        """What somebody or something that is referred to is called; empty where it may not be said."""
        found = self.follow(ref, within)
        if self.hidden(ref, found):
            return ""
        if found is not None and found.get("resourceType") in _ACTORS:
            self.use(found)
        shown = text_of(ref.get("display")) if isinstance(ref, dict) else ""
        return self.clean(shown or (self.called(found) if found else ""))

    def called(self, resource: Resource) -> str:
        """The name of a person, organisation, place or team; of anything else, what it is about."""
        if resource.get("resourceType") == "PractitionerRole":
            return self._holder(resource) or self.concept(resource.get("code"))
        name = resource.get("name")
        if isinstance(name, list | dict):
            return self.clean(human_name(name))
        return self.clean(name) or self.gist(resource)

    def _holder(self, role: Resource) -> str:
        """Who has a PractitionerRole, else where; a role that another role holds names nobody."""
        for ref in (role.get("practitioner"), role.get("organization")):
            found = self.follow(ref, role)
            circular = (found or {}).get("resourceType") == "PractitionerRole"
            if not circular and (named := self.name(ref, role)):
                return named
        return ""

    def gist(self, resource: Resource) -> str:
        """What a resource is about, in its author's words."""
        for element in _ABOUT:
            value = resource.get(element)
            said = self.clean(value) or self.concept(value)
            if said:
                return said
        told_in_it = (self.clean(part.get("contentString")) for part in items(resource.get("payload")))
        return next((said for said in told_in_it if said), "")

    def concept(self, concept: Any) -> str:
        """A CodeableConcept, or several, in words; a code that has none is not said."""
        found = []
        for one in items(concept):
            codings = items(one.get("coding"))
            words = text_of(one.get("text")) or next(
                (text_of(c.get("display")) for c in codings if text_of(c.get("display"))), ""
            )
            found.append(self.clean(words or text_of(one.get("display"))))
        return ", ".join(dict.fromkeys(word for word in found if word))

    def notes(self, resource: Resource, about: str = "", element: str = "note") -> Iterator[Note]:
        """The Annotations of a resource."""
        for note in items(resource.get(element)):
            by = self.clean(note.get("authorString")) or self.name(note.get("authorReference"), resource)
            if text := self.clean(note.get("text")):
                yield Note(text=text, by=by, at=told(note.get("time")), about=about)

    def value(self, holder: Resource, prefix: str = "value") -> tuple[Said, ...]:
        """What `value[x]` says; several of them where a list is in it."""
        found: list[Said] = []
        for element, value in holder.items():
            if element.startswith(prefix) and element[len(prefix) :][:1].isupper():
                found.extend(self._said(element[len(prefix) :], value))
        return tuple(found)

    def _said(self, kind: str, value: Any) -> Iterator[Said]:
        if isinstance(value, bool):
            yield value
        elif kind in ("Quantity", "Range", "Ratio", "Money", "SampledData") and isinstance(value, dict):
            yield amount(value)
        elif kind in ("Date", "DateTime", "Instant"):
            yield told(value) or ""
        elif kind == "Period":
            yield " – ".join(text_of(value.get(end)) or "…" for end in ("start", "end"))
        elif kind == "Reference":
            yield self.name(value)
        elif isinstance(value, dict):
            yield self.concept(value) or self.clean(value.get("title"))
        else:
            yield self.clean(value) if isinstance(value, str) else Amount(value=str(value))


def taken_back(resource: Resource) -> bool:
    """Whether its author says that it should never have been written."""
    verified = first_code(resource.get("verificationStatus"))
    return "entered-in-error" in (resource.get("status"), resource.get("lifecycleStatus"), verified)


def own_key(resource: Resource) -> str:
    """A resource as `Type/id`."""
    return f"{resource.get('resourceType')}/{resource.get('id', '')}"


def kind_of(ref: Any) -> str:
    """The resource type that a Reference says it leads to."""
    if not isinstance(ref, dict):
        return ""
    parts = text_of(ref.get("reference")).split("/_history/", 1)[0].split("/")
    return text_of(ref.get("type")) or (parts[-2] if len(parts) > 1 else "")


def human_name(names: Any) -> str:
    """A HumanName, the official one of several, as people say it."""
    ranked = sorted(items(names), key=lambda name: name.get("use") not in ("official", None))
    for name in ranked:
        given = [part for part in name.get("given") or () if isinstance(part, str)]
        made = " ".join([*given, text_of(name.get("family"))]).strip() or text_of(name.get("text"))
        if made:
            return made
    return ""


def telephone(resource: Resource) -> str:
    """The first telephone number; another way to be reached where there is none."""
    ways = [way for way in items(resource.get("telecom")) if text_of(way.get("value"))]
    ways.sort(key=lambda way: _WAYS.get(text_of(way.get("system")), len(_WAYS)))
    return text_of(ways[0]["value"]) if ways else ""


def postal(address: Any) -> str:
    """An Address in one line."""
    for one in items(address):
        lines = [line for line in one.get("line") or () if isinstance(line, str)]
        town = " ".join(text for text in (text_of(one.get(k)) for k in ("postalCode", "city")) if text)
        made = ", ".join([*lines, *([town] if town else [])]) or text_of(one.get("text"))
        if made:
            return made
    return ""


def amount(value: Resource) -> Amount:
    """A Quantity, a Range or a Ratio."""
    low = value.get("low") or value.get("numerator") or value
    high = value.get("high") or {}
    if "high" in value and "low" not in value:
        return Amount(value=_number(high), sign="<=", unit=_unit(high))
    if "low" in value and "high" not in value:
        return Amount(value=_number(low), sign=">=", unit=_unit(low))
    under = value.get("denominator")
    unit = _unit(low) or _unit(high)
    if isinstance(under, dict):
        unit = f"{unit}/{'' if _number(under) == '1' else _number(under)}{_unit(under)}"
    return Amount(value=_number(low), until=_number(high), sign=text_of(low.get("comparator")), unit=unit)


def span(graph: Graph, value: Any) -> Span:
    """A Period, a Timing, or one dateTime."""
    if not isinstance(value, dict):
        return Span(start=told(value))
    if "repeat" not in value and "event" not in value and "code" not in value:
        return Span(start=told(value.get("start")), end=told(value.get("end")))
    repeat = value.get("repeat") or {}
    bounds = repeat.get("boundsPeriod") or {}
    events = [told(event) for event in value.get("event") or ()]
    made = _repeat(repeat)
    words = graph.concept(value.get("code"))
    return Span(
        start=told(bounds.get("start")) or (events[0] if events else None),
        end=told(bounds.get("end")) or (events[-1] if len(events) > 1 else None),
        repeat=made,
        text=words if made is None else "",
    )


_ONCE = "occurrence"


def occurrence(graph: Graph, resource: Resource, prefix: str = _ONCE) -> Span:
    """`occurrence[x]`, or another element of the same types; what occurs at an instant ends there."""
    for kind in ("Timing", "Period", "DateTime"):
        if (value := resource.get(f"{prefix}{kind}")) is not None:
            found = span(graph, value)
            return replace(found, end=found.start) if isinstance(value, str) and prefix == _ONCE else found
    return Span(text=graph.clean(resource.get(f"{prefix}String")))


def _repeat(repeat: Resource) -> Repeat | None:
    at, when = _texts(repeat, "timeOfDay"), _texts(repeat, "when")
    days = _texts(repeat, "dayOfWeek")
    if not (at or when or days or "frequency" in repeat or "period" in repeat):
        return None
    times = repeat.get("frequencyMax") or repeat.get("frequency") or max(len(at), len(when), 1)
    return Repeat(
        times=times if isinstance(times, int) else 1,
        every=str(repeat.get("period") or 1),
        unit=text_of(repeat.get("periodUnit")) or ("wk" if days else "d"),
        at=tuple(text[:5] for text in at),
        when=when,
        days=days,
    )


def _texts(holder: Resource, element: str) -> tuple[str, ...]:
    return tuple(text for text in holder.get(element) or () if isinstance(text, str))


def _number(value: Resource) -> str:
    number = value.get("value")
    return "" if number is None else str(number)


def _unit(value: Resource) -> str:
    return text_of(value.get("unit")) or text_of(value.get("code")) or text_of(value.get("currency"))


def _identity(identifier: Any) -> str:
    if not isinstance(identifier, dict) or not text_of(identifier.get("value")):
        return ""
    return f"{text_of(identifier.get('system'))}|{identifier['value']}"


def _spelt(number: str) -> str:
    """A number with or without hyphens and spaces between its digits."""
    return r"(?<![0-9])" + r"[\s+-]?".join(escape(c) for c in number) + r"(?![0-9])"


def _worded(text: str) -> str:
    return r"(?<!\w)" + r"\s+".join(escape(word) for word in text.split()) + r"(?!\w)"


def _ways_to(resource: Resource) -> Iterator[str]:
    """Every address and telephone."""
    for way in items(resource.get("telecom")):
        yield text_of(way.get("value"))
    for address in items(resource.get("address")):
        yield text_of(address.get("text"))
        yield text_of(address.get("postalCode"))
        yield from _texts(address, "line")


def _names_of(resource: Resource) -> Iterator[str]:
    name = resource.get("name")
    yield text_of(name)
    for one in items(name):
        yield text_of(one.get("text"))
        yield human_name(one)


def entries_of(given: Resource | Sequence[Resource]) -> Iterable[tuple[str, Resource]]:
    """fullUrl and resource: of a Bundle, of its entries, or of resources as they are."""
    listed = items(given.get("entry")) if isinstance(given, dict) else items(list(given))
    for item in listed:
        inner = item.get("resource")
        if isinstance(inner, dict) and "resourceType" not in item:
            yield text_of(item.get("fullUrl")), inner
        else:
            yield "", item
