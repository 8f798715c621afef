"""Alarms posted to the one configured URL."""

import json

import pytest

from adapter.messaging.delivery import Reply
from adapter.messaging.register import Endpoint
from adapter.transport import Outgoing
from adapter.transport.webhook import Webhook
from adapter.transport.wire import UNUSABLE

from .conftest import answer, endpoint_at

ALARM = {"kind": "endpoint-down", "subject": "årdal", "since": "2026-11-06T12:00:00+00:00"}


def posted(document: dict[str, str], alarm_id: str, endpoint: Endpoint) -> Reply:
    """The alarm as the outbox sends it."""
    content = json.dumps(document).encode()
    message = Outgoing(message_id=alarm_id, content=content, content_type="application/json", delivery_id=1)
    return Webhook().send(message, endpoint)


def test_an_alarm_is_posted_as_json_under_its_id(peer):
    receiver = peer(answer("204 No Content"))
    endpoint = endpoint_at(f"{receiver.url}/alarm?key=s3cret", token="t0ken")
    reply = posted(ALARM, "alarm-7", endpoint)
    assert (reply.status, reply.taken, reply.delivered, reply.error) == (204, True, True, None)
    (request,) = receiver.requests
    head, _, body = request.partition(b"\r\n\r\n")
    first, *headers = head.decode().split("\r\n")
    assert first == "POST /alarm?key=s3cret HTTP/1.1"
    assert json.loads(body) == ALARM
    assert {
        "Content-Type: application/json",
        "X-Request-Id: alarm-7",
        "Authorization: Bearer t0ken",
    } <= set(headers)


@pytest.mark.parametrize("status", [302, 404, 500])
def test_anything_but_a_2xx_is_not_delivered(peer, status):
    receiver = peer(answer(f"{status} No", b"", "Location: http://elsewhere.example/"))
    reply = posted(ALARM, "alarm-7", endpoint_at(receiver.url))
    assert (reply.status, reply.taken, reply.delivered) == (status, False, False)
    assert len(receiver.requests) == 1


def test_a_broken_connection_is_a_reply_that_does_not_show_the_address(peer):
    receiver = peer(lambda connection, _: connection.close())
    reply = posted(ALARM, "alarm-7", endpoint_at(f"{receiver.url}/alarm?key=s3cret"))
    assert not reply.taken
    assert reply.error
    assert "s3cret" not in repr(reply)


def test_a_document_already_written_leaves_unaltered(message, peer):
    receiver = peer(answer())
    assert Webhook().send(message, endpoint_at(receiver.url)).taken
    head, _, body = receiver.requests[0].partition(b"\r\n\r\n")
    assert body == message.content
    assert f"X-Request-Id: {message.message_id}".encode() in head


@pytest.mark.parametrize("alarm_id", ["alarm\r\nX-Evil: 1", "☃"])
def test_an_id_that_no_header_can_hold_does_no_harm(peer, alarm_id):
    receiver = peer(answer())
    reply = posted(ALARM, alarm_id, endpoint_at(receiver.url))
    assert reply.error
    assert not any(b"\r\nX-Evil" in request for request in receiver.requests)


def test_an_unusable_address_is_a_reply_too():
    assert posted(ALARM, "alarm-7", endpoint_at("vakt")).error == UNUSABLE
