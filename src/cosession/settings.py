"""Every setting of cosession, typed, in one place: from flags, then `COSESSION_*` variables, then these defaults.

A limit's description names the failure that it prevents; a unit is part of a setting's name.
"""

import json
from collections.abc import Iterable
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    IPvAnyNetwork,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "COSESSION_"
"""The prefix of the settings' environment variables."""

_OTHER_VARIABLES = ("URL", "TOKEN")
"""Variables of the command line that are no settings."""


def _read_list(written: object) -> object:
    """Parse a list, with commas or as JSON; an empty text is an empty list."""
    if not isinstance(written, str):
        return written
    if not written.lstrip().startswith("["):
        return [one.strip() for one in written.split(",") if one.strip()]
    try:
        return json.loads(written)
    except (ValueError, RecursionError):
        raise ValueError("write the entries with commas between them") from None


def _check_origin(origin: str) -> str:
    """Check that a text is a web origin that a browser could send, and return it."""
    try:
        parts = urlsplit(origin)
        fits = bool(parts.scheme and parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    else:
        fits = fits and not (parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc)
    if not fits or "*" in origin:
        raise ValueError(f"{origin!r} is no origin; write a scheme and a host, like https://app.example")
    return origin


Texts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_read_list)]
Origins = Annotated[tuple[Annotated[str, AfterValidator(_check_origin)], ...], NoDecode, BeforeValidator(_read_list)]
Networks = Annotated[tuple[IPvAnyNetwork, ...], NoDecode, BeforeValidator(_read_list)]


class Settings(BaseSettings):
    """The settings of a server process; immutable."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", allow_inf_nan=False)

    host: str = Field("127.0.0.1", description="address to listen on; anything but loopback needs `insecure`")
    port: int = Field(8765, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    data: Path = Field(Path("cosession-data"), description="folder of the database; made when missing")
    insecure: bool = Field(
        False, description="listen beyond loopback although participants name themselves: for trusted networks only"
    )
    auth_secret: SecretStr | None = Field(
        None,
        description="secret that tokens are signed with (HS256), 32 bytes or more; several verify, the first signs",
    )
    auth_key_file: Path | None = Field(
        None, description="PEM file with the public keys (RSA, P-256, Ed25519) of those who sign tokens"
    )
    auth_jwks_url: str | None = Field(
        None, description="URL of the key set of those who sign tokens; needs an audience"
    )
    auth_issuer: str | None = Field(None, description="what a token's `iss` must be; without it any will do")
    auth_audience: str | None = Field(
        None, description="what a token's `aud` must include; without it a token must have none"
    )
    auth_leeway_seconds: float = Field(
        30.0, ge=0, le=300, description="how far the clocks of those who sign tokens may be from this one's"
    )
    auth_jwks_max_age_seconds: float = Field(
        600.0, ge=1, description="how long a key set is used; a key that was withdrawn verifies for that long at most"
    )
    max_invitation_seconds: float = Field(
        7 * 86400.0, ge=60, description="how long an invitation is good at most: links get around, and can't be seen"
    )
    allowed_origins: Origins = Field(
        (), description="web origins whose pages may use the server, e.g. https://app.example; its own may always"
    )
    tls_cert: Path | None = Field(None, description="PEM file with the certificate and its chain; then it is https")
    tls_key: Path | None = Field(None, description="PEM file with the certificate's key, if it isn't in that file")
    trusted_proxies: Networks = Field(
        (), description="addresses and networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed"
    )
    create_on_connect: bool = Field(
        True, description="create an unknown session when somebody connects to it; else it must be created first"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="the least that is logged")
    log_format: Literal["console", "json"] = Field("console", description="how log events are written")

    max_connections: int = Field(
        16_000, ge=1, description="open sockets in all; each costs memory and a file descriptor, also a silent one"
    )
    max_connections_per_address: int = Field(
        512, ge=1, description="open sockets of one address, which may be an office; one alone can't fill the server"
    )
    unlimited_addresses: Networks = Field(
        (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")),
        validate_default=False,
        description="addresses and networks that no limit per address is for; trusted proxies are among them",
    )
    max_head_bytes: int = Field(
        16 * 2**10, ge=1024, description="largest head of a request; what is larger is no request of ours"
    )
    head_seconds: float = Field(
        10.0, gt=0, description="how long a TLS handshake, and then a request's head, may take to arrive"
    )
    body_seconds: float = Field(
        60.0, gt=0, description="how long a request's body may take to arrive; it holds a connection meanwhile"
    )
    max_body_bytes: int = Field(
        8 * 2**20,
        ge=1024,
        description="largest body of a request; it is read whole, and JSON takes many times its size",
    )
    max_frame_bytes: int = Field(
        96 * 2**20,
        ge=1024,
        description="largest frame taken: a photo is one value, and a stock client's offline work is one frame",
    )
    max_arriving_bytes: int = Field(
        256 * 2**20,
        ge=2**20,
        description="what has come of frames over 64 KB, of all connections, and isn't taken in; two of the largest "
        "always fit. Beyond half of it further ones wait, beyond it the slowest is given up (4503)",
    )
    max_answering_bytes: int = Field(
        256 * 2**20,
        ge=2**20,
        description="what answers of more than 64 KB hold until they are read, of all requests; one always fits. "
        "Beyond it the oldest of the address that holds most is cut",
    )
    max_structs_per_frame: int = Field(
        250_000,
        ge=1024,
        description="structs, values and deletions in one update, but for deletions that are known: nearly all that "
        "a replica tells when it comes back; so many take seconds, in steps between which others have their turn",
    )
    max_value_bytes: int = Field(
        16 * 2**20,
        ge=2**20,
        description="largest value (a string, a plain object, bytes), which isn't taken in parts; a photo of "
        "10 MB as text is below it. Texts and shared types are no single values",
    )
    max_value_entries: int = Field(
        100_000,
        ge=1024,
        description="keys and values in one plain object or list, which the CRDT library reads at once; larger ones "
        "belong into shared maps and lists, or several values",
    )
    max_document_bytes: int = Field(
        128 * 2**20,
        ge=1024,
        description="how large the document of a session may grow by the hands of those whose writes are judged: ten "
        "photos of 5 MB, as text, are more than half of it; each thing in it (a stretch of text, a value, a shared "
        "type) counts for 128 bytes more, for small ones take most memory, and a deleted one for 32",
    )
    max_depth: int = Field(64, ge=8, le=100, description="how deep shared types may be in each other; judged like it")
    max_waiting_bytes: int = Field(
        2**20,
        ge=1024,
        description="what may wait for one connection; a slow reader then loses its queue, not its data",
    )
    max_merged_updates: int = Field(
        256, ge=1, description="how many updates become one frame; merging more at once holds the loop too long"
    )
    max_piece_bytes: int = Field(
        2**18,
        ge=1024,
        description="larger diffs go in pieces: clients hang up that get no whole frame for 30 s",
    )
    max_uncommitted_bytes: int = Field(
        64 * 2**20, ge=2**20, description="what may wait for the disk; beyond it, sockets are not read"
    )
    max_presence_bytes: int = Field(
        64 * 2**10,
        ge=256,
        description="largest awareness state, in UTF-8; a larger one is dropped, and its connection is told",
    )
    max_presence_bytes_per_second: int = Field(
        32 * 2**20,
        ge=2**16,
        description="what a room sends of presence, to all together; beyond it small states go first",
    )
    presence_seconds: float = Field(
        0.05, ge=0, description="how often a room tells its presence at most; a hundred moving cursors are one frame"
    )
    presence_timeout_seconds: float = Field(
        15.0, ge=1, description="how long who is gone without a word is still there for the others"
    )
    attendance_seconds: float = Field(
        1.0,
        ge=0,
        description="how long who is online must stay so before the document says it; a reload writes nothing",
    )
    agents: Texts = Field(
        (),
        max_length=32,
        description="agents that belong to every new session; the first answers prompts that name nobody",
    )
    lease_grace_seconds: float = Field(
        15.0,
        ge=0,
        description="how long what a process holds outlives its connection; a restart or a tunnel loses nothing",
    )
    begin_seconds: float = Field(
        60.0, gt=0, description="how soon a prompt that was taken must have a run; then another may take it"
    )
    max_attempts: int = Field(
        5, ge=1, description="how often a run may lose its process; what kills every one must end some time"
    )
    work_seconds: float = Field(
        86400.0, gt=0, description="how old a prompt may be for a worker; nobody waits for older ones any more"
    )
    max_fences: int = Field(
        1024, ge=1, description="fences of one connection that may wait for a commit; none of them is free"
    )
    max_frames_per_second: float = Field(
        2000.0, gt=0, description="what one connection may send; beyond it, it is read more slowly"
    )
    flood_seconds: float = Field(
        10.0,
        gt=0,
        description="how long a worker may send too fast before it is closed (4529); other sockets are only slowed",
    )
    max_new_clients_per_minute: float = Field(
        600.0,
        gt=0,
        description="Yjs client ids that one participant may add to a session, and five minutes' worth at once: a "
        "page load takes one, and each is named in every state vector for ever. Beyond it they wait",
    )
    slow_reader_seconds: float = Field(
        60.0, gt=0, description="how long one frame may wait for a reader before its connection is closed (4508)"
    )
    keep_alive_seconds: float = Field(
        20.0, gt=0, lt=30, description="the longest silence; y-websocket hangs up after 30 s of it"
    )
    snapshot_after_updates: int = Field(
        2000, ge=1, description="updates behind the last snapshot before the next; after a crash they are replayed"
    )
    snapshot_after_bytes: int = Field(
        4 * 2**20, ge=1024, description="the same in bytes, or the size of the last snapshot, if that is more"
    )
    compact_after_seconds: float = Field(
        600.0, ge=0, description="how often what an occupied room has written is compacted; an empty one is at once"
    )
    history_grain_seconds: float = Field(
        60.0,
        ge=0,
        description="how much time a row of a compacted log may cover, of one writer; the past is read between rows",
    )
    unload_after_seconds: float = Field(
        30.0, ge=0, description="how long a room without connections stays loaded; a reload of a page finds it warm"
    )
    shutdown_seconds: float = Field(
        10.0, gt=0, description="how long a stopping server waits for its connections; for the log it always waits"
    )

    @field_validator(
        *("host", "data", "auth_key_file", "auth_jwks_url", "auth_issuer", "auth_audience", "tls_cert", "tls_key"),
        mode="before",
    )
    @classmethod
    def _is_not_empty(cls, written: object) -> object:
        """Reject an empty text: it would mean the current folder, or an issuer without a name."""
        if written == "":
            raise ValueError("an empty text says nothing; leave the variable out")
        return written

    @property
    def authenticates(self) -> bool:
        """Whether participants authenticate with tokens; else they name themselves."""
        return bool(self.auth_secret or self.auth_key_file or self.auth_jwks_url)

    @property
    def database(self) -> Path:
        """The database file."""
        return self.data / "cosession.sqlite3"


def explain(error: ValidationError) -> str:
    """Return the first validation error of settings as a sentence that names the variable."""
    first: Any = error.errors()[0]
    name = PREFIX + str(first["loc"][0]).upper() if first["loc"] else "A setting"
    return f"{name} can't be {first['input']!r}: {first['msg'].removeprefix('Value error, ')}."


def unknown_variables(names: Iterable[str]) -> dict[str, str | None]:
    """Return the variables that have the prefix and are no settings, each with the most similar setting or None.

    Args:
        names: the names of an environment's variables.
    """
    known = [name.upper() for name in (*Settings.model_fields, *_OTHER_VARIABLES)]
    nearest: dict[str, str | None] = {}
    for name in names:
        stem = name.upper().removeprefix(PREFIX)
        if name.upper().startswith(PREFIX) and stem not in known:
            close = get_close_matches(stem, known, 1)
            nearest[name] = PREFIX + close[0] if close else None
    return nearest
