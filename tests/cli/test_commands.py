"""The commands as a person types them: what they print, where, and with which exit code."""

import asyncio
import os
import re
import selectors
import signal
import socket
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
from processes import PATIENCE_SECONDS, Server, eventually

Cosession = Callable[..., "subprocess.Popen[str]"]
"""Starts the command; see conftest.py."""


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Wait for the end; return exit code, output and errors."""
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, output, errors


def read_until(process: "subprocess.Popen[str]", wanted: str) -> str:
    """Read the output until it holds a text."""
    assert process.stdout is not None
    seen = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while wanted.encode() not in seen:
            assert selector.select(PATIENCE_SECONDS), f"{wanted!r} did not come; only {seen.decode()!r}"
            chunk = process.stdout.buffer.raw.read(4096)  # what is there, and no more
            assert chunk, f"The output ended before {wanted!r} came: {seen.decode()!r}"
            seen += chunk
    return seen.decode()


def is_running(process: str) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return bool(Path(f"/proc/{process}/cmdline").read_bytes())
    except OSError:
        return False


def test_the_version_is_the_packages(cosession: Cosession):
    assert ended(cosession("--version")) == (0, f"cosession {version('cosession')}\n", "")


def test_an_unknown_flag_is_refused_as_wrong_usage(cosession: Cosession):
    code, output, errors = ended(cosession("serve", "--prot", "1"))

    assert (code, output) == (2, "")
    assert "--prot" in errors


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["serve"], {"COSESSION_PORT": "many"}, "COSESSION_PORT can't be 'many'"),
        (["serve"], {"COSESSION_ALLOWED_ORIGINS": "app.example"}, "like https://app.example"),
        (["serve"], {"COSESSION_TRUSTED_PROXIES": "10.0.0.1,proxy"}, "COSESSION_TRUSTED_PROXIES can't be 'proxy'"),
        (["serve", "--host", "0.0.0.0"], {}, "add --insecure"),
        (["serve", "--tls-key", "key.pem"], {}, "COSESSION_TLS_CERT"),
        (["serve"], {"COSESSION_TLS_KEY": "key.pem"}, "COSESSION_TLS_CERT"),
        (["send", "trip", "hello", "--url", "nonsense"], {}, "like http://localhost:8765"),
        (["send", "trip", "  "], {}, "nothing to send"),
        (["tail", "trip", "--url", "http://127.0.0.1:1"], {}, "Start one with: cosession serve"),
        (["tail", "trip", "--url", "http://[::1"], {}, "like http://localhost:8765"),
        (["tail", "trip", "--url", "nonsense"], {}, "like http://localhost:8765"),
        (["send", "trip", "hello", "--url", "http://[::1"], {}, "like http://localhost:8765"),
        (
            ["demo", "--model", "openai", "--no-open"],
            {"OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""},
            "Set OPENAI_API_KEY",
        ),
        (["demo", "travel", "--model", "local", "--no-open"], {}, "choose openai or scripted"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_is_one_line_that_says_what_to_do(
    cosession: Cosession, tmp_path: Path, arguments: list[str], variables: dict[str, str], said: str
):
    code, output, errors = ended(cosession(*arguments, COSESSION_DATA=str(tmp_path / "data"), **variables))

    assert (code, output) == (1, "")
    assert said in errors
    assert errors.count("\n") == 1


def test_a_variable_that_nothing_reads_is_warned_about(cosession: Cosession, tmp_path: Path):
    _, _, errors = ended(
        cosession("check", COSESSION_DATA=str(tmp_path), COSESSION_ALOWED_ORIGINS="http://a.example")
    )

    assert "COSESSION_ALOWED_ORIGINS" in errors
    assert "did you mean COSESSION_ALLOWED_ORIGINS?" in errors


def test_what_keeps_a_message_from_being_sent_is_said_at_once(cosession: Cosession, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = taken.getsockname()[1]
    code, output, errors = ended(cosession("send", "trip", "hello", "--url", f"http://127.0.0.1:{closed}"))

    assert (code, output) == (1, "")
    assert "refused" in errors
    assert "cosession serve" in errors
    assert errors.count("\n") == 1


SPEAKERS = {
    "ssh": b"SSH-2.0-OpenSSH_9\r\n",
    "nothing": b"",
    "tls": b"\x15\x03\x01\x00\x02\x02F",
    "old": b"HTTP/1.0 404 No\r\n\r\n",
}


@pytest.mark.parametrize("protocol", SPEAKERS)
def test_an_address_where_something_else_listens_is_said_at_once(cosession: Cosession, protocol: str):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        send = cosession("send", "trip", "hello", "--url", f"http://127.0.0.1:{listening.getsockname()[1]}")
        listening.settimeout(PATIENCE_SECONDS)
        connection, _ = listening.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(SPEAKERS[protocol])
        code, output, errors = ended(send)

    assert (code, output) == (1, "")
    assert "no session server" in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("command", [["send", "trip", "hello"], ["tail", "trip"]], ids=["send", "tail"])
@pytest.mark.parametrize("certificates", ["", "/nowhere/roots.pem"], ids=["usual", "unreadable"])
def test_an_address_with_tls_where_none_is_spoken_is_one_line(
    cosession: Cosession, server: Server, command: list[str], certificates: str
):
    url = server.url.replace("http:", "https:")
    variables = {"SSL_CERT_FILE": certificates} if certificates else {}
    code, output, errors = ended(cosession(*command, "--url", url, **variables))

    assert (code, output) == (1, "")
    assert "http://" in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("command", [["send", "trip", "hello"], ["tail", "trip"]], ids=["send", "tail"])
def test_a_token_that_no_header_can_hold_is_said_and_not_shown(
    cosession: Cosession, server: Server, command: list[str]
):
    code, output, errors = ended(cosession(*command, "--url", server.url, COSESSION_TOKEN="half\nsecret"))

    assert (code, output) == (1, "")
    assert "control characters" in errors
    assert "secret" not in errors


def test_a_terminal_that_lacks_a_character_shows_another(cosession: Cosession, server: Server):
    ended(cosession("send", "trip", "schön 漢字 👩‍🚀", "--url", server.url))
    variables = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    tail = cosession("tail", "trip", "--url", server.url, **variables)
    assert "sch?n" in read_until(tail, "sch?n")
    tail.send_signal(signal.SIGINT)
    assert ended(tail)[0] == 0


def test_a_port_in_use_is_said_with_the_flag_that_helps(cosession: Cosession, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, _, errors = ended(cosession("serve", "--port", port, "--data", str(tmp_path / "data")))

    assert code == 1
    assert port in errors
    assert "--port" in errors
    assert errors.count("\n") == 1


def test_a_flag_goes_before_its_variable_and_an_interrupt_ends_the_server_cleanly(
    cosession: Cosession, tmp_path: Path
):
    process = cosession(
        "serve", "--port", "0", "--data", str(tmp_path / "flag"), COSESSION_DATA=str(tmp_path / "variable")
    )
    read_until(process, "listens on http://127.0.0.1:")

    process.send_signal(signal.SIGINT)
    code, _, errors = ended(process)

    assert (code, "Traceback" in errors) == (0, False)
    assert (tmp_path / "flag").is_dir()
    assert not (tmp_path / "variable").exists()


def test_the_demo_serves_the_chat_and_answers_in_it(cosession: Cosession, tmp_path: Path):
    arguments = ("--model", "scripted", "--speed", "0", "--port", "0", "--no-open")
    process = cosession("demo", *arguments, "--data", str(tmp_path / "data"))
    url = read_until(process, "Ctrl-C").split(" at ")[1].split()[0]
    page = httpx.get(f"{url}/")
    assert 'data-testid="composer"' in page.text

    assert ended(cosession("send", "trip", "Who are you?", "--url", url))[0] == 0
    tail = cosession("tail", "trip", "--url", url)
    read_until(tail, "scripted agent")
    process.send_signal(signal.SIGINT)
    code, _, errors = ended(process)

    assert (code, "Traceback" in errors) == (0, False)


def test_the_demo_serves_the_form_with_its_helper(cosession: Cosession, tmp_path: Path):
    process = cosession("demo", "forms", "--port", "0", "--no-open", "--data", str(tmp_path / "data"))
    url = read_until(process, "Ctrl-C").split(" at ")[1].split()[0]
    assert "Visa application" in httpx.get(f"{url}/").text

    asyncio.run(eventually(lambda: "helper" in httpx.get(f"{url}/sessions/visa").text, "the helper"))
    process.send_signal(signal.SIGINT)
    code, _, errors = ended(process)

    assert (code, "Traceback" in errors) == (0, False)


def test_the_address_of_the_travel_demo_leads_to_its_page(cosession: Cosession, tmp_path: Path):
    arguments = ("--model", "scripted", "--port", "0", "--no-open", "--data", str(tmp_path / "data"))
    process = cosession("demo", "travel", *arguments)
    page = read_until(process, "Ctrl-C").split(" at ")[1].split()[0]
    answer = httpx.get(f"{page.removesuffix('/travel/')}/?session=lisbon", follow_redirects=True)

    assert "Trip together" in answer.text
    assert str(answer.url) == f"{page}?session=lisbon"
    process.send_signal(signal.SIGINT)
    code, _, errors = ended(process)

    assert (code, "Traceback" in errors) == (0, False)


def test_a_travel_demo_that_is_killed_leaves_no_agents_behind(cosession: Cosession, tmp_path: Path):
    arguments = ("--model", "scripted", "--port", "0", "--no-open", "--data", str(tmp_path / "data"))
    process = cosession("demo", "travel", *arguments)
    agents = re.findall(r"is process (\d+)", read_until(process, "activities --url"))

    process.kill()

    assert len(agents) == 4
    try:
        asyncio.run(eventually(lambda: not any(map(is_running, agents)), "the end of the agents"))
    finally:
        for left in filter(is_running, agents):
            os.kill(int(left), signal.SIGKILL)


def test_what_is_sent_is_saved_and_seen_by_who_follows(cosession: Cosession, server: Server):
    assert ended(cosession("send", "trip", "Hello", "--url", server.url, "--name", "Ada"))[0] == 0
    tail = cosession("tail", "trip", "--url", server.url)
    assert "Hello" in read_until(tail, "Hello")

    sending = cosession("send", "trip", "-", "--url", server.url, "--name", "Bo")
    sending.communicate("From a \x1b[31mpipe\n", timeout=PATIENCE_SECONDS)
    seen = read_until(tail, "pipe")
    tail.send_signal(signal.SIGINT)
    code, _, errors = ended(tail)

    assert sending.returncode == 0
    assert "From a [31mpipe" in seen  # a text can't control the terminal
    assert (code, errors) == (0, "")
    first, second = httpx.get(f"{server.url}/sessions/trip").json()["document"]["messages"]
    assert (first["metadata"]["author"], second["metadata"]["author"]) == ("cli-ada", "cli-bo")


def test_following_a_session_that_is_not_there_makes_none(cosession: Cosession, server: Server):
    code, _, errors = ended(cosession("tail", "tirp", "--url", server.url))

    assert code == 1
    assert "There is no session 'tirp'" in errors
    assert httpx.get(f"{server.url}/sessions").json()["sessions"] == []


def test_following_what_is_no_session_server_says_so(cosession: Cosession):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        tail = cosession("tail", "trip", "--url", f"http://127.0.0.1:{listening.getsockname()[1]}")
        listening.settimeout(PATIENCE_SECONDS)
        connection, _ = listening.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n<html></html>")
            code, output, errors = ended(tail)

    assert (code, output) == (1, "")
    assert "no session server" in errors
    assert errors.count("\n") == 1


def test_a_session_with_the_longest_id_is_followed(cosession: Cosession, server: Server):
    longest = "t" * 128
    assert ended(cosession("send", longest, "Hello", "--url", server.url))[0] == 0

    tail = cosession("tail", longest, "--url", server.url)
    read_until(tail, "Hello")
    tail.send_signal(signal.SIGINT)

    assert ended(tail)[0] == 0


def test_following_into_a_pipe_that_closes_ends_in_silence(cosession: Cosession, server: Server):
    ended(cosession("send", "trip", "one", "--url", server.url))
    tail = cosession("tail", "trip", "--url", server.url)
    read_until(tail, "one")
    assert tail.stdout is not None

    tail.stdout.close()
    ended(cosession("send", "trip", "two", "--url", server.url))
    assert tail.stderr is not None
    tail.wait(PATIENCE_SECONDS)

    assert (tail.returncode, tail.stderr.read()) == (0, "")
