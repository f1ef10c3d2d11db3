"""The key that a driver and its workers share, and how each shows the other that it has it.

Both run TLS 1.3 with a certificate that the driver makes for itself, and then prove over it that they have the key:
HMAC-SHA256 (RFC 2104) of both sides' random numbers and the certificate's digest. Somebody in between would have to
show another certificate, and gets proofs that fit no other (channel binding, as "tls-server-end-point" of RFC 5929).
Nothing else of what the other side sends is looked at before its proof.
"""

import hashlib
import hmac
import os
from pathlib import Path

from hpsearch.core.own_keys import KEY_BYTES, read_or_make
from hpsearch.core.user_folders import state_folder
from hpsearch.core.words import quoted
from hpsearch.errors import SpecError

VARIABLE = "HPSEARCH_WORKER_KEY"


def key_file(file: str | None) -> Path:
    """The file that the key is in, unless :data:`VARIABLE` has it.

    Args:
        file: The one that was named; None for this user's own.

    Raises:
        RuntimeError: There is no home.
    """
    return Path(file).expanduser() if file is not None else state_folder() / "worker.key"


def worker_key(file: str | None) -> bytes:
    """The key: of a file, of the environment variable :data:`VARIABLE`, or of this user's own file.

    Args:
        file: A file that only its owner can read; None for ``worker.key`` in this user's state folder, which is made if
            it is not there.

    Raises:
        SpecError: There is none, or others can read it.
    """
    if file is None and (text := os.environ.get(VARIABLE)):
        if len(text) < KEY_BYTES:
            raise SpecError(
                f"{VARIABLE} has only {len(text)} characters",
                code="bad-worker-key",
                hint=f"give driver and workers the same {KEY_BYTES} or more random ones: `openssl rand -hex 32`",
            )
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
    try:
        path = key_file(file)
        content = read_or_make(path) if file is None else path.read_bytes()
        mode = path.stat().st_mode
    except (OSError, RuntimeError) as error:
        where = file if file is not None else "the user's state folder"
        raise SpecError(
            f"the key of the workers cannot be read: {where}: {getattr(error, 'strerror', None) or error}",
            code="no-worker-key",
            hint=f"copy worker.key of the driver's machine to a file and name it, or set {VARIABLE}",
        ) from None
    if mode & 0o077:
        raise SpecError(
            f"others can read the key of the workers: {path} has mode {mode & 0o777:o}",
            code="open-worker-key",
            hint=f"`chmod 600 {path}`",
        )
    if len(content) < KEY_BYTES:
        raise SpecError(
            f"the key of the workers in {quoted(str(path))} has only {len(content)} bytes",
            code="bad-worker-key",
            hint=f"delete the file, and a new one with {KEY_BYTES} is made at the next start",
        )
    return hashlib.sha256(content).digest()


def proof(key: bytes, who: bytes, nonces: bytes, certificate: bytes) -> bytes:
    """What shows that a side has the key.

    Args:
        key: The key.
        who: ``b"driver"`` or ``b"worker"``, so that no side can send back what it got.
        nonces: The random numbers of driver and worker.
        certificate: The driver's, as DER.
    """
    return hmac.new(key, b"\0".join([who, nonces, hashlib.sha256(certificate).digest()]), hashlib.sha256).digest()


def made_certificate() -> tuple[bytes, bytes]:
    """A certificate for one run of a driver, and its private key, as PEM."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hpsearch")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
    # Nobody checks these dates: whose certificate it is, the proofs show.
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=3650))
    return (
        builder.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
