"""The broker settings in Faust's words: the same address, login and certificates as librdkafka's."""

import asyncio
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode

from aiokafka.abc import AbstractTokenProvider
from faust.auth import Credentials, OAuthCredentials, SASLCredentials, SSLCredentials

from ...core.deadline import Deadline
from ...core.errors import BrokerUnreachable
from ..broker import BrokerSettings

_TOKEN_TIMEOUT_S = 10.0
"""For the answer of the token server. A login waits for it, and fails without."""

_TOKEN_LIFE = 0.8
"""A new token is fetched after this share of the old one's life, so that none expires on its way to the broker."""

_LIFE_UNKNOWN_S = 300
"""Life of a token whose server does not say how long it is, which RFC 6749 allows. Short, because asking too often does
no harm."""


def faust_url(settings: BrokerSettings) -> str:
    """The addresses as Faust takes them."""
    return ";".join(f"kafka://{address}" for address in settings.bootstrap.split(","))


def faust_credentials(settings: BrokerSettings) -> Credentials | None:
    """The login and certificates as Faust takes them; ``None`` where there are none.

    Raises:
        InvalidArgument: A certificate or key cannot be read.
    """
    context = settings.ssl_context()
    if settings.sasl_mechanism == "OAUTHBEARER":
        return OAuthCredentials(oauth_cb=ClientCredentials(settings, context), ssl_context=context)
    if settings.sasl_mechanism is not None and settings.sasl_password is not None:
        return SASLCredentials(
            mechanism=settings.sasl_mechanism,
            username=settings.sasl_username,
            password=settings.sasl_password.get_secret_value(),
            ssl_context=context,
        )
    return SSLCredentials(context) if context is not None else None


class ClientCredentials(AbstractTokenProvider):  # type: ignore[misc]
    """Bearer tokens by OAuth's client credentials grant (RFC 6749, section 4.4), as librdkafka's oidc method gets them.

    Args:
        settings: With the token's address, and the client's id and secret.
        context: TLS settings for an ``https`` address.
    """

    def __init__(self, settings: BrokerSettings, context: ssl.SSLContext | None) -> None:
        self._settings = settings
        self._context = context
        self._token = ""
        self._life = Deadline(0.0)

    async def token(self) -> str:
        """A token that is valid now. A new one is fetched well before the old one expires.

        Raises:
            BrokerUnreachable: The token server gave none.
        """
        if self._life.passed:
            self._token, life_s = await asyncio.to_thread(self._ask)
            self._life = Deadline(life_s * _TOKEN_LIFE)
        return self._token

    def _ask(self) -> tuple[str, float]:
        settings = self._settings
        if settings.oauth_token_url is None or settings.oauth_client_secret is None:
            raise BrokerUnreachable("OAUTHBEARER needs oauth_token_url and oauth_client_secret")
        form = {"grant_type": "client_credentials"}
        if settings.oauth_scope:
            form["scope"] = settings.oauth_scope
        login = f"{settings.oauth_client_id}:{settings.oauth_client_secret.get_secret_value()}"
        request = urllib.request.Request(  # noqa: S310 - the operator's own address
            settings.oauth_token_url,
            data=urllib.parse.urlencode(form).encode(),
            headers={"Authorization": f"Basic {b64encode(login.encode()).decode()}", "Accept": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_TOKEN_TIMEOUT_S, context=self._context) as answer:  # noqa: S310 - as above
                given = json.load(answer)
            return str(given["access_token"]), float(given.get("expires_in", _LIFE_UNKNOWN_S))
        except urllib.error.HTTPError as error:
            error.close()
            raise BrokerUnreachable(self._no_token(f"HTTP {error.code}")) from error
        except (urllib.error.URLError, TimeoutError, ValueError, KeyError, TypeError) as error:
            raise BrokerUnreachable(self._no_token(f"{type(error).__name__}: {error}")) from error

    def _no_token(self, said: str) -> str:
        return (
            f"oauth_token_url {self._settings.oauth_token_url} gives no token ({said})."
            " Correct it, oauth_client_id and oauth_client_secret"
        )
