//! Attempts that wait before they are sent: see `PAUSE`. One thread wakes them, in the order in which they came.

use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::abi::envoy::Wake;

/// After an engine was lost, its requests wait so long: engines that are killed at once do not die at once, and what is
/// sent to one of them meanwhile is lost as well, though it is not to blame.
const PAUSE: Duration = Duration::from_millis(100);

type Waiting = (Instant, Wake);

static QUEUE: Mutex<Option<Sender<Waiting>>> = Mutex::new(None);

/// Calls the filter's hook for that after the pause. If there is no thread to do so, it is called at once.
pub fn wake_later(wake: Wake) {
    let mut queue = QUEUE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let sender = queue.get_or_insert_with(|| {
        let (sender, receiver) = channel();
        // Without a thread the receiver is gone, and whatever is sent comes back.
        let _ = thread::Builder::new()
            .name("hold".to_owned())
            .spawn(move || run(&receiver));
        sender
    });
    if let Err(unsent) = sender.send((Instant::now() + PAUSE, wake)) {
        unsent.0 .1.up();
    }
}

fn run(receiver: &Receiver<Waiting>) {
    for (at, wake) in receiver {
        thread::sleep(at.saturating_duration_since(Instant::now()));
        wake.up();
    }
}
