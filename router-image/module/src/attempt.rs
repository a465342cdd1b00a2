//! Upstream filter, run for every attempt of a request: says which answers are to be tried again, and changes what the
//! next attempt sends.

use std::cell::Cell;
use std::sync::Arc;

use crate::budget::Budget;
use crate::edit;
use crate::envoy::{Body, Map, Metadata, Stream};
use crate::headers::{ATTEMPT, CHOSEN, FINAL, LENGTH, METADATA, OURS, PREFIX, QUALITY, TYPE};
use crate::in_flight::{Entered, InFlight};
use crate::kept::{now, Kept};
use crate::overload;
use crate::policy::Attempts;
use crate::quality;
use crate::status::Status;

/// Under which the number of bad answers is noted.
const BAD: &str = "bad";
/// A longer answer is passed on unchecked (bytes): it would have to be held in memory as a whole.
const CHECKED: usize = 1 << 20;

/// One attempt.
pub struct Attempt {
    budget: Arc<Budget>,
    number: Cell<u32>,
    answer: Cell<Answer>,
    /// While the engine is at work on it.
    entered: Cell<Option<Entered>>,
}

/// What is to be done with the answer's body.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Pass,
    /// A whole 200 that is short enough.
    Check,
    /// A 503, which may come from a full queue.
    Rename,
}

impl Attempt {
    pub fn new(budget: Arc<Budget>) -> Self {
        Attempt {
            budget,
            number: Cell::new(1),
            answer: Cell::new(Answer::Pass),
            entered: Cell::new(None),
        }
    }

    pub fn request_headers(&self, stream: &Stream, policy: &Attempts) -> Status {
        let tier = stream.metadata(Metadata::Engine, METADATA, "tier").unwrap_or_default();
        self.entered.set(policy.in_flight(tier).map(InFlight::enter));
        let number = stream.header(Map::Request, ATTEMPT).and_then(number).unwrap_or(1) as u32;
        self.number.set(number);
        for internal in [CHOSEN, PREFIX, ATTEMPT] {
            stream.remove_header(Map::Request, internal);
        }
        if number == 1 {
            return Status::Go;
        }
        self.budget.spend();
        if too_late(stream, policy) {
            stream.respond(504, "The engines failed, and no time is left for another attempt.");
            return Status::Wait;
        }
        match policy.change_for(number, bad_answers(stream)) {
            Some(_) => Status::Wait,
            None => Status::Go,
        }
    }

    /// Comes whole: an attempt that is not the first is sent from what has been kept.
    pub fn request_body(&self, stream: &Stream, policy: &Attempts) -> Status {
        let number = self.number.get();
        let change = if number == 1 {
            None
        } else {
            policy.change_for(number, bad_answers(stream))
        };
        if let Some(change) = change {
            let body = edit::apply(&stream.body(Body::ReceivedRequest), change, number);
            stream.drain(Body::ReceivedRequest);
            stream.append(Body::ReceivedRequest, &body);
            stream.set_header(Map::Request, LENGTH, body.len().to_string().as_bytes());
        }
        Status::Go
    }

    pub fn response_headers(&self, stream: &Stream, policy: &Attempts, end: bool) -> Status {
        // Engines say nothing in our name.
        for forged in stream.header_names(Map::Response, OURS) {
            stream.remove_header(Map::Response, &forged);
        }
        let answer = match stream.header(Map::Response, ":status") {
            Some(b"200") if policy.quality && is_checked(stream) => Answer::Check,
            Some(b"200") => {
                self.budget.earn(policy.budget);
                Answer::Pass
            }
            Some(b"503") if !end => Answer::Rename,
            Some([b'5', ..]) => {
                self.failed(stream, policy);
                Answer::Pass
            }
            _ => Answer::Pass,
        };
        self.answer.set(answer);
        if end {
            return self.response_end(stream, policy);
        }
        self.response_body()
    }

    /// Not the end of it.
    pub fn response_body(&self) -> Status {
        match self.answer.get() {
            Answer::Pass => Status::Go,
            Answer::Check | Answer::Rename => Status::Wait,
        }
    }

    /// The answer has come whole.
    pub fn response_end(&self, stream: &Stream, policy: &Attempts) -> Status {
        self.entered.set(None);
        match self.answer.replace(Answer::Pass) {
            Answer::Pass => {}
            Answer::Check => self.check(stream, policy),
            Answer::Rename => self.rename(stream, policy),
        }
        Status::Go
    }

    fn check(&self, stream: &Stream, policy: &Attempts) {
        let asked = Kept::of(stream).map(|kept| kept.asked).unwrap_or_default();
        match quality::fault(&stream.response_body(), &asked) {
            None => self.budget.earn(policy.budget),
            Some(fault) => {
                stream.set_header(Map::Response, QUALITY, fault.as_str().as_bytes());
                stream.note_number(METADATA, BAD, f64::from(bad_answers(stream) + 1));
                self.failed(stream, policy);
            }
        }
    }

    /// A full queue is no failure: its answer becomes a 429.
    fn rename(&self, stream: &Stream, policy: &Attempts) {
        if !overload::says_full_queue(&stream.response_body()) {
            return self.failed(stream, policy);
        }
        stream.replace_response_body(overload::ANSWER);
        let length = overload::ANSWER.len().to_string();
        let headers = [
            (":status", "429"),
            ("retry-after", "1"),
            (TYPE, "application/json"),
            (LENGTH, &length),
        ];
        for (name, value) in headers {
            stream.set_header(Map::Response, name, value.as_bytes());
        }
    }

    fn failed(&self, stream: &Stream, policy: &Attempts) {
        if too_late(stream, policy) || !self.budget.allows(now()) {
            stream.set_header(Map::Response, FINAL, b"true");
        }
    }
}

fn too_late(stream: &Stream, policy: &Attempts) -> bool {
    Kept::of(stream).map_or(false, |kept| now().saturating_sub(kept.start) > policy.deadline)
}

/// Answers of bad quality to this request so far.
fn bad_answers(stream: &Stream) -> u32 {
    stream.noted_number(METADATA, BAD).unwrap_or(0.0) as u32
}

fn is_checked(stream: &Stream) -> bool {
    let kind = stream.header(Map::Response, TYPE).unwrap_or_default();
    let length = stream.header(Map::Response, LENGTH).and_then(number);
    kind.starts_with(b"application/json")
        && length.map_or(false, |length| length <= CHECKED)
        && stream.header(Map::Response, "content-encoding").is_none()
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}
