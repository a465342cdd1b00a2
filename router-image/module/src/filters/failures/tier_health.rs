//! Whose fault it is when two engines of a tier fail a request: the request's, if the tier answers others; the tier's, if
//! it answers nothing. That is known by its next good answer.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A good answer that comes later says nothing of the failures: meanwhile the tier may have been out (milliseconds). After
/// an engine has answered what another had failed, the tier is to blame for as long.
const SOON: u64 = 10_000;
/// From so many failed requests on, the tier is taken to answer nothing.
const DOWN_AFTER: u64 = 5;

/// Of the requests that want one tier. Shared by all worker threads.
#[derive(Default)]
pub struct TierHealth {
    /// Requests that two engines have failed since the tier's last good answer.
    failed: AtomicU64,
    /// When the first of them was (milliseconds since 1970).
    since: AtomicU64,
    /// When its engines last disagreed (milliseconds since 1970).
    disagreed: AtomicU64,
}

impl TierHealth {
    /// Two of its engines have failed a request.
    pub fn request_failed(&self, now: u64) {
        if self.failed.fetch_add(1, Relaxed) == 0 {
            self.since.store(now, Relaxed);
        }
    }

    /// One of its engines has answered a request at the first attempt; returns how many failed ones that proves faulty.
    pub fn engine_answered(&self, now: impl FnOnce() -> u64) -> u64 {
        if self.failed.load(Relaxed) == 0 {
            return 0;
        }
        let (failed, now) = (self.failed.swap(0, Relaxed), now());
        let is_soon = |since: &AtomicU64| since.load(Relaxed).saturating_add(SOON) >= now;
        if is_soon(&self.since) && !is_soon(&self.disagreed) {
            failed
        } else {
            0
        }
    }

    /// One of its engines has answered what another had failed.
    pub fn engines_disagreed(&self, now: u64) {
        self.failed.store(0, Relaxed);
        self.disagreed.store(now, Relaxed);
    }

    /// Whether the tier answers nothing, as far as is known.
    pub fn is_down(&self) -> bool {
        self.failed.load(Relaxed) >= DOWN_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    #[test]
    fn a_good_answer_proves_that_requests_were_faulty() {
        let health = TierHealth::default();
        assert_eq!(health.engine_answered(|| NOW), 0);
        (0..7).for_each(|_| health.request_failed(NOW));
        assert!(health.is_down());
        assert_eq!(health.engine_answered(|| NOW), 7);
        assert_eq!(health.engine_answered(|| NOW), 0);
        assert!(!health.is_down());
    }

    #[test]
    fn not_where_engines_disagree() {
        let health = TierHealth::default();
        health.request_failed(NOW);
        health.engines_disagreed(NOW);
        assert_eq!(health.engine_answered(|| NOW + 1), 0);
        health.request_failed(NOW + 2);
        assert_eq!(health.engine_answered(|| NOW + SOON), 0);
        health.request_failed(NOW + 2);
        assert_eq!(health.engine_answered(|| NOW + SOON + 1), 1);
    }

    #[test]
    fn not_after_an_outage() {
        let health = TierHealth::default();
        (0..2).for_each(|second| health.request_failed(NOW + second * SOON));
        assert_eq!(health.engine_answered(|| NOW + SOON + 1), 0);
        health.request_failed(NOW + SOON + 2);
        assert_eq!(health.engine_answered(|| NOW + SOON + 2), 1);
    }
}
