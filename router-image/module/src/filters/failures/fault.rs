//! What a failed attempt and a good answer say of the engine, of the tier and of the request itself.

use super::history::{Failure, FailureHistory};
use super::tier_health::TierHealth;
use super::{lost_connections, outliers};
use crate::filters::headers::{BROKEN, FINAL, REQUEST, SHOULD_RETRY};
use crate::filters::request_state::{count, set_count, unsent};
use crate::filters::retry_budget::RetryBudget;
use crate::stream::{HeaderMap, MetadataSource, Stream, METADATA};

/// Of the dynamic metadata: the failures so far, and how many engines were lost.
const FAILED: &str = "failed";
const LOST: &str = "lost";
/// How many services were lost, and whether the attempt is at one.
const EXCUSED: &str = "excused";
const SERVICE: &str = "service";
/// How many requests an answer has proven faulty.
pub const FAULTY: &str = "faulty";

/// What the attempts of all requests for one tier have in common.
#[derive(Default)]
pub struct TierState {
    pub budget: RetryBudget,
    /// Answers of low quality are no failures, and take nothing from what an outage needs.
    pub low_quality: RetryBudget,
    pub health: TierHealth,
}

/// What has become of the engine of the attempt before.
#[derive(PartialEq)]
pub enum PreviousAttempt {
    /// It has answered, or was never reached.
    Known,
    /// Its connection was lost after the request had been sent.
    Lost,
    /// The same, for the second time: this request may well be why.
    LostAgain,
}

impl TierState {
    /// At the beginning of another attempt. `was_external`: the one before was at a service outside of the cluster. That
    /// is not spared requests that engines may have been lost by, and others behind the same address answer the next.
    pub fn previous_attempt(&self, stream: &mut impl Stream, was_external: bool) -> PreviousAttempt {
        let (known, excused) = (count(stream, LOST), count(stream, EXCUSED));
        let request = stream.header(HeaderMap::Request, REQUEST).unwrap_or_default();
        // What has not been sent may have been lost all the same.
        let lost = lost_connections::count(request).saturating_sub(unsent(stream) + excused);
        if lost <= known {
            return PreviousAttempt::Known;
        }
        if was_external {
            set_count(stream, EXCUSED, excused + lost - known);
            return PreviousAttempt::Known;
        }
        set_count(stream, LOST, lost);
        if failures(stream).0.len() + lost == 2 {
            self.health.request_failed(stream.now());
        }
        if lost < 2 {
            PreviousAttempt::Lost
        } else {
            PreviousAttempt::LostAgain
        }
    }

    /// The engine has answered this attempt, the `number`-th, with a failure. `late`: there is no time for another.
    pub fn failed(&self, stream: &mut impl Stream, number: u32, late: bool) {
        let (upstream, now) = (Upstream::of(stream), stream.now());
        let (mut failures, lost) = (failures(stream), count(stream, LOST));
        let is_shared = excuse(failures.of_others(&upstream.engine));
        failures.add(&upstream.engine, &upstream.tier, now);
        stream.set_dynamic_metadata(FAILED, failures.encode().as_bytes());
        let is_of_wanted = upstream.tiers().next() == Some(&upstream.tier);
        if is_of_wanted && failures.0.len() + lost == 2 && (failures.engines() + lost == 2 || upstream.has_others()) {
            self.health.request_failed(now);
        }

        let are_enough = failures.are_enough(lost, upstream.tiers().nth(number as usize));
        if are_enough {
            stream.set_header(HeaderMap::Response, SHOULD_RETRY, b"false");
        }
        // A tier that answers nothing has no load to be spared: its requests are on their way to the next.
        let is_free = self.health.is_down() && upstream.has_others();
        let is_last = are_enough || late || !(is_free || self.budget.allows(now));
        if is_last {
            stream.set_header(HeaderMap::Response, FINAL, b"true");
        }
        let is_broken = outliers::with(|outliers| {
            if !is_shared && !is_last {
                outliers.failed(upstream.engine.as_bytes(), now);
            }
            outliers.is_broken(upstream.engine.as_bytes(), now)
        });
        if is_broken {
            stream.set_header(HeaderMap::Response, BROKEN, b"true");
        }
    }

    /// The engine has answered as it should.
    pub fn answered(&self, stream: &mut impl Stream, number: u32) {
        if outliers::any() {
            outliers::with(|outliers| outliers.clear(engine(stream).as_bytes()));
        }
        if number > 1 {
            return self.made_up_for(stream);
        }
        let faulty = self.health.engine_answered(|| stream.now());
        if faulty > 0 {
            self.budget.refund(2 * faulty);
            set_count(stream, FAULTY, faulty as usize);
        }
    }

    /// It has answered what others had failed.
    fn made_up_for(&self, stream: &impl Stream) {
        let (failures, upstream) = (failures(stream), Upstream::of(stream));
        for failure in failures.of_others(&upstream.engine) {
            let (engine, is_own) = (failure.engine.as_bytes(), failure.tier == upstream.tier);
            outliers::with(|outliers| outliers.judge(engine, failure.at, is_own));
            if is_own {
                self.health.engines_disagreed(stream.now());
            }
        }
    }
}

/// Where an attempt is.
struct Upstream {
    /// The pod, by which the engine's place among the hashes is found, too.
    engine: String,
    tier: String,
    /// The tiers of all attempts, one after the other.
    order: String,
}

impl Upstream {
    fn of(stream: &impl Stream) -> Self {
        Upstream {
            engine: engine(stream),
            tier: text(stream.metadata(MetadataSource::Host, METADATA, "tier")),
            order: text(stream.metadata(MetadataSource::Cluster, METADATA, "order")),
        }
    }

    fn tiers(&self) -> impl Iterator<Item = &str> {
        self.order.split(' ')
    }

    /// Whether other tiers than this one are asked, too.
    fn has_others(&self) -> bool {
        self.tiers().any(|tier| tier != self.tier)
    }
}

/// Notes whether the attempt is at a service outside of the cluster; returns what was noted before.
pub fn note_service(stream: &mut impl Stream, is_service: bool) -> bool {
    let before = count(stream, SERVICE) > 0;
    if before != is_service {
        set_count(stream, SERVICE, is_service.into());
    }
    before
}

/// Whether another tier is asked after this attempt, the `number`-th.
pub fn others_follow(stream: &impl Stream, number: u32) -> bool {
    let upstream = Upstream::of(stream);
    let mut later = upstream.tiers().skip(number as usize);
    later.any(|tier| tier != upstream.tier)
}

/// What others failed, this engine refuses: they are not to blame.
pub fn refused(stream: &impl Stream) {
    excuse(failures(stream).of_others(&engine(stream)));
}

/// Whether there were any.
fn excuse<'a>(failures: impl Iterator<Item = &'a Failure>) -> bool {
    failures.fold(false, |_, failure| {
        outliers::with(|outliers| outliers.judge(failure.engine.as_bytes(), failure.at, false));
        true
    })
}

fn failures(stream: &impl Stream) -> FailureHistory {
    FailureHistory::decode(stream.dynamic_metadata(FAILED).unwrap_or_default())
}

fn engine(stream: &impl Stream) -> String {
    text(stream.metadata(MetadataSource::Host, "envoy.lb", "hash_key"))
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}
