"""Bearer tokens of the worker's consumer: asked for once in a while, and a refusal names the settings."""

import asyncio

import pytest

from oppertune.core import deadline
from oppertune.core.errors import BrokerUnreachable
from oppertune.streams.broker import BrokerSettings
from oppertune.streams.worker import credentials
from secured import PASSWORD, USER, token_server


def _settings(url: str, secret: str = PASSWORD) -> BrokerSettings:
    return BrokerSettings(
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="OAUTHBEARER",
        oauth_token_url=url,
        oauth_client_id=USER,
        oauth_client_secret=secret,
        oauth_scope="kafka",
    )


def test_a_token_is_used_until_it_is_nearly_over(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(deadline, "monotonic", lambda: now[0])
    with token_server() as url:
        tokens = credentials.ClientCredentials(_settings(url), None)
        first = asyncio.run(tokens.token())
        asked: list[float] = []

        def ask() -> tuple[str, float]:
            asked.append(now[0])
            return "second", 3600.0

        monkeypatch.setattr(tokens, "_ask", ask)
        now[0] += 3600 * 0.79
        assert asyncio.run(tokens.token()) == first
        now[0] += 3600 * 0.02
        assert asyncio.run(tokens.token()) == "second"
    assert len(asked) == 1


@pytest.mark.parametrize("wrong", ["secret", "address"])
def test_no_token_names_the_settings_and_not_the_secret(wrong):
    with token_server() as url:
        settings = _settings(url if wrong == "secret" else "http://127.0.0.1:1/token", "hunter3")
        with pytest.raises(
            BrokerUnreachable, match=r"oauth_token_url .*oauth_client_id and oauth_client_secret"
        ) as caught:
            asyncio.run(credentials.ClientCredentials(settings, None).token())
    assert "hunter3" not in str(caught.value)
