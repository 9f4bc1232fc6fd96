"""Verify signatures of `ssh-keygen -Y sign` without OpenSSH, which the image of the service lacks.

The format is OpenSSH's PROTOCOL.sshsig; security keys sign as PROTOCOL.u2f says, and unlike OpenSSH
this asks for the bit that tells of a touch. An allowed signer with an option that is not known here
does not count (`man ssh-keygen`, ALLOWED SIGNERS), nor one without `namespaces`: OpenSSH would let its
key sign anything, and the line may be there for commits.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from datetime import datetime
from fnmatch import fnmatchcase

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from rung_governance.approval.bound_facts import NotApprovedError

MAGIC = b"SSHSIG"
ARMOR = re.compile(r"-----BEGIN SSH SIGNATURE-----(.+)-----END SSH SIGNATURE-----", re.DOTALL)
KEY = re.compile(r"(?:^|\s)((?:ssh|ecdsa|sk)-\S+)\s+(AAAA[A-Za-z0-9+/]+=*)(?:\s|$)")
OPTION = re.compile(r'([a-z-]+)(?:="([^"]*)")?(?:,|$)')
TIMES = ("%Y%m%d", "%Y%m%d%H%M", "%Y%m%d%H%M%S")
DIGESTS = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}
CURVES = {"secp256r1": hashes.SHA256(), "secp384r1": hashes.SHA384(), "secp521r1": hashes.SHA512()}
RSA = {b"rsa-sha2-256": hashes.SHA256(), b"rsa-sha2-512": hashes.SHA512()}
LEAST_RSA_BITS = 2048
TOUCHED = 0x01  # of the flags that a security key signs: somebody was present


def verify(
    content: bytes,
    signature: str,
    allowed: str,
    namespace: str,
    now: datetime,
    needs_touch: bool = True,
) -> str:
    """Return whose signature it is, as the allowed-signers file names them.

    Args:
        content: what was signed.
        signature: armored, as `ssh-keygen -Y sign` writes it.
        allowed: text of the allowed-signers file.
        namespace: what it was signed for.
        now: the local time at which the key has to be valid.
        needs_touch: whether a security key counts only where it was touched.

    Raises:
        NotApprovedError: no allowed signer has signed this content for the namespace.
    """
    try:
        key, proof, signed = _parsed(content, signature, namespace.encode())
        who = [names for names, its in _signers(allowed, namespace, now) if its == key]
        if not who:
            raise NotApprovedError(
                f"the key is not one that may sign as {namespace}: a line of allowed_signers says "
                f'that by `namespaces="{namespace}"`'
            )
        _verify(key, proof, signed, needs_touch)
    except (InvalidSignature, UnsupportedAlgorithm, binascii.Error, ValueError) as error:
        raise NotApprovedError("the signature does not belong to the content") from error
    return who[0]


def _signers(allowed: str, namespace: str, now: datetime) -> Iterator[tuple[str, bytes]]:
    """List principals and key of those whom an allowed-signers file admits for a namespace now."""
    for principals, options, key in entries(allowed):
        try:
            if _admits(options, namespace, now):
                yield principals, base64.b64decode(key)
        except ValueError:  # a time or a key that is not one
            continue


def entries(allowed: str) -> Iterator[tuple[str, str, str]]:
    """List principals, options and key, in base64, of each line of an allowed-signers file."""
    for line in allowed.splitlines():
        match = None if line.lstrip().startswith("#") else KEY.search(line)
        if match is not None and (words := line[: match.start()].split(None, 1)):
            yield words[0].strip('"'), "".join(words[1:]).strip(), match[2]


def _admits(options: str, namespace: str, now: datetime) -> bool:
    listed = list(OPTION.finditer(options))
    if "".join(each[0] for each in listed) != options:
        return False
    if "namespaces" not in {each[1] for each in listed}:
        return False
    for name, value in (each.groups() for each in listed):
        match name:
            case "namespaces":
                names = (value or "").split(",")
                excludes = any(each.startswith("!") for each in names)
                holds = not excludes and any(fnmatchcase(namespace, each) for each in names)
            case "valid-after":
                holds = _time(value) <= now
            case "valid-before":
                holds = now <= _time(value)
            case _:
                holds = False
        if not holds:
            return False
    return True


def _time(value: str | None) -> datetime:
    """Read YYYYMMDD[HHMM[SS]], local or with Z in UTC; return local time."""
    text = value or ""
    for form in TIMES:
        try:
            read = datetime.strptime(text.removesuffix("Z"), form)
        except ValueError:
            continue
        if text.endswith("Z"):
            return datetime.fromisoformat(f"{read.isoformat()}+00:00").astimezone()
        return read.astimezone()
    raise ValueError(f"{text} is not a time")


class _Reader:
    """Takes values off OpenSSH's binary form, one after the other."""

    def __init__(self, content: bytes) -> None:
        self._rest = content

    def take(self, size: int) -> bytes:
        if size > len(self._rest):
            raise ValueError("it ends too early")
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def string(self) -> bytes:
        return self.take(int.from_bytes(self.take(4)))

    def integer(self) -> int:
        return int.from_bytes(self.string())

    def end(self) -> None:
        if self._rest:
            raise ValueError("it goes on too long")


def _parsed(content: bytes, signature: str, namespace: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the key, the proof, and the bytes that the key has signed."""
    armored = ARMOR.search(signature)
    if armored is None:
        raise ValueError("it is not armored")
    blob = _Reader(base64.b64decode("".join(armored[1].split()), validate=True))
    if blob.take(len(MAGIC)) != MAGIC or int.from_bytes(blob.take(4)) != 1:
        raise ValueError("it is not of version 1")
    key, named, reserved, digest, proof = (blob.string() for _ in range(5))
    blob.end()
    if named != namespace:
        raise NotApprovedError(f"it was signed as {named.decode(errors='replace')!r:.40}")
    if digest not in DIGESTS:
        raise ValueError("it has another hash")
    parts = (namespace, reserved, digest, DIGESTS[digest](content).digest())
    return key, proof, MAGIC + b"".join(map(_string, parts))


def _verify(key: bytes, proof: bytes, signed: bytes, needs_touch: bool) -> None:
    """Raise InvalidSignature, ValueError or NotApprovedError unless the key has signed."""
    kind = _Reader(key).string()
    reader = _Reader(proof)
    algorithm, value = reader.string(), reader.string()
    public: object
    if kind.startswith(b"sk-"):
        public, application = _security_key(key)
        flags_and_counter = reader.take(5)  # which are signed, too
        if needs_touch and not flags_and_counter[0] & TOUCHED:
            raise NotApprovedError(
                "the security key was not touched when it signed: sign with one that asks for it "
                "(`ssh-keygen -t ed25519-sk`, without no-touch-required)"
            )
        signed = (
            hashlib.sha256(application).digest()
            + flags_and_counter
            + hashlib.sha256(signed).digest()
        )
    else:
        public = serialization.load_ssh_public_key(kind + b" " + base64.b64encode(key))
    reader.end()
    if isinstance(public, rsa.RSAPublicKey) and algorithm in RSA:
        if public.key_size < LEAST_RSA_BITS:
            raise ValueError("the key is too short")
        public.verify(value, signed, padding.PKCS1v15(), RSA[algorithm])
    elif algorithm != kind:
        raise ValueError("key and signature are of two kinds")
    elif isinstance(public, ed25519.Ed25519PublicKey):
        public.verify(value, signed)
    elif isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in CURVES:
        point = _Reader(value)
        der = utils.encode_dss_signature(point.integer(), point.integer())
        public.verify(der, signed, ec.ECDSA(CURVES[public.curve.name]))
    else:
        raise ValueError("keys of this kind do not count")


def _security_key(key: bytes) -> tuple[ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey, bytes]:
    """Return the public key of a security key, and the application that it was made for."""
    reader = _Reader(key)
    kind = reader.string()
    if kind == b"sk-ssh-ed25519@openssh.com":
        return ed25519.Ed25519PublicKey.from_public_bytes(reader.string()), reader.string()
    if kind == b"sk-ecdsa-sha2-nistp256@openssh.com" and reader.string() == b"nistp256":
        point = reader.string()
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point), reader.string()
    raise ValueError("security keys of this kind do not count")


def _string(value: bytes) -> bytes:
    return len(value).to_bytes(4) + value
