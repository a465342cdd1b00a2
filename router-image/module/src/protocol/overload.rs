//! An engine with a full queue answers 503, which would read as a failure (retried, then ejected, and its traffic moved
//! to a dearer tier that drowns in turn). Said as 429 it is what it is: come back later.

const SIGNS: [&[u8]; 2] = [b"request queue is full", b"aborted by a higher priority request"];

/// Error bodies are short; the sign is in their beginning (bytes).
pub const SEARCHED: usize = 4096;

/// What the client gets instead, as JSON.
pub const ANSWER: &[u8] = b"{\"error\":{\"message\":\"All engines that may answer are busy. Please retry later.\",\
    \"type\":\"rate_limit_error\",\"param\":null,\"code\":\"overloaded\"}}";

/// Whether a 503 with this body is a full queue's; bytes beyond `SEARCHED` are not looked at.
pub fn says_full_queue(body_start: &[u8]) -> bool {
    let searched = &body_start[..body_start.len().min(SEARCHED)];
    let has = |sign: &&[u8]| searched.windows(sign.len()).any(|window| window == *sign);
    SIGNS.iter().any(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_signs_at_the_beginning_count() {
        assert!(says_full_queue(b"{\"message\": \"The request queue is full.\"}"));
        assert!(says_full_queue(b"aborted by a higher priority request"));
        assert!(!says_full_queue(b""));
        assert!(!says_full_queue(b"The request queue is ful"));
        let mut long = vec![b' '; SEARCHED - 21];
        long.extend_from_slice(b"request queue is full");
        assert!(says_full_queue(&long));
        long.insert(0, b' ');
        assert!(!says_full_queue(&long));
    }
}
