"""Behind a company's walls: no PyPI and no GitHub, a certificate of the house, keys that are not stored.

Stand-ins: for a company's index a folder of wheels that Python's own server lists (PEP 503: no dates, no
hashes), with devpi before it; for its proxy one that lets nothing out; for AWS moto with a certificate of the
house; for GitHub's tokens an endpoint that knows its one caller.
"""

import base64
import gzip
import http.client
import json
import os
import re
import shutil
import ssl
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from urllib.request import Request, urlopen

import pytest
import yaml

from tests.conftest import ROOT, VENDORS, Quiet, Render
from tests.parsing import AnyTag
from tests.product.ci_site import BUILDS, github
from tests.product.conftest import Started, commit, environment, made_once, run, tool
from tests.product.processes import end_group, start_process
from tests.product.serving import eventually, free_port
from tests.product.test_image import daemon
from tests.product.test_in_ci import Runner, checkout

__all__ = ["daemon"]  # a fixture
UV = "uv==0.13.9"
USER, WORD = "robot", "of@the/house%41"
LEVEL = {"level": 1, "team_size": "team"}
ROLE = "arn:aws:iam::123456789012:role/ci"


def lines_of(lock: Path, *options: str) -> list[str]:
    """List what a lock pins; also for other systems, which a universal lock has to look at."""
    export = ("uv", "export", "--quiet", "--frozen", "--no-hashes", "--no-annotate", "--no-header")
    lines = run(*export, "--no-emit-project", *options, cwd=lock).stdout.splitlines()
    lines = [line for line in lines if not line.startswith(("./", "-e "))]
    names = [line.split("==")[0] for line in lines]
    return [
        line.split(" ; ")[0] if names.count(line.split("==")[0]) == 1 else line for line in lines
    ]


@pytest.fixture(scope="session")
def wheels(start: Started, venv: Path) -> Path:
    """Download once, with pip, what a project and Rung's action need."""
    project = start(**LEVEL, ci="github")
    image = lines_of(project, "--no-default-groups", "--group", "rung-1-predict")
    needed: tuple[tuple[list[str], tuple[str, ...]], ...] = (
        ([*lines_of(project, "--all-groups"), UV, *BUILDS], ()),
        (lines_of(ROOT, "--no-dev", "--no-emit-workspace"), ()),
        ([*image, UV], ("--python-version", "3.13")),
    )

    def make(folder: Path) -> None:
        download = (venv / "bin/pip", "download", "--quiet", "--no-deps", "--only-binary=:all:")
        for number, (lines, more) in enumerate(needed):
            file = folder / f"{number}.txt"
            file.write_text("\n".join(lines))
            run(*download, *more, "--dest", folder, "--requirement", file, cwd=folder)

    return made_once("wheels", make, ROOT / "uv.lock", Path(__file__))


@pytest.fixture
def simple(wheels: Path, tmp_path: Path) -> Path:
    """Arrange the wheels as an index."""
    for wheel in wheels.glob("*.whl"):
        folder = tmp_path / "index/simple" / re.sub("[-_.]+", "-", wheel.name.split("-")[0]).lower()
        folder.mkdir(parents=True, exist_ok=True)
        os.link(wheel, folder / wheel.name)
    return tmp_path / "index"


def serve(handler: Any, certificate: Path | None = None) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def answering(reply: Callable[[str, str, bytes], tuple[int, bytes]]) -> type:
    """Make a handler that answers what `reply` makes of an address, an authorization and a body."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"] or 0))
            status, text = reply(self.path, self.headers["authorization"] or "", body)
            self.send_response(status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def do_POST(self) -> None:
            self.do_GET()

        def do_CONNECT(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextmanager
def index(handler: type[Quiet], files: Path) -> Iterator[str]:
    """Serve files as a plain index; yield its address."""
    server = serve(partial(handler, directory=str(files)))
    yield f"http://127.0.0.1:{server.server_port}/simple"
    server.shutdown()


@pytest.fixture
def plain(simple: Path) -> Iterator[str]:
    with index(Quiet, simple) as address:
        yield address


class Guarded(Quiet):
    """An index that asks for a login."""

    def send_head(self) -> Any:
        login = base64.b64encode(f"{USER}:{WORD}".encode()).decode()
        if self.headers["authorization"] == f"Basic {login}":
            return super().send_head()
        self.send_response(401)
        self.send_header("www-authenticate", 'Basic realm="house"')
        self.send_header("content-length", "0")
        self.end_headers()
        return None


@pytest.fixture
def guarded(simple: Path) -> Iterator[str]:
    with index(Guarded, simple) as address:
        yield address


@pytest.fixture
def devpi(plain: str, tmp_path: Path) -> Iterator[str]:
    """Run devpi as a mirror of the plain index; without the mirror of PyPI that it comes with."""
    home = tmp_path / "devpi"
    run("uv", "venv", "--quiet", home, cwd=tmp_path)
    run("uv", "pip", "install", "--quiet", "--python", home, "devpi-server==6.20.3", cwd=tmp_path)
    data = ("--serverdir", str(home / "data"))
    start = ("--no-root-pypi", "--root-passwd", "secret")
    run(home / "bin/devpi-init", *data, *start, cwd=home)
    port = free_port()
    command = [str(home / "bin/devpi-server"), *data, "--port", str(port)]
    process = start_process(command, home, home / "log.txt", environment())

    def ask(path: str, method: str = "GET", **what: Any) -> Any:
        headers = {"accept": "application/json", "content-type": "application/json"}
        headers |= {"x-devpi-auth": what.pop("auth")} if "auth" in what else {}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request(method, path, json.dumps(what) if what else None, headers)
        return json.loads(connection.getresponse().read() or "{}")

    def answers() -> bool:
        try:
            return bool(ask("/+api"))
        except OSError:
            return False

    try:
        assert eventually(answers, seconds=120), (home / "log.txt").read_text()[-1000:]
        login = ask("/+login", "POST", user="root", password="secret")["result"]["password"]
        auth = base64.b64encode(f"root:{login}".encode()).decode()
        # The names on a page of folders end with a slash, as which devpi would take them.
        index = "root/house"  # of devpi's user root
        mirror = {"type": "mirror", "mirror_url": f"{plain}/", "mirror_no_project_list": True}
        made = ask(f"/{index}", "PUT", auth=auth, **mirror)
        assert made["type"] == "indexconfig", made
        yield f"http://127.0.0.1:{port}/{index}/+simple"
    finally:
        end_group(process)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """Stand behind walls, with empty caches; give what was asked for beyond them."""
    result: list[str] = []

    def refuse(path: str, _authorization: str, _body: bytes) -> tuple[int, bytes]:
        result.append(path)
        return 403, b""

    server = serve(answering(refuse))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        for spelling in (name, name.upper()):
            monkeypatch.setenv(spelling, f"http://127.0.0.1:{server.server_port}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1,localhost")
    monkeypatch.setenv("ACT_DISABLE_VERSION_CHECK", "1")  # of act itself
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    yield result
    server.shutdown()


def text_of(project: Path, path: str) -> Any:
    return yaml.load((project / path).read_text(), AnyTag)


def install_lines(project: Path, ci: str) -> tuple[str, dict[str, str]]:
    """Give what a job types to install, and the variables by which it reaches the index."""
    if ci == "gitlab":
        content = text_of(project, ".gitlab-ci.yml")
        lines, variables = "\n".join(content["default"]["before_script"]), content["variables"]
    elif ci == "azure":
        steps = text_of(project, ".pipelines/check.yml")["jobs"][0]["steps"]
        (lines,) = (step["bash"] for step in steps if step.get("displayName") == "Install")
        variables = text_of(project, ".pipelines/templates/variables.yml")["variables"]
    else:
        docker = (project / "Dockerfile").read_text().partition("AS packages")[2]
        found = re.findall(r"^RUN (?:--mount=\S+ )?(.*(?:pip|uv).*)$", docker, re.MULTILINE)
        lines = "\n".join(found)
        said = re.findall("^ENV (.*)$", docker.partition("FROM base")[0], re.MULTILINE)
        variables = dict(re.findall(r"(\w+)=(\S+)", " ".join(said)))
    kept = ("PIP_INDEX_URL", "PIP_NO_INPUT", "UV_PYTHON_DOWNLOADS", "UV_LOCKED")
    return lines, {name: variables[name] for name in kept if name in variables}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "devpi"])
def test_a_project_and_the_jobs_of_its_ci_reach_the_index_alone(
    request: pytest.FixtureRequest,
    render: Render,
    tmp_path: Path,
    venv: Path,
    kind: str,
) -> None:
    house = {"index_url": request.getfixturevalue(kind), "index_has_dates": False}
    asked = request.getfixturevalue("asked")
    projects = {}
    for ci in VENDORS:
        projects[ci] = tmp_path / ci
        shutil.copytree(render(**LEVEL, **house, ci=ci), projects[ci])
        run("git", "init", "--quiet", "--initial-branch=main", cwd=projects[ci])
    run("uv", "lock", "--quiet", cwd=projects["github"])
    for project in projects.values():
        if project != projects["github"]:
            shutil.copy(projects["github"] / "uv.lock", project)
        commit(project, "Start")

    done = github(projects["github"], "check", "pull_request", tmp_path)
    assert done.returncode == 0, done.stdout
    path = f"{venv / 'bin'}:{environment()['PATH']}"
    for name, folder in (("image", "github"), ("azure", "azure"), ("gitlab", "gitlab")):
        lines, variables = install_lines(projects[folder], name)
        assert variables["PIP_INDEX_URL"] == house["index_url"]
        assert variables["UV_PYTHON_DOWNLOADS"] == "never"
        run("bash", "-ec", lines, cwd=projects[folder], expect=0, PATH=path, **variables)

    assert asked == []


def inside(image: str, daemon: str, folder: Path) -> bytes:
    """Give all that an image is made of: its layers, its configuration, and the history in it."""
    run("docker", "--host", daemon, "save", "--output", folder / "image.tar", image, cwd=folder)
    content = b""
    with tarfile.open(folder / "image.tar") as archive:
        for member in archive:
            part = file.read() if (file := archive.extractfile(member)) else b""
            content += gzip.decompress(part) if part.startswith(b"\x1f\x8b") else part
    return content


@pytest.mark.slow
def test_the_login_of_an_index_reaches_jobs_and_images_and_stays_in_no_layer(
    daemon: str,
    render: Render,
    plain: str,
    guarded: str,
    asked: list[str],
    venv: Path,
    tmp_path: Path,
) -> None:
    projects = {}
    for ci in ("github", "gitlab"):
        projects[ci] = tmp_path / ci
        answers = {"index_url": guarded, "index_has_dates": False}
        shutil.copytree(render(**LEVEL, **answers, ci=ci), projects[ci])
        run("git", "init", "--quiet", "--initial-branch=main", cwd=projects[ci])
    project = projects["github"]
    login = tmp_path / "netrc"
    login.write_text(f"machine 127.0.0.1 login {USER} password {WORD}\n")
    run("uv", "lock", "--quiet", cwd=project, NETRC=str(login))
    (project / "model").mkdir()
    (project / "model/README").touch()
    shutil.copy(project / "uv.lock", projects["gitlab"])
    for each in projects.values():
        commit(each, "Start")

    user = ("--var", f"UV_INDEX_COMPANY_USERNAME={USER}")
    job = partial(github, project, "check", "pull_request", tmp_path, *user)
    assert job().returncode != 0
    done = job(UV_INDEX_COMPANY_PASSWORD=WORD)
    assert done.returncode == 0, done.stdout
    assert WORD not in done.stdout
    lines, variables = install_lines(projects["gitlab"], "gitlab")
    variables |= {"UV_INDEX_COMPANY_USERNAME": USER, "TMPDIR": str(tmp_path / "runner")}
    variables["PATH"] = f"{venv / 'bin'}:{environment()['PATH']}"
    (tmp_path / "runner").mkdir()
    script: Callable[..., Any] = partial(run, "bash", "-ec", lines, cwd=projects["gitlab"])
    refused = script(expect=1, **variables).stdout
    assert "No matching distribution" in refused or "401 Unauthorized" in refused  # pip's, uv's
    script(expect=0, **variables, UV_INDEX_COMPANY_PASSWORD=WORD)
    left = [
        path.read_text(errors="replace")
        for path in (tmp_path / "runner").rglob("*")
        if path.is_file()
    ]
    assert not any(WORD in text for text in left)

    build = partial(run, *("docker", "--host", daemon, "build", "--network=host"), cwd=project)
    build(".", expect=1)
    secret = ("--secret", f"id=netrc,src={login}")
    for image, more in (("packages", ("--target", "packages")), ("scoring", ())):
        build(*secret, *more, "--tag", image, ".", expect=0)
        content = inside(image, daemon, tmp_path)
        assert b"polars-" in content
        assert WORD.encode() not in content
    polars = ("--entrypoint", "python", "scoring", "-c", "import polars")
    run("docker", "--host", daemon, "run", "--rm", "--network=none", *polars, cwd=project)

    for name in ("Dockerfile", "pyproject.toml", "uv.lock"):
        text = (project / name).read_text()
        (project / name).write_text(text.replace(guarded, plain))
    build(".", expect=0)
    assert asked == []


def test_azure_writes_the_login_of_an_index_where_there_is_one(
    render: Render, tmp_path: Path
) -> None:
    project = render(**LEVEL, ci="azure", index_url="https://pypi.acme.example:8443/simple")
    steps = text_of(project, ".pipelines/check.yml")["jobs"][0]["steps"]
    (step,) = (step for step in steps if "Log in" in step.get("displayName", ""))
    script = step["bash"].replace("$(Agent.TempDirectory)", str(tmp_path))
    env = step["env"]
    assert "vso" not in run("bash", "-ec", script, cwd=tmp_path, **env).stdout

    printed = run("bash", "-ec", script, cwd=tmp_path, USERNAME=USER, PASSWORD=WORD).stdout
    assert printed == f"##vso[task.setvariable variable=NETRC]{tmp_path}/netrc\n"
    expected = f"machine pypi.acme.example login {USER} password {WORD}\n"
    assert (tmp_path / "netrc").read_text() == expected


@pytest.mark.slow
def test_the_action_takes_what_its_lock_says_from_the_runners_index_or_nothing(
    plain: str, simple: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    checkout(tmp_path / "runner/action")
    (tmp_path / "runner/temp").mkdir()
    runner = Runner(tmp_path / "runner", tmp_path)
    monkeypatch.setenv("PIP_INDEX_URL", plain)

    done = runner.step(0)
    assert done.returncode == 0, done.stdout
    assert run(tmp_path / "runner/temp/rung/bin/rung", "--help", cwd=tmp_path).stdout
    assert asked == []

    (wheel,) = (simple / "simple/copier").glob("*.whl")
    changed = wheel.read_bytes()
    wheel.unlink()  # it is a link
    wheel.write_bytes(changed)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("copier/more.py", "")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "another-cache"))
    done = runner.step(0)
    assert done.returncode == 1
    assert "Hash mismatch for `copier==" in done.stdout


@dataclass
class House:
    """The certificate of a house, and moto's server, which has it."""

    folder: Path
    port: int

    @property
    def authority(self) -> Path:
        return self.folder / "certificates/ca.pem"

    @property
    def endpoint(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def python(self, code: str, expect: int, **variables: str) -> str:
        python = self.folder / "venv/bin/python"
        return run(python, "-c", code, cwd=self.folder, expect=expect, **variables).stdout

    def ask_moto(self, path: str, body: bytes = b"") -> None:
        context = ssl.create_default_context(cafile=self.authority)
        sent = Request(self.endpoint + path, body, {"content-type": "text/plain"}, method="POST")
        urlopen(sent, context=context).close()

    def let_in(self, count: int) -> None:
        """Look at no keys for so many requests, as at those for keys: moto would also refuse them."""
        self.ask_moto("/moto-api/reset-auth", str(count).encode())


SETUP = """
import boto3, json
keys = {"aws_access_key_id": "root", "aws_secret_access_key": "secret"}
s3, iam = (boto3.client(name, **keys) for name in ("s3", "iam"))
s3.create_bucket(Bucket="flights")
s3.put_object(Bucket="flights", Key="rows.csv", Body=b"rows")
iam.create_role(RoleName="ci", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17"}))
allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
iam.put_role_policy(RoleName="ci", PolicyName="data", PolicyDocument=policy)
"""
# What DVC, MLflow and the service take data and releases with.
BOTO = "import boto3\nboto3.client('s3').head_object(Bucket='flights', Key='rows.csv')"
OBSTORE = """
import obstore
store = obstore.store.from_url("s3://flights/", retry_config={"max_retries": 0})
assert obstore.get(store, "rows.csv").bytes() == b"rows"
"""
DVC = """
import subprocess
for command in ("init --no-scm", "remote add -d store s3://flights/dvc", "add rows.csv", "push"):
    subprocess.run(["venv/bin/dvc", *command.split()], check=True)
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    made = House(folder, free_port())
    made.authority.parent.mkdir()
    new = (tool("openssl"), "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "2")
    authority = (*new, "-keyout", "ca.key", "-out", made.authority, "-subj", "/CN=Acme")
    run(*authority, cwd=folder)
    names = ("-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE")
    signed = ("-CA", made.authority, "-CAkey", "ca.key", "-subj", "/CN=127.0.0.1", *names)
    run(*new, *signed, "-keyout", "key.pem", "-out", "server.pem", cwd=folder)
    with (folder / "server.pem").open("a") as file:
        file.write((folder / "key.pem").read_text())
    run("uv", "venv", "--quiet", "venv", cwd=folder)
    packages = ("moto[s3,server]==5.2.5", "boto3", "dvc-s3>=3.2", "obstore>=0.12,<0.13", "requests")
    run("uv", "pip", "install", "--quiet", "--python", "venv", *packages, cwd=folder)
    command = [str(folder / "venv/bin/moto_server"), "--host=127.0.0.1", f"--port={made.port}"]
    command += ["--ssl-cert=server.pem", "--ssl-key=key.pem"]
    log = folder / "log.txt"
    variables = environment(INITIAL_NO_AUTH_ACTION_COUNT="100")
    process = start_process(command, folder, log, variables)

    def answers() -> bool:
        try:
            made.let_in(100)
        except OSError:
            return False
        return True

    try:
        assert eventually(answers, seconds=60), log.read_text()[-1000:]
        (folder / "rows.csv").write_text("rows")
        made.python(SETUP, expect=0, AWS_CA_BUNDLE=str(made.authority), **region(made))
        yield made
    finally:
        end_group(process)


def region(house: House) -> dict[str, str]:
    return {"AWS_ENDPOINT_URL": house.endpoint, "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the certificates that this machine names."""
    for name in [name for name in os.environ if re.search("SSL|_CERT|CA_BUNDLE|CA_CERTS", name)]:
        monkeypatch.delenv(name)


def certificates(render: Render, source: str, house: House) -> dict[str, str]:
    """Give what a job or an image says of certificates, with the file where it is here."""
    answers = {"ca_bundle": "certificates/ca.pem", "level": 4, "compute": "kubernetes"}
    project = render(**answers, ci="gitlab" if source == "gitlab" else "github")
    if source == "image":
        images = {
            path.name: frozenset(re.findall(r"(\w+)=/etc/ssl/house.pem", path.read_text()))
            for path in project.rglob("*Dockerfile")
        }
        assert images.keys() == {"Dockerfile", "service.Dockerfile", "ops.Dockerfile"}
        (names,) = set(images.values())
        return dict.fromkeys(names, str(house.authority))
    if source == "gitlab":
        content = text_of(project, ".gitlab-ci.yml")
        result = content["variables"]
        (line,) = (line for line in content["default"]["before_script"] if "GIT_SSL" in line)
        assert line == 'export GIT_SSL_CAINFO="$SSL_CERT_FILE"'
    else:
        content = text_of(project, ".github/workflows/autopilot.yml")
        result = content["env"]
        (line,) = (
            step["env"]["GIT_SSL_CAINFO"]
            for step in content["jobs"]["autopilot"]["steps"]
            if "GIT_SSL_CAINFO" in step.get("env", {})
        )
        assert line == "${{ env.SSL_CERT_FILE }}"
    named = {name: path for name, path in result.items() if path.endswith("certificates/ca.pem")}
    return dict.fromkeys([*named, "GIT_SSL_CAINFO"], str(house.authority))


@pytest.mark.slow
@pytest.mark.parametrize("source", ["github", "gitlab", "image"])
def test_the_certificate_of_the_house_is_trusted_by_what_jobs_and_images_call(
    render: Render, house: House, index_folder: Path, venv: Path, trusting: None, source: str
) -> None:
    named = certificates(render, source, house)
    repository = index_folder / "repository.git"
    run("git", "init", "--quiet", "--bare", repository, cwd=index_folder)
    run("git", "update-server-info", cwd=repository)
    server = serve(partial(Quiet, directory=str(index_folder)), house.folder / "server.pem")
    site = f"https://127.0.0.1:{server.server_port}"
    index = f"{site}/simple"
    python = house.folder / "venv/bin/python"
    keys = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "secret"} | region(house)
    house.let_in(100)
    clients: dict[str, tuple[str | Path, ...]] = {
        "uv": (
            *("uv", "pip", "install", "--no-cache", "--dry-run", "--python", python),
            *("--default-index", index, "tiny"),
        ),
        "pip": (venv / "bin/pip", "download", "--no-cache-dir", "--isolated", "-i", index, "tiny"),
        "git": ("git", "ls-remote", f"{site}/repository.git"),
        "curl": ("curl", "--fail", "--silent", "--show-error", index + "/"),
        "requests": (python, "-c", f"import requests; requests.get('{index}/').raise_for_status()"),
        "boto": (python, "-c", BOTO),
        "obstore": (python, "-c", OBSTORE),
    }
    for client, command in clients.items():
        refused = run(*command, cwd=index_folder, expect=None, **keys)
        assert refused.returncode != 0, client
        run(*command, cwd=index_folder, expect=0, **keys, **named)
    server.shutdown()


@pytest.mark.slow
def test_a_job_of_github_gets_keys_of_a_role_by_its_identity(
    render: Render, house: House, tmp_path: Path, trusting: None
) -> None:
    action = text_of(render(level=2, ci="github"), ".github/actions/aws/action.yml")
    (step,) = action["runs"]["steps"]

    def token(path: str, authorization: str, _body: bytes) -> tuple[int, bytes]:
        is_known = authorization == "bearer of-the-job" and "&audience=sts.amazonaws.com" in path
        return 200 if is_known else 401, b'{"count": 1, "value": "token-of-the-job"}'

    server = serve(answering(token), house.folder / "server.pem")
    trusted = {"SSL_CERT_FILE": str(house.authority), "AWS_CA_BUNDLE": str(house.authority)}

    def sign_in(own: str, **changed: str) -> Any:
        return run(
            *("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]),
            cwd=tmp_path,
            expect=None,
            ACTIONS_ID_TOKEN_REQUEST_URL=f"https://127.0.0.1:{server.server_port}/?v=1",
            ACTIONS_ID_TOKEN_REQUEST_TOKEN=own,
            GITHUB_ENV=str(tmp_path / "env"),
            GITHUB_RUN_ID="7",
            **({"ROLE": ROLE, "STS": house.endpoint} | changed),
            **trusted,
        )

    house.let_in(1)
    done = sign_in("of-the-job")
    assert done.returncode == 0, done.stdout
    keys = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert set(keys) == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
    assert done.stdout.splitlines() == [f"::add-mask::{value}" for value in keys.values()]
    for client in (BOTO, OBSTORE, DVC):
        house.python(client, expect=0, **trusted, **region(house), **keys)
    wrong = keys | {"AWS_SESSION_TOKEN": "of-nobody"}
    house.python(BOTO, expect=1, **trusted, **region(house), **wrong)

    (tmp_path / "env").unlink()
    house.let_in(1)
    assert sign_in("of-another").returncode != 0
    assert not (tmp_path / "env").exists()
    page = serve(answering(lambda *_: (200, b"<html>Sign in</html>")), house.folder / "server.pem")
    done = sign_in("of-the-job", STS=f"https://127.0.0.1:{page.server_port}")
    assert done.returncode == 1 and "STS answered without AccessKeyId" in done.stdout
    assert not (tmp_path / "env").exists()
    page.shutdown()
    server.shutdown()


@pytest.mark.slow
def test_a_job_of_gitlab_gets_keys_of_a_role_by_its_identity(
    render: Render, house: House, tmp_path: Path, trusting: None
) -> None:
    default = text_of(render(level=2, ci="gitlab"), ".gitlab-ci.yml")["default"]
    assert default["id_tokens"] == {
        "AWS_ID_TOKEN": {"aud": "sts.amazonaws.com"},
        "AZURE_ID_TOKEN": {"aud": "api://AzureADTokenExchange"},
    }
    (lines,) = (line for line in default["before_script"] if "AWS_" in line)

    # obstore sends its question in the address, where moto does not look.
    def ask_sts(path: str, _authorization: str, body: bytes) -> tuple[int, bytes]:
        context = ssl.create_default_context(cafile=house.authority)
        question = body or urlsplit(path).query.encode()
        with urlopen(house.endpoint, question, context=context) as answer:
            return 200, answer.read()

    server = serve(answering(ask_sts), house.folder / "server.pem")
    job = region(house) | {
        "AWS_ENDPOINT_URL_STS": f"https://127.0.0.1:{server.server_port}",
        "AWS_ROLE_ARN": ROLE,
        "AWS_ID_TOKEN": "token-of-the-job",
        "SSL_CERT_FILE": str(house.authority),
        "AWS_CA_BUNDLE": str(house.authority),
        "TMPDIR": str(tmp_path),
    }
    for client in (BOTO, OBSTORE, DVC):
        house.let_in(1)
        script = f'{lines}\n"$PYTHON" -c "$CLIENT"'
        python = str(house.folder / "venv/bin/python")
        shutil.rmtree(house.folder / ".dvc", ignore_errors=True)
        run("bash", "-ec", script, cwd=house.folder, expect=0, PYTHON=python, CLIENT=client, **job)
    without = {name: value for name, value in job.items() if name != "AWS_ROLE_ARN"}
    script = f'{lines}\n[ "${{AWS_WEB_IDENTITY_TOKEN_FILE:-none}}" = "$EXPECTED" ]'
    run("bash", "-ec", script, cwd=tmp_path, expect=0, EXPECTED="none", **without)
    own = job | {"AWS_WEB_IDENTITY_TOKEN_FILE": "of-the-machine"}
    run("bash", "-ec", script, cwd=tmp_path, expect=0, EXPECTED="of-the-machine", **own)
    server.shutdown()


AZURE = """
from rung_ops.system import buckets
assert [stored["path"] for stored in buckets.listed(buckets.client("az://flights"))] == ["state.json"]
"""
LISTED = b"""<EnumerationResults><Blobs><Blob><Name>state.json</Name><Properties>
<Last-Modified>Fri, 02 Jan 2026 03:04:05 GMT</Last-Modified><Content-Length>2</Content-Length>
<Content-Type>text/plain</Content-Type><Etag>1</Etag></Properties></Blob></Blobs></EnumerationResults>"""


@pytest.mark.parametrize("changed", [{}, {"AZURE_ID_TOKEN": "of-another"}])
def test_a_job_of_gitlab_reads_a_bucket_of_azure_by_its_identity(
    render: Render, tmp_path: Path, changed: dict[str, str]
) -> None:
    default = text_of(render(level=3, ci="gitlab"), ".gitlab-ci.yml")["default"]
    (lines,) = (line for line in default["before_script"] if "AZURE_" in line)

    # A stand-in for Entra and for the store of an account.
    def reply(path: str, authorization: str, body: bytes) -> tuple[int, bytes]:
        if path == "/acme/oauth2/v2.0/token":
            asked = dict(parse_qsl(body.decode()))
            is_known = (asked["client_assertion"], asked["client_id"]) == ("of-the-job", "deployer")
            return (
                200 if is_known else 401,
                b'{"access_token": "of-the-application", "expires_in": 3599}',
            )
        return 200 if authorization == "Bearer of-the-application" else 403, LISTED

    server = serve(answering(reply))
    address = f"http://127.0.0.1:{server.server_port}"
    job = {
        "AZURE_CLIENT_ID": "deployer",
        "AZURE_TENANT_ID": "acme",
        "AZURE_ID_TOKEN": "of-the-job",
        "AZURE_STORAGE_ACCOUNT_NAME": "account",
        "AZURE_STORAGE_ACCOUNT_KEY": "",
        "AZURE_AUTHORITY_HOST": address,
        "AZURE_STORAGE_ENDPOINT": f"{address}/account",
        "TMPDIR": str(tmp_path),
    }
    script = f'{lines}\n"$PYTHON" -c "$CLIENT"'
    variables = job | changed | {"PYTHON": sys.executable, "CLIENT": AZURE}
    done = run("bash", "-ec", script, cwd=tmp_path, expect=None, **variables)
    assert (done.returncode == 0) == (not changed), done.stdout
    server.shutdown()

    own = f'{lines}\necho "${{AZURE_FEDERATED_TOKEN_FILE:-none}}"'
    for name, value, expected in (
        ("AZURE_FEDERATED_TOKEN_FILE", "of-the-machine", "of-the-machine"),
        ("AZURE_CLIENT_SECRET", "secret", "none"),
        ("AZURE_TENANT_ID", "", "none"),  # a client alone names an identity of the machine
    ):
        done = run("bash", "-ec", own, cwd=tmp_path, expect=0, **(job | {name: value}))
        assert done.stdout.strip() == expected
