//! Attempts at a tier that is a service outside of the cluster: what it is asked, and what of its answer is passed on.
//!
//! All attempts of a request have the same headers: what one of them changes, the next finds. So the client's own are
//! kept, and put back for whoever comes after.

use super::headers::{AUTHORITY, AUTHORIZATION, LENGTH, PATH, REQUEST, RETRY_AFTER, TYPE};
use crate::stream::{HeaderMap, MetadataSource, Stream, METADATA};

/// Of the filter state: what the client sent and services get otherwise.
const CLIENTS: &str = "llm-client-headers";
const KEPT: [&str; 4] = [PATH, AUTHORITY, AUTHORIZATION, LENGTH];
/// What of a request goes to a service; the rest is between the client and the routers, the client's key above all.
const SENT: [&str; 6] = [LENGTH, TYPE, REQUEST, "accept", "user-agent", "transfer-encoding"];
/// What of a service's answer goes to the client. Its cookies, limits and account are not the client's.
const PASSED: [&str; 7] = [
    LENGTH,
    TYPE,
    RETRY_AFTER,
    "cache-control",
    "content-encoding",
    "date",
    "transfer-encoding",
];
/// All requests to models begin so.
const BASE: &[u8] = b"/v1";

/// A service, as the policy has it beside the addresses of its name.
pub struct Service {
    authority: Vec<u8>,
    path: Vec<u8>,
    pub model: String,
    key_file: Option<String>,
}

impl Service {
    /// None where the attempt is at an engine.
    pub fn of(stream: &impl Stream) -> Option<Self> {
        let said = |key| stream.metadata(MetadataSource::Host, METADATA, key);
        let text = |key| String::from_utf8(said(key)?.to_vec()).ok();
        Some(Service {
            authority: said("authority")?.to_vec(),
            path: said("path").unwrap_or_default().to_vec(),
            model: text("model")?,
            key_file: text("key_file"),
        })
    }

    /// Makes the request's headers those that the service is sent.
    pub fn address(&self, stream: &mut impl Stream) {
        keep(stream);
        restore(stream);
        let path = stream.header(HeaderMap::Request, PATH).unwrap_or_default();
        let path = [&self.path, path.strip_prefix(BASE).unwrap_or(path)].concat();
        remove_all_but(stream, HeaderMap::Request, &SENT);
        stream.set_header(HeaderMap::Request, PATH, &path);
        stream.set_header(HeaderMap::Request, AUTHORITY, &self.authority);
        if let Some(key) = self.key() {
            stream.set_header(HeaderMap::Request, AUTHORIZATION, format!("Bearer {key}").as_bytes());
        }
    }

    /// Read for each attempt, so that a changed key needs no restart: it is a few bytes in memory. Without, the service
    /// says what it thinks of that.
    fn key(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.key_file.as_ref()?).ok()?;
        let key = text.trim();
        let can_be_sent = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        can_be_sent.then(|| key.to_owned())
    }
}

/// Takes away what an answer of a service says beside what was asked for.
pub fn screen(stream: &mut impl Stream) {
    remove_all_but(stream, HeaderMap::Response, &PASSED);
}

/// Puts back what the client sent, if an attempt before was at a service.
pub fn restore(stream: &mut impl Stream) {
    let kept = match stream.filter_state(CLIENTS) {
        Some(kept) => kept.to_vec(),
        None => return,
    };
    let lines: Vec<&[u8]> = kept.split(|byte| *byte == b'\n').collect();
    for name in KEPT {
        let value = lines
            .iter()
            .find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b" "));
        match value {
            Some(value) => stream.set_header(HeaderMap::Request, name, value),
            None => stream.remove_header(HeaderMap::Request, name),
        }
    }
}

/// A line for each; headers have no line breaks.
fn keep(stream: &mut impl Stream) {
    if stream.filter_state(CLIENTS).is_some() {
        return;
    }
    let mut lines = Vec::new();
    for name in KEPT {
        if let Some(value) = stream.header(HeaderMap::Request, name) {
            lines.push([name.as_bytes(), b" ", value].concat());
        }
    }
    stream.set_filter_state(CLIENTS, &lines.join(&b'\n'));
}

fn remove_all_but(stream: &mut impl Stream, map: HeaderMap, few: &[&str]) {
    for name in stream.header_names(map, "") {
        if !name.starts_with(':') && !few.contains(&name.as_str()) {
            stream.remove_header(map, &name);
        }
    }
}

/// Whether an answer with this status says that the service is not what the cluster's owner takes it for: the key, the
/// model or the address is wrong, or the account. None of that is the client's doing, nor its business.
pub fn is_refusal(status: u32) -> bool {
    matches!(status, 300..=399 | 401..=405 | 407)
}

/// What the client is told in its place.
pub struct Refusal {
    pub code: &'static str,
    what: &'static str,
}

const UNAUTHORIZED: Refusal = Refusal {
    code: "external_unauthorized",
    what: "refuses the key of the router",
};
const NOT_FOUND: Refusal = Refusal {
    code: "external_not_found",
    what: "does not know the model or the address",
};

impl Refusal {
    pub fn of(status: u32) -> Self {
        match status {
            401..=403 | 407 => UNAUTHORIZED,
            _ => NOT_FOUND,
        }
    }

    /// The whole answer, in OpenAI's form.
    pub fn answer(&self, tier: &str, status: u32) -> String {
        let Refusal { code, what } = self;
        format!(
            "{{\"error\":{{\"message\":\"The service behind tier {tier} {what} (HTTP {status}).\",\
            \"type\":\"server_error\",\"param\":null,\"code\":\"{code}\"}}}}"
        )
    }
}
