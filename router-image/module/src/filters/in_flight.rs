//! How many requests each tier has from this router: what admission looks at. All threads count together.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// Of every tier that a policy has ever named: requests outlive policies.
static TIERS: Mutex<Vec<(String, InFlight)>> = Mutex::new(Vec::new());

/// The requests of one tier.
#[derive(Clone, Default)]
pub struct InFlight(Arc<AtomicU32>);

/// One of them, for as long as it lasts.
pub struct InFlightGuard(InFlight);

impl InFlight {
    pub fn of(tier: &str) -> Self {
        let mut tiers = TIERS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((_, known)) = tiers.iter().find(|(name, _)| name == tier) {
            return known.clone();
        }
        let new = InFlight::default();
        tiers.push((tier.to_owned(), new.clone()));
        new
    }

    pub fn count(&self) -> u32 {
        self.0.load(Relaxed)
    }

    pub fn enter(&self) -> InFlightGuard {
        self.0.fetch_add(1, Relaxed);
        InFlightGuard(self.clone())
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0 .0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_is_counted_wherever_it_is_named() {
        let (here, there, other) = (InFlight::of("a"), InFlight::of("a"), InFlight::of("b"));
        let first = here.enter();
        let second = there.enter();
        assert_eq!((here.count(), there.count(), other.count()), (2, 2, 0));
        drop(first);
        assert_eq!(InFlight::of("a").count(), 1);
        drop(second);
        assert_eq!(here.count(), 0);
    }
}
