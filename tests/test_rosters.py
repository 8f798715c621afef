"""A roster is read as it stands, told of by line and never by number, and looked at again by itself."""

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from adapter.config import load_region
from adapter.config.roster import read_roster
from adapter.errors import ConfigurationError
from adapter.messaging.register import RosterPlace
from adapter.relevance import hashed
from adapter.runtime.rosters import Rosters
from adapter.store import tables
from tests.conftest import StandingClock
from tests.stage import REGION, Stage, altered, region, stage
from tests.transport.conftest import Peer, answer, peer

__all__ = ["peer"]

KEY = b"of the store"
ANNES, BENTS = "010860-5995", "311260-5996"


def place(address: object, **more: object) -> RosterPlace:
    return RosterPlace(**{"address": str(address), "within": timedelta(days=2)} | more)


# --- the text ------


def test_a_number_a_line_with_or_without_its_hyphen_and_comments():
    text = f"\ufeff# heading\n\n{ANNES}\n3112605996   # moved here in May\r\n010190kix1\n"
    found = read_roster(text.encode(), KEY)
    assert found == {hashed(KEY, number) for number in ("0108605995", BENTS, "010190-KIX1")}


def test_numbers_are_held_as_keyed_hashes_only():
    found = read_roster(f"{ANNES}\n".encode(), KEY)
    assert found != read_roster(f"{ANNES}\n".encode(), b"of another")
    assert all(len(one) == 16 and ANNES.encode() not in one for one in found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{ANNES}\n31126059\n", "line 2"),
        (f"\n{ANNES} {BENTS}\n", "line 2"),
        (f"{ANNES}\n{BENTS}", "does not end"),
        ("# nobody\n", "names nobody"),
        ("", "names nobody"),
    ],
)
def test_a_text_that_cannot_be_used_is_told_of_by_line_and_not_by_number(text: str, said: str):
    with pytest.raises(ConfigurationError, match=said) as raised:
        read_roster(text.encode(), KEY)
    assert "31126059" not in str(raised.value) and ANNES not in str(raised.value)


def test_what_is_no_text_is_told():
    with pytest.raises(ConfigurationError, match="UTF-8"):
        read_roster(b"010860\xff\n", KEY)


# --- the region file ------


def region_with(tmp_path: Path, line: str, *, side: str = "ours") -> Path:
    text = REGION.read_text()
    at = text.index('id = "sogndal"')
    head, rest = text[:at], text[at:].replace('side = "ours"', f'side = "{side}"', 1)
    file = tmp_path / "region.toml"
    file.write_text(head + f"{line}\n" + rest)
    return file


def test_a_party_names_its_roster_beside_the_region_file(tmp_path: Path, monkeypatch):
    lines = 'roster = "rosters/sogndal"\nroster_within = "P1D"'
    party = load_region(region_with(tmp_path, lines)).register_.party("sogndal")
    assert party.roster == place(tmp_path / "rosters" / "sogndal", within=timedelta(days=1))
    assert not party.roster.asked
    monkeypatch.setenv("ROSTER_TOKEN", "secret")
    lines = 'roster = "https://roster.example/sogndal"\nroster_token = "${ROSTER_TOKEN}"'
    party = load_region(region_with(tmp_path, lines)).register_.party("sogndal")
    assert (party.roster.address, party.roster.within) == (
        "https://roster.example/sogndal",
        timedelta(days=2),
    )
    assert (party.roster.asked, party.roster.token) == (True, "secret")
    assert "secret" not in repr(party)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('roster_within = "P1D"', "name it"),
        ('roster = "http://roster.example/"', "https"),
        ('roster = "ftp://roster.example/"', "https"),
        ('roster = "a"\nroster_token = "b"', "names a file"),
        ('roster = "a"\nroster_within = "PT0S"', "roster_within"),
    ],
)
def test_what_cannot_be_a_roster_is_told(tmp_path: Path, lines: str, said: str):
    with pytest.raises(ConfigurationError, match=said):
        load_region(region_with(tmp_path, lines))


def test_for_theirs_another_system_decides(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="decides in its own system"):
        load_region(region_with(tmp_path, 'roster = "a"', side="theirs"))


# --- looked at again ------


@pytest.fixture
def file(tmp_path: Path, clock: StandingClock) -> Path:
    made = tmp_path / "roster"
    write(made, clock, ANNES)
    return made


def write(file: Path, clock: StandingClock, *lines: str) -> None:
    file.write_text("".join(f"{line}\n" for line in lines))
    os.utime(file, (clock().timestamp(),) * 2)


def rosters(clock: StandingClock, **more: RosterPlace) -> Rosters:
    known = region()
    for party, where in more.items():
        known = altered(known, party, roster=where)
    return Rosters(known.register_, key=KEY, clock=clock, zone=clock().tzinfo, machine="here")


def test_a_change_is_seen_at_the_next_look(clock: StandingClock, file: Path):
    made = rosters(clock, sogndal=place(file))
    assert made("sogndal").numbers == {hashed(KEY, ANNES)}
    clock.forward(seconds=1)
    write(file, clock, ANNES, BENTS)
    made.look()
    assert made("sogndal").numbers == {hashed(KEY, ANNES), hashed(KEY, BENTS)}
    assert made("sogndal").as_of == clock()
    assert made("vik") is None


def test_a_file_that_has_not_changed_is_not_read_again(clock: StandingClock, file: Path):
    made = rosters(clock, sogndal=place(file))
    before = made("sogndal")
    made.look()
    assert made("sogndal") is before


@pytest.fixture
def play(store_url: str, clock: StandingClock, file: Path) -> Iterator[Stage]:
    made = stage(store_url, clock, of=altered(region(), "sogndal", roster=place(file)))
    yield made
    made.close()


def alarms(play: Stage) -> list[tuple[str, bool]]:
    return [(row["text"], row["until"] is None) for row in play.rows(tables.alarm, kind="roster")]


def look(play: Stage) -> None:
    play.built.rosters.look()
    play.built.rosters.tell(play.built.store, play.outbox.alarms)


def test_an_old_roster_is_an_alarm_once_until_it_is_new(play: Stage, clock: StandingClock, file: Path):
    look(play)
    assert alarms(play) == []
    clock.forward(days=2, seconds=1)
    for _ in range(3):
        look(play)
    ((text, on),) = alarms(play)
    assert on and "the roster of sogndal is of 2014-03-03 10:00, more than P2D ago" in text
    write(file, clock, ANNES)
    look(play)
    assert [on for _, on in alarms(play)] == [False]


def test_a_broken_roster_is_an_alarm_that_names_the_line(play: Stage, clock: StandingClock, file: Path):
    look(play)
    clock.forward(hours=1)
    write(file, clock, ANNES, "31126059")
    look(play)
    ((text, on),) = alarms(play)
    assert on and "line 2" in text and "31126059" not in text
    assert "holds until 2014-03-05 10:00" in text
    write(file, clock, ANNES)
    look(play)
    assert [on for _, on in alarms(play)] == [False]


def test_a_missing_roster_is_an_alarm_from_the_start(store_url: str, clock: StandingClock, tmp_path: Path):
    play = stage(store_url, clock, of=altered(region(), "sogndal", roster=place(tmp_path / "nowhere")))
    look(play)
    ((text, on),) = alarms(play)
    assert on and "No such file" in text
    play.close()


def test_an_alarm_of_an_earlier_life_ends(play: Stage, clock: StandingClock, file: Path):
    file.rename(file.with_suffix(".away"))
    look(play)
    file.with_suffix(".away").rename(file)
    again = stage(play.built.settings.store, clock, of=play.built.region)
    look(again)
    assert [on for _, on in alarms(again)] == [False]
    again.close()


# --- an API ------


def test_an_api_answers_with_the_same_text(clock: StandingClock, peer: Callable[..., Peer]):
    there = peer(lambda line, _: line.sendall(answer("200 OK", f"{ANNES}\n".encode())))
    made = rosters(clock, sogndal=place(f"{there.url}/roster", token="secret"))
    assert made("sogndal").numbers == {hashed(KEY, ANNES)}
    (asked,) = there.requests
    assert asked.startswith(b"GET /roster ") and b"Authorization: Bearer secret\r\n" in asked
    made.look()
    assert len(there.requests) == 1
    clock.forward(minutes=15)
    made.look()
    assert len(there.requests) == 2
    assert made("sogndal").as_of == clock()


def test_an_api_that_fails_leaves_the_roster_before_and_is_told_of(
    clock: StandingClock, peer: Callable[..., Peer]
):
    answers = [answer("200 OK", f"{ANNES}\n".encode()), answer("500 Oh", BENTS.encode())]
    there = peer(lambda line, _: line.sendall(answers.pop(0)))
    made = rosters(clock, sogndal=place(f"{there.url}/roster?key=secret"))
    made.look()
    clock.forward(minutes=15)
    for _ in range(2):
        made.look()
        assert made("sogndal").numbers == {hashed(KEY, ANNES)}
        assert "HTTP 500" in made.problems()["sogndal"]
        assert "secret" not in made.problems()["sogndal"]
