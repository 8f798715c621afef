"""Partners may sign in with a client certificate instead of a token, over real TLS."""

import hashlib
import ssl
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from adapter.config import Settings
from adapter.discharge.notices import NoticeKind
from adapter.errors import ConfigurationError
from adapter.messaging.register import Partner
from adapter.runtime import Adapter, check_tls, now, stations
from tests.stage import region, stage

PEM = Path(__file__).parent.parent / "transport" / "loopback.pem"


def fingerprint() -> str:
    text = PEM.read_text()
    begin, end = text.index("-----BEGIN CERT"), text.index("-----END CERTIFICATE-----")
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(text[begin:end] + "-----END CERTIFICATE-----")).hexdigest()


@pytest.fixture
def served(tmp_path: Path):
    """The region over TLS; one partner is known by its certificate only."""
    known = region()
    partner = Partner(name="helse-foerde", parties=("laerdal-sjukehus",), certificate_sha256=fingerprint())
    known = known.model_copy(update={"register_": replace(known.register_, partners=(partner,))})
    settings = Settings(
        store=f"sqlite:///{tmp_path}/tls.db", port=0, tls_certificate=PEM, tls_key=PEM, client_ca=PEM
    )
    adapter = Adapter(stations(settings, region=known), role="web")
    address = adapter.start()
    yield f"{address}/fhir/$process-message", stage(f"sqlite:///{tmp_path}/stage.db", now)
    adapter.stop()


def post(url: str, content: bytes, cert: str | None) -> requests.Response:
    headers = {"Content-Type": "application/fhir+json"}
    return requests.post(url, data=content, headers=headers, cert=cert, verify=str(PEM), timeout=10)


def test_a_partner_with_its_certificate_is_let_in_and_speaks_for_its_parties_only(served) -> None:
    url, play = served
    own = play.message(NoticeKind.ADMITTED)
    assert post(url, own, str(PEM)).status_code == 200
    foreign = play.message(NoticeKind.ANSWER, sender="sogndal", receivers=("laerdal-sjukehus",))
    assert post(url, foreign, str(PEM)).status_code == 403


def test_without_a_certificate_nobody_is_let_in(served) -> None:
    url, play = served
    assert post(url, play.message(NoticeKind.ADMITTED, message_id=str(uuid.uuid4())), None).status_code == 401


@pytest.mark.parametrize("half", [{"tls_certificate": PEM}, {"tls_key": PEM}, {"client_ca": PEM}])
def test_half_a_tls_configuration_is_named_before_anything_listens(half: dict[str, Path]) -> None:
    with pytest.raises(ConfigurationError, match="tls_certificate and tls_key"):
        check_tls(Settings(**half))


def test_a_certificate_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"tls_certificate: the file /nowhere\.pem"):
        check_tls(Settings(tls_certificate=Path("/nowhere.pem"), tls_key=PEM))
