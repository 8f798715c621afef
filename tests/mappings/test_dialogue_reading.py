"""What a Norwegian dialogue message says: kinds, words, questions and persons, as FHIR has them."""

from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from adapter.discharge.notices import AnswerValue, Notice, NoticeKind
from adapter.errors import Refused
from adapter.fhir.bundles import Resource, extension, follow, header, of_every_type, resources
from adapter.fhir.notices import notice_in
from adapter.fhir.validation import validate
from adapter.mappings import Bundle, Reading, kith
from adapter.messaging.envelope import HER

PLO = Path(__file__).parents[2] / "fixtures" / "plo"
OSLO = ZoneInfo("Europe/Oslo")
K, A = NoticeKind, AnswerValue
OPENING = "Svar på melding om utskrivningsklar pasient:"
TEXT = "Vi har plass på sjukeheimen frå laurdag."


def content(scenario: str, name: str, version: str = "1.6") -> bytes:
    return (PLO / scenario / f"{name}.plo-{version}.xml").read_bytes()


def bent(data: bytes, old: str, new: str) -> bytes:
    assert old.encode() in data
    return data.replace(old.encode(), new.encode())


def read(data: bytes) -> Reading:
    return kith.read(data, content_type=None, zone=OSLO)


def bundle(data: bytes) -> Bundle:
    found = read(data)
    assert found.problem is None
    assert found.bundle is not None
    validate(found.bundle)
    return found.bundle


def notice(data: bytes) -> Notice:
    return notice_in(bundle(data), zone=OSLO)


def focus(made: Bundle) -> Resource:
    found = follow(made, (header(made) or {})["focus"][0])
    assert found is not None
    return found


def answer(words: str) -> bytes:
    return bent(content("answer-in-words", "free-text"), TEXT, words)


@pytest.mark.parametrize("version", ["1.5", "1.6"])
@pytest.mark.parametrize(
    ("scenario", "name", "kind"),
    [
        ("plan-asked-for", "enquiry", K.ENQUIRY),
        ("plan-asked-for", "reply", K.REPLY),
        ("wrong-receiver", "deviation", K.DEVIATION),
        ("visit-by-the-nurse", "note", K.NOTE),
        ("physiotherapist-asked", "health-professional-dialogue", K.NOTE),
        ("answer-in-words", "fixed-sentence", K.ANSWER),
    ],
)
def test_each_message_is_read_as_its_kind_and_receipted_in_its_version(
    scenario: str, name: str, kind: NoticeKind, version: str
) -> None:
    data = content(scenario, name, version)
    assert notice(data).kind is kind
    assert read(data).envelope.dialect == f"plo-{version}"


def test_a_dialogue_refers_to_what_it_answers_and_names_no_stay() -> None:
    first = read(content("plan-asked-for", "enquiry")).envelope
    found = notice(content("plan-asked-for", "reply"))
    assert found.refers_to == first.message_id
    assert found.occurred == found.sent_at == datetime(2014, 3, 5, 11, 40, tzinfo=OSLO)
    assert (found.hospital, found.sender) == (None, f"{HER}|8143501")
    assert found.text == "Truleg 6. mars, om ho går trygt i trapp."


def test_a_question_keeps_what_it_asks_why_and_how_soon() -> None:
    made = bundle(content("plan-asked-for", "enquiry"))
    asked = focus(made)
    assert asked["topic"]["text"] == "Plan for utskriving"
    assert asked["topic"]["coding"][0]["code"] == "8"
    assert asked["payload"] == [{"contentString": "Når ventes ho heim?"}]
    assert "<b>heim</b>" in asked["text"]["div"]
    assert asked["priority"] == "urgent"
    assert asked["reasonCode"][0]["text"] == "Heimesjukepleia må planleggje kvelden."
    assert extension(asked, "asked-period") == {"start": "2014-03-03", "end": "2014-03-06"}
    assert [c["coding"][0]["display"] for c in asked["category"][1:]] == ["Sykepleie", "Legemidler"]
    assert asked["identifier"] == [{"value": "PLO-4711"}]


def test_every_question_of_a_message_is_kept() -> None:
    made = bundle(content("plan-asked-for", "enquiry"))
    first, second = of_every_type(made, "Communication")
    assert first is focus(made)
    assert follow(made, second["partOf"][0]) is first
    assert second["payload"] == [{"contentString": "Skal ho ha multidose?"}]


def test_a_reply_is_in_response_to_the_question_that_it_repeats() -> None:
    made = bundle(content("plan-asked-for", "reply"))
    question = follow(made, focus(made)["inResponseTo"][0])
    assert question is not None
    assert question["payload"] == [{"contentString": "Når ventes ho heim?"}]
    assert focus(made)["note"] == [{"text": "Ring sengeposten etter kl. 14."}]
    assert focus(made)["sent"] == "2014-03-05"


def test_persons_stand_where_r4_has_a_place_for_them() -> None:
    asked = bundle(content("plan-asked-for", "enquiry"))
    nurse = follow(asked, focus(asked)["sender"]) or {}
    assert nurse["resourceType"] == "PractitionerRole"
    assert nurse["code"][0]["coding"][0]["display"] == "Primærkontakt"
    assert nurse["telecom"] == [{"system": "phone", "value": "57669900"}]
    assert (follow(asked, nurse["practitioner"]) or {})["name"][0]["family"] == "Omsorg"
    son = follow(asked, focus(asked)["about"][0]) or {}
    assert (son["resourceType"], son["birthDate"], son["gender"]) == ("RelatedPerson", "1965-05-02", "male")


def test_the_profession_wanted_at_the_receivers_is_a_recipient() -> None:
    made = bundle(content("physiotherapist-asked", "health-professional-dialogue"))
    wanted = follow(made, focus(made)["recipient"][0]) or {}
    person = follow(made, wanted["practitioner"]) or {}
    assert person["qualification"][0]["code"]["coding"][0]["code"] == "FT"
    office = follow(made, (follow(made, focus(made)["about"][0]) or {})["organization"]) or {}
    assert office["name"] == "Lærdal rehabilitering"


def test_marked_up_text_is_kept_as_narrative_and_told_in_lines() -> None:
    data = content("physiotherapist-asked", "health-professional-dialogue")
    assert "<li>Går med rullator</li>" in focus(bundle(data))["text"]["div"]
    lines = (notice(data).text or "").split("\n")
    assert [line.strip() for line in lines if line.strip()] == [
        "Ho er i opptrening etter hoftebrot.", "Går med rullator", "Trapp er ikkje prøvd",
    ]  # fmt: skip


def test_no_word_beside_markup_is_lost() -> None:
    made = bundle(answer('<x:div xmlns:x="http://www.w3.org/1999/xhtml">Ring</x:div> oss'))
    assert focus(made)["payload"] == [{"contentString": "Ring\noss"}]
    assert "oss" in focus(made)["text"]["div"]


def test_what_fhir_does_not_allow_in_narrative_is_told_as_text() -> None:
    h = '<x:p xmlns:x="http://www.w3.org/1999/xhtml">Ring <x:script>alert(1)</x:script></x:p>'
    made = bundle(answer(h))
    assert "script" not in focus(made)["text"]["div"]
    assert "Ring" in focus(made)["payload"][0]["contentString"]


@pytest.mark.parametrize(
    ("words", "value", "day", "rest"),
    [
        (f"{OPENING} Kommunen kan ta imot pasienten.", A.CAN_RECEIVE, None, None),
        (f"{OPENING} kommunen kan ta imot pasienten fra 8.3.2014.", A.CAN_RECEIVE, date(2014, 3, 8), None),
        (
            f"  {OPENING.upper()}\n\tKOMMUNEN  KAN TA IMOT\n PASIENTEN FRA 08. 03. 2014 . Ring først.",
            A.CAN_RECEIVE, date(2014, 3, 8), "Ring først.",
        ),
        (f"{OPENING} Kommunen kan ikke ta imot pasienten.\nFullt.", A.CANNOT_RECEIVE, None, "Fullt."),
        (
            f"{OPENING} Kommunen kan ikke ta imot pasienten før 10.03.2014.",
            A.CANNOT_RECEIVE, date(2014, 3, 10), None,
        ),
        (f"{OPENING} Kommunen vet ikke ennå når den kan ta imot pasienten.", A.NOT_KNOWN, None, None),
    ],
)  # fmt: skip
def test_the_fixed_sentence_is_an_answer(
    words: str, value: AnswerValue, day: date | None, rest: str | None
) -> None:
    found = notice(answer(words))
    assert (found.kind, found.answer, found.receive_from, found.text) == (K.ANSWER, value, day, rest)


@pytest.mark.parametrize(
    "words",
    [
        "Kommunen kan ta imot pasienten.",  # a person's own words, without our opening
        f"{OPENING} Kommunen kan ta imot pasienten fra 31.02.2014.",  # no day
        f"{OPENING} Kommunen kan ta imot pasienten fra 08.03.2014 dersom ho har hjelpemiddel.",
        f"{OPENING} Kommunen kan ta imot pasienten fra 08.03.0014.",
        f"Hei. {OPENING} Kommunen kan ta imot pasienten.",
    ],
)
def test_other_words_are_no_answer_until_somebody_has_read_them(words: str) -> None:
    found = notice(answer(words))
    assert (found.kind, found.answer) == (K.REPLY, None)
    assert found.text == words


@pytest.mark.parametrize(
    ("kind", "answers"),
    [("municipality", True), ("municipal-acute-bed", True), ("hospital", False), ("gp", False)],
)
def test_the_fixed_sentence_is_an_answer_of_those_who_may_answer(kind: str, answers: bool) -> None:
    words = f"{OPENING} Kommunen kan ta imot pasienten.\nStemmer dette?"
    found = read(answer(words)).heard_from(kind).bundle
    assert found is not None
    validate(found)
    told = notice_in(found, zone=OSLO)
    expected = (K.ANSWER, A.CAN_RECEIVE, "Stemmer dette?") if answers else (K.REPLY, None, words)
    assert (told.kind, told.answer, told.text) == expected


def test_a_dialogue_with_another_payload_is_refused() -> None:
    wrong = bent(content("visit-by-the-nurse", "note"), "dialog/2013-01-23", "dialog/2020-01-01")
    logistics = bent(
        (PLO / "home-with-help" / "ready.plo-1.6.xml").read_bytes(), "LOG_UTSKRIVNINGSKLAR", "DIALOG_NOTAT"
    )
    for data in (wrong, logistics):
        problem = read(data).problem
        assert isinstance(problem, Refused)
        assert problem.code == "T02"
        assert "Dialogmelding" in problem.reason


def test_a_type_that_does_not_fit_its_content_is_read_as_what_it_holds() -> None:
    data = bent(content("plan-asked-for", "enquiry", "1.5"), "DIALOG_FORESPORSEL", "DIALOG_NOTAT")
    assert notice(data).kind is K.ENQUIRY
    assert any("goes with Notat" in loss for loss in read(data).losses)


def test_an_empty_dialogue_is_taken_and_says_so() -> None:
    data = content("visit-by-the-nurse", "note")
    empty = data[: data.index(b"<Notat>")] + data[data.index(b"</Dialogmelding>") :]
    assert notice(empty).text is None
    assert any("nothing in it" in loss for loss in read(empty).losses)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('<Hastegrad V="3"', '<Hastegrad V="9"', "Hastegrad"),
        ("<Person>", "<Person><Nationality V='NO'/>", "Nationality"),
        ('V="9" DN="Primærkontakt" S="2.16.578.1.12.4.1.1.9034"', 'V="9" S="2.16.578.1.12.4.1.1.1"', "9034"),
        ('<fk1:TypeId V="HPR"', '<fk1:TypeId V="XYZ"', "Ident"),
        ("<Foresporsel>\n", "<SakstypeKodet V='1' DN='Sak'/><Foresporsel>\n", "SakstypeKodet"),
    ],
)
def test_what_has_no_place_is_listed(old: str, new: str, said: str) -> None:
    data = bent(content("plan-asked-for", "enquiry"), old, new)
    bundle(data)
    assert any(said in loss for loss in read(data).losses)


# --- PLO 2.0 ----------------------------------------------------------------------------------------------

FEEDBACK = """
<Pasientlogistikk xmlns="http://ehelse.no/xmlstds/po/Pasientlogistikk/2016-05-30"
    xmlns:po="http://ehelse.no/xmlstds/po/poKomponent/2017-11-30">
  <po:FellesAdministrativeOpplysninger>
    <po:InformasjonOmForsendelsen><po:Forsendelsesstatus V="N" DN="Ny"/></po:InformasjonOmForsendelsen>
  </po:FellesAdministrativeOpplysninger>
  <TilbakemeldingUtskrivningsklarPasient>
    <po:TidsfestetHendelse>
      <po:Hendelsekode V="20" DN="Kan ta imot" S="2.16.578.1.12.4.1.1.9121"/>
      <po:BeskrivelseAvHendelse>Rom 12</po:BeskrivelseAvHendelse>
      <po:TidspunktForHendelse>2014-03-08T10:00:00</po:TidspunktForHendelse>
      <po:Anslag>true</po:Anslag>
    </po:TidsfestetHendelse>
  </TilbakemeldingUtskrivningsklarPasient>
</Pasientlogistikk>
"""


def feedback(payload: str = FEEDBACK) -> bytes:
    data = bent(content("answer-in-words", "free-text"), 'V="DIALOG_HELSEFAGLIG"', 'V="LOG_TILBAKEMELDING"')
    end = data.index(b"</Content>")
    return data[: data.index(b"<Dialogmelding")] + payload.encode() + data[end:]


def test_the_reply_element_of_plo_2_is_an_answer_whose_words_a_person_reads() -> None:
    found = notice(feedback())
    assert (found.kind, found.answer, found.receive_from) == (K.ANSWER, A.UNCLASSIFIED, None)
    assert found.text == "Kan ta imot (anslag): 2014-03-08T10:00:00\nRom 12"
    assert found.refers_to == read(content("answer-in-words", "free-text")).envelope.refers_to
    assert read(feedback()).envelope.dialect == "plo-1.6"
    assert any("classifies" in loss for loss in read(feedback()).losses)


def test_our_own_sentence_in_it_is_read() -> None:
    said = FEEDBACK.replace("Rom 12", f"{OPENING} Kommunen kan ta imot pasienten fra 08.03.2014.")
    found = notice(feedback(said))
    assert (found.answer, found.receive_from) == (A.CAN_RECEIVE, date(2014, 3, 8))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2016-05-30", "2012-04-01"),
        ("TilbakemeldingUtskrivningsklarPasient", "MeldingInnlagtPasient"),
        ("2014-03-08T10:00:00", "snart"),
    ],
)
def test_a_reply_element_that_is_wrong_is_refused(old: str, new: str) -> None:
    problem = read(feedback(FEEDBACK.replace(old, new))).problem
    assert isinstance(problem, Refused)
    assert problem.code == "T02"


def test_a_note_with_more_files_than_a_bundle_holds_is_refused() -> None:
    """The limit of what we take as FHIR holds for what we make of XML, too: here, a thousand entries."""
    file = (
        b"<Document><RefDoc><MsgType V='A'/><MimeType>text/plain</MimeType><Content>"
        b"<Base64Container xmlns='http://www.kith.no/xmlstds/base64container'>QQ==</Base64Container>"
        b"</Content></RefDoc></Document>"
    )
    few, many = (answer("Vi kjem.").replace(b"</MsgHead>", file * n + b"</MsgHead>") for n in (900, 1000))
    assert sum(one["resourceType"] == "DocumentReference" for one in resources(bundle(few))) == 900
    problem = read(many).problem
    assert isinstance(problem, Refused)
    assert (problem.code, "send it in parts" in problem.reason) == ("T02", True)
