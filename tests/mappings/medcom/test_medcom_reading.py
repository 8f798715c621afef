"""HospitalNotification is read as what it tells of a stay: D-08, D-10, D-12, T6, T7."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from adapter.discharge.notices import Notice, NoticeKind, Standing
from adapter.errors import Quarantined, Refused
from adapter.fhir.notices import notice_in, subject_in
from adapter.mappings import Head, known, medcom, own_fhir
from tests.mappings.medcom.samples import (
    ACKNOWLEDGEMENTS,
    COPENHAGEN,
    NOTIFICATIONS,
    OFFICIAL,
    OFFICIAL_NOTIFICATIONS,
    bundle,
    envelope,
    fixture,
    named,
    only,
    read,
    resources,
)

K, S = NoticeKind, Standing
FORMS = ("json", "xml")

TOLD = {
    "home-after-a-fall/admitted": ("STIN", K.ADMITTED, S.NEW, "2026-03-02T09:15+01:00"),
    "home-after-a-fall/admission-corrected": ("RE_STIN", K.ADMITTED, S.CORRECTION, "2026-03-02T08:40+01:00"),
    "home-after-a-fall/leave-started": ("STOR", K.LEAVE_STARTED, S.NEW, "2026-03-06T15:00+01:00"),
    "home-after-a-fall/leave-ended": ("SLOR", K.LEAVE_ENDED, S.NEW, "2026-03-08T18:30+01:00"),
    "home-after-a-fall/discharged": ("SLHJ", K.DISCHARGED, S.NEW, "2026-03-11T13:00+01:00"),
    "home-after-a-fall/discharge-cancelled": (
        "AN_SLHJ",
        K.DISCHARGED,
        S.CANCELLATION,
        "2026-03-11T13:00+01:00",
    ),
    "acute-and-home-again/admitted": ("STAA", K.ADMITTED, S.NEW, "2026-03-02T21:10+01:00"),
    "acute-and-home-again/discharged": ("SLHJ", K.DISCHARGED, S.NEW, "2026-03-03T02:30+01:00"),
    "died-in-hospital/admitted": ("STIN", K.ADMITTED, S.NEW, "2026-03-02T09:15+01:00"),
    "died-in-hospital/deceased": ("MORS", K.DECEASED, S.NEW, "2026-03-09T04:10+01:00"),
    "died-on-arrival/deceased": ("MORS", K.DECEASED, S.NEW, "2026-03-02T09:20:01+01:00"),
    "died-on-leave/deceased": ("MORS", K.DECEASED, S.NEW, "2026-03-07T08:00+01:00"),
    "never-admitted/admitted": ("STIN", K.ADMITTED, S.NEW, "2026-03-02T09:15+01:00"),
    "never-admitted/admission-corrected": ("RE_STIN", K.ADMITTED, S.CORRECTION, "2026-03-02T08:40+01:00"),
    "never-admitted/admission-cancelled": ("AN_STIN", K.ADMITTED, S.CANCELLATION, "2026-03-02T08:40+01:00"),
    "corrected-after-the-leave-began/admission-corrected": (
        "RE_STIN",
        K.ADMITTED,
        S.CORRECTION,
        "2026-03-02T08:40+01:00",
    ),
    "odd-but-taken/admitted": ("STIN", K.ADMITTED, S.NEW, "2026-03-02T09:15+02:00"),
}


def notice(content: bytes) -> Notice:
    reading = read(content)
    assert reading.problem is None and reading.bundle is not None
    return notice_in(reading.bundle, zone=COPENHAGEN)


def changed(name: str, change: Any) -> bytes:
    made = bundle(name)
    change(made)
    return orjson.dumps(made)


def test_every_fixture_has_its_line() -> None:
    assert {named(path).rsplit(".", 1)[0] for path in NOTIFICATIONS} == set(TOLD)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", TOLD)
def test_it_is_read_as_what_has_happened(name: str, form: str) -> None:
    short, kind, standing, occurred = TOLD[name]
    content = fixture(name, form)
    found = notice(content)
    assert (envelope(content).type, found.kind, found.standing) == (short, kind, standing)
    assert found.occurred == datetime.fromisoformat(occurred)


@pytest.mark.parametrize("name", TOLD)
def test_json_and_xml_say_the_same(name: str) -> None:
    assert read(fixture(name)).bundle == read(fixture(name, "xml")).bundle


@pytest.mark.parametrize("path", [*NOTIFICATIONS, *ACKNOWLEDGEMENTS, *OFFICIAL], ids=named)
def test_medcom_is_asked_before_our_own_fhir(path: Any) -> None:
    head = Head(content=path.read_bytes())
    assert own_fhir.recognises(head)
    assert known.recognise(head) is medcom


def test_our_own_messages_stay_our_own() -> None:
    content = (FIXTURES_FHIR / "admitted" / "message.json").read_bytes()
    assert known.recognise(Head(content=content)) is own_fhir


FIXTURES_FHIR = NOTIFICATIONS[0].parents[2] / "fhir"


def test_all_messages_of_a_stay_share_the_episode_and_the_admission() -> None:
    told = [
        notice(fixture(f"home-after-a-fall/{name}"))
        for name in ("admission-corrected", "leave-ended", "discharged")
    ]
    assert len({one.episode for one in told}) == 1 and told[0].episode
    assert {one.admitted for one in told} == {datetime.fromisoformat("2026-03-02T08:40+01:00")}


def test_of_several_episode_ids_the_hospitals_own_counts() -> None:
    own = only(bundle("odd-but-taken/admitted"), "Encounter")["episodeOfCare"][1]["identifier"]["value"]
    assert notice(fixture("odd-but-taken/admitted")).episode == own.removeprefix("urn:uuid:")


def test_a_stay_on_a_ward_with_a_sor_id_alone_is_the_senders() -> None:
    found = notice(fixture("acute-and-home-again/admitted"))
    assert found.hospital == found.sender == "https://www.gs1.org/gln|5799990000119"


def test_the_patient_is_known_by_name_and_cpr() -> None:
    reading = read(fixture("home-after-a-fall/admitted"))
    assert reading.bundle is not None
    subject = subject_in(reading.bundle)
    assert subject.identifiers == (("urn:oid:1.2.208.176.1.2", "0302410000"),)
    assert (subject.family, subject.given) == ("Sandbjerg", "Inger Marie")


def test_a_correction_names_the_message_that_it_corrects() -> None:
    first = envelope(fixture("home-after-a-fall/admitted")).message_id
    assert notice(fixture("home-after-a-fall/admission-corrected")).refers_to == first
    assert envelope(fixture("home-after-a-fall/admission-corrected")).refers_to == first


def test_a_cancellation_after_a_correction_names_the_correction() -> None:
    corrected = envelope(fixture("never-admitted/admission-corrected")).message_id
    assert notice(fixture("never-admitted/admission-cancelled")).refers_to == corrected


def test_a_corrected_admission_after_a_leave_is_tied_to_the_admission() -> None:
    made = bundle("corrected-after-the-leave-began/admission-corrected")
    by_activity = {
        one["activity"]["coding"][0]["code"]: one["target"][0]["reference"]
        for one in resources(made, "Provenance")
    }
    found = notice(orjson.dumps(made)).refers_to
    assert by_activity["admit-inpatient"] == f"MessageHeader/{found}"
    [own] = [one for one in resources(made, "Provenance") if "revise" in one["activity"]["coding"][0]["code"]]
    assert own["entity"][0]["what"]["reference"] == by_activity["start-leave-inpatient"]


def test_what_is_dated_after_a_correction_is_not_what_it_corrects() -> None:
    """As where a new stay's admission stands in the history of an older one that is corrected."""
    made = bundle("corrected-after-the-leave-began/admission-corrected")
    expected = notice(orjson.dumps(made)).refers_to
    [admission] = [
        one
        for one in made["entry"]
        if (one["resource"].get("activity") or {"coding": [{}]})["coding"][0].get("code") == "admit-inpatient"
    ]
    stray = orjson.loads(orjson.dumps(admission))
    stray["fullUrl"] += "-stray"
    stray["resource"]["id"] += "-stray"
    stray["resource"]["target"] = [{"reference": "MessageHeader/4f2b6f0e-0000-4c9b-9d5e-000000000001"}]
    stray["resource"]["occurredDateTime"] = stray["resource"]["recorded"] = "2026-12-24T10:00:00+01:00"
    made["entry"].append(stray)
    assert notice(orjson.dumps(made)).refers_to == expected


def test_without_history_a_correction_names_what_its_provenance_names() -> None:
    def without_history(made: Any) -> None:
        made["entry"] = [
            item
            for item in made["entry"]
            if item["resource"]
            .get("activity", {"coding": [{"code": "revise"}]})["coding"][0]["code"]
            .startswith("revise")
        ]

    first = envelope(fixture("home-after-a-fall/admitted")).message_id
    assert notice(changed("home-after-a-fall/admission-corrected", without_history)).refers_to == first


def test_new_notices_refer_to_nothing() -> None:
    assert notice(fixture("home-after-a-fall/discharged")).refers_to is None


def test_the_order_of_provenances_says_nothing() -> None:
    def reversed_(made: Any) -> None:
        made["entry"] = [made["entry"][0], *reversed(made["entry"][1:])]

    content = changed("home-after-a-fall/discharged", reversed_)
    assert notice(content) == notice(fixture("home-after-a-fall/discharged"))
    assert envelope(content).type == "SLHJ"
    content = changed("never-admitted/admission-cancelled", reversed_)
    assert notice(content) == notice(fixture("never-admitted/admission-cancelled"))


def test_a_death_is_told_by_the_patient_also_with_a_date() -> None:
    def dated(made: Any) -> None:
        patient = only(made, "Patient")
        del patient["deceasedBoolean"]
        patient["deceasedDateTime"] = "2026-03-02T09:10:00+01:00"

    found = notice(changed("died-on-arrival/deceased", dated))
    assert (found.kind, found.occurred) == (K.DECEASED, datetime(2026, 3, 2, 8, 10, tzinfo=UTC))


def test_who_is_expressly_alive_has_not_died() -> None:
    def alive(made: Any) -> None:
        only(made, "Patient")["deceasedBoolean"] = False

    assert notice(changed("died-on-arrival/deceased", alive)).kind is K.ADMITTED


def test_a_leap_day_and_the_spring_hour_are_absolute_times() -> None:
    def leap(made: Any) -> None:
        only(made, "Encounter")["period"]["start"] = "2024-02-29T23:59:59+01:00"

    def spring(made: Any) -> None:
        only(made, "Encounter")["period"]["start"] = "2025-03-30T03:00:00+02:00"

    name = "home-after-a-fall/admitted"
    assert notice(changed(name, leap)).occurred == datetime(2024, 2, 29, 22, 59, 59, tzinfo=UTC)
    assert notice(changed(name, spring)).occurred == datetime(2025, 3, 30, 1, 0, tzinfo=UTC)


def test_what_published_examples_have_is_taken_and_told() -> None:
    reading = read(fixture("odd-but-taken/admitted"))
    assert reading.problem is None
    said = [loss.partition(": ")[2] for loss in reading.losses]
    assert [loss.split(" ")[0:3] for loss in said] == [
        ["Bundle.id", "is", "not"],
        ["MessageHeader.id", "is", "not"],
        ["Bundle.timestamp", "has", "an"],
        ["no", "Provenance", "has"],
    ]


def test_what_is_as_it_should_be_has_no_remark() -> None:
    assert all(read(fixture(name)).losses == () for name in TOLD if not name.startswith("odd"))


def test_a_generated_narrative_is_no_text_of_the_notice() -> None:
    assert all(notice(fixture(name)).text is None for name in TOLD)


def test_the_report_of_admission_flag_stays_in_the_bundle() -> None:
    reading = read(fixture("home-after-a-fall/admitted"))
    assert reading.bundle is not None
    flags = [
        e for e in only(reading.bundle, "MessageHeader")["extension"] if "reportOfAdmissionE" in e["url"]
    ]
    assert [flag["valueBoolean"] for flag in flags] == [True]


def test_addresses_of_2_0_are_read_by_their_last_part() -> None:
    content = fixture("home-after-a-fall/discharged").replace(
        b"http://medcomfhir.dk/ig/terminology/CodeSystem", b"http://medcomfhir.dk/fhir/core/1.0/CodeSystem"
    )
    assert notice(content).kind is K.DISCHARGED


def test_a_clock_that_is_a_minute_off_is_taken_and_told() -> None:
    def ahead(made: Any) -> None:
        only(made, "Encounter")["period"]["start"] = "2026-03-02T09:21:00+01:00"

    reading = read(changed("home-after-a-fall/admitted", ahead))
    assert reading.problem is None
    assert reading.losses == ("it tells as past what lies after Bundle.timestamp; it is taken as it is",)


def test_what_is_told_as_past_and_lies_days_ahead_is_held() -> None:
    def ahead(made: Any) -> None:
        only(made, "Encounter")["period"]["start"] = "2026-03-12T09:15:00+01:00"

    reading = read(changed("home-after-a-fall/admitted", ahead))
    assert isinstance(reading.problem, Quarantined) and reading.problem.code == "future"
    assert reading.bundle is not None


# --- what is refused, and answered ------------------------------------------------------------------------


def _problem(content: bytes) -> Refused:
    problem = read(content).problem
    assert isinstance(problem, Refused)
    return problem


def test_without_provenance_nothing_is_told() -> None:
    def none(made: Any) -> None:
        made["entry"] = [i for i in made["entry"] if i["resource"]["resourceType"] != "Provenance"]

    assert "medcom-messaging-2" in _problem(changed("home-after-a-fall/admitted", none)).reason


def test_an_activity_of_another_message_tells_nothing() -> None:
    def other(made: Any) -> None:
        only(made, "Provenance")["activity"]["coding"][0]["code"] = "new-message"

    problem = _problem(changed("home-after-a-fall/admitted", other))
    assert problem.code == "MSG_VALUESET_VALUE_UNKNOWN"
    assert "medcom-hospitalNotification-3" in problem.reason


def test_an_event_that_is_not_read_here_is_refused_by_name() -> None:
    content = fixture("home-after-a-fall/admitted").replace(
        b"hospital-notification-message", b"empty-message"
    )
    assert _problem(content).code == "not-supported"


def test_a_notification_does_not_answer() -> None:
    def answering(made: Any) -> None:
        only(made, "MessageHeader")["response"] = {"identifier": "x", "code": "ok"}

    assert _problem(changed("home-after-a-fall/admitted", answering)).code == "invariant"


@pytest.mark.parametrize("gone", ["timestamp", "entry"])
def test_what_has_no_legible_outside_is_refused_without_envelope(gone: str) -> None:
    def without(made: Any) -> None:
        del made[gone]

    with pytest.raises(Refused):
        read(changed("home-after-a-fall/admitted", without))


# --- the official examples --------------------------------------------------------------------------------

OFFICIALLY = {
    "a5e5b880": ("STIN", K.ADMITTED, S.NEW),
    "bfab3e80": ("RE_STIN", K.ADMITTED, S.CORRECTION),
    "c83671a4": ("AN_STIN", K.ADMITTED, S.CANCELLATION),
    "d3128d9b": ("STOR", K.LEAVE_STARTED, S.NEW),
    "e94de8ee": ("SLOR", K.LEAVE_ENDED, S.NEW),
    "f4aa42a4": ("SLHJ", K.DISCHARGED, S.NEW),
    "g099bbf3": ("MORS", K.DECEASED, S.NEW),
    "h1c8e4a8": ("STAA", K.ADMITTED, S.NEW),
    "kcab461b": ("SLHJ", K.DISCHARGED, S.NEW),
    "ld31e08a": ("MORS", K.DECEASED, S.NEW),
    "m908i967": ("STIN", K.ADMITTED, S.NEW),
    "n73ccf30": ("STIN", K.ADMITTED, S.NEW),
}


@pytest.mark.parametrize("path", OFFICIAL_NOTIFICATIONS, ids=named)
def test_an_official_example_tells_what_it_is_about(path: Any) -> None:
    content = path.read_bytes()
    found = notice(content)
    assert (envelope(content).type, found.kind, found.standing) == OFFICIALLY[path.name[7:15]]
    assert found.hospital == found.sender
    if found.standing is not S.NEW:
        assert found.refers_to == "b9b4818e-02de-4cc4-b418-d20cbc7b5404"
