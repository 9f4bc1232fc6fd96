"""What this machine lacks of what a project needs is named, with what to do about it."""

import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from rung.__main__ import main
from rung.core.needs import load_needs
from rung.errors import NotDoneError
from rung.system import process, shortage
from tests.conftest import CI, ROOT, VENDORS, Quiet

REAL_UV, OPENSSL = process.uv(), shutil.which("openssl")  # before a test changes PATH
# As `uv --version`, `uv python find` and `uv pip compile` answer on a machine where all is well.
UV = """
case "$1" in
  --version) echo "uv 0.13.9" ;;
  python) echo 3.12.4 ;;
  pip) cat >/dev/null; {registry} ;;
esac
"""
DISTRUST = "echo 'cause: invalid peer certificate: UnknownIssuer'; echo 'hint: see'; exit 2"
ANSWERS = {"_src_path": "x", "_commit": "v0.2.0", "package": "ours", "use_case": "velocity"}

Doctor = Callable[..., tuple[int, str]]


class Machine:
    """A machine with the programs that a test puts on it, and no others."""

    def __init__(self, folder: Path) -> None:
        self.programs = folder / "bin"
        self.programs.mkdir()
        self.here = folder / "here"
        self.here.mkdir()
        self.has("git", "echo git version 2.47.3")
        self.uv_that("true")

    def has(self, name: str, script: str) -> None:
        """Put a program on PATH."""
        (self.programs / name).write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
        (self.programs / name).chmod(0o755)

    def lacks(self, name: str) -> None:
        """Take one away."""
        (self.programs / name).unlink()

    def uv_that(self, registry: str) -> None:
        """Put a uv on PATH that does this when it is asked for a package."""
        self.has("uv", UV.format(registry=registry))

    def project(self, level: int, **answers: str) -> None:
        """Make the folder a project."""
        reported = ANSWERS | {"level": level} | answers
        (self.here / ".copier-answers.yml").write_text(yaml.safe_dump(reported))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    monkeypatch.setenv("PATH", str(machine.programs))
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.chdir(machine.here)
    return machine


@pytest.fixture
def doctor(machine: Machine, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Run the command there; return its exit code and what it printed."""

    def run(*arguments: str) -> tuple[int, str]:
        code = main(["doctor", *arguments])
        return code, "".join(capsys.readouterr())

    return run


def of(output: str, name: str) -> str:
    """Return what is said of one need: its line, and those below it that belong to it."""
    lines = output.splitlines()
    (start,) = (at for at, line in enumerate(lines) if f"  {name} " in line[:30])
    end = next(at for at in range(start + 1, len(lines)) if not lines[at].startswith(" " * 15))
    return "\n".join(lines[start:end])


def test_where_all_is_there_the_answer_is_yes(doctor: Doctor) -> None:
    code, output = doctor()

    assert 0 == code
    assert "found" in of(output, "git 2.47.3")
    assert "found" in of(output, "uv 0.13.9")
    assert "found" in of(output, "python 3.12.4")
    assert "Everything needed was found." in output


def test_a_program_that_is_missing_is_named_with_its_fix(machine: Machine, doctor: Doctor) -> None:
    machine.lacks("git")

    code, output = doctor()

    assert 1 == code
    assert of(output, "git").lstrip().startswith("missing")
    assert "since rung 0" in of(output, "git")
    assert "Fix: Install git" in of(output, "git")
    assert output.endswith("To fix: git.\n")


def test_without_uv_the_registry_is_not_asked(machine: Machine, doctor: Doctor) -> None:
    machine.lacks("uv")
    machine.has("python3", "echo Python 3.13.1")

    code, output = doctor()

    assert 1 == code
    assert "missing" in of(output, "uv")
    assert "not checked" in of(output, "registry")
    assert "found" in of(output, "python 3.13.1")


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        ("git", "2.29.9", "too old"),
        ("git", "2.30.0", "found"),
        ("uv", "0.6.4", "too old"),
        ("python", "3.10.9", "too old"),
        ("python", "3.14.0", "too new"),
    ],
)
def test_a_version_that_will_not_do_is_named(
    machine: Machine, doctor: Doctor, name: str, version: str, message: str
) -> None:
    if name == "git":
        machine.has("git", f"echo git version {version}")
    else:
        now = "0.13.9" if name == "uv" else "3.12.4"
        machine.has("uv", UV.format(registry="true").replace(now, version))

    code, output = doctor()

    assert message in of(output, f"{name} {version}")
    assert (message != "found") == code


def test_a_python_that_uv_does_not_find_is_looked_for_on_path(
    machine: Machine, doctor: Doctor
) -> None:
    machine.has("uv", UV.format(registry="true").replace("echo 3.12.4", "exit 2"))

    assert "fails" in of(doctor()[1], "python")

    machine.has("python3", "echo Python 3.11.7")

    assert "found" in of(doctor()[1], "python 3.11.7")


def test_a_rung_and_answers_decide_what_is_needed(machine: Machine, doctor: Doctor) -> None:
    kubernetes = ("-d", "compute=kubernetes")

    assert 0 == doctor("--to", "2", *kubernetes)[0]
    assert 0 == doctor("--to", "3")[0]
    code, output = doctor("--to", "3", *kubernetes)
    assert 1 == code
    assert "To fix: kubectl." in output

    machine.has("kubectl", "echo Client Version: v1.33.1")

    assert 0 == doctor("--to", "3", *kubernetes)[0]


def test_a_project_decides_what_is_needed(machine: Machine, doctor: Doctor) -> None:
    machine.has("ssh", "echo 'OpenSSH_8.2p1 Ubuntu, OpenSSL 1.1.1f' >&2")
    machine.project(2)
    assert 0 == doctor()[0]
    machine.project(1, use_case="governance")
    assert 0 == doctor()[0]

    machine.project(2, use_case="governance")
    code, output = doctor()

    assert 1 == code
    assert "too old" in of(output, "ssh-keygen 8.2")
    assert "8.9 or newer is needed" in of(output, "ssh-keygen 8.2")
    assert 0 == doctor("--to", "1")[0]


def test_certificates_that_a_project_names_are_missing_until_they_are_there(
    machine: Machine, doctor: Doctor
) -> None:
    machine.project(0, ca_bundle="ca.pem")

    assert "ca.pem" not in doctor()[1], "rung 0 has neither images nor CI"
    code, output = doctor("--to", "1")
    assert code == 1
    assert "ca.pem, which `ca_bundle` names" in output
    assert "To fix: ca_bundle" in output
    (machine.here / "ca.pem").write_text("PEM")
    assert doctor("--to", "1")[0] == 0


def test_what_only_single_tasks_need_is_not_a_reason_to_fail(
    machine: Machine, doctor: Doctor
) -> None:
    machine.has("docker", "echo Cannot connect to the Docker daemon >&2; exit 1")

    code, output = doctor("--to", "1")

    assert 0 == code
    assert "Cannot connect to the Docker daemon" in of(output, "docker")
    assert output.index("Needed by single tasks") < output.index("  docker ")


def test_a_certificate_that_the_system_has_is_used_by_a_setting_of_uv(
    machine: Machine, doctor: Doctor
) -> None:
    machine.uv_that(f'[ "$UV_SYSTEM_CERTS" = 1 ] || {{ {DISTRUST}; }}')

    code, output = doctor()

    assert 1 == code
    assert "UnknownIssuer" in of(output, "certificates")
    assert "set UV_SYSTEM_CERTS=1" in of(output, "certificates")
    assert "--system-certs" in of(output, "certificates")
    assert "SSL_CERT_FILE" not in output


def test_the_settings_in_force_are_named_and_where_a_project_differs(
    machine: Machine, doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "house.yml"
    file.write_text("defaults: {ci: gitlab, base_image: acme/python:1, of_another_template: 1}\n")
    monkeypatch.setenv("COPIER_SETTINGS_PATH", str(file))
    (machine.here / ".copier-answers.yml").write_text(
        yaml.safe_dump(ANSWERS | {"level": 1, "ci": "gitlab"})
    )

    _, output = doctor()

    named = f"{file}\n  ci: gitlab\n  base_image: acme/python:1 (this project: unset)\n\n"
    assert f"Defaults of new projects, from {named}" in output
    assert "gitlab" == json.loads(doctor("--format", "json")[1])["settings"]["ci"]


def test_json_says_the_same(machine: Machine, doctor: Doctor) -> None:
    machine.lacks("git")

    code, output = doctor("--format", "json")
    data = json.loads(output)

    assert 1 == code
    assert not data["complete"]
    (git,) = (each for each in data["needed"] if each["name"] == "git")
    assert ("missing", None, 0) == (git["status"], git["version"], git["since"])
    assert "Install git" in git["fix"]
    assert {"kubectl", "docker"} <= {each["name"] for each in data["later"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--format", "xml"), "There is no format `xml`"),
        (("-d", "colour=red"), "There is no question `colour`"),
        (("nowhere",), "nowhere is not a folder"),
        (("--to", "7"), "less than or equal to 4"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    doctor: Doctor, arguments: tuple[str, ...], message: str
) -> None:
    code, output = doctor(*arguments)

    assert 2 == code
    assert message in output


def test_what_machines_need_is_reported_of_questions_and_choices_that_exist() -> None:
    questions = yaml.safe_load((ROOT / "levels/questions.yml").read_text("utf-8"))
    wanted = load_needs(ROOT / "levels")
    by_vendor = {program for vendor in CI.values() for program in vendor.programs}

    assert by_vendor == {need.name for need in wanted.programs if "ci" in need.when}
    for need in (*wanted.programs, wanted.registry, wanted.certificates):
        assert need.fix.endswith((".", "`"))
        titles = (CI[name].title for name in need.when.get("ci", ()))
        assert all(title in need.purpose for title in titles), need.name
        assert need.since in range(5)
        for question, answers in need.when.items():
            choices = VENDORS if question == "ci" else questions[question]["choices"].values()
            assert set([answers] if isinstance(answers, str) else answers) <= set(choices)


# The registry, asked by the real uv.


@pytest.fixture
def real_uv(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the real uv on PATH, which knows no certificates but its own."""
    machine.has("uv", f'exec {REAL_UV} "$@"')
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "UV_SYSTEM_CERTS", "UV_NATIVE_TLS"):
        monkeypatch.delenv(name, raising=False)


def test_a_registry_that_answers_is_found(
    real_uv: None, doctor: Doctor, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index}/simple")

    code, output = doctor()

    assert 0 == code, output
    assert "found" in of(output, "registry")


def test_a_registry_that_does_not_answer_is_named(
    real_uv: None, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")

    code, output = doctor()

    assert 1 == code
    assert "Connection refused" in of(output, "registry")
    assert "UV_DEFAULT_INDEX" in of(output, "registry")


def test_the_index_is_the_projects_and_one_without_days_is_reported(
    real_uv: None, machine: Machine, doctor: Doctor, index: str
) -> None:
    (machine.here / "pyproject.toml").write_text(
        '[project]\nname = "ours"\nversion = "0"\n'
        '[tool.uv]\nexclude-newer = "2026-11-20T00:00:00Z"\n'
        f'[[tool.uv.index]]\nurl = "{index}/simple"\ndefault = true\n'
    )

    code, output = doctor()

    assert 1 == code
    assert process.NO_DAYS in of(output, "registry")


@pytest.fixture
def private_index(
    index_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Serve the index with a self-signed certificate, as a proxy would; return its file."""
    file = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    handler = partial(Quiet, directory=str(index_folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"https://127.0.0.1:{server.server_port}/simple")
        yield file
        server.shutdown()


def certificate(folder: Path) -> Path:
    """Write a self-signed certificate for 127.0.0.1 and its key into one file."""
    if OPENSSL is None:
        pytest.skip("openssl is not on this machine")
    made = folder / "company.pem"
    (folder / "settings").write_text(
        "[req]\nprompt = no\ndistinguished_name = name\nx509_extensions = more\n"
        "[name]\nCN = The company\n[more]\nsubjectAltName = IP:127.0.0.1\n"
    )
    options = ("-x509", "-nodes", "-newkey", "rsa:2048", "-config", "settings", "-keyout", "key")
    command = [OPENSSL, "req", *options, "-out", str(made)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    made.write_text(made.read_text() + (folder / "key").read_text())
    return made


def test_a_certificate_of_a_company_is_refused_by_uv_until_its_file_is_named(
    real_uv: None, doctor: Doctor, private_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, output = doctor()

    assert 1 == code
    assert "invalid peer certificate" in of(output, "certificates")
    assert "SSL_CERT_FILE" in of(output, "certificates")

    monkeypatch.setenv("SSL_CERT_FILE", str(private_index))

    assert 0 == doctor()[0]


# Errors of other commands lead here.


def test_a_command_that_lacks_git_points_to_the_doctor(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.lacks("git")

    assert 2 == main(["new", "made", "--defaults"])
    assert shortage.DOCTOR in capsys.readouterr().err


def test_a_task_that_meets_an_unknown_certificate_points_to_the_doctor(machine: Machine) -> None:
    machine.uv_that(DISTRUST)

    with pytest.raises(NotDoneError, match="`rung doctor`"):
        process.run("install", [str(machine.programs / "uv"), "pip"], machine.here)

    machine.uv_that("echo No solution found; exit 1")

    with pytest.raises(NotDoneError) as raised:
        process.run("install", [str(machine.programs / "uv"), "pip"], machine.here)
    assert "doctor" not in str(raised.value)


def test_if_git_refuses_a_certificate_the_setting_is_named() -> None:
    text = "fatal: unable to access 'https://x/': SSL certificate problem: unable to get issuer"

    assert "http.sslCAInfo" in shortage.remedy_in(text)
    assert shortage.DOCTOR in shortage.remedy_in(text)
    assert "" == shortage.remedy_in("fatal: not a git repository")
