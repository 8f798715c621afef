"""The region's HER-ids held against the address register: who is unknown, has ended, is called otherwise.

What would send a patient's notice astray is a problem; what may only be written differently is a warning.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime

from adapter.messaging.communication_party import CommunicationParty, PartyKind
from adapter.messaging.envelope import HER, masked
from adapter.messaging.register import Party, Register, Service

ORGANISATION_NUMBER = "urn:oid:2.16.578.1.12.4.1.4.101"
"""Identifier system of the Norwegian organisation number (ENH)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A HER-id of the region file: a party's own, or that of one of its services."""

    her_id: str
    party: Party
    service: Service | None = None

    @property
    def where(self) -> str:
        """The entry, as the region file has it."""
        at = f"[[party]] id = {self.party.id!r}"
        return at if self.service is None else f"{at}: [[party.service]] role = {self.service.role!r}"

    @property
    def name(self) -> str | None:
        """What the region file calls it; a service need have no name."""
        return self.party.name if self.service is None else self.service.name


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """A sentence on what differs, where, and what to do."""

    text: str
    problem: bool


def entries(register: Register, day: date) -> tuple[Entry, ...]:
    """Every HER-id of the parties that exist on `day`, in the order of the file."""
    living = [party for party in register.parties if party.valid_on(day)]
    return tuple(entry for party in living for entry in _entries(party))


def _entries(party: Party) -> Iterator[Entry]:
    for number in _numbers(party.identifiers, HER):
        yield Entry(her_id=number, party=party)
    for service in party.services:
        for number in _numbers(service.identifiers, HER):
            yield Entry(her_id=number, party=party, service=service)


def _numbers(identifiers: Iterable[tuple[str, str]], system: str) -> list[str]:
    return [value for kind, value in identifiers if kind == system]


def no_her_id(entry: Entry) -> Difference:
    """What stands there as a HER-id is none."""
    text = f"{entry.where}: a HER-id is a number of 1 to 9 digits; correct the identifier"
    return Difference(text=text, problem=True)


def differences(entry: Entry, found: CommunicationParty | None, now: datetime) -> list[Difference]:
    """What the register says of an entry that the region file does not; `now` is in their zone."""
    at = f"{entry.where}: HER-id {entry.her_id}"
    if found is None:
        text = f"{at} is unknown to the address register; correct it, or ask {entry.party.name} for theirs"
        return [Difference(text=text, problem=True)]
    said = [(text, True) for text in _over(found, now)] or [(text, False) for text in _unlike(entry, found)]
    return [Difference(text=f"{at} {text}", problem=problem) for text, problem in said]


def _over(found: CommunicationParty, now: datetime) -> Iterator[str]:
    """Why nothing should be sent there now."""
    what_to_do = "ask whom it has given way to, correct the identifier, or give the party a valid_to"
    if found.valid_to is not None and found.valid_to <= now:
        yield f"has ended in the address register, on {_day(found.valid_to, now)}; {what_to_do}"
    elif not found.active:
        yield f"is not active in the address register; {what_to_do}"
    elif found.valid_from is not None and now < found.valid_from:
        yield (
            f"begins in the address register on {_day(found.valid_from, now)}; wait until then, or give the "
            "party a valid_from"
        )


def _day(moment: datetime, now: datetime) -> date:
    return moment.astimezone(now.tzinfo).date()


def _unlike(entry: Entry, found: CommunicationParty) -> Iterator[str]:
    """What it is called, and whose it is, where that is said otherwise."""
    if entry.name and found.names and _plain(entry.name) not in map(_plain, found.names):
        told = " or ".join(repr(masked(name)) for name in found.names)
        yield (
            f"is called {told} in the address register, and {entry.name!r} here; is it the right HER-id? "
            "Correct the one or the other"
        )
    if entry.service is not None:
        yield from _of_another(entry, found)
    yield from _other_number(entry, found)


def _of_another(entry: Entry, found: CommunicationParty) -> Iterator[str]:
    """A service below another organisation than the party it stands under here."""
    above = _numbers(entry.party.identifiers, HER)
    if found.kind is PartyKind.ORGANISATION and found.parent_her_id is None:
        yield "is an organisation in the address register, and a service here; give the service's own HER-id"
    elif above and found.parent_her_id is not None and found.parent_her_id not in above:
        told = f"{masked(found.parent_name)!r} " if found.parent_name else ""
        yield (
            f"belongs to {told}(HER-id {found.parent_her_id}) in the address register, and to "
            f"{entry.party.name!r} here; correct the one or the other"
        )


def _other_number(entry: Entry, found: CommunicationParty) -> Iterator[str]:
    """Another organisation number than the region file has for the party."""
    ours = _numbers(entry.party.identifiers, ORGANISATION_NUMBER)
    theirs = found.organisation_number or found.parent_organisation_number
    if ours and theirs is not None and theirs not in ours:
        yield (
            f"has the organisation number {theirs} in the address register, and {' or '.join(ours)} here; "
            "correct the one or the other"
        )


def _plain(name: str) -> str:
    """A name without what differs from hand to hand: the register has many in capitals."""
    return " ".join(name.casefold().split())
