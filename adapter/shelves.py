"""The shelves: what messages have brought, put where those who may see it can read it at /fhir.

A message is taken first and shelved afterwards, before anybody reads (`catch_up`); so taking it costs nothing
more. Each part of it gets an id under which it can be read again; a later message about the same thing is its
next version. A party sees what it sent or was addressed in, and plans that it takes part in with all their
past (process: sharing a patient is not sharing the record).
"""

import hashlib
import hmac
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from threading import Lock
from time import monotonic
from typing import Any

import orjson
import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from adapter.cases import Cases, pseudonym
from adapter.copies import derived_id
from adapter.discharge.case import Evidence, Fact
from adapter.discharge.notices import Notice, NoticeKind, Standing
from adapter.discharge.reporting import asks
from adapter.errors import NotFound, StoreError
from adapter.fhir.allowing import allowed
from adapter.fhir.alphabet import sort_key
from adapter.fhir.asking import answered, asked, called_off, episode, taken_back
from adapter.fhir.bundles import (
    Bundle,
    Resource,
    Subject,
    address_of,
    extension,
    follow,
    header,
    of_every_type,
)
from adapter.fhir.listing import in_lists
from adapter.fhir.notices import event_kind, receivers_in
from adapter.fhir.polled import TYPES as POLLED
from adapter.fhir.protecting import as_protected, protects
from adapter.fhir.serving import NOT_SERVED, led, references, renamed, same_content, tokens, values, versioned
from adapter.fhir.wire import parse_again
from adapter.mappings.known import named as dialect_named
from adapter.messaging.envelope import PERSON_SYSTEMS, Address, is_uuid
from adapter.messaging.register import Register
from adapter.phrases import Phrase, phrase
from adapter.reports import is_report, keep_reports, report_task
from adapter.store import Store, messages, protections, resources, unlisted
from adapter.store import cases as case_rows
from adapter.store.resources import Audience, Eyes
from adapter.store.statements import Row

log = structlog.get_logger("shelves")

K = NoticeKind

EPISODE, ASKED, ANSWERED, CALLED_OFF = "episode", "asked", "answered", "called-off"
TAKEN_BACK = "taken-back"
"""What is made of the case, or of a notice, and stands in no message as it is."""

PLANS = (K.CARE_PLAN,)
"""What brings a plan: whoever takes part in it sees all of its past."""

_AT_ONCE = 50  # messages in one unit of work: others write in between
_REMEMBERED = 32  # messages, of some thousand objects each
_OF_THE_STAY = ("Patient", "Encounter")
_NOT_ASKED = ("draft", "cancelled", "entered-in-error")
_OF_PEOPLE = ("Patient", "RelatedPerson", "Person")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Told:
    """A message that has been taken, as it is read for the shelves."""

    row: Row
    bundle: Bundle
    notice: Notice
    patient: str
    day: date  # on which it came
    asked: bool  # whether the patient has an admission that asks for a report


@dataclass(frozen=True, kw_only=True, slots=True)
class _Named:
    """A message's Bundle, the name of every part by its place, and where each reference leads."""

    bundle: Bundle
    kind: NoticeKind
    names: Mapping[int, str]
    ways: Mapping[str, str]


_ToldTo = dict[int, dict[str, Resource]]
"""By the row of a message, its entries as some reader may see them."""


@dataclass(frozen=True, kw_only=True)
class Shelves:
    """The shelves over one store."""

    store: Store
    cases: Cases
    register: Register
    zone: tzinfo
    pseudonym_key: bytes = field(repr=False)
    _bundles: dict[int, _Named] = field(default_factory=dict, repr=False)
    _remembering: Lock = field(default_factory=Lock, repr=False)

    # --- filling ---

    def catch_up(self, within: float = 60.0) -> bool:
        """Shelve all that has been taken so far; False where that takes longer than so many seconds."""
        until = monotonic() + within
        while self.waiting():
            if monotonic() > until:
                return False
            self.store.write(self.shelve)
        return True

    def waiting(self) -> bool:
        """Whether there are messages that have been taken and are not on the shelves yet."""
        with self.store.read() as connection:
            return resources.any_unshelved(connection)

    def shelve(self, tx: Connection, *, case_ids: Collection[int] | None = None) -> int:
        """Shelve some of what waits, in the order in which it came; returns how many messages."""
        waiting = resources.unshelved(tx, _AT_ONCE, case_ids=case_ids)
        for row in waiting:
            told = self._told(tx, row)
            taken = self._put_all(tx, told) if told is not None else {}
            if told is not None and told.asked:
                keep_reports(tx, self, told.patient, row["received_at"])
            if told is not None and protects(told.bundle["entry"]):  # it was taken before this was kept
                by, at = told.notice.sender, row["received_at"]
                protections.tell(tx, told.patient, by=by, message=row["id"], at=at)
            resources.shelved(tx, row["id"], orjson.dumps(taken).decode() if taken else None)
        return len(waiting)

    def _told(self, tx: Connection, row: Row) -> _Told | None:
        """The message with its notice; None where its bytes are gone, or it is of no case."""
        content = messages.content(tx, row["payload"])
        case = case_rows.get(tx, row["case_id"]) if row["case_id"] is not None else None
        if content is None or case is None:
            return None
        case_rows.alone_with(tx, case["patient"])
        facts = [fact for _, _, fact in case_rows.facts(tx, case["patient"]) if isinstance(fact, Notice)]
        own = (row["sender"], _first_id(row))
        notice = next((f for f in facts if (f.sender, f.message_id) == own), None)
        if notice is None:
            return None
        return _Told(
            row=row,
            bundle=self._read(row, content),
            notice=notice,
            patient=case["patient"],
            day=row["received_at"].astimezone(self.zone).date(),
            asked=any(asks(fact) for fact in facts),
        )

    def _read(self, row: Row, content: bytes) -> Bundle:
        """The canonical Bundle; it was validated when it was taken."""
        if row["dialect"] == "fhir" and row["type"] not in POLLED:
            return parse_again(content, row["content_type"])
        reading = dialect_named(row["dialect"]).read(
            content, content_type=row["content_type"], zone=self.zone
        )
        sender = self.register.party(row["sender"])
        bundle = reading.heard_from(sender.kind if sender is not None else "unknown").bundle
        assert bundle is not None
        return bundle

    def _put_all(self, tx: Connection, told: _Told) -> dict[str, str]:
        """Everything that one message brings; returns the names that are not a part's own, by place."""
        audience = self._audience(told)
        if told.notice.kind in PLANS and told.notice.standing is Standing.CANCELLATION:
            plans = self._undo(tx, told)
            self._put_made(tx, told, audience)
            kinds = [item["resource"]["resourceType"] for item in told.bundle["entry"]]
            places = (str(place) for place, kind in enumerate(kinds) if kind == "CarePlan")
            return dict(zip(places, plans, strict=False))
        names = self._names(tx, told)
        ways = led(told.bundle, names)
        theirs = {place: name for place, name in names.items() if not self._is_party(name)}
        contents = {
            place: renamed(told.bundle["entry"][place]["resource"], name, ways)
            for place, name in theirs.items()
        }
        asked_too = self._asked_too(contents.values(), audience)
        may_see = self._may_see(told, audience)
        for place, name in theirs.items():
            content = contents[place]
            url = told.bundle["entry"][place]["fullUrl"]
            made = None
            if name.startswith("Task/") and self._is_answer(told, place):
                made = ANSWERED
                row = resources.named(tx, "Task", name.partition("/")[2])
                content = self._with_question(tx, row["id"], name, content) if row is not None else content
            told_of_it = [one for one in audience if url in may_see[one.party]]
            readers = [*self._readers(tx, told, content, told_of_it), *asked_too.get(name, ())]
            shared = told.notice.kind in PLANS and content["resourceType"] not in _OF_THE_STAY
            self._put(tx, told, name, content, readers, place=place, made=made, shared=shared)
        self._put_made(tx, told, audience)
        if told.notice.kind in PLANS:
            self._undo(tx, told)  # its cancellation may have come before it
        entries = told.bundle["entry"]
        return {
            str(place): name for place, name in names.items() if name != _own_name(entries[place]["resource"])
        }

    def _readers(
        self, tx: Connection, told: _Told, content: Resource, audience: Collection[Audience]
    ) -> Collection[Audience]:
        """Who gets this part: the audience; but a stay is the hospital's to tell, where it has."""
        if content["resourceType"] not in _OF_THE_STAY or told.notice.sender == told.notice.hospital:
            return audience
        row = resources.named(tx, content["resourceType"], content["id"])
        return [one for one in audience if row is None or resources.on_shelf(tx, one, row["id"]) is None]

    def _may_see(self, told: _Told, audience: Collection[Audience]) -> dict[str, frozenset[str]]:
        """By party, the addresses of what the message may tell it (`fhir.allowing`); its sender sees all."""
        urls = {}
        for one in audience:
            whole = one.party == told.notice.sender
            bundle = told.bundle if whole else self._allowed(told.bundle, told.notice.kind, one.party)
            urls[one.party] = frozenset(item["fullUrl"] for item in bundle["entry"])
        return urls

    def _allowed(self, bundle: Bundle, kind: NoticeKind, party_id: str) -> Bundle:
        party = self.register.party(party_id)
        return allowed(bundle, kind, receiver_kind=party.kind if party is not None else "unknown")

    def _asked_too(
        self, contents: Iterable[Resource], audience: Collection[Audience]
    ) -> dict[str, list[Audience]]:
        """Who is asked something in a message that is not addressed to them: they get the question."""
        parties = {one.party for one in audience}
        found: dict[str, list[Audience]] = {}
        for task in contents:
            if task["resourceType"] != "Task" or task["status"] in _NOT_ASKED:
                continue
            for party in {*_parties(task, "owner"), *_parties(task, "requester")} - parties:
                names = [f"Task/{task['id']}", *references(task, "focus"), *references(task, "for")]
                for name in names if self._known(party) else ():
                    found.setdefault(name, []).append(Audience(party=party))
        return found

    def _known(self, party: str) -> bool:
        return self.register.open or self.register.party(party) is not None

    def _put(
        self,
        tx: Connection,
        told: _Told,
        name: str,
        content: Resource,
        readers: Collection[Audience],
        *,
        place: int | None = None,
        made: str | None = None,
        shared: bool = False,
    ) -> None:
        """The next version of one resource; none where it says what the one before says."""
        if not readers:
            return
        kind, _, fhir_id = name.partition("/")
        row = resources.named(tx, kind, fhir_id)
        if row is not None and row["patient"] != told.patient:
            return  # whoever has made up such an id: one patient's is never another's
        newest = row["version"] if row is not None else None
        resource_id = (
            row["id"] if row is not None else resources.add_resource(tx, kind, fhir_id, told.patient)
        )
        before = resources.version(tx, newest) if newest is not None else None
        a_plan = shared and kind == "CarePlan"  # its version is that of the whole plan
        if before is None or a_plan or not self._says_the_same(tx, before, name, content):
            values_ = {
                "at": told.row["received_at"], "by": told.notice.sender, "message_row": told.row["id"],
                "place": place, "made": made, "case_id": told.row["case_id"], **self.in_lists(content),
            }  # fmt: skip
            newest = resources.add_version(tx, resource_id, values_, self.searched(content))
        assert newest is not None
        for who in readers:
            resources.put(
                tx, who, kind, resource_id, told.patient, newest, told.row["received_at"], shared=shared
            )

    def in_lists(self, content: Resource) -> dict[str, Any]:
        """What lists show of it and are sorted by."""
        return in_lists(content, self.cases.agreement.country.language)

    def name_older(self, tx: Connection, limit: int) -> int:
        """Of patients from before lists had their names some, by the newest message; returns how many."""
        waiting = unlisted.some(tx, limit)
        for version in waiting:
            unlisted.named(tx, version["id"], self._as_listed(tx, version))
        return len(waiting)

    def _as_listed(self, tx: Connection, version: Row) -> dict[str, Any]:
        """What lists say of a version of a Patient from before; nothing where its message cannot be read."""
        if version["label"] is not None:
            return {"sort_key": sort_key(version["label"], self.cases.agreement.country.language)}
        try:
            content = self._rendered(tx, version, f"Patient/{version['fhir_id']}")
        except (DBAPIError, StoreError):
            raise
        except Exception as fault:  # noqa: BLE001  # one message that cannot be read must not stop the others
            log.error("a patient's name cannot be read", version=version["id"], error=type(fault).__name__)
            return {}
        return self.in_lists(content) if content is not None else {}

    def _says_the_same(self, tx: Connection, before: Row, name: str, content: Resource) -> bool:
        if before["made"] == EPISODE:
            return False
        known = self._rendered(tx, before, name)
        return known is not None and same_content(known, content)

    def searched(self, content: Resource) -> Iterator[tuple[str, str]]:
        """What it is found by; the number of a person only by a keyed hash."""
        personal = content["resourceType"] in _OF_PEOPLE
        for name, system, value in tokens(content):
            if name == "identifier" and (personal or system in PERSON_SYSTEMS):
                yield name, self.hashed(f"{system}|{value}")
                yield name, self.hashed(value)
                continue
            yield name, value
            if system:
                yield name, f"{system}|{value}"

    def hashed(self, text: str) -> str:
        """The keyed hash by which a person's identifier is searched."""
        told = "".join(text.split()).encode("utf-8", "surrogatepass")
        return hmac.new(self.pseudonym_key, b"search:" + told, hashlib.sha256).hexdigest()[:32]

    def patient_at(self, system: str, value: str) -> str:
        """The pseudonym of the person with that identifier."""
        return pseudonym(self.pseudonym_key, Subject(identifiers=((system, value),)))

    # --- a plan that is taken back ---

    def _undo(self, tx: Connection, told: _Told) -> list[str]:
        """Of plans whose newest message has been cancelled, what the last that stands says; their names.

        Whoever holds a part of such a plan gets its next version: as it was, or, where no message that
        stands has it, entered in error.
        """
        brought = {row: self._brought(tx, row) for row in sorted(self._void(tx, told.patient))}
        undone = []
        for plan in sorted({n for names in brought.values() for n in names if n.startswith("CarePlan/")}):
            row = resources.named(tx, *plan.split("/"))
            newest, *_ = versions = resources.versions(tx, row["id"]) if row is not None else [None]
            if newest is None or newest["message_row"] not in brought or newest["made"] == TAKEN_BACK:
                continue
            stands = next((v for v in versions if v is not None and v["message_row"] not in brought), None)
            found = self._bundle(tx, stands["message_row"]) if stands is not None else None
            places = {name: place for place, name in found.names.items()} if found is not None else {}
            others = {n for names in brought.values() if plan in names for n in names}
            for name in sorted({*places, *others}):
                self._put_back(tx, told, name, stands, places.get(name))
            undone.append(plan)
        return undone

    def _brought(self, tx: Connection, message_row: int) -> frozenset[str]:
        return frozenset(f"{v['type']}/{v['fhir_id']}" for v in resources.of_message(tx, message_row))

    def _void(self, tx: Connection, patient: str) -> frozenset[int]:
        """The rows of messages with a plan that have been cancelled."""
        plans = [
            (row, fact)
            for row, _, fact in case_rows.told(tx, patient)
            if isinstance(fact, Notice) and fact.kind in PLANS and row is not None
        ]
        if all(fact.standing is not Standing.CANCELLATION for _, fact in plans):
            return frozenset()
        entries = (entry for _, case in self.cases.folded(tx, patient) for entry in case.entries)
        void = {(entry.notice.sender, entry.notice.message_id) for entry in entries if entry.void}
        return frozenset(row for row, fact in plans if (fact.sender, fact.message_id) in void)

    def _put_back(
        self, tx: Connection, told: _Told, name: str, stands: Row | None, place: int | None
    ) -> None:
        """The next version of one part: as it stands in that message, else entered in error."""
        kind, _, fhir_id = name.partition("/")
        row = resources.named(tx, kind, fhir_id)
        newest = resources.version(tx, row["version"]) if row is not None else None
        if row is None or newest is None:
            return
        holders = [
            h for h in resources.holders(tx, row["id"]) if h["version"] == newest["id"] and h["shared"]
        ]
        if not holders:
            return
        made: dict[str, Any] = {**newest, "made": TAKEN_BACK}
        if stands is not None and place is not None:
            made |= {"made": None, "message_row": stands["message_row"], "place": place}
        content = self._rendered(tx, made, name)
        if content is None or (kind != "CarePlan" and self._says_the_same(tx, newest, name, content)):
            return
        at = told.row["received_at"]
        values_ = {key: made[key] for key in ("message_row", "place", "made", "case_id")}
        values_ |= {"at": at, "by": told.notice.sender}
        version = resources.add_version(tx, row["id"], values_, self.searched(content))
        for one in holders:
            who = Audience(party=one["party"], role=one["role"])
            resources.put(tx, who, kind, row["id"], told.patient, version, at, shared=True)

    # --- one message, for those who go on from it ---

    def notice_of(self, tx: Connection, message_row: int) -> tuple[Notice, Bundle]:
        """What a message that has been shelved told, and its Bundle; NotFound where its bytes are gone."""
        row = messages.get(tx, message_row)
        told = self._told(tx, row) if row is not None else None
        if told is None:
            raise _gone()
        return told.notice, told.bundle

    def names_in(self, tx: Connection, message_row: int) -> list[str]:
        """`Type/id` of everything that a message has put on the shelves."""
        found = self._bundle(tx, message_row)
        return list(dict.fromkeys(found.ways.values())) if found is not None else []

    def graph(self, tx: Connection, version: Row, *, parties: bool = False) -> dict[str, Resource]:
        """Every part of the message that a version stands in, by name, under our ids.

        With `parties` also the Organizations of parties, as the message wrote them.
        """
        found = self._bundle(tx, version["message_row"])
        if found is None:
            raise _gone()
        entries = self._as_of_now(tx, found)["entry"]
        graph = {
            name: renamed(entries[place]["resource"], name, found.ways)
            for place, name in found.names.items()
            if parties or not self._is_party(name)
        }
        gone = version["made"] == TAKEN_BACK
        return {n: taken_back(r) for n, r in graph.items()} if gone else graph

    def plans_in(self, tx: Connection, message_row: int, patient: str) -> dict[str, list[str]]:
        """The plans that a message has just brought, each with the parties that take part in it."""
        self.shelve_of(tx, patient)
        found = {}
        for name in self.names_in(tx, message_row):
            row = resources.named(tx, *name.split("/")) if name.startswith("CarePlan/") else None
            if row is not None:
                found[name] = self.taking_part(tx, row)
        return found

    def taking_part(self, tx: Connection, row: Row) -> list[str]:
        """The parties that have the newest version of a plan; who has only an older one has left it."""
        holders = resources.holders(tx, row["id"])
        return [h["party"] for h in holders if h["shared"] and h["version"] == row["version"]]

    def shelve_of(self, tx: Connection, patient: str) -> None:
        """Shelve everything that waits of that patient."""
        ids = case_rows.numbers_of(tx, patient)
        while self.shelve(tx, case_ids=ids):
            pass

    def overtaken(self, tx: Connection, bundle: Bundle, patient: str, sender: str) -> Phrase | None:
        """Why a plan that a message brings would undo somebody else's change; None where it would not.

        It would where the newest version is another party's, and the message does not say that it is made
        from that one (the extension `based-on`).
        """
        self.shelve_of(tx, patient)
        head = header(bundle) or {}
        for resource in of_every_type(bundle, "CarePlan"):
            given = str(resource.get("id", ""))
            row = self._held_by(tx, "CarePlan", given.lower(), sender) or resources.named(
                tx, "CarePlan", derived_id(given, sender, "CarePlan", patient)
            )
            newest = resources.version(tx, row["version"]) if row is not None else None
            if row is None or newest is None or row["patient"] != patient or newest["by"] == sender:
                continue
            name = f"CarePlan/{row['fhir_id']}/_history/{newest['number']}"
            if extension(head, "based-on") != name:
                return phrase(
                    "{party} has changed the plan meanwhile: read {version}, put both together, and "
                    "send that with the extension based-on",
                    party=newest["by"],
                    version=name,
                )
        return None

    def _held_by(self, tx: Connection, kind: str, fhir_id: str, party: str) -> Row | None:
        """The resource of that id, where its newest version is on that party's shelf.

        Who has left a plan holds an older one, and has no say in what became of it.
        """
        row = resources.named(tx, kind, fhir_id)
        if row is None:
            return None
        newest = [
            one["party"] for one in resources.holders(tx, row["id"]) if one["version"] == row["version"]
        ]
        return row if party in newest else None

    def organization_in(self, bundle: Bundle, party_id: str) -> Resource | None:
        """The Organization by which a message means that party."""
        return next(
            (
                item["resource"]
                for item in bundle["entry"]
                if item["resource"]["resourceType"] == "Organization"
                and address_of(item["resource"]).party_id == party_id
            ),
            None,
        )

    # --- for whom ---

    def audience_of(self, tx: Connection, message_row: int) -> list[Audience]:
        """Who sent a message that has been shelved, and who was addressed in it."""
        row = messages.get(tx, message_row)
        told = self._told(tx, row) if row is not None else None
        return self._audience(told) if told is not None else []

    def _audience(self, told: _Told) -> list[Audience]:
        """The sender and every addressed receiver, by the service that was addressed."""
        sending = follow(told.bundle, (header(told.bundle) or {}).get("sender"))
        sender = Audience(party=told.notice.sender, role=self._role(address_of(sending)))
        receivers = receivers_in(told.bundle)
        found = [sender]
        resolved = [(self.register.resolve(address, told.day), address) for address in receivers]
        for party in told.notice.receivers:
            roles = [self._role(address) for known, address in resolved if known and known.id == party]
            found += [Audience(party=party, role=role) for role in roles or [""]]
        if told.notice.kind in PLANS:
            known = {one.party for one in found}
            found += [Audience(party=p) for p in self.members(told.bundle, told.day) if p not in known]
        return list(dict.fromkeys(found))

    def members(self, bundle: Bundle, day: date) -> list[str]:
        """The parties in the CareTeams of a Bundle, as far as the register knows them on that day."""
        found = []
        for item in bundle.get("entry") or ():
            if item["resource"].get("resourceType") != "CareTeam":
                continue
            for member in values(item["resource"], "participant.member"):
                target = follow(bundle, member) if isinstance(member, dict) else None
                party = self._party_of(target, day)
                if party is not None:
                    found.append(party)
        return list(dict.fromkeys(found))

    def _party_of(self, organization: Resource | None, day: date) -> str | None:
        """The party that an Organization stands for, where somebody has registered it."""
        if organization is None or organization.get("resourceType") != "Organization":
            return None
        party = self.register.resolve(address_of(organization), day)
        return party.id if party is not None else None

    def _role(self, address: Address) -> str:
        """The role of the service that an address names, if it names one."""
        asked_for = set(address.identifiers)
        return next(
            (s.role for p in self.register.parties for s in p.services if asked_for & set(s.identifiers)), ""
        )

    # --- under which name ---

    def _is_party(self, name: str) -> bool:
        kind, _, found = name.partition("/")
        return kind == "Organization" and (self.register.open or self.register.party(found) is not None)

    def _names(self, tx: Connection, told: _Told) -> dict[int, str]:
        """`Type/id` of every entry that is served, by its place."""
        names = {}
        for place, item in enumerate(told.bundle["entry"]):
            resource = item["resource"]
            if resource["resourceType"] not in NOT_SERVED:
                names[place] = self._name(tx, told, place, resource)
        return names

    def _name(self, tx: Connection, told: _Told, place: int, resource: Resource) -> str:
        kind = resource["resourceType"]
        notice = told.notice
        if kind == "Patient":
            return f"Patient/{told.patient}"
        if kind == "Encounter":
            stay = notice.encounter or str(told.row["case_id"])
            return f"Encounter/{derived_id('stay', told.patient, notice.hospital or '', stay)}"
        if kind == "Organization":
            party = self._party_of(resource, told.day)
            if party is not None:
                return f"Organization/{party}"
        if kind == "Task" and self._is_answer(told, place):
            return f"Task/{self._answered_task(tx, told)}"
        given = str(resource.get("id") or told.bundle["entry"][place].get("fullUrl") or place)
        return f"{kind}/{self._own_id(tx, told, kind, given)}"

    def _own_id(self, tx: Connection, told: _Told, kind: str, given: str) -> str:
        """The id that the sender gave, where it is free or the sender's to change; else one made of it.

        An id of a sender's own making may hold anything, so only a UUID is kept as it is. What is made of it
        is of this patient only: a sender may number the parts of every plan from one.
        """
        free = given.lower() if is_uuid(given.lower()) else given
        derived = derived_id(given, told.notice.sender, kind, told.patient)
        row = resources.named(tx, kind, free)
        if row is None:
            return free if is_uuid(free) else derived
        return free if self._may_change(tx, told, row) else derived

    def _may_change(self, tx: Connection, told: _Told, row: Row) -> bool:
        """Whether a message may bring the next version: its sender's own, or a part of a plan in a plan."""
        held = self._held_by(tx, row["type"], row["fhir_id"], told.notice.sender)
        newest = resources.version(tx, row["version"])
        if held is None or newest is None or row["patient"] != told.patient:
            return False
        if newest["by"] == told.notice.sender:
            return True
        shelves = resources.holders(tx, row["id"])
        shared = any(one["shared"] for one in shelves if one["party"] == told.notice.sender)
        return told.notice.kind in PLANS and shared

    # --- made of the notice ---

    def _is_answer(self, told: _Told, place: int) -> bool:
        if told.notice.kind is not K.ANSWER:
            return False
        tasks = [n for n, i in enumerate(told.bundle["entry"]) if i["resource"]["resourceType"] == "Task"]
        return bool(tasks) and tasks[0] == place

    def _answered_task(self, tx: Connection, told: _Told) -> str:
        """The id of the Task that this answers: what the ready notice asked of the sender."""
        ready = self._ready(tx, told)
        about = ready.message_id if ready is not None else told.notice.message_id
        return derived_id(about, ready.sender if ready is not None else "", "receive", told.notice.sender)

    def _ready(self, tx: Connection, told: _Told) -> Notice | None:
        """The first notice of the thread of readiness that this one answers, corrects or takes back."""
        facts = [f for _, _, f in case_rows.facts(tx, told.patient) if isinstance(f, Notice)]
        ready = [f for f in facts if f.kind is K.READY_FOR_DISCHARGE]
        by_id = {f.message_id: f for f in ready}
        found = by_id.get(told.notice.refers_to or "")
        if found is None:
            earlier = [f for f in ready if f.sent_at <= told.notice.sent_at and f is not told.notice]
            found = max(earlier, key=lambda f: f.sent_at, default=None)
        seen: set[str] = set()
        while found is not None and found.standing is not Standing.NEW and found.message_id not in seen:
            seen.add(found.message_id)
            found = by_id.get(found.refers_to or "", found)
        return found

    def _put_made(self, tx: Connection, told: _Told, audience: list[Audience]) -> None:
        """The case itself, and what a notice of readiness asks of each municipality."""
        notice = told.notice
        name = f"EpisodeOfCare/case-{told.row['case_id']}"
        content: Resource = {"resourceType": "EpisodeOfCare", "id": name.partition("/")[2]}
        self._put(tx, told, name, content, audience, made=EPISODE)
        taken_back = notice.kind is K.READINESS_WITHDRAWN or notice.standing is Standing.CANCELLATION
        if notice.kind not in (K.READY_FOR_DISCHARGE, K.READINESS_WITHDRAWN):
            return
        first = notice if notice.standing is Standing.NEW and not taken_back else self._ready(tx, told)
        if first is None:
            return
        for receiver in audience[1:]:
            party = self.register.party(receiver.party)
            if party is not None and party.kind != "municipality":
                continue
            task = f"Task/{derived_id(first.message_id, first.sender, 'receive', receiver.party)}"
            made = f"{CALLED_OFF if taken_back else ASKED}:{receiver.party}"
            content = self._asked(first, told.row["case_id"], told.patient, task, receiver.party)
            if taken_back:
                content = called_off(content, notice.sent_at)
            sender = audience[0]
            self._put(tx, told, task, content, [sender, receiver], made=made)

    def _asked(self, first: Notice, case_id: int, patient: str, name: str, party: str) -> Resource:
        """What the first notice of a thread of readiness asks of a party."""
        stay = first.encounter or str(case_id)
        return asked(
            task_id=name.partition("/")[2],
            patient=patient,
            encounter=derived_id("stay", patient, first.hospital or "", stay),
            requester=first.sender,
            owner=party,
            authored=first.sent_at,
        )

    # --- reading ---

    def contents(
        self, tx: Connection, wanted: Sequence[tuple[Row, str]], eyes: Eyes
    ) -> list[Resource | None]:
        """Many versions with their names, as `content` has each; a message is read once for all its parts.

        One message after another is taken apart and let go: many at once would keep the collector busy.
        """
        places: dict[int, list[int]] = {}
        for place, (version, _) in enumerate(wanted):
            if version["place"] is not None and version["message_row"] not in self._bundles:
                places.setdefault(version["message_row"], []).append(place)
        made: dict[int, Resource | None] = {}
        told: _ToldTo = {}
        for row in messages.with_content(tx, list(places)):
            at_hand = self._taken_apart(row)
            for p in places[row["id"]]:
                made[p] = self.content(tx, *wanted[p], eyes, at_hand=at_hand, told=told)
        return [
            made[place] if place in made else self.content(tx, version, name, eyes, told=told)
            for place, (version, name) in enumerate(wanted)
        ]

    def content(
        self,
        tx: Connection,
        version: Row,
        name: str,
        eyes: Eyes,
        *,
        at_hand: _Named | None = None,
        told: "_ToldTo | None" = None,
    ) -> Resource | None:
        """One version as it is served, with its number and time; None where its message's bytes are gone.

        `told` keeps what each message may tell for further parts of it.
        """
        if version["made"] == EPISODE:
            made = self._episode(tx, version, eyes)
        else:
            made = self._rendered(tx, version, name, eyes, at_hand, told)
        if made is None:
            return None
        return versioned(made, version["number"], _instant(version["at"]))

    def _rendered(
        self,
        tx: Connection,
        version: Row,
        name: str,
        eyes: Eyes | None = None,
        at_hand: _Named | None = None,
        told: "_ToldTo | None" = None,
    ) -> Resource | None:
        """With `eyes` only what such a message may tell them; None where that is nothing."""
        made, place = version["made"], version["place"]
        if place is None:
            return self._made(tx, version, name, made)
        found = at_hand or self._bundle(tx, version["message_row"])
        if found is None:
            return None
        item = found.bundle["entry"][place]
        if eyes is not None and eyes.parties and version["by"] not in eyes.parties:
            message_row = version["message_row"]
            seen = told.get(message_row) if told is not None else None
            if seen is None:
                seen = self._told_to(tx, version, found, eyes.parties)
                if told is not None:
                    told[message_row] = seen
            item = seen.get(item["fullUrl"])
            if item is None:
                return None
        content = renamed(item["resource"], name, found.ways)
        if made == ANSWERED:
            return self._with_question(tx, version["resource"], name, content)
        return taken_back(content) if made == TAKEN_BACK else content

    def _told_to(
        self, tx: Connection, version: Row, found: _Named, parties: Sequence[str]
    ) -> dict[str, Resource]:
        """The entries of a message as it may tell them to these parties, by their address."""
        reader = self._reading_party(tx, version, parties)
        seen = self._allowed(self._as_of_now(tx, found), found.kind, reader)
        return {item["fullUrl"]: item for item in reversed(seen["entry"])}

    def _reading_party(self, tx: Connection, version: Row, parties: Sequence[str]) -> str:
        """As which of their parties they read a message: of several kinds, as the one that was addressed."""
        known = (self.register.party(one) for one in parties)
        if len({one.kind for one in known if one is not None}) < 2:
            return parties[0]
        addressed = (one.party for one in self.audience_of(tx, version["message_row"]))
        return next((one for one in addressed if one in parties), parties[0])

    def _as_of_now(self, tx: Connection, found: _Named) -> Bundle:
        """The message, its Patient marked where the identity is protected by now, whatever it was then."""
        places = [place for place, name in found.names.items() if name.startswith("Patient/")]
        patients = {found.names[place].partition("/")[2] for place in places}
        if not any(protections.is_protected(tx, one) for one in patients):
            return found.bundle
        return as_protected(found.bundle)

    def _with_question(self, tx: Connection, resource_id: int, name: str, answer: Resource) -> Resource:
        """What the notice of readiness has asked, answered; the answer alone where there was no question."""
        first = resources.numbered(tx, resource_id, 1)
        asked_first = (
            self._rendered(tx, first, name) if first is not None and first["place"] is None else None
        )
        return answered(asked_first, answer) if asked_first is not None else answer

    def _made(self, tx: Connection, version: Row, name: str, made: str) -> Resource | None:
        what, _, party = made.partition(":")
        case = case_rows.get(tx, version["case_id"])
        first = resources.numbered(tx, version["resource"], 1)
        if case is None or first is None:
            return None
        asking = self._notice(tx, first["message_row"], case["patient"])
        if asking is not None and is_report(version):
            fhir_id, since = name.partition("/")[2], version["at"]
            return report_task(asking, first["case_id"], case["patient"], fhir_id, made, since)
        notice = self._notice(tx, version["message_row"], case["patient"])
        if asking is None or notice is None:
            return None
        task = self._asked(asking, first["case_id"], case["patient"], name, party)
        return called_off(task, notice.sent_at) if what == CALLED_OFF else task

    def _notice(self, tx: Connection, message_row: int, patient: str) -> Notice | None:
        row = messages.get(tx, message_row)
        own = (row["sender"], _first_id(row)) if row is not None else None
        facts = (fact for _, _, fact in case_rows.facts(tx, patient))
        return next((f for f in facts if isinstance(f, Notice) and (f.sender, f.message_id) == own), None)

    def _bundle(self, tx: Connection, message_row: int) -> _Named | None:
        """A message's Bundle, and where its references lead; None where its bytes are gone."""
        known = self._bundles.get(message_row)
        for row in messages.with_content(tx, [message_row]) if known is None else ():
            known = self._taken_apart(row)
            if not tx.get_execution_options().get("writes"):  # until its commit, its number is nobody's
                self._remember(message_row, known)
        return known

    def _taken_apart(self, row: Row) -> _Named:
        """A message that has been shelved, with its content."""
        bundle = self._read(row, row["content"])
        names = _own_names(bundle)
        names |= {int(k): v for k, v in orjson.loads(row["shelved_as"] or b"{}").items()}
        kind = event_kind(header(bundle) or {})
        return _Named(bundle=bundle, kind=kind, names=names, ways=led(bundle, names))

    def _remember(self, message_row: int, named: _Named) -> None:
        """It takes the place of what has been remembered longest."""
        with self._remembering:
            self._bundles[message_row] = named
            for oldest in list(self._bundles)[: max(0, len(self._bundles) - _REMEMBERED)]:
                del self._bundles[oldest]

    def _was_told(self, tx: Connection, eyes: Eyes, notice: Notice, message_row: int | None) -> bool:
        """Whether they sent a notice or were addressed in it; a machine of one service, as that service."""
        if eyes.parties is None:
            return True
        if not set(eyes.parties) & {notice.sender, *notice.receivers}:
            return False
        if not eyes.roles or message_row is None:
            return not eyes.roles
        return any(eyes.sees(one.party, one.role) for one in self.audience_of(tx, message_row))

    def _episode(self, tx: Connection, version: Row, eyes: Eyes) -> Resource | None:
        """The case as far as its reader was told of it up to that message."""
        case = case_rows.get(tx, version["case_id"])
        if case is None:
            return None
        told: list[Fact] = []
        ids: dict[tuple[str, str], int] = {}
        everything = case_rows.told(tx, case["patient"])
        for message_row, case_id, fact in everything:
            if isinstance(fact, Notice):
                if message_row is not None and message_row > version["message_row"]:
                    continue
                if self._was_told(tx, eyes, fact, message_row):
                    told.append(fact)
                    ids[fact.sender, fact.message_id] = case_id
        told += [
            fact
            for _, _, fact in everything
            if isinstance(fact, Evidence) and (fact.sender, fact.message_id) in ids
        ]
        for folded in self.cases.fold(told):
            for entry in folded.entries:
                if ids[entry.notice.sender, entry.notice.message_id] == case["id"]:
                    return episode(case["id"], case["patient"], folded)
        return None


def _own_name(resource: Resource) -> str:
    return f"{resource['resourceType']}/{str(resource.get('id', '')).lower()}"


def _own_names(bundle: Bundle) -> dict[int, str]:
    """The names that parts give themselves, by place."""
    return {
        place: _own_name(item["resource"])
        for place, item in enumerate(bundle["entry"])
        if item["resource"]["resourceType"] not in NOT_SERVED
    }


def _first_id(row: Row) -> str:
    return str(row["message_id"])


def _parties(content: Resource, path: str) -> Iterator[str]:
    for found in values(content, path):
        kind, _, party = str(found.get("reference", "")).partition("/")
        if kind == "Organization":
            yield party


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _gone() -> NotFound:
    return NotFound(phrase("the message that it stands in is gone: retention has removed it"))
