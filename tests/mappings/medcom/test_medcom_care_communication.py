"""CareCommunication: read as what people say in a thread, given back as it came, and written anew."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adapter.discharge.notices import AnswerValue, Notice, NoticeKind, Standing
from adapter.errors import CannotWrite, Refused
from adapter.fhir import wire
from adapter.fhir.bundles import CPR, SOR, Subject, Unit
from adapter.fhir.notices import message_bundle, notice_in
from adapter.mappings import Addressing, Reading, medcom, own_fhir
from adapter.mappings.medcom import enveloping, sentences
from adapter.mappings.medcom.findings import values
from adapter.mappings.medcom.profiles import broken
from adapter.messaging.envelope import Address

K, A = NoticeKind, AnswerValue
COPENHAGEN = ZoneInfo("Europe/Copenhagen")
SAMPLES = os.environ.get("DISCHARGE_ADAPTER_SAMPLES")
OURS = Path(__file__).parents[3] / "fixtures" / "medcom"
THREAD = OURS / "medicine-asked-about"
ASKED, ANSWERED, THANKED = (THREAD / f"{name}.json" for name in ("01-asked", "02-answered", "03-thanked"))
FORWARDED = OURS / "forwarded-to-the-trainers" / "01-forwarded.json"
READY, ANSWER, IN_WORDS = (
    OURS / "ready-and-answered" / f"{name}.json"
    for name in ("01-ready", "02-answered", "03-answered-in-words")
)
REFERRAL = OURS / "without-a-cpr-number" / "01-referral.json"
TALKS = (ASKED, ANSWERED, THANKED, FORWARDED, READY, ANSWER, IN_WORDS, REFERRAL)
GLN = "https://www.gs1.org/gln"
X_ECPR = "urn:oid:1.2.208.176.1.6.1.1"

HOSPITAL = Address(identifiers=((GLN, "5799990000118"), (SOR, "990101000016001")), name="Fjordby Sygehus")
MUNICIPALITY = Address(identifiers=((GLN, "5799990000125"), (SOR, "990102000016002")), name="Fjordby Kommune")
ASTRID = Subject(identifiers=((CPR, "1011400000"),), family="Holm", given="Astrid")
AT = datetime(2026, 3, 5, 15, 0, tzinfo=COPENHAGEN)
ID, TRANSMISSION = "2a1f3f0e-0000-4000-8000-000000000001", "2a1f3f0e-0000-4000-8000-000000000002"

Resource = dict[str, Any]


def read(content: bytes) -> Reading:
    return medcom.read(content, content_type=None, zone=COPENHAGEN)


def told(path: Path) -> Notice:
    found = read(path.read_bytes())
    assert found.problem is None
    assert found.bundle is not None
    return notice_in(found.bundle, zone=COPENHAGEN)


def changed(path: Path, change: Callable[[Resource], object]) -> bytes:
    found = json.loads(path.read_bytes())
    change(found)
    return json.dumps(found).encode()


def one(found: Resource, kind: str, at: int = 0) -> Resource:
    every = [e["resource"] for e in found["entry"] if e["resource"]["resourceType"] == kind]
    resource: Resource = every[at]
    return resource


# --- reading ----------------------------------------------------------------------------------------------


def test_a_new_message_is_a_note_and_a_reply_answers_the_one_before_it() -> None:
    asked, answered, thanked = told(ASKED), told(ANSWERED), told(THANKED)
    assert [n.kind for n in (asked, answered, thanked)] == [K.NOTE, K.REPLY, K.REPLY]
    assert asked.refers_to is None
    assert answered.refers_to == asked.message_id
    assert thanked.refers_to == answered.message_id


def test_a_message_says_what_it_brought_and_not_the_whole_thread() -> None:
    assert told(ANSWERED).text == "Listen er vedhæftet. Hilsen Maja Lind, sygeplejerske."
    assert told(THANKED).text == "Tak. Vi bestiller dosispakning fra mandag."


def test_what_a_message_brought_its_own_provenance_says_and_not_the_time() -> None:
    """The segment that is answered has the later time: two clocks, or two who wrote at once."""

    def later(found: Resource) -> None:
        first = one(found, "Communication")["payload"][0]["extension"][0]
        first["valueDateTime"] = "2026-03-03T10:00:00+01:00"

    found = read(changed(ANSWERED, later))
    assert found.bundle is not None
    assert notice_in(found.bundle, zone=COPENHAGEN).text == told(ANSWERED).text


def test_every_message_of_a_thread_names_the_first_one() -> None:
    first = told(ASKED).message_id
    found = [read(path.read_bytes()).envelope.conversation for path in (ASKED, ANSWERED, THANKED)]
    assert found == [None, first, first]


def test_a_forwarding_begins_a_thread_and_says_all_that_was_written_before() -> None:
    found = read(FORWARDED.read_bytes())
    assert found.envelope.conversation is None
    assert found.envelope.refers_to is None
    text = told(FORWARDED).text or ""
    said = ("Til orientering", "Listen er vedhæftet", "Hvilken medicin skal Astrid")
    places = [text.index(part) for part in said]
    assert places == sorted(places)
    assert "03.03.2026 kl. 09.20:" in text


def test_an_answer_to_a_forwarding_belongs_to_the_thread_that_this_began() -> None:
    def reply(found: Resource) -> None:
        head, own = one(found, "MessageHeader"), json.loads(json.dumps(one(found, "Provenance", -1)))
        before = head["id"]
        head["id"] = own["id"] = ID
        own["target"] = [{"reference": f"MessageHeader/{ID}"}]
        own["occurredDateTime"] = "2026-03-04T08:00:00+01:00"
        own["activity"]["coding"][0]["code"] = "reply-message"
        own["entity"][1]["what"]["reference"] = f"MessageHeader/{before}"
        found["entry"].append({"fullUrl": f"https://fjordby.example/fhir/Provenance/{ID}", "resource": own})

    found = read(changed(FORWARDED, reply))
    assert found.problem is None
    assert found.envelope.conversation == found.envelope.refers_to == told(FORWARDED).message_id


def test_a_reply_without_the_thread_before_it_is_known_by_the_threads_own_id() -> None:
    def alone(found: Resource) -> None:
        first = one(found, "Provenance")
        found["entry"] = [e for e in found["entry"] if e["resource"] is not first]

    found = read(changed(ANSWERED, alone))
    assert found.problem is None
    assert found.envelope.conversation == "5d0c7f10-0001-4e11-8c33-000000000001"


def test_a_reply_to_a_letter_of_before_fhir_is_taken() -> None:
    def old(found: Resource) -> None:
        own = one(found, "Provenance", -1)
        own["entity"][-1]["what"] = {"identifier": {"value": "B300720181623#5790000121526"}}

    assert read(changed(ANSWERED, old)).envelope.refers_to == "B300720181623#5790000121526"


def test_an_organisation_without_a_name_and_extra_data_are_taken() -> None:
    def extra(found: Resource) -> None:
        del one(found, "Organization")["name"]
        one(found, "Communication")["extension"] = [{"url": "https://vendor.example/x", "valueString": "y"}]
        basic = {"resourceType": "Basic", "id": "x", "code": {"text": "vendor"}}
        found["entry"].append({"fullUrl": "https://fjordby.example/fhir/Basic/x", "resource": basic})

    found = read(changed(ANSWERED, extra))
    assert found.problem is None
    assert found.losses == ()


def test_a_patient_without_a_cpr_number_is_known_by_a_replacement_one() -> None:
    found = read(REFERRAL.read_bytes())
    assert found.problem is None
    assert found.bundle is not None
    assert values(one(found.bundle, "Patient"), "identifier.system") == [X_ECPR]


@pytest.mark.parametrize(
    ("name", "change"),
    (
        ("medcom-careCommunication-communication", lambda b: one(b, "Communication").pop("category")),
        ("medcom-careCommunication-8", lambda b: one(b, "Practitioner").pop("name")),
        ("medcom-carecommunication-definition-url", lambda b: one(b, "MessageHeader").pop("definition")),
    ),
)
def test_a_message_that_breaks_the_profile_is_refused_by_name(
    name: str, change: Callable[[Resource], object]
) -> None:
    found = read(changed(ANSWERED, change))
    assert isinstance(found.problem, Refused)
    assert name in found.problem.reason
    assert found.bundle is None


# --- our own sentences ------------------------------------------------------------------------------------


def test_a_hospitals_sentence_of_readiness_is_a_ready_notice_and_else_its_words() -> None:
    found = read(READY.read_bytes())
    ready = told(READY)
    assert (ready.kind, ready.ready, ready.text) == (
        K.READY_FOR_DISCHARGE, date(2026, 3, 6), "Hun går med rollator.",
    )  # fmt: skip
    assert ready.hospital == HOSPITAL.token
    assert found.heard_from("hospital").bundle is found.bundle
    quoted = found.heard_from("municipality").bundle
    assert quoted is not None
    words = notice_in(quoted, zone=COPENHAGEN)
    assert words.kind is K.NOTE
    assert (words.text or "").startswith("Melding om færdigbehandlet patient: Patienten er")


def test_a_municipalitys_sentence_is_its_answer_to_what_it_answers() -> None:
    found, answer = read(ANSWER.read_bytes()), told(ANSWER)
    assert (answer.kind, answer.answer, answer.receive_from) == (K.ANSWER, A.CAN_RECEIVE, date(2026, 3, 7))
    assert answer.text == "Vi henter hende kl. 10."
    assert answer.refers_to == told(READY).message_id
    by_hospital = found.heard_from("hospital").bundle
    assert by_hospital is not None
    assert notice_in(by_hospital, zone=COPENHAGEN).kind is K.REPLY


def test_free_words_stay_words() -> None:
    assert told(IN_WORDS).kind is K.REPLY
    assert read(IN_WORDS.read_bytes()).in_words is None


def test_the_sentence_counts_in_the_category_of_discharge_alone() -> None:
    def other(found: Resource) -> None:
        one(found, "Communication")["category"][0]["coding"][0]["code"] = "nursing"

    found = read(changed(READY, other))
    assert found.bundle is not None
    assert notice_in(found.bundle, zone=COPENHAGEN).kind is K.NOTE


SENTENCES: tuple[dict[str, Any], ...] = (
    {"kind": K.ANSWER, "answer": A.CAN_RECEIVE, "receive_from": date(2026, 3, 7)},
    {"kind": K.ANSWER, "answer": A.CAN_RECEIVE},
    {"kind": K.ANSWER, "answer": A.CANNOT_RECEIVE, "receive_from": date(2026, 3, 9)},
    {"kind": K.ANSWER, "answer": A.CANNOT_RECEIVE},
    {"kind": K.ANSWER, "answer": A.NOT_KNOWN, "receive_from": date(2026, 3, 9)},
    {"kind": K.ANSWER, "answer": A.NOT_KNOWN},
    {"kind": K.READY_FOR_DISCHARGE, "ready": date(2026, 3, 6)},
    {"kind": K.READY_FOR_DISCHARGE, "ready": datetime(2026, 3, 29, 3, 30, tzinfo=COPENHAGEN)},
    {"kind": K.READY_FOR_DISCHARGE, "ready": date(2026, 3, 6), "estimate": True},
    {"kind": K.READY_FOR_DISCHARGE},
    {"kind": K.READINESS_WITHDRAWN},
    {"kind": K.PLANNED_DISCHARGE, "planned_discharge": date(2026, 3, 10)},
)


@pytest.mark.parametrize("said", SENTENCES)
@pytest.mark.parametrize("text", (None, "Og mere.\nI to linjer."))
def test_what_is_written_as_a_sentence_is_read_back_as_what_it_says(
    said: dict[str, Any], text: str | None
) -> None:
    by_municipality = said["kind"] is K.ANSWER
    notice = ours(**said, text=text, by_municipality=by_municipality)
    back = notice_in(read(written(notice).content).bundle or {}, zone=COPENHAGEN)
    assert replace(back, **OUTSIDE) == replace(notice, **OUTSIDE)


OUTSIDE: dict[str, Any] = {"message_id": "", "hospital": None, "sender": "", "receivers": ()}


@pytest.mark.parametrize(
    "text",
    (
        "svar  på melding om FÆRDIGBEHANDLET patient: kommunen kan modtage patienten fra 7.3.2026.",
        "Svar på melding om færdigbehandlet patient:\nKommunen kan modtage patienten fra 07. 03. 2026. Ja!",
    ),
)
def test_a_sentence_is_heard_in_any_case_and_spacing(text: str) -> None:
    found = sentences.heard(text)
    assert found is not None
    assert (found.answer, found.moment) == (A.CAN_RECEIVE, date(2026, 3, 7))


@pytest.mark.parametrize(
    "text",
    (
        "Svar på melding om færdigbehandlet patient: Kommunen kan modtage patienten fra 31.2.2026.",
        "Svar på melding om færdigbehandlet patient: Kommunen kan modtage patienten fra 07.03.1026.",
        "Melding om færdigbehandlet patient: Patienten er færdigbehandlet fra 06.03.2026 kl. 25.10.",
        "Ikke sandt: Melding om færdigbehandlet patient: Patienten er færdigbehandlet.",
        "Patienten er færdigbehandlet.",
    ),
)
def test_what_only_looks_like_a_sentence_is_none(text: str) -> None:
    assert sentences.heard(text) is None


# --- writing ----------------------------------------------------------------------------------------------


def ours(*, by_municipality: bool = False, **said: Any) -> Notice:
    sender, receiver = (MUNICIPALITY, HOSPITAL) if by_municipality else (HOSPITAL, MUNICIPALITY)
    outside = {"sender": sender.token, "receivers": (receiver.token,), "message_id": ID}
    return Notice(sent_at=AT, occurred=AT, **(outside | said))


def bundle_of(notice: Notice, **more: Any) -> Resource:
    sender = MUNICIPALITY if notice.sender == MUNICIPALITY.token else HOSPITAL
    receiver = HOSPITAL if sender is MUNICIPALITY else MUNICIPALITY
    outside: dict[str, Any] = {
        "subject": ASTRID, "sender": sender, "receivers": [receiver], "transmission_id": TRANSMISSION,
        "unit": Unit(name="Visitationen", phone="79990012"),
    }  # fmt: skip
    return message_bundle(notice, **(outside | more))


def written(notice: Notice, dialect: str = "medcom", bundle: Resource | None = None, **more: Any) -> Any:
    sender = MUNICIPALITY if notice.sender == MUNICIPALITY.token else HOSPITAL
    receiver = HOSPITAL if sender is MUNICIPALITY else MUNICIPALITY
    addressing = Addressing(
        message_id=ID, transmission_id=TRANSMISSION, sender=sender, receiver=receiver, **more
    )
    return medcom.write(bundle or bundle_of(notice), dialect=dialect, addressing=addressing)


def test_what_we_write_keeps_every_rule_of_the_profile() -> None:
    made = json.loads(written(ours(kind=K.NOTE, text="Hej")).content)
    assert broken(made) == ()
    assert values(one(made, "Communication"), "category.coding.code") == ["carecoordination"]
    assert one(made, "MessageHeader")["definition"].endswith("MedComCareCommunicationMessageDefinition|5.0")
    contact = values(one(made, "Communication"), "payload.extension.valueContactPoint.value")
    assert contact == ["79990012"]


def test_a_reply_goes_on_with_the_thread_that_it_answers() -> None:
    before = json.loads(ANSWERED.read_bytes())
    notice = ours(kind=K.REPLY, text="Tak.", by_municipality=True)
    reply = written(notice, refers_to=told(ANSWERED).message_id, previous=ANSWERED.read_bytes())
    made = json.loads(reply.content)
    assert broken(made) == ()
    talk, earlier = one(made, "Communication"), one(before, "Communication")
    for element in ("identifier", "category", "topic"):
        assert talk[element] == earlier[element]
    ids = "payload.extension.valueIdentifier.value"
    assert values(talk, ids)[:3] == values(earlier, ids)
    assert len(talk["payload"]) == 4
    assert [p.get("contentAttachment", {}).get("data") for p in talk["payload"]] == [None] * 4
    assert talk["payload"][2]["contentAttachment"]["title"] == "Medicinliste"
    steps = [e["resource"] for e in made["entry"] if e["resource"]["resourceType"] == "Provenance"]
    assert values(steps[-1], "activity.coding.code") == ["reply-message"]
    assert values(steps[-1], "entity.what.reference") == [f"MessageHeader/{told(ANSWERED).message_id}"]
    assert [step["id"] for step in steps[:-1]] == [one(before, "Provenance", n)["id"] for n in (0, 1)]
    found = read(reply.content)
    assert found.envelope.conversation == told(ASKED).message_id
    assert notice_in(found.bundle or {}, zone=COPENHAGEN).text == "Tak."


def test_a_thread_in_an_envelope_is_answered_in_one() -> None:
    notice = ours(kind=K.REPLY, text="Tak.", by_municipality=True)
    before = enveloping.close(ANSWERED.read_bytes())
    reply = written(notice, "medcom-vans", refers_to=told(ANSWERED).message_id, previous=before)
    assert reply.content_type == "application/xml"
    found = read(reply.content)
    assert found.envelope.dialect == "medcom-vans"
    assert found.envelope.conversation == told(ASKED).message_id
    assert found.losses == ()


def test_the_episode_of_the_thread_is_returned() -> None:
    notice = ours(kind=K.ANSWER, answer=A.NOT_KNOWN, by_municipality=True)
    made = json.loads(written(notice, refers_to=told(READY).message_id, previous=READY.read_bytes()).content)
    known = one(json.loads(READY.read_bytes()), "Encounter")["episodeOfCare"]
    assert one(made, "Encounter")["episodeOfCare"] == known
    assert values(one(made, "Communication"), "encounter.reference")


def test_files_that_may_be_sent_are_and_others_are_told_of() -> None:
    notice = ours(kind=K.NOTE, text="Se bilag.")
    bundle = bundle_of(notice)
    pdf = {"contentType": "application/pdf", "data": "JVBERg==", "title": "Plan"}
    page = {"contentType": "text/html", "data": "PGI+", "title": "Side"}
    one(bundle, "Communication")["payload"] = [{"contentAttachment": pdf}, {"contentAttachment": page}]
    made = written(notice, bundle=bundle)
    assert broken(json.loads(made.content)) == ()
    files = values(one(json.loads(made.content), "Communication"), "payload.contentAttachment.title")
    assert files == ["Plan"]
    assert any("a file" in loss for loss in made.losses)


def test_a_replacement_number_is_written_as_it_is() -> None:
    notice = ours(kind=K.NOTE, text="Hej")
    unknown = Subject(identifiers=((X_ECPR, "1011401AB2"),), family="Prøve", given="Ukendt")
    made = json.loads(written(notice, bundle=bundle_of(notice, subject=unknown)).content)
    assert broken(made) == ()
    assert values(one(made, "Patient"), "identifier.value") == ["1011401AB2"]


@pytest.mark.parametrize(
    ("notice", "more", "said"),
    (
        (ours(kind=K.NOTE), {}, "says nothing in words"),
        (ours(kind=K.READY_FOR_DISCHARGE, standing=Standing.CANCELLATION), {}, "cannot be taken back"),
        (ours(kind=K.CARE_NEEDS), {}, "MedCom has no message for care-needs"),
        (ours(kind=K.NOTE, text="Hej"), {"unit": None}, "has no telephone; give it one in the region file"),
        (ours(kind=K.NOTE, text="Hej"), {"subject": replace(ASTRID, family=None)}, "names its patient"),
        (ours(kind=K.NOTE, text="Hej"), {"subject": replace(ASTRID, identifiers=())}, "names its patient"),
    ),
)
def test_what_cannot_be_a_care_communication_says_what_to_do(
    notice: Notice, more: dict[str, Any], said: str
) -> None:
    with pytest.raises(CannotWrite, match=said):
        written(notice, bundle=bundle_of(notice, **more))


def test_the_partys_telephone_stands_in_where_the_message_has_none() -> None:
    notice = ours(kind=K.NOTE, text="Hej")
    made = json.loads(written(notice, bundle=bundle_of(notice, unit=None), telephone="79990000").content)
    assert values(one(made, "Communication"), "payload.extension.valueContactPoint.value") == ["79990000"]


# --- there and back ---------------------------------------------------------------------------------------


def meaning(value: Any) -> Any:
    """What is said: all but the narratives and the profiles, which are made anew (accepted)."""
    if isinstance(value, dict):
        return {k: meaning(v) for k, v in value.items() if k != "meta" and not _is_narrative(k, v)}
    return [meaning(item) for item in value] if isinstance(value, list) else value


def _is_narrative(name: str, value: Any) -> bool:
    return name == "text" and isinstance(value, dict) and "div" in value


def there_and_back(content: bytes) -> None:
    found = read(content)
    assert found.problem is None
    outside = found.envelope
    addressing = Addressing(
        message_id=outside.message_id,
        transmission_id=outside.transmission_id or "",
        sender=outside.sender,
        receiver=outside.receivers[0],
        refers_to=outside.refers_to,
    )
    for bundle in (found.bundle, found.in_words):
        if bundle is not None:
            again = medcom.write(bundle, dialect="medcom", addressing=addressing)
            assert again.losses == ()
            assert meaning(json.loads(again.content)) == meaning(wire.parse(content))


@pytest.mark.parametrize("path", TALKS, ids=lambda path: path.stem)
def test_our_conversations_come_back_as_they_went(path: Path) -> None:
    there_and_back(path.read_bytes())
    assert read(path.read_bytes()).losses == ()


def test_a_reader_who_knows_the_answered_message_by_another_id_is_told_that_one() -> None:
    found = read(ANSWERED.read_bytes())
    assert found.bundle is not None
    addressing = Addressing(
        message_id=ID, transmission_id=TRANSMISSION, sender=HOSPITAL, receiver=MUNICIPALITY,
        refers_to="2a1f3f0e-0000-4000-8000-000000000009",
    )  # fmt: skip
    again = read(medcom.write(found.bundle, dialect="medcom", addressing=addressing).content)
    assert again.envelope.message_id == ID
    assert again.envelope.refers_to == "2a1f3f0e-0000-4000-8000-000000000009"


@pytest.mark.parametrize("path", TALKS, ids=lambda path: path.stem)
def test_our_own_messages_carry_a_conversation_there_and_back(path: Path) -> None:
    found = read(path.read_bytes())
    outside = found.envelope
    addressing = Addressing(
        message_id=ID, transmission_id=TRANSMISSION, sender=outside.sender, receiver=outside.receivers[0],
        refers_to=outside.refers_to,
    )  # fmt: skip
    assert found.bundle is not None
    carried = own_fhir.write(found.bundle, dialect="fhir", addressing=addressing)
    ours = own_fhir.read(carried.content, content_type=None, zone=COPENHAGEN)
    assert ours.problem is None
    assert ours.bundle is not None
    said, meant = (notice_in(each, zone=COPENHAGEN) for each in (ours.bundle, found.bundle))
    assert (said.kind, said.text, said.answer, said.ready) == (
        meant.kind, meant.text, meant.answer, meant.ready,
    )  # fmt: skip
    again = medcom.write(ours.bundle, dialect="medcom", addressing=addressing)
    talks = [one(wire.parse(c), "Communication") for c in (again.content, path.read_bytes())]
    assert meaning(talks[0]) == meaning(talks[1])


def test_what_would_break_medcoms_rules_is_not_written() -> None:
    notice = ours(kind=K.NOTE, text="Hej")
    bundle = bundle_of(notice)
    one(bundle, "Patient")["identifier"][0]["value"] = "9911400000"
    with pytest.raises(CannotWrite, match="it would break MedCom's own rules: cpr: "):
        written(notice, bundle=bundle)


if SAMPLES:
    OFFICIAL = sorted((Path(SAMPLES) / "denmark" / "carecommunication").glob("Bundle-*.*"))

    def test_there_are_official_conversations() -> None:
        assert len(OFFICIAL) == 16

    @pytest.mark.parametrize("path", OFFICIAL, ids=lambda path: path.name)
    def test_official_conversations_come_back_as_they_went(path: Path) -> None:
        there_and_back(path.read_bytes())

    @pytest.mark.parametrize("path", OFFICIAL, ids=lambda path: path.name)
    def test_official_conversations_say_something(path: Path) -> None:
        assert told(path).text
