"""What the process says beside its own lines: one form, and nothing that libraries fill in."""

import logging
import socket
import threading
import warnings
from io import StringIO
from urllib.parse import urlsplit

import orjson
import pytest
import structlog

from adapter.runtime import set_up_logs
from tests.conftest import StandingClock
from tests.web.conftest import site

NUMBER = "21843012660"


@pytest.fixture
def said():
    """The log of this process, set up as the command line does; everything is put back afterwards."""
    root, ended, warned, stream = (
        logging.getLogger(),
        threading.excepthook,
        warnings.showwarning,
        StringIO(),
    )
    before = root.handlers[:]
    set_up_logs(stream)
    yield lambda: [orjson.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers, threading.excepthook, warnings.showwarning = before, ended, warned
    structlog.reset_defaults()


def test_what_a_library_says_is_a_line_of_json_without_what_it_fills_in(said):
    logging.getLogger("apscheduler").warning("Failed to parse headers (url=%s)", f"http://x/{NUMBER}")
    try:
        raise ValueError(NUMBER)
    except ValueError as error:
        logging.getLogger("uvicorn.error").exception(f"Exception in ASGI application\n{NUMBER}")
        logging.getLogger("uvicorn.error").error(error)
    lines = said()
    assert [line["event"] for line in lines] == [
        "Failed to parse headers (url=%s)",
        "Exception in ASGI application",
        "ValueError",
    ]
    assert [line["level"] for line in lines] == ["warning", "error", "error"]
    assert (lines[1]["error"], lines[1]["logger"]) == ("ValueError", "uvicorn.error")
    assert "test_runtime.py:" in lines[1]["at"]
    assert NUMBER not in str(lines)


def test_an_ended_thread_does_not_say_what_it_was_about(said):
    def end():
        raise ValueError(NUMBER)

    thread = threading.Thread(target=end, name="deliver")
    thread.start()
    thread.join()
    (line,) = said()
    assert (line["event"], line["thread"], line["error"]) == ("a thread has ended", "deliver", "ValueError")
    assert NUMBER not in str(line)


def test_the_servers_own_words_are_in_the_same_form(said, tmp_path):
    with site(tmp_path, StandingClock()) as found:
        place = urlsplit(found.url)
        with socket.create_connection((place.hostname, place.port), timeout=5) as peer:
            peer.sendall(f"nonsense {NUMBER}\r\n\r\n".encode())
            assert b" 400 " in peer.recv(1000)
    lines = [line for line in said() if line.get("logger") == "uvicorn.error"]
    assert [line["event"] for line in lines] == ["Invalid HTTP request received."]
    assert NUMBER not in str(lines)


def test_setting_up_twice_says_everything_once(said):
    set_up_logs(stream := StringIO())
    logging.getLogger("uvicorn.error").warning("once")
    assert stream.getvalue().count("once") == 1


def test_a_warning_says_its_kind_and_place_only(said):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        set_up_logs(stream := StringIO())
        warnings.warn(NUMBER, UserWarning, stacklevel=1)
    line = orjson.loads(stream.getvalue())
    assert (line["event"], line["warning"]) == ("a library warns", "UserWarning")
    assert "test_runtime.py:" in line["at"]
