"""A real Kafka that asks who comes: SCRAM, TLS with certificates made here, PLAIN over TLS, and bearer tokens."""

import base64
import json
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import trustme
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from kafkas import LocalKafka, free_port, wait_for

USER = "shop"
PASSWORD = "hunter2-and-more"
Right = tuple[str, ResourceType, str, ResourcePatternType, AclOperation]
"""User, kind of resource, its name without the prefix, whether that is a prefix itself, and what is allowed."""

_MODULE = "org.apache.kafka.common.security"


class SecuredKafka(LocalKafka):
    """A broker with a listener for each way in; the plain one is for the test's own administration.

    Attributes:
        addresses: By listener: SCRAM, TLS, PLAIN, OAUTH.
        ca: Certificate of the authority that signed the broker's.
        certificate: A client's certificate, which the TLS listener asks for.
        key: Its key.
        stranger: Certificate of another authority.
    """

    def __init__(self, command: Path, folder: Path) -> None:
        authority, other = trustme.CA(), trustme.CA()
        self.ca, self.stranger = folder / "ca.pem", folder / "stranger.pem"
        self.certificate, self.key = folder / "client.pem", folder / "client.key"
        authority.cert_pem.write_to_path(self.ca)
        other.cert_pem.write_to_path(self.stranger)
        client = authority.issue_cert(f"{USER}@example.org")
        client.private_key_pem.write_to_path(self.key)
        self.certificate.write_bytes(b"".join(blob.bytes() for blob in client.cert_chain_pems))
        server = authority.issue_cert("127.0.0.1", "localhost")
        key = load_pem_private_key(server.private_key_pem.bytes(), None)  # Kafka reads PKCS #8 only
        keystore = folder / "broker.pem"
        keystore.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + b"".join(blob.bytes() for blob in server.cert_chain_pems)
        )
        names = {"SCRAM": "SASL_PLAINTEXT", "TLS": "SSL", "PLAIN": "SASL_SSL", "OAUTH": "SASL_PLAINTEXT"}
        self.addresses = {name: f"127.0.0.1:{free_port()}" for name in names}
        super().__init__(command)
        port = int(self.bootstrap.rpartition(":")[2])
        plain = f"PLAINTEXT://{self.bootstrap}"
        secured = ",".join(f"{name}://{address}" for name, address in self.addresses.items())
        known = f'user_{USER}="{PASSWORD}"'
        bearer = 'OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker"'
        self.properties = [
            f"listeners={plain},CONTROLLER://127.0.0.1:{port + 1},{secured}",
            f"advertised.listeners={plain},{secured}",
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,"
            + ",".join(f"{name}:{protocol}" for name, protocol in names.items()),
            "listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-256",
            f"listener.name.scram.scram-sha-256.sasl.jaas.config={_MODULE}.scram.ScramLoginModule required;",
            "listener.name.plain.sasl.enabled.mechanisms=PLAIN",
            f"listener.name.plain.plain.sasl.jaas.config={_MODULE}.plain.PlainLoginModule required {known};",
            "listener.name.oauth.sasl.enabled.mechanisms=OAUTHBEARER",
            f"listener.name.oauth.oauthbearer.sasl.jaas.config={_MODULE}.oauthbearer.{bearer};",
            "ssl.keystore.type=PEM",
            f"ssl.keystore.location={keystore}",
            "ssl.truststore.type=PEM",
            f"ssl.truststore.location={self.ca}",
            "listener.name.tls.ssl.client.auth=required",
            f"listener.name.tls.ssl.principal.mapping.rules=RULE:^.*$/{USER}/",
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            f"super.users=User:ANONYMOUS;User:{USER}",
        ]

    def admit(self, *users: str) -> None:
        """Make users known."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        kind = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
        made: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(user, kind, PASSWORD.encode()) for user in users
        ]
        for future in admin.alter_user_scram_credentials(made).values():
            future.result(10)

        def known() -> bool:
            everybody = admin.describe_user_scram_credentials()  # asked for by name, one not known yet is an error
            assert isinstance(everybody, Future)
            return set(users) <= set(everybody.result(5))

        wait_for(known, "the users to be known")

    def allow(self, rights: Iterable[Right], prefix: str) -> None:
        """Give users rights; names begin with a prefix."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        rules = [
            AclBinding(kind, prefix + name, pattern, f"User:{user}", "*", operation, AclPermissionType.ALLOW)
            for user, kind, name, pattern, operation in rights
        ]
        for future in admin.create_acls(rules).values():
            future.result(10)


@contextmanager
def token_server() -> Iterator[str]:
    """Gives bearer tokens that Kafka's unsecured validator takes, to the client that knows the secret; its address."""

    class Tokens(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            login = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
            known = login == f"{USER}:{PASSWORD}"
            now = int(time.time())
            claims = {"sub": USER, "iat": now, "exp": now + 3600, "scope": "kafka"}
            token = ".".join([_part({"alg": "none"}), _part(claims), ""])
            given = {"access_token": token, "token_type": "bearer", "expires_in": 3600}
            body = json.dumps(given if known else {"error": "invalid_client"}).encode()
            self.send_response(200 if known else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Tokens) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/token"
        finally:
            server.shutdown()
            thread.join(5)


def _part(data: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()
