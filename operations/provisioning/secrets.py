"""Where Stripe's secrets are kept: in Secrets Manager, or for local runs in a file of the same form.

Secrets are only ever added: during a rotation deliveries are signed with the old one and the new.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import ClientError

from billing.errors import ConfigurationError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

FORM = '{"api_key": "…", "webhook_secrets": ["…", …]}'


class SecretStore(Protocol):
    """A place for one text; `load` returns "" where there is none yet."""

    name: str

    def load(self) -> str:
        """Return the text."""

    def save(self, text: str) -> None:
        """Replace the text."""


class SecretsManagerStore:
    """A Secrets Manager secret; one that does not exist is made at the first `save`.

    Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html
    """

    def __init__(self, secret_id: str, client: SecretsManagerClient) -> None:
        self.name = secret_id
        self._client = client

    def load(self) -> str:
        """Return the secret's text."""
        try:
            return self._client.get_secret_value(SecretId=self.name)["SecretString"]
        except self._client.exceptions.ResourceNotFoundException:
            return ""
        except ClientError as error:
            raise ConfigurationError(f"The secret {self.name} cannot be read: {_code(error)}") from error

    def save(self, text: str) -> None:
        """Put a new version of the secret, or make it."""
        try:
            try:
                self._client.put_secret_value(SecretId=self.name, SecretString=text)
            except self._client.exceptions.ResourceNotFoundException:
                self._client.create_secret(Name=self.name, SecretString=text)
        except ClientError as error:
            raise ConfigurationError(f"The secret {self.name} cannot be written: {_code(error)}") from error


class FileStore:
    """A file that only its owner can read."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    def load(self) -> str:
        """Return the file's text."""
        try:
            return self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def save(self, text: str) -> None:
        """Write the file."""
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)


class StripeSecretDocument:
    """The JSON document that the functions read their secrets from."""

    def __init__(self, store: SecretStore) -> None:
        self._store = store
        self.name = store.name

    def _read(self) -> dict[str, Any]:
        text = self._store.load()
        try:
            values = json.loads(text) if text else {}
            if not isinstance(values, dict) or not isinstance(values.get("webhook_secrets", []), list):
                raise TypeError
        except (ValueError, TypeError):
            # `from None`: the cause would carry the secret's text.
            raise ConfigurationError(f"{self.name} is not of the form {FORM}; mend it by hand") from None
        return {"api_key": "", "webhook_secrets": [], **values}

    def has_api_key(self) -> bool:
        """Say whether there is an API key in it."""
        return bool(self._read()["api_key"])

    def put_api_key(self, api_key: str) -> None:
        """Put the API key that the functions are to use."""
        self._store.save(json.dumps({**self._read(), "api_key": api_key}))

    def fingerprints(self) -> set[str]:
        """Return the fingerprints of the signing secrets in it."""
        return {fingerprint(secret) for secret in self._read()["webhook_secrets"]}

    def add_webhook_secret(self, secret: str) -> None:
        """Add a signing secret to those in it."""
        values = self._read()
        if secret not in values["webhook_secrets"]:
            values["webhook_secrets"] = [*values["webhook_secrets"], secret]
            self._store.save(json.dumps(values))


def fingerprint(secret: str) -> str:
    """Return what tells two secrets apart and gives none of them away."""
    return hashlib.sha256(secret.encode()).hexdigest()[:16]


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])
