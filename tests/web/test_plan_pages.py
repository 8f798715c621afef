"""The pages of a plan over real HTTP: in the reader's language, by the rules of every other page."""

import io
from itertools import pairwise
from pathlib import Path

import pytest
from lxml import html
from pypdf import PdfReader

from adapter.messaging.people import Role
from adapter.web.pages import HEADERS
from adapter.web.plan_pages import PATHS
from adapter.web.words import LANGUAGES
from tests.people import AUDITOR, OPERATOR, somebody
from tests.plan_fixtures import INDIVIDUAL, SIP

from .plan_site import SCRIPT, plan_site

DOCS = Path(__file__).parents[2] / "docs" / "pages.md"
EVERY = [
    f"/plans/{SIP}", f"/plans/{SIP}?version=1", f"/plans/{SIP}/changes", f"/plans/{INDIVIDUAL}",
    f"/plans/{INDIVIDUAL}/changes", "/plans/hostile", "/plans/nothing", f"/plans/{SIP}?version=9",
    "/plans/broken", "/plans/secret",
]  # fmt: skip
KARI = somebody("kari", "Kari Lund", Role.MUNICIPALITY, parties=("umea",))
GUARD = somebody("vakt", "Vaktrum", Role.MUNICIPALITY, parties=("umea",), named=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with plan_site(tmp_path_factory.mktemp("plans")) as found:
        yield found


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    with plan_site(tmp_path_factory.mktemp("signed"), people=(KARI, GUARD, OPERATOR, AUDITOR)) as found:
        yield found


def words(element) -> str:
    return " ".join(" ".join(element.itertext()).split())


def rows(found, id_):
    tree = html.fromstring(found.text)
    table = tree.xpath(f"//table[@aria-labelledby='{id_}']")[0]
    return [[words(cell) for cell in row] for row in table.xpath(".//tbody/tr")]


# --- every page -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("path", EVERY)
def test_every_page_is_well_made(site, path, language):
    found = site.get(path + ("&" if "?" in path else "?") + f"lang={language}")
    tree = html.fromstring(found.text)
    assert tree.get("lang") == found.headers["Content-Language"] == language
    ids = tree.xpath("//@id")
    assert len(ids) == len(set(ids))
    assert len(tree.xpath("//h1")) == len(tree.xpath("//main")) == 1
    assert words(tree.xpath("//title")[0]) == words(tree.xpath("//h1")[0])
    levels = [int(heading.tag[1]) for heading in tree.xpath("//h1 | //h2 | //h3")]
    assert levels[0] == 1 and all(after - before <= 1 for before, after in pairwise(levels))
    assert not tree.xpath("//th[not(@scope)] | //table[not(@aria-labelledby)]")
    assert set(tree.xpath("//@aria-labelledby")) <= set(ids)
    for table in tree.xpath("//table"):  # each value says its heading, where rows are cards
        heads = [words(head) for head in table.xpath("./thead//th")]
        assert all(row.xpath("./*/@data-label") == heads for row in table.xpath("./tbody/tr"))
    assert tree.xpath("//body/a[1][@href='#content']")
    assert not tree.xpath("//script | //style | //@style | //@onclick | //iframe | //img | //form")


@pytest.mark.parametrize("path", [*EVERY, f"/plans/{SIP}.pdf", "/static/plan.css"])
def test_the_browser_is_told_to_run_frame_and_remember_nothing(site, path):
    headers = site.get(path).headers
    kept = {"Cache-Control": "public, max-age=31536000, immutable"} if path.startswith("/static/") else {}
    for name, value in (HEADERS | kept).items():
        assert headers[name] == value


@pytest.mark.parametrize("path", EVERY)
def test_every_link_leads_somewhere(site, path):
    for href in html.fromstring(site.get(path).text).xpath("//a/@href | //link/@href"):
        if href.startswith("/"):
            assert site.get(href).status_code == 200, href
        elif not href.startswith("#"):
            assert site.get(path.split("?")[0] + href).status_code == site.get(path).status_code, href


def test_every_page_is_described_in_the_documentation():
    described = DOCS.read_text(encoding="utf-8")
    for path in PATHS:
        assert f"`{path}`" in described


# --- a plan -----------------------------------------------------------------------------------------------


def test_a_plan_says_who_does_what_and_what_is_late(site):
    found = rows(site.get(f"/plans/{SIP}"), "actions")
    assert found[1] == [
        "! Försenat Såromläggning i hemmet",
        "Vindelns kommun (frågat av Vindelns vårdcentral)",
        "en gång i veckan, onsdag, från 13 mars 2024 till 3 april 2024",
        "3 april 2024",
        "försenat, pågår",
    ]
    assert found[2][-1] == "avböjt, Ingen ledig tid före den 25 mars"


@pytest.mark.parametrize(
    ("headers", "query", "language"),
    [
        ({}, "", "sv"),
        ({"Accept-Language": "nn, nb;q=0.8"}, "", "nn"),
        ({"Accept-Language": "nn"}, "?lang=en", "en"),
        ({"Accept-Language": "ja"}, "?lang=../../etc", "sv"),
    ],
)
def test_the_page_speaks_the_readers_language(site, headers, query, language):
    found = site.get(f"/plans/{INDIVIDUAL}{query}", headers=headers)
    assert found.headers["Content-Language"] == language


@pytest.mark.parametrize(("query", "language"), [("", "da"), ("?lang=sv", "sv")])
def test_what_was_chosen_on_another_page_holds_here_unless_the_address_says_otherwise(site, query, language):
    chosen = {**site.cookies, "language": "da"}
    found = site.get(f"/plans/{INDIVIDUAL}{query}", headers={"Accept-Language": "nn"}, cookies=chosen)
    assert found.headers["Content-Language"] == language


def test_an_earlier_version_is_shown_as_it_was(site):
    first = site.get(f"/plans/{SIP}?version=1")
    assert rows(first, "actions")[2][-1] == "försenat, efterfrågat, inget svar ännu"
    assert "Det här är version 1. Det finns en nyare." in first.text
    assert "Det finns en nyare" not in site.get(f"/plans/{SIP}?version=2").text
    printed = PdfReader(io.BytesIO(site.get(f"/plans/{SIP}.pdf?version=1").content))
    assert "Det här är version 1." in printed.pages[0].extract_text()
    assert len(rows(site.get(f"/plans/{SIP}?version=1"), "people")) == 5
    assert len(rows(site.get(f"/plans/{SIP}"), "people")) == 6


def test_the_versions_lead_to_each_other_and_to_what_changed(site):
    newest, oldest = rows(site.get(f"/plans/{SIP}"), "versions")
    assert newest == ["2", "tisdag 12 mars 2024 klockan 10.00", "Vindelns vårdcentral", "Vad som ändrades"]
    assert oldest[-1] == "–"


def test_what_changed_is_told_in_words(site):
    found = site.get(f"/plans/{SIP}/changes?from=1&to=2")
    without = html.fromstring(site.get(f"/plans/{SIP}/changes").text)
    assert words(without.xpath("//main")[0]) == words(html.fromstring(found.text).xpath("//main")[0])
    tree = html.fromstring(found.text)
    assert words(tree.xpath("//h1")[0]) == "Vad som ändrades från version 1 till version 2"
    told = [[words(cell) for cell in row] for row in tree.xpath("//tbody/tr")]
    assert ["Žofia Bæk har kommit med", "–", "–"] in told
    assert ["Såromläggning i hemmet: klart senast", "27 mars 2024", "3 april 2024"] in told
    assert ["Träning med fysioterapeut: läge", "efterfrågat, inget svar ännu", "avböjt"] in told
    assert len(told) == 4  # and the reason of the decline


def test_a_plan_of_one_version_has_not_changed(site):
    assert "Inget har ändrats." in site.get(f"/plans/{INDIVIDUAL}/changes").text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_print_is_the_plan_in_that_language(site, language):
    found = site.get(f"/plans/{SIP}.pdf?lang={language}")
    assert found.headers["Content-Type"] == "application/pdf"
    assert found.headers["Content-Disposition"] == 'inline; filename="plan.pdf"'
    reader = PdfReader(io.BytesIO(found.content))
    assert reader.trailer["/Root"]["/Lang"] == language
    assert "Såromläggning i hemmet" in reader.pages[1].extract_text() + reader.pages[0].extract_text()


# --- what must not be -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [path for path in EVERY if SIP in path or INDIVIDUAL in path])
def test_no_page_shows_an_identity_number(site, path):
    assert "194508152388" not in site.get(path).text
    assert "198497" not in site.get(path).text


def test_what_comes_out_of_a_plan_is_text_and_runs_nothing(site):
    found = site.get("/plans/hostile").text
    assert SCRIPT not in found and "&lt;script&gt;" in found and "<img" not in found


@pytest.mark.parametrize(
    "path",
    [
        "/plans/nothing", "/plans/nothing.pdf", "/plans/nothing/changes", f"/plans/{'x' * 65}",
        f"/plans/{SIP}?version=9", f"/plans/{SIP}?version=-1", f"/plans/{SIP}?version=1e3",
        f"/plans/{SIP}?version={'9' * 30}", f"/plans/{SIP}/changes?from=x", f"/plans/{SIP}/changes?to=0",
    ],
)  # fmt: skip
def test_what_is_not_there_is_not_found(site, path):
    found = site.get(path + ("&" if "?" in path else "?") + "lang=nn")
    assert found.status_code == 404
    assert words(html.fromstring(found.text).xpath("//h1")[0]) == "Finst ikkje"


@pytest.mark.parametrize("path", ["/plans/broken", "/plans/broken.pdf", "/plans/broken/changes"])
def test_a_failure_tells_nobodys_data(site, path, capfd):
    found = site.get(path)
    assert found.status_code == 500
    told = found.text + "".join(capfd.readouterr())
    assert "Märta" not in told and "RuntimeError" not in found.text


@pytest.mark.parametrize("path", ["", ".pdf", "/changes", "?version=1", ".pdf?version=1"])
def test_a_plan_under_protected_identity_is_for_named_staff_only(site, signed, path):
    assert site.get(f"/plans/secret{path}").status_code == 403
    assert "Märta" not in site.get(f"/plans/secret{path}").text
    assert signed.get(f"/plans/secret{path}").status_code == 200
    found = signed.seen_by(OPERATOR).get(f"/plans/secret{path}")
    assert found.status_code == 403
    assert "Märta" not in found.text


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".pdf",
        "/changes",
        "?version=1",
        ".pdf?version=1",
        "?version=99",
        ".pdf?version=99",
        "/changes?to=99",
    ],
)
def test_to_an_account_of_several_people_there_is_no_such_plan(signed, path):
    several = signed.seen_by(GUARD)
    found, nowhere = several.get(f"/plans/secret{path}"), several.get(f"/plans/nothing{path}")
    assert found.status_code == nowhere.status_code == 404
    assert found.text.replace("secret", "nothing") == nowhere.text


@pytest.mark.parametrize("path", ["/plans/secret", "/plans/secret?version=1", "/plans/secret/changes"])
def test_protected_identity_holds_for_earlier_versions_too(signed, path):
    found = signed.get(path).text
    for secret in ("Åkervägen", "070-174 06 05", "070-174 06 33", "Karin"):
        assert secret not in found


@pytest.mark.parametrize(
    "path", [f"/plans/{SIP}", f"/plans/{SIP}.pdf", f"/plans/{SIP}/changes", "/plans/nothing"]
)
def test_nobody_reads_a_plan_without_signing_in_and_an_auditor_none(signed, path):
    found = signed.seen_by(None).get(path, allow_redirects=False)
    assert found.status_code == 303
    assert found.headers["Location"] == f"/sign-in?to={path}"
    assert "Märta" not in found.text
    assert signed.seen_by(AUDITOR).get(path).status_code == 404
    assert signed.get(path).status_code == (404 if "nothing" in path else 200)
