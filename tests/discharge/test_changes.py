"""A correction shows what it changed (MedCom D-14), in absolute time, whatever order it came in."""

import itertools
from dataclasses import replace
from datetime import UTC

from adapter.discharge.case import fold
from adapter.discharge.changes import changes
from adapter.discharge.notices import NoticeKind
from tests.discharge.test_notifications import COPENHAGEN, an, at, re, stin, told

K = NoticeKind


def shown(*facts, of):
    """What the correction with that id changed; the same in every order of arrival."""
    found = set()
    for order in itertools.permutations(facts):
        told_ = [(case, e) for case in fold(order, COPENHAGEN) for e in case.entries]
        case, entry = next(pair for pair in told_ if pair[1].notice.message_id == of)
        found.add(tuple((c.name, c.old, c.new) for c in changes(case.entries, entry)))
    (only,) = found
    return only


def test_a_corrected_admission_shows_the_old_time_and_the_new():
    first = stin("stin")
    right = re(first, "re", 0.2, "stin", occurred=at(0.04), admitted=at(0.04))
    assert shown(first, right, of="re") == (
        ("occurred", at(0), at(0.04)), ("admitted", at(0), at(0.04)),
    )  # fmt: skip
    assert shown(first, right, of="stin") == ()


def test_each_correction_is_held_against_the_one_before_it():
    first = told(K.DISCHARGED, "slhj", 4)
    one = re(first, "one", 4.1, "slhj", occurred=at(3.9))
    two = re(first, "two", 4.2, "one", occurred=at(3.9), acute=True)
    assert shown(stin("stin"), first, one, two, of="one") == (("occurred", at(4), at(3.9)),)
    assert shown(stin("stin"), first, one, two, of="two") == (("acute", None, True),)


def test_another_offset_or_another_sending_is_no_change():
    first = stin("stin")
    same = at(0).astimezone(UTC)
    assert shown(first, re(first, "re", 0.2, "stin", occurred=same, admitted=same), of="re") == ()


def test_a_death_instead_of_an_admission_is_a_change_of_kind():
    first = stin("stin")
    dead = replace(re(told(K.DECEASED, "re", 0), "re", 0.2, "stin"))
    assert shown(first, dead, of="re") == (("kind", "admitted", "deceased"),)


def test_what_a_correction_changed_is_shown_after_the_stay_was_cancelled_too():
    first = stin("stin")
    right = re(first, "re", 0.2, "stin", occurred=at(0.04))
    assert shown(first, right, an(right, "an", 0.3, "re"), of="re") == (("occurred", at(0), at(0.04)),)


def test_what_corrects_a_message_that_never_came_shows_nothing():
    assert shown(re(stin("stin"), "re", 0.2, "lost"), of="re") == ()
