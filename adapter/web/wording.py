"""How operations say things: states as marks, in the reader's language, and what a document is about.

A state is always a word; colour and sign only repeat it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup, escape

from adapter.discharge.law import CONFIDENCE
from adapter.discharge.notices import word
from adapter.messaging.alarm_words import about
from adapter.phrases import Phrase
from adapter.web.words import Told, Words, read

Document = Mapping[str, Any]

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


LEVELS: Mapping[str, Mapping[str, str]] = {
    "state": {
        "admitted": "plain",
        "on-leave": "plain",
        "ready": "busy",
        "discharged": "good",
        "deceased": "plain",
        "closed": "plain",
        "cancelled": "plain",
    },
    "planning": {
        "not-started": "plain",
        "contact-named": "busy",
        "requested": "busy",
        "called": "busy",
        "met": "busy",
        "proposed": "busy",
        "agreed": "good",
        "followed-up": "good",
        "ended": "plain",
        "declined": "warn",
        "interrupted": "warn",
        "withdrawn": "warn",
        "consent-refused": "warn",
        "consent-withdrawn": "warn",
        "closed": "plain",
    },
    "consent": {"none": "warn", "given": "good", "refused": "warn", "withdrawn": "warn"},
    "plan-state": {"proposed": "busy", "agreed": "good", "ended": "plain"},
    "delivery": {
        "waiting": "busy",
        "leased": "busy",
        "sent": "good",
        "acknowledged": "good",
        "refused": "bad",
        "given-up": "bad",
        "cancelled": "plain",
    },
    "outcome": {
        "accepted": "good",
        "released": "good",
        "quarantined": "warn",
        "not-relevant": "plain",
        "refused": "bad",
        "sent": "good",
        "retry": "warn",
        "gave-up": "bad",
    },
    "deadline-state": {"open": "plain", "met": "good", "met-late": "warn", "missed": "bad", "void": "plain"},
    "health": {
        "ok": "good",
        "folder": "good",
        "failing": "bad",
        "paused": "warn",
        "resting": "bad",
        "recovering": "busy",
        "asked-to-wait": "warn",
        "unused": "plain",
    },
    "step": {
        "sent": "plain",
        "delivered": "plain",
        "accepted": "good",
        "confirmed": "good",
        "refused": "bad",
        "not-received": "bad",
        "seen": "good",
        "stored": "plain",
    },
    "reach": {
        "receiving": "good",
        "folder": "good",
        "reads-here": "good",
        "unused": "plain",
        "sending": "busy",
        "receipt-awaited": "busy",
        "catching-up": "busy",
        "no-endpoint": "warn",
        "needs-person": "warn",
        "turned-away": "warn",
        "paused": "warn",
        "silent": "bad",
        "resting": "bad",
    },
    "standing": {"new": "plain", "correction": "warn", "cancellation": "bad"},
}
"""By family and code of the field's catalog: how much a state wants to be looked at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wording(Words):
    """The words of one page of operations, at the instant at which it is made."""

    # --- time ---

    def moment(self, case: Document, name: str) -> Told:
        """A moment of a case: the local day where its message told no time of day."""
        moment = read(case[name])
        if isinstance(moment, datetime) and name in case["day_only"]:
            return moment.astimezone(self.zone).date()
        return moment

    # --- names ---

    def sides(self, case: Document) -> str:
        """The hospital and the municipality of a case, as far as they are known."""
        return " – ".join(self.party(side) for side in (case["hospital"], case["municipality"]) if side)

    def notice(self, shown: Document, word: str = "kind") -> str:
        """What a delivery or message carries; what takes back or corrects is never taken for the notice."""
        kind = self.heading("notice", shown[word])
        match shown["standing"]:
            case "correction":
                return self.of("Correction of: {notice}", notice=kind)
            case "cancellation":
                return self.of("Cancellation of: {notice}", notice=kind)
            case _:
                return kind

    def due(self, kind: str) -> str:
        """What a deadline asks for; a follow-up of the region's own by the name that the region gives it."""
        return self._word(word("deadline", kind))

    def subject(self, subject: str | None) -> str:
        """What an alarm or a row of history is about: `delivery 17`, `deadline 3 early notice`."""
        if not subject:
            return "–"
        noun, _, name = subject.partition(" ")
        number, _, kind = name.partition(" ")
        if noun == "deadline" and kind:
            return f"{self.subject(f'deadline {number}')} {self.due(kind)}"
        return self._phrase(about(subject)).unescape()

    def reason(self, deadline: Document, *, sentence: bool = False) -> Markup:
        """Why a deadline is void, late or counted from elsewhere.

        `said`: of one that was stored before reasons were kept as phrases, what its case says today.
        """
        kept = deadline["reason"]
        text = deadline.get("said") or self.law(kept)
        if isinstance(kept, Phrase) or text == kept:
            return self.told(kept, begin=sentence, stop=sentence)
        return escape(f"{self.sentence(text)}." if sentence else text)

    def confidence(self, label: str) -> str:
        """How well a rule is known."""
        return self.of(CONFIDENCE[label])

    # --- states ---

    def mark(self, family: str, code: str) -> Mark:
        """A state in words, with its level."""
        return Mark(words=self.heading(family, code), level=LEVELS[family].get(code, "plain"))

    def delivery(self, shown: Document) -> Mark:
        """The state of a delivery, and for a waiting one what it waits for."""
        state = shown["state"]
        if state == "waiting":
            return self._waiting(shown)
        if state == "sent" and shown["expects_receipt"]:
            if shown["receipt_due_at"] is None:
                return Mark(words=self.of("Sent, receipt missing"), level="warn")
            return Mark(words=self.of("Sent, receipt awaited"), level="busy")
        return self.mark("delivery", state)

    def _waiting(self, shown: Document) -> Mark:
        if shown["next_attempt_at"] is None and shown["endpoint"] is None:
            level = "plain" if self.register.open else "warn"
            return Mark(words=self.of("Waiting: no endpoint configured"), level=level)
        if shown["next_attempt_at"] is None:
            return Mark(words=self.of("Waiting for a person"), level="warn")
        if shown["error"]:
            return Mark(words=self.of("Waiting after a failure"), level="warn")
        return Mark(words=self.of("Waiting its turn"), level="busy")

    def attempt(self, shown: Document) -> Mark:
        """What became of a try. A file in a folder is not delivered: nobody has said that they hold it."""
        if shown["outcome"] == "sent" and shown["status"] is None:
            return Mark(words=self.of("Put in the folder"), level="plain")
        return self.mark("outcome", shown["outcome"])

    def health(self, shown: Document) -> Mark:
        """How an endpoint does; that a folder receives is for receipts to say."""
        health = shown["health"]
        folder = health == "ok" and shown["transport"] == "directory"
        return self.mark("health", "folder" if folder else health)


_SUBJECT = re.compile(r"(delivery|message|case) (\d{1,18})\b")


def place(subject: str | None, case_id: int | None = None) -> str | None:
    """The page about the subject of an alarm, of a history row or of a piece of evidence."""
    found = _SUBJECT.match(subject or "")
    if found is not None:
        return f"/{found[1].replace('delivery', 'deliverie')}s/{found[2]}"
    return f"/cases/{case_id}" if case_id is not None else None
