"""The documentation is true: its examples run, its links lead somewhere, and nothing is left undocumented.

A block after `<!-- executed -->` is run in a folder of its own with `fixtures/` in it, and its standard
output compared; instants of today, pseudonyms, UUIDs and sizes may differ. `python -m tests.test_docs` writes
the outputs anew.
"""

import ast
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest
import typer
from pydantic import BaseModel, TypeAdapter
from starlette.routing import Route

from adapter.cli import app
from adapter.config import Settings, load, load_region
from adapter.config.people import load_people
from adapter.config.region import IDENTIFIER_SYSTEMS
from adapter.discharge.agreement import agreement, countries, country, read_accord
from adapter.discharge.law import told
from adapter.discharge.ledger import EntryKind, EntryState
from adapter.discharge.notices import NoticeKind
from adapter.discharge.pathways import read_own
from adapter.discharge.rulefile import Table
from adapter.fhir.bundles import EXTENSIONS
from adapter.messaging.alarm_words import TO_DO
from adapter.messaging.delivery import DeliveryState
from adapter.runtime import Adapter, stations
from adapter.store import Store
from adapter.telling import ESCALATE_AFTER
from adapter.web.metrics import Metrics
from tests import warm

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
EXECUTED = [ROOT / "README.md", DOCS / "commands.md"]
BLOCK = re.compile(r"(?<=<!-- executed -->\n```console\n)(.*?)(?=```\n)", re.DOTALL)


def page(name: str) -> str:
    return (DOCS / name).read_text()


RULES_BELOW = "<!-- generated: python -m tests.test_docs -->\n"


def with_rules(text: str) -> str:
    """The page on deadlines with the rules as the rule files have them."""
    return f"{text.split(RULES_BELOW, maxsplit=1)[0]}{RULES_BELOW}\n{told(countries()).rstrip()}\n"


def test_the_rules_are_told_as_the_rule_files_have_them() -> None:
    text = page("deadlines.md")
    assert text == with_rules(text), "run `python -m tests.test_docs`"


def blocks_after(marker: str, text: str) -> list[str]:
    return re.findall(rf"<!-- {marker} -->\n```\w+\n(.*?)```\n", text, re.DOTALL)


# --- examples ---------------------------------------------------------------------------------------------


def environment(programs: Path = Path(sys.executable).parent) -> dict[str, str]:
    plain = {k: v for k, v in os.environ.items() if not k.startswith("DISCHARGE_ADAPTER_")}
    return plain | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "COLUMNS": "110",
        "LC_ALL": "C.UTF-8",
    }


def executed(text: str, folder: Path, env: dict[str, str]) -> str:
    """The page with every example's output as it is now."""
    (folder / "fixtures").symlink_to(ROOT / "fixtures")

    def run(block: re.Match[str]) -> str:
        written = []
        for command in re.findall(r"^\$ (.*)$", block.group(1), re.MULTILINE):
            done = subprocess.run(
                ["bash", "-c", command], cwd=folder, env=env, capture_output=True, timeout=60
            )
            printed = "\n".join(line.rstrip() for line in done.stdout.decode().rstrip("\n").split("\n"))
            written.append(f"$ {command}\n" + (f"{printed}\n" if printed else ""))
        return "".join(written)

    return BLOCK.sub(run, text)


def settled(text: str) -> str:
    """The page without what differs from run to run."""
    for pattern, word in (
        (r"\b20(?:2[5-9]|[3-9]\d)-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?Z?", "<time>"),
        (r"\bP[A-Z2-7]{16}\b", "<patient>"),
        (r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<uuid>"),
        (r"\b\d+ bytes", "<size>"),
        (r"\b\d+:[0-9a-f]{64}\b", "<head>"),
    ):
        text = re.sub(pattern, word, text)
    return text


@pytest.fixture(scope="module", params=EXECUTED, ids=lambda path: path.name)
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, Path]:
    """A page, the page with its examples' outputs as they are now, and the folder in which they ran.

    The README's are run with the program as it is installed, the many others with one that has been loaded.
    """
    folder, env = tmp_path_factory.mktemp("examples"), environment()
    if request.param.name != "README.md":
        programs = tmp_path_factory.mktemp("programs")
        warm.command(programs / "discharge-adapter", "-m adapter.cli")
        env = environment(programs)
    return request.param, executed(request.param.read_text(), folder, env), folder


@pytest.mark.slow
def test_every_example_prints_what_the_page_shows(ran: tuple[Path, str, Path]) -> None:
    path, now, _ = ran
    text = path.read_text()
    assert len(BLOCK.findall(text)) >= 2
    assert in_any_order(settled(now)) == in_any_order(settled(text))


def in_any_order(text: str) -> list[str]:
    """The lines, each table's rows sorted and unnumbered: what falls due first depends on the time of day."""
    found: list[str] = []
    for is_row, lines in groupby(text.splitlines(), lambda line: line.startswith("│")):
        told = list(lines)
        found += sorted(re.sub(r"^│ \d+ +│", "│ # │", line) for line in told) if is_row else told
    return found


def test_the_region_shown_to_a_newcomer_is_the_one_in_the_fixtures() -> None:
    (shown,) = blocks_after("region", page("onboarding-a-partner.md"))
    assert shown == (ROOT / "fixtures" / "regions" / "laerdal-alone.toml").read_text()


def test_the_short_names_of_identifiers_are_written_out() -> None:
    (table,) = re.findall(r"<!-- systems -->\n(.*?)\n\n", page("onboarding-a-partner.md"), re.DOTALL)
    assert dict(re.findall(r"\| `(\w+)` \| `(\S+)` \|", table)) == IDENTIFIER_SYSTEMS


def test_every_extension_is_told_with_the_type_of_its_value() -> None:
    section = page("fhir-messages.md").split("\n## Extensions\n", 1)[1].split("\n## ", 1)[0]
    told: dict[str, tuple[str, str]] = {}
    for names, on, kind in re.findall(r"^\| (`.*?) \| (\S+) \| `value(\w+)` \|", section, re.MULTILINE):
        told |= dict.fromkeys(re.findall(r"`([\w-]+)`", names), (kind, on))
    assert told == EXTENSIONS


COUNTRY = {"Samarbeidsavtale": "norway", "Överenskommelse": "sweden"}
INDENTED = re.findall(r"(?:^    \S.*\n|^\n(?=    ))+", page("deadlines.md"), re.MULTILINE)
TABLES = [tomllib.loads(textwrap.dedent(block)) for block in INDENTED if block.strip().startswith("[[")]


def test_the_agreements_shown_are_accepted_by_their_country() -> None:
    shown = [one for tables in TABLES for one in tables.get("accord", [])]
    assert len(shown) >= 3
    for one in shown:
        made = read_accord(Table(one, "docs/deadlines.md"))
        assert agreement(COUNTRY[one["name"].split()[0]], {}, [made])


def test_the_pathways_and_groups_shown_are_accepted() -> None:
    (shown,) = [tables for tables in TABLES if "pathway" in tables]
    assert read_own(Table(shown, "docs/deadlines.md"), country("norway"))


def test_whose_deadlines_may_count_is_told_in_full() -> None:
    for name in ("settings.md", "onboarding-a-partner.md"):
        (row,) = [line for line in page(name).splitlines() if line.startswith("| `agreement`")]
        assert [one.name for one in countries() if f"`{one.name}`" not in row] == []


def test_every_state_of_a_charge_is_documented() -> None:
    section = page("commands.md").split("## payments\n")[1].split("\n## ")[0]
    assert [word for word in (*EntryKind, *EntryState) if f"`{word}` |" not in section] == []


def test_every_region_file_loads() -> None:
    for path in (ROOT / "fixtures" / "regions").glob("*.toml"):
        assert load_region(path).register_.parties


def test_the_example_of_settings_is_accepted(tmp_path: Path) -> None:
    (shown,) = blocks_after("settings", page("settings.md"))
    (tmp_path / "adapter.toml").write_text(shown)
    found = load(tmp_path / "adapter.toml")
    assert found.retry.give_up_after == timedelta(days=2)
    assert found.people == tmp_path / "people.toml"


def test_the_example_of_people_is_accepted(tmp_path: Path) -> None:
    (shown,) = blocks_after("people", page("settings.md"))
    (tmp_path / "people.toml").write_text(shown)
    region = load_region(ROOT / "fixtures" / "regions" / "indre-sogn.toml")
    assert load_people(tmp_path / "people.toml", region.register_)


# --- nothing undocumented ---------------------------------------------------------------------------------


def commands() -> Iterator[tuple[str, list[str]]]:
    group = typer.main.get_command(app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]  # it is a group
        yield name, [o for p in command.params for o in p.opts if o.startswith("--")]
        for below, one in getattr(command, "commands", {}).items():
            yield f"{name} {below}", [o for p in one.params for o in p.opts if o.startswith("--")]


@pytest.mark.parametrize(("name", "options"), list(commands()), ids=lambda value: str(value)[:20])
def test_every_command_and_option_is_documented(name: str, options: list[str]) -> None:
    text = page("commands.md")
    heading = name.split(maxsplit=1)[0]
    assert re.search(rf"^## (?:[\w, -]+, )?{heading}(?:,|$)", text, re.MULTILINE), f"no section for {name}"
    assert name in text
    for option in set(options) - {"--help"}:
        assert f"{option}" in text, f"{name} {option}"


def settings_rows(heading: str | None) -> dict[str, str]:
    """Setting and default, of the table under a heading; of the first table where none is named."""
    text = page("settings.md")
    if heading is not None:
        assert f"\n## `{heading}`\n" in text
        text = text.split(f"\n## `{heading}`\n", 1)[1]
    text = text.split("\n## ", 1)[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", text, re.MULTILINE))


def tables_of_settings() -> list[tuple[str | None, type[BaseModel]]]:
    found: list[tuple[str | None, type[BaseModel]]] = [(None, Settings)]
    for name, field in Settings.model_fields.items():
        kinds = [field.annotation, *get_args(field.annotation)]
        model = next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)
        if model is not None:
            one = model is field.annotation or type(None) in kinds
            found.append((f"[{name}]" if one else f"[[{name}]]", model))
    return found


@pytest.mark.parametrize(("heading", "model"), tables_of_settings(), ids=lambda value: str(value)[:20])
def test_every_setting_is_documented_with_its_default(heading: str | None, model: type[BaseModel]) -> None:
    rows = settings_rows(heading)
    assert set(rows) == set(model.model_fields)
    for name, field in model.model_fields.items():
        shown = re.match(r"`(.*)`$", rows[name])
        if shown is None or isinstance(field.default, BaseModel):
            assert field.is_required() or not field.default or isinstance(field.default, BaseModel), name
            continue
        text = shown.group(1)
        value = orjson.loads(text) if text.startswith("[") else text
        assert TypeAdapter(field.annotation).validate_python(value) == field.default, name


def alarm_kinds() -> set[str]:
    """Every kind that some station raises, read from the code."""
    found: set[str] = set()
    for path in (ROOT / "adapter").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                continue
            said: list[ast.expr] = []
            if call.func.attr == "start" and "alarms" in ast.unparse(call.func.value):
                said = [k.value for k in call.keywords if k.arg == "kind"]
            elif call.func.attr == "_tell":
                said = call.args[2:3]
            for one in said:
                choices = [one.body, one.orelse] if isinstance(one, ast.IfExp) else [one]
                found |= {str(c.value) for c in choices if isinstance(c, ast.Constant)}
    return found


def test_every_alarm_is_documented_with_what_to_do() -> None:
    kinds = alarm_kinds()
    assert {"quarantined", "refused", "given-up", "deadline-missed", "mailbox"} <= kinds
    documented = set(
        re.findall(r"^\| `([a-z-]+)` \|", page("operations.md").split("## Alarms")[1].split("## ")[0], re.M)
    )
    assert documented == kinds == set(TO_DO)


def test_who_is_told_of_what_nobody_has_seen_is_documented() -> None:
    section = page("alarms.md").split("## Who is told")[1].split("\n## ")[0]
    told = dict(re.findall(r"^\| `([a-z-]+)` \| .* \| `(\w+)` \|$", section, re.MULTILINE))
    assert {kind: TypeAdapter(timedelta).validate_python(after) for kind, after in told.items()} == dict(
        ESCALATE_AFTER
    )


def test_every_metric_is_documented(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/store.db")
    metrics = Metrics(store, lambda: datetime.now(UTC))  # noqa: TID251  # nothing depends on it
    names = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in metrics.registry.collect()
    }
    store.close()
    documented = set(re.findall(r"^\| `(discharge_\w+)` \|", page("operations.md"), re.MULTILINE))
    assert documented == names


def test_every_page_of_the_browser_is_documented(tmp_path: Path) -> None:
    built = stations(Settings(store=f"sqlite:///{tmp_path}/store.db"))
    routes = [r for r in Adapter(built, role="web").app().routes if isinstance(r, Route)]
    built.store.close()
    text = page("pages.md") + page("operations.md") + page("fhir-messages.md")
    text = re.sub(r"{\w+}", "{id}", text)
    pages = {
        re.sub(r"{.*?}", "{id}", r.path)
        for r in routes
        if "GET" in (r.methods or ()) and not r.path.startswith(("/static/", "/favicon", "/fhir/", "/{"))
    }
    assert {"/", "/cases/{id}", "/alarms", "/metrics"} <= pages
    assert {path for path in pages if f"`{path}`" not in text} == set()


def test_every_word_of_the_field_is_in_the_glossary() -> None:
    text = page("glossary.md")
    assert [kind.value for kind in NoticeKind if f"`{kind.value}`" not in text] == []
    assert [state.value for state in DeliveryState if f"`{state.value}`" not in text] == []


def test_every_package_and_station_is_in_the_architecture() -> None:
    text = page("architecture.md")
    for path in (ROOT / "adapter").iterdir():
        if path.name.startswith(("__", "py.typed")) or path.suffix not in ("", ".py"):
            continue
        assert re.search(rf"^  {path.name}/? ", text, re.MULTILINE), path.name
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    assert "\n".join(layers["layers"]) in text


def test_files_and_functions_on_the_way_of_a_message_exist() -> None:
    text = page("message-journey.md")
    for name in re.findall(r"`(adapter/[\w/]+\.py)`", text):
        assert (ROOT / name).is_file(), name
    source = "".join(path.read_text() for path in (ROOT / "adapter").rglob("*.py"))
    for name in re.findall(r"`(?:\w+\.)?(\w+)`", text):
        assert re.search(rf"\b{name}\b", source), name


# --- fields and links -------------------------------------------------------------------------------------


def fields_after(words: str, text: str) -> set[str]:
    """The field names of the paragraph that begins with `words`; a field's values in brackets are none."""
    paragraph = words + text.split(words, 1)[1].split("\n\n", 1)[0]
    return set(re.findall(r"`(\w+)`", re.sub(r"\(`.*?\)", "", paragraph)))


@pytest.mark.slow
def test_documented_fields_are_in_what_is_printed(ran: tuple[Path, str, Path]) -> None:
    path, _, folder = ran
    text = page("commands.md")
    sample = ROOT / "fixtures" / "plo" / "refused-on-arrival" / "patient-unclear.plo-1.6.xml"
    answer(folder, "receive", str(sample))
    for words, command in (
        ("JSON fields of a case:", "cases"),
        ("JSON fields of a delivery:", "deliveries"),
        ("JSON fields of a held message:", "quarantine"),
        ("JSON fields: `id`, `case`", "deadlines"),
        ("JSON fields: `id`, `kind`", "alarms"),
        ("JSON fields: `name`", "endpoints"),
    ):
        listed = answer(folder, command)
        if path.name == "README.md" and command in ("alarms", "endpoints"):
            continue  # there are none without a region
        names = fields_after(words, text)
        tried = {"at", "trigger", "status", "outcome", "ms", "sha256"} if command == "deliveries" else set()
        assert len(names) > 7
        assert names - tried <= set(listed[0]), command


def answer(folder: Path, *arguments: str) -> Any:
    done = warm.run(["-m", "adapter.cli", *arguments, "--json"], cwd=folder, env=environment())
    return orjson.loads(done.stdout)


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        found = (path.parent / name).resolve() if name else path
        assert found.is_file(), target
        assert not anchor or anchor in anchors(found), target


def test_every_page_is_reached_from_the_index() -> None:
    text = page("index.md")
    assert [p.name for p in DOCS.glob("*.md") if p.name != "index.md" and f"({p.name})" not in text] == []


if __name__ == "__main__":
    (DOCS / "deadlines.md").write_text(with_rules(page("deadlines.md")))
    for written in EXECUTED:
        with tempfile.TemporaryDirectory() as folder:
            written.write_text(executed(written.read_text(), Path(folder), environment()))
