//! Names of headers, as routing/places.py has them too.

/// How all of ours begin.
pub const OURS: &str = "x-llm-";
/// What clients may say, if the policy trusts them, and which tier has answered.
pub const TIER: &str = "x-llm-tier";
pub const PRIORITY: &str = "x-llm-priority";
/// What any client may say.
pub const HINT: &str = "x-llm-hint";
/// Whatever names the conversation, in place of what it begins with.
pub const CONVERSATION: &str = "x-llm-conversation";
/// How often the request may be retried.
pub const RETRIES: &str = "x-llm-retries";
/// Whose API key was sent: set by Envoy alone.
pub const CLIENT: &str = "x-llm-client";

/// By these the route is found, and the engine.
pub const CHOSEN: &str = "x-llm-chosen";
pub const PREFIX: &str = "x-llm-prefix";

/// In answers.
pub const SCORE: &str = "x-llm-score";
pub const ATTEMPTS: &str = "x-llm-attempts";
/// Envoy retries an answer with the first, and never one with the second.
pub const QUALITY: &str = "x-llm-quality";
pub const FINAL: &str = "x-envoy-ratelimited";
/// In errors.
pub const ERROR: &str = "x-llm-error";
pub const OVERLOADED: &str = "x-envoy-overloaded";
pub const RETRY_AFTER: &str = "retry-after";
/// Envoy leaves out an engine that answers so.
pub const BROKEN: &str = "x-llm-broken";
/// OpenAI's clients obey it: without, they send what fails twice more.
pub const SHOULD_RETRY: &str = "x-should-retry";

/// Envoy's own, for requests. The first is new for each of them, whatever the client says.
pub const REQUEST: &str = "x-request-id";
pub const MOST_RETRIES: &str = "x-envoy-max-retries";
pub const ATTEMPT: &str = "x-envoy-attempt-count";

pub const PATH: &str = ":path";
pub const AUTHORITY: &str = ":authority";
pub const AUTHORIZATION: &str = "authorization";
pub const LENGTH: &str = "content-length";
pub const TYPE: &str = "content-type";
