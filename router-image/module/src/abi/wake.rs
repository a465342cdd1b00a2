//! Filters that wait, and are woken after a pause. One thread wakes all of them, in the order in which they came.

use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use super::envoy::Scheduler;

type Waiting = (Instant, Scheduler);

static QUEUE: Mutex<Option<Sender<Waiting>>> = Mutex::new(None);

/// Calls the filter's hook for that after the pause. If there is no thread to do so, it is called at once.
pub fn after(pause: Duration, scheduler: Scheduler) {
    let mut queue = QUEUE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let sender = queue.get_or_insert_with(|| {
        let (sender, receiver) = channel();
        // Without a thread the receiver is gone, and whatever is sent comes back.
        let _ = thread::Builder::new()
            .name("wake".to_owned())
            .spawn(move || run(&receiver));
        sender
    });
    if let Err(unsent) = sender.send((Instant::now() + pause, scheduler)) {
        unsent.0 .1.commit();
    }
}

fn run(receiver: &Receiver<Waiting>) {
    for (at, scheduler) in receiver {
        thread::sleep(at.saturating_duration_since(Instant::now()));
        scheduler.commit();
    }
}
