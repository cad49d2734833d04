"""The server process: socket, storage, hub and uvicorn, opened in this order and closed in reverse."""

import asyncio
import math
import resource
import signal
import socket
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import uvicorn

from cosession.errors import CannotListen
from cosession.logs import configure_logs, get_logger
from cosession.runtime import Hub, Ticker
from cosession.settings import Settings

from .app import open_app
from .collector import calm_collector
from .edge.arrivals import Arrivals
from .edge.connection_limits import ConnectionLimits, ListeningSocket, Tally, exempt_addresses
from .edge.http_protocol import RequestProtocol
from .edge.origin_policy import is_loopback
from .edge.websocket_protocol import SyncProtocol

_FRAME_ROOM = 4
_MOST_FRAME_ROOM = 2**20
"""The WebSocket library's frame limit is this many times ours, or larger by so many bytes, whichever is less. So a
frame over our limit is refused by a room, with a notice."""

_BEAT = 0.3
"""The beat, as a fraction of the presence timeout: a dead connection is detected within three beats, and a little
time must remain."""

_OTHER_FILES = 512
"""File descriptors kept for other uses: the database, standard streams, shared frames, and connections that are open
only until they are refused."""

log = get_logger(__name__)


async def serve(
    settings: Settings,
    *,
    static: Path | None = None,
    page: str = "",
    ready: Callable[[str], None] | None = None,
) -> None:
    """Run the server until SIGINT or SIGTERM, or until cancelled; on return everything is on the disk.

    Args:
        settings: the address to listen on, the data folder, the limits.
        static: a folder of pages to serve at `/`.
        page: the path in it to which `/` redirects; empty where the folder itself has a page.
        ready: called with the server's URL once it listens.

    Raises:
        BadKey: the keys that the settings name can't be used.
        CannotListen: the address can't be bound, or is not safe to listen on.
        StorageError: the data folder or the database can't be used.
    """
    configure_logs(settings.log_level, settings.log_format)
    calm_collector()
    _check_exposure(settings)
    tally = Tally(settings.max_connections_per_address, exempt_addresses(settings))
    lobby = ConnectionLimits(_take_files(settings.max_connections), tally)
    with _bind(settings, lobby) as listener:
        url = _url(settings, listener)
        async with open_app(settings, static=static, page=page) as app:
            config = _config(app, settings, tally.key)
            hub: Hub = app.state.hub
            server = _Server(config, settings, lobby, hub.drain, lambda: ready and ready(url))
            if not settings.authenticates:
                log.info("auth.off", reason="participants name themselves and may do everything: for development")
            with _stopped_by_signals(server):
                await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn with a callback when it listens; the hub closes its connections before uvicorn closes the rest."""

    def __init__(
        self,
        config: uvicorn.Config,
        settings: Settings,
        lobby: ConnectionLimits,
        drain: Callable[[], Awaitable[None]],
        ready: Callable[[], object],
    ) -> None:
        super().__init__(config)
        self._settings = settings
        self._lobby = lobby
        self._drain = drain
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen with a timeout for TLS handshakes and with our own protocol; uvicorn has no option for either."""
        tls = self.config.ssl
        seconds = self._settings.head_seconds if tls else None
        self.servers: list[asyncio.base_events.Server] = [
            await asyncio.get_running_loop().create_server(
                self._protocol,
                sock=listener,
                ssl=tls,
                backlog=self.config.backlog,
                ssl_handshake_timeout=seconds,
                ssl_shutdown_timeout=seconds,
            )
            for listener in sockets or ()
        ]
        self.started = True
        self._ready()

    def _protocol(self) -> RequestProtocol:
        return RequestProtocol(
            self.config, self.server_state, self.lifespan.state, settings=self._settings, lobby=self._lobby
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, let the hub close its connections, then close the others."""
        for server in self.servers:
            server.close()
        await self._drain()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Handle no signals: uvicorn would raise them again, and kill the process before the log is flushed."""
        yield


@contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Generator[None, None, None]:
    """Stop at the first SIGINT or SIGTERM; at the second, without waiting for connections."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        server.force_exit = server.should_exit
        server.should_exit = True

    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def _config(app: Callable[..., object], settings: Settings, key: Callable[[str], str | None]) -> uvicorn.Config:
    beat_seconds, largest = settings.presence_timeout_seconds * _BEAT, settings.max_frame_bytes
    arrivals = Arrivals(max(settings.max_arriving_bytes, 2 * largest), key)
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        loop="asyncio",
        http=RequestProtocol,
        ws=partial(SyncProtocol, pulse=Ticker(beat_seconds), arrivals=arrivals),  # type: ignore[arg-type]
        ws_per_message_deflate=False,
        ws_ping_interval=beat_seconds,
        ws_ping_timeout=settings.slow_reader_seconds,  # a ping waits behind what a slow reader still has to read
        ws_max_size=min(_FRAME_ROOM * largest, largest + _MOST_FRAME_ROOM),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=[str(network) for network in settings.trusted_proxies],
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        timeout_graceful_shutdown=math.ceil(settings.shutdown_seconds),
    )
    try:
        config.load()
    except OSError as error:  # which an SSLError is
        raise CannotListen(
            f"The certificate or its key can't be used: {error.strerror or error}. Both are PEM files: "
            "COSESSION_TLS_CERT names the certificate with its chain, COSESSION_TLS_KEY the key."
        ) from error
    return config


def _check_exposure(settings: Settings) -> None:
    loopback = is_loopback(settings.host)
    if not loopback and not settings.insecure and not settings.authenticates:
        raise CannotListen(
            f"Listening on {settings.host} would let anybody on the network read and write every session, because "
            "participants name themselves. Set COSESSION_AUTH_SECRET (see `cosession token`), use --host 127.0.0.1, "
            "or add --insecure on a network that you trust."
        )
    if settings.tls_key and not settings.tls_cert:
        raise CannotListen(
            "There is a key for TLS and no certificate: COSESSION_TLS_CERT (--tls-cert) names the certificate with "
            "its chain."
        )


def _take_files(wanted: int) -> int:
    """Return how many connections are possible: each needs a file descriptor, and the system may allow too few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    log.warning("listen.few_files", wanted=wanted, connections=soft - _OTHER_FILES, hint="raise ulimit -n")
    return max(1, soft - _OTHER_FILES)


def _bind(settings: Settings, lobby: ConnectionLimits) -> socket.socket:
    host = settings.host
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, settings.port, type=socket.SOCK_STREAM)[0]
        # The protocol is given explicitly: else asyncio doesn't know that it is TCP, and leaves Nagle's algorithm on.
        listener = ListeningSocket(lobby, family, kind, protocol)
    except OSError as error:
        raise CannotListen(f"The address {host!r} can't be used: {error.strerror or error}.") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise CannotListen(
            f"Can't listen on {host} port {settings.port}: {error.strerror}. Stop what uses it, or choose another "
            "port with --port (0 takes a free one)."
        ) from error
    return listener


def _url(settings: Settings, listener: socket.socket) -> str:
    name = f"[{settings.host}]" if ":" in settings.host else settings.host
    scheme = "https" if settings.tls_cert else "http"
    return f"{scheme}://{name}:{listener.getsockname()[1]}"
