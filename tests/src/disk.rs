//! A disk in memory, which counts what it is asked for, and fails when it is told to.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::future::{Future, poll_fn};
use std::ops::Range;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use www::{Sector, Sectors, SectorsError};

/// A disk. Its clones are the same disk.
#[derive(Clone)]
pub struct Disk(Rc<Inner>);

struct Inner {
    bytes: RefCell<Vec<u8>>,
    sector: u32,
    best_read: Cell<usize>,
    delay: Cell<u32>,
    away: Cell<bool>,
    fails: Cell<Option<SectorsError>>,
    bad: RefCell<HashSet<u64>>,
    held: Cell<bool>,
    log: RefCell<Vec<Range<u64>>>,
    /// Reads that were polled, and neither ended nor were cancelled.
    working: Cell<usize>,
    most_working: Cell<usize>,
    wakers: RefCell<Vec<Waker>>,
}

impl Disk {
    /// A disk of 512-byte sectors, which likes 256 KiB at once and answers at the first poll.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self::with_sectors(bytes, 512)
    }

    /// A disk of sectors of this size. What does not fill the last one is not there.
    pub fn with_sectors(bytes: Vec<u8>, sector: u32) -> Self {
        Self(Rc::new(Inner {
            bytes: RefCell::new(bytes),
            sector,
            best_read: Cell::new(256 << 10),
            delay: Cell::new(0),
            away: Cell::new(false),
            fails: Cell::new(None),
            bad: RefCell::default(),
            held: Cell::new(false),
            log: RefCell::default(),
            working: Cell::new(0),
            most_working: Cell::new(0),
            wakers: RefCell::default(),
        }))
    }

    /// What the disk likes to read at once, in bytes.
    pub fn set_best_read(&self, bytes: usize) {
        self.0.best_read.set(bytes);
    }

    /// Each read is ready after so many polls more; it wakes for each.
    pub fn set_delay(&self, polls: u32) {
        self.0.delay.set(polls);
    }

    /// While it is held no read comes to an end. Letting go wakes those that were polled.
    pub fn hold(&self, held: bool) {
        self.0.held.set(held);
        if !held {
            for waker in self.0.wakers.take() {
                waker.wake();
            }
        }
    }

    /// From now on it is away.
    pub fn go_away(&self) {
        self.0.away.set(true);
    }

    /// Every read ends so from now on, or as it should.
    pub fn fail(&self, error: Option<SectorsError>) {
        self.0.fails.set(error);
    }

    /// How many clones there are, this one included.
    pub fn handles(&self) -> usize {
        Rc::strong_count(&self.0)
    }

    /// This sector cannot be read from now on.
    pub fn spoil(&self, sector: u64) {
        self.0.bad.borrow_mut().insert(sector);
    }

    /// All sectors can be read again.
    pub fn heal(&self) {
        self.0.bad.borrow_mut().clear();
    }

    /// It has so many bytes from now on.
    pub fn resize(&self, len: usize) {
        self.0.bytes.borrow_mut().resize(len, 0);
    }

    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.bytes.borrow().clone()
    }

    /// The bytes that reads were for, since this was last asked, read by read.
    pub fn take_log(&self) -> Vec<Range<u64>> {
        self.0.log.take()
    }

    /// Reads that are under way.
    pub fn working(&self) -> usize {
        self.0.working.get()
    }

    /// The most reads that were under way at once.
    pub fn most_working(&self) -> usize {
        self.0.most_working.get()
    }
}

/// Counts a read for as long as it is under way.
struct Working<'a>(&'a Inner);

impl<'a> Working<'a> {
    fn new(inner: &'a Inner) -> Self {
        inner.working.set(inner.working.get() + 1);
        let most = inner.most_working.get().max(inner.working.get());
        inner.most_working.set(most);
        Self(inner)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.working.set(self.0.working.get() - 1);
    }
}

impl Sectors for Disk {
    fn sector_size(&self) -> u32 {
        self.0.sector
    }

    fn sectors(&self) -> u64 {
        self.0.bytes.borrow().len() as u64 / u64::from(self.0.sector)
    }

    fn best_read(&self) -> usize {
        self.0.best_read.get()
    }

    async fn read<B: AsMut<[u8]>>(
        &self,
        first: Sector,
        into: &mut [B],
    ) -> Result<(), SectorsError> {
        let inner = &*self.0;
        let _working = Working::new(inner);
        let size = u64::from(inner.sector);
        let lens: Vec<_> = into.iter_mut().map(|part| part.as_mut().len()).collect();
        for len in &lens {
            assert!(
                len.is_multiple_of(size as usize),
                "{len} bytes are no sectors"
            );
        }
        let total: usize = lens.iter().sum();
        assert!(total > 0, "a read of nothing");
        let start = first.0 * size;
        let range = start..start + total as u64;
        inner.log.borrow_mut().push(range.clone());
        let mut delay = inner.delay.get();
        poll_fn(|cx| {
            if inner.held.get() && !inner.away.get() {
                // One waker for one read, the last: as devices have it.
                inner.wakers.borrow_mut().push(cx.waker().clone());
                return Poll::Pending;
            }
            if delay > 0 {
                delay -= 1;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
        if inner.away.get() {
            return Err(SectorsError::Away);
        }
        if let Some(error) = inner.fails.get() {
            return Err(error);
        }
        if range.end > self.sectors() * size {
            return Err(SectorsError::OutOfRange);
        }
        let bad = inner.bad.borrow();
        if (range.start / size..range.end / size).any(|sector| bad.contains(&sector)) {
            for part in into {
                part.as_mut().fill(0xdd);
            }
            return Err(SectorsError::Failed);
        }
        let bytes = inner.bytes.borrow();
        let mut at = range.start as usize;
        for part in into {
            let part = part.as_mut();
            part.copy_from_slice(&bytes[at..at + part.len()]);
            at += part.len();
        }
        Ok(())
    }
}

/// Counts how often it is woken.
#[derive(Default)]
pub struct Bell(AtomicU64);

impl Bell {
    /// How often it was woken.
    pub fn rings(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Runs a future to its end. It must be woken for each poll after the first, and end within
/// `polls` of them.
pub fn run_within<F: Future>(polls: u64, future: F) -> F::Output {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(bell.clone());
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    for _ in 0..polls {
        let before = bell.rings();
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        assert_ne!(bell.rings(), before, "it waits, and nobody will wake it");
    }
    panic!("not at its end after {polls} polls");
}

/// [`run_within`] a million polls.
pub fn run<F: Future>(future: F) -> F::Output {
    run_within(1_000_000, future)
}
