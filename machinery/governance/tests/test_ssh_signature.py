"""The service verifies what `ssh-keygen -Y sign` signs, without OpenSSH, and accepts no more."""

import base64
import hashlib
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rung_governance.approval import admission, plan, signatures, ssh_signature
from rung_governance.approval.bound_facts import NotApprovedError

CONTENT = b'{"version": "1"}\n'
NAMESPACE = signatures.NAMESPACE
NOW = datetime.now(UTC)


def keygen(*words: str, content: bytes | None = None) -> bool:
    done = subprocess.run(["ssh-keygen", *words], input=content, capture_output=True, check=False)
    return done.returncode == 0


def new_key(folder: Path, *kind: str) -> tuple[str, str]:
    """Make a key; return its path and its line for allowed_signers, without options."""
    path = folder / "-".join(kind)
    assert keygen("-q", "-N", "", "-C", "", "-f", str(path), "-t", *kind)
    return str(path), "vera@example.org {options}" + path.with_suffix(".pub").read_text()


def verified(signature: str, allowed: str, content: bytes = CONTENT) -> str:
    return ssh_signature.verify(content, signature, allowed, NAMESPACE, NOW)


def by_openssh(signature: str, allowed: str, folder: Path) -> bool:
    """Ask ssh-keygen the same."""
    (folder / "allowed").write_text(allowed)
    (folder / "proof").write_text(signature)
    words = ("-n", NAMESPACE, "-I", "vera@example.org")
    files = ("-f", str(folder / "allowed"), "-s", str(folder / "proof"))
    return keygen("-Y", "verify", *words, *files, content=CONTENT)


KINDS = [("ed25519",), ("rsa", "-b", "2048"), ("ecdsa", "-b", "256"), ("ecdsa", "-b", "521")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_of_each_kind_of_key_counts(tmp_path: Path, kind: tuple[str, ...]) -> None:
    key, line = new_key(tmp_path, *kind)
    signature = signatures.sign(CONTENT, key)

    allowed = line.format(options='namespaces="rung-approval" ')
    assert verified(signature, allowed) == "vera@example.org"
    with pytest.raises(NotApprovedError, match="does not belong to the content"):
        verified(signature, allowed, CONTENT + b" ")


def text(value: bytes) -> bytes:
    return len(value).to_bytes(4) + value


def number(value: int) -> bytes:
    return text(value.to_bytes(value.bit_length() // 8 + 1))


def sk_ed25519() -> tuple[bytes, Callable[[bytes], bytes]]:
    key = ed25519.Ed25519PrivateKey.generate()
    kind = b"sk-ssh-ed25519@openssh.com"
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    whole = text(kind) + text(public) + text(b"ssh:")
    return whole, lambda content: text(kind) + text(key.sign(content))


def sk_ecdsa() -> tuple[bytes, Callable[[bytes], bytes]]:
    key = ec.generate_private_key(ec.SECP256R1())
    kind = b"sk-ecdsa-sha2-nistp256@openssh.com"
    public = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def sign(content: bytes) -> bytes:
        r, s = utils.decode_dss_signature(key.sign(content, ec.ECDSA(hashes.SHA256())))
        return text(kind) + text(number(r) + number(s))

    return text(kind) + text(b"nistp256") + text(public) + text(b"ssh:"), sign


def by_security_key(
    made: tuple[bytes, Callable[[bytes], bytes]], flags: int, content: bytes = CONTENT
) -> tuple[str, str]:
    """Sign as a security key does; return the signature, and the line of an allowed signer."""
    public, sign = made
    digest = hashlib.sha512(content).digest()
    signed = b"SSHSIG" + b"".join(map(text, (NAMESPACE.encode(), b"", b"sha512", digest)))
    flagged = bytes([flags]) + (7).to_bytes(4)
    whole = hashlib.sha256(b"ssh:").digest() + flagged + hashlib.sha256(signed).digest()
    parts = (public, NAMESPACE.encode(), b"", b"sha512", sign(whole) + flagged)
    blob = b"SSHSIG" + (1).to_bytes(4) + b"".join(map(text, parts))
    armored = base64.encodebytes(blob).decode()
    kind = public[4 : 4 + int.from_bytes(public[:4])].decode()
    who = 'vera@example.org namespaces="rung-approval"'
    return (
        f"-----BEGIN SSH SIGNATURE-----\n{armored}-----END SSH SIGNATURE-----\n",
        f"{who} {kind} {base64.b64encode(public).decode()}\n",
    )


@pytest.mark.parametrize("made", [sk_ed25519, sk_ecdsa])
def test_a_signature_of_a_security_key_counts_as_openssh_has_it(
    tmp_path: Path, made: Callable[[], tuple[bytes, Callable[[bytes], bytes]]]
) -> None:
    signature, allowed = by_security_key(made(), flags=1)

    assert by_openssh(signature, allowed, tmp_path)
    assert verified(signature, allowed) == "vera@example.org"
    with pytest.raises(NotApprovedError, match="does not belong to the content"):
        verified(signature, allowed, CONTENT + b" ")


@pytest.mark.tried(
    "Approve with a security key that was not touched",
    "refused, though OpenSSH counts it, unless the plan says `touch: not required`",
)
def test_a_security_key_has_to_be_touched_unless_the_plan_says_otherwise(tmp_path: Path) -> None:
    signature, allowed = by_security_key(key := sk_ed25519(), flags=4)
    (tmp_path / "governance").mkdir()
    signatures.signers_file(tmp_path).write_text(allowed)

    assert by_openssh(signature, allowed, tmp_path)
    with pytest.raises(NotApprovedError, match="the security key was not touched"):
        verified(signature, allowed)
    with pytest.raises(NotApprovedError, match="the security key was not touched"):
        signatures.signer(CONTENT, signature, tmp_path)
    plan.path(tmp_path).write_text("approval: {touch: not required}\n")
    assert signatures.signer(CONTENT, signature, tmp_path) == "vera@example.org"

    # The service has no plan: it goes by what was signed.
    signed = CONTENT.replace(b"}", b', "touch": "not required"}')
    proof, _ = by_security_key(key, flags=0, content=signed)
    assert admission.verified(signed, proof, allowed)["touch"] == "not required"
    proof, _ = by_security_key(key, flags=0)
    with pytest.raises(NotApprovedError, match="the security key was not touched"):
        admission.verified(CONTENT, proof, allowed)


def day(days: int) -> str:
    return f"{NOW + timedelta(days=days):%Y%m%d}"


OPTIONS = {
    'namespaces="rung-approval" ': True,
    'namespaces="git,rung-approval" ': True,
    'namespaces="rung-*" ': True,
    'namespaces="git" ': False,
    f'namespaces="rung-approval",valid-before="{day(2)}" ': True,
    f'namespaces="rung-approval",valid-before="{day(-2)}" ': False,
    f'namespaces="rung-approval",valid-after="{day(-2)}Z" ': True,
    f'namespaces="rung-approval",valid-after="{day(2)}1200" ': False,
    "cert-authority ": False,
}


@pytest.mark.parametrize("options", OPTIONS)
def test_the_options_of_an_allowed_signer_are_read_as_openssh_reads_them(
    tmp_path: Path, options: str
) -> None:
    key, line = new_key(tmp_path, "ed25519")
    signature, allowed = signatures.sign(CONTENT, key), line.format(options=options)

    assert by_openssh(signature, allowed, tmp_path) == OPTIONS[options]
    if OPTIONS[options]:
        assert verified(signature, allowed) == "vera@example.org"
        return
    with pytest.raises(NotApprovedError, match="not one that may sign as rung-approval"):
        verified(signature, allowed)


@pytest.mark.parametrize("options", ["", f'valid-before="{day(2)}" '])
@pytest.mark.tried(
    "Approve with a key whose line in `allowed_signers` has no `namespaces`",
    "refused, though OpenSSH would let it sign anything",
)
def test_a_line_without_namespaces_lets_no_one_approve(tmp_path: Path, options: str) -> None:
    key, line = new_key(tmp_path, "ed25519")
    signature, allowed = signatures.sign(CONTENT, key), line.format(options=options)
    (tmp_path / "governance").mkdir()
    signatures.signers_file(tmp_path).write_text(allowed)

    assert by_openssh(signature, allowed, tmp_path)
    says = 'says that by `namespaces="rung-approval"`'
    with pytest.raises(NotApprovedError, match=says):
        verified(signature, allowed)
    with pytest.raises(NotApprovedError, match=says):
        signatures.signer(CONTENT, signature, tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        lambda line: "",
        lambda line: f"# {line}",
        lambda line: line.replace("vera@example.org ", 'vera@example.org unheard-of="1",'),
        lambda line: line.replace("vera@example.org ", 'vera@example.org valid-before="soon",'),
        lambda line: line.replace('"rung', '"!git,rung'),
        lambda line: line.replace("AAAA", "AAAB"),
    ],
)
def test_an_unknown_line_lets_no_one_approve(tmp_path: Path, changed: Callable[[str], str]) -> None:
    key, line = new_key(tmp_path, "ed25519")

    signature = signatures.sign(CONTENT, key)
    right = line.format(options='namespaces="rung-approval" ')
    wrong = changed(right)

    with pytest.raises(NotApprovedError):
        verified(signature, wrong)
    assert verified(signature, f"{wrong}\n{right}") == "vera@example.org"


@pytest.mark.parametrize("length", [0, 10, 60, 200])
def test_a_signature_that_was_cut_or_is_not_one_is_refused(tmp_path: Path, length: int) -> None:
    key, line = new_key(tmp_path, "ed25519")
    signature = signatures.sign(CONTENT, key)
    cut = f"{signature[:length]}\n-----END SSH SIGNATURE-----"

    for wrong in (cut, "", signature.replace("U1NIU0lH", "AAAAAAAA"), "é"):
        with pytest.raises(NotApprovedError):
            verified(wrong, line.format(options='namespaces="rung-approval" '))
