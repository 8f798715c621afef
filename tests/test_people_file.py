"""The people file: what is wrong is told by file, entry and key; a file that changes is read again."""

from pathlib import Path

import pytest

from adapter.config import Settings
from adapter.config.people import OidcSettings, PeopleFile, load_people
from adapter.errors import ConfigurationError
from adapter.messaging.people import Role, demonstration
from adapter.messaging.register import Register
from adapter.runtime.checks import check_exposure, findings
from tests.people import AUDITOR, HASH, LUSTER, OPERATOR, SHARED, WARD, people_file
from tests.stage import region, without

OPEN = Register(open=True)


def test_everybody_comes_back_as_the_file_has_them(tmp_path: Path):
    everybody = (WARD, LUSTER, OPERATOR, AUDITOR, SHARED)
    found = load_people(people_file(tmp_path / "people.toml", everybody), region().register_)
    assert [account.person for account in found.values()] == list(everybody)
    assert HASH not in repr(found)


PERSON = f'[[person]]\nid = "kari"\nname = "Kari Bø"\npassword_argon2 = "{HASH}"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "person: is missing"),
        ("[[person]", "not valid TOML"),
        ('[[person]]\nid = "kari"', "[[person]] id = 'kari': name: is missing"),
        (PERSON, "[[person]] id = 'kari': roles: is missing"),
        (f"{PERSON}roles = []", "id = 'kari': roles: must not be empty"),
        (f'{PERSON}roles = ["king"]', "id = 'kari': roles.number 1: "),
        (f'{PERSON}roles = ["ward"]', "id = 'kari': parties: is missing; say for which parties"),
        (f'{PERSON}roles = ["ward"]\nparties = ["atlantis"]', "'atlantis' is no party of the region file"),
        (f'{PERSON}roles = ["ward"]\nparties = ["luster"]', "parties: 'luster' is a municipality, for which"),
        (
            f'{PERSON}roles = ["ward"]\nparties = ["luster"]',
            "roles: 'ward' needs a party of the kind hospital",
        ),
        (
            f'{PERSON}roles = ["ward", "municipality"]\nparties = ["luster"]',
            "roles: 'ward' needs a party of the kind hospital or municipal-acute-bed",
        ),
        (f'{PERSON}roles = ["auditor"]\nparties = ["luster"]', "parties: operators and auditors have none"),
        (f'{PERSON}roles = ["operations"]\nadmin = true', "admin: is not a setting; is it misspelt?"),
        (f'{PERSON}roles = ["operations"]\n{PERSON}roles = ["auditor"]', "id: stands 2 times"),
        (PERSON.replace("kari", "a|b") + 'roles = ["auditor"]', "id = 'a|b': id: "),
        (PERSON.replace(HASH, "geheim") + 'roles = ["auditor"]', "password_argon2: is no password hash"),
        (
            PERSON.replace("argon2id", "argon2i") + 'roles = ["auditor"]',
            "password_argon2: is no password hash",
        ),
        (
            PERSON.replace("m=64,", "m=99999999,") + 'roles = ["auditor"]',
            "password_argon2: is no password hash",
        ),
    ],
)
def test_what_is_wrong_is_told_by_file_entry_and_key(tmp_path: Path, text: str, words: str):
    path = tmp_path / "people.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as told:
        load_people(path, region().register_)
    assert words in str(told.value)
    assert all(line.startswith(f"{path}: ") for line in str(told.value).splitlines())
    assert "geheim" not in str(told.value)


def test_in_evaluation_anybody_may_be_a_party(tmp_path: Path):
    path = tmp_path / "people.toml"
    path.write_text(f'{PERSON}roles = ["ward"]\nparties = ["HER-8143500"]')
    assert load_people(path, OPEN)


def test_a_file_that_changes_is_read_again_and_a_spoilt_one_is_not(tmp_path: Path):
    path = people_file(tmp_path / "people.toml", (WARD, OPERATOR))
    people = PeopleFile(path, region().register_)
    assert set(people()) == {"solveig", "marta"}
    people_file(path, (OPERATOR,))
    assert set(people()) == {"marta"}
    path.write_text("nonsense")
    assert set(people()) == {"marta"}
    path.unlink()
    assert set(people()) == {"marta"}
    people_file(path, (OPERATOR, AUDITOR))
    assert set(people()) == {"marta", "nils"}


def test_check_tells_of_the_people_and_of_what_the_providers_values_stand_for(tmp_path: Path):
    path = people_file(tmp_path / "people.toml", (WARD.__class__(**_of(WARD) | {"parties": ("atlantis",)}),))
    oidc = OidcSettings(
        issuer="https://idp.example", client_id="a", client_secret="b", parties={"x": "nowhere"}
    )
    settings = Settings(people=path)
    assert any("'atlantis' is no party" in found for found in findings(settings, region()))
    settings = Settings(oidc=oidc, public_url="https://adapter.example")
    assert any("'nowhere' is no party" in found for found in findings(settings, region()))


def _of(person) -> dict:
    return {name: getattr(person, name) for name in ("id", "name", "roles", "parties", "named")}


def test_others_reach_it_only_where_people_sign_in():
    known = region().register_
    with pytest.raises(ConfigurationError, match="nobody can sign in"):
        check_exposure(Settings(host="0.0.0.0"), known)
    check_exposure(Settings(host="0.0.0.0", people=Path("people.toml")), known)


def test_a_demonstration_has_no_account_of_a_role_for_which_the_region_has_no_party():
    register = without(region(), "laerdal-legekontor").register_
    assert {role for p in demonstration(register) for role in p.roles} == set(Role) - {Role.PRIMARY_CARE}


def test_a_demonstration_has_one_account_a_role_that_is_nobodys_own():
    found = {role: person for person in demonstration(region().register_) for role in person.roles}
    assert set(found) == set(Role)
    assert found[Role.PRIMARY_CARE].parties == ("laerdal-legekontor",)
    assert found[Role.WARD].parties == ("laerdal-sjukehus",)
    assert found[Role.MUNICIPALITY].parties == ("laerdal",)
    assert found[Role.OPERATIONS].parties is None
    assert not any(person.named for person in found.values())
    assert {person.parties for person in demonstration(OPEN)} == {None}
    assert len(demonstration(OPEN)) == len(Role)
