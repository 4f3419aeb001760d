"""The figures of RFC 9605, Appendix C, through each engine; and what the RFC leaves without any:
ratchet steps (5.1) and per-SSRC keys (draft-ietf-avtcore-rtp-sframe)."""

import pytest
from figures import everywhere, load
from isolated import in_child
from parties import flipped, new_receiver, new_sender, options, status_of
from raw_aead import raw_aead

from pysframe import AuthenticationFailed, CipherSuite, FrameStatus, MLSLayout

RFC = load("rfc9605")
OURS = load("ratchet_and_ssrc")
BASE_KEY = bytes(range(16))
SHA256_SUITES, SHA512_SUITES = (1, 2, 3, 4), (5, 6, 7, 8)


def unhex(case, *names):
    return [bytes.fromhex(case[name]) for name in names]


def by_suite(cases):
    return [pytest.param(case, id=f"suite{case['suite']}") for case in cases]


def test_the_figures_are_all_there():
    counts = {name: len(RFC[name]) for name in ("header", "ctr_hmac", "sframe")}
    assert counts == {"header": 289, "ctr_hmac": 6, "sframe": 8}
    assert len(RFC["mls_kid"]["rows"]) == 9


# ---- C.1 headers ----


def test_headers_of_sealed_frames(engine, rng):
    for kid_hex, ctr_hex, header in RFC["header"]:
        kid, ctr = int(kid_hex, 16), int(ctr_hex, 16)
        with new_sender(engine, 4, rng.randbytes(16), kid, ctr) as sender:
            ciphertext = sender.protect(b"frame")
        assert ciphertext[: len(header) // 2].hex() == header
        assert len(ciphertext) == len(header) // 2 + 5 + 16


def test_headers_of_opened_frames(engine, rng):
    """An authentic frame under each header is found and opened."""
    for kid_hex, ctr_hex, _ in RFC["header"]:
        kid, ctr, base_key = int(kid_hex, 16), int(ctr_hex, 16), rng.randbytes(16)
        with new_sender(engine, 4, base_key, kid, ctr) as sender:
            ciphertext = sender.protect(b"frame")
        with new_receiver(engine, 4, base_key, kid) as receiver:
            batch = engine.unprotect_many(receiver, [ciphertext])
        assert (batch.to_list(), batch.kid[0], batch.ctr[0]) == ([b"frame"], kid, ctr)


# ---- C.2 AES-CTR with HMAC ----


@pytest.mark.parametrize("case", by_suite(RFC["ctr_hmac"]))
def test_ctr_hmac(engine, case):
    key, nonce, aad, plaintext, sealed = unhex(case, "key", "nonce", "aad", "pt", "ct")
    aead = raw_aead(engine, CipherSuite(case["suite"]), key)
    assert aead.seal(nonce, aad, plaintext) == sealed
    assert aead.open(nonce, aad, sealed) == plaintext
    for position in range(len(sealed)):
        assert aead.open(nonce, aad, flipped(sealed, position)) is None


# ---- C.3 SFrame ----


def party_of(case):
    suite = CipherSuite(case["suite"])
    return suite, int(case["kid"], 16), int(case["ctr"], 16), bytes.fromhex(case["base_key"])


@pytest.mark.parametrize("case", by_suite(everywhere("sframe")))
def test_protect(engine, case):
    """In a process of its own: a counter of this key may be used once in each."""
    suite, kid, ctr, base_key = party_of(case)
    metadata, plaintext = unhex(case, "metadata", "pt")

    def seal():
        with new_sender(engine, suite, base_key, kid, ctr) as sender:
            return sender.protect(plaintext, metadata)

    def seal_many():
        with new_sender(engine, suite, base_key, kid, ctr) as sender:
            return engine.protect_many(sender, [plaintext, b""], metadata)[0]

    assert in_child(seal).hex() == case["ct"]
    assert in_child(seal_many).hex() == case["ct"]


@pytest.mark.parametrize("case", by_suite(everywhere("sframe")))
def test_unprotect(engine, case):
    suite, kid, _, base_key = party_of(case)
    metadata, plaintext, ciphertext = unhex(case, "metadata", "pt", "ct")
    receiver = new_receiver(engine, suite, base_key, kid, replay_window=0)
    assert receiver.unprotect(ciphertext, metadata) == plaintext
    assert engine.unprotect_many(receiver, [ciphertext], metadata).to_list() == [plaintext]


@pytest.mark.parametrize("case", by_suite(everywhere("sframe")))
def test_every_changed_byte_is_noticed(engine, case):
    suite, kid, _, base_key = party_of(case)
    metadata, ciphertext = unhex(case, "metadata", "ct")
    receiver = new_receiver(engine, suite, base_key, kid)
    changed = [flipped(ciphertext, at, 1 << at % 8) for at in range(len(ciphertext))]
    batch = engine.unprotect_many(receiver, changed, metadata)
    assert not any(batch.lengths)
    for frame, status in zip(changed, batch.status, strict=True):
        assert status_of(receiver, frame, metadata) == (status, b"")
        assert status != FrameStatus.OK
    for at in range(len(metadata)):
        with pytest.raises(AuthenticationFailed):
            receiver.unprotect(ciphertext, flipped(metadata, at))


@pytest.mark.parametrize("case", by_suite(everywhere("sframe")))
def test_every_shortened_frame_is_refused(engine, case):
    suite, kid, _, base_key = party_of(case)
    metadata, ciphertext = unhex(case, "metadata", "ct")
    receiver = new_receiver(engine, suite, base_key, kid)
    for size in range(len(ciphertext)):
        assert status_of(receiver, ciphertext[:size], metadata)[0] != FrameStatus.OK


# ---- 5.2 KIDs from MLS ----


def test_mls_kids(engine, rng):
    """The nine KIDs of figure 5, each on the wire and opened from its epoch's key."""
    figure = RFC["mls_kid"]
    layout = MLSLayout(E=figure["e_bits"], S=figure["s_bits"])
    for epoch, index, context, kid in figure["rows"]:
        assert f"{layout.pack(epoch, index, context):x}" == kid
        base_key = rng.randbytes(16)
        receiver = engine.Receiver(4)
        receiver.add_epoch(epoch, base_key, layout=layout)
        with new_sender(engine, 4, base_key, int(kid, 16)) as sender:
            assert receiver.unprotect(sender.protect(b"frame")) == b"frame"
        assert receiver.kids == (int(kid, 16),)


# ---- 5.1 ratchet, per-SSRC keys ----


def opens_under(engine, suite, secret, base_key, rng) -> bool:
    """Whether a secret is the one that follows from a base_key."""
    kid = rng.getrandbits(64)
    receiver = engine.Receiver(suite, **options(suite))
    receiver._add(kid, secret, False)
    with new_sender(engine, suite, base_key, kid) as sender:
        return status_of(receiver, sender.protect(b"frame"))[0] == FrameStatus.OK


def ours(name, number):
    """A figure of ours for a suite: the first entry is SHA-256's, the second SHA-512's."""
    return OURS[name][0 if number in SHA256_SUITES else 1]


@pytest.mark.parametrize("number", [*SHA256_SUITES, *SHA512_SUITES])
def test_ratchet(engine, number, rng):
    suite = CipherSuite(number)
    figures = [bytes.fromhex(step) for step in ours("ratchet", number)["steps"]]
    secret = engine.Secret(suite, BASE_KEY)
    one_by_one = secret
    for count, base_key in enumerate(figures, start=1):
        one_by_one = one_by_one.ratchet()
        assert opens_under(engine, suite, secret.ratchet(count), base_key, rng)
        assert opens_under(engine, suite, one_by_one, base_key, rng)
        assert not opens_under(engine, suite, secret.ratchet(count + 1), base_key, rng)


@pytest.mark.parametrize("number", [*SHA256_SUITES, *SHA512_SUITES])
@pytest.mark.parametrize(
    "mistake", ["step1_sframe_rs_label", "step1_label_as_salt", "step1_trailing_space"]
)
def test_known_wrong_ratchets_are_not_ours(engine, number, mistake, rng):
    suite = CipherSuite(number)
    wrong = bytes.fromhex(ours("ratchet", number)[mistake])
    secret = engine.Secret(suite, BASE_KEY).ratchet()
    assert not opens_under(engine, suite, secret, wrong, rng)


@pytest.mark.parametrize("number", [*SHA256_SUITES, *SHA512_SUITES])
def test_per_ssrc_keys(engine, number, rng):
    suite, figure = CipherSuite(number), ours("ssrc", number)
    ssrc, base_key = int(figure["ssrc"], 16), bytes.fromhex(figure["key"])
    secret = engine.Secret.for_ssrc(suite, BASE_KEY, ssrc)
    assert opens_under(engine, suite, secret, base_key, rng)
    other = engine.Secret.for_ssrc(suite, BASE_KEY, ssrc + 1)
    assert not opens_under(engine, suite, other, base_key, rng)
