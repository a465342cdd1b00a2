//! What a filter tells Envoy at the end of a hook.

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// On to the next filter.
    Go,
    /// Not yet: the rest is wanted first, or an answer has been given.
    Wait,
    /// Not yet: the filter goes on by itself. Of a body, which is kept however long it is.
    Hold,
}
