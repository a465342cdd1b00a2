//! What OpenAI's clients send and SGLang's engines answer: read, judged and rewritten as bytes, without knowing of Envoy.

pub mod byte_search;
pub mod conversation;
pub mod hash;
pub mod json;
pub mod overload;
pub mod quality;
pub mod request;
pub mod requirements;
pub mod rewrite;
pub mod tokens;
