"""An engine's AEAD below SFrame: any key and nonce, no header and no key schedule.

The native engine is reached through the C core, a row straight to one kernel; the twin through
its provider of AES.
"""

from c_core.core import kernel_or_skip, load

from pysframe import CipherSuite
from pysframe.engine import _aead


def raw_aead(engine, suite: CipherSuite, key: bytes):
    """seal(nonce, aad, plaintext) -> ciphertext || tag; open(...) -> plaintext, or None."""
    name, kernel = engine.name.split(":")
    if name == "native":
        return NativeAead(kernel_or_skip(kernel), suite, key)
    return _aead.new_aead(suite, memoryview(key), _aead.provider(kernel))


class NativeAead:
    def __init__(self, kernel: str, suite: CipherSuite, key: bytes) -> None:
        self.ffi, self.lib = load()
        self.tag_size = suite.Nt
        raw = self.lib.raw_key(kernel.encode(), suite, key)
        self.key = self.ffi.gc(raw, self.lib.raw_key_free)

    def seal(self, nonce: bytes, aad: bytes, plaintext: bytes) -> bytes:
        tag = self.ffi.new("uint8_t[]", 16)
        _, out = self.run(nonce, aad, plaintext, tag, sealing=1)
        return out + bytes(tag[0 : self.tag_size])

    def open(self, nonce: bytes, aad: bytes, sealed: bytes) -> bytes | None:
        tag = self.ffi.new("uint8_t[]", sealed[-self.tag_size :])
        spec, out = self.run(nonce, aad, sealed[: -self.tag_size], tag, sealing=0)
        if spec.status == self.lib.SFR_OK:
            return out
        assert spec.status == self.lib.SFR_AUTH_FAILED
        assert not any(out), "a refused row must leave zeros"
        return None

    def run(self, nonce: bytes, aad: bytes, data: bytes, tag, sealing: int):
        """One row, alone; its AAD is cut where a header and clear bytes would end."""
        new, spec = self.ffi.new, self.ffi.new("spec *")
        held = new("uint8_t[]", nonce), new("uint8_t[]", aad), new("uint8_t[]", data)
        out = new("uint8_t[]", len(data) + 1)
        spec.nonce, spec.aad, spec.source = held
        spec.key, spec.tag, spec.out, spec.size = self.key, tag, out, len(data)
        spec.aad_size = len(aad)
        spec.clear_at, spec.metadata_at = min(len(aad), 17), min(len(aad), 40)
        self.lib.run_alone(spec, 1, sealing)
        return spec, bytes(out[0 : len(data)])
