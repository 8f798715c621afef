"""Lifting the protection of somebody's identity: only by a person under their own name, with a reason.

Messages tell of a protection and lift none: that a sender says nothing of it may mean that it does not know.
"""

from adapter.errors import NotFound
from adapter.outbox import because
from adapter.phrases import Phrase, phrase
from adapter.store import cases as case_rows
from adapter.store import protections
from adapter.store.statements import Row
from adapter.web.by_hand import reason
from adapter.web.operations import WATCHERS
from adapter.web.site import Action, Doing, Link, Mistake, Page
from adapter.web.views import case


def _lift(doing: Doing) -> str:
    row, why = _case(doing), reason(doing)
    if not protections.lift(doing.tx, row["patient"], by=doing.by, why=why, now=doing.now):
        raise Mistake({"": doing.words.of("The identity is not protected; nothing was done.")})
    return _noted(doing, row, because(phrase("the protection of the identity was lifted"), why))


def _protect(doing: Doing) -> str:
    row, why = _case(doing), reason(doing)
    if not protections.restore(doing.tx, row["patient"]):
        raise Mistake({"": doing.words.of("The protection has not been lifted; nothing was done.")})
    return _noted(doing, row, because(phrase("the identity is protected again"), why))


def _case(doing: Doing) -> Row:
    row = case_rows.get(doing.tx, doing.row())
    if row is None:
        raise NotFound(phrase("There is nothing with that number."))
    if not doing.person.named:
        text = "Sign in with an account of your own: who does this stands in the history."
        raise Mistake({"": doing.words.of(text)})
    case_rows.alone_with(doing.tx, row["patient"])
    return row


def _noted(doing: Doing, row: Row, what: Phrase) -> str:
    subject = f"case {row['id']}"
    case_rows.note(doing.tx, at=doing.now, subject=subject, what=what, case_id=row["id"], by=doing.by)
    return f"/cases/{row['id']}"


PAGES: tuple[Page, ...] = ()
NAV: tuple[Link, ...] = ()

ACTIONS = (
    Action(path="/cases/{id}/lift-protection", act=_lift, roles=WATCHERS, again=case),
    Action(path="/cases/{id}/protect-again", act=_protect, roles=WATCHERS, again=case),
)
"""What is done about a protection, by those who keep the messages going or look after the looks."""
