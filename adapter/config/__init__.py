"""Every setting, typed, frozen, read once: `adapter.toml`, overridden by `DISCHARGE_ADAPTER_*` variables.

The region (parties, endpoints, partners) is a file of its own, because operators change it often and it is
reviewed like code. Errors name the file, the key, and what to do.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from datetime import time, timedelta
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from adapter.config.alarms import AlarmSettings, MailSettings
from adapter.config.norway import NorwaySettings
from adapter.config.people import OidcSettings, SessionSettings
from adapter.config.region import NOT_UTF8, Region, load_region
from adapter.config.values import (
    LOOPBACK,
    Address,
    BaseAddress,
    Duration,
    Frozen,
    Seconds,
    Wait,
    written,
)
from adapter.config.wording import explained
from adapter.errors import ConfigurationError
from adapter.messaging.retry import Schedule
from adapter.messaging.signing import ALGORITHMS

__all__ = ["Region", "Settings", "load", "load_region"]

PREFIX = "DISCHARGE_ADAPTER_"
"""Of the environment variables that override the file."""

_OTHERS = ("SAMPLES", "NO_SKIPS", "TEST_POSTGRES")
"""Variables of that prefix by which the project's own tests are told where things lie."""

LEAST_LOG = timedelta(days=400)
"""For so long at least what has come is known when it comes again."""

_ENGINES = ("sqlite", "postgresql")


class DirectoryMailboxSettings(Frozen):
    """A folder with `in/`, from which messages are taken, and `out/`, to which the transport writes."""

    name: str
    address: Path
    partner: str | None = None  # the partner that may put files there
    every: Wait = timedelta(seconds=2)


class FhirMailboxSettings(Frozen):
    """A partner's FHIR server to be polled."""

    name: str
    address: Address  # base URL
    partner: str | None = None
    every: Wait = timedelta(seconds=30)
    overlap: Duration = timedelta(minutes=5)
    timeout: Seconds = 10.0
    token: str | None = Field(default=None, repr=False)
    client_certificate: str | None = None
    client_key: str | None = None
    trust: str | None = None  # CA bundle for https

    @model_validator(mode="after")
    def _whole_certificate(self) -> "FhirMailboxSettings":
        if (self.client_certificate is None) != (self.client_key is None):
            raise ValueError("client_certificate and client_key go together; set both or neither")
        return self

    @property
    def certificate(self) -> tuple[str, str] | None:
        """Certificate and key files, where we show one."""
        if self.client_certificate is None or self.client_key is None:
            return None
        return self.client_certificate, self.client_key


class MessageServerSettings(Frozen):
    """The national message server (NHN EDI 2.0): how we sign in there, and whose mail we fetch."""

    name: str = Field(min_length=1)
    address: BaseAddress  # without /Messages
    token_url: BaseAddress
    client_id: str = Field(min_length=1)
    key: Path  # of the private key, PEM without a password or a JWK
    key_id: str | None = None  # `kid`; the JWK's own where it has one
    algorithm: str | None = None  # RS256, PS256, ES256, …
    audience: str | None = None  # of the client assertion; token_url where not set
    scope: str | None = None
    dpop_key: Path | None = None  # a pair is made at the start where none is named
    her_ids: tuple[Annotated[int, Field(gt=0, lt=2**31)], ...] = ()  # whose mail is fetched
    every: Wait = timedelta(seconds=30)
    status_every: Wait = timedelta(minutes=1)
    timeout: Seconds = 10.0
    trust: str | None = None  # CA bundle for https
    source_system: str = Field(default="discharge-adapter, v0.1.0", min_length=1, pattern=r"^[ -~]+$")

    @field_validator("algorithm")
    @classmethod
    def _known_algorithm(cls, value: str | None) -> str | None:
        if value is not None and value not in ALGORITHMS:
            raise ValueError(f"must be one of {', '.join(ALGORITHMS)}")
        return value


class RetrySettings(Frozen):
    """The waits between attempts; see messaging.retry.Schedule."""

    delays: tuple[Wait, ...] = Field(default=Schedule().delays, min_length=1)
    give_up_after: Wait = Schedule().give_up_after
    jitter: float = Field(default=Schedule().jitter, ge=0, lt=1)
    rest_after: int = Field(default=Schedule().rest_after, ge=1)  # failures in a row until an endpoint rests

    def schedule(self) -> Schedule:
        """The schedule as the post reads it."""
        return Schedule(
            delays=self.delays,
            give_up_after=self.give_up_after,
            jitter=self.jitter,
            rest_after=self.rest_after,
        )


class Retention(Frozen):
    """How long things are kept, each for itself; see docs/operations.md."""

    payloads: Wait = timedelta(days=365)
    attempts: Wait = timedelta(days=180)
    seen: Wait = timedelta(days=30)  # what mailboxes remember of messages already taken
    accesses: Wait = timedelta(days=5 * 365 + 2)  # who has looked; the least that HSLF-FS 2016:40 allows
    log: Wait = timedelta(days=3 * 365 + 1)  # messages and deliveries of finished business
    ledger: Wait = timedelta(days=10 * 365 + 3)  # facts, cases, deadlines, history, what was booked

    @field_validator("log")
    @classmethod
    def _knows_what_comes_again(cls, value: timedelta) -> timedelta:
        if value < LEAST_LOG:
            raise ValueError(
                f"must be at least {written(LEAST_LOG)}: by it a message that comes again is known, and "
                "with less a duplicate would be taken for a new one"
            )
        return value

    @model_validator(mode="after")
    def _ledger_outlives_the_log(self) -> "Retention":
        if self.ledger < self.log:
            raise ValueError("ledger must be at least as long as log: no message may outlive its case")
        return self


class Settings(BaseSettings):
    """The adapter's settings. An unknown key in the file is an error: a misspelt one must not be ignored."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    region: Path | None = None  # the region file; none = evaluation mode
    agreement: str | None = None  # norway, sweden; the region's own where it says so
    store: str = "sqlite:///discharge-adapter.db"  # an SQLAlchemy URL
    host: str = "127.0.0.1"
    port: int = Field(default=8425, ge=0, le=65535)
    public_url: BaseAddress | None = None  # where partners reach us, as https://adapter.example
    worker_port: int | None = Field(default=None, ge=0, le=65535)  # a worker's metrics, on this machine only
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None  # CA of the partners' client certificates
    max_message_bytes: int = Field(default=36 * 1024 * 1024, gt=0)
    pseudonym_key: str | None = Field(default=None, repr=False)  # kept in the store where it is not set
    clock_tolerance: Duration = timedelta(minutes=10)  # how far ahead of us a sender's clock may be
    answer_within: Wait | None = None  # local figure for "at once" (§ 11); the agreement's where not set
    lease: Wait = timedelta(seconds=60)
    telephone_before: Wait = timedelta(hours=4)  # that people need before a deadline
    alarm_webhook: Address | None = None
    alarm_webhook_token: str | None = Field(default=None, repr=False)
    people: Path | None = None  # the people file: who may sign in with a password
    emergency_access: Wait = timedelta(hours=1)  # how long somebody sees a patient by it
    subscription_failures: int = Field(default=8, ge=1)  # tries in a row until a subscription is in error
    reconcile_at: time = time(4, 30)  # when, on the hospital's clock, we compare with partners' servers
    metrics_sign_in: bool = False  # whether /metrics asks for an operator's name and password
    directory_mailboxes: tuple[DirectoryMailboxSettings, ...] = ()
    fhir_mailboxes: tuple[FhirMailboxSettings, ...] = ()
    message_servers: tuple[MessageServerSettings, ...] = ()
    retry: RetrySettings = RetrySettings()
    retention: Retention = Retention()
    mail: MailSettings = MailSettings()
    alarms: AlarmSettings = AlarmSettings()
    norway: NorwaySettings = NorwaySettings()
    sessions: SessionSettings = SessionSettings()
    oidc: OidcSettings | None = None

    @model_validator(mode="after")
    def _reached_by_the_provider(self) -> "Settings":
        if self.oidc is not None and self.public_url is None:
            raise ValueError("[oidc] needs public_url, to which the provider sends people back")
        return self

    @field_validator("store")
    @classmethod
    def _of_a_known_engine(cls, value: str) -> str:
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            engine, database = make_url(value).get_backend_name(), make_url(value).database
        except (ArgumentError, ValueError):
            engine, database = "", None
        in_memory = engine == "sqlite" and (not database or database == ":memory:")
        if engine not in _ENGINES or in_memory:
            raise ValueError("must be sqlite:///FILE, or postgresql://USER@HOST/DATABASE")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, _file.path)

    @property
    def fhir_base(self) -> str:
        """The base URL of our FHIR endpoint as partners reach it, without a slash at its end."""
        if self.public_url is not None:
            return f"{self.public_url}/fhir"
        scheme = "https" if self.tls_certificate else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}/fhir"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach us."""
        return self.host in LOOPBACK

    @property
    def people_sign_in(self) -> bool:
        """Whether whoever looks at the pages must prove who they are."""
        return self.people is not None or self.oidc is not None


class _ChosenFile:
    path: Path | None = None


_file = _ChosenFile()


def load(path: Path | None = None, **overrides: Any) -> Settings:
    """The settings of `path`, else of `adapter.toml` in the current directory, else the defaults.

    Raises ConfigurationError that names the file or the variable, the key and the reason.
    """
    if path is None and Path("adapter.toml").exists():
        path = Path("adapter.toml")
    if path is not None and not path.is_file():
        raise ConfigurationError(f"{path}: there is no such settings file; create it or leave --config out")
    _refuse_unknown_variables()
    document = _document(path) if path is not None else {}
    _file.path = path
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        raise ConfigurationError(explained(error, str(path or "settings"), document, _variable)) from error
    except SettingsError as error:
        raise ConfigurationError(_not_json(error)) from error
    finally:
        _file.path = None  # whoever makes Settings next has named no file
    if path is not None and settings.region is not None and not settings.region.is_absolute():
        settings = settings.model_copy(update={"region": path.parent / settings.region})
    if path is not None:
        settings = settings.model_copy(update=_beside(path, settings))
    schemas = settings.norway.schemas
    if path is not None and schemas is not None and not schemas.is_absolute():
        norway = settings.norway.model_copy(update={"schemas": path.parent / schemas})
        settings = settings.model_copy(update={"norway": norway})
    return settings


def _beside(path: Path, settings: Settings) -> dict[str, Any]:
    """The files about people that lie beside the settings file."""
    found: dict[str, Any] = {}
    if settings.people is not None:
        found["people"] = path.parent / settings.people
    if settings.oidc is not None and settings.oidc.key is not None:
        found["oidc"] = settings.oidc.model_copy(update={"key": path.parent / settings.oidc.key})
    return found


def _document(path: Path) -> dict[str, Any]:
    """The settings file as it stands there."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: {NOT_UTF8}") from error


# --- the environment --------------------------------------------------------------------------------------


def _refuse_unknown_variables() -> None:
    """A misspelt variable must not be ignored, no more than a misspelt key of the file."""
    names = [name.upper() for name in os.environ if name.upper().startswith(PREFIX)]
    unknown = [n for n in names if not _names_a_setting(n.removeprefix(PREFIX).lower()) and not _is_other(n)]
    if unknown:
        raise ConfigurationError(
            "\n".join(f"the environment: {name}: is not a setting; is it misspelt?" for name in unknown)
        )


def _names_a_setting(name: str) -> bool:
    """Whether that is a setting, or one in a table: `port`, `retry__jitter`."""
    fields: Mapping[str, Any] = Settings.model_fields
    for part in name.split("__"):
        if part not in fields:
            return False
        kind = fields[part].annotation
        tables = [k for k in (kind, *get_args(kind)) if isinstance(k, type) and issubclass(k, BaseModel)]
        fields = tables[0].model_fields if tables else {}
    return True


def _is_other(variable: str) -> bool:
    return variable.removeprefix(PREFIX) in _OTHERS


def _variable(key: str) -> str | None:
    """The environment variable that has set a key over the file's head."""
    name = f"{PREFIX}{key.upper()}"
    found = next((n for n in os.environ if n.upper() == name or n.upper().startswith(f"{name}__")), None)
    return f"the environment: {found.upper()}" if found else None


def _not_json(error: SettingsError) -> str:
    named = re.search(r'field "(\w+)"', str(error))
    name = f"{PREFIX}{named[1].upper()}" if named else f"a {PREFIX}… variable"
    return f"the environment: {name}: a list or a table must be written as JSON"
