"""Closing a case by hand, opening it again, and ticking off a report of admission: what the forms do.

The operator does so on the case's page, the municipality's people on the page of the stay. Each has a reason
that stands in the history; a form that is sent twice does it once.
"""

from collections.abc import Callable

from adapter.closing import close, reopen, report_sent
from adapter.discharge.case import Case
from adapter.discharge.notices import Notice
from adapter.discharge.turns import MUNICIPALITY
from adapter.errors import NotFound
from adapter.messaging.people import Role
from adapter.speaking import Speaking, Unsaid, Voice, form_number
from adapter.store import cases as case_rows
from adapter.store.statements import Row
from adapter.web.acting import acting, mistake, past_in
from adapter.web.acting_forms import answers_for_the_stay
from adapter.web.by_hand import reason
from adapter.web.operations import OPERATORS
from adapter.web.site import Action, Doing, Link, Mistake, Page, no_stay
from adapter.web.views import case, case_id_in, told_at

_Act = Callable[[Doing, Row, str, str | None], None]
"""What is done: with the row of the case, the id of the fact, and in whose name."""


def _close(doing: Doing, row: Row, key: str, party: str | None) -> None:
    at = told_at(doing) or doing.now if party is None else past_in(doing, "at", row["admitted_at"])
    close(
        doing.tx, doing.inbox.shelves, row["id"], at, doing.now,
        new_id=key, by=doing.by, why=reason(doing), party=party,
    )  # fmt: skip


def _reopen(doing: Doing, row: Row, key: str, party: str | None) -> None:
    reopen(doing.tx, doing.inbox.shelves, row["id"], doing.now, new_id=key, by=doing.by, why=reason(doing))


def _report_sent(doing: Doing, row: Row, key: str, party: str | None) -> None:
    at = told_at(doing) or doing.now if party is None else past_in(doing, "at", row["admitted_at"])
    report_sent(doing.tx, doing.inbox.shelves, row["id"], at, doing.now, new_id=key, by=doing.by, party=party)


def _of_the_operator(act: _Act) -> Callable[[Doing], str]:
    def done(doing: Doing) -> str:
        row = case_rows.get(doing.tx, case_id_in(doing))
        assert row is not None
        _once(doing, row, act, None)
        return f"/cases/{row['id']}"

    return done


def _of_the_party(act: _Act) -> Callable[[Doing], str]:
    def done(doing: Doing) -> str:
        row, case, voice = _voice(doing)
        if act is not _report_sent and not answers_for_the_stay(case, voice):
            raise no_stay()
        _once(doing, row, act, voice.party)
        return f"/stays/{row['id']}"

    return done


def _voice(doing: Doing) -> tuple[Row, Case, Voice]:
    """The case and the municipality that the form names: also one whose own system sends its messages.

    NotFound where the person does not act for it, or it is no municipality of the case.
    """
    speaking = Speaking(inbox=doing.inbox, sight=doing.sight)
    row, known = speaking.case(doing.tx, doing.row())
    found = [v for v in speaking.voices(known, doing.now) if v.party == doing.text("party")]
    if not found or found[0].part != MUNICIPALITY:
        raise no_stay()
    return row, known, found[0]


def _once(doing: Doing, row: Row, act: _Act, party: str | None) -> None:
    try:
        key = form_number(doing.text("key"))
    except Unsaid as error:
        raise mistake(doing, error) from error
    told = (f for _, _, f in case_rows.facts(doing.tx, row["patient"]) if isinstance(f, Notice))
    if any(notice.message_id == key for notice in told):
        return
    try:
        act(doing, row, key, party)
    except NotFound as error:
        raise Mistake({"": doing.words.told(error.said, begin=True, stop=True)}) from error


_ACTS = (("close", _close), ("reopen", _reopen), ("report-sent", _report_sent))

PAGES: tuple[Page, ...] = ()

NAV: tuple[Link, ...] = ()

ACTIONS = (
    *(
        Action(path=f"/cases/{{id}}/{name}", act=_of_the_operator(act), roles=OPERATORS, again=case)
        for name, act in _ACTS
    ),
    *(
        Action(
            path=f"/stays/{{id}}/{name}",
            act=_of_the_party(act),
            roles=frozenset({Role.MUNICIPALITY}),
            again=acting,
        )
        for name, act in _ACTS
    ),
)
"""What operators and the municipality's people do about the end of a stay."""
