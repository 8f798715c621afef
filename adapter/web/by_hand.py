"""What operators do by hand, each with a reason that stands in the history; and how it is undone.

A form tells how the thing stood when it was shown: where somebody else, or the adapter itself, has changed it
since, nothing is done and the person is told how it stands now.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from adapter.bulks import stands
from adapter.errors import MessageError, NotFound
from adapter.messaging.envelope import masked
from adapter.messaging.routing import NOT_RELEVANT
from adapter.outbox import because
from adapter.phrases import Phrase, phrase
from adapter.store import cases as case_rows
from adapter.store import deliveries as delivery_rows
from adapter.store import endpoint_health, shown
from adapter.store import messages as message_rows
from adapter.store.statements import Row
from adapter.web.operations import OPERATORS, WATCHERS, delivery, receivers
from adapter.web.site import Action, Doing, Link, Look, Mistake, Page, View, number

LONGEST_REASON = 300
"""Characters of a reason."""


# --- what every form has ----------------------------------------------------------------------------------


def reason(doing: Doing) -> str:
    """Why it is done; a Mistake where nothing is said, or what may be a person's number."""
    say, why = doing.words, " ".join(doing.text("why").split())
    if not why:
        raise Mistake({"why": say.of("Say why; it stands in the history.")})
    if len(why) > LONGEST_REASON:
        raise Mistake({"why": say.of("Use at most {number} characters.", number=LONGEST_REASON)})
    if masked(why) != why:
        raise Mistake({"why": say.of("Leave out what looks like an identity number.")})
    return why


@contextmanager
def refused(doing: Doing) -> Iterator[None]:
    """What cannot be done is the form's mistake, told where it was filled in."""
    try:
        yield
    except (NotFound, MessageError) as error:
        raise Mistake({"": doing.words.told(error.said, begin=True, stop=True)}) from error


def _delivery(doing: Doing) -> Row:
    """The delivery of the address, which stands as the form has shown it."""
    wanted = number(doing.path["id"])
    row = delivery_rows.get(doing.tx, wanted) if wanted is not None else None
    if row is None:
        raise NotFound(phrase("There is no such delivery. The delivery log shows those that there are."))
    row = delivery_rows.alone(doing.tx, row)
    if doing.text("stands") != stands(row):
        text = "It has changed meanwhile, and nothing was done. It stands now as: {state}."
        raise Mistake({"": doing.words.of(text, state=doing.words.code("delivery", row["state"]))})
    return row


# --- deliveries -------------------------------------------------------------------------------------------


def _resend(doing: Doing, row: Row, why: str) -> str:
    doing.inbox.outbox.resend(doing.tx, row["id"], doing.now, by=doing.by, why=why)
    return f"/deliveries/{row['id']}"


def _take_back(doing: Doing, row: Row, why: str) -> str:
    doing.inbox.outbox.take_back(doing.tx, row["id"], doing.now, by=doing.by, why=why)
    return f"/deliveries/{row['id']}"


def _give_up(doing: Doing, row: Row, why: str) -> str:
    doing.inbox.outbox.give_up(doing.tx, row["id"], doing.now, by=doing.by, why=why)
    return f"/deliveries/{row['id']}"


def _take_up(doing: Doing, row: Row, why: str) -> str:
    doing.inbox.outbox.take_up(doing.tx, row["id"], doing.now, by=doing.by, why=why)
    return f"/deliveries/{row['id']}"


def _reissue(doing: Doing, row: Row, why: str) -> str:
    to = doing.text("to")
    told = message_rows.get(doing.tx, row["message_row"]) if row["message_row"] is not None else None
    if to not in receivers(doing.register, told["sender"] if told is not None else None):
        text = "Choose a party that can get a message; name its endpoint in the region file."
        raise Mistake({"to": doing.words.of(text)})
    new = doing.inbox.reissue(doing.tx, row["id"], doing.now, to=to, by=doing.by, why=why)
    return f"/deliveries/{new}"


def _with_a_reason(act: Callable[[Doing, Row, str], str]) -> Callable[[Doing], str]:
    def done(doing: Doing) -> str:
        row, why = _delivery(doing), reason(doing)
        with refused(doing):
            return act(doing, row, why)

    return done


# --- quarantine -------------------------------------------------------------------------------------------


def releasing(look: Look) -> View:
    """`/messages/{id}/release`: what a message is held for, and what releasing it would do now."""
    wanted = look.row("message")
    row = message_rows.get(look.tx, wanted)
    if row is None:
        raise NotFound(phrase("There is no such message."))
    check: Any = None
    hindered: Phrase | None = None
    try:
        check = look.inbox.recheck(look.tx, wanted, look.now)
    except NotFound as error:
        hindered = error.said
    values = {
        "message": shown.held(row),
        "check": check,
        "hindered": hindered,
        "names": [look.words.party(party) for party in check.to] if check is not None else [],
        "notes": case_rows.notes_about(look.tx, f"message {wanted}"),
        "may": look.person.holds(*OPERATORS) and row["outcome"] == "quarantined",
    }
    title = look.words.of("Release message {number}", number=wanted)
    return View(template="operations/release.html", title=title, values=values)


def _release(doing: Doing) -> str:
    wanted, why = doing.row(), reason(doing)
    with refused(doing):
        done = doing.inbox.release(doing.tx, wanted, doing.now, by=doing.by, why=why)
    if done.outcome not in ("accepted", "duplicate", NOT_RELEVANT):
        text = "It is still held: {reason}"
        held = doing.words.told(done.reason) if done.reason else doing.words.code("outcome", done.outcome)
        raise Mistake({"": doing.words.marked(text, reason=held)})
    return f"/messages/{wanted}"


# --- endpoints --------------------------------------------------------------------------------------------


def endpoint(look: Look) -> View:
    """`/endpoints/{name}`: one endpoint, to pause it or let it go on, and what people have done with it."""
    name = look.path["name"]
    known = look.inbox.outbox.endpoint(name)
    if known is None:
        raise NotFound(phrase("There is no such endpoint. The list of endpoints shows those that there are."))
    ailing = endpoint_health.ailing(look.tx).get(name)
    paused = delivery_rows.pauses(look.tx).get(name)
    values = {
        "endpoint": known,
        "paused": paused,
        "ailing": ailing,
        "condition": ailing.condition(look.now).value if ailing is not None else None,
        "parties": [p.id for p in look.register.parties if look.register.endpoint_of(p) == known],
        "notes": case_rows.notes_about(look.tx, f"endpoint {name}"),
        "may": look.person.holds(*OPERATORS),
    }
    title = look.words.of("Endpoint {name}", name=name)
    return View(template="operations/endpoint.html", title=title, values=values)


def _pause(doing: Doing) -> str:
    name, why = _endpoint(doing), reason(doing)
    if name in delivery_rows.pauses(doing.tx):
        raise Mistake({"": doing.words.of("It is paused already; nothing was done.")})
    delivery_rows.pause(doing.tx, name, doing.now, doing.by)
    return _noted(doing, name, because(phrase("paused"), why))


def _resume(doing: Doing) -> str:
    name, why = _endpoint(doing), reason(doing)
    paused = delivery_rows.resume(doing.tx, name)
    rested = doing.inbox.outbox.resting.end(doing.tx, name, doing.now)
    if not paused and not rested:
        raise Mistake({"": doing.words.of("It is not paused; nothing was done.")})
    return _noted(doing, name, because(phrase("resumed"), why))


def _endpoint(doing: Doing) -> str:
    name = doing.path["name"]
    if doing.inbox.outbox.endpoint(name) is None:
        raise NotFound(phrase("There is no such endpoint. The list of endpoints shows those that there are."))
    return name


def _noted(doing: Doing, name: str, what: Phrase) -> str:
    subject = f"endpoint {name}"
    case_rows.note(doing.tx, at=doing.now, subject=subject, what=what, case_id=None, by=doing.by)
    return f"/endpoints/{name}"


PAGES = (
    Page(path="/messages/{id}/release", view=releasing, roles=WATCHERS),
    Page(path="/endpoints/{name}", view=endpoint, roles=WATCHERS),
)

ACTIONS = (
    *(
        Action(path=f"/deliveries/{{id}}/{name}", act=_with_a_reason(act), roles=OPERATORS, again=delivery)
        for name, act in (
            ("resend", _resend),
            ("take-back", _take_back),
            ("give-up", _give_up),
            ("take-up", _take_up),
            ("reissue", _reissue),
        )
    ),
    Action(path="/messages/{id}/release", act=_release, roles=OPERATORS, again=releasing),
    Action(path="/endpoints/{name}/pause", act=_pause, roles=OPERATORS, again=endpoint),
    Action(path="/endpoints/{name}/resume", act=_resume, roles=OPERATORS, again=endpoint),
)
"""What operators do by hand."""

NAV: tuple[Link, ...] = ()
