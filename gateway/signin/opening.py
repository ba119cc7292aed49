"""The city's provider, as the settings name it."""

from __future__ import annotations

from gateway.city import City
from gateway.signin.provider import Provider, ProviderSettings
from registry.outward import Guard, networks


def open_provider(city: City) -> Provider | None:
    """The provider; None where none is set. Raises ``OSError`` where its secret cannot be read."""
    said = city.settings
    if said.oidc_issuer is None:
        return None
    kept = said.oidc_client_secret_file
    settings = ProviderSettings(
        name=said.oidc_name, issuer=said.oidc_issuer, client_id=said.oidc_client_id,
        client_secret=kept.read_text(encoding="utf-8").strip() if kept else "",
        profile=said.oidc_profile, authorize_url=said.dan_authorize_url or "",
        token_url=said.dan_token_url or "", service_url=said.dan_service_url or "",
        trusted_second_factor=said.oidc_trusted_second_factor,
    )  # fmt: skip
    return Provider(settings, city.keyring, city.clock, Guard(networks(said.outward_networks)))
