"""Each rule at the border refuses what it is there for, and says so without quoting the message."""

from copy import deepcopy

import pytest

from adapter.discharge.notices import NoticeKind
from adapter.errors import Refused
from adapter.fhir import shape
from adapter.fhir.bundles import EXTENSION_BASE, extension_url, header, of_type
from adapter.fhir.codes import ISSUE
from adapter.fhir.publishing import example, example_receipt, examples
from adapter.fhir.validation import legible, validate, validate_collection, warm
from adapter.phrases import changed

EVENT = "https://discharge-adapter.example/fhir/CodeSystem/discharge-events"


def message(kind=NoticeKind.READY_FOR_DISCHARGE):
    return deepcopy(example(kind))


def patient_of(bundle):
    return of_type(bundle, "Patient")


def encounter_of(bundle):
    return of_type(bundle, "Encounter")


def refusal(bundle):
    with pytest.raises(Refused) as caught:
        validate(bundle)
    said = caught.value
    assert said.code in ISSUE
    for secret in ("Fjellheim", "Synnøve", "01815290042", "Gamlevegen"):
        assert secret not in said.reason
    return said


@pytest.mark.parametrize("code", examples())
def test_every_example_is_valid(code):
    validate(examples()[code])


def test_warming_changes_nothing():
    warm()
    validate(message())


# --- the Bundle -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bundle", [None, [], "Bundle", {}, {"resourceType": "Patient"}])
def test_what_is_no_bundle(bundle):
    assert refusal(bundle).code == "structure"


def test_another_type_of_bundle():
    assert refusal(message() | {"type": "transaction"}).code == "value"


@pytest.mark.parametrize(
    "entry", [None, [], {}, "x", [None], [{}], [{"resource": None}], [{"resource": "x"}]]
)
def test_entries_that_cannot_be_walked(entry):
    assert refusal(message() | {"entry": entry}).code in ("required", "structure")


def test_too_many_entries():
    bundle = message()
    bundle["entry"] *= 200
    assert refusal(bundle).code == "too-costly"


def test_the_message_header_comes_first():
    bundle = message()
    bundle["entry"].reverse()
    assert refusal(bundle).code == "required"


def test_a_message_without_header():
    bundle = message()
    del bundle["entry"][0]
    assert refusal(bundle).code == "required"


def test_two_message_headers():
    bundle = message()
    second = deepcopy(bundle["entry"][0])
    second["fullUrl"] = "urn:uuid:00000000-0000-4000-8000-000000000001"
    second["resource"]["id"] = "another"
    bundle["entry"].append(second)
    assert "more than one" in refusal(bundle).reason


def test_an_event_of_another_system():
    bundle = message()
    header(bundle)["eventCoding"]["system"] = "http://medcomfhir.example/events"
    assert refusal(bundle).code == "not-supported"


@pytest.mark.parametrize("coding", [None, "admitted", {}, {"system": EVENT}, {"system": EVENT, "code": 7}])
def test_an_event_that_is_unknown(coding):
    bundle = message()
    header(bundle)["eventCoding"] = coding
    assert refusal(bundle).code == "not-supported"


@pytest.mark.parametrize("message_id", ["1", "", 5, None, "65d68816-7089-5858-baf9-d9abdd4164e"])
def test_a_message_id_that_is_no_uuid(message_id):
    bundle = message()
    header(bundle)["id"] = message_id
    refusal(bundle)


@pytest.mark.parametrize(
    "stamp", [None, 5, "2014-11-06", "2014-11-06T10:32:00", "2014-02-30T10:00:00Z", "2014-11-06T10:32:60Z"]
)
def test_a_timestamp_that_is_no_instant(stamp):
    bundle = message() | {"timestamp": stamp}
    refusal(bundle)


def test_no_timestamp():
    bundle = message()
    del bundle["timestamp"]
    assert refusal(bundle).code == "required"


def test_a_full_url_twice():
    bundle = message()
    bundle["entry"][2]["fullUrl"] = bundle["entry"][1]["fullUrl"]
    assert refusal(bundle).code == "invariant"


def test_a_type_and_id_twice():
    bundle = message()
    organizations = [e for e in bundle["entry"] if e["resource"]["resourceType"] == "Organization"]
    organizations[0]["resource"]["id"] = organizations[1]["resource"]["id"]
    assert refusal(bundle).code == "invariant"


@pytest.mark.parametrize("url", ["Patient/1", "", "urn:uuid:", 7])
def test_a_full_url_that_is_not_absolute(url):
    bundle = message()
    bundle["entry"][1]["fullUrl"] = url
    refusal(bundle)


def test_an_entry_without_full_url():
    bundle = message()
    del bundle["entry"][1]["fullUrl"]
    assert refusal(bundle).code == "required"


@pytest.mark.parametrize("part", ["search", "request", "response"])
def test_an_entry_with_what_only_other_bundles_have(part):
    bundle = message()
    bundle["entry"][1][part] = {"mode": "match"}
    assert refusal(bundle).code == "invariant"


def test_an_entry_with_an_unknown_element():
    bundle = message()
    bundle["entry"][1]["note"] = "x"
    assert refusal(bundle).code == "structure"


# --- references -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target", ["urn:uuid:00000000-0000-4000-8000-000000000000", "Patient/nobody", "#nothing", "nowhere"]
)
def test_a_reference_that_leads_nowhere(target):
    bundle = message()
    encounter_of(bundle)["subject"]["reference"] = target
    assert refusal(bundle).code == "not-found"


def test_references_may_be_relative_contained_or_absolute():
    bundle = message()
    encounter = encounter_of(bundle)
    encounter["subject"]["reference"] = f"Patient/{patient_of(bundle)['id']}"
    encounter["contained"] = [{"resourceType": "Location", "id": "ward", "name": "Medisinsk avdeling"}]
    encounter["location"] = [{"location": {"reference": "#ward"}}]
    encounter["partOf"] = {"reference": "https://fhir.example/Encounter/1"}
    validate(bundle)


# --- shape, and what fhir.resources lets through ----------------------------------------------------------


def test_an_unknown_resource_type_in_an_entry():
    bundle = message()
    bundle["entry"].append(
        {"fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000002", "resource": {"resourceType": "Pasient"}}
    )
    assert refusal(bundle).code == "structure"


@pytest.mark.parametrize(
    "kind",
    ["Resource", "DomainResource", "Extension", "HumanName", "Ingredient", "SubscriptionTopic", "", 5, None],
)
def test_a_resource_type_that_r4_has_not(kind):
    bundle = message()
    patient_of(bundle)["contained"] = [{"resourceType": kind, "id": "a"}]
    refusal(bundle)
    bundle = message()
    patient_of(bundle)["resourceType"] = kind
    refusal(bundle)


@pytest.mark.parametrize(
    ("element", "value"),
    [
        ("active", "true"),
        ("active", 1),
        ("active", None),
        ("birthDate", 5),
        ("birthDate", "1952-02-30"),
        ("multipleBirthInteger", "2"),
        ("multipleBirthInteger", 2.0),
        ("multipleBirthInteger", True),
        ("gender", True),
        ("name", []),
        ("name", [{}]),
        ("name", {}),
        ("name", [None]),
        ("name", ['{"family": "Fjellheim"}']),
        ("maritalStatus", {}),
        ("maritalStatus", '{"text": "gift"}'),
        ("identifier", [{"value": "1", "resourceType": "Identifier"}]),
        ("identifier", [{"value": 1}]),
        ("identifier", [{"value": ""}]),
        ("fhir_comments", "x"),
        ("fhir_comments", ["x"]),
        ("resource_type", "Patient"),
        ("birthDate__ext", {"id": "a"}),
        ("Synnøve Fjellheim", 1),
        ("id", "x" * 65),
        ("id", "with space"),
        ("id", "æ"),
    ],
)
def test_patients_of_another_shape(element, value):
    bundle = message()
    patient_of(bundle)[element] = value
    assert refusal(bundle).code == "structure"


def test_the_python_name_of_an_element_is_not_its_name():
    bundle = message()
    encounter = encounter_of(bundle)
    encounter["class_fhir"] = encounter.pop("class")
    assert refusal(bundle).code == "structure"


def test_a_reason_names_the_element():
    bundle = message()
    patient_of(bundle)["name"] = [{"family": "Fjellheim", "given": []}]
    assert refusal(bundle).reason == "Bundle.entry[1].resource.name.[0].given is an empty array"
    del encounter_of(bundle)["status"], patient_of(bundle)["name"]
    assert refusal(bundle).reason == "Bundle.entry[2].resource.status is required"


def test_a_reason_has_the_element_in_a_place_of_its_own_where_another_name_can_stand():
    bundle = message()
    patient_of(bundle)["name"] = [{"family": "Fjellheim", "given": []}]
    reason = changed(refusal(bundle).reason, lambda text: text.replace("Bundle.entry[1].resource", "Patient"))
    assert reason == "Patient.name.[0].given is an empty array"
    assert reason.key == "{element} is an empty array"


def test_a_null_among_given_names_holds_a_place_for_its_extension():
    bundle = message()
    patient_of(bundle)["name"][0] |= {
        "given": [None, "Synnøve"],
        "_given": [{"extension": [{"url": "urn:x", "valueCode": "unknown"}]}, None],
    }
    validate(bundle)


def test_value_meta_is_not_of_r4():
    bundle = message(NoticeKind.ANSWER)
    task = of_type(bundle, "Task")
    task["input"] = [{"type": {"text": "a"}, "valueMeta": {"versionId": "1"}}]
    assert "valueMeta" in refusal(bundle).reason
    task["input"] = [{"type": {"text": "a"}, "valueString": "b"}]
    validate(bundle)


def test_value_meta_in_parameters_is_not_of_r4():
    bundle = message()
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "a", "valueMeta": {"versionId": "1"}}]}
    bundle["entry"].append(
        {"fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000003", "resource": parameters}
    )
    assert "valueMeta" in refusal(bundle).reason


def test_a_bundle_of_another_shape():
    assert refusal(message() | {"total": "1"}).code == "structure"
    assert refusal(message() | {"link": []}).code == "structure"
    assert refusal(message() | {"id": "x" * 65}).code == "structure"


def test_nesting_has_an_end():
    deep = {"url": "urn:x", "valueString": "x"}
    for _ in range(400):
        deep = {"url": "urn:x", "extension": [deep]}
    bundle = message()
    patient_of(bundle)["extension"] = [deep]
    assert refusal(bundle).code == "too-costly"


# --- codes, extensions, narrative -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "resource", "element"),
    [
        (NoticeKind.ADMITTED, "Encounter", "status"),
        (NoticeKind.ADMITTED, "Patient", "gender"),
        (NoticeKind.ANSWER, "Task", "status"),
        (NoticeKind.ANSWER, "Task", "intent"),
        (NoticeKind.CARE_PLAN, "CarePlan", "status"),
        (NoticeKind.CARE_PLAN, "CarePlan", "intent"),
        (NoticeKind.ENQUIRY, "Communication", "status"),
        (NoticeKind.CARE_NEEDS, "Composition", "status"),
        (NoticeKind.CONSENT_GIVEN, "Consent", "status"),
        (NoticeKind.SIP_CALL, "Appointment", "status"),
        (NoticeKind.COORDINATOR_NAMED, "CareTeam", "status"),
        (NoticeKind.MEDICATION_LIST, "List", "status"),
        (NoticeKind.MEDICATION_LIST, "List", "mode"),
    ],
)
def test_a_code_outside_its_value_set(kind, resource, element):
    bundle = message(kind)
    of_type(bundle, resource)[element] = "nonsense"
    said = refusal(bundle)
    assert (said.code, said.reason.split()[0]) == ("code-invalid", f"{resource}.{element}")


def test_a_nonsense_status_of_a_participant():
    bundle = message(NoticeKind.SIP_CALL)
    of_type(bundle, "Appointment")["participant"][0]["status"] = "nonsense"
    assert refusal(bundle).code == "code-invalid"


def test_a_nonsense_code_in_a_contained_resource():
    bundle = message()
    contained = {"resourceType": "CareTeam", "id": "a", "status": "nonsense"}
    patient_of(bundle)["contained"] = [contained]
    assert refusal(bundle).code == "code-invalid"


@pytest.mark.parametrize(
    "item",
    [
        {"url": EXTENSION_BASE + "nonsense", "valueBoolean": True},
        {"url": extension_url("reserved"), "valueString": "yes"},
        {"url": extension_url("reserved")},
        {"url": extension_url("standing"), "valueCode": "perhaps"},
    ],
)
def test_an_extension_of_ours_that_is_not_as_published(item):
    bundle = message()
    header(bundle)["extension"].append(item)
    assert refusal(bundle).code in ("extension", "code-invalid")


def test_an_extension_without_a_value_of_its_type_is_told_which_it_is():
    bundle = message()
    header(bundle)["extension"].append({"url": extension_url("reserved"), "valueString": "yes"})
    assert "`reserved` has no valueBoolean" in refusal(bundle).reason


def test_extensions_of_others_are_let_through():
    bundle = message()
    header(bundle)["extension"].append({"url": "urn:theirs", "valueString": "yes"})
    validate(bundle)


@pytest.mark.parametrize(
    "inside",
    [
        "<script>alert(1)</script>",
        '<p onclick="alert(1)">x</p>',
        '<img src="https://elsewhere.example/x.png"/>',
        '<a href="javascript:alert(1)">x</a>',
        '<a href=" javascript:alert(1)">x</a>',
        '<a href="data:text/html,x">x</a>',
        '<q cite="https://elsewhere.example/">x</q>',
        '<p style="background: url(https://elsewhere.example/)">x</p>',
        "<iframe/>",
        "<form/>",
        '<link rel="stylesheet" href="#x"/>',
        "<p>&nbsp;</p>",
        "<p>not closed",
        "<!-- hidden -->",
        '<svg xmlns="http://www.w3.org/2000/svg"/>',
    ],
)
def test_narrative_that_runs_loads_or_breaks(inside):
    bundle = message()
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{inside}</div>'
    encounter_of(bundle)["text"] = {"status": "additional", "div": div}
    assert refusal(bundle).code == "structure"


def test_narrative_outside_xhtml():
    bundle = message()
    encounter_of(bundle)["text"] = {"status": "additional", "div": "<div>x</div>"}
    assert refusal(bundle).code == "structure"


def test_narrative_with_formatting_is_let_through():
    bundle = message()
    table = '<table class="a"><tr><td><b>x</b><br/>&amp;</td></tr></table>'
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{table}</div>'
    encounter_of(bundle)["text"] = {"status": "additional", "div": div}
    validate(bundle)


# --- meaning ----------------------------------------------------------------------------------------------


def test_no_patient():
    bundle = message()
    patient_of(bundle)["resourceType"] = "Person"
    assert refusal(bundle).code in ("required", "structure", "not-found")


def test_two_patients():
    bundle = message()
    bundle["entry"].append(
        {
            "fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000004",
            "resource": {"resourceType": "Patient", "name": [{"family": "Vik-Hansen"}]},
        }
    )
    assert refusal(bundle).code == "required"


def test_a_patient_without_name():
    bundle = message()
    del patient_of(bundle)["name"]
    assert refusal(bundle).code == "required"


def test_a_patient_with_name_birth_date_and_gender_needs_no_number():
    bundle = message()
    del patient_of(bundle)["identifier"]
    validate(bundle)
    del patient_of(bundle)["gender"]
    assert refusal(bundle).code == "required"


def test_no_destination():
    bundle = message()
    del header(bundle)["destination"]
    assert refusal(bundle).code == "required"


def test_a_destination_without_receiver():
    bundle = message()
    del header(bundle)["destination"][0]["receiver"]
    assert refusal(bundle).code == "required"


def test_a_person_is_no_receiver():
    bundle = message()
    header(bundle)["destination"][0]["receiver"]["reference"] = f"Patient/{patient_of(bundle)['id']}"
    assert refusal(bundle).code == "required"


def test_no_sender():
    bundle = message()
    del header(bundle)["sender"]
    assert refusal(bundle).code == "required"


def test_no_focus():
    bundle = message()
    del header(bundle)["focus"]
    assert refusal(bundle).code == "required"


def occurred(bundle, text):
    found = next(e for e in header(bundle)["extension"] if e["url"] == extension_url("occurred"))
    found["valueDateTime"] = text


@pytest.mark.parametrize("kind", [NoticeKind.ADMITTED, NoticeKind.DISCHARGED, NoticeKind.DECEASED])
def test_two_times_of_the_event_that_differ(kind):
    bundle = message(kind)
    occurred(bundle, "2014-11-02T10:00:00+01:00")
    assert refusal(bundle).code == "invariant"


def test_two_times_of_a_death_that_differ():
    bundle = message(NoticeKind.DECEASED)
    patient_of(bundle)["deceasedDateTime"] = "2014-11-05"
    assert refusal(bundle).code == "invariant"


def test_the_same_instant_with_another_offset_or_as_a_day_agrees():
    bundle = message(NoticeKind.DISCHARGED)
    occurred(bundle, "2014-11-06T09:30:00Z")
    validate(bundle)
    occurred(bundle, "2014-11-06")
    validate(bundle)


@pytest.mark.parametrize("when", ["2014-11-06T10:32:01+01:00", "2014-11-07"])
@pytest.mark.parametrize("kind", [NoticeKind.ADMITTED, NoticeKind.DISCHARGED, NoticeKind.DECEASED])
def test_what_has_happened_does_not_lie_ahead(kind, when):
    bundle = message(kind) | {"timestamp": "2014-11-06T10:32:00+01:00"}
    occurred(bundle, when)
    period = encounter_of(bundle)["period"]
    period["start" if kind is NoticeKind.ADMITTED else "end"] = when
    if kind is NoticeKind.DECEASED:
        patient_of(bundle)["deceasedDateTime"] = when
    assert refusal(bundle).code == "business-rule"


@pytest.mark.parametrize("kind", [NoticeKind.READY_FOR_DISCHARGE, NoticeKind.PLANNED_DISCHARGE])
def test_what_is_planned_may_lie_ahead(kind):
    bundle = message(kind)
    occurred(bundle, "2014-11-20")
    validate(bundle)


def test_the_day_of_sending_does_not_lie_ahead():
    bundle = message(NoticeKind.LEAVE_STARTED)
    occurred(bundle, "2014-11-06")
    validate(bundle)


# --- receipts and collections -----------------------------------------------------------------------------


def test_a_receipt_needs_no_patient():
    validate(example_receipt())


def test_a_receipt_says_what_it_is_for():
    bundle = deepcopy(example_receipt())
    del header(bundle)["response"]["identifier"]
    assert refusal(bundle).code in ("required", "structure")


def test_a_receipt_has_one_of_three_words():
    bundle = deepcopy(example_receipt())
    header(bundle)["response"]["code"] = "maybe"
    assert refusal(bundle).code == "code-invalid"


def test_a_receipt_without_response():
    bundle = deepcopy(example_receipt())
    del header(bundle)["response"]
    assert refusal(bundle).code == "required"


def test_a_notice_with_response():
    bundle = message()
    header(bundle)["response"] = {"identifier": "a", "code": "ok"}
    assert refusal(bundle).code == "invariant"


def test_a_collection_is_held_to_shape_and_codes():
    task = {
        "resourceType": "Task",
        "id": "1",
        "status": "accepted",
        "intent": "order",
        "for": {"reference": "Patient/elsewhere"},
    }
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": "https://p.example/Task/1", "resource": task}],
    }
    validate_collection(bundle)
    task["status"] = "nonsense"
    with pytest.raises(Refused):
        validate_collection(bundle)


# --- what can still be answered ---------------------------------------------------------------------------


def test_a_message_with_a_bad_patient_can_be_answered():
    bundle = message()
    patient_of(bundle)["active"] = "true"
    assert legible(bundle)


@pytest.mark.parametrize("element", ["sender", "id"])
def test_a_message_that_does_not_say_who_or_which_cannot_be_answered(element):
    bundle = message()
    del header(bundle)[element]
    assert not legible(bundle)


def test_a_message_with_a_misshapen_sender_cannot_be_answered():
    bundle = message()
    for entry in bundle["entry"]:
        if entry["resource"]["resourceType"] == "Organization":
            entry["resource"]["identifier"] = [{"system": {}, "value": "x"}]
    assert not legible(bundle)


@pytest.mark.parametrize("kind", ["Organization", "Encounter", "Patient"])
@pytest.mark.parametrize("part", ["system", "value"])
def test_an_endless_identifier(kind, part):
    bundle = message()
    resource = of_type(bundle, kind)
    resource["identifier"] = [{"system": "urn:x", "value": "1"} | {part: f"urn:{'9' * 9000}"}]
    said = refusal(bundle)
    assert (said.code, "longer than 200" in said.reason) == ("value", True)
    assert legible(bundle)


def test_what_it_refers_to_is_no_endless_id():
    bundle = message(NoticeKind.ANSWER)
    url = extension_url("refers-to")
    head = header(bundle)
    head["extension"] = [item for item in head["extension"] if item["url"] != url]
    head["extension"].append({"url": url, "valueString": "9" * 9000})
    assert refusal(bundle).code == "value"


def test_an_endless_transmission_id_cannot_even_be_answered():
    bundle = message() | {"id": "9" * 9000}
    refusal(bundle)
    assert not legible(bundle)


# --- one partner's receipts, of which each is much like the last ------------------------------------------


def every_place(value, path=()):
    """The paths to everything inside."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield (*path, key)
        yield from every_place(item, (*path, key))


def told(bundle):
    """What the border says of it."""
    try:
        validate(bundle)
    except Refused as said:
        return (said.code, said.reason)
    return "taken"


WRONG = [
    None, "", " ", "a b", "x" * 65, "Ærlig", [], {}, 7, 1.5, True, ["x"], {"x": "y"}, {"value": "x"},
    "2014-13-45T10:00:00+01:00", "2014-11-06T25:00:00Z", "2014-11-06", "urn:uuid:nowhere",
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_a_receipt_is_held_to_the_same_however_many_like_it_have_come(wrong):
    """What is remembered of a partner's receipts spares only what has been found right about them."""
    places = list(every_place(example_receipt()))
    for path in places:
        broken = deepcopy(example_receipt())
        inner = broken
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = wrong
        shape.forget()
        first = told(deepcopy(broken))
        shape.forget()
        validate(example_receipt())
        assert told(deepcopy(broken)) == first, path
        assert told(broken) == first, path


def test_another_receipt_of_the_same_partner_is_not_looked_at_as_closely(monkeypatch):
    """Else the test above holds nothing."""
    shape.forget()
    validate(example_receipt())
    seen = []
    made = shape._made
    monkeypatch.setattr(shape, "_made", lambda model, *rest: seen.append(model) or made(model, *rest))
    other = deepcopy(example_receipt())
    head = header(other)
    head["response"]["identifier"] = "another"
    other["timestamp"] = "2015-01-01T10:00:00+01:00"
    validate(other)
    assert [m.__name__ for m in seen if m.__name__ in ("MessageHeader", "Bundle")] == []
