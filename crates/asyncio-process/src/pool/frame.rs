//! What goes between a pool and a worker: a length, and that many bytes, each way in turn.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The bytes before each message: its length.
pub(super) const HEAD: usize = 8;

/// A call, as a worker gets it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request<'a> {
    /// Of those that its worker gets. The answer has the same.
    pub(super) number: u64,
    pub(super) function: &'a str,
    /// How many bytes of address space it may take besides what the worker has.
    pub(super) memory_max: Option<u64>,
    pub(super) argument: &'a [u8],
}

/// What a worker gives back.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Reply {
    pub(super) number: u64,
    pub(super) answer: Answer,
}

/// What a call came to.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Returned(Vec<u8>),
    Panicked(String),
    Encoding(String),
}

pub(super) fn encode(value: &impl Serialize) -> Result<Vec<u8>, postcard::Error> {
    postcard::to_stdvec(value)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, postcard::Error> {
    postcard::from_bytes(bytes)
}

/// A message with its head.
pub(super) fn framed(value: &impl Serialize) -> Result<Vec<u8>, postcard::Error> {
    let mut bytes = postcard::to_extend(value, vec![0; HEAD])?;
    let length = (bytes.len() - HEAD) as u64;
    bytes[..HEAD].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

pub(super) fn length(head: [u8; HEAD]) -> usize {
    usize::try_from(u64::from_le_bytes(head)).unwrap_or(usize::MAX)
}
