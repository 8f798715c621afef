"""What may leave: the allow-list of each kind of notice and receiver, and protected identity.

Sharing a patient is not sharing the record: a notice of logistics carries no health information, Sweden's
admission notice has four contents (lag 2017:612 2 kap. 2 §), and of a person with protected identity no
address, telephone, next of kin or receiving place goes out. The lists are `definitions/allowed.toml`;
docs/what-may-leave.md tells them to people. What a person has written in words cannot be judged by a
machine: it goes where the list lets narrative go, and nowhere else.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, cast

from adapter.discharge.notices import NoticeKind
from adapter.fhir.bundles import EXTENSION_BASE, IN_SWEDEN, Bundle, Resource, extension_url
from adapter.fhir.codes import words
from adapter.fhir.parts import FOCUS
from adapter.fhir.protecting import PROTECTION_EXTENSIONS, is_protected, without_protected_in
from adapter.fhir.references import led_to, names_of, without_references
from adapter.phrases import phrase

Tree = Mapping[str, Any]
"""Elements by name; None where the element goes whole, else the parts of it that may stay."""

RECEIVERS = ("hospital", "municipal-acute-bed", "municipality", "open-care", "gp", "unknown")
"""Kinds of parties; `unknown` is one that nobody has registered, in evaluation mode."""

_BASE = words("resourceType id meta implicitRules language modifierExtension")
"""R4 forbids to drop a modifierExtension and keep the rest (extensibility.html#modifierExtension)."""

_SUPPORT = words("Organization Practitioner PractitionerRole HealthcareService Location RelatedPerson")
"""Who and where: needed only as long as something leads there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What one kind of notice may carry to one kind of receiver."""

    types: frozenset[str]
    whole: bool  # resources go with every element
    elements: Mapping[str, Tree]  # by type; a type without one goes whole
    extensions: frozenset[str]  # addresses of the extensions of Encounter
    narrative: str  # none, focus, all
    focus: str  # the type of the resource in focus


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A message as a receiver may see it, and sentences of what was left out: type and place, no value."""

    bundle: Bundle
    left_out: tuple[str, ...] = ()


def allowed(bundle: Bundle, kind: NoticeKind, *, receiver_kind: str) -> Bundle:
    """The message as that kind of receiver may see it; `bundle` itself where nothing is left out."""
    return shown(bundle, kind, receiver_kind=receiver_kind).bundle


def left_out(bundle: Bundle, kind: NoticeKind, *, receiver_kind: str) -> tuple[str, ...]:
    """What `allowed` leaves out, as `Encounter.reasonCode`, `Patient.address (protected identity)`."""
    return shown(bundle, kind, receiver_kind=receiver_kind).left_out


def shown(bundle: Bundle, kind: NoticeKind, *, receiver_kind: str) -> Shown:
    """Both at once, in one pass over the entries where nothing is to be left out.

    `receiver_kind` is one of `RECEIVERS`; `bundle` is valid and is never altered.
    """
    entries = bundle["entry"]
    patients = [e["resource"] for e in entries if e["resource"]["resourceType"] == "Patient"]
    rule = rule_for(kind, receiver_kind, swedish=any(map(_has_personnummer, patients)))
    said: list[str] = []
    kept = _cut_down(entries, rule, said)
    if any(map(is_protected, patients)):
        kept = without_protected_in(kept, said)
    if not said:
        return Shown(bundle=bundle)
    return Shown(bundle=bundle | {"entry": _mended(entries, kept)}, left_out=tuple(dict.fromkeys(said)))


def shown_resources(
    resources: Iterable[Resource], kind: NoticeKind, *, receiver_kind: str
) -> tuple[list[Resource], tuple[str, ...]]:
    """The same for resources that travel without a Bundle of their own, as the answer to a read.

    Give the Patient with them: whether the person is protected, or has a personnummer, stands there.
    """
    bundle: Bundle = {"entry": [{"resource": resource} for resource in resources]}
    seen = shown(bundle, kind, receiver_kind=receiver_kind)
    return [item["resource"] for item in seen.bundle["entry"]], seen.left_out


# --- the lists --------------------------------------------------------------------------------------------


@cache
def rule_for(kind: NoticeKind, receiver_kind: str, *, swedish: bool = False) -> Rule:
    """The list for that kind and receiver; `swedish`: the patient is known by a personnummer."""
    table = _table()
    four_contents = swedish and kind is NoticeKind.ADMITTED
    chosen = table["set"]["swedish-admission" if four_contents else _set_of()[kind.value]]
    whole = bool(chosen.get("whole"))
    own = table["elements"] | chosen.get("elements", {})
    less = chosen.get("less", {}).get(receiver_kind, {})
    urls = words(chosen.get("extensions", table["extensions"])) - _extensions_in(less)
    types = table["clinical"] if chosen["types"] == "clinical" else chosen["types"]
    return Rule(
        types=words(table["always"]) | words(types),
        whole=whole,
        elements={} if whole else {name: _tree(text, less.get(name, "")) for name, text in own.items()},
        extensions=frozenset(map(_in_full, urls)),
        narrative=chosen["narrative"],
        focus=FOCUS[kind],
    )


@cache
def _table() -> dict[str, Any]:
    text = files("adapter.fhir").joinpath("definitions", "allowed.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def _set_of() -> dict[str, str]:
    return {
        event: name for name, chosen in _table()["set"].items() for event in words(chosen.get("events", ""))
    }


def _in_full(name: str) -> str:
    """The address of an extension of ours, or of another's as the list has it."""
    return name if name.startswith("http://") else extension_url(name)


def _extensions_in(less: Mapping[str, str]) -> frozenset[str]:
    paths = words(less.get("Encounter", ""))
    return frozenset(path.partition(".")[2] for path in paths if path.startswith("extension."))


def _tree(text: str, less: str) -> Tree:
    tree: dict[str, Any] = {}
    for path in sorted(words(text) - words(less)):
        at = tree
        *above, last = path.split(".")
        for name in above:
            at = at.setdefault(name, {})
        at[last] = None
    return tree


def _has_personnummer(patient: Resource) -> bool:
    return any(one.get("system") in IN_SWEDEN for one in patient.get("identifier") or ())


# --- cutting down -----------------------------------------------------------------------------------------


def _cut_down(entries: list[Resource], rule: Rule, said: list[str]) -> list[Resource]:
    """The entries that may go, each with what may go of it."""
    focus = _focus(entries, rule) if rule.narrative == "focus" else frozenset()
    kept = []
    for item in entries:
        resource = item["resource"]
        kind = resource["resourceType"]
        if kind not in rule.types:
            said.append(kind)
            continue
        words_stay = rule.narrative == "all" or not focus.isdisjoint(names_of(item))
        cut = resource if rule.whole else _cut(resource, rule, said, words_stay=words_stay)
        kept.append(item if cut is resource else item | {"resource": cut})
    return kept


def _focus(entries: list[Resource], rule: Rule) -> frozenset[str]:
    """What the MessageHeader leads to; without one, the resources of the type that such a notice is about."""
    if entries and entries[0]["resource"]["resourceType"] == "MessageHeader":
        head = entries[0]["resource"]
        return frozenset(ref["reference"] for ref in head.get("focus") or () if "reference" in ref)
    about = (item for item in entries if item["resource"]["resourceType"] == rule.focus)
    return frozenset(name for item in about for name in names_of(item))


def _cut(resource: Resource, rule: Rule, said: list[str], *, words_stay: bool) -> Resource:
    """`resource` itself where all of it may go."""
    kind = resource["resourceType"]
    tree = rule.elements.get(kind)
    kept: Resource = {}
    for name, value in resource.items():
        if name == "text":
            stays = value if words_stay else None
        elif name == "contained":
            stays = _contained(resource, rule, said)
        elif tree is None or name in _BASE:
            stays = value
        elif name == "extension":
            stays = _extensions(value, kind, rule)
        else:
            stays = _part(value, tree[name]) if name in tree else None
        if stays is not value:
            said.append(_place(kind, name, stays))
        if stays is not None:
            kept[name] = stays
    same = len(kept) == len(resource) and all(kept[name] is resource[name] for name in kept)
    return resource if same else _without_contained_references(resource, kept)


def _place(kind: str, name: str, stays: Any) -> str:
    """`Encounter.text`; `part of Encounter.hospitalization` where some of it stays."""
    element = f"{kind}.{name}"
    return element if stays is None else phrase("part of {element}", element=element)


def _part(value: Any, tree: Tree | None) -> Any:
    """What may stay of an element: itself, a smaller one, or None."""
    if tree is None:
        return value
    if isinstance(value, list):
        parts = [part for part in (_part(item, tree) for item in value) if part is not None]
        same = len(parts) == len(value) and all(a is b for a, b in zip(parts, value, strict=True))
        return value if same else parts or None
    if not isinstance(value, dict):
        return value
    kept = {}
    for name in value.keys() & tree.keys():
        stays = _part(value[name], tree[name])
        if stays is not None:
            kept[name] = stays
    same = len(kept) == len(value) and all(kept[name] is value[name] for name in kept)
    return value if same else {name: kept[name] for name in value if name in kept} or None


def _extensions(found: list[Resource], kind: str, rule: Rule) -> list[Resource] | None:
    """Our own extensions; of Encounter those that the list names, as others' too."""
    if kind == "Encounter":
        stay = [one for one in found if one.get("url") in rule.extensions]
    else:
        stay = [one for one in found if _is_known(str(one.get("url")))]
    return found if len(stay) == len(found) else stay or None


def _is_known(url: str) -> bool:
    return url.startswith(EXTENSION_BASE) or url in PROTECTION_EXTENSIONS


def _contained(resource: Resource, rule: Rule, said: list[str]) -> list[Resource] | None:
    """Contained resources by the same list as all others."""
    found = resource["contained"]
    stay = [_cut(one, rule, said, words_stay=False) for one in found if one.get("resourceType") in rule.types]
    same = len(stay) == len(found) and all(a is b for a, b in zip(stay, found, strict=True))
    return cast("list[Resource]", found) if same else stay or None


def _without_contained_references(before: Resource, kept: Resource) -> Resource:
    """`#id` leads nowhere once what it led to is gone."""
    there = {f"#{one.get('id')}" for one in kept.get("contained") or ()}
    gone = {f"#{one.get('id')}" for one in before.get("contained") or ()} - there
    return cast(Resource, without_references(kept, gone)) if gone else kept


# --- mending what leads nowhere ---------------------------------------------------------------------------


def _mended(before: list[Resource], kept: list[Resource]) -> list[Resource]:
    """No reference leads to what is gone, and nobody stays to whom only what is gone has led."""
    wanted = frozenset(led_to(item["resource"] for item in before))
    while True:
        still = frozenset(led_to(item["resource"] for item in kept))
        stay = [item for item in kept if not _stranded(item, wanted, still)]
        if len(stay) == len(kept):
            break
        kept = stay
    names = {name for item in kept for name in names_of(item)}
    gone = {name for item in before for name in names_of(item)} - names
    mended = (
        [item | {"resource": without_references(item["resource"], gone)} for item in kept] if gone else kept
    )
    return list(_whole(_with_focus(mended)))


def _stranded(item: Resource, wanted: frozenset[str], still: frozenset[str]) -> bool:
    if item["resource"]["resourceType"] not in _SUPPORT:
        return False
    names = set(names_of(item))
    return bool(names & wanted) and not names & still


def _with_focus(entries: list[Resource]) -> list[Resource]:
    """A message whose focus is gone is about the stay, else about the patient."""
    head = entries[0]["resource"] if entries else {"resourceType": None}
    if head["resourceType"] != "MessageHeader" or head.get("focus") or "response" in head:
        return entries
    by_type = {item["resource"]["resourceType"]: item for item in reversed(entries)}
    about = by_type.get("Encounter") or by_type.get("Patient")
    if about is None:
        return entries
    focus = [{"reference": next(names_of(about))}]
    return [entries[0] | {"resource": head | {"focus": focus}}, *entries[1:]]


def _whole(entries: list[Resource]) -> Iterator[Resource]:
    """All but a Provenance of nothing, which R4 does not have."""
    for item in entries:
        resource = item["resource"]
        if resource["resourceType"] != "Provenance" or resource.get("target"):
            yield item
