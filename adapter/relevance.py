"""Whom a party of ours may know of: what hospitals tell of a stay is weighed before any of it is stored.

A municipality that is told of somebody's admission without having anything to do with that person has no
legal basis to keep it (D-09, process.md 26): it is acknowledged, and only that it came and its hash stay. A
*roster* says who is the municipality's; an open case says so too, and what corrects or cancels what we hold.
Without a roster that can be trusted nothing is decided: the message stays where it is, with its sender.
"""

import hmac
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo

from sqlalchemy import Connection

from adapter.cases import pseudonym
from adapter.discharge.notices import NoticeKind, Standing
from adapter.errors import MessageError, NotDecided
from adapter.fhir.bundles import Subject
from adapter.fhir.notices import subject_in
from adapter.incoming import Incoming, Prepared
from adapter.mappings.medcom import words
from adapter.messaging.register import Party, Register, Side
from adapter.phrases import phrase
from adapter.store import cases as case_rows
from adapter.store import messages, parties

TOLD = frozenset(
    {
        NoticeKind.ADMITTED,
        NoticeKind.LEAVE_STARTED,
        NoticeKind.LEAVE_ENDED,
        NoticeKind.DISCHARGED,
        NoticeKind.DECEASED,
    }
)
"""What a HospitalNotification can say; the law asks what is told, not in which dialect."""

_TYPES = frozenset((*TOLD, words.HOSPITAL_NOTIFICATION, "STIN", "STAA", "STOR", "SLOR", "SLHJ", words.DEATH))
"""How their envelopes call such messages, new ones, corrections and cancellations alike."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Roster:
    """Whom a party may be told of: keyed hashes, never numbers."""

    numbers: frozenset[bytes] = field(repr=False)
    as_of: datetime  # when its keeper last said so


Rosters = Callable[[str], Roster | None]
"""What is known now of a party's roster, by its id; None where it cannot be read."""


def hashed(key: bytes, number: str) -> bytes:
    """An identity number as a roster holds it in memory: 128 bits under a key of the store."""
    plain = "".join(number.split()).replace("-", "").upper()
    return hmac.digest(key, b"roster|" + plain.encode(), "sha256")[:16]


def nobody(_party: str) -> Roster | None:
    """The roster of a region in which none can be read."""
    return None


@dataclass(frozen=True, kw_only=True)
class Relevance:
    """Each addressed party of ours that has a roster decides for itself; who has none keeps everything."""

    register: Register
    zone: tzinfo
    key: bytes = field(repr=False)
    rosters: Rosters = nobody

    def weighed(self, tx: Connection, prepared: Prepared, now: datetime) -> Prepared:
        """The same, with those who must not get it, and whether anybody may keep what it says.

        Raises NotDecided where a roster is wanting. What was decided when it first came is not asked again.
        """
        reading = prepared.reading
        if reading is None or self.register.open or not _tells_of_a_stay(prepared):
            return prepared
        day = now.astimezone(self.zone).date()
        known = [self.register.resolve(address, day) for address in reading.envelope.receivers]
        asked = {p.id: p for p in known if p is not None and p.side is Side.OURS and p.roster is not None}
        if not asked:
            return prepared
        sender = self.register.resolve(reading.envelope.sender, day)
        try:
            without = {p.id for p in asked.values() if not self._may_know(tx, p, prepared, sender, now)}
        except NotDecided:
            released = prepared.incoming.channel == "release"
            if released or not _came_before(tx, sender, reading.envelope.message_id):
                raise
            without = set(asked)  # its answer is known, and nothing more is stored of it
        others = any(party is not None and party.id not in without for party in known)
        kept = others or not without or _speaks_for_ours(sender, prepared.incoming)
        return replace(prepared, not_for=frozenset(without), kept=kept)

    def may_know(
        self, tx: Connection, party: Party, prepared: Prepared, sender: Party, now: datetime
    ) -> bool:
        """Whether that party may be told of it; who has no roster may be told of everything."""
        asked = party.side is Side.OURS and party.roster is not None and not self.register.open
        if not asked or not _tells_of_a_stay(prepared):
            return True
        return self._may_know(tx, party, prepared, sender, now)

    def _may_know(
        self, tx: Connection, party: Party, prepared: Prepared, sender: Party | None, now: datetime
    ) -> bool:
        """Whether the patient is one of that party's."""
        subject = _subject(prepared)
        if subject is None:
            return False  # it says of nobody that could be
        patient = pseudonym(self.key, subject)
        case_rows.alone_with(tx, patient)  # a case that another process opens now must be seen
        if parties.open_with(tx, patient, party.id) or _about_what_we_hold(tx, party, prepared, sender):
            return True
        roster = self.rosters(party.id)
        assert party.roster is not None
        if roster is None or now - roster.as_of > party.roster.within:
            raise NotDecided(
                phrase(
                    "whether {party} may be told of this patient cannot be said, for its roster is missing "
                    "or too old; see the alarm `roster`",
                    party=party.id,
                )
            )
        return any(hashed(self.key, value) in roster.numbers for _, value in subject.identifiers)


def _tells_of_a_stay(prepared: Prepared) -> bool:
    """Whether it says what a HospitalNotification can; also where it could be read only in part."""
    if prepared.notice is not None:
        return prepared.notice.kind in TOLD
    assert prepared.reading is not None
    return prepared.reading.envelope.type.removeprefix("RE_").removeprefix("AN_") in _TYPES


def _subject(prepared: Prepared) -> Subject | None:
    """The patient, also of a message that will be refused for something else in it."""
    bundle = prepared.reading.bundle if prepared.reading is not None else None
    if prepared.subject is None and bundle is not None:
        with suppress(MessageError):
            return subject_in(bundle)
    return prepared.subject


def _about_what_we_hold(tx: Connection, party: Party, prepared: Prepared, sender: Party | None) -> bool:
    """Whether it corrects or cancels what the party was told, in a case that may be over by now."""
    notice = prepared.notice
    if notice is None or sender is None or notice.standing is Standing.NEW or notice.refers_to is None:
        return False
    before = messages.known(tx, sender.id, notice.refers_to)
    if before is None or before["case_id"] is None:
        return False
    return parties.takes_part(tx, before["case_id"], (party.id,))


def _came_before(tx: Connection, sender: Party | None, message_id: str) -> bool:
    return sender is not None and messages.known(tx, sender.id, message_id) is not None


def _speaks_for_ours(sender: Party | None, incoming: Incoming) -> bool:
    """Whether a party of ours has sent it, which may keep what it has said itself."""
    if sender is None or sender.side is not Side.OURS:
        return False
    return incoming.partner is None or sender.id in incoming.partner.parties
