//! Upstream filter, run for every attempt of a request: says which answers are to be tried again, and changes what the
//! next attempt sends.

use std::cell::Cell;
use std::sync::Arc;

use crate::abi::envoy::{Body, Map, Metadata, Stream};
use crate::abi::status::Status;
use crate::filters::failures::fault::{self, PreviousAttempt, TierState};
use crate::filters::failures::hold;
use crate::filters::headers::{ATTEMPT, CHOSEN, FINAL, LENGTH, METADATA, OURS, PREFIX, QUALITY, TYPE};
use crate::filters::in_flight::{InFlight, InFlightGuard};
use crate::filters::request_state::{now, LowQualityAnswer, RequestState, SavedAnswer};
use crate::filters::route_config::AttemptConfig;
use crate::protocol::overload;
use crate::protocol::quality;
use crate::protocol::rewrite::{self, Change};

/// A longer answer is passed on unchecked (bytes): it would have to be held in memory as a whole.
const CHECKED: usize = 1 << 20;

/// One attempt.
pub struct Attempt {
    tier: Arc<TierState>,
    number: Cell<u32>,
    answer: Cell<Answer>,
    /// While the engine is at work on it.
    entered: Cell<Option<InFlightGuard>>,
    /// While it waits before it is sent.
    held: Cell<bool>,
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
    pub fn new(tier: Arc<TierState>) -> Self {
        Attempt {
            tier,
            number: Cell::new(1),
            answer: Cell::new(Answer::Pass),
            entered: Cell::new(None),
            held: Cell::new(false),
        }
    }

    pub fn request_headers(&self, stream: &Stream, policy: &AttemptConfig) -> Status {
        self.entered
            .set(policy.in_flight(tier(stream).as_bytes()).map(InFlight::enter));
        let number = stream.header(Map::Request, ATTEMPT).and_then(number).unwrap_or(1) as u32;
        self.number.set(number);
        for internal in [CHOSEN, PREFIX, ATTEMPT] {
            stream.remove_header(Map::Request, internal);
        }
        if number == 1 {
            return Status::Go;
        }
        let answers = LowQualityAnswer::all(stream);
        match answers.last() {
            Some(last) if last.attempt + 1 == number => self.tier.low_quality.spend(),
            _ => self.tier.budget.spend(),
        }
        let before = self.tier.before(stream);
        if before == PreviousAttempt::LostAgain {
            stream.note(METADATA, "error", b"engines_lost");
            return refuse(
                stream,
                502,
                "Two engines were lost while they worked on this request: it is not tried again.",
            );
        }
        if too_late(stream, policy) {
            return refuse(
                stream,
                504,
                "The engines failed, and no time is left for another attempt.",
            );
        }
        if before == PreviousAttempt::Lost {
            self.held.set(true);
            fault::unsent(stream);
            hold::wake_later(stream.wake());
            return Status::Wait;
        }
        match policy.change_for(number, answers.len() as u32) {
            None if answers.is_empty() => Status::Go,
            _ => Status::Wait,
        }
    }

    /// Comes whole: an attempt that is not the first is sent from what has been kept.
    pub fn request_body(&self, stream: &Stream, policy: &AttemptConfig) -> Status {
        let number = self.number.get();
        if number == 1 {
            return Status::Go;
        }
        self.change(stream, policy, number);
        if self.held.get() {
            Status::Hold
        } else {
            Status::Go
        }
    }

    fn change(&self, stream: &Stream, policy: &AttemptConfig, number: u32) {
        let answered = LowQualityAnswer::all(stream).len() as u32;
        let (change, body) = (policy.change_for(number, answered), stream.body(Body::ReceivedRequest));
        let body = match change {
            change if answered > 0 => {
                let earlier = policy.changes_before(number, answered);
                rewrite::apply_anew(&body, change.unwrap_or(&Change::default()), &earlier, number)
            }
            Some(change) => rewrite::apply(&body, change, number),
            None => return,
        };
        stream.drain(Body::ReceivedRequest);
        stream.append(Body::ReceivedRequest, &body);
        stream.set_header(Map::Request, LENGTH, body.len().to_string().as_bytes());
    }

    /// It has waited long enough.
    pub fn go_on(&self, stream: &Stream) {
        self.held.set(false);
        fault::sent(stream);
        stream.go_on();
    }

    pub fn response_headers(&self, stream: &Stream, policy: &AttemptConfig, end: bool) -> Status {
        // Engines say nothing in our name.
        for forged in stream.header_names(Map::Response, OURS) {
            stream.remove_header(Map::Response, &forged);
        }
        let answer = match stream.header(Map::Response, ":status") {
            Some(b"200") if policy.quality && is_checked(stream) => Answer::Check,
            Some(b"200") => {
                self.good(stream, policy);
                self.tier.low_quality.earn(policy.budget);
                Answer::Pass
            }
            Some(b"503") if !end => Answer::Rename,
            // Others are about the request, and are not tried again.
            Some(b"500" | b"502" | b"503" | b"504") => {
                self.failed(stream, policy);
                Answer::Pass
            }
            _ => {
                if self.number.get() > 1 {
                    fault::refused(stream);
                }
                Answer::Pass
            }
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
    pub fn response_end(&self, stream: &Stream, policy: &AttemptConfig) -> Status {
        self.entered.set(None);
        match self.answer.replace(Answer::Pass) {
            Answer::Pass => {}
            Answer::Check => self.check(stream, policy),
            Answer::Rename => self.rename(stream, policy),
        }
        Status::Go
    }

    /// Whatever its quality, it is an answer: the engine and the tier have not failed.
    fn check(&self, stream: &Stream, policy: &AttemptConfig) {
        self.good(stream, policy);
        let requirements = RequestState::of(stream)
            .map(|kept| kept.requirements)
            .unwrap_or_default();
        let answer = stream.response_body();
        let fault = match quality::fault(&answer, &requirements) {
            None => return self.tier.low_quality.earn(policy.budget),
            Some(fault) => fault,
        };
        let fault = fault.as_str();
        stream.set_header(Map::Response, QUALITY, fault.as_bytes());
        let (attempt, tier) = (self.number.get(), tier(stream));
        let answered = LowQualityAnswer { attempt, fault, tier }.note(stream);
        let is_worth_it = policy.may_differ(attempt, answered, &requirements) && !too_late(stream, policy);
        if !is_worth_it || !self.tier.low_quality.allows(now()) {
            stream.set_header(Map::Response, FINAL, b"true");
        } else if answered == 1 {
            let body = &answer;
            SavedAnswer { fault, tier, body }.keep(stream);
        }
    }

    /// A full queue is no failure: its answer becomes a 429.
    fn rename(&self, stream: &Stream, policy: &AttemptConfig) {
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

    fn good(&self, stream: &Stream, policy: &AttemptConfig) {
        self.tier.budget.earn(policy.budget);
        self.tier.answered(stream, self.number.get());
    }

    fn failed(&self, stream: &Stream, policy: &AttemptConfig) {
        self.tier.failed(stream, self.number.get(), too_late(stream, policy));
    }
}

fn too_late(stream: &Stream, policy: &AttemptConfig) -> bool {
    RequestState::of(stream).map_or(false, |kept| now().saturating_sub(kept.start) > policy.deadline)
}

/// The tier of the engine.
fn tier<'a>(stream: &Stream<'a>) -> &'a str {
    let name = stream.metadata(Metadata::Engine, METADATA, "tier").unwrap_or_default();
    std::str::from_utf8(name).unwrap_or_default()
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

/// Instead of sending it to an engine.
fn refuse(stream: &Stream, status: u32, why: &str) -> Status {
    fault::refuse(stream);
    stream.respond(status, why);
    Status::Wait
}
