import asyncio
import time

import pytest

from adapter.fhir.bundles import organization
from adapter.fhir.receipts import receipt_bundle
from adapter.fhir.wire import to_json
from adapter.messaging.acknowledgement import Status
from adapter.simulator.http import Answer, Listener
from adapter.simulator.memory import Taken
from adapter.simulator.systems import Identity, Posted, System

from .cast import HOSPITAL, LUSTER, NOW

ID = "00000000-0000-4000-8000-000000000001"


def posted():
    return Posted(message_id=ID, event="admitted", patient="", to="luster")


def receipt(status, original_id=ID):
    return Answer(
        status=200,
        body=to_json(
            receipt_bundle(
                receipt_id=f"00000000-0000-4000-9000-{len(status.value):012}",
                original_id=original_id,
                status=status,
                at=NOW,
                giver=organization(LUSTER, "x"),
                receiver=organization(HOSPITAL, "y"),
            )
        ),
    )


def told(*answers):
    """What has become of a message to an adapter that gives these answers, and the requests that it got."""
    requests = []

    def handle(request):
        requests.append(request)
        return answers[min(len(requests), len(answers)) - 1]

    async def tell():
        listener = Listener(handle)
        port = await listener.open(0)
        identity = Identity(party="laerdal-sjukehus", address=HOSPITAL, token="secret")
        system = System(identity, f"http://127.0.0.1:{port}/fhir/$process-message")
        await asyncio.wait_for(system.tell(posted(), b"the message"), 5)
        system.close()
        listener.close()
        return system.posted[ID]

    return asyncio.run(tell()), requests


@pytest.mark.parametrize("first", [Answer(status=503), Answer(status=429), Answer(status=200, reset=True)])
def test_a_message_is_sent_again_unchanged_until_it_is_taken(first):
    message, requests = told(first, Answer(status=202))
    assert (message.accepted, message.tries, message.receipt) == (True, 2, None)
    assert [r.body for r in requests] == [b"the message"] * 2
    assert {r.headers["authorization"] for r in requests} == {"Bearer secret"}
    assert {r.headers["content-type"] for r in requests} == {"application/fhir+json"}


def test_a_receipt_of_not_now_is_no_acceptance():
    message, _ = told(receipt(Status.NOT_NOW), receipt(Status.ACCEPTED))
    assert (message.accepted, message.tries, message.receipt) == (True, 2, Status.ACCEPTED)


def test_retry_after_is_honoured():
    began = time.monotonic()
    told(Answer(status=503, retry_after=1), Answer(status=202))
    assert time.monotonic() - began >= 1.0


@pytest.mark.parametrize("status", [400, 401, 422])
def test_a_refusal_for_good_is_kept_with_its_status(status):
    message, requests = told(Answer(status=status))
    assert (message.accepted, message.refused, len(requests)) == (False, status, 1)


def test_a_taking_over_is_no_receipt():
    message, _ = told(receipt(Status.TAKEN_OVER))
    assert (message.accepted, message.receipt) == (True, None)


def test_a_negative_receipt_is_an_accepted_message_that_was_refused():
    message, _ = told(receipt(Status.REFUSED))
    assert (message.accepted, message.refused, message.receipt) == (True, None, Status.REFUSED)


def test_a_receipt_for_another_message_is_none_for_this():
    message, _ = told(receipt(Status.ACCEPTED, "00000000-0000-4000-8000-000000000009"))
    assert message.receipt is None


def heard(*verdicts):
    system = System(Identity(party="luster", address=LUSTER, token="t"), "http://127.0.0.1:1/")
    system.posted[ID] = posted()
    for verdict in verdicts:
        system.hear(
            Taken(
                message_id="r", event="receipt", patient="", status=None, at=NOW, answers=ID, verdict=verdict
            )
        )
    return system.posted[ID].receipt


def test_the_first_final_receipt_stands():
    assert heard(Status.ACCEPTED, Status.REFUSED) is Status.ACCEPTED
    assert heard(Status.TAKEN_OVER, Status.REFUSED, Status.ACCEPTED) is Status.REFUSED
    assert heard(Status.TAKEN_OVER) is None
