//! What routes tell the two filters, read once when a policy comes into force. What is malformed is refused then, and the
//! routes before it stay.

use std::collections::HashMap;

use crate::edit::Change;
use crate::json::Value;
use crate::score::Model;

/// What the choose filter knows of the policy.
pub struct Choices {
    /// Whether clients may say which tier answers and how urgent a request is.
    pub trust: bool,
    /// Largest body of a request (bytes).
    pub body_limit: u64,
    /// Score above which the last tier answers.
    pub threshold: f64,
    /// Most retries of a request.
    pub retries: u32,
    pub first: String,
    pub last: String,
    pub tiers: Vec<String>,
    /// The tier for each `model` that a client may write, `auto` apart.
    pub models: HashMap<Vec<u8>, String>,
    /// The end of messages about names that do not exist.
    pub help: String,
    pub scorer: Model,
    /// Names of the API keys whose requests are reserved ones.
    pub reserved: Vec<String>,
}

impl Choices {
    pub fn parse(config: &[u8]) -> Option<Self> {
        let told = Value::parse(config)?;
        let models = told.get("models")?.as_object()?;
        Some(Choices {
            trust: told.get("trust")?.as_bool()?,
            body_limit: told.get("body_limit")?.as_number()? as u64,
            threshold: told.get("threshold")?.as_number()?,
            retries: told.get("retries")?.as_number()? as u32,
            first: string(told.get("first")?)?,
            last: string(told.get("last")?)?,
            tiers: strings(told.get("tiers")?)?,
            models: models
                .iter()
                .map(|(model, tier)| Some((model.unescaped().into_owned(), string(tier)?)))
                .collect::<Option<_>>()?,
            help: string(told.get("help")?)?,
            scorer: Model::parse(told.get("scorer")?)?,
            reserved: strings(told.get("reserved")?)?,
        })
    }
}

/// What the attempt filter knows of the policy.
pub struct Attempts {
    /// Milliseconds since the request came beyond which no attempt is started.
    pub deadline: u64,
    /// Retries of failed answers that each good answer allows.
    pub budget: f64,
    /// Whether answers are checked.
    pub quality: bool,
    /// Whether the changes apply after failures of all kinds.
    pub every: bool,
    pub changes: Vec<Change>,
}

impl Attempts {
    pub fn parse(config: &[u8]) -> Option<Self> {
        let told = Value::parse(config)?;
        Some(Attempts {
            deadline: (told.get("deadline")?.as_number()? * 1000.0) as u64,
            budget: told.get("budget")?.as_number()?,
            quality: told.get("quality")?.as_bool()?,
            every: told.get("every")?.as_bool()?,
            changes: told
                .get("changes")?
                .as_list()?
                .iter()
                .map(Change::parse)
                .collect::<Option<_>>()?,
        })
    }

    /// What to change in the attempt with this number: one further in the list for every bad answer so far, or for every
    /// attempt.
    pub fn change_for(&self, attempt: u32, bad_answers: u32) -> Option<&Change> {
        let step = if self.every { attempt - 1 } else { bad_answers } as usize;
        self.changes.get(step.min(self.changes.len()).checked_sub(1)?)
    }
}

fn string(value: &Value) -> Option<String> {
    String::from_utf8(value.as_text()?.unescaped().into_owned()).ok()
}

fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_list()?.iter().map(string).collect()
}
