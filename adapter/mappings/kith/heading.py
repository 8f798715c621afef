"""What every payload of PLO begins with: how it stands to an earlier one, whom to call, who answers for it.

Read into the words of the envelope, and written from them (HIS 80704: InformasjonOmForsendelsen,
TilknyttetEnhet, AnsvarForRapport).
"""

import re

from lxml import etree

from adapter.discharge.notices import Notice, Standing
from adapter.fhir.bundles import Bundle, Clinician, Unit, follow, header
from adapter.mappings.kith.lists import LOGISTICS, PEOPLE
from adapter.mappings.kith.msghead import id_fits, read_idents, write_ident
from adapter.mappings.kith.xml import Node, add
from adapter.messaging.envelope import HER, Address
from adapter.phrases import Phrase, phrase

FK = "{http://www.kith.no/xmlstds/felleskomponent1}"

_UNSEEN = {
    "A": "that it is an addition to an earlier one",
    "H": "that it is history",
    "X": "that its status is 'other'",
}
"""By the code of a sending status: what a reader of the notice no longer sees."""


def read_sending(node: Node | None, po: str, losses: list[Phrase]) -> tuple[Standing, bool]:
    """What the message is to an earlier one (list 7309), and whether the patient has a reservation."""
    where = "InformasjonOmForsendelsen/Forsendelsesstatus"
    if node is None:
        losses.append(phrase("{element} is missing; the message was read as a new one", element=where))
        return Standing.NEW, False
    status = node.code(po + "Forsendelsesstatus") or ""
    entry = LOGISTICS["sending-status"].get(status)
    if entry is None:
        losses.append(
            phrase("{element} is not a code of list 7309; the message was read as a new one", element=where)
        )
    elif status in _UNSEEN:
        losses.append(
            phrase(
                "{element}: {loss}; the message was read as a new one",
                element=where,
                loss=phrase(_UNSEEN[status]),
            )
        )
    said = (node.text(po + "ForbeholdOmVideresending") or "false").lower()
    reserved = said not in ("false", "0")  # whatever else it says, the patient has reserved something
    if reserved and said not in ("true", "1"):
        losses.append(
            phrase("InformasjonOmForsendelsen/ForbeholdOmVideresending is no boolean; it was read as true")
        )
    return Standing(entry["standing"]) if entry else Standing.NEW, reserved


def read_responsible(node: Node | None, po: str) -> Clinician | None:
    person = node.one(po + "AnsvarligRapport") if node is not None else None
    if person is None:
        return None
    given = [person.text(FK + "GivenName"), person.text(FK + "MiddleName")]
    table = PEOPLE["person"]
    idents = [i for i in read_idents(person, FK) if i.id and id_fits(i.id) and i.type in ("HPR", "HER")]
    return Clinician(
        identifiers=tuple(
            (table[i.type]["system"], i.id.replace(".", "") if i.type == "HER" else i.id) for i in idents
        ),
        family=person.text(FK + "FamilyName"),
        given=" ".join(part for part in given if part) or None,
        profession=person.code(FK + "TypeHealthcareProfessional"),
    )


def read_unit(node: Node | None, po: str, losses: list[Phrase]) -> Unit | None:
    office = node.one(po + "Kontaktenhet") if node is not None else None
    name = office.text(FK + "OrganisationName") if office is not None else None
    if office is None or name is None:
        return None
    phone = office.code(FK + "TeleCom", FK + "TeleAddress")
    office.ignore(FK + "TeleCom", FK + "TypeTelecom")
    ident = next(iter(read_idents(office, FK)), None)
    if ident is not None:
        losses.append(phrase("TilknyttetEnhet/Kontaktenhet/Ident: the unit's identifier"))
    return Unit(
        name=name,
        phone=re.sub(r"^tel:", "", phone) if phone else None,
        local_id=ident.id or None if ident else None,
    )


def write_sending(root: etree._Element, po: str, notice: Notice) -> None:
    sending = add(root, po + "InformasjonOmForsendelsen")
    code = {Standing.NEW: "N", Standing.CORRECTION: "M", Standing.CANCELLATION: "C"}[notice.standing]
    add(sending, po + "Forsendelsesstatus", V=code, DN=LOGISTICS["sending-status"][code]["name"])
    if notice.reserved:
        add(sending, po + "ForbeholdOmVideresending", "true")


def write_unit(root: etree._Element, po: str, bundle: Bundle, sender: Address, losses: list[Phrase]) -> None:
    """The office to call; the schema wants an identifier, and the sender's own is the only one known."""
    head = header(bundle) or {}
    source = head.get("source") or {}
    sending = follow(bundle, head.get("sender")) or {}
    phone = (source.get("contact") or {}).get("value")
    name = source.get("name")
    if not name or (not phone and name == sending.get("name", "unnamed")):
        return
    idents = [
        (s, v) for s, v in sender.identifiers if s in {e["system"] for e in PEOPLE["organisation"].values()}
    ]
    if not idents:
        losses.append(phrase("the unit to call: the sender has no identifier to write with it"))
        return
    office = add(add(root, po + "TilknyttetEnhet"), po + "Kontaktenhet")
    add(office, FK + "OrganisationName", name)
    write_ident(office, FK, "organisation", "HER" if idents[0][0] == HER else "ENH", idents[0][1])
    if phone:
        telephone = add(office, FK + "TeleCom")
        add(telephone, FK + "TypeTelecom", V="HP", DN="Hovedtelefon")
        add(telephone, FK + "TeleAddress", V="tel:" + re.sub(r"[^0-9+]", "", phone))


def write_responsible(
    root: etree._Element, po: str, clinician: Clinician | None, message_type: str, losses: list[Phrase]
) -> None:
    if clinician is None or not (clinician.family or clinician.given):
        if message_type in ("LOG_UTSKRIVNINGSKLAR", "LOG_AVMELDING"):
            losses.append(
                phrase(
                    "{type} shall name the clinician who decided, and the notice does not", type=message_type
                )
            )
        return
    person = add(add(root, po + "AnsvarForRapport"), po + "AnsvarligRapport")
    if clinician.profession:
        name = PEOPLE["profession"].get(clinician.profession)
        add(person, FK + "TypeHealthcareProfessional", V=clinician.profession, DN=name)
    for tag, text in (("FamilyName", clinician.family), ("GivenName", clinician.given)):
        if text:
            add(person, FK + tag, text)
    types = {PEOPLE["person"][code]["system"]: code for code in ("HPR", "HER")}
    known = [(types[system], value) for system, value in clinician.identifiers if system in types]
    if not known:
        losses.append(
            phrase("the clinician has no HPR number: the identifier that the schema wants is empty")
        )
    for code, value in known or [("HPR", "")]:
        write_ident(person, FK, "person", code, value)
