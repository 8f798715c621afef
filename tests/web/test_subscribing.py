"""`/fhir/Subscription` over real HTTP: asking to be told, by partners who see their own and nobody else's."""

import re
from pathlib import Path

import orjson
import pytest
import requests
from fhir.resources.R4B.bundle import Bundle as BundleModel
from fhir.resources.R4B.operationoutcome import OperationOutcome
from fhir.resources.R4B.subscription import Subscription as SubscriptionModel

from adapter.config import load_region
from adapter.discharge.notices import NoticeKind
from adapter.errors import ConfigurationError
from adapter.fhir import wire
from adapter.fhir.subscriptions import FILTERS, FOCUS
from adapter.messaging.subscribing import MASK
from adapter.store import tables
from adapter.transport.rest_hook import RestHook
from tests.conftest import StandingClock
from tests.subscriber import as_json, named, parameters, subscriber, wanted

from .conftest import TOKENS, site

ADDRESS = "/fhir/Subscription"
HOSPITAL, LUSTER = TOKENS["helse-foerde"], TOKENS["luster-drift"]
JSON, XML = "application/fhir+json", "application/fhir+xml"


@pytest.fixture(scope="module")
def told():
    with subscriber() as found:
        yield found


@pytest.fixture(scope="module")
def door(tmp_path_factory, told):
    with site(
        tmp_path_factory.mktemp("door"), StandingClock(), public_url="https://adapter.example/"
    ) as found:
        allow(found, told)
        yield found


def allow(found, told):
    """What a region file does with subscription_endpoints; the site has partners of its own."""
    for partner in found.stage.built.register.partners:
        object.__setattr__(partner, "subscription_endpoints", (told.url,))
    transports = {**found.stage.outbox.transports, "rest-hook": RestHook()}
    object.__setattr__(found.stage.outbox, "transports", transports)


@pytest.fixture(autouse=True)
def afresh(door, told):
    """Nobody subscribes, and the receiver has heard nothing."""
    door.stage.write(
        lambda tx: (tx.execute(tables.subscription.delete()), tx.execute(tables.delivery.delete()))
    )
    told.heard.clear()
    told.answers, told.always = [], 200


def ask(door, method, path="", *, content=None, token=LUSTER, media=JSON, **headers):
    given = {"Authorization": f"Bearer {token}"} if token else {}
    if content is not None:
        given["Content-Type"] = media
    named_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.request(
        method, f"{door.url}{ADDRESS}{path}", data=content, headers=given | named_headers, timeout=10
    )


def create(door, told, **more):
    answer = ask(door, "POST", content=as_json(wanted(told, **more)))
    assert answer.status_code == 201, answer.text
    return answer


def active(door, told, **more):
    made = create(door, told, **more).json()
    send(door)
    return made["id"]


def send(door):
    while door.stage.deliver():
        pass


def issue(answer):
    found = orjson.loads(answer.content)
    assert OperationOutcome.model_validate(found)
    (only,) = found["issue"]
    return only


# --- create and read --------------------------------------------------------------------------------------


def test_a_subscription_is_made_and_read_again(door, told):
    made = create(door, told, filters=("EpisodeOfCare?hospital=Organization/laerdal-sjukehus",), heartbeat=60)
    found = made.json()
    here = f"https://adapter.example/fhir/Subscription/{found['id']}"
    assert made.headers["Location"] == here  # which can be read
    assert made.headers["ETag"] == 'W/"1"'
    assert (found["status"], found["reason"]) == ("requested", "To be told")
    assert SubscriptionModel.model_validate(found)
    send(door)
    read = ask(door, "GET", f"/{found['id']}")
    assert read.status_code == 200
    assert read.headers["content-type"].startswith(JSON)
    now = read.json()
    assert now["status"] == "active"
    assert read.headers["ETag"] == f'W/"{now["meta"]["versionId"]}"' != 'W/"1"'
    same = ("criteria", "_criteria", "channel", "reason")
    assert {k: now[k] for k in same} == {k: found[k] for k in same}
    assert told.heard[0].status["subscription"] == {"reference": here}


def test_one_that_only_wants_to_know_that_it_is_made_is_told_no_more(door, told):
    answer = ask(door, "POST", content=as_json(wanted(told)), Prefer="return=minimal")
    assert (answer.status_code, answer.content) == (201, b"")
    assert ask(door, "GET", f"/{answer.headers['Location'].split('/')[-1]}").status_code == 200


def test_it_is_made_and_read_in_xml(door, told):
    xml = SubscriptionModel.model_validate(wanted(told, filters=("patient=P1",))).model_dump_xml()
    xml = xml if isinstance(xml, bytes) else xml.encode()
    made = ask(door, "POST", content=xml, media=XML)
    assert made.status_code == 201, made.text
    assert made.headers["content-type"].startswith(XML)
    model = SubscriptionModel.model_validate_xml(made.content)
    assert model.channel.endpoint == told.url
    read = ask(door, "GET", f"/{model.id}?_format=xml")
    assert b'valueString value="patient=P1"' in read.content
    assert ask(door, "GET", f"/{model.id}", Accept=XML).content == read.content
    assert ask(door, "GET", f"/{model.id}?_format=json", Accept=XML).json()["id"] == model.id


def test_xml_that_says_which_encoding_it_is_in_is_read(door, told):
    body = SubscriptionModel.model_validate(wanted(told, reason="Lærdal")).model_dump_xml()
    text = (body if isinstance(body, str) else body.decode()).removeprefix(
        '<?xml version="1.0" encoding="UTF-8"?>'
    )
    text = text[text.index("<Subscription") :]
    latin = f'<?xml version="1.0" encoding="ISO-8859-1"?>{text}'.encode("latin-1")
    made = ask(door, "POST", content=latin, media=XML, Accept=JSON)
    assert made.json()["reason"] == "Lærdal"


def test_a_header_is_never_read_back(door, told):
    made = create(door, told, headers=("Authorization: Bearer s3cret",))
    assert made.json()["channel"]["header"] == [f"Authorization: {MASK}"]
    name = made.json()["id"]
    for answer in (
        made,
        ask(door, "GET", f"/{name}"),
        ask(door, "GET"),
        ask(door, "GET", f"/{name}/$status"),
    ):
        assert b"s3cret" not in answer.content


# --- refusals ---------------------------------------------------------------------------------------------


def changed(told, **channel):
    made = wanted(told)
    return made | {"channel": made["channel"] | channel}


CRITERIA, CHANNEL = "Subscription.criteria", "Subscription.channel"
UNKNOWN = "not-supported"
REFUSED = {
    "another topic": (lambda t: wanted(t, "births"), 422, UNKNOWN, CRITERIA),
    "a search as criteria": (
        lambda t: wanted(t, criteria="Encounter?status=finished"), 422, UNKNOWN, CRITERIA,
    ),
    "a filter that we have not": (
        lambda t: wanted(t, filters=("ward=4",)), 422, UNKNOWN, f"{CRITERIA}.extension",
    ),
    "a filter about something else": (
        lambda t: wanted(t, filters=("Encounter?patient=P1",)),
        422, UNKNOWN, f"{CRITERIA}.extension",
    ),
    "a filter without value": (
        lambda t: wanted(t, filters=("patient=",)), 422, "value", f"{CRITERIA}.extension",
    ),
    "email": (lambda t: changed(t, type="email"), 422, UNKNOWN, f"{CHANNEL}.type"),
    "plain text": (lambda t: changed(t, payload="text/plain"), 422, UNKNOWN, f"{CHANNEL}.payload"),
    "an address that nobody allowed": (
        lambda t: changed(t, endpoint="https://evil.example/"),
        403, "forbidden", f"{CHANNEL}.endpoint",
    ),
    "everything": (
        lambda t: wanted(t, content="full-resource"), 403, "forbidden", f"{CHANNEL}.payload.extension",
    ),
    "content that there is not": (
        lambda t: wanted(t, content="some"), 422, "code-invalid", f"{CHANNEL}.payload.extension",
    ),
    "a header of the wire": (
        lambda t: wanted(t, headers=("Content-Length: 3",)), 422, UNKNOWN, f"{CHANNEL}.header",
    ),
    "two lines in a header": (
        lambda t: wanted(t, headers=("X-A: b\r\nHost: evil",)),
        422, "value", f"{CHANNEL}.header",
    ),
    "a heartbeat without end": (
        lambda t: wanted(t, heartbeat=0), 422, "value", f"{CHANNEL}.extension",
    ),
    "a time-out beyond a lease": (
        lambda t: wanted(t, timeout=3600), 422, "value", f"{CHANNEL}.extension",
    ),
    "to be active at once": (
        lambda t: wanted(t, status="active"), 422, "business-rule", "Subscription.status",
    ),
    "an end without zone": (lambda t: wanted(t, end="2030-01-01T10:00:00"), None, None, "Subscription.end"),
    "an unknown element": (lambda t: wanted(t, colour="x"), 400, "structure", "Subscription"),
    "no reason": (
        lambda t: {k: v for k, v in wanted(t).items() if k != "reason"},
        400, "structure", "Subscription.reason",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_is_refused_with_the_element(door, told, what):
    make, status, code, element = REFUSED[what]
    answer = ask(door, "POST", content=as_json(make(told)))
    found = issue(answer)
    assert 400 <= answer.status_code < 500
    assert found["expression"][0].startswith(element), found
    if status is not None:
        assert (answer.status_code, found["code"]) == (status, code), found
    assert door.stage.rows(tables.subscription) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"resourceType":"Patient"}',
        b'{"resourceType":"Subscription"}',
        b"<Subscription/>",
        b"<!DOCTYPE a><Subscription xmlns='http://hl7.org/fhir'/>",
        b'{"resourceType":"Subscription","channel":' + b"[" * 3000 + b"]" * 3000 + b"}",
        b'{}},{"resource":{"resourceType":"Patient","id":"x"}',
        b"\xff\xfe\x00",
    ],
)
def test_what_is_no_subscription_is_refused_and_harms_nothing(door, content):
    answer = ask(door, "POST", content=content)
    assert 400 <= answer.status_code < 500, answer.text
    assert issue(answer)["severity"] == "error"


def test_a_body_that_is_neither_json_nor_xml_is_not_read(door, told):
    answer = ask(door, "POST", content=as_json(wanted(told)), media="text/plain")
    assert (answer.status_code, issue(answer)["code"]) == (415, "not-supported")


def test_a_body_beyond_what_any_subscription_needs_is_not_read_on(door):
    answer = ask(door, "POST", content=b"{" + b" " * 70_000)
    assert (answer.status_code, issue(answer)["code"]) == (413, "too-long")


def test_an_outcome_is_in_xml_where_that_is_asked_for(door, told):
    answer = ask(door, "POST", content=as_json(wanted(told, "births")), Accept=XML)
    assert answer.headers["content-type"].startswith(XML)
    assert b'<expression value="Subscription.criteria"' in answer.content


def test_who_has_not_signed_in_is_told_to(door, told):
    for method, path in (("POST", ""), ("GET", ""), ("GET", "/x"), ("GET", "/$status"), ("DELETE", "/x")):
        answer = ask(door, method, path, token=None, content=b"{}" if method == "POST" else None)
        assert (answer.status_code, issue(answer)["code"]) == (401, "login")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_nothing_is_taken_from_another_sites_page(door, told):
    answer = ask(door, "POST", content=as_json(wanted(told)), Origin="https://evil.example")
    assert answer.status_code == 403


def test_other_interactions_are_not_there(door):
    for method, path in (("PATCH", "/x"), ("PUT", ""), ("DELETE", ""), ("POST", "/x")):
        answer = ask(door, method, path, content=b"{}")
        assert (answer.status_code, issue(answer)["code"]) == (405, "not-supported"), (method, path)


# --- change and delete ------------------------------------------------------------------------------------


def test_after_an_error_its_subscriber_asks_anew(door, told):
    told.always = 500
    name = create(door, told).json()["id"]
    send(door)
    found = ask(door, "GET", f"/{name}").json()
    assert found["status"] == "error"
    assert "HTTP 500" in found["error"]
    told.always = 200
    asked = ask(door, "PUT", f"/{name}", content=as_json(found | {"status": "requested"}))
    assert (asked.status_code, asked.json()["status"]) == (200, "requested")
    assert "error" not in asked.json()
    send(door)
    assert ask(door, "GET", f"/{name}").json()["status"] == "active"


def test_two_who_change_it_at_once_are_told(door, told):
    name = active(door, told)
    read = ask(door, "GET", f"/{name}")
    off = as_json(read.json() | {"status": "off"})
    stale = ask(door, "PUT", f"/{name}", content=off, If_Match='W/"1"')
    assert (stale.status_code, issue(stale)["code"]) == (412, "conflict")
    assert ask(door, "GET", f"/{name}").json()["status"] == "active"
    fresh = ask(door, "PUT", f"/{name}", content=off, If_Match=read.headers["ETag"])
    assert (fresh.status_code, fresh.json()["status"]) == (200, "off")


def test_an_id_that_is_not_the_addresss_is_refused(door, told):
    name = active(door, told)
    answer = ask(door, "PUT", f"/{name}", content=as_json(wanted(told, id="other")))
    assert issue(answer)["expression"] == ["Subscription.id"]


def test_what_is_deleted_is_not_there(door, told):
    name = active(door, told)
    assert ask(door, "DELETE", f"/{name}").status_code == 204
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/$status"), ("GET", "/$events")):
        assert ask(door, method, f"/{name}{path}").status_code == 404


def test_another_partners_subscription_is_not_there_either(door, told):
    name = active(door, told)
    missing = ask(door, "GET", "/6f1c0fbe-0000-4000-8000-000000000000", token=HOSPITAL)
    body = as_json(wanted(told, id=name))
    for method, path, content in (
        ("GET", "", None), ("PUT", "", body), ("DELETE", "", None), ("GET", "/$status", None),
        ("GET", "/$events", None),
    ):  # fmt: skip
        answer = ask(door, method, f"/{name}{path}", token=HOSPITAL, content=content)
        assert (answer.status_code, answer.content) == (404, missing.content)
    assert ask(door, "GET", token=HOSPITAL).json()["total"] == 0
    assert ask(door, "GET", "/$status", token=HOSPITAL).json()["total"] == 0
    assert ask(door, "GET", f"/{name}").json()["status"] == "active"


def test_no_partner_may_have_more_than_anybody_needs(door, told):
    for _ in range(50):
        create(door, told)
    answer = ask(door, "POST", content=as_json(wanted(told)))
    assert (answer.status_code, issue(answer)["code"]) == (422, "business-rule")


# --- search, $status, $events -----------------------------------------------------------------------------


def test_search_finds_ones_own_page_by_page(door, told):
    names = [active(door, told, topic=topic) for topic in ("discharge-ready", "case-changed", "case-changed")]
    found = ask(door, "GET").json()
    assert BundleModel.model_validate(found)
    assert [e["resource"]["id"] for e in found["entry"]] == names
    assert found["entry"][0]["fullUrl"] == f"https://adapter.example/fhir/Subscription/{names[0]}"
    topic = "https://discharge-adapter.example/fhir/SubscriptionTopic/case-changed"
    assert ask(door, "GET", f"?criteria={topic}&status=active").json()["total"] == 2
    assert ask(door, "GET", "?status=error,off").json()["total"] == 0
    assert ask(door, "GET", f"?_id={names[1]}").json()["entry"][0]["resource"]["id"] == names[1]
    page, seen = "?_count=2", []
    while page:
        one = ask(door, "GET", page).json()
        seen += [e["resource"]["id"] for e in one["entry"]]
        after = [link["url"] for link in one["link"] if link["relation"] == "next"]
        page = f"?{after[0].partition('?')[2]}" if after else ""
    assert seen == names


def test_status_tells_where_each_stands(door, told):
    name = active(door, told)
    told.always = 500
    broken = active(door, told, topic="case-changed")
    one = ask(door, "GET", f"/{name}/$status").json()
    assert (one["type"], one["total"]) == ("searchset", 1)
    assert BundleModel.model_validate(one)
    said = parameters(one)
    assert (said["type"], said["status"], said["events-since-subscription-start"]) == (
        "query-status", "active", "0",
    )  # fmt: skip
    assert ask(door, "POST", f"/{name}/$status").json()["entry"][0]["resource"]["parameter"]
    assert ask(door, "GET", "/$status").json()["total"] == 2
    (bad,) = ask(door, "GET", "/$status?status=error").json()["entry"]
    assert named(bad["resource"]["parameter"])["error"]["text"].startswith("the handshake failed")
    asked = {
        "resourceType": "Parameters",
        "parameter": [{"name": "id", "valueId": broken}, {"name": "status", "valueCode": "error"}],
    }
    assert ask(door, "POST", "/$status", content=as_json(asked)).json()["total"] == 1
    assert ask(door, "GET", f"/$status?id={name}&id={broken}").json()["total"] == 2
    assert issue(ask(door, "GET", "/$status?status=broken"))["code"] == "code-invalid"


def test_events_are_had_by_number(door, told):
    name = active(door, told, topic="case-changed")
    for kind in (NoticeKind.ADMITTED, NoticeKind.CARE_NEEDS, NoticeKind.READY_FOR_DISCHARGE):
        content = door.stage.message(kind, receivers=("luster",))
        pushed = door.post(
            "/fhir/$process-message",
            data=content,
            headers={"Content-Type": JSON, "Authorization": f"Bearer {HOSPITAL}"},
        )
        assert pushed.status_code in (200, 202), pushed.text
    send(door)
    assert told.numbers == [1, 2, 3]

    def numbers(answer):
        assert answer.status_code == 200, answer.text
        found = wire.parse(answer.content)
        assert BundleModel.model_validate(found)
        assert found["type"] == "history"
        parts = found["entry"][0]["resource"]["parameter"]
        return [named(p["part"])["event-number"] for p in parts if "part" in p]

    assert numbers(ask(door, "GET", f"/{name}/$events")) == ["1", "2", "3"]
    assert numbers(ask(door, "GET", f"/{name}/$events?eventsSinceNumber=2")) == ["2", "3"]
    assert numbers(ask(door, "GET", f"/{name}/$events?eventsSinceNumber=2&eventsUntilNumber=2")) == ["2"]
    asked = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "eventsSinceNumber", "valueString": "3"},
            {"name": "content", "valueCode": "empty"},
        ],
    }
    posted = ask(door, "POST", f"/{name}/$events", content=as_json(asked))
    assert numbers(posted) == ["3"]
    assert len(posted.json()["entry"]) == 1
    assert numbers(ask(door, "GET", f"/{name}/$events", Accept=XML)) == ["1", "2", "3"]
    for wrong in ("eventsSinceNumber=first", "eventsUntilNumber=-1", "content=all"):
        answer = ask(door, "GET", f"/{name}/$events?{wrong}")
        assert issue(answer)["expression"] == ["Parameters.parameter"]


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("?colour=red", "Subscription"),
        ("/$status?state=error", "Parameters.parameter"),
        ("/{name}/$events?since=2", "Parameters.parameter"),
    ],
)
def test_a_parameter_that_is_not_known_is_refused(door, told, path, place):
    refused = ask(door, "GET", path.format(name=active(door, told)))
    assert refused.status_code == 422
    assert issue(refused)["code"] == "not-supported"
    assert issue(refused)["expression"] == [place]
    assert "there are: " in issue(refused)["diagnostics"]


# --- elsewhere --------------------------------------------------------------------------------------------


def test_where_no_region_is_configured_only_this_machine_is_told(tmp_path, told):
    with site(tmp_path, StandingClock(), evaluation=True) as found:
        found.stage.clock.forward(days=5000)
        made = ask(found, "POST", content=as_json(wanted(told, "case-changed")), token=None)
        assert made.status_code == 201, made.text
        far = changed(told, endpoint="https://elsewhere.example/")
        assert ask(found, "POST", content=as_json(far), token=None).status_code == 403


def test_the_delivery_log_and_the_metrics_show_them(door, told):
    name = active(door, told)
    page = door.get("/deliveries").text
    assert "Subscription" in page
    metrics = door.get("/metrics").text
    assert 'discharge_subscriptions{status="active"} 1.0' in metrics
    assert name not in metrics


def test_nothing_of_a_subscriptions_secrets_reaches_the_log(door, told, capsys):
    made = create(door, told, headers=("Authorization: Bearer s3cret",))
    ask(door, "PUT", f"/{made.json()['id']}", content=b"{", Authorization=f"Bearer {LUSTER}")
    told.always = 500
    send(door)
    said = capsys.readouterr()
    assert "s3cret" not in said.out + said.err
    assert told.url not in said.out + said.err


def test_the_region_file_says_where_partners_may_be_told(tmp_path):
    regions = Path(__file__).parents[2] / "fixtures" / "regions"
    text = (regions / "laerdal-alone.toml").read_text()
    more = 'subscription_endpoints = ["https://told.example/hook/"]\nsubscription_content = true\n'
    (tmp_path / "region.toml").write_text(text + more)
    (partner,) = load_region(tmp_path / "region.toml").register_.partners
    assert partner.subscription_endpoints == ("https://told.example/hook/",)
    assert partner.subscription_content
    (tmp_path / "region.toml").write_text(text + 'subscription_endpoints = ["told.example"]\n')
    with pytest.raises(ConfigurationError, match="subscription_endpoints"):
        load_region(tmp_path / "region.toml")


def test_the_example_of_the_documentation_is_accepted(door, told):
    page = (Path(__file__).parents[2] / "docs" / "subscriptions.md").read_text()
    (shown,) = re.findall(r"<!-- subscription -->\n```json\n(.*?)```", page, re.DOTALL)
    shown = shown.replace("https://care.example/told", told.url)
    assert ask(door, "POST", content=shown.encode()).status_code == 201


def test_the_documentation_knows_every_topic_and_filter():
    page = (Path(__file__).parents[2] / "docs" / "subscriptions.md").read_text()
    assert [word for word in (*FOCUS, *FILTERS) if f"| `{word}` |" not in page] == []
