//! Attempts whose connection was lost after they had been sent. No filter hears of that; a logger of attempts does.

use std::collections::VecDeque;
use std::sync::Mutex;

/// The latest that are known; when more are lost at once, the first of them are taken for not lost.
const MOST: usize = 4096;

static LOST: Mutex<Lost> = Mutex::new(Lost { requests: None });

#[derive(Default)]
struct Lost {
    /// By request; none before the first.
    requests: Option<VecDeque<Vec<u8>>>,
}

/// An attempt of this request was lost.
pub fn add(request: &[u8]) {
    with(|lost| lost.add(request));
}

/// How many attempts of this request were lost.
pub fn count(request: &[u8]) -> usize {
    with(|lost| lost.count(request))
}

fn with<T>(work: impl FnOnce(&mut Lost) -> T) -> T {
    work(&mut LOST.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
}

impl Lost {
    fn add(&mut self, request: &[u8]) {
        let requests = self.requests.get_or_insert_with(VecDeque::new);
        if requests.len() == MOST {
            requests.pop_front();
        }
        requests.push_back(request.to_vec());
    }

    fn count(&self, request: &[u8]) -> usize {
        self.requests.iter().flatten().filter(|known| *known == request).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_known() {
        let mut lost = Lost::default();
        assert_eq!(lost.count(b"a"), 0);
        lost.add(b"a");
        lost.add(b"b");
        lost.add(b"a");
        assert_eq!((lost.count(b"a"), lost.count(b"b"), lost.count(b"c")), (2, 1, 0));
        (0..MOST).for_each(|_| lost.add(b"c"));
        assert_eq!((lost.count(b"a"), lost.count(b"c")), (0, MOST));
    }
}
