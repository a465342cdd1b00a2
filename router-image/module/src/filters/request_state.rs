//! What the choose filter leaves for the attempts of its request, and they for it.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::abi::envoy::Stream;
use crate::filters::headers::METADATA;
use crate::protocol::requirements::AnswerRequirements;

const KEY: &str = "llm";

pub struct RequestState {
    /// When the request had come (milliseconds since 1970).
    pub start: u64,
    pub requirements: AnswerRequirements,
}

impl RequestState {
    pub fn now(requirements: AnswerRequirements) -> Self {
        RequestState {
            start: now(),
            requirements,
        }
    }

    pub fn keep(&self, stream: &Stream) {
        let mut bytes = self.start.to_le_bytes().to_vec();
        bytes.extend(self.requirements.encode());
        stream.keep(KEY, &bytes);
    }

    pub fn of(stream: &Stream) -> Option<Self> {
        let (start, requirements) = split(stream.kept(KEY)?)?;
        Some(RequestState {
            start: u64::from_le_bytes(start),
            requirements: AnswerRequirements::decode(requirements),
        })
    }
}

fn split(bytes: &[u8]) -> Option<([u8; 8], &[u8])> {
    Some((bytes.get(..8)?.try_into().ok()?, &bytes[8..]))
}

/// An answer of low quality to an attempt of the request.
pub struct LowQualityAnswer<'a> {
    /// The first is 1.
    pub attempt: u32,
    pub fault: &'a str,
    pub tier: &'a str,
}

/// Under which they are noted, a line for each.
const LOW_QUALITY: &str = "low_quality";

impl<'a> LowQualityAnswer<'a> {
    /// Returns how many there are with it.
    pub fn note(&self, stream: &Stream) -> u32 {
        let earlier = stream.noted(METADATA, LOW_QUALITY).unwrap_or_default();
        let line = format!("{} {} {}\n", self.attempt, self.fault, self.tier);
        stream.note(METADATA, LOW_QUALITY, &[earlier, line.as_bytes()].concat());
        LowQualityAnswer::all(stream).len() as u32
    }

    /// In the order of the attempts.
    pub fn all(stream: &Stream<'a>) -> Vec<Self> {
        let lines = stream.noted(METADATA, LOW_QUALITY).unwrap_or_default();
        let lines = std::str::from_utf8(lines).unwrap_or_default();
        lines.lines().filter_map(LowQualityAnswer::read).collect()
    }

    fn read(line: &'a str) -> Option<Self> {
        let mut words = line.splitn(3, ' ');
        Some(LowQualityAnswer {
            attempt: words.next()?.parse().ok()?,
            fault: words.next()?,
            tier: words.next()?,
        })
    }
}

/// The first of them, for the client whose retries meet nothing but failures.
pub struct SavedAnswer<'a> {
    pub fault: &'a str,
    pub tier: &'a str,
    pub body: &'a [u8],
}

const ANSWER: &str = "llm-answer";

impl<'a> SavedAnswer<'a> {
    /// Once for each request.
    pub fn keep(&self, stream: &Stream) {
        let head = format!("{} {}\n", self.fault, self.tier);
        stream.keep(ANSWER, &[head.as_bytes(), self.body].concat());
    }

    pub fn of(stream: &Stream<'a>) -> Option<Self> {
        let kept = stream.kept(ANSWER)?;
        let line = kept.iter().position(|byte| *byte == b'\n')?;
        let (fault, tier) = std::str::from_utf8(&kept[..line]).ok()?.split_once(' ')?;
        let body = &kept[line + 1..];
        Some(SavedAnswer { fault, tier, body })
    }
}

/// Milliseconds since 1970.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
