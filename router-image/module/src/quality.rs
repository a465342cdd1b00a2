//! Whether an answer that is not streamed is of any use to its client.

use std::convert::TryInto;

/// What a request asks of its answer besides text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// Names of the offered tools, unescaped.
    pub tools: Vec<Vec<u8>>,
    pub format: Option<Format>,
}

/// The JSON that the text of an answer must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Format {
    /// `json_object`
    Object,
    /// `json_schema`; a schema may describe a list or a number.
    Schema,
}

impl Asked {
    /// A form in which Envoy can carry it from one filter to the other: the format, then each name after its length.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![match self.format {
            None => 0,
            Some(Format::Object) => 1,
            Some(Format::Schema) => 2,
        }];
        for name in &self.tools {
            bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
            bytes.extend_from_slice(name);
        }
        bytes
    }

    /// What `encode` made; no bytes say that nothing is asked, and of others as much is read as makes sense.
    pub fn decode(bytes: &[u8]) -> Asked {
        let (format, mut names) = match bytes.split_first() {
            None => return Asked::default(),
            Some((1, rest)) => (Some(Format::Object), rest),
            Some((2, rest)) => (Some(Format::Schema), rest),
            Some((_, rest)) => (None, rest),
        };
        let mut tools = Vec::new();
        while let Some((name, rest)) = split_name(names) {
            tools.push(name.to_vec());
            names = rest;
        }
        Asked { tools, format }
    }
}

fn split_name(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let rest = &bytes[4..];
    Some((rest.get(..length)?, &rest[length..]))
}
