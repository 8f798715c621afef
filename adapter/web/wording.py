"""How the pages say things: instants in the region's own time with a hint, states in words, names of parties.

A state is always a word; colour and sign only repeat it. Instants come as ISO 8601 (`store.shown`) or as
datetimes, days as dates.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

from adapter.alarming import STAFF
from adapter.discharge.law import CONFIDENCE
from adapter.discharge.notices import spoken
from adapter.messaging.register import Register

Document = Mapping[str, Any]
Told = datetime | date | str | None

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


SIGNS = {"good": "✓", "plain": "·", "busy": "→", "warn": "!", "bad": "✕"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A state as a page shows it: the words, and how much it wants to be looked at."""

    words: str
    level: str = "plain"  # good, plain, busy, warn, bad

    @property
    def sign(self) -> str:
        """A sign beside the words, so that colour never stands alone."""
        return SIGNS[self.level]


CASE_STATES = {
    "admitted": Mark(words="In hospital", level="plain"),
    "on-leave": Mark(words="On leave", level="plain"),
    "ready": Mark(words="Ready for discharge", level="busy"),
    "discharged": Mark(words="Discharged", level="good"),
    "deceased": Mark(words="Deceased", level="plain"),
    "cancelled": Mark(words="Cancelled", level="plain"),
}
PLANNING_STATES = {
    "not-started": Mark(words="Not begun", level="plain"),
    "contact-named": Mark(words="Contact named", level="busy"),
    "requested": Mark(words="A plan is asked for", level="busy"),
    "called": Mark(words="Called to the meeting", level="busy"),
    "met": Mark(words="Meeting held, no plan yet", level="busy"),
    "proposed": Mark(words="Plan proposed, not agreed", level="busy"),
    "agreed": Mark(words="Plan agreed", level="good"),
    "followed-up": Mark(words="Plan followed up", level="good"),
    "ended": Mark(words="Plan ended", level="plain"),
    "declined": Mark(words="The patient declined", level="warn"),
    "interrupted": Mark(words="Broken off", level="warn"),
    "withdrawn": Mark(words="Waiting: the patient is not ready any more", level="warn"),
    "consent-refused": Mark(words="Consent refused: nothing may be shared", level="warn"),
    "consent-withdrawn": Mark(words="Consent withdrawn: nothing more may be shared", level="warn"),
    "closed": Mark(words="Closed: the patient has died", level="plain"),
}
CONSENT_STATES = {
    "none": Mark(words="Nobody has told of a consent", level="warn"),
    "given": Mark(words="Given", level="good"),
    "refused": Mark(words="Refused", level="warn"),
    "withdrawn": Mark(words="Withdrawn", level="warn"),
}
PLAN_KINDS = {
    "sip": "SIP",
    "individual-plan": "Individual plan",
    "discharge-plan": "Discharge plan",
    None: "A plan that does not say its kind",
}
PLAN_STATES = {
    "proposed": Mark(words="Proposed", level="busy"),
    "agreed": Mark(words="Agreed", level="good"),
    "ended": Mark(words="Ended", level="plain"),
}
# The filter of the log offers these words, and every badge of a delivery begins with one of them.
DELIVERY_STATES = {
    "waiting": "Waiting",
    "leased": "On its way now",
    "sent": "Sent",
    "acknowledged": "Acknowledged",
    "refused": "Refused",
    "given-up": "Given up",
    "cancelled": "Cancelled, never sent",
}
OUTCOMES = {
    "accepted": Mark(words="Accepted", level="good"),
    "released": Mark(words="Accepted after release", level="good"),
    "quarantined": Mark(words="Held in quarantine", level="warn"),
    "refused": Mark(words="Refused", level="bad"),
    "sent": Mark(words="Taken by the receiver", level="good"),
    "retry": Mark(words="Failed, tried again", level="warn"),
    "gave-up": Mark(words="Failed for good", level="bad"),
}
DEADLINE_STATES = {
    "open": Mark(words="Open", level="plain"),
    "met": Mark(words="Met", level="good"),
    "met-late": Mark(words="Met late", level="warn"),
    "missed": Mark(words="Missed", level="bad"),
    "void": Mark(words="No longer applies", level="plain"),
}
HEALTH = {
    "ok": Mark(words="Receiving", level="good"),
    "failing": Mark(words="Does not answer", level="bad"),
    "paused": Mark(words="Paused", level="warn"),
    "resting": Mark(words="Rests: does not answer", level="bad"),
    "recovering": Mark(words="Coming back, a few at a time", level="busy"),
    "asked-to-wait": Mark(words="Asks us to wait", level="warn"),
    "unused": Mark(words="Nothing sent yet", level="plain"),
}
FOLDER = Mark(words="Files are put in its folder", level="good")
"""An endpoint that is a folder: that something is received there is for receipts to say."""

STEPS = {
    "sent": Mark(words="Sent to", level="plain"),
    "delivered": Mark(words="Delivered to", level="plain"),
    "accepted": Mark(words="Accepted by", level="good"),
    "refused": Mark(words="Refused by", level="bad"),
    "not-received": Mark(words="Not received by", level="bad"),
    "seen": Mark(words="Seen by", level="good"),
}
STORED = Mark(words="Stored here for", level="plain")
"""The receipt of a party whose board is its system: ours to give, and no word of a system of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wording:
    """The words of one page, at the instant at which it is made."""

    now: datetime
    zone: tzinfo
    register: Register

    # --- time ---

    def local(self, told: Told, *, seconds: bool = False) -> str:
        """An instant in local time, as `3 Mar 2014, 14:20`; a day as `3 Mar 2014`; no year in this year."""
        moment = read(told)
        if moment is None:
            return "–"
        if isinstance(moment, datetime):
            here = moment.astimezone(self.zone)
            return f"{self._day(here)}, {here:%H:%M:%S}" if seconds else f"{self._day(here)}, {here:%H:%M}"
        return self._day(moment)

    def moment(self, case: Document, name: str) -> Told:
        """A moment of a case: the local day where its message told no time of day."""
        moment = read(case[name])
        if isinstance(moment, datetime) and name in case["day_only"]:
            return moment.astimezone(self.zone).date()
        return moment

    def weekday(self, told: Told) -> str:
        """The local day with its weekday, as `Mon 3 Mar 2014`."""
        moment = read(told)
        if moment is None:
            return "–"
        here = moment.astimezone(self.zone).date() if isinstance(moment, datetime) else moment
        return f"{_DAYS[here.weekday()]} {self._day(here)}"

    def _day(self, day: date) -> str:
        short = f"{day.day} {_MONTHS[day.month - 1]}"
        return short if day.year == self.now.astimezone(self.zone).year else f"{short} {day.year}"

    def ago(self, told: Told) -> str:
        """How far an instant is from now: `in 2 h 5 min`, `3 days ago`; empty for a day."""
        moment = read(told)
        if not isinstance(moment, datetime):
            return ""
        away = moment - self.now
        if abs(away) < timedelta(seconds=1):
            return "just now"
        return f"in {length(away)}" if away > timedelta() else f"{length(-away)} ago"

    def ahead(self, told: Told) -> bool:
        """Whether an instant is yet to come."""
        moment = read(told)
        return isinstance(moment, datetime) and moment > self.now

    def left(self, told: Told) -> str:
        """How long until a deadline, in words: `3 h 20 min left`, `2 days overdue`."""
        moment = read(told)
        if not isinstance(moment, datetime):
            return ""
        away = moment - self.now
        return f"{length(away)} left" if away > timedelta() else f"{length(-away)} overdue"

    def machine(self, told: Told) -> str:
        """For the `datetime` attribute."""
        moment = read(told)
        return moment.isoformat() if moment is not None else ""

    # --- names ---

    def party(self, party_id: str | None) -> str:
        """The name of a party; its id where the register has none."""
        if party_id is None:
            return "–"
        known = self.register.party(party_id)
        return "Our own staff" if party_id == STAFF and known is None else self.register.name(party_id)

    def sides(self, case: Document) -> str:
        """The hospital and the municipality of a case, as far as they are known."""
        return " – ".join(self.party(side) for side in (case["hospital"], case["municipality"]) if side)

    def kind(self, word: str | None) -> str:
        """A word of the field as a heading: `ready-for-discharge` is `Ready for discharge`."""
        if not word:
            return "–"
        text = spoken(word)
        return text[:1].upper() + text[1:]

    def notice(self, shown: Document, word: str = "kind") -> str:
        """What a delivery or message carries; what takes back or corrects is never taken for the notice."""
        kind = self.kind(shown[word])
        standing = shown["standing"]
        return f"{self.kind(standing)} of: {kind}" if standing in ("correction", "cancellation") else kind

    def readmission(self, linked: Document) -> str:
        """What a case is to the one before it."""
        return "Possible readmission" if linked["readmission"] == "possible" else "Readmission"

    def sentence(self, text: str | None) -> str:
        """A reason as the store keeps it, begun with a capital."""
        return f"{text[:1].upper()}{text[1:]}" if text else "–"

    def plural(self, noun: str) -> str:
        """More than one of them; also the address of their list."""
        return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in "aeou" else f"{noun}s"

    def count(self, number: int, noun: str) -> str:
        """`1 alarm`, `3 alarms`."""
        return f"{number} {noun if number == 1 else self.plural(noun)}"

    # --- states ---

    def case(self, state: str) -> Mark:
        """The state of a case."""
        return CASE_STATES.get(state, Mark(words=self.kind(state)))

    def planning(self, state: str) -> Mark:
        """How far the planning of a case has come."""
        return PLANNING_STATES[state]

    def consent(self, state: str) -> Mark:
        """Whether the patient has consented to the sharing of a plan."""
        return CONSENT_STATES[state]

    def plan(self, state: str) -> Mark:
        """What a plan is to those who make it."""
        return PLAN_STATES[state]

    def plan_kind(self, kind: str | None) -> str:
        """What kind of plan it is."""
        return PLAN_KINDS[kind]

    def delivery(self, shown: Document) -> Mark:
        """The state of a delivery, and for a waiting one what it waits for."""
        state = shown["state"]
        words = self.delivery_state(state)
        if state == "waiting":
            if shown["next_attempt_at"] is None and shown["endpoint"] is None:
                return Mark(
                    words="Waiting: no endpoint configured", level="plain" if self.register.open else "warn"
                )
            if shown["next_attempt_at"] is None:
                return Mark(words="Waiting for a person", level="warn")
            if shown["error"]:
                return Mark(words="Waiting after a failure", level="warn")
            return Mark(words="Waiting its turn", level="busy")
        if state == "sent" and shown["expects_receipt"]:
            if shown["receipt_due_at"] is None:
                return Mark(words="Sent, receipt missing", level="warn")
            return Mark(words="Sent, receipt awaited", level="busy")
        levels = {"leased": "busy", "acknowledged": "good", "sent": "good", "cancelled": "plain"}
        return Mark(words=words, level=levels.get(state, "bad"))

    def delivery_state(self, state: str) -> str:
        """A state of deliveries, as the filter of the log offers it."""
        return DELIVERY_STATES.get(state, self.kind(state))

    def outcome(self, outcome: str) -> Mark:
        """What became of a message or an attempt."""
        return OUTCOMES.get(outcome, Mark(words=self.kind(outcome)))

    def attempt(self, shown: Document) -> Mark:
        """What became of a try. A file in a folder is not delivered: nobody has said that they hold it."""
        if shown["outcome"] == "sent" and shown["status"] is None:
            return Mark(words="Put in the folder", level="plain")
        return self.outcome(shown["outcome"])

    def deadline(self, state: str) -> Mark:
        """How a deadline stands."""
        return DEADLINE_STATES.get(state, Mark(words=self.kind(state)))

    def confidence(self, label: str) -> str:
        """How well a rule is known."""
        return CONFIDENCE[label]

    def health(self, shown: Document) -> Mark:
        """How an endpoint does."""
        health = shown["health"]
        if health == "ok" and shown["transport"] == "directory":
            return FOLDER
        return HEALTH.get(health, Mark(words=self.kind(health)))

    def step(self, step: str) -> Mark:
        """A step of evidence, to be followed by the party."""
        return STEPS.get(step, Mark(words=self.kind(step)))


def read(told: Told) -> datetime | date | None:
    """An instant or day from what `store.shown` writes."""
    if told is None or isinstance(told, date):
        return told
    return date.fromisoformat(told) if len(told) == 10 else datetime.fromisoformat(told)


def length(away: timedelta) -> str:
    """A span in its two largest useful units: `12 s`, `5 min`, `3 h 20 min`, `4 days`."""
    seconds = int(away.total_seconds())
    if seconds < 60:
        return f"{max(seconds, 0)} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if hours < 1:
        return f"{minutes} min"
    if hours < 48:
        rest = minutes - hours * 60
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{days} days" if days < 730 else f"{days // 365} years"


_SUBJECT = re.compile(r"(delivery|message|case) (\d{1,18})\b")


def place(subject: str | None, case_id: int | None = None) -> str | None:
    """The page about the subject of an alarm, of a history row or of a piece of evidence."""
    found = _SUBJECT.match(subject or "")
    if found is not None:
        return f"/{found[1].replace('delivery', 'deliverie')}s/{found[2]}"
    return f"/cases/{case_id}" if case_id is not None else None


TO_DO = {
    "quarantined": "Look at it in the quarantine, correct our own data, then release it.",
    "refused": "The receiver will not have it. Read its reason, correct, and reissue it.",
    "given-up": "Tell the receiver by telephone, set right what is wrong, then resend it.",
    "receipt-missing": "Telephone the receiver; then resend it or give it up.",
    "receipt-urgent": "Telephone the receiver now, while there is time; record its answer.",
    "delivery-urgent": "Telephone the receiver now, while there is time; then record here what was said.",
    "not-received": "It counts as not received. Telephone the receiver, then reissue it.",
    "unknown-service": "Add the service to the region file, or tell the sender the right address.",
    "unknown-original-of-correction": "Ask the sender which notice is meant; none is undone meanwhile.",
    "contradicting-receipt": "Ask the receiver which of the two holds; the first stands here.",
    "receipt-not-passed-back": "Tell the sender by telephone what the receiver has said, and record it here.",
    "deadline-near": "Do what is due, or tell who must.",
    "deadline-missed": "Do what was due, or say why not, and record it here.",
    "deadline-unknown": "It is tried again in an hour; if it stays, look at the case and its notices.",
    "plan-conflict": "Compare the two versions, agree by telephone, then keep one: plan-conflicts keep.",
    "endpoint-resting": "Ask whoever runs it; where something is urgent, telephone. It is tried by itself.",
    "mailbox": "Look at the mailbox's address and credentials; nothing is lost, it is read again.",
    "reconciliation": "Do what it proposes; it ends with the next comparison that no longer finds it.",
    "restored": "Ask those who are named to send again; then record here that they have.",
    "subscription": "Tell the subscriber; it asks to be told again, and for the events that it missed.",
    "identity-number": "Telephone the sender: whom is it about? A new message replaces one that was wrong.",
    "disk": "Make room on that disk, or give the adapter a larger one, before it is full.",
    "backlog": "See what the endpoint answers; telephone the receiver, or resume what is paused.",
    "clock": "Look at the time synchronisation; then at the deadlines of that time, and record it.",
    "test": "Nothing: somebody tried whether alarms arrive.",
    "not-synthetic": "Feed only synthetic patients for evaluation; delete this store when you are done.",
}
"""By kind of alarm: what a person does about it."""
