"""People are told of alarms: once, together, again where nobody looks, and when their mail server is back."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from adapter.alarming import STAFF
from adapter.config import Settings
from adapter.discharge.agreement import agreement
from adapter.discharge.notices import NoticeKind
from adapter.messaging.acknowledgement import Issue, Status
from adapter.messaging.alarm_words import TO_DO
from adapter.messaging.register import Register
from adapter.parcels import MAIL, WEBHOOK
from adapter.runtime.peers import alarms_of, telling_of
from adapter.scheduler.mailing import Mailing
from adapter.store import messages, tables
from tests.conftest import StandingClock
from tests.mail_server import PretendMailServer
from tests.stage import SYNNOVE, TORBJORN, Stage, failing, receipt, stage

FIXTURES = Path(__file__).parent.parent / "fixtures"

pytestmark = pytest.mark.postgres_in_soak

SOLVEIG = "solveig@sogndal.example"
MARTA = "marta@laerdal.example"
CHIEF = "chief@helse.example"
PAGE = "https://adapter.example/alarms"


def settings(server: PretendMailServer, **more: object) -> Settings:
    mail = {
        "server": "127.0.0.1",
        "port": server.port,
        "security": "none",
        "sender": "adapter@helse.example",
        "to": [SOLVEIG],
        "escalate_to": [CHIEF],
        "timeout": 2,
        "language": "en",
        **more.pop("mail", {}),  # type: ignore[dict-item]  # a table
    }
    return Settings(mail=mail, public_url="https://adapter.example", **more)  # type: ignore[arg-type]


@contextmanager
def play_with(url: str, clock: StandingClock, **more: object) -> Iterator[tuple[Stage, PretendMailServer]]:
    with PretendMailServer() as server:
        play = stage(url, clock, settings=settings(server, **more))
        yield play, server
        play.close()


def tick(play: Stage) -> None:
    """What the running adapter does by itself, once."""
    jobs = Mailing(store=play.built.store, telling=play.built.telling, clock=play.clock)
    jobs.alarms()
    play.deliver()


def digest(play: Stage) -> int:
    made = Mailing(store=play.built.store, telling=play.built.telling, clock=play.clock).digest()
    if made:
        play.deliver()
    return made


def start(play: Stage, kind: str, subject: str, text: str = "x") -> None:
    play.write(
        lambda tx: play.outbox.alarms.start(tx, kind=kind, subject=subject, text=text, now=play.clock())
    )


def end(play: Stage, kind: str, subject: str) -> None:
    play.write(lambda tx: play.outbox.alarms.end(tx, kind, subject, play.clock()))


def told_in(language: str) -> dict[str, object]:
    return {"mail": {"language": language}}


def posted(play: Stage, event: str) -> list[dict[str, object]]:
    said = [orjson.loads(m.content) for name, m in play.post.sent if name == WEBHOOK]
    return [one for one in said if one["event"] == event]


def test_the_first_alarm_after_silence_is_mailed_at_once_with_what_to_do(
    store_url: str, clock: StandingClock
):
    with play_with(store_url, clock) as (play, server):
        start(play, "mailbox", "mailbox luster", "the folder /in is gone")
        tick(play)
        (mail,) = server.taken
        assert mail.to == [SOLVEIG]
        assert mail.mail["Subject"] == "[discharge-adapter] Alarm: mailbox, mailbox luster"
        for words in ("the folder /in is gone", "2014-03-03 10:00", "credentials", PAGE, "Europe/Oslo"):
            assert words in mail.text
        for _ in range(3):
            clock.forward(minutes=2)
            tick(play)
        assert len(server.taken) == 1
        (row,) = play.rows(tables.alarm)
        assert row["mailed_at"] == clock.at - timedelta(minutes=6)


def test_what_starts_within_the_window_stands_in_one_mail(store_url: str, clock: StandingClock):
    with play_with(store_url, clock) as (play, server):
        start(play, "mailbox", "mailbox a")
        tick(play)
        for second in range(1, 10):
            clock.forward(seconds=5)
            start(play, "given-up", f"delivery {second}")
            tick(play)
        assert len(server.taken) == 1
        clock.forward(seconds=15)
        tick(play)
        assert len(server.taken) == 2
        assert "9 alarms: given-up (9)" in server.taken[1].mail["Subject"]


def test_fifty_thousand_alarms_are_one_mail_with_counts_and_the_most_urgent(
    store_url: str, clock: StandingClock
):
    with play_with(store_url, clock) as (play, server):
        with play.built.store.engine.execution_options(writes=True).begin() as tx:
            tx.execute(
                tables.alarm.insert(),
                [
                    {
                        "kind": "refused" if n % 5 else "deadline-missed",
                        "subject": f"subject {n}",
                        "text": "x",
                        "since": clock(),
                    }
                    for n in range(50_000)
                ],
            )
        tick(play)
        (mail,) = server.taken
        assert "50000 alarms" in mail.mail["Subject"]
        assert "deadline-missed: 10000" in mail.text
        assert "refused: 40000" in mail.text
        assert mail.text.count("\n  Alarm ") == 20
        assert mail.text.count("\ndeadline-missed: x") == 20
        assert "… and 49980 more" in mail.text
        assert len(mail.text) < 10_000
        clock.forward(minutes=2)
        tick(play)
        assert len(server.taken) == 1


def test_an_alarm_that_comes_and_goes_is_mailed_once_an_hour_with_its_count(
    store_url: str, clock: StandingClock
):
    with play_with(store_url, clock) as (play, server):
        for _ in range(20):
            start(play, "mailbox", "mailbox a")
            tick(play)
            clock.forward(minutes=2)
            end(play, "mailbox", "mailbox a")
            tick(play)
            clock.forward(minutes=2)
        assert len(server.taken) == 2
        assert "started 15 times since the mail of 2014-03-03 10:00" in server.taken[1].text
        assert "Over since it was told of" in server.taken[1].text
        assert "and on again" in server.taken[1].text


def test_a_clock_that_was_a_year_ahead_keeps_nobody_from_being_told_now(store_url: str, clock: StandingClock):
    with play_with(store_url, clock, mail={"to": [SOLVEIG], "escalate_to": [CHIEF]}) as (play, server):
        clock.forward(days=365)
        start(play, "mailbox", "mailbox luster")
        tick(play)
        end(play, "mailbox", "mailbox luster")
        start(play, "given-up", "delivery 7")  # since a time that is yet to come, and nobody sees it
        clock.forward(days=-365)
        start(play, "mailbox", "mailbox luster")
        for _ in range(3):
            clock.forward(minutes=2)
            tick(play)
        assert any("mailbox, mailbox luster" in m.text for m in server.taken[1:] if m.to == [SOLVEIG])
        assert [m.text.count("delivery 7") for m in server.taken if m.to == [CHIEF]] == [1]


def test_an_end_stands_in_the_next_mail_and_makes_none_of_its_own(store_url: str, clock: StandingClock):
    with play_with(store_url, clock) as (play, server):
        start(play, "mailbox", "mailbox a")
        tick(play)
        clock.forward(minutes=10)
        end(play, "mailbox", "mailbox a")
        tick(play)
        assert len(server.taken) == 1
        clock.forward(minutes=10)
        start(play, "refused", "delivery 4")
        tick(play)
        assert "mailbox, mailbox a: 2014-03-03 10:00 to 2014-03-03 10:10" in server.taken[1].text
        clock.forward(minutes=10)
        start(play, "refused", "delivery 5")
        tick(play)
        assert "Over" not in server.taken[2].text


def test_what_was_over_before_it_was_mailed_needs_nobody(store_url: str, clock: StandingClock):
    with play_with(store_url, clock) as (play, server):
        start(play, "mailbox", "mailbox a")
        end(play, "mailbox", "mailbox a")
        tick(play)
        assert server.taken == []


def test_workers_that_look_at_the_same_moment_make_one_mail_of_an_alarm(store_url: str, clock: StandingClock):
    with play_with(store_url, clock) as (play, server):
        others = [stage(store_url, clock, settings=settings(server)) for _ in range(2)]
        for number in range(10):
            start(play, "refused", f"delivery {1000 + number}")
            workers = [play, *others]
            told = [
                one.built.store.submit(lambda tx, one=one: one.built.telling.tell(tx, clock()))
                for one in workers
            ]
            assert sorted(future.result() for future in told) == [0, 0, 1]
            clock.forward(minutes=2)
            play.deliver()
        assert len(server.taken) == 10
        for one in others:
            one.close()


def test_every_kind_is_mailed_and_posted_with_what_to_do(store_url: str, clock: StandingClock):
    with play_with(store_url, clock, **with_webhook()) as (play, server):
        for kind, to_do in TO_DO.items():
            start(play, kind, f"about {kind}", f"what and where of {kind}")
            tick(play)
            (mail,) = [one for one in server.mails_to(SOLVEIG) if f"about about {kind}," in one.text]
            (said,) = [one for one in posted(play, "started") if one["kind"] == kind]
            assert f"{kind}: what and where of {kind}" in mail.text
            assert f"What to do: {to_do}" in mail.text
            assert (said["kind"], said["subject"], said["do"]) == (kind, f"about {kind}", to_do)
            clock.forward(minutes=2)


WRITTEN = re.compile(r'<(?:FamilyName|GivenName)>(.*?)<|"(?:family|given)": \[?\s*"(.*?)"')


def test_no_mail_and_no_post_has_a_name_or_number_of_the_fixtures(store_url: str, clock: StandingClock):
    files = sorted(FIXTURES.rglob("*.xml")) + sorted(FIXTURES.rglob("message*.json"))
    fed = [file.read_bytes() for file in files[::3]]
    written = [one.decode("latin-1" if b"ISO-8859-1" in one[:99] else "utf-8") for one in fed]
    with play_with(store_url, clock, **with_webhook()) as (play, server):
        clock.at = datetime(2014, 12, 1, 8, tzinfo=UTC)
        play.post.answer = failing(422)
        for content in fed:
            play.receive(content)
        for _ in range(2):
            while play.deliver():
                pass
            tick(play)
            digest(play)
            clock.forward(hours=25)
        told = [f"{m.mail['Subject']}\n{m.text}" for m in server.taken]
        told += [m.content.decode() for name, m in play.post.sent if name == WEBHOOK]
        assert len(play.rows(tables.alarm)) > 10
        names = {
            name for text in written for found in WRITTEN.findall(text) for name in found if len(name) > 2
        }
        numbers = {number for text in written for number in re.findall(r"(?<!\d)\d{11}(?!\d)", text)}
        assert len(names) > 10
        assert len(numbers) > 5
        words = set(re.findall(r"[\w-]+", "\n".join(told)))
        assert (names | numbers) & words == set()


# --- nobody looks ---


def test_a_receivers_own_words_stand_on_the_pages_and_in_no_mail_and_no_post(
    store_url: str, clock: StandingClock
):
    """Whoever refuses a message may say of whom it is."""
    with play_with(store_url, clock, **with_webhook()) as (play, server):
        play.receive(play.message(NoticeKind.ADMITTED))
        play.deliver()
        (made,) = [m.content for _, m in play.post.sent]
        named = (Issue(code="E35", text="Synnøve Sunde er ukjend hos oss"),)
        play.receive(receipt(made, Status.REFUSED, at=clock(), issues=named))
        tick(play)
        clock.forward(hours=5)  # nobody has seen it
        tick(play)
        tick(play)
        (row,) = play.rows(tables.alarm, kind="refused")
        assert "Synnøve Sunde er ukjend" in row["text"]
        kept = [m.text for m in server.taken] + [str(one["text"]) for one in posted(play, "started")]
        kept += [str(one["text"]) for one in escalated(play)]
        assert len(kept) == 4
        for text in kept:
            assert "admitted to Sogndal kommune was not delivered: it was refused; " in text
            assert "Synnøve" not in text


CUT = {
    "en": "admitted to Sogndal kommune was not delivered: it was refused; its words stand with the delivery",
    "nb": "melding om innlagt pasient til Sogndal kommune ble ikke levert: den ble avvist; begrunnelsen",
    "nn": "melding om innlagd pasient til Sogndal kommune vart ikkje levert: ho vart avvist; grunngivinga",
    "sv": "inskrivningsmeddelande till Sogndal kommune levererades inte: den avvisades; motiveringen",
    "da": "indlæggelsesadvis til Sogndal kommune blev ikke leveret: den blev afvist; begrundelsen",
}


@pytest.mark.parametrize("language", CUT)
def test_nor_in_a_mail_of_any_language(store_url: str, clock: StandingClock, language: str):
    with play_with(store_url, clock, **with_webhook(**told_in(language))) as (play, server):
        play.receive(play.message(NoticeKind.ADMITTED))
        play.deliver()
        (made,) = [m.content for _, m in play.post.sent]
        named = (Issue(code="E35", text="Synnøve Sunde er ukjend hos oss"),)
        play.receive(receipt(made, Status.REFUSED, at=clock(), issues=named))
        for _ in range(3):
            tick(play)
            clock.forward(hours=5)
        assert {mail.to[0] for mail in server.taken} == {SOLVEIG, CHIEF}
        for mail in server.taken:
            assert CUT[language] in mail.text or "delivery-urgent" in mail.text
            assert "Synnøve" not in mail.text
        (said,) = [one for one in posted(play, "started") if one["kind"] == "refused"]
        assert str(said["text"]) == CUT["en"]  # what programs read stays as it was


def with_webhook(**more: object) -> dict[str, object]:
    return {"alarm_webhook": "http://127.0.0.1:9/alarms", **more}


def escalated(play: Stage) -> list[dict[str, object]]:
    return posted(play, "escalated")


def test_what_nobody_has_seen_is_told_once_to_others_and_the_webhook(store_url: str, clock: StandingClock):
    with play_with(store_url, clock, **with_webhook()) as (play, server):
        start(play, "deadline-missed", "deadline 1", "early notice was due")
        start(play, "deadline-near", "deadline 2")
        tick(play)
        clock.forward(minutes=59)
        tick(play)
        assert (server.mails_to(CHIEF), escalated(play)) == ([], [])
        for _ in range(4):
            clock.forward(minutes=1, seconds=1)
            tick(play)
        (mail,) = server.mails_to(CHIEF)
        assert "Not seen: Alarm: deadline-missed, deadline 1" in mail.mail["Subject"]
        (said,) = escalated(play)
        assert (said["alarm"], said["kind"], said["text"]) == (1, "deadline-missed", "early notice was due")
        assert play.rows(tables.alarm)[0]["escalated_at"] is not None


def test_what_somebody_has_seen_is_not_told_to_others(store_url: str, clock: StandingClock):
    with play_with(store_url, clock) as (play, server):
        start(play, "deadline-missed", "deadline 1")
        play.write(lambda tx: play.outbox.alarms.see(tx, 1, clock(), by="Solveig"))
        clock.forward(hours=3)
        tick(play)
        assert server.mails_to(CHIEF) == []


def test_the_end_of_what_others_were_told_of_is_told_to_both(store_url: str, clock: StandingClock):
    with play_with(store_url, clock) as (play, server):
        start(play, "deadline-missed", "deadline 1")
        tick(play)
        clock.forward(hours=2)
        tick(play)
        end(play, "deadline-missed", "deadline 1")
        tick(play)
        for address in (SOLVEIG, CHIEF):
            *_, last = server.mails_to(address)
            assert "Over: Alarm: deadline-missed, deadline 1" in last.mail["Subject"]


def test_each_kind_has_its_time_and_none_means_never(store_url: str, clock: StandingClock):
    chosen = {"escalate_after": {"mailbox": "PT5M", "refused": "PT0S"}}
    with play_with(store_url, clock, alarms=chosen) as (play, server):
        start(play, "mailbox", "mailbox a")
        start(play, "refused", "delivery 1")
        clock.forward(minutes=5)
        tick(play)
        assert len(server.mails_to(CHIEF)) == 1
        clock.forward(days=3)
        tick(play)
        assert len(server.mails_to(CHIEF)) == 1


def test_a_flood_that_nobody_sees_is_one_mail_and_a_bounded_number_of_posts(
    store_url: str, clock: StandingClock
):
    with play_with(store_url, clock, **with_webhook()) as (play, server):
        for number in range(130):
            start(play, "deadline-missed", f"deadline {number}")
        clock.forward(hours=2)
        tick(play)
        assert len(server.mails_to(CHIEF)) == 1
        assert "130 alarms" in server.mails_to(CHIEF)[0].mail["Subject"]
        posts = [d for d in play.rows(tables.delivery) if d["message_id"].endswith("-escalated")]
        assert len(posts) == 101
        with play.built.store.read() as tx:
            rest = orjson.loads(messages.content(tx, posts[-1]["payload"]) or b"")
        assert (rest["alarm"], rest["subject"], rest["text"]) == (
            None,
            "30 more alarms",
            "deadline-missed: 30",
        )


# --- the language of the mails ---

HEADLINES = {
    "nb": ("Alarm: postkasse (mailbox), postkasse luster", "Hva som skal gjøres: Se på postkassens adresse"),
    "nn": ("Alarm: postkasse (mailbox), postkasse luster", "Kva som skal gjerast: Sjå på adressa"),
    "sv": ("Larm: brevlåda (mailbox), brevlåda luster", "Vad som ska göras: Kontrollera brevlådans adress"),
    "da": ("Alarm: postkasse (mailbox), postkasse luster", "Hvad der skal gøres: Se på postkassens adresse"),
    "en": ("Alarm: mailbox, mailbox luster", "What to do: Look at the mailbox's address"),
}


@pytest.mark.parametrize("language", HEADLINES)
def test_mails_speak_the_language_of_the_settings(store_url: str, clock: StandingClock, language: str):
    subject, to_do = HEADLINES[language]
    with play_with(store_url, clock, **told_in(language)) as (play, server):
        start(play, "mailbox", "mailbox luster", "mappa /inn er borte")
        tick(play)
        (mail,) = server.taken
        assert mail.mail["Subject"] == f"[discharge-adapter] {subject}"
        for words in (to_do, ": mappa /inn er borte\n", "2014-03-03 10:00", PAGE, "Europe/Oslo"):
            assert words in mail.text


def test_without_a_setting_mails_speak_the_language_of_the_country(store_url: str, clock: StandingClock):
    with play_with(store_url, clock, mail={"language": None}) as (play, server):
        start(play, "mailbox", "mailbox luster")
        tick(play)
        assert server.taken[0].mail["Subject"] == f"[discharge-adapter] {HEADLINES['nb'][0]}"


@pytest.mark.parametrize(
    ("country", "language"), [("norway", "nb"), ("sweden", "sv"), ("denmark", "da"), ("england-2014", "en")]
)
def test_each_country_has_its_language(country: str, language: str):
    with PretendMailServer() as server:
        made = settings(server, mail={"language": None})
    assert telling_of(made, alarms_of(made), Register(), agreement(country)).language == language
    chosen = made.model_copy(update={"mail": made.mail.model_copy(update={"language": "nn"})})
    assert telling_of(chosen, alarms_of(chosen), Register(), agreement(country)).language == "nn"


# --- the mail server is away ---


def test_while_the_server_is_away_nothing_piles_up_and_nothing_is_lost(store_url: str, clock: StandingClock):
    with play_with(store_url, clock) as (play, server):
        server.faults["greeting"] = "421 4.3.2 going down"
        for number in range(20):  # 100 hours, more than a message has
            start(play, "given-up", f"delivery {1000 + number}")
            for _ in range(5):
                tick(play)
                clock.forward(hours=1)
        mails = [d for d in play.rows(tables.delivery) if d["endpoint"] == MAIL]
        assert {d["state"] for d in mails} == {"waiting"}
        assert len([d for d in mails if "-alarms" in d["message_id"]]) == 1
        assert {a["kind"] for a in play.rows(tables.alarm)} == {"given-up"}
        assert server.taken == []
        del server.faults["greeting"]
        for _ in range(3):
            clock.forward(minutes=12)  # it is never tried more seldom than that
            tick(play)
        told = "".join(mail.text for mail in server.mails_to(SOLVEIG))
        assert "about delivery 1000" in told
        assert "19 alarms:" in told
        assert {a["mailed_at"] is None for a in play.rows(tables.alarm)} == {False}


def test_an_address_that_is_refused_for_good_makes_no_further_mail(store_url: str, clock: StandingClock):
    with play_with(store_url, clock, mail={"to": [SOLVEIG, MARTA]}) as (play, server):
        server.refused[MARTA] = "550 5.1.1 no such user"
        start(play, "mailbox", "mailbox a")
        for _ in range(5):
            tick(play)
            clock.forward(hours=5)
        assert len(server.mails_to(SOLVEIG)) == 1
        open_ones = play.rows(tables.alarm, until=None)
        assert [one["kind"] for one in open_ones] == ["mailbox", "given-up"]
        assert MARTA not in open_ones[1]["text"]


def test_what_one_address_does_not_take_just_now_holds_up_no_other(store_url: str, clock: StandingClock):
    with play_with(store_url, clock, mail={"to": [SOLVEIG, MARTA]}) as (play, server):
        server.refused[MARTA] = "452 4.2.2 full"
        for number in range(30):
            start(play, "refused", f"delivery {1000 + number}")
            tick(play)
            clock.forward(minutes=5)
        assert len(server.mails_to(SOLVEIG)) == 30
        waiting = play.rows(tables.delivery, state="waiting")
        assert 1 < len(waiting) <= 20
        server.refused.clear()
        clock.forward(minutes=11)
        for _ in range(25):
            play.deliver()
        assert len(server.mails_to(MARTA)) == len(waiting)


def test_a_webhook_that_is_away_is_told_by_mail_and_never_by_itself(store_url: str, clock: StandingClock):
    with play_with(store_url, clock, **with_webhook()) as (play, server):
        play.post.answer = failing(404)
        start(play, "mailbox", "mailbox a")
        for _ in range(4):
            tick(play)
            clock.forward(minutes=2)
        assert len(server.taken) == 1
        assert [a["kind"] for a in play.rows(tables.alarm)] == ["mailbox", "given-up"]


def test_without_a_mail_server_nothing_is_made_and_nothing_complains(store_url: str, clock: StandingClock):
    play = stage(store_url, clock)
    start(play, "deadline-missed", "deadline 1")
    clock.forward(days=2)
    tick(play)
    assert digest(play) == 0
    assert play.rows(tables.delivery) == []
    play.close()


# --- the digest ---


def test_a_digest_has_counts_and_names_of_parties_and_no_person(store_url: str, clock: StandingClock):
    with play_with(store_url, clock) as (play, server):
        play.receive(play.message(NoticeKind.ADMITTED))
        play.receive(play.message(NoticeKind.READY_FOR_DISCHARGE, subject=TORBJORN, receivers=("luster",)))
        play.deliver()
        start(play, "mailbox", "mailbox a")
        clock.forward(hours=3)
        assert digest(play) == 1
        *_, mail = server.taken
        text = mail.text
        assert "sent: " in text and "sent: 0" not in text
        assert "mailbox: 1, the oldest for 3 h" in text
        assert "In quarantine: 0" in text
        for person in (SYNNOVE, TORBJORN):
            for secret in (person.family, person.given, person.identifiers[0][1]):
                assert str(secret) not in text + mail.mail["Subject"]
        due = [d for d in play.rows(tables.deadline) if d["state"] == "open"]
        assert due
        assert "Sogndal" in text or "Luster" in text or "Lærdal" in text


def test_a_digest_goes_once_a_day_and_is_made_up_for_the_same_day_only(store_url: str, clock: StandingClock):
    with play_with(store_url, clock) as (play, server):
        clock.at = clock.at.replace(hour=6, minute=59)
        assert digest(play) == 0
        clock.forward(minutes=1)
        assert [digest(play), digest(play)] == [1, 0]
        clock.forward(hours=16)
        assert digest(play) == 0
        clock.forward(days=3, hours=12)  # it was down for days, and comes back at eleven
        assert [digest(play), digest(play)] == [1, 0]
        assert len(server.taken) == 2
        clock.forward(days=-30)  # a clock that had been wrong does not silence it for a month
        assert digest(play) == 1


@pytest.mark.parametrize("night", [(2014, 3, 30), (2014, 10, 26)])
@pytest.mark.parametrize("at", ["07:00", "02:30"])
def test_a_night_in_which_the_clocks_change_has_one_digest(
    store_url: str, clock: StandingClock, night: tuple[int, int, int], at: str
):
    with play_with(store_url, clock, alarms={"digest_at": at}) as (play, _):
        clock.at = datetime(*night, tzinfo=UTC) - timedelta(days=1)
        made = []
        for _ in range(3 * 48):
            if digest(play):
                made.append(clock.at.astimezone(play.built.agreement.zone))
            clock.forward(minutes=30)
        days = [one.date() for one in made]
        assert len(days) == len(set(days)) >= 3
        for one in made[1:]:
            late = {"07:00": (7, 0), "02:30": (2, 30)}[at]
            gap = at == "02:30" and one.date() == date(2014, 3, 30)
            assert (one.hour, one.minute) == ((3, 30) if gap else late)


def test_two_workers_make_one_digest(store_url: str, clock: StandingClock):
    with play_with(store_url, clock) as (play, server):
        other = stage(store_url, clock, settings=settings(server))
        telling, now = play.built.telling, clock()
        with play.built.store.read() as tx:
            counted, day = telling.counted(tx, now), telling.day(tx, now)
        assert day is not None
        made = [one.write(lambda tx: telling.digest(tx, day, counted, now)) for one in (play, other)]
        assert made == [1, 0]
        other.close()


def test_every_mail_is_a_delivery_that_stands_in_the_log(store_url: str, clock: StandingClock):
    with play_with(store_url, clock) as (play, _):
        start(play, "mailbox", "mailbox a")
        tick(play)
        (row,) = play.rows(tables.delivery)
        assert (row["kind"], row["party"], row["endpoint"], row["state"]) == ("alarm", STAFF, MAIL, "sent")
