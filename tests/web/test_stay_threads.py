"""Letters about a stay stand thread by thread, whichever came first."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any, cast

from adapter.discharge.notices import Notice, NoticeKind
from adapter.web.stay_threads import by_thread, place_of, quoted

NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Written:
    """As an entry of a case: what stands there is its notice."""

    notice: Notice


def letter(name: str, hour: int, **more: Any) -> Any:
    notice = Notice(
        kind=NoticeKind.NOTE,
        message_id=name,
        sent_at=NOON + timedelta(hours=hour),
        occurred=NOON,
        sender="fjordby",
        **more,
    )
    return cast(Any, Written(notice))


ASKED = letter("asked", 0)
ALONE = letter("alone", 1)
ANSWERED = letter("answered", 2, refers_to="asked", conversation="asked")
OTHER = letter("other", 3)
THANKED = letter("thanked", 4, refers_to="answered", conversation="asked")


def names(*entries: Any) -> list[str]:
    return [e.notice.message_id for e in by_thread(entries)]


def test_letters_of_a_thread_stand_together_the_newest_first() -> None:
    assert names(ASKED, ALONE, ANSWERED, OTHER, THANKED) == ["thanked", "answered", "asked", "other", "alone"]


def test_they_stand_so_whichever_came_first() -> None:
    wanted = names(ASKED, ALONE, ANSWERED, THANKED)
    assert all(names(*order) == wanted for order in permutations((ASKED, ALONE, ANSWERED, THANKED)))


def test_parallel_answers_are_of_one_thread_by_time() -> None:
    beside = letter("beside", 3, refers_to="asked", conversation="asked")
    assert names(ASKED, ANSWERED, beside, ALONE) == ["beside", "answered", "asked", "alone"]


def test_a_thread_is_one_by_what_each_answers_where_nobody_says_how_it_began() -> None:
    first, second, third = letter("1", 0), letter("2", 2, refers_to="1"), letter("3", 3, refers_to="2")
    assert names(first, ALONE, second, third) == ["3", "2", "1", "alone"]


def test_answers_to_what_has_not_come_are_one_thread_by_its_name() -> None:
    one = letter("1", 0, refers_to="lost", conversation="lost")
    two = letter("2", 2, refers_to="1", conversation="lost")
    assert names(one, ALONE, two) == ["2", "1", "alone"]


def test_letters_that_answer_each_other_in_a_circle_are_shown_all_the_same() -> None:
    assert sorted(names(letter("1", 0, refers_to="2"), letter("2", 1, refers_to="1"))) == ["1", "2"]


# --- what came with the answer to it alone ------------------------------------------------------------------

FIXTURES = Path(__file__).parents[2] / "fixtures" / "medcom"
ASKS, TELLS, THANKS = (
    "Hvilken medicin skal Astrid have med hjem? Venlig hilsen Jens Bak, visitator.",
    "Listen er vedhæftet. Hilsen Maja Lind, sygeplejerske.",
    "Tak. Vi bestiller dosispakning fra mandag.",
)


def talk(name: str) -> Any:
    entries = json.loads((FIXTURES / f"{name}.json").read_bytes())["entry"]
    return next(e["resource"] for e in entries if e["resource"]["resourceType"] == "Communication")


def test_a_segment_whose_message_never_came_is_shown_once() -> None:
    talks = [talk("medicine-asked-about/02-answered"), talk("medicine-asked-about/03-thanked")]
    (lost,) = quoted(talks, [THANKS, TELLS])
    assert (lost.text, lost.at.isoformat()) == (ASKS, "2026-03-02T10:15:00+01:00")
    assert place_of(lost, [THANKS, TELLS]) == 2  # below the letter with which it came


def test_what_has_come_by_itself_is_not_shown_again() -> None:
    talks = [talk(f"medicine-asked-about/{name}") for name in ("01-asked", "02-answered", "03-thanked")]
    assert quoted(talks, [THANKS, TELLS, ASKS]) == ()
    assert (
        quoted(talks[1:], [THANKS, TELLS, f"Hej!\n{ASKS}"]) == ()
    )  # as the letter that was forwarded has it


def test_a_sentence_of_ours_is_a_notice_and_no_letter() -> None:
    assert quoted([talk("ready-and-answered/02-answered")], ["Vi henter hende kl. 10."]) == ()


def test_what_is_of_another_standard_has_no_segments() -> None:
    assert quoted([{"resourceType": "Communication", "payload": [{"contentString": "Hei"}]}], []) == ()
