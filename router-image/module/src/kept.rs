//! What the choose filter leaves for the attempts of its request.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::asked::Asked;
use crate::envoy::Stream;

const KEY: &str = "llm";

pub struct Kept {
    /// When the request had come (milliseconds since 1970).
    pub start: u64,
    pub asked: Asked,
}

impl Kept {
    pub fn now(asked: Asked) -> Self {
        Kept { start: now(), asked }
    }

    pub fn keep(&self, stream: &Stream) {
        let mut bytes = self.start.to_le_bytes().to_vec();
        bytes.extend(self.asked.encode());
        stream.keep(KEY, &bytes);
    }

    pub fn of(stream: &Stream) -> Option<Self> {
        let (start, asked) = split(stream.kept(KEY)?)?;
        Some(Kept {
            start: u64::from_le_bytes(start),
            asked: Asked::decode(asked),
        })
    }
}

fn split(bytes: &[u8]) -> Option<([u8; 8], &[u8])> {
    Some((bytes.get(..8)?.try_into().ok()?, &bytes[8..]))
}

/// Milliseconds since 1970.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
