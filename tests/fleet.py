"""A fleet of six repositories on two servers that are folders, and stand-ins for `gh` and `glab`.

Git is real: bare repositories, a protected main branch, commits signed with a key. `gh` and `glab` are
not: the stand-ins know the options of both, keep requests in files, and reach no server's API.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.climbing import tiny
from tests.climbing.tiny import commit, git, write
from tests.command import rung

GITHUB, GITLAB = "github.acme.example", "gitlab.acme.example"
HOSTS = dict.fromkeys(("churn", "flights", "fraud", "pricing"), GITHUB) | {"returns": GITLAB}
BROKEN = f"https://{GITHUB}/ml/routes.git"  # no such repository
NEW = {
    "files/ops/zero.py.jinja": tiny.FILES["files/ops/zero.py.jinja"].replace("1\n", "100\n", 1),
    "CHANGELOG.md": "# Changelog\n\n## 0.2.0\n\n- The first function returns 100.\n",
}
# Stands for uv, as the projects are of a few files and need no environment.
UV = """\
#!/bin/sh
echo "locked for $(git rev-parse HEAD^{tree}) without ${GH_TOKEN:-${CI_REGISTRY_PASSWORD:-a token}}" > uv.lock
test -e fails && echo "FAILED tests/test_model.py" && exit 1
exit 0
"""
STAND_IN = """\
import argparse, json, pathlib, sys
program, words = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as calls:
    calls.write(json.dumps([program, *words]) + "\\n")
host, url, flags = {
    "gh": ("github.acme.example", "url", {
        "create": "head= base= title= body= draft", "ready": "undo", "list": "head= state= json="}),
    "glab": ("gitlab.acme.example", "web_url", {
        "create": "source-branch= target-branch= title= description= draft yes",
        "update": "title= description= draft ready", "list": "source-branch= all output="}),
}[program]
if words[0] == "auth":
    sys.exit(words[3] != host)
if words[0] == "api":
    assert words[1:5] == ["--hostname", host, "--method", "PATCH"] and words[6::2] == ["-f", "-f"]
    _, owner, name, pulls, number = words[5].split("/")
    file = here / f"{name}-{number}.json"
    changed = dict(field.split("=", 1) for field in words[7::2])
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))
    sys.exit()
verb, parser = words[1], argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("--repo", required=True)
for flag in flags[verb].split():
    name, value, _ = flag.partition("=")
    parser.add_argument(f"--{name}", **({} if value else {"action": "store_true"}))
if verb not in ("create", "list"):
    parser.add_argument("number")
options = parser.parse_args(words[2:])
name = options.repo.rpartition("/")[2]
branch = getattr(options, "head", None) or getattr(options, "source_branch", None)
file = here / f"{name}-{(branch or options.number).replace('/', '-')}.json"
if verb == "list":
    kept = json.loads(file.read_text()) if file.exists() else {}
    names = options.json.split(",") if program == "gh" else kept
    print(json.dumps([{name: kept.get(name) for name in names}] if kept else []))
    sys.exit()
if verb == "create" and (here / "down").exists():
    sys.exit("HTTP 503")
kept = json.loads(file.read_text()) if verb != "create" else {
    "number": branch.replace("/", "-"), "iid": branch, url: f"{options.repo}/pull/1",
    "state": "OPEN" if program == "gh" else "opened"}
for name in ("title", "body", "description"):
    kept[name] = getattr(options, name, None) or kept.get(name)
if verb == "ready":
    kept["draft"] = options.undo
else:
    kept["draft"] = options.draft
file.write_text(json.dumps(kept))
print(kept[url])
"""
PROTECTED = (
    "#!/bin/sh\nwhile read old new ref; do\n  test $ref != refs/heads/main || exit 1\ndone\n"
)


@dataclass(frozen=True)
class Fleet:
    """The servers' folder, what the user has, and the environment of commands."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "GIT_CONFIG_GLOBAL": str(self.folder / "gitconfig"),
            "PATH": f"{self.folder / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "UV": str(self.folder / "bin/uv"),
            "GH_TOKEN": "secret",
            "CI_REGISTRY_PASSWORD": "secret",
        }

    @property
    def template(self) -> str:
        """Return where the projects have their template from: the first fleet's folder."""
        return (self.folder / "template.txt").read_text()

    def rung(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return rung("fleet", *arguments, cwd=self.folder, environment=self.environment)

    def bare(self, name: str) -> Path:
        return self.folder / f"{HOSTS[name]}/ml/{name}.git"

    def tip(self, name: str, branch: str = "rung/update") -> str:
        return git(
            self.bare(name), "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}"
        )

    def show(self, name: str, path: str, branch: str = "rung/update") -> str:
        return git(self.bare(name), "show", f"{branch}:{path}")

    def request(self, name: str, branch: str = "rung-update") -> dict[str, Any]:
        known: dict[str, Any] = json.loads((self.folder / f"bin/{name}-{branch}.json").read_text())
        return known

    def calls(self) -> list[list[str]]:
        """Return what the stand-ins were asked since the last call of this."""
        file = self.folder / "bin/calls"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]

    def clone(self, name: str) -> Path:
        """Clone a repository as one of its team."""
        folder = self.folder / f"clones/{name}"
        git(self.folder, "clone", "--quiet", str(self.bare(name)), str(folder))
        return folder


def made(folder: Path) -> Fleet:
    """Make the fleet; a copy of its folder is another one after `settled`."""
    template = tiny.template(folder / "template")
    tiny.release(template, "v0.2.0", NEW)
    (folder / "template.txt").write_text(str(template))
    old = tiny.new_project(template, folder / "work/old", "v0.1.0", level=1)
    trained = {"train.py": "from sklearn import svm\nsvm.SVC().fit(x, y)\n", "uv.lock": "old\n"}
    write(old, trained | {".github/CODEOWNERS": "* @acme/ml\n"})
    waiver = '[waivers.unit-tests]\nreason = "none yet"\nuntil = "2099-06-30"\n'
    commit(old, "Begin")
    edits = {
        "flights": {"src/flights/model.py": "MODEL = 2\n", "rung.toml": waiver},
        "fraud": {"ops/zero.py": (old / "ops/zero.py").read_text().replace("1\n", "7\n", 1)},
        "pricing": {"fails": ""},
        "returns": {},
    }
    for name, files in edits.items():
        write(tiny.copy(old, folder / f"work/{name}"), files)
    write(tiny.new_project(template, folder / "work/churn", "v0.2.0", level=1), trained)
    for name, host in HOSTS.items():
        commit(folder / f"work/{name}", "Edit")
        bare = folder / f"{host}/ml/{name}.git"
        git(folder, "clone", "--quiet", "--bare", str(folder / f"work/{name}"), str(bare))
        (bare / "hooks/pre-receive").write_text(PROTECTED)
        (bare / "hooks/pre-receive").chmod(0o755)
    shutil.rmtree(folder / "work")
    urls = [f"https://{host}/ml/{name}.git" for name, host in HOSTS.items()]
    (folder / "fleet.txt").write_text("\n".join([*urls, BROKEN, ""]))
    (folder / "bin").mkdir()
    for name, text in {
        "uv": UV,
        "rung": f'#!/bin/sh\nexec {Path(sys.executable).with_name("rung")} "$@"\n',
        **dict.fromkeys(("gh", "glab"), f"#!{sys.executable}\n{STAND_IN}"),
    }.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key], check=True)
    (folder / "signers").write_text(f"ada@acme.example {key.with_suffix('.pub').read_text()}")
    return settled(folder)


def settled(folder: Path) -> Fleet:
    """Write the user's git settings, which name the folder in the place of the servers."""
    servers = "".join(
        f'[url "file://{folder}/{host}/"]\n  insteadOf = https://{host}/\n'
        for host in (GITHUB, GITLAB)
    )
    (folder / "gitconfig").write_text(
        f"{servers}[user]\n  name = Ada\n  email = ada@acme.example\n  signingKey = {folder}/key\n"
        "[commit]\n  gpgSign = true\n[gpg]\n  format = ssh\n"
        f'[gpg "ssh"]\n  allowedSignersFile = {folder}/signers\n'
    )
    return Fleet(folder)
