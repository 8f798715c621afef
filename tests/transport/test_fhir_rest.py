"""Posting a message: what leaves, what comes back, and peers that behave badly."""

import socket
import ssl
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from gzip import compress

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from adapter.messaging.delivery import Reply
from adapter.transport.fhir_rest import LARGEST_ANSWER, FhirRest, is_duplicate
from adapter.transport.wire import COMPRESSED, TOO_LONG, UNUSABLE

from .conftest import CERTIFICATE, answer, endpoint_at

DUPLICATE_JSON = b'{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"duplicate"}]}'
DUPLICATE_XML = (
    b'<OperationOutcome xmlns="http://hl7.org/fhir"><issue><severity value="error"/>'
    b'<code value="duplicate"/></issue></OperationOutcome>'
)


@pytest.fixture
def transport():
    return FhirRest()


# --- what leaves ------------------------------------------------------------------------------------------


def test_the_bytes_leave_unaltered_and_the_answer_comes_back(transport, message, httpserver: HTTPServer):
    got: list[Request] = []

    def receive(request: Request) -> Response:
        request.get_data()
        got.append(request)
        return Response(b'{"resourceType":"Bundle"}', 200, content_type="application/fhir+json")

    httpserver.expect_request("/fhir/$process-message", method="POST").respond_with_handler(receive)
    endpoint = endpoint_at(httpserver.url_for("/fhir/$process-message"), token="s3cret", timeout=5)
    reply = transport.send(message, endpoint)

    assert (reply.status, reply.taken, reply.delivered, reply.error) == (200, True, True, None)
    assert (reply.body, reply.content_type) == (b'{"resourceType":"Bundle"}', "application/fhir+json")
    assert reply.ms > 0
    (request,) = got
    assert request.get_data() == message.content
    assert request.headers["Content-Type"] == request.headers["Accept"] == "application/fhir+json"
    assert request.headers["X-Request-Id"] == "17"
    assert request.headers["Authorization"] == "Bearer s3cret"
    assert request.headers["Accept-Encoding"] == "identity"


def test_each_message_leaves_with_its_own_id_type_and_length(transport, message, peer):
    receiver = peer(answer())
    endpoint = endpoint_at(receiver.url)
    other = replace(message, content=b"<Bundle/>", content_type="application/fhir+xml", delivery_id=18)
    for one in (message, other, message):
        assert transport.send(one, endpoint).taken
    heads = [request.partition(b"\r\n\r\n") for request in receiver.requests]
    assert [body for _, _, body in heads] == [message.content, other.content, message.content]
    assert [b"X-Request-Id: 18" in head for head, _, _ in heads] == [False, True, False]
    assert [b"Content-Type: application/fhir+xml" in head for head, _, _ in heads] == [False, True, False]


def test_one_connection_per_thread_serves_many_messages(transport, message, peer):
    receiver = peer(answer("200 OK", b"{}"))
    endpoint = endpoint_at(receiver.url)
    together = threading.Barrier(2)

    def send_five() -> bool:
        together.wait(2)
        return all(transport.send(message, endpoint).taken for _ in range(5))

    with ThreadPoolExecutor(2) as pool:
        assert all(one.result() for one in [pool.submit(send_five) for _ in range(2)])
    assert receiver.connections == 2


def test_an_empty_answer_keeps_the_connection(transport, message, peer):
    receiver = peer(answer("202 Accepted"))
    assert [transport.send(message, endpoint_at(receiver.url)).status for _ in range(3)] == [202] * 3
    assert receiver.connections == 1


def test_proxies_and_netrc_of_the_environment_are_not_used(transport, message, peer, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ola password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    receiver = peer(answer())
    assert transport.send(message, endpoint_at(receiver.url)).taken
    assert b"authorization" not in receiver.requests[0].lower()


def test_cookies_are_not_kept(transport, message, peer):
    receiver = peer(answer("200 OK", b"", "Set-Cookie: follow=me"))
    for _ in range(2):
        transport.send(message, endpoint_at(receiver.url))
    assert b"cookie" not in receiver.requests[1].lower()


# --- what comes back --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 409, 422, 429, 500, 503])
def test_a_no_is_neither_taken_nor_delivered_and_its_body_is_kept(transport, message, peer, status):
    receiver = peer(answer(f"{status} No", b"the reason"))
    reply = transport.send(message, endpoint_at(receiver.url))
    assert (reply.status, reply.taken, reply.delivered, reply.error) == (status, False, False, None)
    assert reply.body == b"the reason"
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(transport, message, peer, status):
    elsewhere = peer(answer())
    receiver = peer(answer(f"{status} Over there", b"", f"Location: {elsewhere.url}/fhir"))
    reply = transport.send(message, endpoint_at(receiver.url))
    assert (reply.status, reply.taken) == (status, False)
    assert elsewhere.connections == 0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (("Retry-After: 120",), 120.0),
        (("Retry-After: Fri, 06 Nov 2026 10:00:30 GMT", "Date: Fri, 06 Nov 2026 10:00:00 GMT"), 30.0),
        (("Retry-After: Fri, 06 Nov 2026 09:00:00 GMT", "Date: Fri, 06 Nov 2026 10:00:00 GMT"), 0.0),
        (("Retry-After: Fri, 06 Nov 2026 10:00:30 GMT",), None),
        (("Retry-After: -5",), None),
        (("Retry-After: soon", "Date: Fri, 06 Nov 2026 10:00:00 GMT"), None),
        (("Retry-After: " + "9" * 5000,), 9999999999.0),
        ((), None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(transport, message, peer, headers, seconds):
    receiver = peer(answer("503 Later", b"", *headers))
    assert transport.send(message, endpoint_at(receiver.url)).retry_after == seconds


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (409, DUPLICATE_JSON, True),
        (409, b"\xef\xbb\xbf " + DUPLICATE_JSON, True),
        (409, DUPLICATE_XML, True),
        (409, DUPLICATE_JSON.replace(b"duplicate", b"conflict"), False),
        (409, DUPLICATE_XML.replace(b"duplicate", b"conflict"), False),
        (409, DUPLICATE_JSON.replace(b"OperationOutcome", b"Parameters"), False),
        (409, DUPLICATE_XML.replace(b"http://hl7.org/fhir", b"urn:other"), False),
        (409, b"<!DOCTYPE OperationOutcome>" + DUPLICATE_XML, False),
        (409, b'{"resourceType":"OperationOutcome","issue":"duplicate"}', False),
        (409, b"duplicate", False),
        (409, b"", False),
        (412, DUPLICATE_JSON, False),
        (200, DUPLICATE_JSON, False),
    ],
)
def test_only_a_conflict_that_says_duplicate_is_one(status, body, expected):
    assert is_duplicate(Reply(status=status, body=body)) is expected


def test_a_conflict_of_unreasonable_depth_says_nothing():
    deep = b"[" * 990 + b"]" * 990
    body = b'{"resourceType":"OperationOutcome","issue":[{"code":%s}]}' % deep
    assert not is_duplicate(Reply(status=409, body=body))


# --- peers that behave badly ------------------------------------------------------------------------------


def drip(prefix: bytes, drop: bytes):
    """Sends `prefix`, then `drop` every 20 ms for a second: each piece well within the timeout."""

    def behave(connection: socket.socket, request: bytes) -> None:
        connection.sendall(prefix)
        for _ in range(50):
            connection.sendall(drop)
            time.sleep(0.02)

    return behave


@pytest.mark.parametrize(
    ("prefix", "drop", "status"),
    [
        (b"HTTP/1.1 200 ", b"O", None),
        (b"HTTP/1.1 200 OK\r\n", b"X-Slow: 1\r\n", None),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", b"x", 200),
        (b"HTTP/1.1 503 Later\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 503),
        (b"HTTP/1.1 503 Later\r\nTransfer-Encoding: chunked\r\n\r\n", b"1", 503),
        (b"HTTP/1.1 503 Later\r\n\r\n", b"x", 503),
    ],
)
def test_an_answer_in_drops_is_cut_off_when_its_time_is_up(transport, message, peer, prefix, drop, status):
    receiver = peer(drip(prefix, drop))
    started = time.perf_counter()
    reply = transport.send(message, endpoint_at(receiver.url, timeout=0.1))
    assert time.perf_counter() - started < 0.5
    assert (reply.status, reply.error, reply.body) == (status, "no complete answer within 0.1 s", b"")


def test_a_drop_shortly_before_the_end_gains_no_time(transport, message, peer):
    def late(connection: socket.socket, request: bytes) -> None:
        time.sleep(0.2)
        connection.sendall(b"HTTP/1.1 ")
        time.sleep(0.3)

    started = time.perf_counter()
    reply = transport.send(message, endpoint_at(peer(late).url, timeout=0.25))
    assert reply.error == "no complete answer within 0.25 s"
    assert time.perf_counter() - started < 0.4


def test_silence_is_cut_off(transport, message, peer):
    receiver = peer(lambda connection, request: time.sleep(0.3))
    reply = transport.send(message, endpoint_at(receiver.url, timeout=0.05))
    assert (reply.status, reply.taken, reply.error) == (None, False, "no complete answer within 0.05 s")


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
    ],
)
def test_of_an_endless_body_no_more_than_the_limit_is_read(transport, message, peer, head):
    sent = []

    def flood(connection: socket.socket, request: bytes) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(b"x" * 65536)
            sent.append(65536)

    receiver = peer(flood)
    reply = transport.send(message, endpoint_at(receiver.url, timeout=2))
    assert (reply.status, reply.taken, reply.error, reply.body) == (200, True, TOO_LONG, b"")
    assert sum(sent) < LARGEST_ANSWER + 16_000_000  # the rest is in the sockets' buffers


_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (_CHUNKED + b"1;", b"a" * 65536),
        (_CHUNKED, b"1;" + b"a" * 60_000 + b"\r\nx\r\n"),
        (_CHUNKED, b"0" * 65536),
        (_CHUNKED + b"0\r\nX: ", b"b" * 65536),
        (_CHUNKED + b"0\r\n", b"X: y\r\n" * 10_000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2_000),
    ],
    ids=["one extension", "extensions", "chunk size", "one trailer", "trailers", "provisional"],
)
def test_what_surrounds_a_body_has_an_end_too(transport, message, peer, head, piece):
    sent = []

    def flood(connection: socket.socket, request: bytes) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(piece)
            sent.append(len(piece))

    reply = transport.send(message, endpoint_at(peer(flood).url, timeout=5))
    assert (reply.error, reply.body) == ("the answer is not proper HTTP", b"")
    assert sum(sent) < 32_000_000  # the rest is in the sockets' buffers


def test_a_body_in_chunks_of_one_byte_is_read(transport, message, peer):
    body = b"1\r\nx\r\n" * 100_000
    reply = transport.send(message, endpoint_at(peer(_CHUNKED + body + b"0\r\n\r\n").url, timeout=5))
    assert (len(reply.body), reply.error) == (100_000, None)


def test_a_body_of_exactly_the_limit_is_read(transport, message, peer):
    receiver = peer(answer("200 OK", b"x" * LARGEST_ANSWER))
    reply = transport.send(message, endpoint_at(receiver.url, timeout=2))
    assert (len(reply.body), reply.error) == (LARGEST_ANSWER, None)


def test_a_connection_with_an_unread_rest_is_not_used_again(transport, message, peer):
    answers = iter([answer("200 OK", b"x" * (LARGEST_ANSWER + 200_000)), answer("200 OK", b"next")])
    receiver = peer(lambda connection, request: connection.sendall(next(answers)))
    endpoint = endpoint_at(receiver.url, timeout=2)
    assert transport.send(message, endpoint).error == TOO_LONG
    assert transport.send(message, endpoint).body == b"next"
    assert receiver.connections == 2


def test_the_endless_body_of_a_redirect_is_not_read_either(transport, message, peer):
    def flood(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /there\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    reply = transport.send(message, endpoint_at(peer(flood).url, timeout=2))
    assert (reply.status, reply.taken, reply.error) == (302, False, TOO_LONG)


def test_a_compressed_answer_is_not_unpacked(transport, message, peer):
    receiver = peer(answer("200 OK", compress(b"0" * 10_000_000), "Content-Encoding: gzip"))
    reply = transport.send(message, endpoint_at(receiver.url))
    assert (reply.taken, reply.error, reply.body) == (True, COMPRESSED, b"")


def reset(connection: socket.socket, request: bytes) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_a_reset_after_the_body_was_read_is_a_fault_of_the_network(transport, message, peer):
    receiver = peer(reset)
    reply = transport.send(message, endpoint_at(receiver.url))
    assert (reply.status, reply.taken, reply.error) == (None, False, "the connection was broken off")
    assert len(receiver.requests) == 1


def test_a_close_without_answer_is_said_so_and_not_tried_again(transport, message, peer):
    receiver = peer(lambda connection, request: connection.close())
    reply = transport.send(message, endpoint_at(receiver.url))
    assert reply.error == "the receiver closed the connection without an answer"
    assert len(receiver.requests) == 1


def test_an_answer_shorter_than_it_says_is_no_body(transport, message, peer):
    def half(connection: socket.socket, request: bytes) -> None:
        connection.sendall(answer("503 Later", b"half", length=400))
        connection.close()

    reply = transport.send(message, endpoint_at(peer(half).url))
    assert (reply.status, reply.body) == (503, b"")
    assert reply.error == "the answer broke off before its end"


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 4\nX-Folded: a\n b\n\ndone",
        b"HTTP/1.1 200\r\nContent-Length: 4\r\n\r\ndone",
        b"HTTP/1.1 100 Continue\r\nRetry-After: 9\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\ndo\r\n2\r\nne\r\n0\r\nX: y\r\n\r\n",
    ],
)
def test_an_answer_as_old_or_odd_peers_write_it_is_read(transport, message, peer, raw):
    receiver = peer(lambda connection, request: connection.sendall(raw))
    endpoint = endpoint_at(receiver.url)
    for _ in range(2):
        reply = transport.send(message, endpoint)
        assert (reply.status, reply.body, reply.error, reply.retry_after) == (200, b"done", None, None)
    assert receiver.connections == 1


def test_an_answer_without_length_ends_with_its_connection(transport, message, peer):
    def old(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nall of it")
        connection.close()

    receiver = peer(old)
    for _ in range(2):
        reply = transport.send(message, endpoint_at(receiver.url))
        assert (reply.status, reply.body, reply.error) == (200, b"all of it", None)
    assert receiver.connections == 2


def test_what_follows_an_answer_does_not_become_the_next_one(transport, message, peer):
    forged = answer("200 OK", b"forged")
    receiver = peer(answer("503 Later", b"no") + forged)
    replies = [transport.send(message, endpoint_at(receiver.url)) for _ in range(2)]
    assert [reply.status for reply in replies] == [503, 503]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\xff\xfe not HTTP at all\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabc",
    ],
)
def test_what_is_not_http_is_said_to_be_so(transport, message, peer, garbage):
    def babble(connection: socket.socket, request: bytes) -> None:
        connection.sendall(garbage)
        connection.close()

    reply = transport.send(message, endpoint_at(peer(babble).url))
    assert (reply.taken, reply.error) == (False, "the answer is not proper HTTP")


def test_a_garbage_body_is_handed_on_as_it_is(transport, message, peer):
    receiver = peer(answer("200 OK", b"\x00\xff{<", "Content-Type: \xe6"))
    reply = transport.send(message, endpoint_at(receiver.url))
    assert (reply.taken, reply.body, reply.error) == (True, b"\x00\xff{<", None)
    assert not is_duplicate(replace(reply, status=409))


def test_after_every_fault_the_next_message_goes_through(transport, message, peer):
    faults = iter([b"nonsense\r\n\r\n", answer("200 OK", b"x", length=9), None, answer("200 OK", b"fine")])

    def behave(connection: socket.socket, request: bytes) -> None:
        fault = next(faults)
        if fault is None:
            reset(connection, request)
        else:
            connection.sendall(fault)

    endpoint = endpoint_at(peer(behave).url, timeout=0.1)
    assert [bool(transport.send(message, endpoint).error) for _ in range(4)] == [True, True, True, False]


# --- addresses, credentials, TLS --------------------------------------------------------------------------


def test_nobody_listening_is_said_so(transport, message):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    reply = transport.send(message, endpoint_at(f"http://127.0.0.1:{port}/"))
    assert reply.status is None
    assert str(reply.error).startswith("nobody listens at the receiver's address; ")


@pytest.mark.parametrize("address", ["", "årdal", "http://", "ftp://127.0.0.1/", "http://127.0.0.1:x/"])
def test_an_unusable_address_is_a_reply_too(transport, message, address):
    assert transport.send(message, endpoint_at(address)).error == UNUSABLE


@pytest.mark.parametrize("token", ["two\r\nlines", "☃"])
def test_an_unusable_token_is_a_reply_too(transport, message, peer, token):
    receiver = peer(answer())
    assert transport.send(message, endpoint_at(receiver.url, token=token)).error == UNUSABLE
    assert receiver.connections == 0


def test_no_error_shows_the_query_or_the_token(transport, message, peer):
    receiver = peer(reset)
    endpoint = endpoint_at(f"{receiver.url}/?key=s3cret", token="t0ken")
    text = repr(transport.send(message, endpoint))
    assert "s3cret" not in text
    assert "t0ken" not in text


def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    context.load_verify_locations(CERTIFICATE)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_over_tls_both_sides_show_their_certificate(transport, message, peer):
    receiver = peer(answer("200 OK", b"{}"), tls())
    shown = (str(CERTIFICATE), str(CERTIFICATE))
    trusted = endpoint_at(receiver.url, trust=str(CERTIFICATE), client_certificate=shown, timeout=2)
    assert [transport.send(message, trusted).body for _ in range(2)] == [b"{}"] * 2
    anonymous = replace(trusted, client_certificate=None)
    assert not transport.send(message, anonymous).taken
    assert len(receiver.requests) == 2


def test_a_certificate_that_nobody_trusts_is_refused(transport, message, peer):
    receiver = peer(answer(), tls())
    reply = transport.send(message, endpoint_at(receiver.url, timeout=2))
    assert reply.error == "the receiver's certificate is not trusted; correct `trust`"
    assert receiver.requests == []


def test_drops_over_tls_are_cut_off_too(transport, message, peer):
    receiver = peer(drip(b"HTTP/1.1 503 Later\r\n\r\n", b"x"), tls())
    shown = (str(CERTIFICATE), str(CERTIFICATE))
    endpoint = endpoint_at(receiver.url, trust=str(CERTIFICATE), client_certificate=shown, timeout=0.15)
    started = time.perf_counter()
    assert transport.send(message, endpoint).error == "no complete answer within 0.15 s"
    assert time.perf_counter() - started < 0.6


def test_a_missing_certificate_file_is_said_so(transport, message, peer):
    receiver = peer(answer(), tls())
    endpoint = endpoint_at(receiver.url, client_certificate=("missing.pem", "missing.pem"))
    assert transport.send(message, endpoint).error == (
        "a certificate or key file of the endpoint cannot be read; correct its path"
    )
