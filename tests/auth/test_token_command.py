"""`cosession token` as a person types it: its token opens what it names, and nothing else is printed."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from auth.conftest import SECRET, Pair
from cli.conftest import cosession
from processes import PATIENCE_SECONDS, Server

Cosession = Callable[..., "subprocess.Popen[str]"]

__all__ = ["cosession"]


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, output, errors


def test_a_minted_token_opens_the_sessions_that_it_names(start_server: Callable[..., Server], cosession: Cosession):
    wants = {"auth_secret": SECRET, "auth_issuer": "dev", "auth_audience": "here"}
    variables = {f"COSESSION_{name.upper()}": value for name, value in wants.items()}
    server = start_server(**wants)
    code, output, errors = ended(cosession("token", "ada", "--session", "trip-*", "--session", "home", **variables))
    assert (code, errors) == (0, "")
    headers = {"authorization": f"Bearer {output.strip()}"}
    for session, status in (("trip-1", 201), ("home", 201), ("other", 403)):
        assert httpx.post(f"{server.url}/sessions", json={"id": session}, headers=headers).status_code == status
    assert httpx.delete(f"{server.url}/sessions/home", headers=headers).status_code == 403


def test_a_private_key_signs_for_a_server_that_has_the_public_one(
    start_server: Callable[..., Server], cosession: Cosession, pairs: dict[str, Pair], tmp_path: Path
):
    (tmp_path / "public.pem").write_text(pairs["EdDSA"].public)
    (tmp_path / "private.pem").write_text(pairs["EdDSA"].private)
    server = start_server(auth_key_file=tmp_path / "public.pem")
    private = str(tmp_path / "private.pem")
    arguments = ("bot", "--session", "*", "--role", "agent", "--kind", "agent", "--key", private, "--ttl", "5m")
    code, output, _ = ended(cosession("token", *arguments, "--capability", "prompt"))
    assert code == 0
    headers = {"authorization": f"Bearer {output.strip()}"}
    assert httpx.post(f"{server.url}/sessions", json={"id": "a"}, headers=headers).status_code == 201
    said = httpx.post(f"{server.url}/sessions/a/messages", json={"text": "hi"}, headers=headers)
    assert said.json()["metadata"]["author"] == "bot"


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["ada"], {}, "There is no key to sign with"),
        (["ada"], {"COSESSION_AUTH_SECRET": "hunter2"}, "fewer than 32 bytes"),
        (["ada", "--ttl", "soon"], {"COSESSION_AUTH_SECRET": SECRET}, "15m or 7d"),
        (["server"], {"COSESSION_AUTH_SECRET": SECRET}, "the server's own"),
        (["ada", "--capability", "fly"], {"COSESSION_AUTH_SECRET": SECRET}, "capability 'fly' is unknown"),
        (["ada", "--session", "a*b"], {"COSESSION_AUTH_SECRET": SECRET}, "can't name sessions"),
        (["ada", "--key", "/missing.pem"], {}, "can't be read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_that_says_what_to_do(
    cosession: Cosession, arguments: list[str], variables: dict[str, str], said: str
):
    code, output, errors = ended(cosession("token", *arguments, "--session", "trip", **variables))
    assert (code, output) == (1, "")
    assert said in errors
    assert errors.count("\n") == 1
    assert "hunter2" not in errors


def test_a_server_says_at_start_which_key_it_cannot_use(cosession: Cosession, tmp_path: Path):
    data = str(tmp_path / "data")
    code, _, errors = ended(cosession("serve", "--data", data, "--port", "0", COSESSION_AUTH_SECRET="hunter2"))
    assert code == 1
    assert "openssl rand -hex 32" in errors
    assert "hunter2" not in errors
    assert "Traceback" not in errors


def test_with_a_key_a_server_may_listen_anywhere(start_server: Callable[..., Server]):
    server = start_server(host="0.0.0.0", auth_secret=SECRET)
    answer = httpx.get(f"http://127.0.0.1:{server.port}/sessions", headers={"host": "cosession.example"})
    assert answer.status_code == 401


def test_without_one_it_may_not(cosession: Cosession, tmp_path: Path):
    code, _, errors = ended(cosession("serve", "--host", "0.0.0.0", "--data", str(tmp_path / "data")))
    assert code == 1
    assert "COSESSION_AUTH_SECRET" in errors
    assert "--insecure" in errors


def test_the_other_commands_show_the_token_of_the_environment(
    start_server: Callable[..., Server], cosession: Cosession
):
    server = start_server(auth_secret=SECRET)
    _, token, _ = ended(cosession("token", "ada", "--session", "*", COSESSION_AUTH_SECRET=SECRET))
    arguments = ("send", "trip", "hello", "--url", server.url)
    assert ended(cosession(*arguments, COSESSION_TOKEN=token.strip()))[0] == 0
    answer = httpx.get(f"{server.url}/sessions/trip", headers={"authorization": f"Bearer {token.strip()}"})
    [message] = answer.json()["document"]["messages"]
    assert message["metadata"]["author"] == "ada"

    code, _, errors = ended(cosession(*arguments))
    assert (code, "A token is needed" in errors) == (1, True)
    code, _, errors = ended(cosession("tail", "trip", "--url", server.url))
    assert (code, "A token is needed" in errors) == (1, True)
    tail = cosession("tail", "trip", "--url", server.url, COSESSION_TOKEN=token.strip())
    assert tail.stdout is not None
    assert any("hello" in line for line in iter(tail.stdout.readline, ""))
