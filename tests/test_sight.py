"""In whose name somebody may speak: their own parties, those that these serve, and nobody else."""

import pytest

from adapter.messaging.people import Person, Role
from adapter.sight import Sight
from tests.stage import region


def sight(role: Role, *parties: str) -> Sight:
    person = Person(id="kari", name="Kari", roles=frozenset({role}), parties=parties)
    return Sight(person=person, register=region().register_)


def test_somebody_speaks_for_their_own_party_and_for_those_that_it_serves():
    host = sight(Role.MUNICIPALITY, "laerdal")
    assert host.acts_for("laerdal") and host.acts_for("sogn-lms")


@pytest.mark.parametrize("party", ["laerdal-sjukehus", "luster", "sogn-lms", "nobody", None])
def test_nobody_speaks_for_another_party(party):
    assert not sight(Role.MUNICIPALITY, "sogndal").acts_for(party)


def test_a_party_that_is_served_does_not_speak_for_its_host():
    assert not sight(Role.MUNICIPALITY, "sogn-lms").acts_for("laerdal")


@pytest.mark.parametrize("role", [Role.OPERATIONS, Role.AUDITOR])
def test_those_who_do_not_care_for_patients_speak_for_nobody(role):
    assert not sight(role, "sogndal").acts_for("sogndal")
