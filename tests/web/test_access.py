"""Sessions, who has looked, emergency access, and what a browser is told."""

import csv
import io
import re
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import requests
from fhir.resources.R4B.auditevent import AuditEvent
from lxml import html
from sqlalchemy import select

from adapter.cases import pseudonym
from adapter.config.people import SessionSettings
from adapter.discharge.notices import NoticeKind
from adapter.fhir.auditing import audit_event
from adapter.fhir.wire import parse, to_json
from adapter.messaging.people import Person, Role
from adapter.store import protections, tables
from adapter.web.access import SHORTEST_REASON
from adapter.web.sign_in import way
from tests.conftest import OSLO, StandingClock
from tests.people import AUDITOR, LUSTER, OPERATOR, SHARED, SOGNDAL, WARD, people_file
from tests.plan_fixtures import protect
from tests.stage import SYNNOVE
from tests.web.conftest import Site, receipting, site

NUMBER = "21843012660"
WHY = "Unconscious, brought by ambulance"
ENGLISH = {"Accept-Language": "en"}
EVERYBODY = (WARD, LUSTER, SOGNDAL, OPERATOR, AUDITOR, SHARED)


@pytest.fixture
def clock():
    return StandingClock(datetime(2014, 3, 3, 10, 0, tzinfo=OSLO))


@pytest.fixture
def place(tmp_path, clock):
    """Synnøve is in hospital; Sogndal has been told of it, Luster has not."""
    with site(tmp_path, clock, people=EVERYBODY) as found:
        stage = found.stage
        done = stage.receive(stage.message(NoticeKind.ADMITTED, receivers=("sogndal",)), channel="http")
        assert done.outcome == "accepted"
        yield found


def page(answer: requests.Response):
    return html.fromstring(answer.content)


def words(answer: requests.Response) -> str:
    return " ".join(" ".join(page(answer).xpath("//main")[0].itertext()).split())


def looks_of(place: Site) -> list[dict]:
    return [row for row in place.stage.rows(tables.fhir_access) if row["person"] is not None]


def patient(place: Site) -> str:
    return pseudonym(place.stage.built.inbox.pseudonym_key, SYNNOVE)


# --- sessions ---------------------------------------------------------------------------------------------


def test_the_store_does_not_have_the_cookie(place):
    with place.stage.built.store.read() as tx:
        rows = tx.execute(select(tables.session)).mappings().all()
    cookie = place.cookies["session"]
    assert all(cookie.encode() not in bytes(row["sha256"]) for row in rows)
    assert all(cookie not in row["about"] for row in rows)


def test_a_session_ends_when_nobody_uses_it_and_at_the_latest_after_a_day_at_work(tmp_path, clock):
    kept = SessionSettings(idle=timedelta(minutes=30), longest=timedelta(hours=2))
    with site(tmp_path, clock, people=(OPERATOR,), sessions=kept) as found:
        for _ in range(5):
            clock.forward(minutes=20)
            assert found.get("/cases", allow_redirects=False).status_code == 200
        clock.forward(minutes=21)
        assert found.get("/cases", allow_redirects=False).status_code == 303  # two hours have passed
        again = found.seen_by(OPERATOR)
        clock.forward(minutes=29)
        assert again.get("/cases", allow_redirects=False).status_code == 200
        clock.forward(minutes=30)
        assert again.get("/cases", allow_redirects=False).status_code == 303


def test_whoever_signs_in_gets_a_new_cookie_and_the_old_one_is_worth_nothing(place):
    form = {"name": WARD.id, "password": "fjord og fjell"}
    answer = place.post("/sign-in", data=form, allow_redirects=False)
    assert answer.cookies["session"] != place.cookies["session"]
    assert place.get("/emergency", allow_redirects=False).status_code == 303
    planted = requests.post(
        f"{place.url}/sign-in", data=form, cookies={"session": "A" * 43}, allow_redirects=False, timeout=10
    )
    assert planted.cookies["session"] != "A" * 43


def test_signing_out_ends_the_session_and_needs_the_sessions_own_token(place):
    operator = place.seen_by(OPERATOR)
    assert operator.post("/sign-out", data={}, allow_redirects=False).status_code == 403
    other = place.seen_by(AUDITOR).token("/looks")
    assert operator.post("/sign-out", data={"token": other}, allow_redirects=False).status_code == 403
    token = operator.token("/cases")
    crossed = operator.post("/sign-out", data={"token": token}, headers={"Origin": "https://evil.example"})
    assert crossed.status_code == 403
    gone = operator.post("/sign-out", data={"token": token}, allow_redirects=False)
    assert (gone.status_code, gone.headers["Location"]) == (303, "/sign-in")
    assert operator.get("/cases", allow_redirects=False).status_code == 303


def test_a_form_of_an_earlier_session_is_not_taken(place):
    before = place.seen_by(OPERATOR)
    token = before.token("/alarms")
    after = place.seen_by(OPERATOR)
    assert after.post("/alarms/1/seen", data={"token": token}).status_code == 403


@pytest.mark.parametrize(
    "changed",
    [
        (),
        (replace(OPERATOR, roles=frozenset({Role.AUDITOR})),),
        (replace(OPERATOR, name="Another Name"),),
        (replace(OPERATOR, named=False),),
    ],
)
def test_who_is_struck_from_the_file_or_changed_is_out_at_once(place, tmp_path, changed):
    operator, auditor = place.seen_by(OPERATOR), place.seen_by(AUDITOR)
    assert operator.get("/cases", allow_redirects=False).status_code == 200
    others = [person for person in EVERYBODY if person is not OPERATOR]
    people_file(tmp_path / "people.toml", [*others, *changed])
    assert operator.get("/cases", allow_redirects=False).status_code == 303
    assert auditor.get("/looks", allow_redirects=False).status_code == 200
    people_file(tmp_path / "people.toml", EVERYBODY)
    assert operator.get("/cases", allow_redirects=False).status_code == 303  # it does not come back to life


def test_a_new_password_ends_the_sessions_of_the_old_one(place, tmp_path):
    from argon2 import PasswordHasher

    new = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("another")
    people_file(tmp_path / "people.toml", EVERYBODY, new)
    assert place.get("/emergency", allow_redirects=False).status_code == 303
    assert place.post("/sign-in", data={"name": WARD.id, "password": "fjord og fjell"}).status_code == 401


def test_a_people_file_that_is_spoilt_shuts_nobody_out_and_is_told_of(place, tmp_path, capfd):
    (tmp_path / "people.toml").write_text("[[person]]\nid = ")
    assert place.get("/emergency", allow_redirects=False).status_code == 200
    assert "the people file cannot be used" in "".join(capfd.readouterr())


# --- what a browser is told -------------------------------------------------------------------------------


def test_by_https_the_cookie_is_of_this_host_alone_and_http_is_forgotten(tmp_path, clock):
    """Behind a proxy that speaks https: the Host is that of public_url."""
    with site(tmp_path, clock, people=(OPERATOR,), public_url="https://adapter.example") as found:
        behind = {"Host": "adapter.example"}
        form = {"name": OPERATOR.id, "password": "fjord og fjell"}
        answer = requests.post(
            f"{found.url}/sign-in", data=form, headers=behind, allow_redirects=False, timeout=10
        )
        set_to = answer.headers["Set-Cookie"]
        assert re.match(r"__Host-session=[\w-]{43}; HttpOnly; Path=/; SameSite=lax; Secure$", set_to)
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        value = set_to.split("=")[1].split(";")[0]
        for name, status in (("__Host-session", 200), ("session", 303)):
            headers = behind | {"Cookie": f"{name}={value}"}
            got = requests.get(f"{found.url}/cases", headers=headers, allow_redirects=False, timeout=10)
            assert got.status_code == status, name
        plain = requests.get(f"{found.url}/sign-in", timeout=10)
        assert "Strict-Transport-Security" not in plain.headers


def test_every_answer_says_what_a_browser_may_not_do(place):
    nobody = place.seen_by_nobody()
    for answer in (place.get("/emergency"), nobody.get("/sign-in"), nobody.post("/alarms/1/seen")):
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "camera=()" in answer.headers["Permissions-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}])
def test_another_site_signs_nobody_in(place, headers):
    form = {"name": OPERATOR.id, "password": "fjord og fjell"}
    answer = place.seen_by_nobody().post("/sign-in", data=form, headers=headers, allow_redirects=False)
    assert answer.status_code == 403
    assert "session" not in answer.cookies


def test_the_language_is_chosen_and_leads_back(place):
    nobody = place.seen_by_nobody()
    form = page(nobody.get("/sign-in?to=/cases")).xpath("//form[@action='/language']")[0]
    to = form.xpath(".//input[@name='to']/@value")[0]
    answer = nobody.post("/language", data={"language": "da", "to": to}, allow_redirects=False)
    assert (answer.status_code, answer.cookies["language"]) == (303, "da")
    shown = nobody.get(answer.headers["Location"], cookies={"language": "da"})
    assert "Adgangskode" in shown.text
    assert "language" not in nobody.post("/language", data={"language": "xx"}, allow_redirects=False).cookies


@pytest.mark.parametrize(
    ("to", "leads"),
    [
        ("/cases?patient=P234", "/cases?patient=P234"),
        ("", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\r\nSet-Cookie: x=y", "/"),
        ("/sign-out", "/"),
        ("/" + "x" * 600, "/"),
        (f"/deliveries?patient={NUMBER}", "/deliveries"),
        (f"/cases/{NUMBER}", "/"),
        ("/cases?x=19391110-2383", "/cases"),
        ("/cases?x=391110%2D2383", "/cases"),
    ],
)
def test_a_way_on_stays_within_and_repeats_no_identity_number(to, leads):
    assert way(to) == leads


# --- where each begins, and what stands at the top --------------------------------------------------------


@pytest.mark.parametrize(
    ("person", "start"),
    [(WARD, "/ward"), (LUSTER, "/municipality"), (AUDITOR, "/looks"), (SHARED, "/ward")],
)
def test_everybody_begins_where_their_work_is(place, person, start):
    assert place.seen_by(person).get("/", allow_redirects=False).headers["Location"] == start


def test_the_top_says_who_has_signed_in_and_tells_care_staff_no_alarms(place):
    top = place.seen_by(LUSTER).get("/emergency", headers=ENGLISH)
    assert "Kari Bø" in top.text and "Municipality" in top.text and 'action="/sign-out"' in top.text
    assert "alarm-count" not in top.text
    assert "alarm-count" in place.seen_by(OPERATOR).get("/cases").text


# --- who has looked ---------------------------------------------------------------------------------------


def test_each_look_at_a_patient_is_written_down_and_becomes_a_valid_audit_event(place):
    operator = place.seen_by(OPERATOR)
    for path in ("/cases/1", "/cases/1/why", "/messages/1", "/deliveries/1"):
        assert operator.get(path).status_code == 200
    rows = looks_of(place)
    assert [row["page"] for row in rows] == [
        "/cases/{id}", "/cases/{id}/why", "/messages/{id}", "/deliveries/{id}",
    ]  # fmt: skip
    assert {(r["person"], r["name"], r["role"], r["what"]) for r in rows} == {
        (OPERATOR.id, OPERATOR.name, "operations", "view")
    }
    assert {row["patient"] for row in rows} == {patient(place)}
    event = audit_event(rows[0])
    assert AuditEvent.model_validate(event)
    assert event["agent"][0]["who"] == {"identifier": {"value": "marta"}, "display": "Marta Vik"}
    assert event["action"] == "R" and "purposeOfEvent" not in event


def test_a_look_at_nobody_or_at_what_is_not_there_is_not_written_down(place):
    operator = place.seen_by(OPERATOR)
    for path in ("/cases", "/", "/alarms", "/cases/99", "/deliveries/99"):
        operator.get(path)
    place.seen_by(LUSTER).get("/cases/1")
    assert looks_of(place) == []


def test_what_is_done_is_written_down_with_what_it_is_about(place):
    operator = place.seen_by(OPERATOR)
    form = {"token": operator.token("/cases/1"), "name": ""}
    assert operator.post("/cases/1/followed-up", data=form, allow_redirects=False).status_code in (303, 400)
    done = [row for row in looks_of(place) if row["what"] == "act"]
    assert len(done) <= 1  # a refused form has done nothing
    assert all(row["page"] == "/cases/{id}/followed-up" for row in done)


def test_a_page_whose_look_cannot_be_written_down_is_not_shown(place):
    operator = place.seen_by(OPERATOR)
    with place.stage.built.store.engine.execution_options(writes=True).begin() as connection:
        connection.exec_driver_sql("ALTER TABLE fhir_access RENAME TO gone")
    answer = operator.get("/cases/1")
    assert answer.status_code == 503
    assert patient(place) not in answer.text


def test_an_auditor_finds_looks_by_person_patient_day_and_number(place, clock):
    place.seen_by(OPERATOR).get("/cases/1")
    clock.forward(days=1)
    place.seen_by(SOGNDAL).get("/stays/1")
    auditor = place.seen_by(AUDITOR)

    def shown(query: str) -> list[str]:
        tree = page(auditor.get(f"/looks?{query}", headers=ENGLISH))
        return [" ".join(" ".join(row.itertext()).split()) for row in tree.xpath("//tbody/tr")]

    assert len(shown("")) == 2
    assert ["Ola Eide" in row for row in shown("person=ola")] == [True]
    assert ["Marta Vik" in row for row in shown("person=Marta+Vik")] == [True]
    assert ["Marta Vik" in row for row in shown("until=2014-03-03")] == [True]
    assert ["Ola Eide" in row for row in shown("from=2014-03-04&until=2014-03-04")] == [True]
    assert shown("person=nobody") == [] == shown("emergency=1")
    assert len(shown(f"patient={patient(place)}")) == 2
    answer = auditor.post("/looks/search", data={"token": auditor.token("/looks"), "number": NUMBER})
    assert answer.url.endswith(f"/looks?patient={patient(place)}")
    assert NUMBER not in answer.text
    (asked,) = [row for row in looks_of(place) if row["page"] == "/looks/search"]
    assert (asked["person"], asked["patient"]) == (AUDITOR.id, patient(place))
    for query in (f"patient={NUMBER}", "from=yesterday", "until=2014-02-30"):
        bad = auditor.get(f"/looks?{query}", headers=ENGLISH)
        assert page(bad).xpath("//*[@role='alert']") and not page(bad).xpath("//tbody")
        assert NUMBER not in bad.text
    assert auditor.get("/looks?until=9999-12-31").status_code == 200
    wrong = auditor.post("/looks/search", data={"token": auditor.token("/looks"), "number": "1"})
    assert wrong.status_code == 400


def test_looks_are_paged_and_taken_away_as_csv_without_formulas(place, tmp_path):
    hostile = Person(
        id="x", name="=cmd|'/c calc'!A1", roles=frozenset({Role.OPERATIONS}), parties=None, named=True
    )
    people_file(tmp_path / "people.toml", [*EVERYBODY, hostile])
    operator = place.seen_by(hostile)
    for _ in range(52):
        operator.get("/cases/1")
    auditor = place.seen_by(AUDITOR)
    first = page(auditor.get("/looks"))
    assert len(first.xpath("//tbody/tr")) == 50
    (older,) = first.xpath("//a[contains(@href, 'before=')]/@href")
    assert len(page(auditor.get(older)).xpath("//tbody/tr")) == 2
    answer = auditor.get("/looks.csv", headers=ENGLISH)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["Content-Disposition"]
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows[0] == ["Time", "Who", "Identifier", "Role", "What", "Page", "Patient", "Reason"]
    assert len(rows) == 53
    assert rows[1][0] == "2014-03-03T10:00:00+01:00"
    assert rows[1][1].startswith("'=cmd") and rows[1][6] == patient(place)


# --- emergency access -------------------------------------------------------------------------------------


def opened(found: Site, number: str = NUMBER, why: str = WHY, **more: object) -> requests.Response:
    form = {"token": found.token("/emergency"), "number": number, "why": why}
    return found.post("/emergency", data=form, headers=ENGLISH, **more)


def test_emergency_access_opens_one_patient_for_a_while_and_each_look_says_why(place, clock):
    luster = place.seen_by(LUSTER)
    assert luster.get("/stays/1").status_code == 404
    answer = opened(luster)
    assert answer.status_code == 200
    assert page(answer).xpath("//a[@href='/stays/1']")
    assert "Emergency access to a patient until 11:00" in answer.text
    assert NUMBER not in answer.text
    assert luster.get("/stays/1").status_code == 200
    assert "Emergency access to a patient" in luster.get("/stays/1", headers=ENGLISH).text
    for row in looks_of(place):
        assert (row["person"], row["why"], row["patient"]) == (LUSTER.id, WHY, patient(place))
        event = audit_event(row)
        assert AuditEvent.model_validate(event)
        assert event["purposeOfEvent"][0]["coding"][0]["code"] == "BTG"
        assert event["purposeOfEvent"][0]["text"] == WHY
    assert {"emergency", "view"} == {row["what"] for row in looks_of(place)}
    assert place.seen_by(SOGNDAL).get("/emergency", headers=ENGLISH).text.count("Open until") == 0
    clock.forward(minutes=60)
    assert luster.get("/stays/1").status_code == 404
    assert "Emergency access to a patient" not in luster.get("/emergency", headers=ENGLISH).text


def test_emergency_access_is_for_reading(place):
    luster = place.seen_by(LUSTER)
    opened(luster)
    before = len(place.stage.rows(tables.fact))
    token = luster.token("/emergency")
    for path in ("/stays/1/answer", "/stays/1/seen", "/cases/1/followed-up"):
        assert luster.post(path, data={"token": token, "say": "not-known"}).status_code in (400, 403, 404)
    assert len(place.stage.rows(tables.fact)) == before


def test_emergency_access_can_be_ended_by_whoever_has_it_and_nobody_else(place):
    luster, sogndal = place.seen_by(LUSTER), place.seen_by(SOGNDAL)
    opened(luster)
    end = "/emergency/1/end"
    assert sogndal.post(end, data={"token": sogndal.token("/emergency")}).status_code == 404
    assert luster.get("/stays/1").status_code == 200
    assert luster.post(end, data={"token": luster.token("/emergency")}).status_code == 200
    assert luster.get("/stays/1").status_code == 404


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (NUMBER, ""),
        (NUMBER, f"Unconscious: {NUMBER}"),
        (NUMBER, "x" * (SHORTEST_REASON - 1)),
        (NUMBER, " " * 50),
        ("1", WHY),
        ("", WHY),
    ],
)
def test_emergency_access_needs_a_reason_and_a_number(place, number, why):
    answer = opened(place.seen_by(LUSTER), number, why)
    assert answer.status_code == 400
    assert page(answer).xpath("//*[@aria-invalid='true']")
    assert place.stage.rows(tables.emergency) == []


def test_emergency_access_tells_an_account_of_several_people_nothing_of_a_protected_identity(place, tmp_path):
    """Not even at which hospital somebody is who must not be found."""
    stage = place.stage
    bundle = parse(stage.message(NoticeKind.ADMITTED, receivers=("sogndal",)))
    protect(bundle)
    assert stage.receive(to_json(bundle), channel="http").outcome == "accepted"
    stage.built.inbox.shelves.catch_up()
    several = replace(LUSTER, named=False)
    people_file(tmp_path / "people.toml", [several, *(p for p in EVERYBODY if p is not LUSTER)])
    luster = place.seen_by(several)
    answer = opened(luster)
    assert "Nothing is known here of a patient with this number." in words(answer)
    assert "sjukehus" not in words(answer).casefold()
    assert luster.get("/stays/1").status_code == 404
    assert len(place.stage.rows(tables.emergency)) == 1


@pytest.mark.parametrize("who", [OPERATOR, AUDITOR])
def test_who_keeps_the_messages_going_reads_nothing_of_a_protected_identity(place, who):
    stage = place.stage
    bundle = parse(stage.message(NoticeKind.ADMITTED, receivers=("sogndal",)))
    protect(bundle)
    assert "Fjellheim" in place.seen_by(who).get("/messages/1").text
    assert stage.receive(to_json(bundle), channel="http").outcome == "accepted"
    stage.built.inbox.shelves.catch_up()
    (last, *_) = sorted((d["id"] for d in stage.rows(tables.delivery)), reverse=True)
    for path in ("/messages/1", "/messages/2", f"/deliveries/{last}"):
        found = place.seen_by(who).get(path, headers=ENGLISH)
        assert found.status_code == 200
        assert "Fjellheim" not in found.text and NUMBER not in found.text
        assert "are for named staff only." in found.text


def test_what_a_receiver_says_of_somebody_with_a_protected_identity_is_not_shown_either(place):
    stage = place.stage
    stage.post.answer = receipting
    bundle = parse(stage.message(NoticeKind.ADMITTED, receivers=("sogndal",), encounter="LS-7"))
    protect(bundle)
    assert stage.receive(to_json(bundle), channel="http").outcome == "accepted"
    stage.built.inbox.shelves.catch_up()
    stage.deliver()
    last = max(d["id"] for d in stage.rows(tables.delivery) if d["accepted_at"] is not None)
    found = page(place.seen_by(OPERATOR).get(f"/deliveries/{last}", headers=ENGLISH))
    (said,) = found.xpath("//*[@id='delivery-receipts']//pre")
    assert "are for named staff only." in said.text_content()
    assert "MessageHeader" not in said.text_content()
    (receipt,) = found.xpath("//*[@id='delivery-receipts']//a/@href")
    assert "MessageHeader" not in place.seen_by(OPERATOR).get(receipt, headers=ENGLISH).text


# --- a protection stands until it is lifted ---------------------------------------------------------------


def hidden_once(place, receiver: str = "sogndal") -> None:
    """A message tells of a protected identity, and a later one, from elsewhere, says nothing of it."""
    bundle = parse(place.stage.message(NoticeKind.ADMITTED, receivers=(receiver,), encounter="LS-7"))
    protect(bundle)
    assert place.stage.receive(to_json(bundle), channel="http").outcome == "accepted"
    later = place.stage.message(NoticeKind.CARE_NEEDS, receivers=(receiver,), encounter="LS-7", text="Stol")
    assert place.stage.receive(later, channel="http").outcome == "accepted"
    place.stage.built.inbox.shelves.catch_up()


def last_case(place) -> int:
    return max(row["id"] for row in place.stage.rows(tables.case))


def shown_to(place, who: Person) -> str:
    return words(place.seen_by(who).get(f"/stays/{last_case(place)}", headers=ENGLISH))


def lifted(place, who: Person, what: str = "lift-protection", why: str = "The register says so."):
    found = place.seen_by(who)
    path = f"/cases/{last_case(place)}"
    data = {"token": found.token(path if who is not WARD else "/emergency"), "why": why}
    return found.post(f"{path}/{what}", data=data, headers=ENGLISH)


def test_a_message_that_says_nothing_of_a_protection_does_not_lift_it(place):
    hidden_once(place)
    assert "The identity is protected." in shown_to(place, SOGNDAL)
    for row in place.stage.rows(tables.message):
        assert "Fjellheim" not in place.seen_by(OPERATOR).get(f"/messages/{row['id']}").text


def test_a_protection_holds_from_the_moment_that_it_is_told(place):
    bundle = parse(place.stage.message(NoticeKind.CARE_NEEDS, receivers=("sogndal",)))
    protect(bundle)
    assert place.stage.receive(to_json(bundle), channel="http").outcome == "accepted"
    with place.stage.built.store.read() as tx:  # before anything lies on a shelf
        assert protections.is_protected(tx, pseudonym(place.stage.built.inbox.pseudonym_key, SYNNOVE))


@pytest.mark.parametrize("who", [OPERATOR, AUDITOR])
def test_a_person_lifts_a_protection_with_a_reason_that_stands_in_the_history(place, who):
    hidden_once(place)
    assert lifted(place, who, why=" ").status_code == 400
    assert lifted(place, who, why=f"She is {NUMBER}").status_code == 400
    assert "The identity is protected." in shown_to(place, SOGNDAL)
    done = lifted(place, who)
    assert done.status_code == 200
    assert f"Lifted by {who.name}" in words(done) and "The register says so." in words(done)
    assert "The identity is protected." not in shown_to(place, SOGNDAL)
    (note,) = [n for n in place.stage.rows(tables.history) if "protection" in n["what"]]
    assert (note["by"], note["what"]) == (
        who.name,
        "the protection of the identity was lifted: The register says so.",
    )
    assert lifted(place, who).status_code == 400  # once


def test_what_was_lifted_in_error_is_put_back_and_a_new_message_puts_it_back_too(place, clock):
    hidden_once(place)
    assert lifted(place, OPERATOR).status_code == 200
    assert lifted(place, AUDITOR, "protect-again", "Wrong patient.").status_code == 200
    assert "The identity is protected." in shown_to(place, SOGNDAL)
    assert lifted(place, AUDITOR, "protect-again", "Again.").status_code == 400
    clock.forward(minutes=1)
    assert lifted(place, OPERATOR).status_code == 200
    clock.forward(minutes=1)
    hidden_once(place)
    assert "The identity is protected." in shown_to(place, SOGNDAL)


def test_nobody_else_lifts_a_protection_and_no_account_of_several_people_does(place, tmp_path):
    hidden_once(place)
    assert lifted(place, WARD).status_code == 403
    several = replace(OPERATOR, named=False)
    people_file(tmp_path / "people.toml", [several, *(p for p in EVERYBODY if p is not OPERATOR)])
    answer = lifted(place, several)
    assert answer.status_code == 400
    assert "Sign in with an account of your own" in words(answer)
    assert "lift-protection" not in place.seen_by(several).get(f"/cases/{last_case(place)}").text


def test_a_number_of_which_nothing_is_known_is_recorded_like_any_other(place):
    answer = opened(place.seen_by(LUSTER), "05882954384")
    assert "Nothing is known here of a patient with this number." in words(answer)
    assert len(place.stage.rows(tables.emergency)) == 1


def test_an_auditor_reviews_each_emergency_access_once_and_nobody_their_own(place, tmp_path, clock):
    both = replace(AUDITOR, roles=frozenset({Role.AUDITOR, Role.MUNICIPALITY}), parties=("luster",))
    people_file(tmp_path / "people.toml", [both, *(p for p in EVERYBODY if p is not AUDITOR)])
    opened(place.seen_by(LUSTER))
    auditor = place.seen_by(both)
    opened(auditor)
    assert "2 emergency accesses wait" in auditor.get("/looks", headers=ENGLISH).text
    token = auditor.token("/emergencies")

    def review(row: int, **form: str) -> requests.Response:
        return auditor.post(f"/emergencies/{row}/review", data={"token": token} | form, headers=ENGLISH)

    assert review(2, verdict="justified").status_code == 400
    assert review(1, verdict="maybe").status_code == 400
    assert review(1, verdict="not-justified").status_code == 400  # it wants words
    assert review(99, verdict="justified").status_code == 404
    answer = review(1, verdict="not-justified", words="No patient of theirs")
    assert answer.status_code == 200
    assert "Not justified: No patient of theirs Nils Holm" in words(answer)
    assert review(1, verdict="justified").status_code == 400
    assert "1 emergency access waits" in auditor.get("/looks", headers=ENGLISH).text
    assert len(page(auditor.get("/looks?emergency=1")).xpath("//tbody/tr")) >= 2


def test_the_length_of_emergency_access_is_a_setting(tmp_path, clock):
    with site(tmp_path, clock, people=(LUSTER,), emergency_access=timedelta(minutes=5)) as found:
        assert "5 min" in words(found.get("/emergency", headers=ENGLISH))
        opened(found)
        (row,) = found.stage.rows(tables.emergency)
        assert row["until"] - row["since"] == timedelta(minutes=5)
