"""Which days a municipality is charged for, at what price, to whom it is owed, and why, or why not.

A day is charged when it begins no earlier than the payment start and with every condition fulfilled, and
ends before the day on which the municipality can receive, the notice is withdrawn, or the stay ends. So the
charged days are [start, end), in spans: one for each readiness. Where silence counts as no, it does so only
while nobody waits for the last answer to be read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import pairwise

from adapter.discharge.agreement import Agreement, Level
from adapter.discharge.case import Case, Entry
from adapter.discharge.conditions import lacks, opening, regime_over, required
from adapter.discharge.counting import first_second
from adapter.discharge.lengths import Counted, about_the_figure, counted
from adapter.discharge.notices import AnswerValue, NoticeKind, local_date
from adapter.discharge.occasions import Occasion, readinesses
from adapter.discharge.reading import Ending, Reading, Start, readings
from adapter.discharge.rules import Amount, Payment
from adapter.discharge.sentences import Say, Sentence, of_file

PAYMENT_START = "payment-start"
"""The kind of deadline from which days are charged."""

ENDS = (
    NoticeKind.READINESS_WITHDRAWN,
    NoticeKind.DISCHARGED,
    NoticeKind.LEFT_AGAINST_ADVICE,
    NoticeKind.DECEASED,
)
"""What ends a readiness and its days; no closing by hand, which either side can do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """What one payee is owed for a day; the amount is None where the price is not known."""

    payee: str
    amount: Decimal | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Day:
    """One charged local date."""

    date: date
    number: int  # within its readiness, from 1
    party: str | None  # the municipality that owes
    parts: tuple[Part, ...]
    currency: str
    why: Sentence
    contested: Sentence | None = None  # circumstances beyond the municipality's control are claimed

    @property
    def amount(self) -> Decimal | None:
        """All parts together; None where one is not known."""
        known = [part.amount for part in self.parts if part.amount is not None]
        return sum(known, Decimal()) if len(known) == len(self.parts) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Liability:
    """What one readiness comes to; `reasons` say why, or why nothing."""

    party: str | None
    basis: str
    liable_from: date | None  # the first chargeable day, which may lie ahead
    days: tuple[Day, ...] = ()
    withheld: tuple[date, ...] = ()  # they rest on silence while the last answer is not classified
    reasons: tuple[Sentence, ...] = ()
    remarks: tuple[Sentence, ...] = ()  # whose the figures and the prices are


def liabilities(
    case: Case, agreement: Agreement, now: datetime, roles: Mapping[str, str] | None = None
) -> tuple[Liability, ...]:
    """The charged days of each readiness up to the day of `now`, in the order of the readinesses."""
    made: dict[tuple[frozenset[str], str | None], Liability] = {}
    without: dict[tuple[frozenset[str], str | None], Liability] = {}
    for reading in readings(case, agreement, now, roles):
        if reading.rule.kind != PAYMENT_START:
            continue
        for occasion in reading.occasions():
            parties = reading.parties(occasion)
            if not parties:
                without[occasion.ids, None] = _unowed(reading)
            for party in parties:
                key = (occasion.ids, party)
                span = _span(reading, occasion, party)
                if span is not None:
                    made[key] = span.liability()
                else:
                    without[key] = _nothing(reading, occasion, party)
    found = without | made
    covered = {ids for ids, _ in found}
    if any(r.kind == PAYMENT_START for r in agreement.country.rules):
        for occasion in readinesses(case):
            if occasion.ids not in covered:
                found[occasion.ids, None] = _uncovered(agreement, occasion)
    order = {occasion.ids: number for number, occasion in enumerate(readinesses(case))}
    return tuple(found[key] for key in sorted(found, key=lambda k: (order.get(k[0], 0), k[1] or "")))


def _span(reading: Reading, occasion: Occasion, party: str | None) -> "_Span | None":
    begun = reading.begin(occasion, party)
    if begun is None:
        return None
    found, start = begun
    length = counted(found, occasion, party, start)
    return None if length is None else _Span(found, occasion, party, start, length)


def _nothing(reading: Reading, occasion: Occasion, party: str | None) -> Liability:
    """A readiness that the rule says nothing of: not received yet, or not in force."""
    start = reading.start(occasion, party)
    if start is None:
        reason = Say.NOT_RECEIVED.of(basis=reading.rule.basis)
    else:
        reason = Say.NOT_IN_FORCE.of(country=of_file(reading.terms.name), day=reading.day(start.at))
    return Liability(party=party, basis=reading.rule.basis, liable_from=None, reasons=(reason,))


def _unowed(reading: Reading) -> Liability:
    """Nobody was told who could owe anything."""
    reason = Say.NO_MUNICIPALITY.of()
    return Liability(party=None, basis=reading.rule.basis, liable_from=None, reasons=(reason,))


def _uncovered(agreement: Agreement, occasion: Occasion) -> Liability:
    """No rule speaks of such a stay at all."""
    day = local_date(occasion.entries[-1].at, agreement.zone)
    reason = Say.NOT_IN_FORCE.of(country=of_file(agreement.name), day=day)
    basis = agreement.country.payment.basis
    return Liability(party=None, basis=basis, liable_from=None, reasons=(reason,))


@dataclass(frozen=True)
class _Span:
    """The days of one readiness while they are counted."""

    reading: Reading
    occasion: Occasion
    party: str | None
    start: Start
    counted: Counted

    @cached_property
    def _answers(self) -> list[tuple[date, Entry]]:
        """What the municipality said to this readiness, each with its day: every charged day asks."""
        found = self.reading.answers(self.occasion, self.party)
        return [(self.reading.day(e.notice.sent_at), e) for e in found]

    def liability(self) -> Liability:
        """The days that are charged by themselves, and by whose agreement others are not."""
        found = self._day_by_day()
        if not self.reading.terms.averages:
            return found
        started = self.reading.day(self.start.at)
        charged = tuple(day for day in found.days if self._level(day.date) is None)
        debtors = dict.fromkeys([started, *(day.date for day in found.days)])
        held = dict.fromkeys(
            (level, self._responsible_on(day)) for day in debtors if (level := self._level(day)) is not None
        )
        if not held:
            return found
        alone = not charged
        reasons = tuple(
            dict.fromkeys(self._averaged(level, None if alone else party) for level, party in held)
        )
        if not charged:
            return self._none(reasons)
        liable_from = charged[0].date
        return replace(found, liable_from=liable_from, days=charged, reasons=(*reasons, *found.reasons))

    def _level(self, day: date) -> Level | None:
        """The level of the mean for who owes that day, by what holds on the day of the start."""
        parties = (self.reading.case.hospital, self._responsible_on(day))
        return self.reading.terms.level(parties, self.reading.day(self.start.at))

    def _averaged(self, level: Level, party: str | None) -> Sentence:
        """That the mean decides: for `party` alone, where another one's days are charged by themselves."""
        allowed = self.reading.terms.country.payment.average
        basis = allowed.basis if allowed is not None else self.reading.rule.basis
        says = Say.AVERAGE_HOLDS if party is None else Say.AVERAGE_HOLDS_FOR
        agreed = of_file(level.agreement)
        return says.of(agreement=agreed, level=level.days, basis=of_file(basis), party=party)

    def _day_by_day(self) -> Liability:
        reading = self.reading
        due, missing = opening(reading, self.occasion, self.party, self.start, self.counted.due)
        if missing:
            return self._none(missing)
        first = reading.day(due)
        end = min(self._ends(due), key=lambda e: e.at, default=None)
        end_day = reading.day(end.at) if end else None
        if end and end_day and end_day <= first:
            ended = Say.ONLY_CHARGED_FROM.of(ended=reading.why(end, end.at), day=first)
            return self._none((ended,))
        until = min(reading.day(reading.now), end_day) if end_day else reading.day(reading.now)
        over = regime_over(reading, until - timedelta(days=1))
        charged = [day for day in self._days(first, until) if not regime_over(reading, day)]
        withheld, suspended = self._withheld(charged)
        reasons = [*self._why(due), *self.counted.remarks, *self._of_several()]
        if over:
            reasons.append(over)
        elif end:
            reasons.append(reading.why(end, end.at))
        if withheld and suspended:
            says = Say.WITHHELD_ONE if len(withheld) == 1 else Say.WITHHELD
            reasons.append(says.of(number=len(withheld), reason=suspended))
        days = tuple(
            self._priced(day, number) for number, day in enumerate(charged, 1) if day not in withheld
        )
        reasons += [day.contested for day in days if day.contested][:1]
        reasons += self._changes(days)
        return Liability(
            party=self.party,
            basis=reading.rule.basis,
            liable_from=first,
            days=days,
            withheld=tuple(sorted(withheld)),
            reasons=tuple(reasons),
            remarks=(*about_the_figure(reading, self.start), *self._about_prices(days)),
        )

    def _none(self, reasons: tuple[Sentence, ...]) -> Liability:
        basis = self.reading.rule.basis
        return Liability(party=self.party, basis=basis, liable_from=None, reasons=reasons)

    def _why(self, due: datetime) -> Iterator[Sentence]:
        counted = self.counted.said
        if counted.key == Say.SAME_DAY:
            counted = Sentence(Say.FROM_DAY, counted.values)
        if due > self.counted.due:
            yield Say.CHARGED_FROM.of(counted=counted, day=self.reading.day(due))
        else:
            yield counted

    def _of_several(self) -> Iterator[Sentence]:
        """Where several were told and one of them owes, that it is taken for the responsible one."""
        role = self.reading.rule.responsible
        told = set(self.reading.candidates(self.occasion, role)) if role is not None else set()
        if self.party is not None and len(told) > 1:
            yield Say.OF_SEVERAL.of(party=self.party, number=len(told))

    def _ends(self, due: datetime) -> Iterator[Ending]:
        yield from self.reading.endings(ENDS, self.occasion)
        for telling in self.reading.rule.satisfied_by:
            if telling.says is not None:
                at = self.reading.settled_by(telling, self.occasion, self.party, due)
                if at is not None:
                    stamp = self.reading.stamp(at)
                    yield Ending(at, NoticeKind.ANSWER, Say.CAN_RECEIVE.of(at=stamp))

    def _days(self, first: date, until: date) -> Iterator[date]:
        """The days before `until` that begin with every condition still fulfilled."""
        for number in range((until - first).days):
            day = first + timedelta(days=number)
            begins = max(first_second(day, self.reading.zone), self.start.at)
            lacking = (
                lacks(self.reading, r, self.occasion, self.party, begins) for r in required(self.reading)
            )
            if not any(lack is not None for lack in lacking):
                yield day

    def _withheld(self, days: list[date]) -> tuple[frozenset[date], Sentence | None]:
        """The days that nobody may charge while the last answer waits for a person to classify it.

        A day stands where the municipality had expressly said no by its end and the unread answer came later.
        """
        suspended = self.reading.suspended(self.occasion, self.party)
        if suspended is None:
            return frozenset(), None
        unread, _ = self._answers[-1]
        noes = [said_on for said_on, e in self._answers if _says_no(e)]
        stands = {day for day in days if day < unread and any(no <= day for no in noes)}
        return frozenset(set(days) - stands), suspended

    # --- price ---

    def _priced(self, day: date, number: int) -> Day:
        payment = self._payment(day)
        prices = [(payee, payment.priced(day.year, number, payee)) for payee in payment.payees]
        return Day(
            date=day,
            number=number,
            party=self._responsible_on(day),
            parts=tuple(Part(payee=p, amount=found.amount if found else None) for p, found in prices),
            currency=payment.currency,
            why=self._why_charged(day, number),
            contested=self._contested(day),
        )

    def _payment(self, day: date) -> Payment:
        parties = (self.reading.case.hospital, self._responsible_on(day))
        return self.reading.terms.payment(parties, day)

    def _why_charged(self, day: date, number: int) -> Sentence:
        basis = self.reading.rule.basis
        so_far = [e for said_on, e in self._answers if said_on <= day]
        if not so_far and self.reading.rule.suspended_by:
            reason = Say.SILENCE.of(basis=basis)
        elif so_far and so_far[-1].notice.answer is AnswerValue.CANNOT_RECEIVE:
            reason = Say.CANNOT.of(basis=basis)
        else:
            reason = Say.WAITS.of(basis=basis)
        return Say.DAY.of(number=number, day=self.reading.day(self.start.at), reason=reason)

    def _contested(self, day: date) -> Sentence | None:
        """The claim of circumstances beyond control that was made by the end of the day, if any."""
        debtor = self._responsible_on(day)
        for claim in self.reading.rule.contested_by:
            for e in self.reading.case.of(claim.notice):
                own = debtor in (None, e.notice.sender)
                if own and self.reading.day(e.at) <= day:
                    return Say.CONTESTED.of(at=self.reading.stamp(e.at), basis=of_file(claim.basis))
        return None

    def _responsible_on(self, day: date) -> str | None:
        """Who owes that day: the municipality of the readiness, until another one becomes responsible."""
        return debtor_on(self.reading, self.party, day)

    def _changes(self, days: tuple[Day, ...]) -> Iterator[Sentence]:
        for before, day in pairwise(days):
            if day.party != before.party:
                yield Say.SPLIT.of(party=day.party, day=day.date)

    def _about_prices(self, days: tuple[Day, ...]) -> tuple[Sentence, ...]:
        """What a reader must know of the prices, once for each year and payee."""
        made: dict[tuple[int, str, str], Sentence] = {}
        for day in days:
            payment = self._payment(day.date)
            for payee in payment.payees:
                found = payment.priced(day.date.year, day.number, payee)
                remark = about_price(found, day.date.year, payee, payment)
                if remark is not None:
                    made.setdefault((day.date.year, payee, found.basis if found else ""), remark)
        return tuple(made.values())


def debtor_on(reading: Reading, party: str | None, day: date) -> str | None:
    """Who owes that day: `party`, until another municipality becomes responsible."""
    for at, successor in reading.successions():
        if reading.day(at) <= day:
            party = successor
    return party


def _says_no(entry: Entry) -> bool:
    return entry.notice.answer in (AnswerValue.CANNOT_RECEIVE, AnswerValue.NOT_KNOWN)


def about_price(amount: Amount | None, year: int, payee: str, payment: Payment) -> Sentence | None:
    """What a reader must know of a price; nothing where it is the regulation's own."""
    basis = of_file(amount.basis if amount else "")
    match amount.confidence if amount is not None else None:
        case None if len(payment.payees) > 1:
            return Say.AMOUNT_UNKNOWN_TO.of(year=year, payee=of_file(payee))
        case None:
            return Say.AMOUNT_UNKNOWN.of(year=year)
        case "S":
            return Say.AMOUNT_SECOND_HAND.of(year=year, basis=basis)
        case "K":
            return Say.AMOUNT_UNCHECKED.of(year=year, basis=basis)
        case "local":
            return Say.AMOUNT_AGREED.of(year=year, basis=basis)
        case _:
            return None
