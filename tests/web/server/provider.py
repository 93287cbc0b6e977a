"""A provider of OpenID Connect: codes with PKCE, tokens that it signs, over TLS; it does as it is told."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus, urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import Flask, Response, abort, jsonify, redirect, request
from jwt.algorithms import RSAAlgorithm
from werkzeug.serving import make_server

NAME = "login.invirt.test"
CLIENT, SECRET = "invirt", "sesame seeds"
ISSUER = f"https://{NAME}"


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Provider:
    """One, at address.

    claims: what it says of whoever comes.  wrong: what isn't as it should be with the token;
    a claim, which then has another value, or "key" or "public" for how it is signed.  asked: the last
    request for a code.  refused: why it gave no token.
    """

    folder: Path
    address: str
    claims: dict[str, Any] = field(default_factory=dict)
    wrong: str = ""
    denies: bool = False
    asked: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    key: rsa.RSAPrivateKey = field(default_factory=_key)

    def says(self, wrong: str = "", denies: bool = False, **claims: Any) -> None:
        """From now on, of whoever comes: alice's address, verified, but for claims; None leaves one out."""
        self.wrong, self.denies = wrong, denies
        found = {"email": "alice@people.test", "email_verified": True, **claims}
        self.claims = {name: value for name, value in found.items() if value is not None}

    @property
    def certificate(self) -> Path:
        """The server's own."""
        return self.folder / "login.crt"

    def metadata(self) -> Response:
        """Where is what."""
        places = {name: f"{ISSUER}/{path}" for name, path in PLACES.items()}
        return jsonify(
            issuer=ISSUER,
            **places,
            response_types_supported=["code"],
            subject_types_supported=["public"],
            id_token_signing_alg_values_supported=["RS256"],
            code_challenge_methods_supported=["S256"],
        )

    def jwks(self) -> Response:
        """Its public key."""
        public = json.loads(RSAAlgorithm.to_jwk(self.key.public_key()))
        return jsonify(keys=[{**public, "kid": "one", "use": "sig", "alg": "RS256"}])

    def authorize(self) -> Response:
        """Whoever comes is signed on."""
        self.asked = request.args.to_dict()
        known = self.asked["client_id"] == CLIENT and self.asked["response_type"] == "code"
        if not known or self.asked.get("code_challenge_method") != "S256":
            abort(400)
        if self.denies:
            found = {"error": "access_denied"}
        else:
            found = {"code": secrets.token_urlsafe(16)}
            self.codes[found["code"]] = self.asked
        query = urlencode({**found, "state": self.asked["state"]})
        return redirect(f"{self.asked['redirect_uri']}?{query}")

    def token(self) -> Response:
        """A token for a code, to whoever asked for it and knows the secret."""
        form, given = request.form, request.authorization
        asked = self.codes.pop(form["code"], {})
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        checks = {
            "secret": given and (given.username, unquote_plus(given.password)) == (CLIENT, SECRET),
            "code": asked.get("code_challenge") == challenge,
            "redirect": asked.get("redirect_uri") == form.get("redirect_uri"),
        }
        self.refused = [name for name, good in checks.items() if not good]
        if self.refused:
            return Response(json.dumps({"error": "invalid_grant"}), 400, mimetype="application/json")
        return jsonify(access_token="x", token_type="Bearer", expires_in=60, id_token=self.signed(asked))

    def signed(self, asked: dict[str, str]) -> str:
        """The token, as good as it is to be."""
        now = int(time.time())
        said = {
            "iss": ISSUER,
            "aud": CLIENT,
            "sub": "1",
            "nonce": asked.get("nonce"),
            "iat": now,
            "exp": now + 60,
        }
        wrong = {"iss": f"{ISSUER}/x", "aud": "x", "nonce": "x", "exp": now - 3600, "iat": now - 360_000}
        said.update({name: value for name, value in wrong.items() if name == self.wrong}, **self.claims)
        if self.wrong == "public":  # the public key as a secret that both know
            return jwt.encode(said, self.jwks().get_data(), "HS256", headers={"kid": "one"})
        return jwt.encode(said, _key() if self.wrong == "key" else self.key, "RS256", headers={"kid": "one"})


PLACES = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "jwks"}


@contextmanager
def running(folder: Path, address: str) -> Iterator[Provider]:
    """A provider at port 443 of address; its certificate is in folder."""
    provider = Provider(folder, address)
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    names = f"-subj /CN={NAME} -addext subjectAltName=DNS:{NAME}"
    files = f"-keyout {folder}/login.key -out {provider.certificate}"
    argv = [*made.split(), *names.split(), *files.split()]
    subprocess.run(argv, check=True, capture_output=True, timeout=60)
    app = Flask(__name__)
    app.add_url_rule("/.well-known/openid-configuration", "metadata", provider.metadata)
    app.add_url_rule("/jwks", "jwks", provider.jwks)
    app.add_url_rule("/authorize", "authorize", provider.authorize)
    app.add_url_rule("/token", "token", provider.token, methods=["POST"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(provider.certificate, folder / "login.key")
    server = make_server(address, 443, app, threaded=True, ssl_context=context)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
