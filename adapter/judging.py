"""Whether a message can be taken: who may send it, what it may tell, and where it goes.

A judgement is data for the inbox: the sending party, the copies to be sent; or Refused for good, or
Quarantined until our own data is right, each with a reason that a person can act on.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo

from sqlalchemy import Connection

from adapter.cases import Cases, pseudonym
from adapter.copies import Copy, copy_for, first_id
from adapter.discharge.case import BESIDE_THE_STAY
from adapter.discharge.notices import Notice, NoticeKind, Plan, Standing
from adapter.discharge.planning import kind_for_consent, may_share_plan, needs_consent
from adapter.discharge.wording import phrase_of
from adapter.errors import Quarantined, Refused
from adapter.fhir.bundles import Subject
from adapter.fhir.polled import TYPES as POLLED
from adapter.incoming import Incoming, Prepared
from adapter.mappings import Reading
from adapter.mappings.checking import Checks
from adapter.messaging.envelope import Address, Envelope
from adapter.messaging.practices import practice
from adapter.messaging.register import Party, Register
from adapter.messaging.routing import Route, only_relevant, refused_by_all, routes
from adapter.phrases import Code, Lasting, phrase, verbatim
from adapter.store import cases as case_rows
from adapter.store import messages, remembered
from adapter.twins import said_as

MOST_A_DAY = 200
"""Notices of one sender about one patient that are taken within 24 hours; a real stay has a few dozen."""

_OF_THE_STAY = frozenset(
    {
        NoticeKind.ADMITTED,
        NoticeKind.PLANNED_DISCHARGE,
        NoticeKind.READY_FOR_DISCHARGE,
        NoticeKind.READINESS_WITHDRAWN,
        NoticeKind.DISCHARGED,
        NoticeKind.LEAVE_STARTED,
        NoticeKind.LEAVE_ENDED,
        NoticeKind.TRANSFERRED,
        NoticeKind.LEFT_AGAINST_ADVICE,
    }
)
"""What only the institution where the patient lies can tell."""

_DIALOGUE = frozenset(
    {
        NoticeKind.ENQUIRY,
        NoticeKind.REPLY,
        NoticeKind.NOTE,
        NoticeKind.DEVIATION,
        NoticeKind.ANSWER,
    }
)
"""What the parties say to each other in messages that name no stay."""

_BUNDLES = "Bundle.id of {}"
"""Where the ids of later sendings are remembered, for each sender; that of the first is known."""

ACUTE_BED = "municipal-acute-bed"
_INSTITUTIONS = ("hospital", ACUTE_BED, "unknown")


@dataclass(frozen=True, kw_only=True)
class Judge:
    """The register's word on senders, receivers and stays."""

    register: Register
    zone: tzinfo
    pseudonym_key: bytes = field(repr=False)
    clock_tolerance: timedelta
    cases: Cases
    checks: Checks

    def sender(self, envelope: Envelope, incoming: Incoming, now: datetime) -> Party:
        """The sending party, which must be one for whom the partner may speak."""
        if not envelope.sender.identifiers:
            raise Refused(phrase("the message names no sender with an identifier"), code="E20")
        day = now.astimezone(self.zone).date()
        sender = self.register.resolve(envelope.sender, day)
        if sender is not None:
            self._one_sender(sender, self.register.known_at(envelope.sender, day))
        if incoming.partner is not None and (sender is None or sender.id not in incoming.partner.parties):
            raise Refused(
                phrase(
                    "the partner {partner} may not send for {sender}; "
                    "check the sender in the message, or the partner's parties in the region file",
                    partner=incoming.partner.name,
                    sender=envelope.sender.said,
                ),
                code="forbidden",
            )
        if sender is None:
            raise Quarantined(
                phrase(
                    "the sender {sender} is not in the region file; add the party, then release",
                    sender=envelope.sender.said,
                ),
                code="unknown-sender",
            )
        return sender

    def _one_sender(self, sender: Party, named: tuple[Party, ...]) -> None:
        """All identifiers of a sender are its own, or those of its host; nobody borrows another's name."""
        may = {sender.id, sender.hosted_by, *self.register.spoken_for(sender)}
        others = sorted(party.id for party in named if party.id not in may)
        if others:
            raise Refused(
                phrase(
                    "the sender is written with identifiers of {party} and of {others}; "
                    "a message has one sender: write its own identifiers only",
                    party=sender.id,
                    others=others,
                ),
                code="forbidden",
            )

    def copies(
        self, tx: Connection, prepared: Prepared, reading: Reading, sender: Party, now: datetime
    ) -> list[Copy]:
        """What goes where; raises Refused or Quarantined with the reason why it cannot be taken."""
        envelope = reading.envelope
        if self.register.open and envelope.production:
            raise Refused(
                phrase(
                    "this is a message of production, and the adapter runs for evaluation, without a region; "
                    "configure a region before you connect it to real systems"
                ),
                code="X99",
            )
        if prepared.problem is not None and not _answered_for(prepared):
            raise prepared.problem
        self.own_transmission(tx, envelope, sender)
        ahead = envelope.sent_at - now
        if ahead > self.clock_tolerance:
            raise Quarantined(
                phrase(
                    "it says that it was sent {span} from now: one of the two clocks is wrong; set "
                    "ours right and release, or ask the sender to set theirs and send anew",
                    span=Lasting(ahead, _roughly(ahead)),
                ),
                code="future",
            )
        self._not_too_many(tx, prepared.subject, sender, now)
        self._its_own_stay(prepared.notice, sender, now)
        day = now.astimezone(self.zone).date()
        reserved = prepared.notice is not None and prepared.notice.reserved
        plan = prepared.notice is not None and prepared.notice.kind is NoticeKind.CARE_PLAN
        found = plan and envelope.type in POLLED
        ways = routes(self.register, envelope, sender, day=day, reserved=reserved, plan=plan, found=found)
        ways = only_relevant(ways, prepared.not_for)
        content, notice = prepared.incoming.content, prepared.notice
        nobody = refused_by_all(ways)
        if nobody is not None:
            raise Refused(verbatim(nobody.text), code=nobody.code)
        self._no_early_notice_to_acute_beds(notice, ways)
        self._may_close(tx, prepared, sender, ways, now)
        self._consented(tx, prepared, sender, ways, now)
        patient = pseudonym(self.pseudonym_key, prepared.subject) if prepared.subject is not None else None
        return [
            copy_for(tx, way, content, reading, notice, sender, self.checks, patient=patient) for way in ways
        ]

    def own_transmission(self, tx: Connection, envelope: Envelope, sender: Party) -> None:
        """Raises Refused where another message has come under that Bundle.id before (D-05)."""
        if envelope.transmission_id is None:
            return
        other = messages.transmission(tx, sender.id, envelope.transmission_id)
        if other is None and practice(envelope.dialect).renews:
            other = remembered.value(tx, _BUNDLES.format(sender.id), envelope.transmission_id)
        if other is not None and other != envelope.message_id:
            raise Refused(
                phrase(
                    "this Bundle.id has been used for another message; give every Bundle an id of its own"
                ),
                code="duplicate",
            )

    def _no_early_notice_to_acute_beds(self, notice: Notice | None, ways: Sequence[Route]) -> None:
        """Municipal acute beds send for themselves and get admission reports, but no early notices."""
        if notice is None or notice.kind is not NoticeKind.CARE_NEEDS:
            return
        beds = [way.party.id for way in ways if way.party.kind == ACUTE_BED and not way.relayed]
        if beds:
            raise Quarantined(
                phrase(
                    "care needs are addressed to {parties}, a municipal acute bed, which gets no early "
                    "notices; ask the sender to address the municipality's case-work service",
                    parties=beds,
                ),
                code="not-for-acute-bed",
            )

    def _its_own_stay(self, notice: Notice | None, sender: Party, now: datetime) -> None:
        """What happens in a stay is told by the institution where the patient lies, and by nobody else."""
        if notice is None:
            return
        if notice.hospital == notice.sender:
            if notice.kind in _OF_THE_STAY and sender.kind not in _INSTITUTIONS:
                raise Quarantined(
                    phrase(
                        "{party} is a {kind} in the region file, and {notice} is told by the institution "
                        "where the patient lies; correct its kind, then release, or ask the sender",
                        party=sender.id,
                        kind=Code("party-kind", sender.kind, sender.kind),
                        notice=Code("notice", notice.kind.value, notice.kind.value),
                    ),
                    code="not-its-stay",
                )
            return
        if notice.hospital is None:
            foreign = notice.kind in _OF_THE_STAY and sender.kind not in _INSTITUTIONS
        else:
            told_of = {self.by_token(notice.hospital, now), *self._hosts(notice.hospital, now)}
            of_the_stay = notice.kind in _OF_THE_STAY or notice.kind is NoticeKind.DECEASED
            foreign = of_the_stay and not told_of & set(self.register.spoken_for(sender))
        if foreign:
            raise Quarantined(
                phrase(
                    "{party} tells {notice} of a stay that is not its own; ask it whose patient this "
                    "is, or correct the identifiers in the region file, then release",
                    party=sender.id,
                    notice=Code("notice", notice.kind.value, notice.kind.value),
                ),
                code="not-its-stay",
            )

    def _may_close(
        self, tx: Connection, prepared: Prepared, sender: Party, ways: Sequence[Route], now: datetime
    ) -> None:
        """A stay of which no message tells the end is closed by its hospital or its municipality."""
        notice, subject = prepared.notice, prepared.subject
        if notice is None or subject is None or notice.kind is not NoticeKind.CLOSED:
            return
        told = self.as_parties(tx, notice, sender, ways, now)
        case = self.cases.case_with(tx, pseudonym(self.pseudonym_key, subject), told)
        known = any(e.notice.kind not in BESIDE_THE_STAY for e in case.entries)
        if not known or not {case.hospital, case.municipality} & set(self.register.spoken_for(sender)):
            raise Quarantined(
                phrase(
                    "{party} closes a stay in which it is neither the hospital nor the municipality; ask it "
                    "whose patient this is, or close the case by hand",
                    party=sender.id,
                ),
                code="not-its-stay",
            )

    def _consented(
        self, tx: Connection, prepared: Prepared, sender: Party, ways: Sequence[Route], now: datetime
    ) -> None:
        """A plan that needs the patient's consent is held until there is one; taking it back needs none."""
        notice, subject = prepared.notice, prepared.subject
        if notice is None or subject is None or notice.kind is not NoticeKind.CARE_PLAN:
            return
        patient = pseudonym(self.pseudonym_key, subject)
        free = not needs_consent(notice.plan.kind if notice.plan is not None else None)
        if notice.standing is Standing.CANCELLATION or (free and not self._joint(tx, patient, notice.plan)):
            return
        told = self.as_parties(tx, notice, sender, ways, now)
        case = self.cases.case_with(tx, patient, told)
        kind = kind_for_consent(case, told.plan)
        why_not = may_share_plan(case, now, kind)
        if why_not is not None:
            raise Quarantined(
                phrase(
                    "{why}; ask the patient, have the consent told (consent-given), then release; without "
                    "consent let it lie"
                    if kind is not None
                    else "it does not say which plan it is, so it is taken for one that needs consent; "
                    "{why}; ask the patient, have the consent told (consent-given), then release; without "
                    "consent let it lie",
                    why=phrase_of(why_not),
                ),
                code="consent",
            )

    def _joint(self, tx: Connection, patient: str, plan: Plan | None) -> bool:
        """Whether that plan has been told before as one that needs consent."""
        known = (f for _, _, f in case_rows.facts(tx, patient) if isinstance(f, Notice))
        before = [f.plan for f in known if f.plan is not None and plan is not None and f.plan.id == plan.id]
        return any(one.kind is not None and needs_consent(one.kind) for one in before)

    def as_parties(
        self,
        tx: Connection,
        notice: Notice,
        sender: Party,
        ways: Sequence[Route],
        now: datetime,
        *,
        conversation: str | None = None,
    ) -> Notice:
        """The notice with the register's parties, and a sending time that is not after our own clock.

        What it refers to is said in the first sender's own id, also where its receiver knows it by another;
        so is `conversation`, which the envelope alone tells, and which counts for a dialogue only.
        """
        conversation = conversation if notice.kind in _DIALOGUE else None
        told = notice.receivers
        known = {told[way.index]: way.party.id for way in ways if way.index < len(told)}
        known[notice.sender] = sender.id

        def party(token: str) -> str:
            return known.get(token) or self.by_token(token, now)

        hospital = notice.hospital
        if hospital is not None:
            hospital = party(hospital)
        elif sender.kind == "hospital":
            hospital = sender.id
        elif notice.kind in _DIALOGUE:  # a dialogue message does not say which of its two parties that is
            hospital = _only(way.party.id for way in ways if way.party.kind == "hospital")
        return replace(
            notice,
            sender=sender.id,
            receivers=tuple(dict.fromkeys(way.party.id for way in ways if way.refusal is None)),
            hospital=hospital,
            refers_to=first_id(tx, notice.refers_to, sender) or said_as(tx, sender.id, notice.refers_to),
            conversation=first_id(tx, conversation, sender) or conversation,
            refers_to_held=_is_held(tx, notice, sender),
            sent_at=min(notice.sent_at, now),
            contact=party(notice.contact) if notice.contact is not None else None,
            plan=_of_parties(notice.plan, party) if notice.plan is not None else None,
        )

    def _hosts(self, token: str, now: datetime) -> tuple[str, ...]:
        party = self.register.party(self.by_token(token, now))
        return (party.hosted_by,) if party is not None and party.hosted_by is not None else ()

    def _not_too_many(self, tx: Connection, subject: Subject | None, sender: Party, now: datetime) -> None:
        """Each notice folds the patient's whole case anew: a sender run wild must not hold up the rest."""
        if subject is None:
            return
        patient = pseudonym(self.pseudonym_key, subject)
        if case_rows.told_since(tx, patient, sender.id, now - timedelta(days=1)) >= MOST_A_DAY:
            raise Quarantined(
                phrase(
                    "more than {most} notices of {party} about this patient within a day: it repeats "
                    "itself under new ids; stop it, and release what is right a day later",
                    most=MOST_A_DAY,
                    party=sender.id,
                ),
                code="throttled",
            )

    def by_token(self, token: str, now: datetime) -> str:
        system, _, value = token.partition("|")
        address = Address(identifiers=((system, value),))
        party = self.register.resolve(address, now.astimezone(self.zone).date())
        return party.id if party is not None else address.party_id


def remember(tx: Connection, envelope: Envelope, sender: Party, now: datetime) -> None:
    """Under which id a message has come once more: no other message may come under it (D-05)."""
    own = envelope.transmission_id
    if own is not None and messages.transmission(tx, sender.id, own) is None:
        remembered.keep(tx, _BUNDLES.format(sender.id), own, envelope.message_id, now)


def _only(parties: Iterable[str]) -> str | None:
    """The one party, where it is one."""
    found = set(parties)
    return found.pop() if len(found) == 1 else None


def _is_held(tx: Connection, notice: Notice, sender: Party) -> bool:
    """Whether what it corrects or cancels lies here without having been taken."""
    if notice.standing is Standing.NEW or notice.refers_to is None:
        return False
    known = messages.known(tx, sender.id, notice.refers_to)
    return known is not None and known["outcome"] in ("quarantined", "refused")


def _of_parties(plan: Plan, party: Callable[[str], str]) -> Plan:
    """The plan with the register's parties as the owners of its tasks."""
    owned = (replace(t, owner=party(t.owner)) if t.owner is not None else t for t in plan.tasks)
    return replace(plan, tasks=tuple(owned))


def _answered_for(prepared: Prepared) -> bool:
    """Whether a person has released what was only doubtful: a past that lies ahead, which may be a slip."""
    problem = prepared.problem
    released = prepared.incoming.channel == "release" and prepared.notice is not None
    return released and isinstance(problem, Quarantined) and problem.code == "future"


def _roughly(ahead: timedelta) -> str:
    """How far ahead that is, to the minute: `17 days, 3:05 h`."""
    minutes = ahead // timedelta(minutes=1)
    days, minutes = divmod(minutes, 24 * 60)
    hours = f"{minutes // 60}:{minutes % 60:02} h"
    return f"{days} {'day' if days == 1 else 'days'}, {hours}" if days else hours
