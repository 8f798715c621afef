"""Alarms handed in at a mail server, which may be away, slow, broken or say no."""

import orjson
import pytest

from adapter.messaging.delivery import Reply
from adapter.messaging.register import Endpoint
from adapter.messaging.retry import GiveUp, RetryAt, Schedule, Sent, decide
from adapter.transport import Outgoing
from adapter.transport.mail import Mail, MailServer
from tests.conftest import StandingClock
from tests.mail_server import DROP, SLOW, PretendMailServer

from .conftest import CERTIFICATE

SOLVEIG = "solveig@sogndal.example"
LETTER = {
    "to": SOLVEIG,
    "subject": "2 alarms: given-up; Lærdal sjukehus",
    "text": "Årdal kommune has said nothing.\n.\nTelephone, then resend.\n",
    "at": "2014-03-03T10:00:00+01:00",
}


def handed_in(
    server: PretendMailServer,
    letter: dict[str, str] | None = None,
    *,
    host: str = "127.0.0.1",
    trust: str | None = None,
    timeout: float = 5.0,
    **more: str,
) -> Reply:
    at = MailServer(
        host=host,
        port=server.port,
        security=more.pop("security", server.security),
        sender="adapter@helse.example",
        recipients=frozenset((SOLVEIG,)),
        **more,
    )
    endpoint = Endpoint(
        name="alarm-mail", transport="mail", address="", dialect="alarm", timeout=timeout, trust=trust
    )
    message = Outgoing(
        message_id="alarm-mail-1-alarms17",
        content=orjson.dumps(letter or LETTER),
        content_type="application/json",
        delivery_id=1,
    )
    return Mail(at).send(message, endpoint)


def what_follows(reply: Reply, clock: StandingClock) -> type:
    return type(decide(reply, attempts=1, created_at=clock(), now=clock(), schedule=Schedule(), jitter=0.0))


def test_a_mail_arrives_as_it_was_written(clock: StandingClock):
    with PretendMailServer() as server:
        reply = handed_in(server)
        handed_in(server)
    assert (reply.taken, reply.delivered, reply.error) == (True, False, None)
    assert what_follows(reply, clock) is Sent
    first, again = server.taken
    assert (first.sender, first.to, first.text) == ("adapter@helse.example", [SOLVEIG], LETTER["text"])
    assert first.mail["Subject"] == LETTER["subject"]
    assert first.mail["To"] == SOLVEIG
    assert first.mail["Message-ID"] == "<alarm-mail-1-alarms17@helse.example>"
    assert first.mail["Date"] == "Mon, 03 Mar 2014 10:00:00 +0100"
    assert first.mail["Auto-Submitted"] == "auto-generated"
    assert first.content.isascii()
    assert first.content == again.content


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_it_goes_encrypted_and_signed_in_where_the_settings_say_so(security: str):
    with PretendMailServer(security=security, certificate=str(CERTIFICATE), user="a", password="b") as server:
        reply = handed_in(server, trust=str(CERTIFICATE), user="a", password="b")
    assert reply.taken, reply.error
    assert (server.encrypted, server.signed_in, len(server.taken)) == (1, 1, 1)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_server_with_a_certificate_of_nobody_we_trust_gets_nothing(security: str, clock: StandingClock):
    with PretendMailServer(security=security, certificate=str(CERTIFICATE), user="a", password="b") as server:
        reply = handed_in(server, user="a", password="b")
    assert "not trusted" in str(reply.error)
    assert what_follows(reply, clock) is RetryAt
    assert (server.signed_in, server.taken) == (0, [])


def test_a_server_that_does_not_offer_encryption_gets_neither_password_nor_mail(clock: StandingClock):
    with PretendMailServer(user="a", password="b") as server:
        reply = handed_in(server, security="starttls", trust=str(CERTIFICATE), user="a", password="b")
    assert "does not offer" in str(reply.error)
    assert what_follows(reply, clock) is RetryAt
    assert (server.signed_in, server.taken) == (0, [])


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("MAIL", "451 4.3.0 later, Kari Nordmann 13116900216"),
        ("RCPT", "450 4.2.1 greylisted"),
        ("DATA", "452 full"),
        ("text", "421 4.3.2 closing"),
    ],
)
def test_not_now_is_tried_again(word: str, line: str, clock: StandingClock):
    with PretendMailServer(faults={word: line}) as server:
        reply = handed_in(server)
    assert what_follows(reply, clock) is RetryAt
    assert line[:3] in str(reply.error)
    assert "Kari" not in repr(reply)


@pytest.mark.parametrize(
    ("word", "line"),
    [("MAIL", "550 5.7.1 no"), ("RCPT", "550 5.1.1 no such"), ("DATA", "554 no"), ("text", "552 5.3.4 long")],
)
def test_no_for_good_is_not_tried_again(word: str, line: str, clock: StandingClock):
    with PretendMailServer(faults={word: line}) as server:
        reply = handed_in(server)
    assert what_follows(reply, clock) is GiveUp
    assert line[:3] in str(reply.error)
    assert server.taken == []


@pytest.mark.parametrize("word", ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "text"])
def test_a_server_that_hangs_up_is_tried_again(word: str, clock: StandingClock):
    with PretendMailServer(faults={word: DROP}) as server:
        reply = handed_in(server)
    assert "closed the connection" in str(reply.error) or "broken off" in str(reply.error)
    assert what_follows(reply, clock) is RetryAt


@pytest.mark.parametrize(
    ("faults", "password"),
    [({"greeting": "554 not today"}, "b"), ({}, "wrong"), ({"AUTH": "535 5.7.8 no"}, "b")],
)
def test_what_is_wrong_with_us_or_the_server_is_no_word_about_the_mail(
    faults: dict[str, str], password: str, clock: StandingClock
):
    with PretendMailServer(faults=faults, user="a", password="b") as server:
        reply = handed_in(server, user="a", password=password)
    assert what_follows(reply, clock) is RetryAt
    assert "Kari" not in repr(reply)
    assert server.taken == []


@pytest.mark.parametrize("word", ["greeting", "RCPT", "text"])
def test_a_slow_server_gets_its_time_in_all_and_no_more(word: str, clock: StandingClock):
    with PretendMailServer(faults={word: SLOW}) as server:
        reply = handed_in(server, timeout=0.3)
    assert "within 0.3 s" in str(reply.error)
    assert reply.ms < 2000
    assert what_follows(reply, clock) is RetryAt


def test_a_slow_handshake_has_the_same_bound(clock: StandingClock):
    with PretendMailServer(faults={"greeting": SLOW}) as server:
        reply = handed_in(server, security="tls", trust=str(CERTIFICATE), timeout=0.3)
    assert reply.error and reply.ms < 2000
    assert what_follows(reply, clock) is RetryAt


def test_nobody_there_is_a_reply(clock: StandingClock):
    with PretendMailServer() as server:
        pass
    reply = handed_in(server)
    assert "nobody listens" in str(reply.error)
    assert what_follows(reply, clock) is RetryAt
    assert "no address" in str(handed_in(server, host="mail.invalid").error)


def test_an_address_that_the_settings_do_not_name_any_more_gets_nothing(clock: StandingClock):
    with PretendMailServer() as server:
        reply = handed_in(server, LETTER | {"to": "somebody@else.example"})
    assert what_follows(reply, clock) is GiveUp
    assert server.connections == 0
    assert "somebody" not in repr(reply)


def test_a_file_of_trust_that_is_gone_is_a_reply(clock: StandingClock):
    with PretendMailServer(security="tls", certificate=str(CERTIFICATE)) as server:
        reply = handed_in(server, trust="/nowhere/ca.pem")
    assert "`trust`" in str(reply.error)
    assert what_follows(reply, clock) is RetryAt
