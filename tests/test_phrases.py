"""Sentences that remember how they were made: as text, as the store keeps them, and with parts changed."""

import pickle
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from adapter.phrases import (
    Code,
    English,
    Phrase,
    changed,
    dated,
    lasting,
    packed,
    phrase,
    plural,
    technical,
    unpacked,
    verbatim,
)

WHOLE = phrase(
    "{kind} to {party} since {since}, {day}, {span}, {share}, {number}, {names}: {reasons}; {fault} {theirs}",
    kind=Code("notice", "ready-for-discharge", "ready for discharge"),
    party="Luster",
    since=dated(datetime(2014, 3, 3, 14, 20, tzinfo=UTC)),
    day=dated(date(2014, 3, 4), "%Y-%m-%d"),
    span=lasting(timedelta(hours=72)),
    share=Decimal("0.50"),
    number=3,
    names=["a", "b"],
    reasons=[phrase("{{x}} is {x}", x="{y}"), plural("{number} day", "{number} days", 2)],
    fault=English("no route to host"),
    theirs=verbatim("nei {takk}"),
)


def test_a_phrase_is_its_english_text():
    assert WHOLE == (
        "ready for discharge to Luster since 2014-03-03 14:20, 2014-03-04, 3 days, 0:00:00, 0.50, 3, a, b: "
        "{x} is {y}; 2 days; no route to host nei {takk}"
    )


def test_a_phrase_without_values_is_its_key_braces_and_all():
    assert phrase("write {day} like that") == "write {day} like that"


@pytest.mark.parametrize(("number", "said"), [(1, "1 day"), (0, "0 days"), (2, "2 days")])
def test_a_number_decides_between_one_and_many(number, said):
    assert plural("{number} day", "{number} days", number) == said


@pytest.mark.parametrize("way", [lambda it: unpacked(packed(it)), lambda it: pickle.loads(pickle.dumps(it))])
def test_what_was_kept_comes_back_with_all_that_it_remembers(way):
    back = way(WHOLE)
    assert isinstance(back, Phrase)
    assert (back, back.key) == (WHOLE, WHOLE.key)
    assert packed(back) == packed(WHOLE)
    kind, since, day, span = (back.values[name] for name in ("kind", "since", "day", "span"))
    assert (kind.family, kind.code) == ("notice", "ready-for-discharge")
    assert (since.at, day.at) == (datetime(2014, 3, 3, 14, 20, tzinfo=UTC), date(2014, 3, 4))
    assert span.span == timedelta(hours=72)
    assert isinstance(back.values["fault"], English)
    assert back.values["reasons"][1].many == "{number} days"


def test_other_text_is_kept_as_it_is():
    assert (packed("held: no"), unpacked("held: no")) == ("held: no", "held: no")


FORGED = ['{"say":"{x.__class__}","with":{"x":1}}', '{"say":', '{"say":3}', '{"say":"{a}"}', "[]", "3", ""]


@pytest.mark.parametrize("forged", FORGED)
def test_text_of_somebody_else_is_never_taken_for_a_phrase(forged):
    assert unpacked(forged) == forged  # as it may stand in a store of the version before
    assert not isinstance(unpacked(forged), Phrase)
    marked = packed(phrase("x"))[0] + forged
    back = unpacked(packed(marked))
    assert (back, back.key) == (marked, "{words}")


BROKEN = ['{"say":', '{"say":"{a}","with":{"b":1}}', '{"say":3}', "[]", '{"say":"{0}","with":{"a":1}}']


@pytest.mark.parametrize("broken", BROKEN)
def test_what_cannot_be_read_stays_text(broken):
    marked = packed(phrase("x"))[0] + broken
    assert unpacked(marked) == marked


def test_what_is_changed_is_changed_in_every_text_and_in_no_word_of_ours():
    said = phrase("{who}, {kind}: {why} {all}", who="1234", kind=Code("notice", "1234", "1234"),
                  why=phrase("1234 {x}", x=English("1234")), all=["1234", 7])  # fmt: skip
    found = changed(said, lambda text: text.replace("1234", "*"))
    assert found == "*, 1234: 1234 * *, 7"
    assert found.key == said.key
    assert isinstance(found.values["why"].values["x"], English)


def test_other_text_that_is_changed_is_somebodys_own_words():
    found = changed("1234", lambda text: "*")
    assert (found, found.key) == ("*", "{words}")


def test_what_only_programs_read_is_english():
    assert isinstance(technical("no such {parameter}").values["words"], English)
