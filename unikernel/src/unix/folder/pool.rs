//! Threads that render.

use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;

use www::pack::Made;
use www::store::StoreError;

use super::{Shared, held};

/// As many as render at once: one that takes long must not hold up the others.
const THREADS: std::ops::RangeInclusive<usize> = 2..=8;

/// Bytes of stack: what parsers and templates may need to the depth that they allow.
const STACK: usize = 16 << 20;

/// Who renders.
pub(super) struct Pool {
    questions: Sender<Question>,
}

struct Question {
    /// The page for missing paths if there is none.
    path: Option<String>,
    slot: Arc<Mutex<Slot>>,
}

type Answered = Result<Option<Arc<Made>>, StoreError>;

#[derive(Default)]
struct Slot {
    answer: Option<Answered>,
    waker: Option<Waker>,
}

impl Pool {
    /// Starts the threads. They end when nobody can ask any more.
    pub(super) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let (questions, asked) = channel();
        let asked = Arc::new(Mutex::new(asked));
        let threads = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..threads.clamp(*THREADS.start(), *THREADS.end()) {
            let (shared, asked) = (shared.clone(), asked.clone());
            thread::Builder::new()
                .name("render".to_owned())
                .stack_size(STACK)
                .spawn(move || work(&shared, &asked))?;
        }
        Ok(Self { questions })
    }

    /// Renders what is at a path, or the page for missing ones. Whoever stops waiting is forgotten.
    pub(super) async fn ask(&self, path: Option<String>) -> Answered {
        let slot = Arc::new(Mutex::new(Slot::default()));
        let question = Question {
            path,
            slot: slot.clone(),
        };
        if self.questions.send(question).is_err() {
            return Err(StoreError::Failed);
        }
        poll_fn(|cx| {
            let mut slot = held(&slot);
            match slot.answer.take() {
                Some(answer) => Poll::Ready(answer),
                None => {
                    slot.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

fn work(shared: &Shared, asked: &Mutex<Receiver<Question>>) {
    loop {
        let Ok(question) = held(asked).recv() else {
            return;
        };
        if Arc::strong_count(&question.slot) == 1 {
            continue;
        }
        let render = || {
            shared.refresh();
            match &question.path {
                Some(path) => shared.site.find(path),
                None => Some(shared.site.not_found()),
            }
        };
        // Whatever is wrong with a site, it does not end the server.
        let answer = catch_unwind(AssertUnwindSafe(render)).map_err(|_| StoreError::Failed);
        let mut slot = held(&question.slot);
        slot.answer = Some(answer);
        let waker = slot.waker.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
            shared.wake();
        }
    }
}
