//! What routes tell the two filters, read once when a policy comes into force. What is malformed is refused then, and the
//! routes before it stay.

use std::collections::HashMap;
use std::time::Duration;

use crate::filters::in_flight::InFlight;
use crate::protocol::json::Value;
use crate::protocol::requirements::AnswerRequirements;
use crate::protocol::rewrite::{may_differ, Change};
use crate::score::Model;

/// What the choose filter knows of the policy.
pub struct ChooseConfig {
    /// Whether clients may say which tier answers and how urgent a request is.
    pub trust: bool,
    /// Largest body of a request (bytes).
    pub body_limit: u64,
    /// Score above which the last tier answers.
    pub threshold: f64,
    /// Most retries of a request.
    pub retries: u32,
    /// Cheapest first; at least one.
    pub tiers: Vec<Tier>,
    /// The tier (its place in the list) for each `model` that a client may write, `auto` apart.
    pub models: HashMap<Vec<u8>, usize>,
    /// The end of messages about names that do not exist.
    pub help: String,
    pub scorer: Model,
    /// Names of the API keys whose requests are reserved ones.
    pub reserved: Vec<String>,
    /// From when on the first byte of a stream is late; none where the cluster does not migrate, and nothing is compared.
    pub slow_after: Option<Duration>,
}

/// A tier that requests may want, and who answers them.
pub struct Tier {
    pub name: String,
    /// Per cent of its conversations that another tier answers.
    pub diverted: u32,
    pub own: Destination,
    pub other: Option<Destination>,
}

/// One of the two tiers that may answer.
pub struct Destination {
    /// By this the route is found.
    pub chosen: String,
    in_flight: InFlight,
    /// Requests in flight from which on others, and reserved ones, are not admitted; none where that is not looked at.
    capacity: Option<(u32, u32)>,
}

impl ChooseConfig {
    pub fn parse(config: &[u8]) -> Option<Self> {
        let config = Value::parse(config)?;
        let tiers: Vec<Tier> = config
            .get("tiers")?
            .as_list()?
            .iter()
            .map(Tier::parse)
            .collect::<Option<_>>()?;
        let place = |name: &Value| {
            let name = string(name)?;
            tiers.iter().position(|tier| tier.name == name)
        };
        let models = config.get("models")?.as_object()?;
        Some(ChooseConfig {
            trust: config.get("trust")?.as_bool()?,
            body_limit: config.get("body_limit")?.as_number()? as u64,
            threshold: config.get("threshold")?.as_number()?,
            retries: config.get("retries")?.as_number()? as u32,
            models: models
                .iter()
                .map(|(model, tier)| Some((model.unescaped().into_owned(), place(tier)?)))
                .collect::<Option<_>>()?,
            help: string(config.get("help")?)?,
            scorer: Model::parse(config.get("scorer")?)?,
            reserved: strings(config.get("reserved")?)?,
            slow_after: match config.get("slow_after") {
                Some(milliseconds) => Some(Duration::from_millis(milliseconds.as_number()? as u64)),
                None => None,
            },
            tiers: Some(tiers).filter(|tiers| !tiers.is_empty())?,
        })
    }
}

impl Tier {
    fn parse(config: &Value) -> Option<Self> {
        let name = string(config.get("name")?)?;
        let other = config.get("other").filter(|other| other.as_object().is_some());
        Some(Tier {
            diverted: config.get("diverted")?.as_number()? as u32,
            own: Destination::parse(config.get("own")?, name.clone())?,
            other: match other {
                Some(other) => Some(Destination::parse(other, format!("{name}/diverted"))?),
                None => None,
            },
            name,
        })
    }

    /// Who answers a conversation whose beginning has this hash: always the same, as long as the share does not change.
    pub fn destination(&self, hash: u32) -> &Destination {
        match &self.other {
            Some(other) if hash % 100 < self.diverted => other,
            _ => &self.own,
        }
    }
}

impl Destination {
    fn parse(config: &Value, chosen: String) -> Option<Self> {
        let capacity = match (config.get("normal"), config.get("total")) {
            (Some(normal), Some(total)) => Some((normal.as_number()? as u32, total.as_number()? as u32)),
            _ => None,
        };
        Some(Destination {
            chosen,
            in_flight: InFlight::of(&string(config.get("tier")?)?),
            capacity,
        })
    }

    pub fn is_full(&self, reserved: bool) -> bool {
        self.capacity.map_or(false, |(normal, total)| {
            self.in_flight.count() >= if reserved { total } else { normal }
        })
    }
}

/// Attempts at a tier before the next one; see routing/clusters.py.
const TRIES: u32 = 2;

/// What the attempt filter knows of the policy.
pub struct AttemptConfig {
    /// Milliseconds since the request came beyond which no attempt is started.
    pub deadline: u64,
    /// Retries of failed answers that each good answer allows.
    pub budget: f64,
    /// Whether answers are checked.
    pub quality: bool,
    /// Whether the changes apply after failures of all kinds.
    pub every: bool,
    pub changes: Vec<Change>,
    tiers: Vec<(String, InFlight)>,
}

impl AttemptConfig {
    pub fn parse(config: &[u8]) -> Option<Self> {
        let config = Value::parse(config)?;
        Some(AttemptConfig {
            deadline: (config.get("deadline")?.as_number()? * 1000.0) as u64,
            budget: config.get("budget")?.as_number()?,
            quality: config.get("quality")?.as_bool()?,
            every: config.get("every")?.as_bool()?,
            changes: config
                .get("changes")?
                .as_list()?
                .iter()
                .map(Change::parse)
                .collect::<Option<_>>()?,
            tiers: config
                .get("tiers")?
                .as_list()?
                .iter()
                .map(|tier| string(tier.get("external").unwrap_or(tier)))
                .map(|name| name.map(|name| (name.clone(), InFlight::of(&name))))
                .collect::<Option<_>>()?,
        })
    }

    /// The requests of the tier that an engine is of.
    pub fn in_flight(&self, tier: &[u8]) -> Option<&InFlight> {
        self.tiers
            .iter()
            .find(|(name, _)| name.as_bytes() == tier)
            .map(|(_, in_flight)| in_flight)
    }

    /// What to change in the attempt with this number: one further in the list for every low-quality answer so far, or
    /// for every attempt.
    pub fn change_for(&self, attempt: u32, low_quality: u32) -> Option<&Change> {
        let step = if self.every { attempt - 1 } else { low_quality } as usize;
        self.changes.get(step.min(self.changes.len()).checked_sub(1)?)
    }

    /// The changes of the answers of low quality before the attempt with this number, and none for the first.
    pub fn changes_before(&self, attempt: u32, low_quality: u32) -> Vec<Change> {
        let earlier = if self.every { 1..attempt } else { 0..low_quality };
        let at = |step| self.change_for(step, step).cloned().unwrap_or_default();
        earlier.map(at).collect()
    }

    /// Whether another attempt after this one, whose answer is of low quality as the `low_quality`-th, may have another
    /// answer: of another model, or by chance.
    pub fn may_differ(&self, attempt: u32, low_quality: u32, requirements: &AnswerRequirements) -> bool {
        let before = self.change_for(attempt, low_quality - 1);
        let after = self.change_for(attempt + 1, low_quality);
        let leaves_tier = attempt == TRIES && self.tiers.len() > 1;
        leaves_tier || may_differ(before, after, requirements)
    }
}

fn string(value: &Value) -> Option<String> {
    String::from_utf8(value.as_text()?.unescaped().into_owned()).ok()
}

fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_list()?.iter().map(string).collect()
}
