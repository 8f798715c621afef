"""What a person tells on a board becomes a message like any, in the name of a party for which they act.

It goes through the inbox in the same unit of work, so that routing, copies, lanes, receipts and deadlines
follow as from any message. What the inbox would refuse or hold is not told at all, and the person hears why.
The form's own number is the message's id: a form that is sent twice tells once. A board speaks for the
parties of ours, and for those that one of ours hosts; in the name of a party with a system of its own only
that system speaks (field's rule: a message is its sender's).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from adapter.cases import pseudonym
from adapter.discharge.case import Case, Entry, as_told
from adapter.discharge.notices import Moment, Notice, NoticeKind, Standing
from adapter.discharge.turns import HOSPITAL, MUNICIPALITY, PRIMARY_CARE, Turn, revocable, told_by, turns
from adapter.errors import AdapterError, NotFound
from adapter.fhir.bundles import Bundle, Clinician, Subject, address_of
from adapter.fhir.notices import message_bundle
from adapter.fhir.wire import JSON, to_json
from adapter.inbox import Acceptance, Inbox
from adapter.incoming import BOARD, Incoming
from adapter.messaging.envelope import Address
from adapter.messaging.people import KINDS, Role
from adapter.messaging.register import Party, Register, Side
from adapter.phrases import Code, Phrase, phrase
from adapter.sight import Sight
from adapter.store import cases as case_rows
from adapter.store import messages
from adapter.store.savepoint import savepoint
from adapter.store.statements import Row

K = NoticeKind

_EPOCH = datetime.fromtimestamp(0, UTC)
_PART = {"hospital": HOSPITAL, "municipality": MUNICIPALITY, "municipal-acute-bed": MUNICIPALITY}
_BY_ROLE = {Role.WARD: HOSPITAL, Role.MUNICIPALITY: MUNICIPALITY, Role.PRIMARY_CARE: PRIMARY_CARE}


class Unsaid(AdapterError):
    """What a person wanted to tell was not told, and nothing was changed.

    `code` says why: stale (the case has moved on), own-system (the party's own system speaks for it), reused
    (the form was sent before, filled in otherwise), forgotten (the patient's data is gone), nobody (there is
    no receiver), ahead and too-early (it cannot have been then), refused (the inbox says why in `reason`).
    """

    def __init__(self, code: str, reason: Phrase | None = None) -> None:
        super().__init__(reason or code)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Voice:
    """A party in whose name a person may tell something of a case, and the part that it plays there."""

    party: str
    mine: tuple[str, ...]  # itself and those it speaks for
    part: str
    silent: bool = False  # it has a system of its own, which speaks for it


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What was told: where it went, and whether it had been told before by the same form."""

    case_id: int
    message: int
    again: bool = False


def hosted_by_us(register: Register, party: Party) -> bool:
    """Whether a board is where that party speaks: it is ours, or one of ours receives on its behalf."""
    if party.side is Side.OURS:
        return True
    host = register.party(party.hosted_by) if party.hosted_by is not None else None
    return host is not None and host.side is Side.OURS and not register.own_system(party)


@dataclass(frozen=True, kw_only=True)
class Speaking:
    """One person's word, over the inbox."""

    inbox: Inbox
    sight: Sight

    @property
    def _register(self) -> Register:
        return self.inbox.register

    # --- in whose name ---

    def voices(self, case: Case, now: datetime) -> tuple[Voice, ...]:
        """The parties of a case for which the person acts, each in its part."""
        day = now.astimezone(self.inbox.zone).date()
        seen = self.sight.entries(case)
        named = (p for e in seen for p in (e.notice.sender, *e.notice.receivers))
        found: dict[str, Voice] = {}
        for name in dict.fromkeys(named):
            known = self._register.party(name)
            living = self._register.living(known, day) if known is not None else None
            party = living.id if living is not None else name
            if known is not None and living is None:
                continue
            part = self._part(case, party, living)
            if part is None or not self.sight.acts_for(party):
                continue
            mine = self._register.spoken_for(living) if living is not None else (party,)
            silent = living is not None and not hosted_by_us(self._register, living)
            found.setdefault(party, Voice(party=party, mine=mine, part=part, silent=silent))
        return tuple(found.values())

    def _part(self, case: Case, party: str, known: Party | None) -> str | None:
        """What the party is in the case, where the person's role lets them speak for such a party."""
        if case.hospital is not None and party == case.hospital:
            return HOSPITAL if self.sight.person.holds(Role.WARD) else None
        roles = [role for role in _BY_ROLE if self.sight.person.holds(role)]
        if known is None or known.kind == "unknown":
            return next((_BY_ROLE[role] for role in roles if role is not Role.WARD), None)
        if not any(known.kind in KINDS[role] for role in roles):
            return None
        part = _PART.get(known.kind, PRIMARY_CARE)
        return None if part == HOSPITAL else part  # another hospital's stay is not theirs to tell of

    def turns(self, case: Case, voice: Voice) -> tuple[Turn, ...]:
        """What may be told in that voice now; nothing where another system speaks for the party.

        By what the person knows of the case: what was told to others offers nothing, and rules nothing out.
        """
        if voice.silent:
            return ()
        seen = self.sight.entries(case)
        told = case if len(seen) == len(case.entries) else as_told(case, seen)
        return turns(told, voice.mine, voice.part, self.inbox.cases.agreement)

    # --- telling ---

    def row(self, tx: Connection, case_id: int) -> Row:
        """The case's row; NotFound where there is none, or not for this person."""
        row = case_rows.get(tx, case_id)
        if row is None or not self.sight.sees_case(tx, row):
            raise NotFound(phrase("there is no such case"))
        return row

    def case(self, tx: Connection, case_id: int) -> tuple[Row, Case]:
        """The case with its row, and nobody else changes it before the commit; NotFound as for the row."""
        row = self.row(tx, case_id)
        case_rows.alone_with(tx, row["patient"])
        return row, dict(self.inbox.cases.folded(tx, row["patient"]))[row["id"]]

    def voice(self, case: Case, party: str, now: datetime) -> Voice:
        """The voice of that party; NotFound where the person does not act for it in this case."""
        found = next((v for v in self.voices(case, now) if v.party == party), None)
        if found is None:
            raise NotFound(phrase("there is no such case"))
        if found.silent:
            raise Unsaid("own-system")
        return found

    def tell(
        self,
        tx: Connection,
        case_id: int,
        kind: NoticeKind,
        *,
        party: str,
        about: str,
        key: str,
        now: datetime,
        by: str,
        receivers: Iterable[str] = (),
        responsible: Clinician | None = None,
        **said: Any,
    ) -> Told:
        """Tell it in the name of `party`; `about` is what stood when the form was made, `key` its number.

        Raises NotFound where the person may not, Unsaid where it is not told.
        """
        row, case = self.case(tx, case_id)
        voice = self.voice(case, party, now)
        known = messages.known(tx, party, form_number(key))
        if known is None and self._kept_before(tx, row, party, form_number(key)):
            return Told(case_id=row["id"], message=0, again=True)
        turn = next((t for t in self.turns(case, voice) if (t.kind, t.about) == (kind, about)), None)
        if turn is None and known is None:
            raise Unsaid("stale")
        newest = self._newest(tx, row, case, voice)
        to = [r for r in (receivers or self.receivers(case, voice, kind, now, turn)) if r not in voice.mine]
        if not to:
            raise Unsaid("nobody")
        notice = self._notice(case, kind, key, now, turn, said)
        message = self._message(notice, newest, party, to, case, responsible)
        if known is not None:
            return self._again(tx, known, message, row)
        if kind is not K.SEEN:
            return self._send(tx, message, by, now)
        try:
            with savepoint(tx):
                return self._send(tx, message, by, now)
        except Unsaid as error:
            told = replace(notice, sender=party, receivers=tuple(to), hospital=case.hospital)
            return self._kept(tx, row, told, error, by, now)

    def _kept_before(self, tx: Connection, row: Row, party: str, number: str) -> bool:
        told = (f for _, _, f in case_rows.facts(tx, row["patient"]) if isinstance(f, Notice))
        return any((n.sender, n.message_id) == (party, number) for n in told)

    def _kept(self, tx: Connection, row: Row, told: Notice, why: Unsaid, by: str, now: datetime) -> Told:
        """Who has signed for a notice is kept here, also where its sender reads no such message."""
        if why.reason is None:
            raise why
        self.inbox.cases.learn(tx, row["patient"], [(told, None)], now)
        kind = Code("notice", told.kind.value, told.kind.value)
        what = phrase("{notice}, kept here alone: {why}", notice=kind, why=why.reason)
        case_rows.note(tx, at=now, subject=f"case {row['id']}", what=what, case_id=row["id"], by=by)
        return Told(case_id=row["id"], message=0)

    def begin(
        self,
        tx: Connection,
        kind: NoticeKind,
        *,
        subject: Subject,
        party: str,
        receivers: Iterable[str],
        key: str,
        now: datetime,
        by: str,
        responsible: Clinician | None = None,
        **said: Any,
    ) -> Told:
        """A first notice about somebody, of the stay at `party`.

        Raises NotFound where the person does not act for it, Unsaid where it is not told.
        """
        known = self._register.party(party)
        if not self.sight.acts_for(party) or not self.sight.person.holds(Role.WARD):
            raise NotFound(phrase("there is no such ward"))
        if known is not None and not hosted_by_us(self._register, known):
            raise Unsaid("own-system")
        number = form_number(key)
        case_rows.alone_with(tx, pseudonym(self.inbox.pseudonym_key, subject))
        sender = self._address(party, None)
        to = [self._address(name, None) for name in receivers]
        if not to:
            raise Unsaid("nobody")
        notice = Notice(
            kind=kind,
            message_id=number,
            sent_at=now,
            sender=sender.token,
            receivers=tuple(address.token for address in to),
            hospital=sender.token,
            **said,
        )
        message = message_bundle(
            notice,
            subject=subject,
            sender=sender,
            receivers=to,
            hospital=sender,
            transmission_id=self.inbox.new_id(),
            responsible=responsible,
        )
        before = messages.known(tx, party, number)
        if before is not None and before["case_id"] is not None:
            row = case_rows.get(tx, before["case_id"])
            if row is not None:
                return self._again(tx, before, message, row)
        return self._send(tx, message, by, now)

    def take_back(
        self, tx: Connection, case_id: int, *, party: str, about: str, key: str, now: datetime, by: str
    ) -> Told:
        """Cancel what was told on a board in error; whoever was told it is told that too."""
        row, case = self.case(tx, case_id)
        voice = self.voice(case, party, now)
        known = messages.known(tx, party, form_number(key))
        if known is not None:
            return Told(case_id=row["id"], message=known["id"], again=True)
        entry = next((e for e in self.revocable(tx, case, voice) if e.notice.message_id == about), None)
        if entry is None:
            raise Unsaid("stale")
        told = replace(
            entry.notice,
            message_id=form_number(key),
            sent_at=now,
            standing=Standing.CANCELLATION,
            refers_to=about,
            contact=None,
        )
        newest = self._newest(tx, row, case, voice)
        return self._send(tx, self._message(told, newest, party, entry.notice.receivers, case, None), by, now)

    def revocable(self, tx: Connection, case: Case, voice: Voice) -> tuple[Entry, ...]:
        """What this party has told on a board and can take back."""
        if voice.silent:
            return ()
        found = []
        for e in revocable(case, voice.mine):
            known = messages.known(tx, e.notice.sender, e.notice.message_id)
            row = messages.get(tx, known["id"]) if known is not None else None
            if row is not None and row["channel"] == BOARD:
                found.append(e)
        return tuple(found)

    def receivers(
        self, case: Case, voice: Voice, kind: NoticeKind, now: datetime, turn: Turn | None = None
    ) -> tuple[str, ...]:
        """Who is told where the form does not say: who asked, the hospital, or all who take part."""
        if turn is not None and turn.entry is not None and kind not in (K.READINESS_WITHDRAWN, K.CARE_NEEDS):
            return (turn.entry.notice.sender,)
        if kind is K.CARE_NEEDS:
            return tuple(filter(self._gets_early_notices, self.others(case, voice, now)))
        hospital = (case.hospital,) if case.hospital is not None else ()
        if voice.part == MUNICIPALITY and kind is not K.SIP_REQUESTED:
            return hospital
        return self.others(case, voice, now)

    def _gets_early_notices(self, party: str) -> bool:
        """A municipality, or, in evaluation, whoever may be one: the record is for whom will need it."""
        known = self._register.party(party)
        return known is None or known.kind in ("municipality", "unknown")

    def others(self, case: Case, voice: Voice, now: datetime) -> tuple[str, ...]:
        """Who else takes part, as far as this party knows: the hospital first, and whom it has told with it.

        The hospital knows all whom it has told; what it has told others by themselves, nobody else knows.
        """
        mine = set(voice.mine)
        hospital = (case.hospital,) if case.hospital is not None else ()
        if voice.part == HOSPITAL:
            named = told_by(case, voice.mine) or ((case.municipality,) if case.municipality else ())
        else:
            seen = [e.notice for e in case.entries if mine & {e.notice.sender, *e.notice.receivers}]
            named = (*hospital, *(p for n in reversed(seen) for p in (n.sender, *n.receivers)))
        day = now.astimezone(self.inbox.zone).date()
        known = ((name, self._register.party(name)) for name in named)
        living = ((n, self._register.living(p, day) if p is not None else None) for n, p in known)
        found = dict.fromkeys(p.id if p is not None else n for n, p in living)
        return tuple(name for name in found if name not in mine)

    def _notice(
        self,
        case: Case,
        kind: NoticeKind,
        key: str,
        now: datetime,
        turn: Turn | None,
        said: Mapping[str, Any],
    ) -> Notice:
        """The notice as its sender states it; the inbox puts the register's parties into it."""
        counting = [e for e in case.entries if e.counts]
        stay = {
            "encounter": case.encounter,
            "admitted": admission_in(case),
            "reserved": any(e.notice.reserved for e in counting),
            "psychiatric": any(e.notice.psychiatric for e in counting),
            "refers_to": turn.refers_to if turn is not None else None,
        }
        values = {"occurred": now} | stay | dict(said)
        return Notice(kind=kind, message_id=form_number(key), sent_at=now, sender="", **values)

    def _newest(self, tx: Connection, row: Row, case: Case, voice: Voice) -> tuple[Subject, Bundle]:
        """Who the patient is, by the newest message that this party has sent or had of the case."""
        told = [
            (fact.sent_at, number)
            for number, case_id, fact in case_rows.told(tx, row["patient"])
            if isinstance(fact, Notice)
            and number is not None
            and case_id == row["id"]
            and not set(voice.mine).isdisjoint((fact.sender, *fact.receivers))
        ]
        for _, number in sorted(told, reverse=True):
            found = self._read(tx, number)
            if found is not None:
                return found
        raise Unsaid("forgotten")

    def _read(self, tx: Connection, number: int) -> tuple[Subject, Bundle] | None:
        row = messages.get(tx, number)
        content = messages.content(tx, row["payload"]) if row is not None else None
        if row is None or content is None:
            return None
        prepared = self.inbox.read(Incoming(content=content, content_type=row["content_type"]))
        if prepared.subject is None or prepared.reading is None or prepared.reading.bundle is None:
            return None
        return prepared.subject, prepared.reading.bundle

    def _message(
        self,
        notice: Notice,
        newest: tuple[Subject, Bundle],
        party: str,
        receivers: Iterable[str],
        case: Case,
        responsible: Clinician | None,
    ) -> Bundle:
        subject, told = newest
        sender = self._address(party, told)
        addressed = [self._address(name, told) for name in receivers]
        hospital = self._address(case.hospital, told) if case.hospital is not None else None
        contact = self._address(notice.contact, told).token if notice.contact is not None else None
        return message_bundle(
            replace(
                notice,
                contact=contact,
                sender=sender.token,
                receivers=tuple(address.token for address in addressed),
                hospital=hospital.token if hospital is not None else None,
            ),
            subject=replace(subject, address=None, deceased=False),
            sender=sender,
            receivers=addressed,
            hospital=hospital,
            transmission_id=self.inbox.new_id(),
            responsible=responsible,
        )

    def _address(self, party_id: str, told: Bundle | None) -> Address:
        """As the region file has it; else, in evaluation, as the message before wrote it."""
        party = self._register.party(party_id)
        if party is not None:
            services = party.services[0].identifiers if party.services else ()
            return Address(identifiers=(*services, *party.identifiers), name=party.name)
        written = self.inbox.shelves.organization_in(told, party_id) if told is not None else None
        if written is None:
            raise Unsaid("nobody")
        return address_of(written)

    # --- sending ---

    def _again(self, tx: Connection, known: Row, message: Bundle, row: Row) -> Told:
        """The form has been sent before: once is enough, unless it says something else now."""
        content = messages.content(tx, known["payload"])
        if known["case_id"] is None:
            raise Unsaid("reused")
        if content is not None:
            before = self.inbox.read(Incoming(content=content, content_type=known["content_type"])).notice
            now_said = self.inbox.read(Incoming(content=to_json(message), content_type=JSON)).notice
            if before is None or now_said is None or not _alike(before, now_said):
                raise Unsaid("reused")
        return Told(case_id=row["id"], message=known["id"], again=True)

    def _send(self, tx: Connection, message: Bundle, by: str, now: datetime) -> Told:
        """Through the inbox; what it would refuse or hold is not told, and nothing of it is kept."""
        incoming = Incoming(content=to_json(message), content_type=JSON, channel=BOARD)
        done: Acceptance = self.inbox.take(tx, self.inbox.read(incoming), now)
        if done.outcome != "accepted" or done.case_id is None or done.message_row is None:
            outcome = phrase("{outcome}", outcome=Code("outcome", done.outcome, done.outcome))
            raise Unsaid("refused", done.reason or outcome)
        subject, kind = f"message {done.message_row}", done.type or ""
        what = phrase("told on the board: {notice}", notice=Code("notice", kind, kind))
        case_rows.note(tx, at=now, subject=subject, what=what, case_id=done.case_id, by=by)
        return Told(case_id=done.case_id, message=done.message_row)


def form_number(key: str) -> str:
    """The form's number as a message id; one that is none was not made by us."""
    try:
        return str(UUID(key))
    except ValueError:
        raise Unsaid("stale") from None


def _alike(before: Notice, after: Notice) -> bool:
    """Whether two say the same, whenever each was sent: what a form leaves open is `now`."""
    one, other = (
        replace(n, sent_at=_EPOCH, occurred=_EPOCH, refers_to=None, receivers=()) for n in (before, after)
    )
    return one == other


def admission_in(case: Case) -> Moment | None:
    """When the stay began, as it was told last."""
    counting = [e for e in case.entries if e.counts]
    told = (e.notice.occurred if e.notice.kind is K.ADMITTED else e.notice.admitted for e in counting)
    return next((at for at in reversed(list(told)) if at is not None), None)
