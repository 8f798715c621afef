"""The catalogs of the pages: nothing wanting, nothing left over, and the same places in every language."""

import enum
import inspect
import re
import tomllib

import pytest

from adapter import tongues
from adapter.config.region import DIALECTS, KINDS, TRANSPORTS
from adapter.discharge.case import CaseState, Step
from adapter.discharge.deadlines import DeadlineState
from adapter.discharge.ledger import EntryKind, EntryState
from adapter.discharge.notices import AnswerValue, Decliner, NoticeKind, PlanKind, Standing
from adapter.discharge.plan_tasks import KIND as PLAN_TASK
from adapter.discharge.planning import ConsentState, PlanningState, PlanState
from adapter.discharge.readmission import WATCH, Verdict
from adapter.discharge.rules import PlacementKind
from adapter.messaging.alarm_words import TO_DO
from adapter.messaging.delivery import DeliveryState, Trigger
from adapter.messaging.people import Role
from adapter.messaging.resting import Condition
from adapter.parcels import ALARM, RECEIPT
from adapter.reconciliation import NOT_COMPARED, fhir_servers, message_servers
from adapter.web.wording import LEVELS
from adapter.web.words import LANGUAGES, PARTS
from tests.catalogs import LOCALES, catalog, compiled, folder_of, hidden, places, sentences

HERE = [*PARTS, *tongues.PARTS]
CHECKED = (
    "frame",
    "operations",
    "live",
    *(part for part in tongues.PARTS if part != "field"),
)  # whose sentences are all found in the code, and the other way round
WRITTEN = {*tongues.PARTS} - {"field"}  # beside the pages, for them
SAID = sentences()
RULES = [
    tomllib.loads(file.read_text(encoding="utf-8"))
    for file in sorted((LOCALES.parent / "rules").glob("*.toml"))
]
everywhere = pytest.mark.parametrize("language", LANGUAGES)
of_each_part = pytest.mark.parametrize("part", HERE)


def entries(part, language):
    found = {}
    for message in catalog(language, folder_of(part)):
        if message.id:
            key = message.id if isinstance(message.id, str) else tuple(message.id)
            found[key] = message.string if isinstance(message.string, tuple) else (message.string,)
    return found


def tables(node, name):
    """Every table of that name, however deep."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == name:
                yield from value if isinstance(value, list) else [value]
            yield from tables(value, name)
    elif isinstance(node, list):
        for one in node:
            yield from tables(one, name)


def test_pages_are_in_the_languages_in_which_things_are_told():
    assert (*LANGUAGES,) == tongues.LANGUAGES


# --- the files --------------------------------------------------------------------------------------------


@everywhere
@of_each_part
def test_the_compiled_catalog_is_that_of_the_file(part, language):
    made = (folder_of(part) / f"{language}.mo").read_bytes()
    assert made == compiled(language, folder_of(part)), "run `python -m tests.catalogs`"


@everywhere
@of_each_part
def test_every_entry_is_filled_in_no_guess_and_has_the_places_of_its_key(part, language):
    for message in catalog(language, folder_of(part)):
        if not message.id:
            continue
        key = message.id if isinstance(message.id, str) else message.id[1]
        strings = message.string if isinstance(message.string, tuple) else (message.string,)
        assert all(strings) and not message.fuzzy, key
        assert places(strings[-1]) == places(key), key
        assert places(strings[0]) <= places(key), key  # the singular may do without its number


@of_each_part
def test_all_languages_have_the_same_entries(part):
    """English has its plurals and the words of the field; its sentences are their own keys."""
    whole = entries(part, "nb").keys()
    for language in ("nn", "sv", "da"):
        assert entries(part, language).keys() == whole, language
    assert entries(part, "en").keys() <= whole
    assert {key for key in whole if isinstance(key, tuple)} <= entries(part, "en").keys()


@everywhere
def test_no_catalog_has_an_entry_that_was_left_behind(language):
    for part in HERE:
        assert not catalog(language, folder_of(part)).obsolete, part


@everywhere
def test_no_key_stands_in_two_parts_with_different_meanings(language):
    seen = {}
    for part in HERE:
        for key, strings in entries(part, language).items():
            other, said = seen.setdefault(key, (part, strings))
            assert strings == said, f"{key!r} in {other} and {part}"


# --- what the code says -----------------------------------------------------------------------------------


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
@of_each_part
def test_every_sentence_of_the_code_is_in_the_catalogs(part, language):
    parts = HERE if part in WRITTEN else (part, "frame", "field")
    known = {key for one in parts for key in entries(one, language)}
    known |= {one for key in known if isinstance(key, tuple) for one in key}
    wanting = {key: files for key, files in SAID.get(part, {}).items() if key not in known}
    assert wanting == {}


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_what_is_told_without_a_page_needs_no_catalog_of_the_pages(language):
    known = {key for one in tongues.PARTS for key in entries(one, language)}
    wanting = {part: SAID.get(part, {}).keys() - known for part in WRITTEN}
    assert {part: keys for part, keys in wanting.items() if keys} == {}


def test_every_phrase_is_made_of_a_sentence_that_stands_in_the_code():
    assert hidden() == []


@pytest.mark.parametrize("part", CHECKED)
def test_no_sentence_of_the_catalogs_is_said_by_nobody(part):
    """Keys of families are not looked for: they are made of a family and a code."""
    said = {key for found in SAID.values() for key in found}
    left = {key for key in entries(part, "nb") if key not in said and not _of_a_family(key)}
    assert left == set()


def _of_a_family(key) -> bool:
    return isinstance(key, str) and "-" in key and " " not in key.split("-", 1)[0] and key[0].islower()


# --- the words of the field -------------------------------------------------------------------------------


def differences():
    """How a comparison with a server calls what it has found."""
    found = {NOT_COMPARED, *message_servers._SAID}
    for module in (message_servers, fhir_servers):
        found |= set(re.findall(r'\bwhat="([^"]+)"', inspect.getsource(module)))
    return found


FAMILIES = {
    "state": CaseState,
    "notice": (*NoticeKind, RECEIPT, ALARM),
    "standing": Standing,
    "answer": AnswerValue,
    "deadline": (WATCH, PLAN_TASK),
    "deadline-state": DeadlineState,
    "step": (*Step, "sent", "stored"),
    "receipt-step": Step,
    "delivery": DeliveryState,
    "trigger": Trigger,
    "health": (*Condition, "ok", "paused", "unused", "folder"),
    "transport": TRANSPORTS,
    "dialect": DIALECTS,
    "channel": ("http", "directory", "poll", "release", "reply", "command"),
    "planning": PlanningState,
    "consent": ConsentState,
    "plan-state": PlanState,
    "plan-kind": (*PlanKind, "unknown"),
    "declined-by": Decliner,
    "party-kind": (*KINDS, "unknown", "unlisted"),
    "role": Role,
    "readmission": Verdict,
    "placement": PlacementKind,
    "entry": EntryKind,
    "entry-state": EntryState,
    "alarm": TO_DO,
    "difference": {re.sub(r"\W+", "-", one.lower()) for one in differences()},
    "event": ("notice", "deadline", "delivery", "note"),
    **LEVELS,
}


def codes(family):
    found = {one.value if isinstance(one, enum.Enum) else one for one in FAMILIES[family]}
    if family in LEVELS:
        found |= set(LEVELS[family])
    return found


@everywhere
@pytest.mark.parametrize("family", FAMILIES)
def test_every_code_has_a_word_in_every_language(family, language):
    known = {key for part in HERE for key in entries(part, language)}
    assert {f"{family}-{code}" for code in codes(family)} - known == set()


@everywhere
@pytest.mark.parametrize(
    ("family", "table", "name"),
    [("deadline", "rule", "kind"), ("deadline", "deadline", "kind"), ("actor", "rule", "actor")],
)
def test_every_kind_and_actor_of_a_rule_file_has_a_word(family, table, name, language):
    known = entries("field", language)
    told = {rule[name] for rules in RULES for rule in tables(rules, table) if name in rule}
    told -= {rule[name] for rules in RULES for rule in tables(rules, "placement") if name in rule}
    assert {f"{family}-{code}" for code in told} - known.keys() == set()


@everywhere
def test_every_payee_of_a_rule_file_has_a_word(language):
    told = {payee for rules in RULES for one in tables(rules, "payees") for payee in [one]}
    assert told and {f"payee-{payee}" for payee in told} - entries("field", language).keys() == set()


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_the_fields_own_words_are_used(language):
    ready = {
        "nb": "utskrivningsklar", "nn": "utskrivingsklar", "sv": "utskrivningsklar", "da": "færdigbehandlet"
    }  # fmt: skip
    assert entries("field", language)["state-ready"] == (ready[language],)
