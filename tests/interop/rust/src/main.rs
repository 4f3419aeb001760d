//! Seals, opens and ratchets with the crate `sframe`, for tests/interop/rust_peer.py.
//!
//! Requests come on stdin until its end, answers go to stdout in the same order:
//!   request: op 'S' | 'O' | 'R', suite u8, kid u64, ctr u64, then three fields:
//!            base_key, metadata, data; a field is its size as u32 and its bytes
//!   answer:  1 and a field, or 0 and an empty field where the crate refused
//! Integers are big-endian. 'R' answers the base_key of the next ratchet step.

use sframe::CipherSuite;
use sframe::crypto::{Kdf, Ratcheting};
use sframe::error::Result;
use sframe::frame::{EncryptedFrameView, MediaFrameView, SingleUseCounter};
use sframe::key::{DecryptionKey, EncryptionKey};
use std::io::{self, BufReader, BufWriter, Read, Write};

struct Request {
    op: u8,
    suite: CipherSuite,
    kid: u64,
    ctr: u64,
    base_key: Vec<u8>,
    metadata: Vec<u8>,
    data: Vec<u8>,
}

fn suite(number: u8) -> CipherSuite {
    match number {
        1 => CipherSuite::AesCtr128HmacSha256_80,
        2 => CipherSuite::AesCtr128HmacSha256_64,
        3 => CipherSuite::AesCtr128HmacSha256_32,
        4 => CipherSuite::AesGcm128Sha256,
        5 => CipherSuite::AesGcm256Sha512,
        _ => panic!("the crate has no suite {number}"),
    }
}

/// The next request, or None at the end of the input.
fn next(input: &mut impl Read) -> io::Result<Option<Request>> {
    let mut head = [0u8; 18];
    if input.read(&mut head[..1])? == 0 {
        return Ok(None);
    }
    input.read_exact(&mut head[1..])?;
    Ok(Some(Request {
        op: head[0],
        suite: suite(head[1]),
        kid: u64::from_be_bytes(head[2..10].try_into().unwrap()),
        ctr: u64::from_be_bytes(head[10..18].try_into().unwrap()),
        base_key: field(input)?,
        metadata: field(input)?,
        data: field(input)?,
    }))
}

fn field(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut size = [0u8; 4];
    input.read_exact(&mut size)?;
    let mut bytes = vec![0u8; u32::from_be_bytes(size) as usize];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn answer(request: &Request) -> Result<Vec<u8>> {
    match request.op {
        b'S' => seal(request),
        b'O' => open(request),
        b'R' => Kdf::ratchet(request.suite, &request.base_key),
        op => panic!("no such request: {op}"),
    }
}

fn seal(r: &Request) -> Result<Vec<u8>> {
    let key = EncryptionKey::derive_from(r.suite, r.kid, &r.base_key)?;
    let mut counter = SingleUseCounter::new(r.ctr);
    let frame = MediaFrameView::try_with_meta_data(&mut counter, &r.data, &r.metadata)?;
    Ok(frame.encrypt(&key)?.sframe_cipher_text().to_vec())
}

fn open(r: &Request) -> Result<Vec<u8>> {
    let key = DecryptionKey::derive_from(r.suite, r.kid, &r.base_key)?;
    let frame = EncryptedFrameView::try_with_meta_data(&r.data, &r.metadata)?;
    Ok(frame.decrypt(&key)?.payload().to_vec())
}

fn main() -> io::Result<()> {
    let mut input = BufReader::new(io::stdin().lock());
    let mut output = BufWriter::new(io::stdout().lock());
    while let Some(request) = next(&mut input)? {
        let answered = answer(&request);
        let bytes = answered.as_deref().unwrap_or_default();
        output.write_all(&[answered.is_ok() as u8])?;
        output.write_all(&(bytes.len() as u32).to_be_bytes())?;
        output.write_all(bytes)?;
    }
    output.flush()
}
