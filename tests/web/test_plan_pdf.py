"""The print of a plan: its text can be searched in each language, and holds nothing that must stay unsaid."""

import io
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from pypdf import PdfReader

from adapter.fhir.bundles import of_type
from adapter.web.pdf import plan_pdf, printable
from adapter.web.plan_layout import sheet
from adapter.web.plan_words import PlanWords
from adapter.web.words import LANGUAGES
from tests.plan_fixtures import INDIVIDUAL, SIP, bundle, care_plan, changed, protect, read

STOCKHOLM = ZoneInfo("Europe/Stockholm")
NOW = datetime(2024, 4, 10, 9, 5, tzinfo=STOCKHOLM)


def printed(plan, language="sv"):
    return PdfReader(io.BytesIO(plan_pdf(plan, language=language, now=NOW)))


def text(reader):
    return " ".join(" ".join(page.extract_text() for page in reader.pages).split())


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", [SIP, INDIVIDUAL])
def test_everything_on_the_sheet_is_in_the_print(name, language):
    plan = read(bundle(name))
    told = text(printed(plan, language)).replace(" ", "")
    laid = sheet(plan, PlanWords(language=language, zone=STOCKHOLM), NOW)
    wanted = [laid.title, laid.description, *(part for fact in laid.facts for part in fact)]
    wanted += [cell for it in laid.sections for line in it.lines for cell in (it.heading, *line.cells)]
    for words in wanted:
        # a block may run over to the next page, where the foot of the page stands in between
        assert all("".join(word.split()) in told for word in words.split()), words


def test_letters_of_every_language_in_the_north_are_right():
    told = text(printed(read(bundle())))
    for name in ("Märta", "Björn Östlund", "Åström", "Šárka Nygård", "Žofia Bæk"):
        assert name in told
    assert "Čáhppe Đoaivi" in text(printed(read(bundle(INDIVIDUAL)), "nn"))
    assert printable("åäöæøðþšžđŋŧčŁęçñ –…“”’•€½≤") == "åäöæøðþšžđŋŧčŁęçñ –…“”’•€½≤"


def test_a_sign_that_the_type_lacks_is_shown_as_lacking():
    def foreign(of):
        care_plan(of)["title"] = "計画 och plan\u0000"

    reader = printed(changed(foreign))
    assert "□□ och plan" in text(reader)


def test_title_and_language_are_in_the_metadata_and_headings_in_the_outline():
    reader = printed(read(bundle()), "nn")
    assert reader.metadata.title == "SIP för Märta: hem med stöd"
    assert reader.trailer["/Root"]["/Lang"] == "nn"
    assert [it.title for it in reader.outline][:3] == ["Ver varsam", "Kva du ønskjer", "Kven gjer kva"]
    assert reader.metadata.creation_date == NOW


def test_every_page_is_a4_and_has_its_number_and_the_instant():
    reader = printed(read(bundle()))
    count = len(reader.pages)
    assert count > 1
    for number, page in enumerate(reader.pages, 1):
        width, height = (float(side) / 72 * 25.4 for side in page.mediabox[2:])
        assert (round(width), round(height)) == (210, 297)
        assert f"Sida {number} av {count}" in page.extract_text()
        assert "onsdag 10 april 2024 klockan 09.05" in page.extract_text()


def test_no_line_is_torn_between_two_pages():
    plan = read(bundle())
    pages = ["".join(page.extract_text().split()) for page in printed(plan).pages]
    laid = sheet(plan, PlanWords(language="sv", zone=STOCKHOLM), NOW)
    for it in laid.sections:
        for line in it.lines:
            told = ["".join(cell.split()) for cell in line.cells if cell]
            assert any(all(cell in page for cell in told) for page in pages), line.cells[0]


def test_the_type_is_large():
    sizes = {}
    for page in printed(read(bundle())).pages:
        page.extract_text(
            visitor_text=lambda said, _cm, _tm, _font, size: sizes.setdefault(round(size), []).append(said)
        )
    small = [said for size in sizes if size < 13 for said in sizes[size] if said.strip()]
    assert all("Sida" in said or "Så här ser planen ut" in said for said in small)
    assert min(size for size in sizes if size) >= 10


def test_equal_plans_give_equal_bytes_and_another_instant_another_print():
    first = plan_pdf(read(bundle()), language="sv", now=NOW)
    assert first == plan_pdf(read(bundle()), language="sv", now=NOW)
    assert first != plan_pdf(read(bundle()), language="sv", now=NOW + timedelta(days=1))


def test_late_is_a_word_and_no_colour():
    assert "Försenat: Såromläggning i hemmet" in text(printed(read(bundle())))


@pytest.mark.parametrize("name", [SIP, INDIVIDUAL])
def test_no_identity_number_is_printed(name):
    made = bundle(name)
    number = of_type(made, "Patient")["identifier"][0]["value"]
    care_plan(made)["description"] = f"Gjelder {number}, også skrevet {number[:6]} {number[6:]}"
    told = text(printed(read(made))).replace(" ", "").replace("-", "")
    assert number not in told
    assert number.encode() not in plan_pdf(read(made), language="nb", now=NOW)


def test_the_print_of_somebody_with_protected_identity_leaves_out_what_it_must():
    told = text(printed(changed(protect)))
    for secret in ("Åkervägen", "922 31", "Vindeln 922", "070-174 06 05", "070-174 06 33", "Karin"):
        assert secret not in told
    assert "Personen har skyddad identitet" in told
    assert "090-785 01 10" in told


def test_a_plan_of_any_length_is_printed():
    def long(of):
        care_plan(of)["note"] = [{"text": "ord " * 2000}, *({"text": f"nr {n}"} for n in range(200))]

    told = text(printed(changed(long)))
    assert told.count("ord") >= 2000 and "nr 199" in told


def test_an_instant_without_zone_is_refused():
    with pytest.raises(ValueError, match="zone"):
        plan_pdf(read(bundle()), language="sv", now=NOW.replace(tzinfo=None))
