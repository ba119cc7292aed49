"""A small certificate authority for one city: its broker, its gateways, its sites and its devices.

Everything lies in one folder: ``ca.pem``, ``ca.key``, ``crl.pem`` and ``index.jsonl``, one line
for each certificate ever signed (no private key but the authority's own is kept there). Keys are NIST
P-256 (ECDSA with SHA-256), which every TLS 1.2 stack of a small box speaks. RFC 5280 is the profile.

A certificate's common name is ``<kind>.<name>.<16 hex digits>``: new for every certificate, so that
revoking a stolen one never touches the one that replaces it.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal, get_args

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Kind = Literal["broker", "gateway", "site", "device", "admin"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
#: The authority lives ten years; what it signs a little over one, and is renewed long before.
CA_LIFE: Final = timedelta(days=3650)
DEFAULT_DAYS: Final = 397
#: A revocation list says when the next is due; it is written anew with every revocation.
_CRL_LIFE: Final = timedelta(days=30)
#: ``list`` marks a certificate that ends within this time.
SOON: Final = timedelta(days=30)
#: A client's clock may be behind ours by this much.
_SLACK: Final = timedelta(days=1)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
_TAG_BYTES: Final = 8


class CaError(Exception):
    """What the authority cannot do, in one line: what, where, what to do."""


@dataclass(frozen=True)
class Issued:
    """One line of the index. ``identity`` is the common name, which the broker takes as user name."""

    identity: str
    kind: Kind
    name: str
    serial: str
    not_after: str
    revoked: str | None = None
    reason: str | None = None

    def ends(self) -> datetime:
        """When it stops being valid by itself."""
        return datetime.fromisoformat(self.not_after)

    def valid(self, now: datetime) -> bool:
        """Neither revoked nor over."""
        return self.revoked is None and now < self.ends()


@dataclass(frozen=True)
class Bundle:
    """A signed certificate as PEM; ``key`` only where the authority made it."""

    issued: Issued
    certificate: bytes
    key: bytes | None


class Authority:
    """The authority of a folder. Open an existing one with ``Authority(folder)``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._index = folder / "index.jsonl"
        if not (folder / "ca.key").exists():
            raise CaError(f"no authority in {folder}: make one with 'utaa ca init --folder {folder}'")

    @classmethod
    def create(cls, folder: Path, city: str, now: datetime) -> Authority:
        """A new authority. Raises ``CaError`` where there is one already."""
        if (folder / "ca.key").exists():
            raise CaError(f"{folder} holds an authority already; choose another folder")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{city} Utaa CA")])
        certificate = (
            _builder(name, name, key.public_key(), now, CA_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
            .add_extension(_usage(sign_certificates=True), True)
            .sign(key, hashes.SHA256())
        )
        _write_secret(folder / "ca.key", _private_pem(key))
        (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / "index.jsonl").touch()
        authority = cls(folder)
        authority.write_crl(now)
        return authority

    def issued(self) -> list[Issued]:
        """Every certificate ever signed, the oldest first."""
        found: dict[str, Issued] = {}
        for line in self._index.read_text(encoding="utf-8").splitlines():
            entry = Issued(**json.loads(line))
            found[entry.identity] = entry
        return list(found.values())

    def issue(
        self,
        kind: Kind,
        name: str,
        now: datetime,
        *,
        hosts: Sequence[str] = (),
        days: int = DEFAULT_DAYS,
        csr_pem: bytes | None = None,
    ) -> Bundle:
        """Sign a certificate, for a key of ours or for the one in a signing request (PKCS #10).

        ``hosts`` are the names and addresses by which clients reach a broker. Raises ``CaError``.
        """
        _check(kind, name, hosts, days)
        key = None if csr_pem is not None else ec.generate_private_key(ec.SECP256R1())
        public = key.public_key() if key is not None else _requested_key(csr_pem or b"")
        identity = f"{kind}.{name}.{secrets.token_hex(_TAG_BYTES)}"
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity)])
        ca, ca_key = self._own()
        life = min(timedelta(days=days), ca.not_valid_after_utc - now)
        usage = ExtendedKeyUsageOID.SERVER_AUTH if kind == "broker" else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            _builder(subject, ca.subject, public, now, life)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
            .add_extension(_usage(sign_certificates=False), True)
            .add_extension(x509.ExtendedKeyUsage([usage]), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), False
            )
        )
        if hosts:
            names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
            builder = builder.add_extension(names, False)
        certificate = builder.sign(ca_key, hashes.SHA256())
        issued = Issued(
            identity, kind, name, f"{certificate.serial_number:x}",
            certificate.not_valid_after_utc.isoformat(),
        )  # fmt: skip
        self._append(issued)
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        return Bundle(issued, pem, _private_pem(key) if key is not None else None)

    def revoke(self, which: str, now: datetime, reason: str) -> list[Issued]:
        """Revoke one identity, or every valid certificate of ``<kind>.<name>``; renew the list.

        Returns those that were valid until now. Raises ``CaError`` if nothing of that name was signed.
        """
        every = self.issued()
        named = [each for each in every if which in (each.identity, f"{each.kind}.{each.name}")]
        if not named:
            raise CaError(f"{which}: nothing of that name was signed; 'utaa ca list' shows what was")
        ended = [
            replace(each, revoked=now.isoformat(), reason=reason) for each in named if each.valid(now)
        ]
        for each in ended:
            self._append(each)
        self.write_crl(now)
        return ended

    def write_crl(self, now: datetime) -> Path:
        """Write ``crl.pem``, the list of what is revoked and not over yet."""
        ca, ca_key = self._own()
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(ca.subject)
            .last_update(now - _SLACK)
            .next_update(now + _CRL_LIFE)
        )
        for each in self.issued():
            if each.revoked is not None and now < each.ends():
                entry = (
                    x509.RevokedCertificateBuilder()
                    .serial_number(int(each.serial, 16))
                    .revocation_date(datetime.fromisoformat(each.revoked))
                    .build()
                )
                builder = builder.add_revoked_certificate(entry)
        path = self.folder / "crl.pem"
        pem = builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        _replace(path, pem)
        return path

    @property
    def certificate(self) -> Path:
        """What every client trusts."""
        return self.folder / "ca.pem"

    def _own(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = serialization.load_pem_private_key((self.folder / "ca.key").read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise CaError(f"{self.folder / 'ca.key'} is no P-256 key; restore the authority's own file")
        return x509.load_pem_x509_certificate(self.certificate.read_bytes()), key

    def _append(self, issued: Issued) -> None:
        with self._index.open("a", encoding="utf-8") as index:
            index.write(json.dumps(asdict(issued)) + "\n")
            index.flush()
            os.fsync(index.fileno())


def write_bundle(bundle: Bundle, authority: Authority, folder: Path) -> dict[str, Path]:
    """Put ``ca.pem``, ``cert.pem`` and ``key.pem`` where an agent, gateway or broker reads them.

    Each file is replaced whole, the key first, so that a reader never meets half of one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {"ca": folder / "ca.pem", "cert": folder / "cert.pem", "key": folder / "key.pem"}
    if bundle.key is not None:
        _replace(files["key"], bundle.key, mode=0o600)
    else:
        del files["key"]
    _replace(files["cert"], bundle.certificate)
    _replace(files["ca"], authority.certificate.read_bytes())
    return files


def _check(kind: str, name: str, hosts: Sequence[str], days: int) -> None:
    if kind not in KINDS:
        raise CaError(f"{kind!r} is no kind; expected one of {', '.join(KINDS)}")
    if not _NAME.fullmatch(name):
        raise CaError(f"the name {name!r} is none: 1 to 40 letters, digits, - and _ are expected")
    if kind == "broker" and not hosts:
        raise CaError("a broker needs --host: the name or address by which clients reach it")
    if not 1 <= days <= CA_LIFE.days:
        raise CaError(f"a certificate lives 1 to {CA_LIFE.days} days, not {days}")


def _requested_key(csr_pem: bytes) -> ec.EllipticCurvePublicKey:
    """Only the key is taken from a request: who it is for is the authority's word."""
    try:
        request = x509.load_pem_x509_csr(csr_pem)
    except ValueError:
        raise CaError("the request is no PEM signing request (PKCS #10)") from None
    key = request.public_key()
    if not request.is_signature_valid or not isinstance(key, ec.EllipticCurvePublicKey):
        raise CaError("the request must hold a P-256 key and be signed by it")
    if not isinstance(key.curve, ec.SECP256R1):
        raise CaError(f"the request's key is {key.curve.name}; P-256 (prime256v1) is expected")
    return key


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SLACK)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=sign_certificates,
        crl_sign=sign_certificates, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_secret(path: Path, content: bytes) -> None:
    _replace(path, content, mode=0o600)


def _replace(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write beside it, then move over it: a reader sees the old file or the new one."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    beside.touch(mode=mode)
    beside.write_bytes(content)
    beside.replace(path)


def utc_now() -> datetime:
    """Certificates are judged by the clock of the world, not by that of a recording."""
    return datetime.now(UTC)
