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
        False, description="listen beyond loopback although participants name themselves; for trusted networks only"
    )
    auth_secret: SecretStr | None = Field(
        None,
        description="secret that signs tokens (HS256), at least 32 bytes; of several, all verify and the "
        "first one signs",
    )
    auth_key_file: Path | None = Field(
        None, description="PEM file with the public keys (RSA, P-256, Ed25519) that verify tokens"
    )
    auth_jwks_url: str | None = Field(
        None, description="URL of the key set that verifies tokens; requires `auth_audience`"
    )
    auth_issuer: str | None = Field(
        None, description="required value of a token's `iss`; without this setting any value is accepted"
    )
    auth_audience: str | None = Field(
        None, description="value that a token's `aud` must include; without this setting a token must have no `aud`"
    )
    auth_leeway_seconds: float = Field(
        30.0,
        ge=0,
        le=300,
        description="tolerated difference between the clocks of this server and of the issuer of tokens",
    )
    auth_jwks_max_age_seconds: float = Field(
        600.0, ge=1, description="time for which a key set is cached; a withdrawn key verifies for at most that long"
    )
    max_invitation_seconds: float = Field(
        7 * 86400.0,
        ge=60,
        description="longest validity of an invitation; short, because links get passed on unnoticed",
    )
    allowed_origins: Origins = Field(
        (),
        description="web origins whose pages may use the server, e.g. https://app.example; its own origin always may",
    )
    tls_cert: Path | None = Field(None, description="PEM file with the certificate and its chain; then it is https")
    tls_key: Path | None = Field(None, description="PEM file with the certificate's key, if it isn't in that file")
    trusted_proxies: Networks = Field(
        (), description="addresses and networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted"
    )
    create_on_connect: bool = Field(
        True, description="create an unknown session when a client connects to it; else it must be created first"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="lowest level that is logged")
    log_format: Literal["console", "json"] = Field("console", description="format of log events")

    max_connections: int = Field(
        16_000, ge=1, description="open sockets in total; each costs memory and a file descriptor, even when silent"
    )
    max_connections_per_address: int = Field(
        512,
        ge=1,
        description="open sockets of one address, which may be an office; one address can't fill the server",
    )
    unlimited_addresses: Networks = Field(
        (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")),
        validate_default=False,
        description="addresses and networks without a limit per address; trusted proxies are always included",
    )
    max_head_bytes: int = Field(
        16 * 2**10, ge=1024, description="largest head of a request; no client of ours sends a larger one"
    )
    head_seconds: float = Field(
        10.0, gt=0, description="time for a TLS handshake, and then for the head of a request, to arrive"
    )
    body_seconds: float = Field(
        60.0, gt=0, description="time for the body of a request to arrive; it occupies a connection meanwhile"
    )
    max_body_bytes: int = Field(
        8 * 2**20,
        ge=1024,
        description="largest body of a request; it is read whole, and parsed JSON takes many times its size",
    )
    max_frame_bytes: int = Field(
        96 * 2**20,
        ge=1024,
        description="largest frame: a photo is one value, and the offline work of a stock client is one frame",
    )
    max_arriving_bytes: int = Field(
        256 * 2**20,
        ge=2**20,
        description="received bytes of unprocessed frames over 64 KB, of all connections; two of the largest "
        "always fit. Beyond half of it further ones wait; beyond it the slowest connection is "
        "closed (4503)",
    )
    max_answering_bytes: int = Field(
        256 * 2**20,
        ge=2**20,
        description="unread bytes of answers over 64 KB, of all requests; one always fits. Beyond it the "
        "oldest answer of the address with the most unread bytes is cut off",
    )
    max_structs_per_frame: int = Field(
        250_000,
        ge=1024,
        description="structs, values and deletions in one update; known deletions, which a returning replica "
        "repeats, don't count. So many take seconds, in steps between which other connections "
        "have their turn",
    )
    max_value_bytes: int = Field(
        16 * 2**20,
        ge=2**20,
        description="largest single value (a string, a plain object, bytes); it can't be processed in parts. "
        "A photo of 10 MB as text is smaller. Texts and shared types are not single values",
    )
    max_value_entries: int = Field(
        100_000,
        ge=1024,
        description="keys and values in one plain object or list, which the CRDT library reads in one step; "
        "larger data belongs in shared maps and lists, or in several values",
    )
    max_document_bytes: int = Field(
        128 * 2**20,
        ge=1024,
        description="largest document to which restricted participants may add: ten photos of 5 MB, as text, "
        "fill more than half of it. Each item (a stretch of text, a value, a shared type) counts "
        "for 128 bytes more, because small ones take most memory, and a deleted one for 32",
    )
    max_depth: int = Field(
        64, ge=8, le=100, description="deepest nesting of shared types for restricted participants"
    )
    max_waiting_bytes: int = Field(
        2**20,
        ge=1024,
        description="bytes that may wait for one connection; a slow reader then loses its queue and gets a "
        "diff instead",
    )
    max_merged_updates: int = Field(
        256,
        ge=1,
        description="updates that are merged into one frame; merging more in one step holds the event loop too long",
    )
    max_piece_bytes: int = Field(
        2**18,
        ge=1024,
        description="size from which a diff is sent in pieces: clients hang up without a whole frame for 30 s",
    )
    max_uncommitted_bytes: int = Field(
        64 * 2**20, ge=2**20, description="bytes that may wait for the disk; beyond it sockets are not read"
    )
    max_presence_bytes: int = Field(
        64 * 2**10,
        ge=256,
        description="largest awareness state in UTF-8; a larger one is dropped, and its connection gets a notice",
    )
    max_presence_bytes_per_second: int = Field(
        32 * 2**20,
        ge=2**16,
        description="bytes of presence that a room sends to all its connections; beyond it small states go first",
    )
    presence_seconds: float = Field(
        0.05,
        ge=0,
        description="shortest time between two presence frames of a room; a hundred moving cursors share a frame",
    )
    presence_timeout_seconds: float = Field(
        15.0, ge=1, description="time after which a silent client no longer counts as present"
    )
    attendance_seconds: float = Field(
        1.0,
        ge=0,
        description="time for which a change of a participant's attendance must last before it is written "
        "into the document; a reload writes nothing",
    )
    agents: Texts = Field(
        (),
        max_length=32,
        description="agents that belong to every new session; the first one answers prompts that name no agent",
    )
    lease_grace_seconds: float = Field(
        15.0,
        ge=0,
        description="time for which a process keeps its leases after its connection is lost; long enough for "
        "a restart or a tunnel",
    )
    begin_seconds: float = Field(
        60.0,
        gt=0,
        description="time within which a claimed prompt must have a run; after it another worker may claim "
        "the prompt",
    )
    max_attempts: int = Field(
        5, ge=1, description="processes that a run may lose; a run that kills each of them must end"
    )
    work_seconds: float = Field(
        86400.0, gt=0, description="greatest age of a prompt that a worker gets; older prompts are stale"
    )
    max_fences: int = Field(
        1024, ge=1, description="fences of one connection that may wait for a commit; each takes memory"
    )
    max_frames_per_second: float = Field(
        2000.0, gt=0, description="frames that one connection may send; beyond it the connection is read more slowly"
    )
    flood_seconds: float = Field(
        10.0,
        gt=0,
        description="time for which a worker's connection may exceed the rate before it is closed (4529); "
        "other sockets are only slowed down",
    )
    max_new_clients_per_minute: float = Field(
        600.0,
        gt=0,
        description="Yjs client ids that one participant may add to a session, with a burst of five minutes' "
        "worth: a page load takes one, and every state vector names each for ever. Beyond it they "
        "wait",
    )
    slow_reader_seconds: float = Field(
        60.0,
        gt=0,
        description="time for which one frame may wait for a reader before the connection is closed (4508)",
    )
    keep_alive_seconds: float = Field(
        20.0, gt=0, lt=30, description="longest silence of the server; y-websocket hangs up after 30 s of it"
    )
    snapshot_after_updates: int = Field(
        2000, ge=1, description="updates after a snapshot until the next one is due; they are replayed after a crash"
    )
    snapshot_after_bytes: int = Field(
        4 * 2**20,
        ge=1024,
        description="bytes after a snapshot until the next one is due, or the size of the snapshot, if that is more",
    )
    compact_after_seconds: float = Field(
        600.0,
        ge=0,
        description="time between two compactions of an occupied room; an empty room is compacted at once",
    )
    history_grain_seconds: float = Field(
        60.0,
        ge=0,
        description="time that one row of a compacted log may cover, of one author; the history is read by rows",
    )
    unload_after_seconds: float = Field(
        30.0,
        ge=0,
        description="time for which a room without connections stays loaded; a page that reloads finds it in memory",
    )
    shutdown_seconds: float = Field(
        10.0,
        gt=0,
        description="time for which a stopping server waits for its connections; for the log it always waits",
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
