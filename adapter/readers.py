"""Who reads at /fhir, and what they find: only what lies on their own shelves.

Every look at a patient's data is written down, with who looked and how much was found; a party can read its
own entries as AuditEvents.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from adapter.fhir.auditing import audit_event
from adapter.fhir.bundles import Resource
from adapter.fhir.searching import Query, Term
from adapter.fhir.serving import includes, references
from adapter.messaging.register import Party
from adapter.shelves import PLANS, Shelves
from adapter.store import cases as case_rows
from adapter.store import messages, resources
from adapter.store.resources import Eyes, Wanted
from adapter.store.statements import Row
from adapter.store.tables import instant, microseconds

_MOST_INCLUDED = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """What a search has found: the matches, what they lead to, and where the next page begins."""

    matches: tuple[Resource, ...]
    included: tuple[Resource, ...] = ()
    after: tuple[Any, ...] | None = None
    total: int | None = None
    patients: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """One caller over the shelves."""

    shelves: Shelves
    eyes: Eyes
    partner: str | None  # who looks; None where nobody must sign in

    # --- one resource ---

    def read(self, tx: Connection, kind: str, fhir_id: str) -> Resource | None:
        """The newest version that the caller may see; None where there is none, or not for this caller."""
        if kind == "Organization":
            party = self.shelves.register.party(fhir_id)
            if party is not None:
                return organization(party)
        if kind == "AuditEvent":
            looks = resources.Looks(numbers=_numbers((fhir_id,)))
            rows = resources.accesses(tx, self.partner, looks, limit=1)
            return audit_event(rows[0]) if rows else None
        row = resources.seen(tx, self.eyes, kind, fhir_id)
        return self._content(tx, row) if row is not None else None

    def vread(self, tx: Connection, kind: str, fhir_id: str, number: int) -> Resource | None:
        """That version, where the caller may see it."""
        row = resources.seen(tx, self.eyes, kind, fhir_id)
        version = resources.numbered(tx, row["resource"], number) if row is not None else None
        if row is None or version is None or not self._may_see(tx, row, version):
            return None
        return self.shelves.content(tx, version, f"{kind}/{fhir_id}", self.eyes)

    def history(self, tx: Connection, kind: str, fhir_id: str, limit: int) -> list[tuple[Resource, Row]]:
        """The versions that the caller may see, newest first, each with its row."""
        row = resources.seen(tx, self.eyes, kind, fhir_id)
        if row is None:
            return []
        told: list[tuple[Resource, Row]] = []
        for version in resources.versions(tx, row["resource"]):
            if len(told) < limit and self._may_see(tx, row, version):
                content = self.shelves.content(tx, version, f"{kind}/{fhir_id}", self.eyes)
                if content is not None:
                    told.append((content, version))
        return told

    def _may_see(self, tx: Connection, row: Row, version: Row) -> bool:
        """What came after the newest on their shelf is not theirs; of a plan they see all of its past."""
        if self.eyes.parties is None or version["id"] == row["version"]:
            return True
        if version["id"] > row["version"]:
            return False
        if row["shared"] and self._is_of_a_plan(tx, version):
            return True
        return any(
            self.eyes.sees(one.party, one.role)
            for one in self.shelves.audience_of(tx, version["message_row"])
        )

    def _is_of_a_plan(self, tx: Connection, version: Row) -> bool:
        message = messages.get(tx, version["message_row"])
        return message is not None and message["type"] in PLANS

    def _content(self, tx: Connection, row: Row) -> Resource | None:
        return self.shelves.content(tx, *_version_and_name(row), self.eyes)

    def of_case(self, tx: Connection, case_id: int) -> list[Resource]:
        """Everything that the caller may read of a case, each in its newest version."""
        return [content for content, _ in self.told_in_case(tx, case_id)]

    def told_in_case(self, tx: Connection, case_id: int) -> list[tuple[Resource, Row]]:
        """The same, each with its version: who has told it, and in which message."""
        case = case_rows.get(tx, case_id)
        if case is None:
            return []
        rows = resources.of_case(tx, self.eyes, case["patient"], case_rows.with_aliases(tx, case))
        rows = [row for row in rows if row["type"] != "EpisodeOfCare"]
        found = self.shelves.contents(tx, [_version_and_name(row) for row in rows], self.eyes)
        pairs = zip(found, rows, strict=True)
        return [(content, resources.version_in(row)) for content, row in pairs if content is not None]

    def kind(self) -> str:
        """What kind of party the caller speaks for; the first of several."""
        party = self.shelves.register.party(self.eyes.parties[0]) if self.eyes.parties else None
        return party.kind if party is not None else "unknown"

    def parties(self) -> list[Resource]:
        """The caller's own parties."""
        known = (self.shelves.register.party(party) for party in self.eyes.parties or ())
        return [organization(party) for party in known if party is not None]

    # --- a search ---

    def search(self, tx: Connection, query: Query) -> Page:
        """A page of what matches."""
        if query.kind == "AuditEvent":
            return self._audit_page(tx, query)
        if query.kind == "Organization":
            return self._organizations(query)
        wanted = self._wanted(query)
        total = resources.count(tx, self.eyes, wanted) if query.total else None
        if query.only_count:
            return Page(matches=(), total=total)
        return self._page(tx, query, wanted, total)

    def _page(self, tx: Connection, query: Query, wanted: Wanted, total: int | None) -> Page:
        rows = resources.search(tx, self.eyes, wanted)
        more, rows = len(rows) > query.count, rows[: query.count]
        found = self.shelves.contents(tx, [_version_and_name(row) for row in rows], self.eyes)
        matches = tuple(c for c in found if c is not None and self._fits(query, c))
        after = None
        if more:
            last = rows[-1]
            after = (last["fhir_id"],) if query.by_id else (microseconds(last["at"]), last["resource"])
        return Page(
            matches=matches,
            included=tuple(self._included(tx, query, matches)),
            after=after,
            total=total,
            patients=frozenset(row["patient"] for row in rows),
        )

    def _fits(self, query: Query, content: Resource) -> bool:
        """An episode's status is what its reader knows of it, so it is looked at here."""
        if query.kind != "EpisodeOfCare":
            return True
        return all(
            content.get("status") in {value for _, value in term.values}
            for term in query.terms
            if term.name == "status"
        )

    def _wanted(self, query: Query) -> Wanted:
        after = query.after
        if after is not None and len(after) != (1 if query.by_id else 2):
            after = None
        elif after is not None and not query.by_id:
            after = (instant(after[0]), after[1])
        return Wanted(
            kind=query.kind,
            ids=query.ids,
            patients=self._patients(query),
            terms=tuple(
                (term.name, tuple(self._values(query.kind, term)))
                for term in query.terms
                if not (query.kind == "EpisodeOfCare" and term.name == "status")
            ),
            since=query.since,
            until=query.until,
            by_id=query.by_id,
            ascending=query.ascending,
            after=after,
            limit=query.count + 1,
        )

    def _patients(self, query: Query) -> tuple[str, ...] | None:
        patients = None if query.patients is None else set(query.patients)
        for group in query.patient_identifiers:
            known = {self.shelves.patient_at(system, value) for system, value in group if system is not None}
            patients = known if patients is None else patients & known
        return None if patients is None else tuple(patients)

    def _values(self, kind: str, term: Term) -> Iterable[str]:
        for system, value in term.values:
            said = value if system is None else f"{system}|{value}"
            yield said
            if term.name == "identifier":
                yield self.shelves.hashed(said)
            if term.param.kind == "reference":
                yield value.partition("/_history/")[0]

    def _included(self, tx: Connection, query: Query, matches: Sequence[Resource]) -> Iterable[Resource]:
        known = includes(query.kind)
        names = known if "*" in query.include else query.include
        seen = {f"{m['resourceType']}/{m['id']}" for m in matches}
        targets = (t for name in names for m in matches for t in references(m, known[name].path))
        for target in targets:
            kind, _, fhir_id = target.partition("/_history/")[0].partition("/")
            if target in seen or not fhir_id or len(seen) > _MOST_INCLUDED + len(matches):
                continue
            seen.add(target)
            found = self.read(tx, kind, fhir_id)
            if found is not None:
                yield found

    # --- parties, and who has looked ---

    def _organizations(self, query: Query) -> Page:
        wanted = {pair for term in query.terms if term.name == "identifier" for pair in term.values}
        found = []
        for party in self.shelves.register.parties:
            told = {*party.identifiers, *((None, value) for _, value in party.identifiers)}
            if (query.ids is None or party.id in query.ids) and (not wanted or told & wanted):
                found.append(organization(party))
        total = len(found) if query.total else None
        return Page(matches=() if query.only_count else tuple(found[: query.count]), total=total)

    def _audit_page(self, tx: Connection, query: Query) -> Page:
        looks = resources.Looks(
            patients=self._patients(query),
            numbers=None if query.ids is None else _numbers(query.ids),
            since=query.since,
            until=query.until,
        )
        total = resources.count_accesses(tx, self.partner, looks) if query.total else None
        if query.only_count:
            return Page(matches=(), total=total)
        after = query.after[-1] if query.after is not None and len(query.after) == 2 else None
        rows = resources.accesses(
            tx, self.partner, looks, limit=query.count + 1, after=after, ascending=query.ascending
        )
        more, rows = len(rows) > query.count, rows[: query.count]
        next_ = (0, rows[-1]["id"]) if more else None
        return Page(matches=tuple(map(audit_event, rows)), after=next_, total=total)

    def looked(
        self, tx: Connection, what: str, kind: str, fhir_id: str | None, patients: Iterable[str], found: int,
        now: datetime,
    ) -> None:  # fmt: skip
        """Write down that the caller has looked; a line for every patient whose data was shown."""
        row = {
            "at": now,
            "partner": self.partner,
            "what": what,
            "type": kind,
            "fhir_id": fhir_id,
            "found": found,
        }
        shown: list[str | None] = [*sorted(set(patients))] or [None]
        resources.accessed(tx, [row | {"patient": one} for one in shown])


def _numbers(ids: Iterable[str]) -> tuple[int, ...]:
    """The ids that a look-up may have."""
    return tuple(int(one) for one in ids if one.isascii() and one.isdigit() and len(one) < 19)


def _version_and_name(row: Row) -> tuple[Row, str]:
    return resources.version_in(row), f"{row['type']}/{row['fhir_id']}"


def organization(party: Party) -> Resource:
    """A party of the region as an Organization."""
    made: Resource = {
        "resourceType": "Organization",
        "id": party.id,
        "identifier": [{"system": system, "value": value} for system, value in party.identifiers],
        "active": True,
        "name": party.name,
    }
    if not made["identifier"]:
        del made["identifier"]
    return made


def patient_of(content: Mapping[str, Any]) -> str | None:
    """The pseudonym of the patient whom a served resource is about."""
    if content["resourceType"] == "Patient":
        return str(content["id"])
    for path in includes(content["resourceType"]).values():
        for target in references(dict(content), path.path):
            if target.startswith("Patient/"):
                return target.partition("/")[2]
    return None
