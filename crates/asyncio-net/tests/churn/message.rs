//! A message: its length, its connection, its number, a checksum of all that and of its bytes, and those.

pub(crate) const HEAD: usize = 20;
/// What a client says, and nothing before it that has not come back, if the server is to cut it off.
pub(crate) const CUT: &[u8] = &[0xff; 30];

/// Writes a message of `len` bytes behind its head.
pub(crate) fn append(connection: u32, number: u64, len: u16, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&u32::from(len).to_be_bytes());
    out.extend_from_slice(&connection.to_be_bytes());
    out.extend_from_slice(&number.to_be_bytes());
    let mut byte = number as u8 ^ connection as u8;
    let bytes = std::iter::repeat_with(|| {
        byte = byte.wrapping_mul(5).wrapping_add(1);
        byte
    });
    let bytes: Vec<u8> = bytes.take(usize::from(len)).collect();
    let mut sum = crc32fast::Hasher::new();
    sum.update(&out[start..]);
    sum.update(&bytes);
    out.extend_from_slice(&sum.finalize().to_be_bytes());
    out.extend_from_slice(&bytes);
}

/// Checks that `bytes` are message `number` of `connection`, whole.
pub(crate) fn check(connection: u32, number: u64, bytes: &[u8]) {
    let (head, body) = bytes.split_at(HEAD);
    let mut sum = crc32fast::Hasher::new();
    sum.update(&head[..16]);
    sum.update(body);
    assert_eq!(head[16..], sum.finalize().to_be_bytes(), "damaged: message {number} of {connection}");
    assert_eq!(head[4..8], connection.to_be_bytes(), "of another connection than {connection}");
    assert_eq!(head[8..16], number.to_be_bytes(), "lost or repeated: message {number} of {connection}");
}
