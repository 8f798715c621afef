"""What answers a ready notice, decided from the facts alone: by whom, to whom, and by what it refers to."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import permutations

import pytest

from adapter.discharge.answering import with_answers
from adapter.discharge.case import Evidence, Step
from adapter.discharge.notices import AnswerValue, Notice, NoticeKind, Standing

K = NoticeKind
AT = datetime(2014, 3, 3, 12, tzinfo=UTC)
ROLES = {"sogndal": "municipality", "laerdal-sjukehus": "hospital", "legane": "gp"}
READY = Notice(
    kind=K.READY_FOR_DISCHARGE,
    message_id="ready",
    sent_at=AT,
    occurred=AT,
    sender="laerdal-sjukehus",
    receivers=("sogndal", "legane"),
    hospital="laerdal-sjukehus",
    encounter="LS-1",
)
NOTE = Notice(
    kind=K.NOTE,
    message_id="note",
    sent_at=AT,
    occurred=AT,
    sender="sogndal",
    receivers=("laerdal-sjukehus",),
    refers_to="ready",
    text="Ja",
)
ASKED = replace(NOTE, kind=K.ENQUIRY, message_id="asked", sender="laerdal-sjukehus", receivers=("sogndal",))


def read(note: Notice, *others: Notice, roles: dict[str, str] | None = None) -> Notice:
    found = with_answers([*others, note], ROLES if roles is None else roles)[-1]
    assert isinstance(found, Notice)
    return found


def test_a_note_about_a_ready_notice_is_an_answer_of_its_stay() -> None:
    found = read(NOTE, READY)
    assert (found.kind, found.answer) == (K.ANSWER, AnswerValue.UNCLASSIFIED)
    assert (found.hospital, found.encounter, found.refers_to) == ("laerdal-sjukehus", "LS-1", "ready")
    assert (found.text, found.sent_at) == (NOTE.text, NOTE.sent_at)


def test_who_is_not_known_may_be_a_municipality() -> None:
    assert read(NOTE, READY, roles={}).kind is K.ANSWER


@pytest.mark.parametrize(
    "note",
    [
        replace(NOTE, refers_to=None),
        replace(NOTE, refers_to="elsewhere"),
        replace(NOTE, kind=K.ENQUIRY),
        replace(NOTE, kind=K.DEVIATION),
        replace(NOTE, sender="legane"),
        replace(NOTE, sender="vik"),
        replace(NOTE, receivers=("vik",)),
    ],
    ids=["nothing", "unknown", "a question", "a deviation", "a GP", "not told", "not to the hospital"],
)
def test_other_notes_stay_notes(note: Notice) -> None:
    assert read(note, READY) == note


def test_a_note_about_what_is_not_readiness_stays_a_note() -> None:
    admitted = replace(READY, kind=K.ADMITTED)
    cancelled = replace(READY, standing=Standing.CANCELLATION)
    assert read(NOTE, admitted) == read(NOTE, cancelled) == NOTE


def test_its_conversation_counts_where_its_reference_leads_nowhere() -> None:
    found = read(replace(NOTE, refers_to="lost", conversation="ready"), READY)
    assert (found.kind, found.refers_to) == (K.ANSWER, "ready")


def test_the_dialogue_in_between_is_followed_in_any_order() -> None:
    reply = replace(NOTE, kind=K.REPLY, refers_to="asked")
    for order in permutations((READY, ASKED, reply)):
        found = {f.message_id: f.kind for f in with_answers(order, ROLES) if isinstance(f, Notice)}
        assert found == {"ready": K.READY_FOR_DISCHARGE, "asked": K.ENQUIRY, "note": K.ANSWER}


def test_what_refers_to_itself_ends() -> None:
    one, other = replace(NOTE, refers_to="asked"), replace(ASKED, refers_to="note")
    assert read(one, other, READY) == one


def test_a_correction_of_an_answer_still_corrects_it() -> None:
    corrected = replace(NOTE, message_id="again", refers_to="note", standing=Standing.CORRECTION)
    found = read(corrected, READY, NOTE)
    assert (found.kind, found.refers_to) == (K.ANSWER, "note")


def test_evidence_and_all_else_pass_unchanged() -> None:
    seen = Evidence(step=Step.SEEN, message_id="note", sender="sogndal", party="laerdal-sjukehus", at=AT)
    assert with_answers([seen, READY, NOTE], ROLES)[:2] == [seen, READY]
    assert with_answers([seen, READY]) == [seen, READY]
