"""Two versions of a resource, and of a plan: every leaf that differs is named, and nothing else."""

import copy
import json
from dataclasses import fields, replace
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter.fhir.differences import Change, Difference, differences, plan_differences
from adapter.fhir.plan import Action, Goal, Part, Participant, Plan, PlanKind, Target
from tests.plan_fixtures import INDIVIDUAL, SIP, all_of, bundle, care_plan, changed, read


def paths(before, after):
    return {it.path for it in differences(before, after)}


# --- resources --------------------------------------------------------------------------------------------


def test_a_leaf_is_named_by_its_path_with_what_was_and_what_is():
    before = care_plan(bundle())
    after = copy.deepcopy(before) | {"status": "completed"}
    after["period"]["end"] = "2024-07-01"
    assert differences(before, after) == (
        Difference(path="CarePlan.period.end", before="2024-06-12", after="2024-07-01"),
        Difference(path="CarePlan.status", before="active", after="completed"),
    )


def test_saving_is_no_difference():
    before = care_plan(bundle())
    after = copy.deepcopy(before)
    after["meta"] = {"versionId": "7", "lastUpdated": "2024-05-01T10:00:00Z"}
    assert differences(before, after) == ()
    after["meta"]["profile"] = ["http://x.example"]
    assert paths(before, after) == {"CarePlan.meta.profile[0]"}


def test_items_are_matched_by_what_identifies_them_and_not_by_their_place():
    before = care_plan(bundle())
    after = copy.deepcopy(before)
    first = after["activity"].pop(0)
    after["activity"][1]["progress"] = [{"text": "Klart"}]
    gone = first["reference"]["reference"]
    changed_one = after["activity"][1]["reference"]["reference"]
    assert {(it.path, it.before, it.after) for it in differences(before, after)} == {
        (f"CarePlan.activity.where(reference.reference='{gone}').{rest}", leaf, None)
        for rest, leaf in (
            ("reference.reference", gone),
            ("progress[0].time", "2024-03-11T15:20:00+01:00"),
            ("progress[0].authorString", "Ellinor Åström"),
            ("progress[0].text", "Märta önskar morgonbesöket klockan 8, inte tidigare."),
        )
    } | {(f"CarePlan.activity.where(reference.reference='{changed_one}').progress[0].text", None, "Klart")}


def test_another_order_of_marked_items_is_one_difference():
    before = {"resourceType": "CarePlan", "goal": [{"reference": "Goal/1"}, {"reference": "Goal/2"}]}
    after = {"resourceType": "CarePlan", "goal": before["goal"][::-1]}
    marks = ("reference='Goal/1'", "reference='Goal/2'")
    assert differences(before, after) == (Difference(path="CarePlan.goal", before=marks, after=marks[::-1]),)


@pytest.mark.parametrize(
    ("before", "after"),
    [(Decimal("72.50"), Decimal("72.5")), (True, 1), ("1", 1), (0, False), ("a", ["a"]), ({"b": 1}, "b")],
)
def test_leaves_that_are_written_otherwise_differ(before, after):
    assert paths({"x": before}, {"x": after})


def test_a_quote_in_a_mark_does_not_end_it():
    before = {"resourceType": "List", "note": [{"id": "it's", "text": "a"}]}
    after = {"resourceType": "List", "note": [{"id": "it's", "text": "b"}]}
    assert paths(before, after) == {r"List.note.where(id='it\'s').text"}


LEAF = st.one_of(st.text(max_size=3), st.integers(0, 3), st.booleans())
KEYS = st.sampled_from(["id", "reference", "text", "system", "code", "coding", "url", "part"])
TREE = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.dictionaries(KEYS, inner, min_size=1, max_size=3), st.lists(inner, min_size=1, max_size=3)
    ),
    max_leaves=12,
)
unhurried = settings(suppress_health_check=[HealthCheck.too_slow])
RESOURCE = st.dictionaries(KEYS, TREE, max_size=4).map(lambda d: {"resourceType": "CarePlan"} | d)


@unhurried
@given(RESOURCE)
def test_nothing_differs_from_itself(resource):
    assert differences(resource, copy.deepcopy(resource)) == ()


@unhurried
@given(RESOURCE, RESOURCE)
def test_whatever_is_written_otherwise_is_told(before, after):
    same = json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)
    assert (differences(before, after) == ()) == same


@unhurried
@given(RESOURCE, RESOURCE)
def test_backwards_is_the_same_with_before_and_after_exchanged(before, after):
    there = {(it.path, repr(it.before), repr(it.after)) for it in differences(before, after)}
    back = {(it.path, repr(it.after), repr(it.before)) for it in differences(after, before)}
    assert there == back


def leaves(value, at=()):
    if isinstance(value, dict):
        return [leaf for key in value for leaf in leaves(value[key], (*at, key))]
    if isinstance(value, list):
        return [leaf for place, item in enumerate(value) for leaf in leaves(item, (*at, place))]
    return [at]


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.sampled_from([SIP, INDIVIDUAL]))
def test_every_changed_leaf_of_a_real_plan_is_named(data, name):
    before = bundle(name)
    after = copy.deepcopy(before)
    steps = data.draw(st.sampled_from([at for at in leaves(after) if at != ("resourceType",)]))
    holder = after
    for step in steps[:-1]:
        holder = holder[step]
    holder[steps[-1]] = "something else"
    found = differences(before, after)
    saved = "meta" in steps and steps[-1] in ("versionId", "lastUpdated")
    assert ("something else" in {it.after for it in found}) is not saved
    assert all(it.path.startswith("Bundle.") for it in found)


# --- plans ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [SIP, INDIVIDUAL])
def test_a_plan_does_not_differ_from_itself(name):
    assert plan_differences(read(bundle(name)), read(bundle(name))) == ()


def test_people_are_told_who_came_what_is_done_and_which_day_was_moved():
    def later(of):
        tasks = {t.get("description") or t["restriction"]["period"]["end"]: t for t in all_of(of, "Task")}
        tasks["2024-04-03"]["status"] = "completed"
        tasks["2024-03-20"]["restriction"]["period"]["end"] = "2024-03-27"
        team = all_of(of, "CareTeam")[0]
        team["participant"].append({"member": {"display": "Lars Holm"}, "role": [{"text": "Kurator"}]})
        team["participant"].pop(3)
        all_of(of, "Goal")[0]["achievementStatus"]["coding"][0]["code"] = "achieved"

    found = plan_differences(read(bundle()), changed(later))
    told = {(it.section, it.happened, it.about, it.field, str(it.before), str(it.after)) for it in found}
    none = ("", "None", "None")
    assert told == {
        ("participants", "added", "Lars Holm", *none),
        ("participants", "removed", "Žofia Bæk", *none),
        ("actions", "changed", "Såromläggning i hemmet", "status", "in-progress", "completed"),
        ("actions", "changed", "Träning med fysioterapeut", "due", "2024-03-20", "2024-03-27"),
        (
            "goals",
            "changed",
            "Jag vill kunna laga min egen mat igen",
            "achievement",
            "in-progress",
            "achieved",
        ),
        # the occupational therapist is still the owner of a task, so her name stands there
    }


def test_a_line_under_a_new_id_is_the_same_line():
    before = Plan(kind=PlanKind.SIP, goals=(Goal(key="Goal/1", what="Gå", status="active"),))
    after = Plan(kind=PlanKind.SIP, goals=(Goal(key="urn:uuid:2", what="Gå", status="completed"),))
    assert plan_differences(before, after) == (
        Change(
            section="goals",
            happened="changed",
            about="Gå",
            field="status",
            before="active",
            after="completed",
        ),
    )


TEXT = st.sampled_from(["", "a", "b"])
PLAN = st.builds(
    Plan,
    kind=st.sampled_from(PlanKind),
    title=TEXT,
    participants=st.lists(
        st.builds(Participant, key=TEXT, name=TEXT, part=st.sampled_from(Part)), max_size=3
    ).map(tuple),
    goals=st.lists(
        st.builds(Goal, key=TEXT, what=TEXT, targets=st.just((Target(measure="m"),))), max_size=3
    ).map(tuple),
    actions=st.lists(
        st.builds(Action, key=TEXT, kind=st.just("Task"), what=TEXT, status=TEXT), max_size=3
    ).map(tuple),
)


@given(PLAN)
def test_no_plan_differs_from_itself(plan):
    assert plan_differences(plan, plan) == ()


@given(PLAN, PLAN)
def test_backwards_what_came_goes_and_what_was_is(before, after):
    turned = {"added": "removed", "removed": "added", "changed": "changed"}
    there, back = plan_differences(before, after), plan_differences(after, before)
    assert len([it for it in there if it.happened == "added"]) == len(
        [it for it in back if turned[it.happened] == "added"]
    )
    assert bool(there) == bool(back)


@pytest.mark.parametrize("name", [one.name for one in fields(Plan)])
def test_no_part_of_a_plan_changes_in_silence(name):
    plan = read(bundle())
    empty = Plan(kind=PlanKind.OTHER)
    altered = replace(plan, **{name: getattr(empty, name)})
    if getattr(plan, name) != getattr(empty, name):
        assert plan_differences(plan, altered) != ()
