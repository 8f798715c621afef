"""Names in the order in which people of a language look for them."""

import random

import pytest

from adapter.fhir.alphabet import sort_key

NORWEGIAN = (
    "Dahl, Åse", "Dahl-Hansen, Bo", "Dahle, Anne", "Ibsen", "Müller", "Myrvold", "Zetterlund", "Ærlig",
    "Östberg", "Østby", "Ås", "Aasen, Ivar", "Åsen, Jon",
)  # fmt: skip
SWEDISH = ("Aaltonen", "Abel", "Vahl", "Wahl", "Zorn", "Åberg", "Ängström", "Öberg")
ENGLISH = ("Aaron", "Abel", "Ågren", "Orm", "Ørn", "Zoe")


@pytest.mark.parametrize(
    ("language", "names"),
    [
        ("nb", NORWEGIAN),
        ("nn", NORWEGIAN),
        ("da", NORWEGIAN),
        ("sv", SWEDISH),
        ("en", ENGLISH),
        ("fi", ENGLISH),
    ],
)
def test_names_stand_where_people_of_the_language_look_for_them(language, names):
    mixed = random.Random(1).sample(names, len(names))
    assert tuple(sorted(mixed, key=lambda name: sort_key(name, language))) == names


def test_capitals_and_accents_and_how_a_letter_is_written_say_nothing_of_the_order():
    alike = ("Élise", "ELISE", "elise", "E\u0301lise", "E'lise")
    assert len({sort_key(name, "nb") for name in alike}) == 1


def test_names_in_other_scripts_come_after_all_that_the_language_can_read():
    assert sort_key("Åååå", "nb") < sort_key("Даша", "nb") < sort_key("李", "nb")


def test_a_key_is_made_of_digits_alone_which_no_collation_sorts_otherwise():
    keys = [sort_key(name, "nb") for name in (*NORWEGIAN, "Даша", "O'Hara, J. R.", "...", "")]
    assert all(key.isascii() and (key.isdigit() or not key) for key in keys)
