"""Signatures by people, with the SSH keys that they sign commits with: `ssh-keygen -Y`.

governance/allowed_signers says whose key is whose, in OpenSSH's format (`man ssh-keygen`, ALLOWED
SIGNERS). Who may approve has a line with `namespaces="rung-approval"`.
"""

import subprocess
import tempfile
from datetime import datetime
from pathlib import Path

from rung_governance.approval import ssh_signature
from rung_governance.approval.bound_facts import NotApprovedError
from rung_ops.project import current
from rung_ops.project.paths import shown

SIGNERS = "governance/allowed_signers"
NAMESPACE = "rung-approval"
TIMEOUT = 120  # seconds; a person may have to type a passphrase or touch a key


def signers_file(root: Path | None = None) -> Path:
    """Find governance/allowed_signers: all models of a repository share it."""
    return (current().repository if root in (None, current().root) else root) / SIGNERS


def sign(content: bytes, key: str) -> str:
    """Sign content with an SSH key; return the signature's text.

    Args:
        content: what is signed.
        key: as git's user.signingKey: the path of a key, or the text of a public key whose private
            half the SSH agent holds.
    """
    with tempfile.TemporaryDirectory() as folder:
        text = key.removeprefix("key::")
        path = Path(key).expanduser()
        if text.startswith(("ssh-", "sk-", "ecdsa-")):
            path = Path(folder) / "key.pub"
            path.write_text(text + "\n", encoding="utf-8")
        signed = Path(folder) / "content"
        signed.write_bytes(content)
        _ssh_keygen("-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(path), str(signed))
        return Path(f"{signed}.sig").read_text(encoding="utf-8")


def signer(content: bytes, signature: str, root: Path | None = None) -> str:
    """Verify a signature; return whose it is, as governance/allowed_signers names them."""
    allowed = signers_file(root)
    with tempfile.TemporaryDirectory() as folder:
        proof = Path(folder) / "content.sig"
        proof.write_text(signature, encoding="utf-8")
        about = ("-s", str(proof), "-f", str(allowed))
        try:
            principals = _ssh_keygen("-Y", "find-principals", *about).decode().splitlines()
        except NotApprovedError:
            principals = []
        for principal in [each for line in principals for each in line.split(",")]:
            try:
                named = ("-I", principal, "-n", NAMESPACE)
                _ssh_keygen("-Y", "verify", *named, *about, content=content)
            except NotApprovedError:
                continue
            _refuse_what_openssh_admits(content, signature, allowed, root)
            return principal
    raise NotApprovedError(
        f"its signature is not of a key that {shown(allowed)} allows to approve, or it was edited "
        "after it was signed"
    )


def _refuse_what_openssh_admits(
    content: bytes, signature: str, allowed: Path, root: Path | None
) -> None:
    """Raise NotApprovedError if OpenSSH counts a signature that the service or the plan would not."""
    from rung_governance.approval import plan  # brings YAML, which the service's image lacks

    lines, now = allowed.read_text(encoding="utf-8"), datetime.now().astimezone()
    needs_touch = plan.approval_terms(root).needs_touch
    try:
        ssh_signature.verify(content, signature, lines, NAMESPACE, now, needs_touch)
    except NotApprovedError as error:
        raise NotApprovedError(f"its signature does not count: {error}") from error


def line_for(key: str, email: str) -> str:
    """Write the line that lets a person approve, for the owner of the file to add."""
    text = key.removeprefix("key::")
    path = Path(f"{key.removesuffix('.pub')}.pub").expanduser()
    if path.is_file():
        text = path.read_text(encoding="utf-8")
    return f'{email} namespaces="{NAMESPACE}" {" ".join(text.split()[:2])}'


def same_person(root: Path | None = None) -> list[set[str]]:
    """List the principals that belong together: those of one line, and those of one key."""
    path = signers_file(root)
    known: dict[str, set[str]] = {}
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    for principals, _, key in ssh_signature.entries(text):
        known.setdefault(key, set()).update(principals.split(","))
    return list(known.values())


def _ssh_keygen(*arguments: str, content: bytes | None = None) -> bytes:
    try:
        words = ["ssh-keygen", *arguments]
        done = subprocess.run(
            words, input=content, capture_output=True, check=False, timeout=TIMEOUT
        )
    except FileNotFoundError as error:
        raise NotApprovedError("ssh-keygen is missing: install OpenSSH 8.9 or newer") from error
    except subprocess.TimeoutExpired as error:
        raise NotApprovedError(f"ssh-keygen did not end within {TIMEOUT} seconds") from error
    if done.returncode != 0:
        raise NotApprovedError((done.stderr or done.stdout).decode(errors="replace").strip())
    return done.stdout
