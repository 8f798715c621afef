"""The plans of the fixtures come in by the door that every message takes."""

import uuid
from dataclasses import replace

import pytest

from adapter.config import Settings
from adapter.discharge.notices import NoticeKind
from adapter.fhir.bundles import address_of, follow
from adapter.fhir.notices import message_bundle, notice_in, receivers_in, subject_in
from adapter.fhir.wire import parse, to_json
from adapter.incoming import Incoming
from adapter.runtime import stations
from tests.conftest import OSLO, StandingClock
from tests.plan_fixtures import INDIVIDUAL, PLANS, SIP


def consent_for(plan: bytes) -> bytes:
    """The same sender tells the same receivers of the same stay that the patient has consented."""
    bundle = parse(plan)
    addresses = receivers_in(bundle)
    notice = replace(
        notice_in(bundle, zone=OSLO), kind=NoticeKind.CONSENT_GIVEN, message_id=str(uuid.uuid4()), plan=None
    )  # fmt: skip
    told = message_bundle(
        notice,
        subject=subject_in(bundle),
        sender=address_of(follow(bundle, bundle["entry"][0]["resource"]["sender"])),
        receivers=addresses,
        hospital=next((a for a in addresses if a.token == notice.hospital), None),
        transmission_id=str(uuid.uuid4()),
    )
    return to_json(told)


@pytest.mark.parametrize("name", [SIP, INDIVIDUAL])
def test_a_plan_is_taken_as_a_care_plan(store_url: str, clock: StandingClock, name: str):
    clock.forward(days=3670)
    built = stations(Settings(store=store_url), region=None, clock=clock)
    try:
        content = (PLANS / name / "plan.json").read_bytes()
        incoming = Incoming(content=content)
        assert built.inbox.accept(Incoming(content=consent_for(content)), clock()).outcome == "accepted"
        done = built.inbox.accept(incoming, clock())
        assert done.outcome == "accepted", done.reason
        notice = built.inbox.read(incoming).notice
        assert notice is not None and notice.kind is NoticeKind.CARE_PLAN
    finally:
        built.store.close()
