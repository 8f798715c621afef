"""A described case, read from a scenario document, with its deadlines and payment and the basis of each.

This is what `discharge-adapter explain` prints. The document is the contract of docs/deadlines.md; a mistake
in it is a ConfigurationError that names the event and the key. The described case is one stay.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

from adapter.discharge.agreement import ROLES, Agreement, agreement
from adapter.discharge.case import Case, Evidence, Fact, Step, fold
from adapter.discharge.deadlines import Deadline, deadlines
from adapter.discharge.notices import AnswerValue, Notice, NoticeKind
from adapter.discharge.payment import liabilities
from adapter.errors import ConfigurationError

Document = Mapping[str, Any]

Word = TypeVar("Word", bound=StrEnum)

_STEPS = {"delivered_at": Step.DELIVERED, "accepted_at": Step.ACCEPTED, "seen_at": Step.SEEN}
_TIMES = ("at", "sent_at", *_STEPS)
_PARTIES = ("sender", "by", "receiver")
_OF_KIND = {
    "answer": NoticeKind.ANSWER,
    "receive_from": NoticeKind.ANSWER,
    "available": NoticeKind.OPEN_CARE_AVAILABILITY,
    "ready": NoticeKind.READY_FOR_DISCHARGE,
    "estimate": NoticeKind.READY_FOR_DISCHARGE,
    "sip_needed": NoticeKind.READY_FOR_DISCHARGE,
    "psychiatric": NoticeKind.READY_FOR_DISCHARGE,
}
_KEYS = ("kind", *_TIMES, *_PARTIES, *_OF_KIND, "planned_discharge")
_SENDERS = {
    NoticeKind.ANSWER: "municipality",
    NoticeKind.REPORT_OF_ADMISSION: "municipality",
    NoticeKind.SERVICES_GRANTED: "municipality",
    NoticeKind.SIP_REQUESTED: "municipality",
    NoticeKind.OPEN_CARE_AVAILABILITY: "open-care",
    NoticeKind.FIXED_CONTACT_NAMED: "open-care",
    NoticeKind.SIP_CALL: "fixed-care-contact",
}
"""Who sends a notice that names no sender; the hospital everything else."""


def explain(document: Document) -> dict[str, Any]:
    """The deadlines and the payment of the described case, ready to be printed as JSON.

    ConfigurationError where the document cannot be read: which event, which key, and what to write.
    """
    document = _object(document, "scenario")
    _known(document, ("title", "agreement", "now", "events"), "scenario")
    terms = _agreement(document)
    now = _instant(document, "now", "scenario")
    facts, roles = _facts(document)
    cases = fold(facts, terms.zone)
    if not cases:
        payment = _unpaid(terms, [terms.payment.not_encoded or "nothing has happened"])
        return {"deadlines": [], "payment": payment}
    (case,) = cases  # every event belongs to the one described stay
    return {
        "deadlines": [_shown(d) for d in deadlines(case, terms, now, roles)],
        "payment": _payment(case, terms, now, roles),
    }


def _shown(deadline: Deadline) -> dict[str, Any]:
    return {
        "kind": deadline.kind,
        "actor": deadline.actor,
        "party": deadline.party,
        "due_at": deadline.due_at.isoformat(),
        "state": deadline.state.value,
        "basis": deadline.basis,
        "confidence": deadline.confidence,
        "since": deadline.since.isoformat(),
        "settled_at": deadline.settled_at.isoformat() if deadline.settled_at else None,
        "remind_at": deadline.remind_at.isoformat() if deadline.remind_at else None,
        "reason": deadline.reason or None,
    }


def _unpaid(terms: Agreement, reasons: list[str], total: str | None = None) -> dict[str, Any]:
    basis = terms.payment.basis
    return {"liable_from": None, "days": [], "total": total, "basis": basis, "reasons": reasons}


def _payment(case: Case, terms: Agreement, now: datetime, roles: Mapping[str, str]) -> dict[str, Any]:
    payment = terms.payment
    if payment.not_encoded is not None:
        return _unpaid(terms, [payment.not_encoded])
    found = liabilities(case, terms, now, roles)
    if not found:
        return _unpaid(terms, ["no ready notice has been sent"], "0")
    days = sorted(day for liability in found for day in liability.days)
    prices = [_price(terms, day) for day in days]
    known = [price for price in prices if price is not None]
    starts = [liability.liable_from for liability in found if liability.liable_from is not None]
    return {
        "liable_from": min(starts).isoformat() if starts else None,
        "days": [
            {
                "date": day.isoformat(),
                "amount": None if price is None else str(price),
                "currency": payment.currency,
            }
            for day, price in zip(days, prices, strict=True)
        ],
        "total": str(sum(known, Decimal())) if len(known) == len(prices) else None,
        "basis": payment.basis,
        "reasons": [*(liability.reason for liability in found), *_about_prices(terms, days)],
    }


def _price(terms: Agreement, day: date) -> Decimal | None:
    amount = terms.payment.amounts.get(day.year)
    return amount.amount if amount else None


def _about_prices(terms: Agreement, days: Iterable[date]) -> Iterable[str]:
    for year in sorted({day.year for day in days}):
        amount = terms.payment.amounts.get(year)
        if amount is None:
            yield f"the amount per day of {year} is not known here, so neither is the total"
        elif amount.confidence != "Q":
            yield f"the amount of {year} is from {amount.basis}, not from the regulation itself"


# --- reading the document ---------------------------------------------------------------------------------


def _agreement(document: Document) -> Agreement:
    named = document.get("agreement")
    if isinstance(named, str):
        return agreement(named)
    if not isinstance(named, Mapping):
        raise ConfigurationError(
            'scenario: agreement: must be a name, like "sweden", or {"base": NAME, "terms": {…}}'
        )
    _known(named, ("base", "terms"), "scenario, agreement")
    base = named.get("base")
    if not isinstance(base, str):
        raise ConfigurationError('scenario, agreement: base: must be a name, like "sweden"')
    return agreement(base, _object(named.get("terms", {}), "scenario, agreement, terms"))


def _facts(document: Document) -> tuple[list[Fact], dict[str, str]]:
    events = document.get("events")
    if not isinstance(events, list):
        raise ConfigurationError("scenario: events: must be a list")
    described = [_Event(_object(e, f"events[{n}]"), n, f"events[{n}]") for n, e in enumerate(events)]
    roles: dict[str, str] = {}
    for event in described:
        roles |= event.roles()
    usual = {role: next((p for p, r in roles.items() if r == role), role) for role in ROLES}
    roles |= {party: role for role, party in usual.items()}
    return [fact for event in described for fact in event.facts(usual)], roles


@dataclass(frozen=True, slots=True)
class _Event:
    """One event of a scenario, while it is read."""

    content: Document
    number: int
    where: str

    @property
    def kind(self) -> NoticeKind:
        return self._one_of("kind", NoticeKind)

    def roles(self) -> dict[str, str]:
        """The parties that the event names, each with its role."""
        named = [*self._named("sender"), *self._named("by"), *self._named("receiver")]
        return dict(named)

    def facts(self, usual: Mapping[str, str]) -> list[Fact]:
        """The notice, and what is known of its way to each receiver; `usual` is who has a role if unsaid."""
        notice = self._notice(usual)
        made: list[Fact] = [notice]
        for key, step in _STEPS.items():
            if self.content.get(key) is None:
                continue
            at = _instant(self.content, key, self.where)
            made.extend(
                Evidence(step=step, message_id=notice.message_id, sender=notice.sender, party=party, at=at)
                for party in notice.receivers
            )
        return made

    def _notice(self, usual: Mapping[str, str]) -> Notice:
        kind, content = self.kind, self.content
        self._check_keys(kind)
        at = _instant(content, "at", self.where)
        senders = [party for party, _ in (*self._named("sender"), *self._named("by"))]
        sender = senders[0] if senders else usual[_SENDERS.get(kind, "hospital")]
        receivers = [party for party, _ in self._named("receiver")]
        if not receivers:
            receivers = [usual["municipality" if sender == usual["hospital"] else "hospital"]]
        return Notice(
            kind=kind,
            message_id=f"event-{self.number:04d}",  # events at one instant keep their order
            occurred=at,
            sent_at=at if content.get("sent_at") is None else _instant(content, "sent_at", self.where),
            sender=sender,
            receivers=tuple(receivers),
            hospital=usual["hospital"],
            encounter="the described stay",
            ready=self._day("ready"),
            planned_discharge=self._day("planned_discharge"),
            receive_from=self._day("receive_from"),
            answer=self._one_of("answer", AnswerValue) if kind is NoticeKind.ANSWER else None,
            open_care_available=self._flag("available", required=kind is NoticeKind.OPEN_CARE_AVAILABILITY),
            estimate=bool(self._flag("estimate")),
            sip_needed=bool(self._flag("sip_needed")),
            psychiatric=bool(self._flag("psychiatric")),
        )

    def _check_keys(self, kind: NoticeKind) -> None:
        _known(self.content, _KEYS, self.where)
        for key, of_kind in _OF_KIND.items():
            if key in self.content and kind is not of_kind:
                raise ConfigurationError(f"{self.where}: {key}: belongs to {of_kind}, not to {kind}")
        if "sender" in self.content and "by" in self.content:
            raise ConfigurationError(f"{self.where}: by: says the same as sender; leave one out")

    def _named(self, key: str) -> list[tuple[str, str]]:
        """The parties under `key` as (party, role): a role, or role:name; receivers may be a list."""
        value = self.content.get(key)
        names = value if isinstance(value, list) and key == "receiver" else [value]
        made = []
        for name in names:
            if name is None:
                continue
            role = name.partition(":")[0] if isinstance(name, str) else None
            if role not in ROLES:
                raise ConfigurationError(
                    f"{self.where}: {key}: {name!r} is no party; write one of {', '.join(ROLES)},"
                    " or a role with a name, like municipality:Lærdal"
                )
            made.append((str(name), role))
        return made

    def _one_of(self, key: str, words: type[Word]) -> Word:
        value = self.content.get(key)
        try:
            return words(str(value))
        except ValueError as error:
            said = "is missing" if value is None else f"{value!r} is unknown"
            raise ConfigurationError(f"{self.where}: {key}: {said}; it may be: {', '.join(words)}") from error

    def _day(self, key: str) -> date | None:
        value = self.content.get(key)
        if value is None:
            return None
        try:
            return date.fromisoformat(value)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"{self.where}: {key}: {value!r} is no date; write 2024-03-04"
            ) from error

    def _flag(self, key: str, *, required: bool = False) -> bool | None:
        value = self.content.get(key)
        if value is None and not required:
            return None
        if not isinstance(value, bool):
            raise ConfigurationError(f"{self.where}: {key}: must be true or false")
        return value


def _object(value: Any, where: str) -> Document:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{where}: must be a JSON object")
    return value


def _known(content: Document, keys: Iterable[str], where: str) -> None:
    allowed = tuple(keys)
    for key in content:
        if key not in allowed:
            raise ConfigurationError(f"{where}: {key}: is not known here; it may have: {', '.join(allowed)}")


def _instant(content: Document, key: str, where: str) -> datetime:
    value = content.get(key)
    if value is None:
        raise ConfigurationError(f"{where}: {key}: is missing; write 2024-03-01T10:00:00+01:00")
    try:
        made = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{where}: {key}: {value!r} is no time; write 2024-03-01T10:00:00+01:00"
        ) from error
    if made.tzinfo is None:
        raise ConfigurationError(f"{where}: {key}: {value!r} has no offset; write {value}+01:00, or Z")
    return made
