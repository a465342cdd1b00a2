//! Upstream filter, run for every attempt of a request: says which answers are to be tried again, and changes what the
//! next attempt sends.

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use super::external::{self, Service};
use super::failures::fault::{self, PreviousAttempt, TierState};
use super::headers::{ATTEMPT, CHOSEN, ERROR, FINAL, LENGTH, OURS, PREFIX, QUALITY, SHOULD_RETRY, TYPE};
use super::in_flight::{InFlight, InFlightGuard};
use super::request_state::{
    add_external_refusal, add_unsent, remove_unsent, set_refused, LowQualityAnswer, RequestState, SavedAnswer,
};
use super::route_config::AttemptConfig;
use super::HttpFilter;
use crate::protocol::rewrite::{self, Change};
use crate::protocol::{overload, quality};
use crate::stream::{HeaderMap, MetadataSource, MetricDefinitions, Status, Stream, METADATA};

/// A longer answer is passed on unchecked (bytes): it would have to be held in memory as a whole.
const CHECKED: usize = 1 << 20;

/// After an engine was lost, its requests wait so long: engines that are killed at once do not die at once, and what is
/// sent to one of them meanwhile is lost as well, though it is not to blame.
const PAUSE: Duration = Duration::from_millis(100);

/// One attempt.
pub struct AttemptFilter {
    tier: Arc<TierState>,
    number: Cell<u32>,
    answer: Cell<Answer>,
    /// Where it goes, if that is no engine.
    service: RefCell<Option<Box<Service>>>,
    /// While the engine is at work on it.
    in_flight: Cell<Option<InFlightGuard>>,
    /// While it waits before it is sent.
    waits: Cell<bool>,
}

/// What is to be done with the answer's body.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Pass,
    /// A whole 200 that is short enough.
    CheckQuality,
    /// A 503, which may come from a full queue.
    CheckOverload,
    /// Of a service, which answers so to its owner and not to the client: the status.
    Refusal(u32),
}

impl HttpFilter for AttemptFilter {
    const NAME: &'static str = "attempt";
    type Config = Arc<TierState>;
    type RouteConfig = AttemptConfig;

    fn config(_: &mut impl MetricDefinitions) -> Arc<TierState> {
        Arc::default()
    }

    fn route_config(bytes: &[u8]) -> Option<AttemptConfig> {
        AttemptConfig::parse(bytes)
    }

    fn new(tier: &Arc<TierState>) -> Self {
        AttemptFilter {
            tier: tier.clone(),
            number: Cell::new(1),
            answer: Cell::new(Answer::Pass),
            service: RefCell::default(),
            in_flight: Cell::new(None),
            waits: Cell::new(false),
        }
    }

    fn on_request_headers(&self, stream: &mut impl Stream, config: &AttemptConfig, _: bool) -> Status {
        self.in_flight
            .set(config.in_flight(tier(stream).as_bytes()).map(InFlight::enter));
        let number = stream.header(HeaderMap::Request, ATTEMPT).and_then(number).unwrap_or(1) as u32;
        self.number.set(number);
        for internal in [CHOSEN, PREFIX, ATTEMPT] {
            stream.remove_header(HeaderMap::Request, internal);
        }
        let was_external = number > 1 && fault::note_service(stream, false);
        let is_external = self.find_service(stream);
        let status = match number {
            1 => Status::Continue,
            _ => self.retry(stream, config, number, was_external),
        };
        match status {
            // Its body has another model, and so another length.
            Status::Continue if is_external => Status::StopIteration,
            status => status,
        }
    }

    /// Comes whole: an attempt that is not the first is sent from what has been kept.
    fn on_request_body(&self, stream: &mut impl Stream, config: &AttemptConfig, _: bool) -> Status {
        let (number, service) = (self.number.get(), self.service.borrow());
        if number == 1 && service.is_none() {
            return Status::Continue;
        }
        let changed = if number == 1 {
            None
        } else {
            changed(stream, config, number)
        };
        let body = match &*service {
            Some(service) => {
                let received = stream.received_request_body();
                let named = match &changed {
                    Some(changed) => rewrite::with_model(changed, &service.model),
                    None => rewrite::with_model(&received, &service.model),
                };
                // What is no whole request (as nobody has waited for the rest of it) stays as it is, its length too.
                Some(named).filter(|named| named[..] != received[..])
            }
            None => changed,
        };
        if let Some(body) = body {
            stream.replace_received_request_body(&body);
            stream.set_header(HeaderMap::Request, LENGTH, body.len().to_string().as_bytes());
        }
        if self.waits.get() {
            Status::StopAndWatermark
        } else {
            Status::Continue
        }
    }

    fn on_response_headers(&self, stream: &mut impl Stream, config: &AttemptConfig, end: bool) -> Status {
        if self.service.borrow().is_some() {
            external::screen(stream);
            external::restore(stream);
        }
        // Engines say nothing in our name.
        for forged in stream.header_names(HeaderMap::Response, OURS) {
            stream.remove_header(HeaderMap::Response, &forged);
        }
        self.answer.set(self.judge_headers(stream, config, end));
        self.on_response_body(stream, config, end)
    }

    fn on_response_body(&self, stream: &mut impl Stream, config: &AttemptConfig, end: bool) -> Status {
        if end {
            return self.on_response_trailers(stream, config);
        }
        match self.answer.get() {
            Answer::Pass => Status::Continue,
            Answer::CheckQuality | Answer::CheckOverload | Answer::Refusal(_) => Status::StopIteration,
        }
    }

    /// The answer has come whole.
    fn on_response_trailers(&self, stream: &mut impl Stream, config: &AttemptConfig) -> Status {
        self.in_flight.set(None);
        match self.answer.replace(Answer::Pass) {
            Answer::Pass => {}
            Answer::CheckQuality => self.check_quality(stream, config),
            Answer::CheckOverload => self.check_overload(stream, config),
            Answer::Refusal(status) => {
                let body = self.refuse_as_service(stream, config, status);
                stream.replace_response_body(body.as_bytes());
            }
        }
        Status::Continue
    }

    /// It has waited long enough.
    fn on_scheduled(&self, stream: &mut impl Stream) {
        self.waits.set(false);
        remove_unsent(stream);
        stream.continue_decoding();
    }
}

impl AttemptFilter {
    /// At the beginning of an attempt that is not the first.
    fn retry(&self, stream: &mut impl Stream, config: &AttemptConfig, number: u32, was_external: bool) -> Status {
        let answers = LowQualityAnswer::all(stream);
        let answered = answers.len() as u32;
        match answers.last() {
            Some(last) if last.attempt + 1 == number => self.tier.low_quality.spend(),
            _ => self.tier.budget.spend(),
        }
        let previous = self.tier.previous_attempt(stream, was_external);
        if previous == PreviousAttempt::LostAgain {
            stream.set_dynamic_metadata("error", b"engines_lost");
            return refuse(
                stream,
                502,
                "Two engines were lost while they worked on this request: it is not tried again.",
            );
        }
        if too_late(stream, config) {
            return refuse(
                stream,
                504,
                "The engines failed, and no time is left for another attempt.",
            );
        }
        if previous == PreviousAttempt::Lost {
            self.waits.set(true);
            add_unsent(stream);
            stream.wake_after(PAUSE);
            return Status::StopIteration;
        }
        match config.change_for(number, answered) {
            None if answered == 0 => Status::Continue,
            _ => Status::StopIteration,
        }
    }

    /// Whether the attempt is at a service; then its headers are made what that is sent.
    fn find_service(&self, stream: &mut impl Stream) -> bool {
        let service = Service::of(stream).map(Box::new);
        match &service {
            Some(service) => {
                service.address(stream);
                fault::note_service(stream, true);
            }
            None if self.number.get() > 1 => external::restore(stream),
            None => {}
        }
        let is_external = service.is_some();
        self.service.replace(service);
        is_external
    }

    /// What its headers say of the engine and of the request, and what is to be done with the body.
    fn judge_headers(&self, stream: &mut impl Stream, config: &AttemptConfig, end: bool) -> Answer {
        let status = stream
            .header(HeaderMap::Response, ":status")
            .and_then(number)
            .unwrap_or(0) as u32;
        if self.service.borrow().is_some() && external::is_refusal(status) {
            if !end {
                return Answer::Refusal(status);
            }
            let body = self.refuse_as_service(stream, config, status);
            stream.add_response_body(body.as_bytes());
            return Answer::Pass;
        }
        match stream.header(HeaderMap::Response, ":status") {
            Some(b"200") if config.quality && is_checked(stream) => return Answer::CheckQuality,
            Some(b"200") => {
                self.good(stream, config);
                self.tier.low_quality.earn(config.budget);
            }
            Some(b"503") if !end => return Answer::CheckOverload,
            // Others are about the request, and are not tried again.
            Some(b"500" | b"502" | b"503" | b"504") => self.failed(stream, config),
            _ if self.number.get() > 1 => fault::refused(stream),
            _ => {}
        }
        Answer::Pass
    }

    /// Whatever its quality, it is an answer: the engine and the tier have not failed.
    fn check_quality(&self, stream: &mut impl Stream, config: &AttemptConfig) {
        self.good(stream, config);
        let requirements = RequestState::of(stream)
            .map(|state| state.requirements)
            .unwrap_or_default();
        let answer = stream.response_body();
        let fault = match quality::fault(&answer, &requirements) {
            None => return self.tier.low_quality.earn(config.budget),
            Some(fault) => fault.as_str(),
        };
        let (attempt, tier) = (self.number.get(), tier(stream).to_owned());
        let answered = LowQualityAnswer::all(stream).len() as u32 + 1;
        let is_retried = config.may_differ(attempt, answered, &requirements)
            && !too_late(stream, config)
            && self.tier.low_quality.allows(stream.now());
        let saved = (is_retried && answered == 1).then(|| SavedAnswer {
            fault: fault.to_owned(),
            tier: tier.clone(),
            body: answer.into_owned(),
        });
        stream.set_header(HeaderMap::Response, QUALITY, fault.as_bytes());
        LowQualityAnswer {
            attempt,
            fault,
            tier: &tier,
        }
        .add(stream);
        if !is_retried {
            stream.set_header(HeaderMap::Response, FINAL, b"true");
        }
        if let Some(saved) = saved {
            saved.save(stream);
        }
    }

    /// A full queue is no failure: its answer becomes a 429.
    fn check_overload(&self, stream: &mut impl Stream, config: &AttemptConfig) {
        if !overload::says_full_queue(&stream.response_body()) {
            return self.failed(stream, config);
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
            stream.set_header(HeaderMap::Response, name, value.as_bytes());
        }
    }

    /// A failure of the tier, as a service gives no better answer to anybody; returns what the client gets to read of it.
    fn refuse_as_service(&self, stream: &mut impl Stream, config: &AttemptConfig, status: u32) -> String {
        let tier = tier(stream).to_owned();
        let refusal = external::Refusal::of(status);
        let (code, answer) = (refusal.code, refusal.answer(&tier, status));
        let length = answer.len().to_string();
        let headers = [
            (":status", "502"),
            (TYPE, "application/json"),
            (LENGTH, &length),
            (ERROR, code),
        ];
        for (name, value) in headers {
            stream.set_header(HeaderMap::Response, name, value.as_bytes());
        }
        add_external_refusal(stream, &tier, status);
        self.failed(stream, config);
        if !fault::others_follow(stream, self.number.get()) {
            stream.set_header(HeaderMap::Response, FINAL, b"true");
            stream.set_header(HeaderMap::Response, SHOULD_RETRY, b"false");
        }
        answer
    }

    fn good(&self, stream: &mut impl Stream, config: &AttemptConfig) {
        self.tier.budget.earn(config.budget);
        self.tier.answered(stream, self.number.get());
    }

    fn failed(&self, stream: &mut impl Stream, config: &AttemptConfig) {
        let is_late = too_late(stream, config);
        self.tier.failed(stream, self.number.get(), is_late);
    }
}

/// The body that this attempt sends, if that is another than has come.
fn changed(stream: &impl Stream, config: &AttemptConfig, number: u32) -> Option<Vec<u8>> {
    let answered = LowQualityAnswer::all(stream).len() as u32;
    let change = config.change_for(number, answered);
    if answered == 0 {
        return change.map(|change| rewrite::apply(&stream.received_request_body(), change, number));
    }
    let (none, earlier) = (Change::default(), config.changes_before(number, answered));
    let body = stream.received_request_body();
    Some(rewrite::apply_anew(&body, change.unwrap_or(&none), &earlier, number))
}

fn too_late(stream: &impl Stream, config: &AttemptConfig) -> bool {
    RequestState::of(stream).map_or(false, |state| {
        stream.now().saturating_sub(state.start) > config.deadline
    })
}

/// The tier of the engine.
fn tier(stream: &impl Stream) -> &str {
    let name = stream.metadata(MetadataSource::Host, METADATA, "tier");
    std::str::from_utf8(name.unwrap_or_default()).unwrap_or_default()
}

fn is_checked(stream: &impl Stream) -> bool {
    let kind = stream.header(HeaderMap::Response, TYPE).unwrap_or_default();
    let length = stream.header(HeaderMap::Response, LENGTH).and_then(number);
    kind.starts_with(b"application/json")
        && length.map_or(false, |length| length <= CHECKED)
        && stream.header(HeaderMap::Response, "content-encoding").is_none()
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Instead of sending it to an engine.
fn refuse(stream: &mut impl Stream, status: u32, why: &str) -> Status {
    set_refused(stream);
    stream.send_response(status, why);
    Status::StopIteration
}
