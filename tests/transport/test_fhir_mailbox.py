"""Polling a partner's FHIR server: everything once, in order, and nothing for anybody else."""

import json
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from adapter.errors import MailboxError
from adapter.transport import CURSOR, HEAD
from adapter.transport.fhir_rest import FhirMailbox

from .conftest import Notebook, answer, endpoint_at

NOON = datetime(2026, 11, 6, 12, 0, tzinfo=UTC)


def at(minutes: float) -> str:
    return (NOON + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


def resource(kind: str, identity: str, minutes: float = 0, version: str = "1", **content: object) -> dict:
    meta = {"versionId": version, "lastUpdated": at(minutes)}
    return {"resourceType": kind, "id": identity, "meta": meta, **content}


class MunicipalServer:
    """Årdal's FHIR server: searches by _lastUpdated, sorts, pages; and breaks where a test asks it to."""

    def __init__(self, web: HTTPServer) -> None:
        self.web = web
        self.holds: list[dict] = []
        self.included: list[dict] = []
        self.sorts = True
        self.asked: list[Request] = []
        self.broken: dict[str, list[int]] = {}  # path: statuses to answer first
        self.next_page: str | None = None  # where a search that has more to give sends us
        web.expect_request("/fhir/Bundle").respond_with_handler(self.search)
        web.expect_request("/fhir/Task").respond_with_handler(self.search)
        web.expect_request("/fhir/CarePlan").respond_with_handler(self.search)
        web.expect_request("/fhir/page").respond_with_handler(self.search)
        web.expect_request("/fhir/Bundle/" + "m1").respond_with_handler(self.read)
        for n in range(2, 15):
            web.expect_request(f"/fhir/Bundle/m{n}").respond_with_handler(self.read)

    def failing(self, request: Request) -> Response | None:
        self.asked.append(request)
        statuses = self.broken.get(request.path)
        return Response(status=statuses.pop(0)) if statuses else None

    def search(self, request: Request) -> Response:
        if failure := self.failing(request):
            return failure
        kind = request.args.get("kind") or request.path.rsplit("/", 1)[-1]
        since = request.args.get("_lastUpdated", "ge0")[2:]
        found = [r for r in self.holds if r["resourceType"] == kind and r["meta"]["lastUpdated"] >= since]
        if self.sorts:
            found.sort(key=lambda r: r["meta"]["lastUpdated"])
        count, offset = int(request.args["_count"]), int(request.args.get("offset", 0))
        entries = [self.entry(r, "match") for r in found[offset : offset + count]]
        if kind != "Bundle":
            entries += [self.entry(r, "include") for r in self.included]
        page = {"resourceType": "Bundle", "type": "searchset", "entry": entries, "link": []}
        if offset + count < len(found):
            where = f"page?kind={kind}&_lastUpdated=ge{since}&_count={count}&offset={offset + count}"
            page["link"] = [{"relation": "next", "url": self.next_page or where}]
        return Response(json.dumps(page), content_type="application/fhir+json")

    def entry(self, one: dict, mode: str) -> dict:
        url = self.web.url_for(f"/fhir/{one['resourceType']}/{one['id']}")
        return {"fullUrl": url, "resource": one, "search": {"mode": mode}}

    def read(self, request: Request) -> Response:
        if failure := self.failing(request):
            return failure
        identity = request.path.rsplit("/", 1)[-1]
        return Response(
            b'{ "id":"%s", "amount": 72.50 }' % identity.encode(), content_type="application/fhir+json"
        )

    def asked_for(self, path: str) -> int:
        return sum(request.path == path for request in self.asked)


@pytest.fixture
def server(httpserver: HTTPServer) -> MunicipalServer:
    return MunicipalServer(httpserver)


def mailbox(server: MunicipalServer, *types: str, **settings: object) -> FhirMailbox:
    endpoint = endpoint_at(server.web.url_for("/fhir/"), timeout=2.0, token="s3cret")
    given = {"types": types or ("Bundle", "Task", "CarePlan"), "sleep": lambda seconds: None, **settings}
    return FhirMailbox(endpoint, clock=lambda: NOON + timedelta(hours=1), **given)


def fetch(box: FhirMailbox, memory: Notebook) -> list[str]:
    """One poll with every mail accepted; the names."""
    names = []
    for mail in box.poll(memory):
        memory.accept(mail)
        names.append(mail.name)
    return names


# --- what is fetched --------------------------------------------------------------------------------------


def test_a_message_bundle_comes_as_the_bytes_that_the_server_has(server, memory):
    server.holds = [resource("Bundle", "m1")]
    (mail,) = mailbox(server).poll(memory)
    assert (mail.name, mail.key) == ("Bundle/m1", "Bundle/m1/1")
    assert mail.content == b'{ "id":"m1", "amount": 72.50 }'
    assert mail.content_type == "application/fhir+json"
    search = server.asked[0]
    assert search.args["type"] == "message"
    assert search.args["_sort"] == "_lastUpdated"
    assert {request.headers["Authorization"] for request in server.asked} == {"Bearer s3cret"}


def test_a_task_brings_the_resources_that_it_refers_to_and_no_others(server, memory):
    patient, stranger = resource("Patient", "synnove"), resource("Patient", "torbjorn")
    ward = resource("Organization", "ward")
    ward_url = server.web.url_for("/fhir/Organization/ward")
    server.holds = [
        resource(
            "Task",
            "t1",
            **{"for": {"reference": "Patient/synnove/_history/3"}},
            requester={"reference": ward_url},
            owner={"reference": "Organization/elsewhere"},
            partOf=[{"reference": "Task/t1"}],
        )
    ]
    server.included = [stranger, patient, ward]
    (mail,) = mailbox(server, "Task").poll(memory)
    bundle = json.loads(mail.content)
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "collection")
    assert [entry["resource"]["id"] for entry in bundle["entry"]] == ["t1", "synnove", "ward"]
    assert bundle["entry"][0]["fullUrl"].endswith("/Task/t1")
    assert server.asked[0].args.getlist("_include") == [
        "Task:patient",
        "Task:encounter",
        "Task:owner",
        "Task:requester",
    ]


def test_every_type_is_asked_for_and_each_mail_comes_oldest_first(server, memory):
    server.holds = [resource("CarePlan", "c1", -9), resource("Task", "t2", 2), resource("Task", "t1", 1)]
    server.sorts = False
    assert fetch(mailbox(server), memory) == ["Task/t1", "Task/t2", "CarePlan/c1"]
    includes = [r.args.getlist("_include") for r in server.asked if r.path.endswith("CarePlan")]
    paths = ("subject", "encounter", "care-team", "goal", "condition", "activity-reference")
    assert includes == [[f"CarePlan:{path}" for path in paths]]


def test_all_pages_are_read(server, memory):
    server.holds = [resource("Task", f"t{n}", n) for n in range(7)]
    assert fetch(mailbox(server, "Task", count=3), memory) == [f"Task/t{n}" for n in range(7)]


# --- once, and nothing forgotten --------------------------------------------------------------------------


def test_what_was_accepted_does_not_come_again_until_it_changes(server, memory):
    server.holds = [resource("Bundle", "m1"), resource("Task", "t1")]
    box = mailbox(server)
    assert fetch(box, memory) == ["Bundle/m1", "Task/t1"]
    assert fetch(box, memory) == []
    assert server.asked_for("/fhir/Bundle/m1") == 1
    server.holds[1] = resource("Task", "t1", 1, version="2")
    assert fetch(box, memory) == ["Task/t1"]


@pytest.mark.parametrize("meta", [{"lastUpdated": at(0)}, {"lastUpdated": at(0), "versionId": "x" * 999}])
def test_without_a_usable_version_it_is_still_known_again(server, memory, meta):
    server.holds = [{"resourceType": "Task", "id": "t1", "meta": meta}]
    assert fetch(mailbox(server, "Task"), memory) == ["Task/t1"]
    assert fetch(mailbox(server, "Task"), memory) == []
    assert all(len(key) < 100 for key in memory.keys)
    server.holds[0] = {**server.holds[0], "meta": {"lastUpdated": at(1)}}
    assert fetch(mailbox(server, "Task"), memory) == ["Task/t1"]


def test_the_next_poll_asks_from_the_cursor_less_the_overlap(server, memory):
    server.holds = [resource("Task", "t1", -10), resource("Task", "t2", 0)]
    box = mailbox(server, "Task", overlap=timedelta(minutes=2))
    fetch(box, memory)
    fetch(box, memory)
    assert "_lastUpdated" not in server.asked[0].args
    assert server.asked[1].args["_lastUpdated"] == "ge2026-11-06T11:58:00.000Z"


def test_what_the_server_commits_late_is_found_in_the_overlap(server, memory):
    server.holds = [resource("Task", "t2", 0)]
    fetch(mailbox(server, "Task"), memory)
    server.holds.append(resource("Task", "t1", -4))
    assert fetch(mailbox(server, "Task"), memory) == ["Task/t1"]


def test_each_type_has_a_cursor_of_its_own(server, memory):
    server.holds = [resource("Task", "t1", 30), resource("CarePlan", "c1", -30)]
    fetch(mailbox(server), memory)
    assert json.loads(memory.values[CURSOR]) == {
        "CarePlan": "2026-11-06T11:30:00.000Z",
        "Task": "2026-11-06T12:30:00.000Z",
    }
    server.holds.append(resource("CarePlan", "c2", -20))
    assert fetch(mailbox(server), memory) == ["CarePlan/c2"]


def test_a_poll_broken_off_goes_on_where_it_stopped(server, memory):
    server.holds = [resource("Task", f"t{n}", 10 * n) for n in range(4)]
    server.sorts = False
    server.holds.reverse()
    for mail in mailbox(server, "Task").poll(memory):
        if mail.name == "Task/t2":
            break
        memory.accept(mail)
    assert fetch(mailbox(server, "Task"), memory) == ["Task/t2", "Task/t3"]


def test_a_clock_ahead_of_ours_does_not_hide_what_comes_after(server, memory):
    server.holds = [resource("Task", "future", 60 * 24 * 365)]
    fetch(mailbox(server, "Task"), memory)
    server.holds.append(resource("Task", "t1", 61))
    assert fetch(mailbox(server, "Task"), memory) == ["Task/t1"]


def test_a_poll_is_bounded_and_the_next_one_goes_on(server, memory):
    server.holds = [resource("Task", f"t{n}", n / 10) for n in range(10)]
    polls = [fetch(mailbox(server, "Task", count=2, max_pages=2), memory) for _ in range(4)]
    assert [len(poll) for poll in polls] == [4, 4, 2, 0]
    assert [name for poll in polls for name in poll] == [f"Task/t{n}" for n in range(10)]


def test_a_server_that_ignores_sort_loses_nothing_when_the_poll_is_cut(server, memory):
    server.sorts = False
    server.holds = [resource("Task", f"t{n}", 60 - 10 * n) for n in range(6)]
    box = mailbox(server, "Task", count=2, max_pages=2)
    with pytest.raises(MailboxError, match="not sorted"):
        fetch(box, memory)
    assert CURSOR not in memory.values
    assert fetch(box, memory) == ["Task/t5", "Task/t4"]


# --- servers that break -----------------------------------------------------------------------------------


def test_a_passing_fault_is_tried_again_within_the_poll(server, memory):
    waits: list[float] = []
    server.holds = [resource("Bundle", "m1"), resource("Task", "t1")]
    server.broken = {"/fhir/Bundle/m1": [500, 502], "/fhir/Task": [429]}
    assert fetch(mailbox(server, sleep=waits.append), memory) == ["Bundle/m1", "Task/t1"]
    assert waits == [0.5, 1.0, 0.5]


def test_a_server_that_asks_for_time_gets_it_within_bounds(memory, peer):
    waits: list[float] = []
    busy = peer(answer("503 Later", b"", "Retry-After: 3000"))
    box = FhirMailbox(endpoint_at(busy.url), clock=lambda: NOON, sleep=waits.append)
    with pytest.raises(MailboxError, match=r"mailbox årdal: HTTP 503"):
        list(box.poll(memory))
    assert waits == [5.0, 5.0]
    assert len(busy.requests) == 3


def test_a_server_that_is_down_is_an_error_that_says_so(memory, peer):
    gone = peer(b"")
    gone.close()
    box = FhirMailbox(endpoint_at(gone.url), clock=lambda: NOON, sleep=lambda seconds: None)
    with pytest.raises(MailboxError, match="nobody listens"):
        list(box.poll(memory))


def test_one_unreadable_message_holds_the_cursor_but_not_the_others(server, memory):
    server.holds = [resource("Bundle", f"m{n}", 10 * n) for n in (1, 2, 3)]
    server.broken = {"/fhir/Bundle/m2": [500] * 3}
    got = []
    with pytest.raises(MailboxError, match="Bundle/m2 cannot be read: HTTP 500"):
        for mail in mailbox(server, "Bundle").poll(memory):
            memory.accept(mail)
            got.append(mail.name)
    assert got == ["Bundle/m1", "Bundle/m3"]
    assert fetch(mailbox(server, "Bundle"), memory) == ["Bundle/m2"]


def test_many_unreadable_messages_end_the_poll(server, memory):
    server.holds = [resource("Bundle", f"m{n}", n) for n in range(1, 15)]
    server.broken = {f"/fhir/Bundle/m{n}": [403] for n in range(1, 15)}
    with pytest.raises(MailboxError):
        fetch(mailbox(server, "Bundle"), memory)
    assert len(server.asked) == 11


@pytest.mark.parametrize("status", [404, 410])
def test_a_message_deleted_meanwhile_is_passed_over(server, memory, status):
    server.holds = [resource("Bundle", "m1"), resource("Bundle", "m2", 1)]
    server.broken = {"/fhir/Bundle/m1": [status]}
    assert fetch(mailbox(server, "Bundle"), memory) == ["Bundle/m2"]


def test_one_type_that_cannot_be_searched_does_not_stop_the_others(server, memory):
    server.holds = [resource("CarePlan", "c1")]
    server.broken = {"/fhir/Task": [400]}
    got = []
    with pytest.raises(MailboxError, match="the search for Task fails: HTTP 400"):
        got += [
            mail.name
            for mail in mailbox(server, "Task", "CarePlan").poll(memory)
            if not got.append(mail.name)
        ]
    assert got == ["CarePlan/c1"]


def test_a_message_beyond_the_limit_is_handed_on_as_its_head(memory, peer):
    listing = {"resourceType": "Bundle", "entry": [{"resource": resource("Bundle", "m1")}]}

    def behave(connection, request: bytes) -> None:
        big = request.startswith(b"GET /Bundle/m1 ")
        connection.sendall(answer("200 OK", b"x" * 300_000 if big else json.dumps(listing).encode()))

    box = FhirMailbox(
        endpoint_at(peer(behave).url, timeout=2), clock=lambda: NOON, types=("Bundle",), largest=200_000
    )
    (mail,) = box.poll(memory)
    assert mail.content == b"x" * HEAD
    assert mail.oversize is not None
    assert mail.oversize.size is None


# --- servers that lie -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "elsewhere",
    [
        "http://127.0.0.1:9/fhir/page?offset=2",
        "https://localhost/fhir/page",
        "//evil.example/page",
        "http://evil.example\\@{host}/page",
        "http://{host}@evil.example/page",
        "http://årdal:hemmelig@{host}/fhir/page",
        "ftp://{host}/page",
    ],
)
def test_a_next_page_on_another_server_is_refused(server, memory, elsewhere):
    server.holds = [resource("Task", f"t{n}", n) for n in range(3)]
    server.next_page = elsewhere.replace("{host}", f"{server.web.host}:{server.web.port}")
    got = []
    with pytest.raises(MailboxError, match="another server"):
        for mail in mailbox(server, "Task", count=2).poll(memory):
            got.append(mail.name)
    assert got == ["Task/t0", "Task/t1"]
    assert len(server.asked) == 1


def test_pages_that_lead_in_a_circle_come_to_an_end(server, memory):
    server.holds = [resource("Task", f"t{n}", n) for n in range(3)]
    server.next_page = "page?kind=Task&_count=2&offset=0"
    with pytest.raises(MailboxError, match="do not come to an end"):
        list(mailbox(server, "Task", count=2).poll(memory))
    assert len(server.asked) == 2


def test_ever_new_pages_without_anything_new_come_to_an_end(memory, peer):
    counted = Counter()

    def behave(connection, request: bytes) -> None:
        counted["pages"] += 1
        link = [{"relation": "next", "url": f"/Task?page={counted['pages']}"}]
        page = {"resourceType": "Bundle", "entry": [], "link": link}
        connection.sendall(answer("200 OK", json.dumps(page).encode()))

    box = FhirMailbox(endpoint_at(peer(behave).url), clock=lambda: NOON, types=("Task",), max_pages=2)
    with pytest.raises(MailboxError, match="do not come to an end"):
        list(box.poll(memory))
    assert counted["pages"] == 20


@pytest.mark.parametrize("identity", ["..", "../../admin", "a/b", "a?b", "", None, 7 * [1]])
def test_an_id_that_would_leave_its_place_in_the_url_is_not_fetched(server, memory, identity):
    server.holds = [resource("Bundle", "m1"), resource("Bundle", identity, 10), resource("Bundle", "m2", 20)]
    got = []
    with pytest.raises(MailboxError, match="a Bundle has no usable id"):
        for mail in mailbox(server, "Bundle").poll(memory):
            got.append(mail)
    assert [mail.name for mail in got] == ["Bundle/m1", "Bundle/m2"]
    assert [mail.cursor is not None for mail in got] == [True, False]
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    "page",
    [
        b"<Bundle/>",
        b"[]",
        b'{"resourceType":"OperationOutcome"}',
        b'{"resourceType":"Bundle","entry":' + b"[" * 2000,
        b"\xff",
    ],
)
def test_an_answer_that_is_no_search_result_is_an_error(memory, peer, page):
    box = FhirMailbox(
        endpoint_at(peer(answer("200 OK", page)).url),
        clock=lambda: NOON,
        types=("Task",),
        sleep=lambda s: None,
    )
    with pytest.raises(MailboxError, match="not answered with a Bundle"):
        list(box.poll(memory))


@pytest.mark.parametrize(
    "page",
    [
        {"entry": None, "link": "next"},
        {"entry": [None, 7, {"resource": []}, {"resource": {"resourceType": ["Task"]}}]},
        {
            "entry": [{"resource": {"resourceType": "Patient", "id": "x"}}],
            "link": [{"relation": "next", "url": 7}],
        },
    ],
)
def test_odd_shapes_in_a_search_result_are_passed_over(memory, peer, page):
    served = peer(answer("200 OK", json.dumps({"resourceType": "Bundle", **page}).encode()))
    box = FhirMailbox(endpoint_at(served.url), clock=lambda: NOON, types=("Task",))
    assert list(box.poll(memory)) == []


def test_a_resource_of_unreasonable_depth_is_reported_and_the_others_come(memory, peer):
    deep: list = []
    for _ in range(500):
        deep = [deep]
    entries = [{"resource": resource("Task", "t1", note=deep)}, {"resource": resource("Task", "t2", 1)}]
    body = json.dumps({"resourceType": "Bundle", "entry": entries}).encode()
    box = FhirMailbox(endpoint_at(peer(answer("200 OK", body)).url), clock=lambda: NOON, types=("Task",))
    got = []
    with pytest.raises(MailboxError, match="Task/t1 is nested too deeply"):
        for mail in box.poll(memory):
            got.append(mail.name)
    assert got == ["Task/t2"]


POISONED = {
    "fullUrl": '{"fullUrl":DEEP,"resource":{"resourceType":"Task","id":"t1"}}',
    "version": '{"resource":{"resourceType":"Task","id":"t1","meta":{"versionId":DEEP}}}',
    "id": '{"resource":{"resourceType":"Task","id":DEEP}}',
    "type": '{"resource":{"resourceType":DEEP,"id":"t1"}}',
}


@pytest.mark.parametrize("name", POISONED)
def test_a_poisoned_resource_does_not_hold_up_the_others(memory, peer, name):
    poison = POISONED[name].replace("DEEP", "[" * 990 + "]" * 990)
    good = json.dumps({"resource": resource("Task", "t2", 1)})
    body = f'{{"resourceType":"Bundle","entry":[{poison},{good}]}}'.encode()
    box = FhirMailbox(endpoint_at(peer(answer("200 OK", body)).url), clock=lambda: NOON, types=("Task",))
    got = []
    with suppress(MailboxError):
        for mail in box.poll(memory):
            got.append(mail.name)
    assert "Task/t2" in got


@pytest.mark.parametrize(
    "year", ["0001-01-01T00:00:00+00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:00:00-14:00"]
)
def test_a_time_in_which_no_server_stood_moves_no_cursor(server, memory, year):
    odd = resource("Task", "t1") | {"meta": {"versionId": "1", "lastUpdated": year}}
    server.holds = [odd, resource("Task", "t2", 1)]
    assert sorted(fetch(mailbox(server, "Task"), memory)) == ["Task/t1", "Task/t2"]
    assert "0001" not in memory.get(CURSOR)
    assert "9999" not in memory.get(CURSOR)
    assert fetch(mailbox(server, "Task"), memory) == []


def test_a_cursor_that_is_no_time_is_as_none(server, memory):
    memory.put(CURSOR, '{"Task":"0001-01-01T00:00:00.000Z"}')
    server.holds = [resource("Task", "t1")]
    assert fetch(mailbox(server, "Task"), memory) == ["Task/t1"]


def test_a_decimal_comes_as_the_server_wrote_it(memory, peer):
    task = json.dumps({"resource": resource("Task", "t1", amount=5)}).replace(
        '"amount": 5', '"amount": 72.50'
    )
    body = f'{{"resourceType":"Bundle","entry":[{task}]}}'.encode()
    box = FhirMailbox(endpoint_at(peer(answer("200 OK", body)).url), clock=lambda: NOON, types=("Task",))
    assert b'"amount":72.50' in next(box.poll(memory)).content


def test_no_error_shows_query_token_or_content(server, memory):
    server.holds = [resource("Bundle", "m1", note="Synnøve Fjellheim")]
    server.broken = {"/fhir/Bundle/m1": [403], "/fhir/Task": [422], "/fhir/CarePlan": [410]}
    with pytest.raises(MailboxError) as caught:
        list(mailbox(server).poll(memory))
    assert str(caught.value) == (
        "mailbox årdal: Bundle/m1 cannot be read: HTTP 403; the search for Task fails: HTTP 422; "
        "the search for CarePlan fails: HTTP 410"
    )
    assert [fault.key for fault in caught.value.said.values["faults"]] == [
        "{resource} cannot be read: {why}",
        "the search for {kind} fails: {why}",
        "the search for {kind} fails: {why}",
    ]
