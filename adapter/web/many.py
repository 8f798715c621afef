"""Doing with many deliveries at once: chosen by the filter of the log, looked at, confirmed, watched.

What is looked at is what is done: the deliveries are fixed before they are shown.
"""

from typing import Any

from adapter.bulks import KINDS, MOST, Bulks
from adapter.errors import NotFound
from adapter.outbox import because
from adapter.phrases import Phrase, phrase
from adapter.store import bulks as rows
from adapter.store import cases as case_rows
from adapter.store import searching
from adapter.web.by_hand import reason, refused
from adapter.web.operations import FILTERS, OPERATORS, WATCHERS, choices, filter_of, receivers
from adapter.web.site import Action, Doing, Link, Look, Mistake, Page, View, number

FIRST = 20
"""Rows of a preview, and of a result."""

LISTED = 100
"""Actions of the list."""

_UNDONE_BY = {"give-up": "take-up", "take-up": "give-up"}


def choosing(look: Look) -> View:
    """`/deliveries/bulk`: what can be done with all that the filter of the log finds."""
    given = {name: look.typed[name] for name in FILTERS if look.typed.get(name)} or look.query
    chosen = filter_of(look, given, choices(look))
    found = [] if chosen.notes else searching.ids(look.tx, chosen.wanted, limit=MOST + 1)
    values = {
        "kept": chosen.kept,
        "notes": chosen.notes,
        "count": len(found),
        "most": MOST,
        "kinds": KINDS,
        "parties": receivers(look.register, None),
    }
    title = look.words.of("Act on many deliveries")
    return View(template="operations/choosing.html", title=title, values=values)


def _prepare(doing: Doing) -> str:
    say = doing.words
    given = {name: doing.text(name) for name in FILTERS}
    chosen = filter_of(doing, given, choices(doing))
    if chosen.notes:
        raise Mistake({"": " ".join(chosen.notes)})
    what, to, why = doing.text("what"), doing.text("to") or None, reason(doing)
    if what not in KINDS:
        raise Mistake({"what": say.of("Choose what is to be done.")})
    if to is not None and (what != "reissue" or to not in receivers(doing.register, None)):
        raise Mistake(
            {"to": say.of("Only what is written anew can go to another party; choose one of the list.")}
        )
    ids = searching.ids(doing.tx, chosen.wanted, limit=MOST + 1)
    if not ids:
        raise Mistake({"": say.of("No delivery is like that.")})
    if len(ids) > MOST:
        text = say.of("There are more than {number}: narrow the filter.", number=doing.words.number(MOST))
        raise Mistake({"": text})
    return _prepared(doing, what, ids, why, chosen.address, to)


def _prepared(doing: Doing, what: str, ids: list[int], why: str, chosen: str, to: str | None = None) -> str:
    """The page of the action, on which it is looked at before it is confirmed."""
    prepared = Bulks(inbox=doing.inbox).prepare(
        doing.tx,
        what,
        searching.rows(doing.tx, ids),
        doing.now,
        by=doing.by,
        person=doing.person.id,
        why=why,
        chosen=chosen,
        to=to,
    )
    return f"/bulk/{prepared}"


def one(look: Look) -> View:
    """`/bulk/{id}`: what will be done, is being done, or was: by whom, why, with what result for each."""
    wanted = number(look.path["id"])
    row = rows.get(look.tx, wanted) if wanted is not None else None
    if wanted is None or row is None:
        raise NotFound(phrase("There is no such action."))
    after = number(look.query.get("after") or None) or 0
    outcome = look.query.get("outcome") or None
    some = rows.items(look.tx, wanted, limit=FIRST + 1, after=after, outcome=outcome)
    counts = rows.counts(look.tx, wanted)
    total = sum(counts.values())
    values: dict[str, Any] = {
        "bulk": row,
        "total": total,
        "counts": counts,
        "behind": total - counts["left"],
        "standing": rows.standing(look.tx, wanted),
        "items": some[:FIRST],
        "next": some[FIRST - 1]["delivery"] if len(some) > FIRST else None,
        "outcome": outcome,
        "may": look.person.holds(*OPERATORS),
        "undone_by": _UNDONE_BY.get(row["what"]) if row["state"] in ("done", "cancelled") else None,
        "moving": row["state"] == "running" and "still" not in look.query,
    }
    title = look.words.of("Action {number} on many deliveries", number=wanted)
    return View(template="operations/bulk.html", title=title, values=values)


def every(look: Look) -> View:
    """`/bulk`: what has been done with many at once, the newest first."""
    listed = rows.listed(look.tx, LISTED)
    values = {
        "bulks": [row | {"count": sum(rows.counts(look.tx, row["id"]).values())} for row in map(dict, listed)]
    }
    return View(template="operations/bulks.html", title=look.words.of("Actions on many"), values=values)


_CONFIRMED = {
    "resend": "resend of {number}",
    "give-up": "give-up of {number}",
    "take-up": "take-up of {number}",
    "reissue": "reissue of {number}",
}
"""What was begun with how many, for the history."""


def _confirm(doing: Doing) -> str:
    wanted = doing.row()
    with refused(doing):
        Bulks(inbox=doing.inbox).confirm(doing.tx, wanted, doing.now)
    row = rows.get(doing.tx, wanted)
    assert row is not None
    number = sum(rows.counts(doing.tx, wanted).values())
    _note(doing, wanted, because(phrase(_CONFIRMED[row["what"]], number=number), row["why"]))
    return f"/bulk/{wanted}"


def _cancel(doing: Doing) -> str:
    wanted = doing.row()
    with refused(doing):
        Bulks(inbox=doing.inbox).cancel(doing.tx, wanted, doing.now, by=doing.by)
    _note(doing, wanted, phrase("cancelled"))
    return f"/bulk/{wanted}"


def _undo(doing: Doing) -> str:
    wanted, why = doing.row(), reason(doing)
    row = rows.get(doing.tx, wanted)
    what = _UNDONE_BY.get(row["what"]) if row is not None else None
    if row is None or what is None or row["state"] not in ("done", "cancelled"):
        raise Mistake({"": doing.words.of("This cannot be undone.")})
    ids = [item["delivery"] for item in rows.items(doing.tx, wanted, limit=MOST, outcome="done")]
    if not ids:
        raise Mistake({"": doing.words.of("Nothing was done that could be undone.")})
    return _prepared(doing, what, ids, why, row["filter"])


def _note(doing: Doing, wanted: int, what: Phrase) -> None:
    subject = f"bulk action {wanted}"
    case_rows.note(doing.tx, at=doing.now, subject=subject, what=what, case_id=None, by=doing.by)


PAGES = (
    Page(path="/deliveries/bulk", view=choosing, roles=OPERATORS),
    Page(path="/bulk", view=every, roles=WATCHERS),
    Page(path="/bulk/{id}", view=one, roles=WATCHERS),
)

ACTIONS = (
    Action(path="/deliveries/bulk", act=_prepare, roles=OPERATORS, again=choosing),
    Action(path="/bulk/{id}/confirm", act=_confirm, roles=OPERATORS, again=one),
    Action(path="/bulk/{id}/cancel", act=_cancel, roles=OPERATORS, again=one),
    Action(path="/bulk/{id}/undo", act=_undo, roles=OPERATORS, again=one),
)

NAV: tuple[Link, ...] = ()
