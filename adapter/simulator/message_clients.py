"""Clients of the pretend message server: a name, its HER-ids, a key in a file, and the settings to be it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapter.errors import ConfigurationError
from adapter.messaging.signing import UnusableSigningKey, new_signing_key, read_signing_key


@dataclass(frozen=True, kw_only=True, slots=True)
class PretendClient:
    """Somebody who may sign in."""

    name: str
    her_ids: tuple[int, ...]
    key: Path

    def public_key(self) -> Any:
        """Of the key in its file, which is made where there is none. Raises ConfigurationError."""
        try:
            if not self.key.exists():
                _write_new_key(self.key)
            return read_signing_key(self.key.read_bytes()).private.public_key()
        except (OSError, UnusableSigningKey) as error:
            why = error.strerror if isinstance(error, OSError) else f"the file {error}"
            raise ConfigurationError(f"{self.key}: {why}; correct --folder, or remove the file") from error

    def settings(self, address: str, token_url: str) -> dict[str, Any]:
        """What the adapter of this client has among its `message_servers`."""
        return {
            "name": "message-server",
            "address": address,
            "token_url": token_url,
            "client_id": self.name,
            "key": str(self.key),
            "her_ids": list(self.her_ids),
            "every": "PT2S",
            "status_every": "PT2S",
        }

    def lines(self, address: str, token_url: str) -> str:
        """The same as they stand in its settings file."""
        said = [
            f"{name} = {value}" if isinstance(value, list) else f'{name} = "{value}"'
            for name, value in self.settings(address, token_url).items()
        ]
        return "\n".join((f"# {self.name}", "[[message_servers]]", *said, ""))


def read_client(text: str, folder: Path) -> PretendClient:
    """`aardal=8143520,8143521`. Raises ConfigurationError."""
    name, _, numbers = text.partition("=")
    her_ids = [one.strip() for one in numbers.split(",")]
    fits = all(one.isascii() and one.isdigit() and 0 < int(one) < 2**31 for one in her_ids)
    if not (fits and name.isascii() and name.replace("-", "").isalnum()):
        raise ConfigurationError(
            f"{text!r} names no client and its HER-ids; write it as aardal=8143520,8143521"
        )
    return PretendClient(
        name=name, her_ids=tuple(int(one) for one in her_ids), key=folder.absolute() / f"{name}.pem"
    )


def _write_new_key(file: Path) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    file.parent.mkdir(parents=True, exist_ok=True)
    key = new_signing_key().private
    written = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.touch(mode=0o600)
    file.write_bytes(written)
