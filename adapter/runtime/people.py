"""How people sign in to this house, put together from the settings."""

from typing import TYPE_CHECKING

from adapter.errors import ConfigurationError
from adapter.messaging.people import demonstration
from adapter.messaging.signing import SigningKey, UnusableSigningKey, read_signing_key
from adapter.runtime.checks import people_of
from adapter.runtime.stations import Stations

if TYPE_CHECKING:
    from adapter.config.people import OidcSettings
    from adapter.web.entrance import Entrance
    from adapter.web.oidc import OpenId


def entrance_of(built: Stations) -> "Entrance":
    """The entrance; raises ConfigurationError where the people file or a key cannot be used."""
    from adapter.web.entrance import Entrance
    from adapter.web.sessions import Sessions

    settings = built.settings
    return Entrance(
        sessions=Sessions(
            store=built.store,
            clock=built.clock,
            idle=settings.sessions.idle,
            longest=settings.sessions.longest,
        ),
        accounts=people_of(settings, built.register),
        provider=_provider(built) if settings.oidc is not None else None,
        visitors=() if settings.people_sign_in else demonstration(built.register),
        public_url=settings.public_url,
    )


def _provider(built: Stations) -> "OpenId":
    from adapter.web.oidc import OpenId, Provider
    from adapter.web.sign_in import BACK

    oidc = built.settings.oidc
    assert oidc is not None
    provider = Provider(
        issuer=oidc.issuer,
        client_id=oidc.client_id,
        redirect_uri=f"{built.settings.public_url}{BACK}",
        client_secret=oidc.client_secret,
        key=_key(oidc),
        algorithms=oidc.algorithms,
        scopes=oidc.scopes,
        label=oidc.label,
        name_claim=oidc.name_claim,
        roles_claim=oidc.roles_claim,
        parties_claim=oidc.parties_claim,
        roles=oidc.roles,
        parties=oidc.parties,
        timeout=oidc.timeout,
        trust=oidc.trust,
    )
    return OpenId(provider, register=built.register, clock=built.clock, secret=built.inbox.pseudonym_key)


def _key(oidc: "OidcSettings") -> SigningKey | None:
    if oidc.key is None:
        return None
    try:
        return read_signing_key(oidc.key.read_bytes(), algorithm=oidc.algorithm, id=oidc.key_id)
    except OSError as error:
        raise ConfigurationError(f"oidc.key: {oidc.key}: cannot be read: {error.strerror}") from error
    except UnusableSigningKey as error:
        raise ConfigurationError(f"oidc.key: {oidc.key}: {error}") from error
