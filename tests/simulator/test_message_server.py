"""The pretend message server keeps to the interface where the adapter's promises depend on it."""

import base64
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec

from adapter.messaging.signing import assertion, new_signing_key, proof, read_signing_key
from adapter.simulator.message_server import Ordered, PretendServer
from adapter.simulator.threads import serving
from adapter.transport.edi_access import JWT_BEARER
from tests.conftest import StandingClock
from tests.message_servers import NURSING, OURS, THEIRS, WARD, pem

SAMPLES = os.environ.get("DISCHARGE_ADAPTER_SAMPLES")
ADMITTED = Path(__file__).parents[2] / "fixtures" / "plo" / "home-with-help" / "admitted.plo-1.6.xml"
LAERDAL = 8143511  # the receiver in that message
COMMON = {"api-version": "2", "nhn-source-system": "test, v1"}


class Machine(requests.auth.AuthBase):
    """A client that proves itself by hand, so that a test can do it wrongly."""

    def __init__(self, server: PretendServer, client_id: str, key: Any, clock: StandingClock) -> None:
        self.server = server
        self.client_id = client_id
        self.key = read_signing_key(pem(key))
        self.clock = clock
        self.proving = new_signing_key()
        self.token = ""

    def form(self, **changes: Any) -> dict[str, str]:
        said = assertion(
            changes.pop("key", self.key),
            client_id=self.client_id,
            audience=changes.pop("audience", self.server.token_url),
            now=changes.pop("now", self.clock()),
            jti=changes.pop("jti", str(uuid4())),
        )
        return {
            "grant_type": "client_credentials", "client_id": self.client_id,
            "client_assertion_type": JWT_BEARER, "client_assertion": said,
        } | changes  # fmt: skip

    def ask(self, **changes: Any) -> requests.Response:
        headers = {"DPoP": self.proof("POST", self.server.token_url)}
        return requests.post(self.server.token_url, data=self.form(**changes), headers=headers, timeout=5)

    def proof(self, method: str, url: str, **more: Any) -> str:
        said = {"now": self.clock(), "jti": str(uuid4())} | more
        return proof(said.pop("key", self.proving), method=method, url=url, **said)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        self.token = self.token or self.ask().json()["access_token"]
        shown = self.proof(str(request.method), str(request.url), token=self.token)
        request.headers.update({"Authorization": f"DPoP {self.token}", "DPoP": shown})
        return request

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = COMMON | more.pop("headers", {})
        url = self.server.address + path
        return requests.request(method, url, auth=self, headers=headers, timeout=5, **more)


class Place:
    def __init__(self, server: PretendServer, clock: StandingClock) -> None:
        self.server = server
        server.serve("sjukehus", OURS.public_key(), WARD, 8143500)
        server.serve("laerdal", THEIRS.public_key(), LAERDAL)
        self.hospital = Machine(server, "sjukehus", OURS, clock)
        self.laerdal = Machine(server, "laerdal", THEIRS, clock)

    def post(self, content: bytes = ADMITTED.read_bytes(), **changes: Any) -> requests.Response:
        body = {
            "businessDocument": base64.b64encode(content).decode(), "contentType": "application/xml",
            "contentTransferEncoding": "base64",
        } | changes  # fmt: skip
        return self.hospital.call("POST", "/Messages", json=body)


@pytest.fixture(scope="module")
def started() -> Iterator[Place]:
    clock = StandingClock()
    server = PretendServer(clock=clock, new_id=lambda: str(uuid4()))
    with serving(server):
        yield Place(server, clock)


@pytest.fixture
def place(started: Place) -> Place:
    """The server with nothing in it."""
    started.server.holds.clear()
    started.server.faults.clear()
    started.server.more = {}
    return started


def test_two_parties_exchange_a_message_and_its_receipt(place: Place) -> None:
    made = place.post()
    number = made.json()
    assert (made.status_code, made.headers["Location"]) == (201, f"{place.server.address}/Messages/{number}")
    query = {"ReceiverHerIds": LAERDAL, "IncludeMetadata": "true"}
    (one,) = place.laerdal.call("GET", "/Messages", params=query).json()
    assert (one["id"], one["senderHerId"], one["isAppRec"]) == (number, WARD, False)
    document = place.laerdal.call("GET", f"/Messages/{number}/business-document").json()
    assert base64.b64decode(document["businessDocument"]) == ADMITTED.read_bytes()
    said = {"appRecStatus": "Rejected", "appRecErrorList": [{"errorCode": "E35", "details": "Ukjend"}]}
    assert place.laerdal.call("POST", f"/Messages/{number}/apprec/{LAERDAL}", json=said).status_code == 201
    assert place.laerdal.call("PUT", f"/Messages/{number}/read/{LAERDAL}").status_code == 204
    assert place.laerdal.call("GET", "/Messages", params=query).json() == []
    (status,) = place.hospital.call("GET", f"/Messages/{number}/status").json()
    assert status == {
        "receiverHerId": LAERDAL, "transportDeliveryState": "Acknowledged", "appRecStatus": "Rejected"
    }  # fmt: skip
    (info,) = place.hospital.call("GET", f"/Messages/{number}/apprec").json()
    assert info["appRecErrorList"][0]["details"] == "Ukjend"
    (back,) = place.hospital.call("GET", "/Messages", params={"ReceiverHerIds": WARD}).json()
    assert place.hospital.call("GET", f"/Messages/{back['id']}").json()["isAppRec"] is True
    again = place.laerdal.call("POST", f"/Messages/{number}/apprec/{LAERDAL}", json=said)
    assert (again.status_code, again.json()["errorCode"]) == (400, 1001)


def test_nobody_acts_for_another(place: Place) -> None:
    number = place.post().json()
    body = {"appRecStatus": "Ok"}
    for answer in (
        place.hospital.call("GET", "/Messages", params={"ReceiverHerIds": LAERDAL}),
        place.hospital.call("POST", f"/Messages/{number}/apprec/{LAERDAL}", json=body),
        place.hospital.call("PUT", f"/Messages/{number}/read/{LAERDAL}"),
        place.laerdal.call("POST", "/Messages", json=orjson.loads(place_body())),
    ):
        assert (answer.status_code, "Not authorized" in answer.json()["error"]) == (403, True)
    assert place.laerdal.call("GET", f"/Messages/{uuid4()}").status_code == 404


def place_body() -> bytes:
    document = base64.b64encode(ADMITTED.read_bytes()).decode()
    return orjson.dumps(
        {"businessDocument": document, "contentType": "application/xml", "contentTransferEncoding": "base64"}
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"businessDocument": "$"},
        {"businessDocument": base64.b64encode(b"<a/>").decode()},
        {"contentType": "text/plain"},
        {"contentTransferEncoding": None},
        {"unknown": 1},
        {"receiverHerIdsSubset": [1]},
        {"ebXmlOverrides": {"cpaId": 1}},
    ],
)
def test_what_the_interface_does_not_have_is_refused_in_its_words(place: Place, changes: Any) -> None:
    answer = place.post(**changes)
    told = answer.json()
    assert (answer.status_code, told["errorCode"], len(told["validationErrors"])) == (400, 1000, 1)
    assert told["requestId"] and place.server.holds == {}


def test_the_token_endpoint_believes_nobody(place: Place, started: Place) -> None:
    machine, clock = place.hospital, place.hospital.clock
    other = read_signing_key(pem(ec.generate_private_key(ec.SECP256R1())))
    used = machine.form()
    requests.post(
        place.server.token_url, data=used, timeout=5,
        headers={"DPoP": machine.proof("POST", place.server.token_url)},
    )  # fmt: skip
    for changes in (
        {"key": other},
        {"audience": "https://elsewhere.example/token"},
        {"now": clock().replace(hour=8)},
        {"client_id": "laerdal"},
        {"grant_type": "password"},
        {"client_assertion": used["client_assertion"]},
        {"client_assertion": "x.y.z"},
    ):
        answer = machine.ask(**changes)
        assert answer.status_code == 400, changes
        assert answer.json()["error"] in ("invalid_client", "unsupported_grant_type")


def test_a_proof_is_good_for_one_request_with_one_token(place: Place) -> None:
    machine, server = place.hospital, place.server
    url = f"{server.address}/Messages"
    machine.call("GET", "/Messages", params={"ReceiverHerIds": WARD})
    good = machine.proof("GET", url, token=machine.token)

    def shown(proof: str, token: str = machine.token) -> int:
        headers = COMMON | {"Authorization": f"DPoP {token}", "DPoP": proof}
        return requests.get(url, params={"ReceiverHerIds": WARD}, headers=headers, timeout=5).status_code

    assert [shown(good), shown(good)] == [200, 401]
    for wrong in (
        machine.proof("POST", url, token=machine.token),
        machine.proof("GET", f"{url}/x", token=machine.token),
        machine.proof("GET", url),
        machine.proof("GET", url, token="another"),
        machine.proof("GET", url, token=machine.token, key=new_signing_key()),
        machine.proof("GET", url, token=machine.token, now=machine.clock().replace(hour=9)),
        "",
    ):
        assert shown(wrong) == 401
    assert shown(machine.proof("GET", url, token="another"), "another") == 401
    bare = requests.get(url, headers=COMMON, timeout=5)
    assert (bare.status_code, bare.headers["WWW-Authenticate"]) == (401, 'DPoP error="invalid_token"')


def test_faults_strike_once_and_a_lost_answer_is_of_what_was_done(place: Place) -> None:
    place.server.order(Ordered.LOST, "POST", "/Messages")
    with pytest.raises(requests.ConnectionError):
        place.post()
    assert len(place.server.holds) == 1
    place.server.order(Ordered.ERROR, "POST", "/Messages")
    assert [place.post().status_code for _ in range(2)] == [500, 201]
    place.server.more = {"unknownProperty": "value"}
    assert place.hospital.call("GET", f"/Messages/{place.post().json()}").json()["unknownProperty"] == "value"
    assert place.hospital.call("DELETE", "/Messages").status_code == 405
    assert place.hospital.call("GET", "/Nothing").status_code == 404
    assert NURSING not in place.server.parties


if SAMPLES:
    OPENAPI = Path(SAMPLES) / "norway" / "edi2-rest" / "openapi.json"
    OPERATIONS = [
        (method, path)
        for path, known in orjson.loads(OPENAPI.read_bytes())["paths"].items()
        for method in known
    ]

    @pytest.fixture(scope="module")
    def document() -> Any:
        import schemathesis

        return schemathesis.openapi.from_path(str(OPENAPI))

    @pytest.mark.slow
    @pytest.mark.parametrize(("method", "path"), OPERATIONS)
    def test_nothing_is_answered_that_the_official_document_does_not_have(
        method: str, path: str, document: Any, place: Place
    ) -> None:
        """Good requests, half of them about a message that there is, and bad ones."""
        from schemathesis import GenerationMode

        number = place.post().json()
        ask(document[path][method], GenerationMode.POSITIVE, place, number)
        ask(document[path][method], GenerationMode.NEGATIVE, place, None)

    def ask(operation: Any, mode: Any, place: Place, number: str | None) -> None:
        from hypothesis import HealthCheck, given, settings
        from schemathesis.specs.openapi import checks

        # a document must be KITH, of which OpenAPI knows nothing
        beside = [checks.positive_data_acceptance, checks.ignored_auth]
        turns = count()

        @settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def once(case: Any) -> None:
            if number is not None and "id" in (case.path_parameters or {}) and next(turns) % 2:
                case.path_parameters["id"] = number
            # the version is any text to the document, and one of one only to the server
            headers = {name: value for name, value in COMMON.items() if name in (case.headers or {})}
            case.call_and_validate(
                base_url=place.server.address,
                auth=place.hospital,
                headers=headers,
                excluded_checks=beside,
            )

        once()
