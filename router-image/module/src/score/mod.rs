//! How complex a request looks, in [0, 1]: a linear model. The weights, the signs that are searched and what counts as
//! much of each feature come with the policy; this file only measures. Its twin in Python is routing/scorer.py.

mod signs;

use crate::protocol::json::{Text, Value, EXPANSION};
use crate::protocol::request::RequestFeatures;

use signs::{Sign, Signs};

pub struct Model {
    /// How much of the newest question is searched for signs (bytes): its beginning and its end, half of it each.
    sample: usize,
    features: Vec<Feature>,
    signs: Signs,
}

struct Feature {
    weight: f64,
    /// How much of it counts as 1; less counts in proportion, more does not count.
    full: f64,
    /// Measured of the request; else the feature has signs in the newest question.
    measure: Option<Measure>,
}

type Measure = fn(&RequestFeatures) -> f64;

impl Model {
    /// From the policy's JSON; none when that is malformed or speaks of what cannot be measured.
    ///
    /// `sample`, and `features`: a list of `name`, `weight`, `full` and, for those of the newest question, `signs`,
    /// `each` (each time a sign is there counts, and not only each sign) and `folded` (with the ASCII letters of the
    /// question in lower case).
    pub fn parse(config: &Value) -> Option<Self> {
        let sample = config.get("sample")?.as_number()? as usize;
        let (mut features, mut signs) = (Vec::new(), Vec::new());
        for feature in config.get("features")?.as_list()? {
            let (weight, full) = (feature.get("weight")?.as_number()?, feature.get("full")?.as_number()?);
            let measure = match feature.get("signs") {
                None => Some(measure(feature.get("name")?.as_text()?)?),
                Some(_) => None,
            };
            if full <= 0.0 {
                return None;
            }
            // What does not count is not searched either.
            if weight == 0.0 {
                continue;
            }
            if measure.is_none() {
                signs.extend(signs_of(feature, features.len())?);
            }
            features.push(Feature { weight, full, measure });
        }
        Some(Model {
            sample,
            features,
            signs: Signs::new(signs)?,
        })
    }

    pub fn score(&self, request: &RequestFeatures) -> f64 {
        let mut counts = vec![0; self.features.len()];
        self.count_signs(&request.question, &mut counts);
        let mut total = 0.0;
        for (feature, &count) in self.features.iter().zip(&counts) {
            let amount = feature.measure.map_or(f64::from(count), |measure| measure(request));
            total += feature.weight * (amount / feature.full).clamp(0.0, 1.0);
        }
        total.clamp(0.0, 1.0)
    }

    /// Searches the beginning and the end of the question in its canonical spelling.
    fn count_signs(&self, question: &[Text], counts: &mut [u32]) {
        let joined;
        let text = match question {
            [] => return,
            [text] => *text,
            texts => {
                joined = texts.iter().map(|text| text.raw).collect::<Vec<_>>().join(&b"\\n"[..]);
                Text {
                    raw: &joined,
                    extra: 0,
                    respelled: texts.iter().any(|text| text.respelled),
                }
            }
        };
        let (head, tail) = (self.sample / 2, self.sample - self.sample / 2);
        let size = text.raw.len();
        if size <= self.sample.saturating_mul(EXPANSION) {
            let whole = text.canonical();
            if whole.len() <= self.sample {
                return self.signs.count([&whole, &[]], counts);
            }
            return self.signs.count([&whole[..head], &whole[whole.len() - tail..]], counts);
        }
        // Two characters more than needed: the first of the end and the last of the beginning may be cut.
        let enough = (tail + 2) * EXPANSION;
        let (first, last) = (
            text.part(0, enough).canonical(),
            text.part(size - enough, size).canonical(),
        );
        self.signs.count(
            [
                &first[..head.min(first.len())],
                &last[last.len().saturating_sub(tail)..],
            ],
            counts,
        );
    }
}

/// Features that are not signs in the text.
fn measure(name: Text) -> Option<Measure> {
    Some(match name.name().as_ref() {
        b"length" => |request| request.bytes as f64,
        b"turns" => |request| request.turns as f64,
        b"tools" => |request| request.tools as f64,
        b"structure" => |request| request.structure.into(),
        b"effort" => |request| request.effort,
        b"budget" => |request| request.budget,
        b"media" => |request| request.media as f64,
        _ => return None,
    })
}

fn signs_of(config: &Value, feature: usize) -> Option<Vec<Sign>> {
    let (each, folded) = (config.get("each")?.as_bool()?, config.get("folded")?.as_bool()?);
    let sign = |text: &Value| {
        let text = text.as_text()?.unescaped().into_owned();
        Some(Sign {
            text,
            feature,
            each,
            folded,
        })
        .filter(|sign| !sign.text.is_empty())
    };
    config.get("signs")?.as_list()?.iter().map(sign).collect()
}
