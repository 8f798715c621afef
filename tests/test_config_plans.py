"""A region file with a FHIR server for plans: what it means, and what is refused before anything is sent."""

from pathlib import Path

import pytest

from adapter.config import Settings, load_region
from adapter.config.soundness import contradictions
from adapter.errors import ConfigurationError
from adapter.messaging.register import Register

LUSTER = """
name = "Luster"

[[party]]
id = "luster"
name = "Luster kommune"
kind = "municipality"
identifiers = ["HER|8143540"]
endpoint = "luster"
plans_endpoint = "luster-fhir"

[[party]]
id = "vik"
name = "Vik kommune"
kind = "municipality"
identifiers = ["HER|8143560"]
hosted_by = "luster"

[[endpoint]]
name = "luster"
transport = "fhir"
address = "https://luster.example/fhir/$process-message"
dialect = "fhir"

[[endpoint]]
name = "luster-fhir"
transport = "fhir-plans"
address = "https://luster.example/r4"
dialect = "fhir"
timeout = 15
"""


def read(folder: Path, text: str = LUSTER) -> Register:
    (folder / "region.toml").write_text(text)
    return load_region(folder / "region.toml").register_


def test_plans_have_an_endpoint_of_their_own_and_messages_keep_theirs(tmp_path: Path) -> None:
    register = read(tmp_path)
    for name in ("luster", "vik"):
        party = register.party(name)
        assert party is not None
        plans, others = register.plans_endpoint_of(party), register.endpoint_of(party)
        assert plans is not None
        assert others is not None
        assert (plans.name, others.name) == ("luster-fhir", "luster")


def test_without_it_plans_go_where_messages_go(tmp_path: Path) -> None:
    register = read(tmp_path, LUSTER.replace('plans_endpoint = "luster-fhir"\n', ""))
    party = register.party("luster")
    assert party is not None
    found = register.plans_endpoint_of(party)
    assert found is not None
    assert found.name == "luster"


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('endpoint = "luster"\n', 'endpoint = "luster-fhir"\n', "takes care plans only"),
        ('plans_endpoint = "luster-fhir"', 'plans_endpoint = "luster"', "is no server for plans"),
        ('plans_endpoint = "luster-fhir"', 'plans_endpoint = "gone"', "names nothing in this file"),
        ("https://luster.example/r4", "folder", "the base of the FHIR server"),
        ("https://luster.example/r4", "https://luster.example/r4?x=1", "without ?"),
        ('r4"\ndialect = "fhir"', 'r4"\ndialect = "plo-1.6"', 'write dialect = "fhir"'),
    ],
)
def test_what_could_not_be_is_refused_with_where_and_what(
    tmp_path: Path, before: str, after: str, words: str
) -> None:
    assert before in LUSTER
    with pytest.raises(ConfigurationError, match="luster") as refusal:
        read(tmp_path, LUSTER.replace(before, after, 1))
    assert words in str(refusal.value)


def test_a_lease_outlasts_the_putting_of_a_whole_plan(tmp_path: Path) -> None:
    register = read(tmp_path)
    (found,) = contradictions(Settings(lease="PT50S"), register)  # type: ignore[arg-type]  # as in a file
    assert "a plan may take 45 s" in found
    assert contradictions(Settings(lease="PT51S"), register) == []  # type: ignore[arg-type]
