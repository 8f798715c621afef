"""The average model: the mean of a month's ready days decides what a municipality pays, and not each day.

Parties may agree on it where the country's law lets them (Sweden: SKR's model, lag 2017:612 4 kap. 5 §). Over
all patients of a municipality who were discharged in a month, those of day 0 included, the ready days are
added up; it pays for the days by which their mean exceeds the agreed level, at the price of a care day.
What the law and the sources leave open is decided here and said in docs/deadlines.md.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from adapter.discharge.agreement import Agreement, Level
from adapter.discharge.case import Case
from adapter.discharge.conditions import lacks, required
from adapter.discharge.counting import first_second
from adapter.discharge.notices import NoticeKind
from adapter.discharge.occasions import Occasion
from adapter.discharge.payment import ENDS, about_price, debtor_on
from adapter.discharge.reading import Reading, Start, readings
from adapter.discharge.sentences import Say, Sentence, of_file

_LEAVES = (NoticeKind.DISCHARGED, NoticeKind.LEFT_AGAINST_ADVICE)
_HUNDREDTH = Decimal("0.01")


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What one patient adds to the mean of one municipality by one agreement."""

    debtor: str
    month: date  # the first day of the month of the discharge
    level: Level
    days: frozenset[date]  # the ready days that count; none for who left on the day of the notice
    lacking: tuple[Sentence, ...] = ()  # the conditions for want of which days do not count

    @property
    def added(self) -> "Added":
        """What it comes to."""
        return Added(debtor=self.debtor, month=self.month, level=self.level, days=len(self.days))


@dataclass(frozen=True, kw_only=True, slots=True)
class Added:
    """What patients add to a mean in numbers, all of them with the same level."""

    debtor: str
    month: date  # the first day of it
    level: Level
    days: int
    patients: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Mean:
    """What a month comes to between a municipality and a payee by one agreement.

    `allowed` is the sum of the agreed level over the patients; `amount` is None where the price is not known.
    """

    agreement: str
    debtor: str
    payee: str
    month: date
    patients: int
    days: int
    allowed: Decimal
    price: Decimal | None
    currency: str
    why: Sentence
    remarks: tuple[Sentence, ...] = ()  # on the price

    @property
    def over(self) -> Decimal:
        """The days above the level, of all patients together."""
        return max(Decimal(), self.days - self.allowed)

    @property
    def amount(self) -> Decimal | None:
        """To the öre, a half of one upwards; nothing is owed for no days, whatever a day costs."""
        if not self.over:
            return Decimal()
        return None if self.price is None else _rounded(self.over * self.price)


def shares(
    case: Case, agreement: Agreement, now: datetime, roles: Mapping[str, str] | None = None
) -> tuple[Share, ...]:
    """What the patient adds to whose mean; nothing before the discharge, or where each day counts."""
    left = _left(case, now)
    if left is None:
        return ()
    found: dict[tuple[str, str], list[Share]] = {}
    for reading, occasion, party, start in _averaged(case, agreement, now, roles):
        month = reading.day(left).replace(day=1)
        for share in _of_readiness(reading, occasion, party, start, left, month):
            found.setdefault((share.debtor, share.level.agreement), []).append(share)
    return tuple(_together(found[key]) for key in sorted(found))


def _averaged(
    case: Case, agreement: Agreement, now: datetime, roles: Mapping[str, str] | None
) -> Iterator[tuple[Reading, Occasion, str, Start]]:
    """Each readiness for which somebody would pay, as the rule reads it."""
    allowed = agreement.country.payment.average
    if allowed is None or not agreement.averages:
        return
    for reading in readings(case, agreement, now, roles):
        if reading.rule.kind != allowed.rule:
            continue
        for occasion in reading.occasions():
            for party in reading.parties(occasion):
                begun = reading.begin(occasion, party)
                if begun is not None and party is not None:
                    yield begun[0], occasion, party, begun[1]


def _of_readiness(
    reading: Reading, occasion: Occasion, party: str, start: Start, left: datetime, month: date
) -> Iterator[Share]:
    """The days from the notice to its end, for each municipality that was responsible on one of them."""
    first = reading.day(start.at)
    ends = (e.at for e in reading.endings(ENDS, occasion) if e.at >= start.at)
    ended = min((left, *ends))
    days = [first + timedelta(days=n) for n in range((reading.day(ended) - first).days)]
    by_debtor: dict[str, list[date]] = {}
    for day in days or [first]:
        debtor = debtor_on(reading, party, day)
        if debtor is not None:
            by_debtor.setdefault(debtor, []).append(day)
    for debtor, own in by_debtor.items():
        level = reading.terms.level((reading.case.hospital, debtor), first)
        if level is None:
            continue
        counting, lacking = _counting(reading, occasion, party, start, ended, own if days else [])
        yield Share(debtor=debtor, month=month, level=level, days=counting, lacking=lacking)


def _counting(
    reading: Reading, occasion: Occasion, party: str, start: Start, ended: datetime, days: list[date]
) -> tuple[frozenset[date], tuple[Sentence, ...]]:
    """The days that count, and what is missing for the others.

    An admission notice or a call must have been sent when the readiness ends. Whether open care is available
    is a state: a day counts that begins with its word standing.
    """
    states = [r for r in required(reading) if r.telling.says is not None]
    acts = [r for r in required(reading) if r.telling.says is None]
    lacking = [lack for r in acts if (lack := lacks(reading, r, occasion, party, ended)) is not None]
    if lacking:
        return frozenset(), tuple(lacking)
    counting: list[date] = []
    missing: dict[Sentence, None] = {}
    for day in days:
        begins = max(first_second(day, reading.zone), start.at)
        without = [lack for r in states if (lack := lacks(reading, r, occasion, party, begins)) is not None]
        if without:
            missing |= dict.fromkeys(without)
        else:
            counting.append(day)
    return frozenset(counting), tuple(missing)


def _together(found: list[Share]) -> Share:
    """The readinesses of one stay: their days once, the level of the last."""
    return Share(
        debtor=found[-1].debtor,
        month=found[-1].month,
        level=found[-1].level,
        days=frozenset().union(*(share.days for share in found)),
        lacking=tuple(dict.fromkeys(lack for share in found for lack in share.lacking)),
    )


def _left(case: Case, now: datetime) -> datetime | None:
    """When the patient left the hospital alive, if that is so by `now`."""
    leavings = [e.at for e in case.of(*_LEAVES) if e.at <= now]
    if not leavings:
        return None
    return None if _died(case, leavings[-1]) else leavings[-1]


def _died(case: Case, by: datetime) -> bool:
    return any(e.at <= by for e in case.of(NoticeKind.DECEASED))


# --- a month ----------------------------------------------------------------------------------------------


def means(found: Iterable[Added], agreement: Agreement) -> tuple[Mean, ...]:
    """What each month comes to: by agreement, municipality and payee, in the order of the months."""
    groups: dict[tuple[date, str, str], list[Added]] = {}
    for share in found:
        groups.setdefault((share.month, share.debtor, share.level.agreement), []).append(share)
    return tuple(mean for key in sorted(groups) for mean in _means(groups[key], agreement))


def _means(group: list[Added], agreement: Agreement) -> Iterator[Mean]:
    one = max(group, key=lambda some: sorted(some.level.between))
    payment = agreement.payment((*one.level.between, one.debtor), last_day(one.month))
    patients, days = sum(some.patients for some in group), sum(some.days for some in group)
    allowed = sum((some.level.days * some.patients for some in group), Decimal())
    level = one.level.days if len({some.level.days for some in group}) == 1 else _rounded(allowed / patients)
    basis = payment.average.basis if payment.average is not None else payment.basis
    says = Say.AVERAGE_OVER if days > allowed else Say.AVERAGE_WITHIN
    why = says.of(
        agreement=of_file(one.level.agreement),
        month=f"{one.month:%Y-%m}",
        patients=patients,
        days=days,
        mean=_rounded(Decimal(days) / patients),
        level=level,
        over=days - allowed,
        basis=of_file(basis),
    )
    for payee in payment.payees:
        price = payment.priced(one.month.year, 1, payee)
        remark = about_price(price, one.month.year, payee, payment) if days > allowed else None
        yield Mean(
            agreement=one.level.agreement,
            debtor=one.debtor,
            payee=payee,
            month=one.month,
            patients=patients,
            days=days,
            allowed=allowed,
            price=price.amount if price is not None else None,
            currency=payment.currency,
            why=why,
            remarks=(remark,) if remark is not None else (),
        )


def last_day(month: date) -> date:
    """The last day of the month in which `month` lies."""
    return (month.replace(day=1) + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def _rounded(number: Decimal) -> Decimal:
    return number.quantize(_HUNDREDTH, ROUND_HALF_UP)


# --- one case ---------------------------------------------------------------------------------------------


def place_in_mean(
    case: Case, agreement: Agreement, now: datetime, roles: Mapping[str, str] | None = None
) -> tuple[Sentence, ...]:
    """Where the patient stands in the mean, for who asks why no day is charged; nothing where each day is."""
    held = [
        reading.terms.level((case.hospital, party), reading.day(start.at))
        for reading, _, party, start in _averaged(case, agreement, now, roles)
    ]
    found = shares(case, agreement, now, roles)
    if not found and not any(held):
        return ()
    if not found:
        died = _left(case, now) is None and _died(case, now)
        return (Say.AVERAGE_DIED.of() if died else Say.AVERAGE_AHEAD.of(),)
    told = [
        Say.AVERAGE_ADDS.of(party=share.debtor, month=f"{share.month:%Y-%m}", days=len(share.days))
        for share in found
    ]
    return (*told, *dict.fromkeys(lack for share in found for lack in share.lacking))
