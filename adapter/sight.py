"""What a person may see of cases: what their parties have sent, or were addressed in.

Sharing a patient is not sharing the record: of a case that several parties know, each sees its own notices.
A host sees what came for those it serves, and a successor what came for those it succeeded. Every list,
count, page and action of a board asks here, so that what is not to be seen is as if it were not there.

Emergency access opens everything about one patient for a while, to be read and not to be acted on. It does
not lift a protected identity: that is for named staff who care for patients (process 29).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from sqlalchemy import Connection

from adapter.discharge.case import Case, Entry
from adapter.discharge.notices import Notice
from adapter.messaging.people import CARE, KINDS, Person, Role
from adapter.messaging.register import Register
from adapter.store import parties as party_rows
from adapter.store import protections
from adapter.store.resources import Eyes
from adapter.store.statements import Row


def openable(tx: Connection, person: Person, opened: Mapping[str, str]) -> dict[str, str]:
    """Of the patients to whom somebody has emergency access, those whom it opens.

    Where somebody with a protected identity is, an account that several people use is not told either.
    """
    closed = frozenset() if person.named or not opened else protections.among(tx, opened)
    return {patient: why for patient, why in opened.items() if patient not in closed}


@dataclass(frozen=True, kw_only=True)
class Sight:
    """One person's look at the region."""

    person: Person
    register: Register
    emergencies: Mapping[str, str] = field(default_factory=dict)  # pseudonym -> the reason that was given

    opened: bool = False  # this look is at a patient to whom there is emergency access

    @cached_property
    def parties(self) -> frozenset[str] | None:
        """The parties whose messages the person sees; None sees everybody's."""
        return None if self.opened else self._own

    @cached_property
    def _own(self) -> frozenset[str] | None:
        """Those in whose name the person may speak; None is everybody's."""
        if self.person.parties is None:
            return None
        known = (self.register.party(party) for party in self.person.parties)
        found = {party for one in known if one is not None for party in self.register.spoken_for(one)}
        return frozenset(found | set(self.person.parties))

    def over(self, patient: str) -> "Sight":
        """The look at one patient: at everything, to be read, while there is emergency access."""
        return replace(self, opened=True) if patient in self.emergencies else self

    @property
    def eyes(self) -> Eyes:
        """The same for what is read on the shelves."""
        return Eyes(parties=None if self.parties is None else tuple(sorted(self.parties)))

    @property
    def patients(self) -> bool:
        """Whether the person sees patients by name: those who care for them do."""
        return self.person.holds(*CARE)

    @property
    def faceless(self) -> bool:
        """Whether those who look care for patients, and nobody knows which of several people it is."""
        return self.patients and not self.person.named

    def may_name(self, protected: bool) -> bool:
        """Whether the person sees who a patient is: name, address, telephone, next of kin and place.

        Of somebody with a protected identity only named staff who care for patients do; for all others the
        patient is neither listed nor counted in what would tell who it is.
        """
        return self.patients and (self.person.named or not protected)

    def protected(self, tx: Connection, patient: str) -> bool:
        """Whether that patient's identity is protected."""
        return protections.is_protected(tx, patient)

    def acts_for(self, party: str | None) -> bool:
        """Whether the person may tell something in the name of that party."""
        return self.patients and party is not None and (self._own is None or party in self._own)

    def sees_case(self, tx: Connection, row: Row) -> bool:
        """Whether one of the person's parties takes part in the case, or there is emergency access.

        To an account that several people use, the case of somebody with a protected identity is not there.
        """
        if self.faceless and self.protected(tx, row["patient"]):
            return False
        if self.parties is None or row["patient"] in self.emergencies:
            return True
        return party_rows.takes_part(tx, row["id"], self.parties)

    def sees_notice(self, notice: Notice) -> bool:
        """Whether it was sent by, or addressed to, one of the person's parties."""
        return self.parties is None or not self.parties.isdisjoint((notice.sender, *notice.receivers))

    def entries(self, case: Case) -> tuple[Entry, ...]:
        """Those of the case's entries that the person may see, in event order."""
        return tuple(entry for entry in case.entries if self.sees_notice(entry.notice))

    def own(self, role: Role) -> tuple[str, ...]:
        """The person's parties for which that role can be held, in the register's order."""
        if not self.person.holds(role):
            return ()
        every = self.person.parties is None
        mine = set(self.person.parties or ())
        return tuple(p.id for p in self.register.parties if (every or p.id in mine) and p.kind in KINDS[role])
