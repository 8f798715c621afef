"""What a person may see of cases: what their parties have sent, or were addressed in.

Sharing a patient is not sharing the record: of a case that several parties know, each sees its own notices.
A host sees what came for those it serves, and a successor what came for those it succeeded. Every list,
count, page and action of a board asks here, so that what is not to be seen is as if it were not there.
"""

from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Connection

from adapter.discharge.case import Case, Entry
from adapter.discharge.notices import Notice
from adapter.messaging.people import CARE, Person, Role
from adapter.messaging.register import Register
from adapter.store import parties as party_rows
from adapter.store.resources import Eyes
from adapter.store.statements import Row


@dataclass(frozen=True, kw_only=True)
class Sight:
    """One person's look at the region."""

    person: Person
    register: Register

    @cached_property
    def parties(self) -> frozenset[str] | None:
        """The parties whose messages the person sees; None sees everybody's."""
        if self.person.parties is None:
            return None
        known = (self.register.party(party) for party in self.person.parties)
        found = {party for one in known if one is not None for party in self.register.spoken_for(one)}
        return frozenset(found | set(self.person.parties))

    @property
    def eyes(self) -> Eyes:
        """The same for what is read on the shelves."""
        return Eyes(parties=None if self.parties is None else tuple(sorted(self.parties)))

    @property
    def patients(self) -> bool:
        """Whether the person sees patients by name: those who care for them do."""
        return self.person.holds(*CARE)

    def acts_for(self, party: str | None) -> bool:
        """Whether the person may tell something in the name of that party."""
        return self.patients and party is not None and (self.parties is None or party in self.parties)

    def sees_case(self, tx: Connection, row: Row) -> bool:
        """Whether one of the person's parties takes part in the case."""
        return self.parties is None or party_rows.takes_part(tx, row["id"], self.parties)

    def sees_notice(self, notice: Notice) -> bool:
        """Whether it was sent by, or addressed to, one of the person's parties."""
        return self.parties is None or not self.parties.isdisjoint((notice.sender, *notice.receivers))

    def entries(self, case: Case) -> tuple[Entry, ...]:
        """Those of the case's entries that the person may see, in event order."""
        return tuple(entry for entry in case.entries if self.sees_notice(entry.notice))

    def own(self, role: Role, kinds: tuple[str, ...]) -> tuple[str, ...]:
        """The person's parties of these kinds, in the register's order: whose board it is."""
        if not self.person.holds(role):
            return ()
        every = self.person.parties is None
        mine = set(self.person.parties or ())
        return tuple(p.id for p in self.register.parties if (every or p.id in mine) and p.kind in kinds)
