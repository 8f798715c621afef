"""A partner's client at /fhir: what it asks for, and what it makes of the answers (FHIR R4 http.html)."""

from collections.abc import Iterator

import pytest
import requests
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from adapter.simulator.clients import FhirClient

TASK = {"resourceType": "Task", "id": "t", "meta": {"versionId": "3"}, "status": "requested"}


@pytest.fixture
def client(httpserver: HTTPServer) -> Iterator[FhirClient]:
    made = FhirClient(httpserver.url_for(""), "open-sesame")
    yield made
    made.close()


def test_what_has_not_changed_is_not_sent_again(httpserver: HTTPServer, client: FhirClient) -> None:
    known = {"Authorization": "Bearer open-sesame", "If-None-Match": 'W/"3"'}
    httpserver.expect_request("/fhir/Task/t", headers=known).respond_with_response(Response(status=304))
    assert client.read("Task/t", known=TASK) is TASK


def test_what_is_not_shown_is_none(httpserver: HTTPServer, client: FhirClient) -> None:
    httpserver.expect_request("/fhir/Task/t").respond_with_json({}, status=404)
    assert client.read("Task/t", known=TASK) is None


def test_a_search_goes_on_to_the_last_page(httpserver: HTTPServer, client: FhirClient) -> None:
    def pages(request: Request) -> Response:
        second = "_cursor" in request.args
        link = [] if second else [{"relation": "next", "url": httpserver.url_for("/fhir/Task?_cursor=x")}]
        found = {"resourceType": "Bundle", "link": link, "entry": [{"resource": TASK | {"id": f"{second}"}}]}
        return Response(requests.compat.json.dumps(found), content_type="application/fhir+json")

    httpserver.expect_request("/fhir/Task").respond_with_handler(pages)
    assert [found["id"] for found in client.search("Task", status="requested")] == ["False", "True"]


def test_a_search_that_is_refused_is_no_empty_one(httpserver: HTTPServer, client: FhirClient) -> None:
    httpserver.expect_request("/fhir/Task").respond_with_json({}, status=401)
    with pytest.raises(requests.HTTPError, match="HTTP 401"):
        list(client.search("Task"))


def test_a_change_names_the_version_that_was_read(httpserver: HTTPServer, client: FhirClient) -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "conflict"}]}
    asked = httpserver.expect_request("/fhir/Task/t", method="PUT", headers={"If-Match": 'W/"3"'})
    asked.respond_with_json(outcome, status=412, content_type="application/fhir+json")
    answer = client.change(TASK)
    assert (answer.status, answer.code) == (412, "conflict")


def test_a_message_is_sent_again_while_the_adapter_is_busy(
    httpserver: HTTPServer, client: FhirClient
) -> None:
    httpserver.expect_ordered_request("/fhir/$process-message").respond_with_json({}, status=503)
    httpserver.expect_ordered_request("/fhir/$process-message").respond_with_json({}, status=200)
    assert client.tell({"resourceType": "Bundle"}).status == 200
