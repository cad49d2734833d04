"""What `import cosession` gives, and what it costs."""

import subprocess
import sys

import pytest

import cosession
import cosession.client

PROGRAM = """
import sys
import cosession

heavy = {"asyncio", "pycrdt", "websockets", "httpx", "cosession.client", "cosession.server"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
assert {"Worker", "connect"} <= set(dir(cosession))
print(cosession.Worker.__module__)
"""

CLIENT = """
import sys
import cosession.client

server = {"starlette", "uvicorn", "sqlite3", "typer", "pydantic", "pydantic_settings", "joserfc"}
parts = ("server", "runtime", "room", "admission", "storage", "auth", "cli", "settings")
server |= {f"cosession.{name}" for name in parts}
print(*sorted(server & set(sys.modules)))
"""


def test_the_sdk_is_loaded_when_it_is_first_asked_for():
    asked = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == "cosession.client.worker"


def test_the_sdk_loads_nothing_of_the_server():
    loaded = subprocess.run([sys.executable, "-c", CLIENT], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_what_the_package_exports_is_the_sdks_own():
    assert cosession.__all__ == cosession.client.__all__
    assert (cosession.Worker, cosession.connect) == (cosession.client.Worker, cosession.client.connect)
    with pytest.raises(AttributeError, match="'cosession' has no attribute 'Wroker'"):
        _ = cosession.Wroker  # pyright: ignore[reportAttributeAccessIssue]
