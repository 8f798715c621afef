"""What came in beside what went out: what differs is marked, in bounded time, whatever the two are."""

import random
import time

import pytest

from adapter.web.comparing import MOST_LINES, SHOWN, compared
from adapter.web.pretty import Pretty, pretty


def text(*lines: str, form: str = "JSON") -> Pretty:
    return Pretty(form=form, text="\n".join(lines))


def marked(chunks) -> list[str]:
    return [line for chunk in chunks if chunk.change for line in chunk.lines]


def whole(chunks) -> list[str]:
    return [line for chunk in chunks for line in chunk.lines]


def test_a_line_that_was_changed_is_marked_on_both_sides():
    made = compared(text("{", '"a": 1', '"b": 2', "}"), text("{", '"a": 1', '"b": 3', '"c": 4', "}"))
    assert [(c.change, c.lines) for c in made.came] == [
        ("", ("{", '"a": 1')),
        ("del", ('"b": 2',)),
        ("", ("}",)),
    ]
    assert marked(made.went) == ['"b": 3', '"c": 4']
    assert {c.change for c in made.went} == {"", "ins"}
    assert not made.alike and not made.by_values and not made.cut


def test_what_is_alike_has_no_mark():
    made = compared(text("{", "}"), text("{", "}"))
    assert made.alike and marked(made.came) == marked(made.went) == []


@pytest.mark.parametrize(("came", "went"), [("", ""), ("a", ""), ("", "a"), ("a\na\na", "a\na")])
def test_nothing_gets_lost_however_short(came, went):
    made = compared(Pretty(form="text", text=came), Pretty(form="text", text=went))
    assert "\n".join(whole(made.came)) == came
    assert "\n".join(whole(made.went)) == went


def test_between_two_dialects_the_values_are_compared():
    came = pretty(b'{"id": "m-17", "status": "final", "name": "Vik", "system": "urn:oid:2.16"}')
    went = pretty(b'<?xml version="1.0"?><Msg><Id V="m-17"/><Name>Vik</Name><Type V="LOG_INNLAGT"/></Msg>')
    made = compared(came, went)
    assert made.by_values
    assert [line.strip() for line in marked(made.came)] == ['"status": "final",']
    assert any("LOG_INNLAGT" in line for line in marked(made.went))
    assert not any("Vik" in line or "m-17" in line for line in marked(made.went))


@pytest.mark.parametrize("seed", range(3))
def test_what_is_not_marked_is_on_the_other_side_in_its_order(seed):
    dice = random.Random(seed)
    lines = [f'"{dice.choice("abc")}": {dice.randrange(4)},' for _ in range(200)]
    other = [line for line in lines if dice.random() > 0.2]
    for _ in range(20):
        other.insert(dice.randrange(len(other)), "new")
    made = compared(text(*lines), text(*other))
    kept = [[line for c in side if not c.change for line in c.lines] for side in (made.came, made.went)]
    assert kept[0] == kept[1]
    assert whole(made.came) == lines and whole(made.went) == other


@pytest.mark.parametrize("kind", ["different", "repeated", "shuffled", "one line", "dialects"])
def test_two_megabytes_are_compared_in_a_moment(kind):
    dice = random.Random(1)
    count = MOST_LINES * 20
    came = [f'"{n}": {dice.random()},' for n in range(count)]
    went = [f'"{n}": {dice.random()},' for n in range(count)]
    if kind == "repeated":
        came, went = ["{", "}"] * count, ["}", "{", "{"] * count
    if kind == "shuffled":
        went = dice.sample(came, len(came))
    if kind == "one line":
        came, went = ["x" * 2_000_000], ["y" * 2_000_000]
    before = time.process_time()
    made = compared(text(*came), text(*went, form="XML" if kind == "dialects" else "JSON"))
    assert time.process_time() - before < 1.5
    assert made.cut
    assert sum(map(len, whole(made.came))) <= SHOWN
