//! How many failed answers may be retried: a share of the good ones, and a few per second always. So retries help while
//! failures are few, and stop multiplying the load when everything fails.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The unit that is counted, as the worker threads share whole numbers only (per retry).
const PARTS: u64 = 1_000_000;

/// Retries that are always allowed (parts per millisecond): three per second.
const PER_MILLISECOND: u64 = 3 * PARTS / 1000;

/// What may be saved up (parts): a burst of failures as large as this is retried as a whole.
const MOST: u64 = 100 * PARTS;

/// Shared by all worker threads. Two that meet may count a retry too many or too few, which no one notices.
pub struct RetryBudget {
    left: AtomicU64,
    counted_at: AtomicU64,
}

impl RetryBudget {
    pub fn new() -> Self {
        RetryBudget {
            left: AtomicU64::new(MOST),
            counted_at: AtomicU64::new(0),
        }
    }

    /// Whether good answers need not be counted now, as is nearly always so.
    fn full(&self) -> bool {
        self.left.load(Relaxed) >= MOST
    }

    /// Counts a good answer, which earns this share of a retry.
    pub fn earn(&self, share: f64) {
        if self.full() {
            return;
        }
        // A number that makes no sense is cut to the nearest one that does.
        self.update(|left| left.saturating_add((share * PARTS as f64) as u64));
    }

    /// Whether one more failed answer may be retried at `now_ms` (milliseconds since any fixed time).
    pub fn allows(&self, now_ms: u64) -> bool {
        // A clock that was set back earns nothing once.
        let since = now_ms.saturating_sub(self.counted_at.swap(now_ms, Relaxed));
        self.update(|left| left.saturating_add(since.saturating_mul(PER_MILLISECOND))) >= PARTS
    }

    /// Counts a retry. Attempts that died without an answer count too, but are never held back: their load has gone
    /// with them.
    pub fn spend(&self) {
        self.update(|left| left.saturating_sub(PARTS));
    }

    /// Takes back retries of requests that were no sign of an outage.
    pub fn refund(&self, retries: u64) {
        self.update(|left| left.saturating_add(retries.saturating_mul(PARTS)));
    }

    /// Returns what is left afterwards.
    fn update(&self, change: impl Fn(u64) -> u64) -> u64 {
        let changed = |left| change(left).min(MOST);
        match self.left.fetch_update(Relaxed, Relaxed, |left| Some(changed(left))) {
            Ok(before) | Err(before) => changed(before),
        }
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spends until nothing is allowed at this time; returns how many were.
    fn spend_all(budget: &RetryBudget, now_ms: u64) -> u32 {
        let mut spent = 0;
        while budget.allows(now_ms) {
            budget.spend();
            spent += 1;
        }
        spent
    }

    #[test]
    fn a_burst_is_retried_and_then_three_per_second() {
        let budget = RetryBudget::new();
        assert!(budget.full());
        assert_eq!(spend_all(&budget, 1_700_000_000_000), 100);
        assert!(!budget.full());
        assert_eq!(spend_all(&budget, 1_700_000_000_333), 0);
        assert_eq!(spend_all(&budget, 1_700_000_000_334), 1);
        assert_eq!(spend_all(&budget, 1_700_000_010_334), 30);
        assert_eq!(spend_all(&budget, 1_700_009_999_999), 100);
    }

    #[test]
    fn good_answers_earn_a_share() {
        let budget = RetryBudget::new();
        spend_all(&budget, 0);
        for _ in 0..14 {
            budget.earn(0.2);
        }
        assert_eq!(spend_all(&budget, 0), 2);
        (0..10_000).for_each(|_| budget.earn(0.2));
        assert!(budget.full());
        assert_eq!(spend_all(&budget, 0), 100);
        budget.earn(f64::NAN);
        budget.earn(-1.0);
        assert_eq!(spend_all(&budget, 0), 0);
        budget.earn(f64::INFINITY);
        assert!(budget.full());
    }

    #[test]
    fn a_refund_is_a_retry_more() {
        let budget = RetryBudget::new();
        spend_all(&budget, 0);
        budget.refund(7);
        assert_eq!(spend_all(&budget, 0), 7);
        budget.refund(u64::MAX);
        assert_eq!(spend_all(&budget, 0), 100);
    }

    #[test]
    fn no_debt_is_made_and_no_clock_stops_it() {
        let budget = RetryBudget::new();
        (0..1000).for_each(|_| budget.spend());
        assert!(!budget.allows(0));
        assert!(budget.allows(1000));
        assert_eq!(spend_all(&budget, 500), 3);
        assert_eq!(spend_all(&budget, 1500), 3);
        assert_eq!(spend_all(&budget, u64::MAX), 100);
    }
}
