//! The engines that have failed one request with an answer, as its metadata has them between its attempts.

use std::fmt::Write;

/// One engine's failure.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// Its pod.
    pub engine: String,
    pub tier: String,
    /// Milliseconds since 1970.
    pub at: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct FailureHistory(pub Vec<Failure>);

impl FailureHistory {
    pub fn decode(lines: &[u8]) -> Self {
        let text = String::from_utf8_lossy(lines);
        FailureHistory(text.lines().filter_map(Failure::decode).collect())
    }

    pub fn encode(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, failure| {
            // Names of pods and tiers have no spaces. Writing into a string does not fail.
            let _ = writeln!(text, "{} {} {}", failure.engine, failure.tier, failure.at);
            text
        })
    }

    pub fn add(&mut self, engine: &str, tier: &str, at: u64) {
        self.0.push(Failure {
            engine: engine.to_owned(),
            tier: tier.to_owned(),
            at,
        });
    }

    /// How many have failed it.
    pub fn engines(&self) -> usize {
        let mut engines: Vec<&str> = self.0.iter().map(|failure| failure.engine.as_str()).collect();
        engines.sort_unstable();
        engines.dedup();
        engines.len()
    }

    /// Those of other engines than this one.
    pub fn of_others<'a>(&'a self, engine: &'a str) -> impl Iterator<Item = &'a Failure> {
        self.0.iter().filter(move |failure| failure.engine != engine)
    }

    /// Whether two engines have failed it, counting `lost` ones, and the next would be of a tier that has tried already.
    /// `next` is none where there is no other attempt.
    pub fn are_enough(&self, lost: usize, next: Option<&str>) -> bool {
        self.engines() + lost >= 2 && next.map_or(true, |next| self.0.iter().any(|failure| failure.tier == next))
    }
}

impl Failure {
    fn decode(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        Some(Failure {
            engine: words.next()?.to_owned(),
            tier: words.next()?.to_owned(),
            at: words.next()?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(engines: &[&str]) -> FailureHistory {
        let failure = |name: &&str| Failure {
            engine: (*name).to_owned(),
            tier: name.split('-').next().unwrap_or_default().to_owned(),
            at: 7,
        };
        FailureHistory(engines.iter().map(failure).collect())
    }

    #[test]
    fn they_are_read_as_they_were_written() {
        for engines in [&[][..], &["small-0"], &["small-0", "small-1", "large-0"]] {
            assert_eq!(
                FailureHistory::decode(failures(engines).encode().as_bytes()),
                failures(engines)
            );
        }
        assert_eq!(FailureHistory::decode(b"nonsense\n\xff a b\n"), failures(&[]));
    }

    #[test]
    fn two_engines_are_enough_unless_another_tier_follows() {
        let enough = |engines: &[&str], lost, next| failures(engines).are_enough(lost, next);
        assert!(!enough(&["small-0"], 0, Some("small")));
        assert!(!enough(&["small-0", "small-0"], 0, Some("small")));
        assert!(enough(&["small-0", "small-1"], 0, Some("small")));
        assert!(!enough(&["small-0", "small-1"], 0, Some("large")));
        assert!(enough(&["small-0", "small-1", "large-0"], 0, Some("large")));
        assert!(enough(&["small-0", "small-0", "large-0"], 0, Some("large")));
        assert!(enough(&["small-0"], 1, Some("small")));
        assert!(!enough(&["small-0"], 1, Some("large")));
        assert!(enough(&["small-0", "small-1"], 0, None));
    }
}
