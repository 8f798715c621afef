"""How a stay is told in one row of a list: words first; sign and colour only repeat them."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from adapter.discharge.case import CaseState
from adapter.discharge.notices import AnswerValue
from adapter.discharge.partaking import Stage
from adapter.discharge.reporting import ReportState, report_tasks
from adapter.messaging.people import Role
from adapter.stays import Board, Due, Receipt, Said, Stay, Way
from adapter.web.words import Words

_SOON = 24 * 3600.0
"""Seconds before a deadline from which it is told as near."""

_LEVELS = {
    Way.WAITING: ("plain", "·"),
    Way.FAILING: ("warn", "!"),
    Way.GIVEN_UP: ("bad", "✕"),
    Way.SENT: ("plain", "→"),
    Way.DELIVERED: ("plain", "→"),
    Way.ACCEPTED: ("good", "✓"),
    Way.SEEN: ("good", "✓"),
    Way.REFUSED: ("bad", "✕"),
    Way.MISSING: ("bad", "?"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A state: its words, and the colour and sign that repeat them."""

    level: str  # plain, good, busy, warn, bad
    sign: str
    words: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Telling:
    """Rows in the reader's words."""

    words: Words
    board: Board

    def row(self, stay: Stay) -> dict[str, Any]:
        """What one row shows."""
        words = self.words
        return {
            "id": stay.id,
            "name": stay.face.name or stay.patient,
            "named": stay.face.name is not None,
            "initials": _initials(stay),
            "age": self._age(stay.face.born),
            "place": stay.face.place,
            "flags": self._flags(stay),
            "other": words.party(stay.municipality if self.board.role is Role.WARD else stay.hospital),
            "whose": self._whose(stay),
            "stage": stay.stage.word,
            "stage_number": int(stay.stage),
            "steps": [{"word": one.word, "done": one in stay.steps} for one in Stage],
            "dates": self._dates(stay),
            "receipts": [self._receipt(one, many=len(stay.receipts) > 1) for one in stay.receipts],
            "said": self._said(stay),
            "due": self._due(stay.dues),
            "late": sum(1 for one in stay.dues if one.at <= words.now),
            "wait": self._wait(stay),
            "planning": self._planning(stay),
        }

    def _age(self, born: date | None) -> str:
        if born is None:
            return ""
        today = self.words.now.astimezone(self.words.zone).date()
        years = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
        return self.words.count("{number} year old", "{number} years old", max(years, 0))

    def _whose(self, stay: Stay) -> str | None:
        """A host sees for whom it acts."""
        own = self.board.sight.person.parties
        if self.board.role is Role.WARD or (own is not None and stay.party in own and len(own) == 1):
            return None
        only = self.board.parties is not None and len(self.board.parties) == 1
        return None if only else self.words.party(stay.party)

    def _flags(self, stay: Stay) -> list[str]:
        """What must be known of the stay besides, in a word or two each."""
        said = self.words.of
        flags = []
        if stay.protected:
            flags.append(said("Protected identity"))
        if stay.reserved:
            flags.append(said("Not to be passed on"))
        if stay.readmission is not None:
            flags.append(self.words.code("stay-readmission", stay.readmission))
        if stay.told.state is CaseState.ON_LEAVE:
            flags.append(said("On leave"))
        if stay.told.state is CaseState.CLOSED:
            flags.append(said("Closed by hand"))
        if self._waits_for_report(stay):
            flags.append(said("Report of admission wanted"))
        return flags

    def _waits_for_report(self, stay: Stay) -> bool:
        """Whether an admission asks the stay's party for its report, and none has gone."""
        return self.board.role is Role.MUNICIPALITY and any(
            task.party == stay.party and task.state is ReportState.REQUESTED
            for task in report_tasks(stay.told, self.board.cases.roles)
        )

    def _dates(self, stay: Stay) -> list[dict[str, Any]]:
        """The dates of the stay, the expected one among them."""
        told, words = stay.told, self.words
        made: list[tuple[str, Any, str]] = []
        if told.admitted_at is not None:
            made.append(("Admitted", told.admitted_at.astimezone(words.zone).date(), ""))
        if told.ready_at is not None and told.ready_at > words.now:
            made.append(("Announced ready", _day(told, "ready_at", words), ""))
        if told.discharged_at is not None:
            label = {CaseState.DECEASED: "Died", CaseState.CLOSED: "Closed"}.get(told.state, "Discharged")
            made.append((label, _day(told, "discharged_at", words), ""))
        elif stay.coming is not None:
            passed = stay.coming < words.now.astimezone(words.zone).date()
            made.append(("Expected home", stay.coming, words.of("the day has passed") if passed else ""))
        return [
            {"label": words.of(label), "at": words.machine(at), "words": self._at(at), "hint": hint}
            for label, at, hint in made
        ]

    def _at(self, at: datetime | date) -> str:
        return self.words.when(at)

    def _receipt(self, one: Receipt, *, many: bool) -> Mark:
        level, sign = _LEVELS[one.way]
        words = self.words
        said = words.code("stay-way", one.way.value)
        notice = words.code("stay-notice", one.kind.value)
        whom = words.party(one.party) if many else ""
        at = words.when(one.at, weekday=False) if one.at is not None else ""
        hint = " · ".join(part for part in (whom, at) if part)
        return Mark(
            level=level, sign=sign, words=words.of("{notice}: {state}", notice=notice, state=said), hint=hint
        )

    def _said(self, stay: Stay) -> Mark | None:
        """The municipality's answer; None while it is not asked."""
        said, words = stay.said, self.words
        if said is not None:
            return self._answer(said)
        told = stay.told
        if told.ready_at is None or told.state is not CaseState.READY:
            return None
        if told.ready_at > words.now:
            return Mark(level="plain", sign="·", words=words.of("Not asked yet"))
        return Mark(level="warn", sign="…", words=words.of("No answer yet"))

    def _answer(self, said: Said) -> Mark:
        words = self.words
        hint = words.when(said.at, weekday=False)
        match said.value:
            case AnswerValue.CAN_RECEIVE if said.receive_from is not None:
                told = words.of("Can receive from {day}", day=words.day(said.receive_from))
                return Mark(level="good", sign="✓", words=told, hint=hint)
            case AnswerValue.CAN_RECEIVE:
                return Mark(level="good", sign="✓", words=words.of("Can receive"), hint=hint)
            case AnswerValue.CANNOT_RECEIVE:
                return Mark(level="bad", sign="✕", words=words.of("Cannot receive yet"), hint=hint)
            case AnswerValue.NOT_KNOWN:
                return Mark(level="warn", sign="?", words=words.of("Not known yet"), hint=hint)
            case _:
                return Mark(
                    level="busy", sign="✎", words=words.of("Answered in words: to be read"), hint=hint
                )

    def _due(self, dues: tuple[Due, ...]) -> Mark | None:
        """The first that can still be kept, or, where all are past, the last that was missed."""
        if not dues:
            return None
        words = self.words
        ahead = [one for one in dues if one.at > words.now]
        one = ahead[0] if ahead else dues[-1]
        left = (one.at - words.now).total_seconds()
        level, sign = ("bad", "!") if left <= 0 else ("warn", "◔") if left < _SOON else ("plain", "○")
        return Mark(
            level=level, sign=sign, words=words.left(one.at), hint=words.code("stay-due", _kind(one.kind))
        )

    def _wait(self, stay: Stay) -> dict[str, str] | None:
        """Days since the patient was ready, and what the charged ones have come to."""
        wait, words = stay.wait, self.words
        if wait is None or (stay.told.discharged_at is not None and not wait.days):
            return None
        cost = ""
        if wait.charged and wait.amount is None:
            cost = words.count(
                "{number} day charged, price unknown", "{number} days charged, price unknown", wait.charged
            )
        elif wait.charged and wait.amount is not None:
            cost = words.money(wait.amount, wait.currency or "")
        days = (
            words.count("{number} day", "{number} days", wait.days) if wait.days else words.of("since today")
        )
        return {"days": days, "cost": cost}

    def _planning(self, stay: Stay) -> list[str]:
        """Consent, SIP and open care, as far as anything has been said of them."""
        words, made = self.words, []
        if stay.sip and stay.planning.called is None:
            made.append(words.of("SIP asked for"))
        if stay.planning.called is not None:
            met = stay.meeting
            made.append(
                words.of("SIP called to {when}", when=words.when(met)) if met else words.of("SIP called")
            )
        if Stage.PLAN in stay.steps:
            made.append(words.code("stay-planning", stay.planning.state.value))
        if stay.consent is not None:
            made.append(words.code("stay-consent", stay.consent))
        available = stay.planning.open_care_available
        if available is not None:
            made.append(words.of("Open care available" if available else "Open care not available"))
        return made


def _day(told: Any, name: str, words: Words) -> datetime | date:
    """An instant of the case, or only its day where no time was told."""
    at: datetime = getattr(told, name)
    return at.astimezone(words.zone).date() if name in told.day_only else at


def _initials(stay: Stay) -> str:
    """`S. F.`; nothing of a name whose identity is protected."""
    if stay.face.name is None or stay.protected:
        return stay.patient[:5]
    family, _, given = stay.face.name.partition(", ")
    return " ".join(f"{part.strip()[0]}." for part in (given, family) if part.strip())


def _kind(kind: str) -> str:
    """Follow-ups have names of a region's own; a list says only that it is one."""
    return "follow-up" if kind.startswith("follow-up-") else kind
