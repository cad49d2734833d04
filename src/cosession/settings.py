"""Every setting of cosession, typed, in one place: from flags, then `COSESSION_*` variables, then these defaults.

A limit says which failure it prevents; a unit is part of its name.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What a server process is told; immutable once made."""

    model_config = SettingsConfigDict(env_prefix="COSESSION_", frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="address to listen on; anything but loopback needs `insecure`")
    port: int = Field(8765, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    data: Path = Field(Path("cosession-data"), description="folder of the database; made when missing")
    insecure: bool = Field(
        False, description="listen beyond loopback although participants name themselves: for trusted networks only"
    )
    allowed_origins: tuple[str, ...] = Field(
        (), description="web origins whose pages may use the server, e.g. https://app.example; its own may always"
    )
    create_on_connect: bool = Field(
        True, description="create an unknown session when somebody connects to it; else it must be created first"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="the least that is logged")
    log_format: Literal["console", "json"] = Field("console", description="how log events are written")

    max_frame_bytes: int = Field(
        8 * 2**20, ge=1024, description="largest frame taken; more would hold the loop and the memory of everybody"
    )
    max_waiting_bytes: int = Field(
        2**20,
        ge=1024,
        description="what may wait for one connection; a slow reader then loses its queue, not its data",
    )
    max_merged_updates: int = Field(
        256, ge=1, description="how many updates become one frame; merging more at once holds the loop too long"
    )
    max_uncommitted_bytes: int = Field(
        64 * 2**20, ge=2**20, description="what may wait for the disk; beyond it, sockets are not read"
    )
    max_presence_bytes: int = Field(
        16 * 2**10, ge=256, description="largest awareness state; it is sent to everybody at every change"
    )
    max_fences: int = Field(
        1024, ge=1, description="fences of one connection that may wait for a commit; none of them is free"
    )
    max_frames_per_second: float = Field(
        2000.0, gt=0, description="what one connection may send; beyond it, it is read more slowly"
    )
    flood_seconds: float = Field(
        10.0, gt=0, description="how long a connection may send too fast before it is closed (4529)"
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
        4 * 2**20, ge=1024, description="the same in bytes, for sessions whose updates are few and large"
    )
    unload_after_seconds: float = Field(
        30.0, ge=0, description="how long a room without connections stays loaded; a reload of a page finds it warm"
    )
    shutdown_seconds: float = Field(
        10.0, gt=0, description="how long a stopping server waits for its connections; for the log it always waits"
    )

    @property
    def database(self) -> Path:
        """The database file."""
        return self.data / "cosession.sqlite3"
