"""The server's own recorded answers, where DISCHARGE_ADAPTER_SAMPLES says where they lie."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from adapter.mappings import kith
from adapter.mappings.kith.message_server import (
    Carried,
    ForReceiver,
    Told,
    document,
    guid,
    origin,
    statuses,
    told,
    unread,
)
from adapter.messaging.acknowledgement import Issue, Status
from adapter.transport.edi_mailbox import EdiMailbox
from tests.conftest import OSLO, StandingClock
from tests.message_servers import OURS, account, client, pem
from tests.transport.conftest import Notebook, answer

SAMPLES = os.environ.get("DISCHARGE_ADAPTER_SAMPLES")
E10 = "Ugyldig meldingsidentifikator"

if SAMPLES:
    RECORDED = Path(SAMPLES) / "norway" / "edi2-rest"

    def recorded(name: str) -> Any:
        return orjson.loads((RECORDED / name).read_bytes())

    @pytest.mark.parametrize("name", ["post-message-response.txt", "post-apprec-response.txt"])
    def test_a_posted_message_has_a_guid(name: str) -> None:
        assert guid(recorded(name)) == recorded(name)

    def test_the_list_of_what_waits() -> None:
        listed = [unread(one, 1) for one in recorded("get-messages-response.json")]
        assert [one.her_id for one in listed if one is not None] == [8143060, 8143060]

    @pytest.mark.parametrize(
        "name",
        [
            "get-message-response.json",
            "get-message-response-with-unknown-property.json",
            "get-message-apprec-response.json",
        ],
    )
    def test_one_message_with_or_without_what_nobody_told_of(name: str) -> None:
        assert unread(recorded(name), 1) is not None

    @pytest.mark.parametrize(
        ("name", "state", "receipt"),
        [
            ("get-status.json", Carried.UNCONFIRMED, None),
            ("get-status-acked.json", Carried.ACKNOWLEDGED, Status.ACCEPTED),
        ],
    )
    def test_how_a_message_stands(name: str, state: Carried, receipt: Status | None) -> None:
        assert statuses(recorded(name)) == (ForReceiver(her_id=8094866, carried=state, receipt=receipt),)

    def test_what_each_receiver_has_said() -> None:
        rejected = (Issue(code="E10", text=E10),)
        multi = told(recorded("get-apprecinfo-multi.json"))
        assert multi == (
            Told(her_id=1111, status=Status.REFUSED, issues=rejected),
            Told(her_id=2222, status=Status.ACCEPTED, issues=()),
        )
        assert told(recorded("get-apprecinfo-ok.json"))[0].status is Status.ACCEPTED
        assert told(recorded("get-apprecinfo-rejected.json"))[0].issues == rejected
        in_part = told(recorded("get-apprecinfo-okerrorinmessagepart.json"))[0]
        assert in_part.status is Status.ACCEPTED
        assert [issue.code for issue in in_part.issues] == ["E31", "E20"]
        assert in_part.issues[1].text == "Lege finnes ikke: Noe gikk galt"

    def test_the_documents_in_the_answers() -> None:
        message = document(recorded("get-business-document-response.json"))
        assert message is not None
        assert origin(message) == ("c88389b7-f8ad-40b2-81e1-090e715b7530", (8094866, 112374))
        receipt = document(recorded("get-business-document-apprec-response.json"))
        assert receipt is not None
        said = kith.read(receipt, content_type=None, zone=OSLO).acknowledgement
        assert said is not None
        assert (said.original_id, said.status) == ("a5e9665e-4982-4521-a50f-4b121fc25094", Status.ACCEPTED)

    def test_a_mailbox_fetches_what_the_server_once_answered(
        peer: Callable[..., Any], tmp_path: Path, clock: StandingClock
    ) -> None:
        """The list, both documents and both marks, byte for byte as they were recorded."""
        files = iter(["get-business-document-apprec-response.json", "get-business-document-response.json"])

        def behave(connection: Any, request: bytes) -> None:
            if request.startswith(b"PUT "):
                connection.sendall(answer("204 No Content"))
            elif b"business-document" in request:
                connection.sendall(answer(body=(RECORDED / next(files)).read_bytes()))
            elif b"/token" in request:
                connection.sendall(answer(body=b'{"access_token":"t","token_type":"DPoP","expires_in":60}'))
            else:
                connection.sendall(answer(body=(RECORDED / "get-messages-response.json").read_bytes()))

        here = peer(behave)
        file = tmp_path / "ours.pem"
        file.write_bytes(pem(OURS))
        made = type("Here", (), {"address": here.url, "token_url": f"{here.url}/token"})
        book = Notebook()
        box = EdiMailbox(client(account(made, file), clock), (8143060,), book)
        found = []
        for mail in box.poll(book):
            found.append(kith.read(mail.content, content_type=mail.content_type, zone=OSLO).envelope.type)
            box.done(mail)
        assert found == ["APPREC", "DIALOG_HELSEFAGLIG"]
        marks = [r.split(b" ")[1] for r in here.requests if r.startswith(b"PUT")]
        assert [m.endswith(b"/read/8143060") for m in marks] == [True, True]
