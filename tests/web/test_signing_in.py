"""Who guesses passwords waits; who has signed in, and the machines, notice nothing of it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import requests

from adapter.discharge.notices import NoticeKind
from adapter.messaging.people import Role
from adapter.web import passwords
from adapter.web.passwords import hash_password, password_matches
from tests.conftest import StandingClock
from tests.people import OPERATOR, PASSWORD, SOGNDAL

from .conftest import TOKENS, site

MARTA = (OPERATOR.id, PASSWORD)
OLA = (SOGNDAL.id, PASSWORD)


@pytest.fixture
def guarded(tmp_path):
    with site(tmp_path, StandingClock(), people=(OPERATOR, SOGNDAL), sign_in=False) as found:
        yield found


@pytest.fixture
def looked(monkeypatch):
    """How often argon2 was asked."""
    whole, times = passwords.password_matches, []
    monkeypatch.setattr(
        passwords, "password_matches", lambda *both: times.append(time.monotonic()) or whole(*both)
    )
    return times


def tried(guarded, name, password):
    form = {"name": name, "password": password}
    return guarded.post("/sign-in", data=form, allow_redirects=False)


def sign_in(guarded, name, password):
    return tried(guarded, name, password).status_code


def test_after_a_few_wrong_passwords_the_next_one_waits_and_longer_each_time(guarded, looked, monkeypatch):
    assert [sign_in(guarded, "marta", f"guess {n}") for n in range(3)] == [401] * 3
    answer = tried(guarded, *MARTA)
    assert answer.status_code == 429  # the right one too: else guessing would go on
    assert answer.headers["Retry-After"] == "1"
    assert "Try again in 1 s." in answer.text
    assert len(looked) == 3
    before = time.monotonic()
    monkeypatch.setattr(passwords, "monotonic", lambda: before + 1.1)
    assert sign_in(guarded, "marta", "guess 4") == 401
    assert tried(guarded, *MARTA).headers["Retry-After"] == "2"
    monkeypatch.setattr(passwords, "monotonic", lambda: before + 4)
    assert sign_in(guarded, *MARTA) == 303
    assert sign_in(guarded, "marta", "guess 5") == 401  # and it begins anew


def test_one_name_waits_and_the_other_does_not(guarded):
    for n in range(3):
        sign_in(guarded, "marta", f"guess {n}")
    assert (sign_in(guarded, *MARTA), sign_in(guarded, *OLA)) == (429, 303)


def test_an_unknown_name_is_told_and_waits_as_a_known_one(guarded, looked):
    assert [sign_in(guarded, "nobody", "x") for _ in range(4)] == [401, 401, 401, 429]
    assert len(looked) == 3


def test_who_has_signed_in_is_known_again_for_a_while_and_nobody_else_is(guarded, looked, monkeypatch):
    assert [sign_in(guarded, *MARTA) for _ in range(5)] == [303] * 5
    assert len(looked) == 1
    assert sign_in(guarded, "nobody", MARTA[1]) == 401
    assert sign_in(guarded, "marta", MARTA[1] + " ") == 401
    assert sign_in(guarded, "marta:fjord", MARTA[1].removeprefix("fjord")) == 401
    before = time.monotonic()
    monkeypatch.setattr(passwords, "monotonic", lambda: before + passwords.REMEMBERED + 1)
    count = len(looked)
    assert sign_in(guarded, *MARTA) == 303
    assert len(looked) == count + 1


def test_who_has_signed_in_is_let_in_while_others_guess_at_the_same_name(guarded):
    assert sign_in(guarded, *MARTA) == 303
    for n in range(5):
        sign_in(guarded, "marta", f"guess {n}")
    assert sign_in(guarded, *MARTA) == 303


@contextmanager
def flood(guarded, guessers):
    """So many clients guess at a name each, for as long as the block runs."""
    stop = threading.Event()

    def guess(number):
        with requests.Session() as session:
            while not stop.is_set():
                form = {"name": f"name {number}", "password": "guess"}
                session.post(f"{guarded.url}/sign-in", data=form, timeout=30)
                stop.wait(0.2)  # so that the flood itself does not take this machine

    with ThreadPoolExecutor(guessers) as pool:
        for number in range(guessers):
            pool.submit(guess, number)
        try:
            time.sleep(0.5)
            yield
        finally:
            stop.set()


def test_guessing_holds_up_neither_messages_nor_health_nor_who_has_signed_in(guarded, monkeypatch):
    assert sign_in(guarded, *MARTA) == 303
    one = threading.Lock()

    def slow(*_):
        with one:
            time.sleep(0.3)

    monkeypatch.setattr(passwords, "password_matches", slow)
    content = guarded.stage.message(NoticeKind.ADMITTED) + b" " * 70_000  # so large that it takes a thread
    headers = {"Authorization": f"Bearer {TOKENS['helse-foerde']}", "Content-Type": "application/fhir+json"}
    with flood(guarded, 60):
        began = time.monotonic()
        assert guarded.get("/readyz").status_code == 200
        assert guarded.post("/fhir/$process-message", data=content, headers=headers).status_code == 200
        assert sign_in(guarded, *MARTA) == 303
        assert time.monotonic() - began < 3


def test_health_is_open_and_so_are_the_metrics_unless_an_operator_must_sign_in(tmp_path):
    (tmp_path / "closed").mkdir()
    for folder, closed in ((tmp_path, False), (tmp_path / "closed", True)):
        people = (OPERATOR, SOGNDAL)
        with site(folder, StandingClock(), people=people, metrics_sign_in=closed) as found:
            assert found.get("/healthz").status_code == found.get("/readyz").status_code == 200
            answer = found.get("/metrics")
            assert answer.status_code == (401 if closed else 200)
            assert ("WWW-Authenticate" in answer.headers) == closed
            assert found.get("/metrics", auth=MARTA).status_code == 200
            assert found.get("/metrics", auth=OLA).status_code == (401 if closed else 200)
            for _ in range(4):
                answer = found.get("/metrics", auth=(OPERATOR.id, "guess"))
            assert answer.status_code == (429 if closed else 200)


def test_a_password_is_kept_as_argon2id_and_only_it_matches():
    kept = hash_password(PASSWORD)
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert password_matches(PASSWORD, kept)
    assert not password_matches(PASSWORD + " ", kept)
    assert not password_matches(PASSWORD, None)
    assert not password_matches("\ud800", kept)


def test_where_everybody_may_come_in_one_click_does(tmp_path):
    with site(tmp_path, StandingClock(), sign_in=False) as found:
        answer = found.get("/cases")
        assert answer.url.endswith("/sign-in?to=/cases")
        for role in Role:
            assert f'name="as" value="{role}"' in answer.text
        came = found.post("/sign-in", data={"as": "operations", "to": "/cases"}, allow_redirects=False)
        assert (came.status_code, came.headers["Location"]) == (303, "/cases")
        assert found.post("/sign-in", data={"as": "king"}).status_code == 401
        assert found.post("/sign-in", data={"as": "primary-care"}).url == f"{found.url}/primary-care"
