"""What the adapter has written into its store is told in the reader's language: alarms, history, reasons."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from adapter.alarming import IN_ITS_WORDS, outward
from adapter.discharge.notices import NoticeKind, word
from adapter.messaging.acknowledgement import Issue, Status
from adapter.messaging.register import Register
from adapter.phrases import phrase, technical, unpacked, verbatim
from adapter.restoring import Done, words
from adapter.store import tables
from adapter.store.restored import Restored
from adapter.tongues import said_in
from adapter.web.words import LANGUAGES, Words
from tests.conftest import StandingClock
from tests.stage import Stage, failing, receipt, stage

OSLO = ZoneInfo("Europe/Oslo")


def told(text, language, now=datetime(2014, 3, 3, 12, 0, tzinfo=UTC)):
    said = Words(language=language, now=now, zone=OSLO, register=Register())
    return str(said.told(text, begin=True)).replace("\N{NO-BREAK SPACE}", " ")


@pytest.fixture
def play(store_url: str, clock: StandingClock) -> Iterator[Stage]:
    made = stage(store_url, clock)
    yield made
    made.close()


REFUSED = {
    "nb": "Melding om innlagt pasient til {} ble ikke levert: den ble avvist; begrunnet slik:",
    "nn": "Melding om innlagd pasient til {} vart ikkje levert: ho vart avvist; grunngitt slik:",
    "sv": "Inskrivningsmeddelande till {} levererades inte: avvisades av mottagaren, med motiveringen:",
    "da": "Indlæggelsesadvis til {} blev ikke leveret: den blev afvist; begrundet således:",
    "en": "Admitted to {} was not delivered: it was refused; its own words:",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_refusal_is_told_in_ones_language_with_the_receivers_words_as_they_are(
    play: Stage, clock: StandingClock, language: str
):
    play.receive(play.message(NoticeKind.ADMITTED))
    play.deliver()
    (made,) = [m.content for _, m in play.post.sent]
    named = (Issue(code="E35", text="<Synnøve> er {ukjend}"),)
    play.receive(receipt(made, Status.REFUSED, at=clock(), issues=named))
    (row,) = play.rows(tables.alarm, kind="refused")
    said = REFUSED[language].format("Sogndal kommune")
    assert told(row["text"], language) == f'{said} <span lang="">E35 &lt;Synnøve&gt; er {{ukjend}}</span>'
    assert outward(row["text"]).endswith("it was refused; its words stand with the delivery")


def test_what_people_do_by_hand_is_told_with_their_reason(play: Stage, clock: StandingClock):
    play.receive(play.message(NoticeKind.ADMITTED))
    play.post.answer = failing(400)
    play.deliver()
    (row,) = play.rows(tables.delivery, kind="admitted")
    play.write(lambda tx: play.outbox.take_up(tx, row["id"], clock(), by="Kari", why="det hastar"))
    (note,) = play.rows(tables.history, subject=f"delivery {row['id']}")
    assert note["what"] == "taken up again: det hastar"
    assert told(note["what"], "nb") == "Tatt opp igjen: det hastar"


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_a_server_has_answered_in_words_leaves_by_no_mail(language: str):
    answered = phrase("{what}: HTTP {status}: {why}", what="POST", status="400", why=verbatim("Synnøve <x>"))
    several = phrase("{first}; {all}", first=answered, all=[verbatim("Fjellheim"), technical("no such code")])
    left = outward(phrase("{what}: {why}", what=phrase("missed"), why=several))
    assert left == (
        "missed: POST: HTTP 400: its words stand on the page; its words stand on the page; no such code"
    )
    assert not {"Synnøve", "Fjellheim"} & set(said_in(language, verbatim(left)).split())


def test_a_fault_that_was_stored_before_leaves_by_no_mail_within_a_new_sentence():
    before = unpacked("HTTP 400: Synnøve er ukjend")
    text = phrase("{notice} was not delivered: {why}", notice="admitted", why=before)
    assert outward(text) == "admitted was not delivered: its words stand on the page"


LEFT = "its words stand with the delivery"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("why", "left"),
    [
        (
            phrase("it was refused; its own words: {words}", words=verbatim("Synnøve")),
            f"it was refused; {LEFT}",
        ),
        (phrase("it was refused; its own words: {words}", words="Synnøve"), f"it was refused; {LEFT}"),
        (phrase("it was refused ({why})", why=verbatim("Synnøve")), f"it was refused; {LEFT}"),
        (phrase("it was given up ({why})", why="Synnøve"), f"it was given up; {LEFT}"),
        (
            phrase("still asked to wait; its own words: {words}", words=verbatim("Synnøve")),
            f"still asked to wait; {LEFT}",
        ),
    ],
)
def test_a_receivers_words_are_left_out_of_what_goes_out_in_every_language(why, left, language: str):
    text = phrase("{what}: {whys}", what=word("notice", "admitted"), whys=[why, phrase("missed")])
    assert outward(text) == f"admitted: {left}; missed"
    assert "Synnøve" not in said_in(language, outward(text))
    assert outward("old text; its own words: Synnøve") == f"old text; {LEFT}"
    before = "Sogndal does not have it: it was refused (E35 Synnøve (født 1931) er ukjend); it must be there"
    assert outward(before) == f"Sogndal does not have it: it was refused; {LEFT}; it must be there"
    assert outward(f"it was x{IN_ITS_WORDS}Synnøve") == f"it was x; {LEFT}"


def test_what_we_say_ourselves_goes_out_as_it_is():
    for why in (phrase("missed"), technical("HTTP 400")):
        text = phrase("it was given up ({why})", why=why)
        assert outward(text) == text
    assert "Synnøve" not in outward(phrase("new sentence; its own words: {words}", words="Synnøve"))


@pytest.mark.parametrize("language", [one for one in LANGUAGES if one != "en"])
def test_what_a_restore_asks_of_people_is_told_from_beginning_to_end(language: str):
    of = datetime(2014, 3, 3, 7, 0, tzinfo=UTC)
    fault = phrase("delivery {delivery} carries no message", delivery="3")
    done = Done(of=of, taken_again={"in": 3, "post": 1200}, unread=(fault,), asked_again=2, going_out=1)
    said = words(
        Restored(at=of + timedelta(hours=5), of=of),
        done,
        message_servers=["nhn"],
        partners=[f"partner-{number}" for number in range(30)],
        zone=OSLO,
    )
    sentences = told(said, language).split(". ")
    assert "1200 of post" in said
    assert not {"the", "and", "again", "more", "of"} & set(" ".join(sentences).split())
