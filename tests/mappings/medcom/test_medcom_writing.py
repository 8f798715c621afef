"""HospitalNotification made from a notice of another standard: D-12, D-15, T7, process.md 21, 28, 29."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adapter.discharge.notices import Notice, NoticeKind, Standing
from adapter.errors import CannotWrite
from adapter.fhir import wire
from adapter.fhir.bundles import CPR, FNR, Clinician, Subject, Unit
from adapter.fhir.notices import message_bundle, notice_in, subject_in
from adapter.mappings import Addressing, Written, medcom
from adapter.mappings.medcom.conversing import WRITTEN
from adapter.messaging.envelope import Address
from tests.mappings.medcom.samples import envelope, only, read, resources

K, S = NoticeKind, Standing
ZONE = ZoneInfo("Europe/Copenhagen")
GLN, SOR = "https://www.gs1.org/gln", "urn:oid:1.2.208.176.1.1"
HOSPITAL = Address(
    identifiers=((GLN, "5799990000119"), (SOR, "990001000016001")), name="Klitby Sygehus, Medicinsk Afdeling"
)
HOME_CARE = Address(
    identifiers=((GLN, "5799990000218"), (SOR, "990002000016002")), name="Klitby Kommune, Hjemmeplejen"
)
INGER = Subject(
    identifiers=((CPR, "0302410000"),),
    family="Sandbjerg",
    given="Inger Marie",
    birth_date=date(1941, 2, 3),
    gender="female",
    address=("Strandvejen 4", "9999", "Klitby"),
)
ADMITTED = datetime(2026, 3, 2, 9, 15, tzinfo=ZONE)
SENT = datetime(2026, 3, 2, 9, 20, 1, tzinfo=ZONE)
AFTERWARDS = datetime(2026, 3, 12, 10, 0, tzinfo=ZONE)
"""When what was told wrong is taken back."""

OCCURRED = {
    K.ADMITTED: ADMITTED,
    K.LEAVE_STARTED: datetime(2026, 3, 6, 15, 0, tzinfo=ZONE),
    K.LEAVE_ENDED: datetime(2026, 3, 8, 18, 30, tzinfo=ZONE),
    K.DISCHARGED: datetime(2026, 3, 11, 13, 0, tzinfo=ZONE),
    K.LEFT_AGAINST_ADVICE: datetime(2026, 3, 11, 13, 0, tzinfo=ZONE),
    K.DECEASED: datetime(2026, 3, 9, 4, 10, tzinfo=ZONE),
}
WORDS = "Kan selv gå med rollator"


def message(number: int) -> str:
    return f"{number:08d}-aaaa-4aaa-8aaa-aaaaaaaaaaaa"


def told(
    kind: NoticeKind, *, subject: Subject = INGER, clinically: bool = False, **said: Any
) -> dict[str, Any]:
    """Our own Bundle of a notice of the stay."""
    occurred = said.get("occurred", OCCURRED.get(kind, SENT))
    first = said.get("standing", S.NEW) is S.NEW
    fields: dict[str, Any] = {
        "message_id": message(99),
        "sent_at": occurred + timedelta(minutes=5)
        if first and isinstance(occurred, datetime)
        else AFTERWARDS,
        "occurred": occurred,
        "sender": HOSPITAL.token,
        "receivers": (HOME_CARE.token,),
        "hospital": HOSPITAL.token,
        "admitted": ADMITTED,
    }
    more: dict[str, Any] = {}
    if clinically:
        fields |= {"text": WORDS}
        more = {
            "responsible": Clinician(family="Nord", given="Ea", profession="LE"),
            "unit": Unit(name="M2", phone="99"),
        }
    return message_bundle(
        Notice(kind=kind, **(fields | said)),
        subject=subject,
        sender=HOSPITAL,
        receivers=[HOME_CARE],
        hospital=HOSPITAL,
        transmission_id=message(98),
        **more,
    )


def write(bundle: dict[str, Any], number: int = 1, **other: Any) -> Written:
    to: dict[str, Any] = {
        "message_id": message(number),
        "transmission_id": message(900 + number),
        "sender": HOSPITAL,
        "receiver": HOME_CARE,
    }
    return medcom.write(bundle, dialect="medcom", addressing=Addressing(**(to | other)))


def written(kind: NoticeKind, number: int = 1, **said: Any) -> bytes:
    addressing = {
        name: said.pop(name) for name in ("previous", "refers_to", "receiver", "sender") if name in said
    }
    return write(told(kind, **said), number, **addressing).content


def story(*kinds: NoticeKind) -> list[bytes]:
    """The messages of a stay, each built on the one before."""
    made: list[bytes] = []
    for number, kind in enumerate(kinds, start=1):
        made.append(written(kind, number, previous=made[-1] if made else None))
    return made


def activities(content: bytes) -> list[str]:
    made = wire.parse(content)
    return [one["activity"]["coding"][0]["code"] for one in resources(made, "Provenance")]


def back(content: bytes) -> Notice:
    reading = read(content)
    assert reading.problem is None and reading.bundle is not None and reading.losses == ()
    return notice_in(reading.bundle, zone=ZONE)


# --- each activity ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "short", "activity", "status"),
    [
        (K.ADMITTED, "STIN", "admit-inpatient", "in-progress"),
        (K.LEAVE_STARTED, "STOR", "start-leave-inpatient", "onleave"),
        (K.DISCHARGED, "SLHJ", "discharge-inpatient-home", "finished"),
        (K.DECEASED, "MORS", "admit-inpatient", "finished"),
        (K.LEFT_AGAINST_ADVICE, "SLHJ", "discharge-inpatient-home", "finished"),
    ],
)
def test_what_has_happened_is_read_back(kind: NoticeKind, short: str, activity: str, status: str) -> None:
    done = write(told(kind))
    assert (done.type, activities(done.content)) == (short, [activity])
    assert only(wire.parse(done.content), "Encounter")["status"] == status
    found = back(done.content)
    assert found.kind is (K.DISCHARGED if kind is K.LEFT_AGAINST_ADVICE else kind)
    assert (found.occurred, found.admitted) == (OCCURRED[kind], ADMITTED)
    assert found.sender == found.hospital == HOSPITAL.token and found.receivers == (HOME_CARE.token,)


def test_the_end_of_a_leave_tells_its_beginning_too() -> None:
    *_, content = story(K.ADMITTED, K.LEAVE_STARTED, K.LEAVE_ENDED)
    [leave] = only(wire.parse(content), "Encounter")["extension"]
    assert leave["valuePeriod"] == {
        "start": OCCURRED[K.LEAVE_STARTED].isoformat(),
        "end": OCCURRED[K.LEAVE_ENDED].isoformat(),
    }
    assert back(content).occurred == OCCURRED[K.LEAVE_ENDED]


def test_an_acute_outpatient_is_told_by_the_class() -> None:
    bundle = told(K.ADMITTED)
    only(bundle, "Encounter")["class"]["code"] = "EMER"
    first = write(bundle)
    assert (first.type, activities(first.content)) == ("STAA", ["admit-emergency"])
    bundle = told(K.DISCHARGED)
    only(bundle, "Encounter")["class"]["code"] = "EMER"
    assert activities(write(bundle, 2, previous=first.content).content)[-1] == "discharge-emergency-home"


@pytest.mark.parametrize(
    ("before", "repeated"),
    [
        ((K.ADMITTED,), "admit-inpatient"),
        ((K.ADMITTED, K.LEAVE_STARTED), "start-leave-inpatient"),
        ((K.ADMITTED, K.LEAVE_STARTED, K.LEAVE_ENDED), "admit-inpatient"),
    ],
)
def test_a_death_repeats_what_was_told_last(before: tuple[NoticeKind, ...], repeated: str) -> None:
    *_, content = story(*before, K.DECEASED)
    assert activities(content)[-1] == repeated
    assert only(wire.parse(content), "Patient")["deceasedBoolean"] is True
    assert (envelope(content).type, back(content).occurred) == ("MORS", OCCURRED[K.DECEASED])


def test_a_whole_stay_is_read_back_in_order() -> None:
    made = story(K.ADMITTED, K.LEAVE_STARTED, K.LEAVE_ENDED, K.DISCHARGED)
    assert [envelope(one).type for one in made] == ["STIN", "STOR", "SLOR", "SLHJ"]


# --- the history ------------------------------------------------------------------------------------------


def test_each_message_carries_the_provenances_of_all_before_it() -> None:
    made = story(K.ADMITTED, K.LEAVE_STARTED, K.LEAVE_ENDED, K.DISCHARGED)
    for number, content in enumerate(made, start=1):
        provenances = resources(wire.parse(content), "Provenance")
        targets = [one["target"][0]["reference"] for one in provenances]
        assert targets == [f"MessageHeader/{message(n)}" for n in range(1, number + 1)]
        after = [one["entity"][0]["what"]["reference"] for one in provenances if "entity" in one]
        assert after == targets[:-1]


def test_the_agents_of_the_history_are_in_the_message() -> None:
    content = story(K.ADMITTED, K.LEAVE_STARTED, K.DISCHARGED)[-1]
    made = wire.parse(content)
    there = {f"Organization/{one['id']}" for one in resources(made, "Organization")}
    assert len(there) == 2
    assert {one["agent"][0]["who"]["reference"] for one in resources(made, "Provenance")} <= there


def test_all_messages_of_a_stay_have_one_episode_whoever_gets_them() -> None:
    made = story(K.ADMITTED, K.LEAVE_STARTED, K.DISCHARGED)
    other = Address(identifiers=((GLN, "5799990000317"), (SOR, "990003000016003")), name="Fjordby Kommune")
    made.append(written(K.DISCHARGED, 9, receiver=other))
    episodes = [only(wire.parse(one), "Encounter")["episodeOfCare"] for one in made]
    assert all(one == episodes[0] for one in episodes)
    assert episodes[0][0]["identifier"]["system"] == "https://sor2.sum.dsdn.dk/#id=990001000016001"


def test_another_patient_hospital_or_admission_is_another_episode() -> None:
    def episode(**said: Any) -> str:
        return str(back(written(K.DISCHARGED, **said)).episode)

    other = Subject(identifiers=((CPR, "0405520000"),), family="Sandbjerg", given="Bo")
    elsewhere = Address(
        identifiers=((GLN, "5799990000416"), (SOR, "990004000016004")), name="Bakkeby Sygehus"
    )
    found = [
        episode(),
        episode(subject=other),
        episode(admitted=datetime(2026, 3, 3, 9, 15, tzinfo=ZONE)),
        episode(sender=elsewhere),
    ]
    assert len(set(found)) == 4


def test_an_episode_that_was_told_before_is_returned_also_after_a_correction() -> None:
    [first] = story(K.ADMITTED)
    earlier = datetime(2026, 3, 2, 8, 40, tzinfo=ZONE)
    corrected = written(
        K.ADMITTED, 2, previous=first, refers_to=message(1), standing=S.CORRECTION, occurred=earlier
    )
    assert back(corrected).episode == back(first).episode
    discharged = written(K.DISCHARGED, 3, previous=corrected, admitted=earlier)
    assert back(discharged).episode == back(first).episode


def test_without_its_own_word_the_admission_is_that_which_was_told_before() -> None:
    [first] = story(K.ADMITTED)
    assert back(written(K.DISCHARGED, 2, previous=first, admitted=None)).admitted == ADMITTED


def test_a_new_admission_after_the_discharge_begins_a_new_history() -> None:
    made = story(K.ADMITTED, K.DISCHARGED)
    again = written(K.ADMITTED, 3, previous=made[-1], occurred=datetime(2026, 4, 1, 8, 0, tzinfo=ZONE))
    assert activities(again) == ["admit-inpatient"]
    assert back(again).episode != back(made[0]).episode


def test_a_new_admission_after_a_cancelled_one_begins_a_new_history() -> None:
    [first] = story(K.ADMITTED)
    gone = written(K.ADMITTED, 2, previous=first, refers_to=message(1), standing=S.CANCELLATION)
    again = written(K.ADMITTED, 3, previous=gone, occurred=datetime(2026, 4, 1, 8, 0, tzinfo=ZONE))
    assert activities(again) == ["admit-inpatient"]


@pytest.mark.parametrize("wrong", [K.DISCHARGED, K.DECEASED])
def test_the_stay_goes_on_where_its_end_was_cancelled(wrong: NoticeKind) -> None:
    made = story(K.ADMITTED, wrong)
    undone = written(wrong, 3, previous=made[-1], refers_to=message(2), standing=S.CANCELLATION)
    later = datetime(2026, 3, 14, 8, 0, tzinfo=ZONE)
    assert len(activities(written(K.ADMITTED, 4, previous=undone, occurred=later))) == 4


def test_a_stay_goes_on_after_an_acute_admission_became_another() -> None:
    bundle = told(K.ADMITTED)
    only(bundle, "Encounter")["class"]["code"] = "EMER"
    first = write(bundle).content
    assert activities(written(K.ADMITTED, 2, previous=first)) == ["admit-emergency", "admit-inpatient"]


# --- corrections and cancellations ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("standing", "short", "activity", "role"),
    [
        (S.CORRECTION, "RE_STIN", "revise-admit-inpatient", "revision"),
        (S.CANCELLATION, "AN_STIN", "cancel-admit-inpatient", "removal"),
    ],
)
def test_what_is_taken_back_names_its_message(
    standing: Standing, short: str, activity: str, role: str
) -> None:
    [first] = story(K.ADMITTED)
    done = write(told(K.ADMITTED, standing=standing), 2, previous=first, refers_to=message(1))
    assert (done.type, activities(done.content)) == (short, ["admit-inpatient", activity])
    own = resources(wire.parse(done.content), "Provenance")[-1]
    assert own["entity"] == [{"role": role, "what": {"reference": f"MessageHeader/{message(1)}"}}]
    found = back(done.content)
    assert (found.standing, found.refers_to) == (standing, message(1))
    cancelled = only(wire.parse(done.content), "Encounter")["status"] == "entered-in-error"
    assert cancelled is (standing is S.CANCELLATION)


@pytest.mark.parametrize("kind", [K.LEAVE_STARTED, K.DISCHARGED, K.DECEASED])
@pytest.mark.parametrize("standing", [S.CORRECTION, S.CANCELLATION])
def test_everything_can_be_corrected_and_cancelled(kind: NoticeKind, standing: Standing) -> None:
    made = story(K.ADMITTED, kind)
    content = written(kind, 3, previous=made[-1], refers_to=message(2), standing=standing)
    found = back(content)
    assert (found.kind, found.standing, found.refers_to) == (kind, standing, message(2))


def test_a_cancellation_after_a_correction_is_sent() -> None:
    [first] = story(K.ADMITTED)
    corrected = written(K.ADMITTED, 2, previous=first, refers_to=message(1), standing=S.CORRECTION)
    content = written(K.ADMITTED, 3, previous=corrected, refers_to=message(2), standing=S.CANCELLATION)
    assert back(content).refers_to == message(2)


def test_a_corrected_admission_after_a_leave_began_is_tied_to_the_admission() -> None:
    made = story(K.ADMITTED, K.LEAVE_STARTED)
    content = written(K.ADMITTED, 3, previous=made[-1], refers_to=message(1), standing=S.CORRECTION)
    assert back(content).refers_to == message(1)


def leave_in(content: bytes) -> tuple[str, dict[str, str] | None]:
    encounter = only(wire.parse(content), "Encounter")
    [leave] = encounter.get("extension") or [{"valuePeriod": None}]
    return encounter["status"], leave["valuePeriod"]


def test_a_correction_leaves_the_stay_as_it_stands() -> None:
    start, end = (OCCURRED[kind].isoformat() for kind in (K.LEAVE_STARTED, K.LEAVE_ENDED))
    on_leave = story(K.ADMITTED, K.LEAVE_STARTED)
    revised = written(K.ADMITTED, 3, previous=on_leave[-1], refers_to=message(1), standing=S.CORRECTION)
    assert leave_in(revised) == ("onleave", {"start": start})
    ended = story(K.ADMITTED, K.LEAVE_STARTED, K.LEAVE_ENDED)
    earlier = datetime(2026, 3, 6, 14, 0, tzinfo=ZONE)
    again = written(
        K.LEAVE_STARTED, 4, previous=ended[-1], refers_to=message(2), standing=S.CORRECTION, occurred=earlier
    )
    assert leave_in(again) == ("in-progress", {"start": earlier.isoformat(), "end": end})
    assert leave_in(written(K.ADMITTED, 2, previous=story(K.ADMITTED)[0])) == ("in-progress", None)


def test_a_death_on_leave_tells_of_the_leave() -> None:
    *_, content = story(K.ADMITTED, K.LEAVE_STARTED, K.DECEASED)
    assert leave_in(content) == ("finished", {"start": OCCURRED[K.LEAVE_STARTED].isoformat()})
    *_, home = story(K.ADMITTED, K.LEAVE_STARTED, K.LEAVE_ENDED, K.DISCHARGED)
    assert leave_in(home) == ("finished", None)


@pytest.mark.parametrize("standing", [S.CORRECTION, S.CANCELLATION])
def test_nothing_follows_a_cancellation(standing: Standing) -> None:
    [first] = story(K.ADMITTED)
    gone = written(K.ADMITTED, 2, previous=first, refers_to=message(1), standing=S.CANCELLATION)
    with pytest.raises(CannotWrite, match="cancelled already"):
        written(K.ADMITTED, 3, previous=gone, refers_to=message(1), standing=standing)


def test_no_corrected_admission_follows_the_discharge() -> None:
    made = story(K.ADMITTED, K.DISCHARGED)
    with pytest.raises(CannotWrite, match="may not follow the discharge"):
        written(K.ADMITTED, 3, previous=made[-1], refers_to=message(1), standing=S.CORRECTION)
    undone = written(K.DISCHARGED, 3, previous=made[-1], refers_to=message(2), standing=S.CANCELLATION)
    content = written(K.ADMITTED, 4, previous=undone, refers_to=message(1), standing=S.CORRECTION)
    assert back(content).refers_to == message(1)


@pytest.mark.parametrize("standing", [S.CORRECTION, S.CANCELLATION])
def test_what_the_receiver_never_had_is_not_taken_back(standing: Standing) -> None:
    with pytest.raises(CannotWrite, match="never sent"):
        written(K.ADMITTED, standing=standing)
    [first] = story(K.ADMITTED)
    with pytest.raises(CannotWrite, match="never sent"):
        written(K.DISCHARGED, 2, previous=first, standing=standing)


# --- what may not leave, and what cannot be said ----------------------------------------------------------


def test_who_and_when_and_nothing_of_health_or_home() -> None:
    done = write(told(K.DISCHARGED, clinically=True, planned_discharge=date(2026, 3, 11), ready=ADMITTED))
    made = wire.parse(done.content)
    kinds = {item["resource"]["resourceType"] for item in made["entry"]}
    assert kinds == {"MessageHeader", "Patient", "Encounter", "Organization", "Provenance"}
    patient = only(made, "Patient")
    assert set(patient) == {"resourceType", "id", "meta", "text", "identifier", "name"}
    for kept_back in (WORDS, "Strandvejen", "Nord", "1941", "female", "ready-for-discharge"):
        assert kept_back not in done.content.decode()
    assert done.losses == (
        "the day of the planned discharge",
        "that the patient is ready for discharge",
        "what is said in words",
        "who answers for the message",
    )


def test_the_label_of_a_protected_identity_goes_along() -> None:
    bundle = told(K.ADMITTED)
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}
    only(bundle, "Patient")["meta"] = {"security": [label]}
    assert only(wire.parse(write(bundle).content), "Patient")["meta"]["security"] == [label]


@pytest.mark.parametrize("number", [(), ((FNR, "12833840104"),), ((CPR, "03024A0000"),)])
def test_an_official_cpr_number_is_needed(number: Any) -> None:
    with pytest.raises(CannotWrite, match="official CPR number") as refused:
        written(K.ADMITTED, subject=Subject(identifiers=number, family="Sandbjerg", given="Inger"))
    assert "0302" not in str(refused.value) and "1283" not in str(refused.value)


@pytest.mark.parametrize("lacking", [GLN, SOR])
def test_a_party_without_gln_or_sor_cannot_be_addressed(lacking: str) -> None:
    there = tuple(pair for pair in HOME_CARE.identifiers if pair[0] != lacking)
    with pytest.raises(CannotWrite, match="give the party one in the region file"):
        written(K.ADMITTED, receiver=Address(identifiers=there, name="Klitby Kommune"))


def test_a_transfer_is_no_discharge() -> None:
    bundle = told(K.DISCHARGED)
    disposition = {
        "system": "http://terminology.hl7.org/CodeSystem/discharge-disposition",
        "code": "other-hcf",
    }
    only(bundle, "Encounter")["hospitalization"] = {"dischargeDisposition": {"coding": [disposition]}}
    with pytest.raises(CannotWrite, match="sends its own admission"):
        write(bundle)


def test_the_end_of_a_leave_needs_its_beginning() -> None:
    [first] = story(K.ADMITTED)
    with pytest.raises(CannotWrite, match="leave's beginning"):
        written(K.LEAVE_ENDED, 2, previous=first)


def test_a_stay_without_admission_is_not_told() -> None:
    with pytest.raises(CannotWrite, match="when the patient was admitted"):
        written(K.DISCHARGED, admitted=None)


@pytest.mark.parametrize("kind", sorted(set(K) - medcom.told_together(K.ADMITTED) - WRITTEN))
def test_what_hospital_notification_has_no_word_for_is_not_bent_into_one(kind: NoticeKind) -> None:
    bundle = {"entry": [{"fullUrl": "urn:x", "resource": only(told(K.ADMITTED), "MessageHeader")}]}
    bundle = json.loads(json.dumps(bundle))
    only(bundle, "MessageHeader")["eventCoding"]["code"] = kind.value
    with pytest.raises(CannotWrite, match="by telephone"):
        write(bundle)


def test_of_a_day_alone_the_time_of_day_is_said_to_be_lost() -> None:
    done = write(told(K.DISCHARGED, occurred=date(2026, 3, 1), sent_at=SENT))
    assert back(done.content).occurred == datetime(2026, 3, 1, tzinfo=ZONE)
    assert done.losses == ("that only the day was told: MedCom wants the time of day",)


def test_every_time_has_its_offset() -> None:
    summer = datetime(2026, 7, 2, 9, 15, tzinfo=ZONE)
    made = wire.parse(written(K.ADMITTED, occurred=summer, sent_at=summer))
    assert only(made, "Encounter")["period"]["start"] == "2026-07-02T09:15:00+02:00"
    winter = wire.parse(written(K.ADMITTED, occurred=ADMITTED.astimezone(UTC)))
    assert only(winter, "Encounter")["period"]["start"] == "2026-03-02T08:15:00+00:00"


def test_the_patient_is_the_same() -> None:
    reading = read(written(K.ADMITTED))
    assert reading.bundle is not None
    found = subject_in(reading.bundle)
    assert (found.identifiers, found.family, found.given) == (INGER.identifiers, INGER.family, INGER.given)


def test_the_same_notice_gives_the_same_bytes() -> None:
    assert written(K.ADMITTED) == written(K.ADMITTED)
