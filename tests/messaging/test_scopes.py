"""What a machine may do: the system scopes of SMART App Launch 2.2, and their older forms."""

import pytest

from adapter.messaging.scopes import ALL, MOST, Scopes, UnreadableScope, granted, parse, permits


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("system/Task.rs", "system/Task.rs"),
        ("system/*.cruds", "system/*.cruds"),
        ("system/Task.read", "system/Task.rs"),
        ("system/Task.write", "system/Task.cud"),
        ("system/*.*", "system/*.cruds"),
        ("system/Task.r system/CarePlan.u  system/Task.u", "system/Task.ru system/CarePlan.u"),
        ("", ""),
    ],
)
def test_a_scope_is_read_in_either_version(written, means):
    assert str(parse(written)) == means
    assert parse(str(parse(written))) == parse(written)


@pytest.mark.parametrize(
    "scope",
    [
        "patient/Task.rs", "user/*.cruds", "launch", "openid", "system/Task", "system/Task.", "system/.rs",
        "system/Task.sr", "system/Task.rr", "system/Task.x", "system/task.rs", "System/Task.rs",
        "system/Task.rs?status=requested", "system/Task.read.rs", "system/Tåsk.rs", "system/*.readwrite",
    ],
)  # fmt: skip
def test_what_is_no_system_scope_is_told_by_its_place_and_not_repeated(scope):
    with pytest.raises(UnreadableScope) as caught:
        parse(f"system/Task.rs {scope}")
    assert "number 2" in str(caught.value)
    assert scope not in str(caught.value).split()


def test_nobody_asks_for_scopes_without_end():
    assert parse("system/Task.r " * MOST)
    with pytest.raises(UnreadableScope):
        parse("system/Task.r " * (MOST + 1))


@pytest.mark.parametrize(
    ("asked", "allowed", "given"),
    [
        ("system/Task.rus", "system/Task.rs", "system/Task.rs"),
        ("system/*.rs", "system/Task.cruds system/CarePlan.r", "system/Task.rs system/CarePlan.r"),
        ("system/Task.cruds", "system/*.rs", "system/Task.rs"),
        ("system/Task.cruds", "system/*.rs system/Task.u", "system/Task.rus"),
        ("system/*.cruds", "system/*.cruds", "system/*.cruds"),
        ("system/*.rs system/Task.u", "system/*.cruds", "system/*.rs system/Task.u"),
        ("system/Patient.rs", "system/Task.rs", ""),
        ("system/Task.d", "system/Task.rs", ""),
        ("", "system/*.cruds", ""),
    ],
)
def test_no_more_is_granted_than_is_both_asked_for_and_allowed(asked, allowed, given):
    assert str(granted(parse(asked), parse(allowed))) == given
    assert bool(granted(parse(asked), parse(allowed))) == bool(given)


def test_an_action_is_permitted_on_the_named_type_or_on_all():
    scopes = parse("system/Task.ru system/*.s")
    assert [a for a in "cruds" if permits(scopes, "Task", a)] == ["r", "u", "s"]
    assert [a for a in "cruds" if permits(scopes, "Patient", a)] == ["s"]
    assert [a for a in "cruds" if permits(ALL, "Patient", a)] == list("cruds")
    assert not permits(Scopes(), "Patient", "r")
