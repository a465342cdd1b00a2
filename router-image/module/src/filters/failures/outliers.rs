//! Engines that fail what another engine of their tier can answer: those are broken. What two engines fail is the
//! request's fault, and says nothing of either.
//!
//! The engines are known by their pods' names. Each router judges by what it has seen itself.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};

/// Failures since its last good answer from which on an engine is broken.
const ENOUGH: usize = 5;
/// Another engine that has been at it for so long is taken to manage it (milliseconds): answers may take minutes, and
/// failures mostly come at once.
const SOON: u64 = 1000;
/// What is older says nothing of the engine as it is now (milliseconds).
const OLD: u64 = 300_000;
/// Failures of one engine that are held.
const MOST: usize = 1000;

/// Of all tiers, as seen by all worker threads.
static OUTLIERS: Mutex<Outliers> = Mutex::new(Outliers(Vec::new()));
/// How many there are: nearly always none, and then good answers need not ask.
static COUNT: AtomicUsize = AtomicUsize::new(0);

pub struct Outliers(Vec<Outlier>);

struct Outlier {
    engine: Vec<u8>,
    failures: Vec<Failure>,
}

/// A failure that no other engine has shared so far.
struct Failure {
    /// When it was (milliseconds since 1970), which also tells it from others.
    at: u64,
    /// Whether another engine has answered the same request.
    blamed: bool,
}

/// Does something with all of them.
pub fn with<T>(work: impl FnOnce(&mut Outliers) -> T) -> T {
    let mut outliers: MutexGuard<Outliers> = OUTLIERS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let result = work(&mut outliers);
    COUNT.store(outliers.0.len(), Relaxed);
    result
}

/// Whether there are any.
pub fn any() -> bool {
    COUNT.load(Relaxed) > 0
}

impl Outliers {
    /// It has failed a request at `now`, that no other has failed before.
    pub fn failed(&mut self, engine: &[u8], now: u64) {
        self.0
            .retain(|outlier| outlier.failures.iter().any(|failure| failure.at + OLD > now));
        let place = self
            .0
            .iter()
            .position(|outlier| outlier.engine == engine)
            .unwrap_or_else(|| {
                self.0.push(Outlier {
                    engine: engine.to_vec(),
                    failures: Vec::new(),
                });
                self.0.len() - 1
            });
        let failures = &mut self.0[place].failures;
        if failures.len() < MOST {
            failures.push(Failure { at: now, blamed: false });
        }
    }

    /// Its failure at this time is its own fault, as another engine of its tier has answered the same; or it is not, as
    /// another has failed as well.
    pub fn judge(&mut self, engine: &[u8], at: u64, is_own: bool) {
        for outlier in self.0.iter_mut().filter(|outlier| outlier.engine == engine) {
            let mut failures = outlier.failures.iter();
            match failures.position(|failure| failure.at == at && !failure.blamed) {
                Some(place) if is_own => outlier.failures[place].blamed = true,
                Some(place) => {
                    outlier.failures.swap_remove(place);
                }
                None => {}
            }
        }
        self.0.retain(|outlier| !outlier.failures.is_empty());
    }

    /// It has given a good answer.
    pub fn clear(&mut self, engine: &[u8]) {
        self.0.retain(|outlier| outlier.engine != engine);
    }

    pub fn is_broken(&self, engine: &[u8], now: u64) -> bool {
        let outlier = self.0.iter().find(|outlier| outlier.engine == engine);
        let counts = |failure: &&Failure| failure.blamed || failure.at + SOON < now;
        outlier.map_or(false, |outlier| {
            outlier.failures.iter().filter(counts).count() >= ENOUGH
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_answer_is_the_engines_fault() {
        let mut outliers = Outliers(Vec::new());
        for at in 0..5 {
            assert!(!outliers.is_broken(b"a", at));
            outliers.failed(b"a", at);
            outliers.judge(b"a", at, true);
        }
        assert!(outliers.is_broken(b"a", 5));
        assert!(!outliers.is_broken(b"b", 5));
        outliers.clear(b"a");
        assert!(!outliers.is_broken(b"a", 5));
    }

    #[test]
    fn what_others_fail_is_not() {
        let mut outliers = Outliers(Vec::new());
        for at in 0..20 {
            // Several in the same millisecond.
            outliers.failed(b"a", at / 4);
        }
        for at in 0..20 {
            outliers.judge(b"a", at / 4, false);
        }
        assert!(outliers.0.is_empty());
        outliers.judge(b"a", 0, false);
        outliers.judge(b"a", 0, true);
        assert!(!outliers.is_broken(b"a", 10_000));
    }

    #[test]
    fn what_others_work_on_for_long_is_taken_for_answered() {
        let mut outliers = Outliers(Vec::new());
        (0..5).for_each(|_| outliers.failed(b"a", 100));
        assert!(!outliers.is_broken(b"a", 100 + SOON));
        assert!(outliers.is_broken(b"a", 101 + SOON));
    }

    #[test]
    fn neither_old_failures_nor_many_are_held() {
        let mut outliers = Outliers(Vec::new());
        (0..2 * MOST).for_each(|_| outliers.failed(b"a", 0));
        assert_eq!(outliers.0[0].failures.len(), MOST);
        outliers.failed(b"b", OLD);
        assert_eq!(outliers.0.len(), 1);
    }
}
