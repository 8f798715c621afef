"""The settings of `[norway]`: what only Norwegian messages need."""

from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from adapter.config.values import Frozen, SafeAddress, Seconds, Wait


class NorwaySettings(Frozen):
    """See docs/settings.md; the address register in docs/address-register.md."""

    schemas: Path | None = None  # a folder with the official XSD files; none = the typed reading alone
    schema_errors: Literal["warn", "refuse"] = "warn"  # what becomes of a message that is not valid (N-05)
    address_register: SafeAddress | None = None  # the register's SOAP address; none asks nobody
    address_register_soap: Literal["1.2", "1.1"] = "1.2"  # the version that this address speaks
    address_register_user: str | None = None
    address_register_password: str | None = Field(default=None, repr=False)
    address_register_token: str | None = Field(default=None, repr=False)
    address_register_trust: str | None = None  # CA bundle for https
    address_register_timeout: Seconds = 10.0
    address_register_age: Wait = timedelta(hours=24)
    address_register_unknown_age: Wait = timedelta(hours=1)

    @model_validator(mode="after")
    def _one_way_in(self) -> "NorwaySettings":
        if (self.address_register_user is None) != (self.address_register_password is None):
            raise ValueError(
                "address_register_user and address_register_password go together; set both or neither"
            )
        if self.address_register_user is not None and self.address_register_token is not None:
            raise ValueError("address_register_user and address_register_token exclude each other; set one")
        return self
