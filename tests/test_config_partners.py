"""`[[partner]]` in a region file: what is wrong is said with file, entry and key, and no secret is shown."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from adapter.config import Settings, load, load_region
from adapter.config.soundness import contradictions
from adapter.errors import ConfigurationError
from adapter.messaging.register import Partner
from tests.test_config import SOGNDAL, wrong

NURSING = '[[party.service]]\nrole = "nursing"\nidentifiers = ["HER|8143551"]\n'
REGION = SOGNDAL.replace("[[endpoint]]", f"{NURSING}[[endpoint]]", 1)
ENTRY = '[[partner]]\nname = "drift"\nparties = ["sogndal"]\n'
TOKEN = f'token_sha256 = "{"0" * 64}"\n'

EC_KEY = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key(), as_dict=True) | {
    "kid": "e1"
}
RSA_KEY = RSAAlgorithm.to_jwk(
    rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key(), as_dict=True
) | {"kid": "r1"}


def table(jwk: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{name} = {json.dumps(value)}" for name, value in jwk.items()) + "}"


def client(*keys: dict[str, Any], more: str = "") -> str:
    return f'{ENTRY}client_id = "sogndal-epj"\njwks = [{", ".join(map(table, keys))}]\n{more}'


def read(folder: Path, text: str) -> Partner:
    (folder / "region.toml").write_text(REGION + text)
    (found,) = load_region(folder / "region.toml").register_.partners
    return found


def test_a_client_is_known_by_its_id_with_the_keys_and_scopes_that_it_has(tmp_path: Path):
    more = 'scopes = ["system/*.read", "system/Task.u"]\nroles = ["nursing"]\n'
    found = read(tmp_path, client(EC_KEY, RSA_KEY, more=more))
    assert found.client_id == "sogndal-epj"
    assert [(key.id, key.algorithm) for key in found.keys] == [("e1", "ES384"), ("r1", "RS384")]
    assert (str(found.scopes), found.roles) == ("system/*.rs system/Task.u", ("nursing",))
    assert EC_KEY["x"] not in repr(found)


def test_who_says_nothing_of_scopes_and_roles_has_all(tmp_path: Path):
    found = read(tmp_path, ENTRY + TOKEN)
    assert (str(found.scopes), found.roles) == ("system/*.cruds", ())


def test_keys_may_lie_in_a_file_beside_the_region_file(tmp_path: Path):
    others = [{"kty": "EC", "crv": "P-256", "kid": "x"}, EC_KEY | {"kid": "enc", "use": "enc"}]
    (tmp_path / "sogndal.jwks").write_text(json.dumps({"keys": [*others, RSA_KEY]}))
    found = read(tmp_path, f'{ENTRY}client_id = "sogndal-epj"\njwks = "sogndal.jwks"\n')
    assert [key.id for key in found.keys] == ["r1"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file or directory"),
        ("{", "is not valid JSON"),
        ("[]", "is no JWK Set"),
        ('{"keys": []}', "has no key in it"),
        ('{"keys": [{"kty": "oct", "kid": "a", "k": "c2VjcmV0"}]}', "shows a key that has a private part"),
        (" " * 300_000, "is larger than"),
    ],
)
def test_a_file_of_keys_that_cannot_be_used_is_named(tmp_path: Path, content: str | None, words: str):
    file = tmp_path / "sogndal.jwks"
    if content is not None:
        file.write_text(content)
    said = wrong(tmp_path, f'{REGION}{ENTRY}client_id = "sogndal-epj"\njwks = "sogndal.jwks"\n')
    assert f"[[partner]] name = 'drift': jwks: the file {file} {words}" in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"d": "c2VjcmV0"}, "has a private part; make a new pair"),
        ({"kid": None}, "has no kid"),
        ({"kid": ""}, "has no kid"),
        ({"kty": "OKP"}, "must be an RSA key for RS384, or an EC key on P-384 for ES384"),
        ({"alg": "ES256"}, "must be an RSA key for RS384, or an EC key on P-384 for ES384"),
        ({"crv": "P-256"}, "must be on the curve P-384"),
        ({"use": "enc"}, "is not for signatures"),
        ({"key_ops": ["encrypt"]}, "is not for signatures"),
        ({"x": "AAAA"}, "cannot be read"),
        ({"x": 5}, "cannot be read"),
        ({"y": None}, "cannot be read"),
    ],
)
def test_a_key_that_no_signature_is_checked_with_is_refused(
    tmp_path: Path, change: dict[str, Any], words: str
):
    key = {name: value for name, value in (EC_KEY | change).items() if value is not None}
    said = wrong(tmp_path, REGION + client(RSA_KEY, key))
    assert f"[[partner]] name = 'drift': jwks: key number 2 {words}" in said
    assert EC_KEY["x"] not in said and EC_KEY["y"] not in said and "c2VjcmV0" not in said


@pytest.mark.parametrize("bits", [1024, 1536])
def test_a_short_rsa_key_is_refused(tmp_path: Path, bits: int):
    short = rsa.generate_private_key(public_exponent=65537, key_size=bits).public_key()
    key = RSAAlgorithm.to_jwk(short, as_dict=True) | {"kid": "r1"}
    assert "key number 1 must have 2048 to 8192 bits" in wrong(tmp_path, REGION + client(key))


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (ENTRY, "needs token_sha256 or certificate_sha256, or client_id with jwks or jwks_url"),
        (f'{ENTRY}client_id = "a"\n', "client_id goes together with jwks or jwks_url"),
        (f"{ENTRY}{TOKEN}jwks = [{table(EC_KEY)}]\n", "client_id goes together with jwks or jwks_url"),
        (client(EC_KEY, more='jwks_url = "https://a.example/j"\n'), "jwks and jwks_url are both set"),
        (client(EC_KEY, EC_KEY), "jwks: two keys have the same kid"),
        (f'{ENTRY}client_id = "a"\njwks = []\n', "jwks: must be a list of public keys (JWK tables)"),
        (f'{ENTRY}client_id = "a"\njwks = ["x"]\n', "jwks: must be a list of public keys"),
        (f'{ENTRY}client_id = "a b"\njwks_url = "https://a.example/j"\n', "client_id: must be 1 to 255"),
        (f'{ENTRY}client_id = "a"\njwks_url = "http://a.example/j"\n', "jwks_url: must be an https:// URL"),
        (f'{ENTRY}client_id = "a"\njwks_url = "https://u:p@a.example/"\n', "jwks_url: must be an https://"),
        (f'{ENTRY}client_id = "a"\njwks_url = "file:///etc/j"\n', "jwks_url: must be an https:// URL"),
        (f'{ENTRY}{TOKEN}scopes = ["system/*.rs", "system/Task.sr"]\n', "scopes: number 2 must be system/<"),
        (f'{ENTRY}{TOKEN}scopes = ["system/Task.r system/Task.s"]\n', "scopes: number 1 must be system/<"),
        (f'{ENTRY}{TOKEN}scopes = ["system/Tasks.rs"]\n', "scopes: number 1: Tasks is no resource type"),
        (f"{ENTRY}{TOKEN}scopes = []\n", "scopes: must name a scope; leave it out for all of them"),
        (
            f'{ENTRY}{TOKEN}roles = ["ward"]\n',
            "roles names 'ward', which no service of its parties has (they have: nursing)",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_named(tmp_path: Path, entry: str, words: str):
    said = wrong(tmp_path, REGION + entry)
    assert f"[[partner]] name = 'drift': {words}" in said


def test_two_machines_do_not_share_a_client_id(tmp_path: Path):
    said = wrong(tmp_path, REGION + client(EC_KEY) + client(EC_KEY).replace("drift", "beredskap"))
    assert "two [[partner]] entries have the client_id 'sogndal-epj'" in said


def test_the_keys_address_may_be_plain_on_this_machine(tmp_path: Path):
    found = read(tmp_path, f'{ENTRY}client_id = "a"\njwks_url = "http://127.0.0.1:8099/jwks.json"\n')
    assert found.jwks_url == "http://127.0.0.1:8099/jwks.json"


def test_an_adapter_that_others_reach_needs_an_address_of_its_own_for_clients(tmp_path: Path):
    read(tmp_path, client(EC_KEY))
    register = load_region(tmp_path / "region.toml").register_
    assert contradictions(Settings(), register) == []
    (said,) = contradictions(Settings(host="0.0.0.0", region=tmp_path / "region.toml"), register)
    assert said.startswith(f"{tmp_path}/region.toml: [[partner]] name = 'drift': client_id needs the setting")
    named = Settings(host="0.0.0.0", public_url="https://adapter.example/")
    assert (named.public_url, contradictions(named, register)) == ("https://adapter.example", [])


@pytest.mark.parametrize(
    "url",
    ["http://adapter.example", "https://a.example/?x=1", "https://a.example/#x", "https://u@a.example", "a"],
)
def test_the_address_of_the_adapter_is_one_that_nobody_between_can_change(tmp_path: Path, url: str):
    (tmp_path / "settings.toml").write_text(f'public_url = "{url}"\n')
    with pytest.raises(ConfigurationError, match=r"settings\.toml: public_url: must be an https:// URL"):
        load(tmp_path / "settings.toml")
