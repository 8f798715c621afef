"""A receipt says of a message what its giver promises, and reads back the same."""

from datetime import UTC, datetime

import pytest

from adapter.fhir.bundles import header, of_type, organization
from adapter.fhir.publishing import HOSPITAL, MUNICIPALITY
from adapter.fhir.receipts import receipt_bundle, receipt_in
from adapter.fhir.validation import validate
from adapter.messaging.acknowledgement import Issue, Status

AT = datetime(2014, 11, 6, 9, 40, tzinfo=UTC)


def receipt(status, *issues, receipt_id="0f9a1c4e-2c7b-4a57-9d0e-5b6f3f1f0a11"):
    return receipt_bundle(
        receipt_id=receipt_id,
        original_id="65d68816-7089-5858-baf9-d9abdd4164ea",
        status=status,
        at=AT,
        giver=organization(MUNICIPALITY, ""),
        receiver=organization(HOSPITAL, ""),
        issues=issues,
    )


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("issues", [(), (Issue(code="E10", text="Ugyldig mottaker"),)])
def test_every_status_reads_back(status, issues):
    bundle = receipt(status, *issues)
    validate(bundle)
    found = receipt_in(bundle)
    assert (found.status, found.at, found.giver) == (status, AT, MUNICIPALITY)
    assert found.original_id == "65d68816-7089-5858-baf9-d9abdd4164ea"
    assert set(issues) <= set(found.issues)


def test_plainly_ok_has_no_outcome():
    assert of_type(receipt(Status.ACCEPTED), "OperationOutcome") is None


def test_taken_over_says_that_the_receivers_own_receipt_will_follow():
    bundle = receipt(Status.TAKEN_OVER)
    assert header(bundle)["response"]["code"] == "ok"
    assert (
        "receiver's own receipt will follow"
        in of_type(bundle, "OperationOutcome")["issue"][0]["details"]["text"]
    )


def test_a_fhir_issue_type_stays_one():
    issue = of_type(receipt(Status.REFUSED, Issue(code="not-found", text="x")), "OperationOutcome")["issue"][
        0
    ]
    assert issue == {"severity": "error", "code": "not-found", "details": {"text": "x"}}


def test_the_same_verdict_gives_the_same_receipt():
    assert receipt(Status.ACCEPTED) == receipt(Status.ACCEPTED)


def test_a_receipt_id_that_is_no_uuid_becomes_one():
    validate(receipt(Status.ACCEPTED, receipt_id="receipt 7"))
