//! What the filters of one request leave for each other: the choose filter for the attempts, and the attempts for it.

use crate::protocol::requirements::AnswerRequirements;
use crate::stream::{Attribute, MetadataSource, Stream, METADATA};

/// Of the dynamic metadata: attempts that were not sent, and whether that was the end.
const UNSENT: &str = "unsent";
const REFUSED: &str = "refused";
/// Answers of low quality, a line for each.
const LOW_QUALITY: &str = "low_quality";
/// Answers of services that were for their owner, a line for each.
const EXTERNAL_REFUSALS: &str = "external_refusals";
/// Of the filter state.
const STATE: &str = "llm";
const ANSWER: &str = "llm-answer";

/// What attempts must know of their request.
#[derive(Debug, PartialEq)]
pub struct RequestState {
    /// When it had come (milliseconds since 1970).
    pub start: u64,
    pub requirements: AnswerRequirements,
}

impl RequestState {
    pub fn save(&self, stream: &mut impl Stream) {
        let mut bytes = self.start.to_le_bytes().to_vec();
        bytes.extend(self.requirements.encode());
        stream.set_filter_state(STATE, &bytes);
    }

    pub fn of(stream: &impl Stream) -> Option<Self> {
        let (start, requirements) = split(stream.filter_state(STATE)?)?;
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
#[derive(Debug, PartialEq)]
pub struct LowQualityAnswer<'a> {
    /// The first is 1.
    pub attempt: u32,
    pub fault: &'a str,
    pub tier: &'a str,
}

impl<'a> LowQualityAnswer<'a> {
    pub fn add(&self, stream: &mut impl Stream) {
        let earlier = stream.dynamic_metadata(LOW_QUALITY).unwrap_or_default();
        let line = format!("{} {} {}\n", self.attempt, self.fault, self.tier);
        let lines = [earlier, line.as_bytes()].concat();
        stream.set_dynamic_metadata(LOW_QUALITY, &lines);
    }

    /// In the order of the attempts.
    pub fn all(stream: &'a impl Stream) -> Vec<Self> {
        let lines = stream.dynamic_metadata(LOW_QUALITY).unwrap_or_default();
        let lines = std::str::from_utf8(lines).unwrap_or_default();
        lines.lines().filter_map(LowQualityAnswer::parse).collect()
    }

    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.splitn(3, ' ');
        Some(LowQualityAnswer {
            attempt: words.next()?.parse().ok()?,
            fault: words.next()?,
            tier: words.next()?,
        })
    }
}

/// A service outside of the cluster that answers for the tier has refused an attempt with this status.
pub fn add_external_refusal(stream: &mut impl Stream, tier: &str, status: u32) {
    let earlier = stream.dynamic_metadata(EXTERNAL_REFUSALS).unwrap_or_default();
    let lines = [earlier, format!("{tier} {status}\n").as_bytes()].concat();
    stream.set_dynamic_metadata(EXTERNAL_REFUSALS, &lines);
}

/// Tiers and statuses of all of them.
pub fn external_refusals(stream: &impl Stream) -> Vec<(&str, &str)> {
    let lines = stream.dynamic_metadata(EXTERNAL_REFUSALS).unwrap_or_default();
    let lines = std::str::from_utf8(lines).unwrap_or_default();
    lines.lines().filter_map(|line| line.split_once(' ')).collect()
}

/// The first of the low-quality answers, for the client whose retries meet nothing but failures.
#[derive(Debug, PartialEq)]
pub struct SavedAnswer {
    pub fault: String,
    pub tier: String,
    pub body: Vec<u8>,
}

impl SavedAnswer {
    /// Once for each request.
    pub fn save(&self, stream: &mut impl Stream) {
        let head = format!("{} {}\n", self.fault, self.tier);
        stream.set_filter_state(ANSWER, &[head.as_bytes(), &self.body].concat());
    }

    pub fn of(stream: &impl Stream) -> Option<Self> {
        let saved = stream.filter_state(ANSWER)?;
        let line = saved.iter().position(|byte| *byte == b'\n')?;
        let (fault, tier) = std::str::from_utf8(&saved[..line]).ok()?.split_once(' ')?;
        Some(SavedAnswer {
            fault: fault.to_owned(),
            tier: tier.to_owned(),
            body: saved[line + 1..].to_owned(),
        })
    }
}

/// An attempt is not sent, at least not yet.
pub fn add_unsent(stream: &mut impl Stream) {
    set_count(stream, UNSENT, count(stream, UNSENT) + 1);
}

/// It is, after all.
pub fn remove_unsent(stream: &mut impl Stream) {
    set_count(stream, UNSENT, unsent(stream).saturating_sub(1));
}

pub fn unsent(stream: &impl Stream) -> usize {
    count(stream, UNSENT)
}

/// No attempt is sent any more.
pub fn set_refused(stream: &mut impl Stream) {
    add_unsent(stream);
    set_count(stream, REFUSED, 1);
}

/// How often the request has been sent to an engine.
pub fn attempts_sent(stream: &impl Stream) -> u64 {
    match stream.attribute(Attribute::Attempts).unwrap_or(0) {
        few @ 0..=1 => few,
        attempts => attempts.saturating_sub(unsent(stream) as u64),
    }
}

/// The tier of the engine that answers, or that should have.
pub fn answering_tier(stream: &impl Stream) -> Option<&[u8]> {
    let is_retried = stream.attribute(Attribute::Attempts).unwrap_or(0) > 1;
    if is_retried && stream.dynamic_metadata_number(REFUSED).is_some() {
        return None;
    }
    stream.metadata(MetadataSource::Host, METADATA, "tier")
}

pub fn count(stream: &impl Stream, key: &str) -> usize {
    stream.dynamic_metadata_number(key).unwrap_or(0.0) as usize
}

pub fn set_count(stream: &mut impl Stream, key: &str, count: usize) {
    stream.set_dynamic_metadata_number(key, count as f64);
}
