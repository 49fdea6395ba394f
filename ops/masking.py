"""What a log, a table or an error message may show of a secret or of a person. Pure.

Runbook 004 L325 and L333 ask for masked `actor_id` and `entity_id`; the example there keeps the kind and a few
characters (`user_abc...`), enough to recognise a case one already knows and too little to name a person.
Invariant: masking is applied to values and to text, so that a secret in a message is caught as well.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

MASK = "********"
_KEPT_CHARACTERS = 3
_SHORTEST_SECRET = 6

_URL_PASSWORD = re.compile(r"(?P<head>[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s:@]*:)(?P<password>[^/\s]*)(?=@)")
_KEYWORD_PASSWORD = re.compile(
    r"(?P<head>\b(?:password|sslpassword)\s*=\s*)(?:'(?:[^'\\]|\\.)*'|[^\s&]+)", re.IGNORECASE
)
_BEARER = re.compile(r"(?P<head>\b(?:bearer|vapid\s+t=)\s*)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_SECRET_KEYS = re.compile(r"(password|secret|token|api_?key|private_?key|authorization|p256dh|\bauth\b)", re.IGNORECASE)
_PUBLIC_KEYS = frozenset({"vapid_public_key", "claim_token"})


def mask_id(value: object) -> str:
    """Keep the kind in front of the first `_` and three characters: `user_abcdef` becomes `user_abc...`."""
    text = str(value)
    kind, underscore, rest = text.partition("_")
    if not underscore:
        kind, rest = "", text
    kept = rest[:_KEPT_CHARACTERS] if len(rest) > _KEPT_CHARACTERS else rest[:1]
    return f"{kind}{underscore}{kept}..."


def mask_endpoint(url: str) -> str:
    """A push endpoint is a capability: whoever has the URL may send. Keep its host and a digest to compare by."""
    digest = hashlib.sha256(url.encode()).hexdigest()[:8]
    return f"{urlsplit(url).hostname or 'endpoint'}/...{digest}"


def mask_connection(text: str) -> str:
    """Hide the password of a URL or of a libpq key=value string, and leave the rest readable."""
    text = _URL_PASSWORD.sub(rf"\g<head>{MASK}", text)
    return _KEYWORD_PASSWORD.sub(rf"\g<head>{MASK}", text)


def passwords_in(connection: str) -> tuple[str, ...]:
    """The passwords that a connection string holds, also as they read when percent-decoded."""
    found = [match["password"] for match in _URL_PASSWORD.finditer(connection)]
    keywords = _KEYWORD_PASSWORD.finditer(connection)
    found += [connection[match.end("head") : match.end()].strip("'") for match in keywords]
    return tuple(dict.fromkeys([*found, *map(unquote, found)]))


def mask_text(text: str, secrets: Iterable[str] = ()) -> str:
    """Hide every known secret, passwords in addresses and bearer tokens in free text.

    A known secret shorter than six characters is left alone: it would blank out ordinary words.
    """
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, MASK)
    return _BEARER.sub(rf"\g<head>{MASK}", mask_connection(text))


def names_a_secret(key: str) -> bool:
    """True for a key whose value must never be printed, whatever it holds."""
    return key.lower() not in _PUBLIC_KEYS and _SECRET_KEYS.search(key) is not None


def mask_value(value: Any, secrets: tuple[str, ...] = ()) -> Any:
    """Apply `mask_text` through nested mappings and sequences, and blank values under secret keys."""
    if isinstance(value, str):
        return mask_text(value, secrets)
    if isinstance(value, bytes):
        return mask_text(value.decode("utf-8", "replace"), secrets)
    if isinstance(value, Mapping):
        return {
            key: MASK if names_a_secret(str(key)) and inner else mask_value(inner, secrets)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [mask_value(inner, secrets) for inner in value]
    return value
