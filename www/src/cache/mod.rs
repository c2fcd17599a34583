//! The page cache: one bounded pool of blocks for all devices that are read through it.
//!
//! What it promises: its memory never exceeds the limit that it was made with; what is in it is
//! handed out without a copy and without an allocation; blocks that somebody still holds are never
//! reused; the same block is never read twice at once; what could not be read is not kept; a read
//! whose owner gives up goes on if others wait for it, and ends if nobody does.
//!
//! It may be told lies about nothing: what is in a block is for its reader to judge. A device that
//! fails fails those who asked, and one that never answers leaves them waiting, each for itself.

mod device;
mod job;
mod pool;

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Poll, Waker};

pub use device::{Ahead, Device};
use job::Job;
use pool::Pool;

/// Bytes in a block, but for the last one of a device: a multiple of every sector size.
pub const BLOCK: usize = 16 << 10;

/// The pool that devices share.
pub struct Cache {
    pool: RefCell<Pool>,
    counters: Cell<Counters>,
    /// How many read files in turn: what is read ahead is shared out among them.
    readers: Cell<usize>,
    /// How many wait for room. Meanwhile nothing is read ahead.
    short: Cell<usize>,
    /// The task of [`drive`](Self::drive).
    driver: Cell<Option<Waker>>,
}

impl Cache {
    /// A cache that takes `limit` bytes of memory at the most, what it needs for itself included,
    /// and takes them as it needs them. One that has no room for a block reads nothing.
    pub fn new(limit: usize) -> Rc<Self> {
        Rc::new(Self {
            pool: RefCell::new(Pool::new(limit)),
            counters: Cell::default(),
            readers: Cell::new(0),
            short: Cell::new(0),
            driver: Cell::new(None),
        })
    }

    /// Drives the reads that were begun ahead of time and that nobody waits for as yet, and never
    /// ends: for one task. A device that keeps something for a read until it is polled to its end,
    /// as blkfront does its pages, would have others wait for a client that takes nothing.
    pub async fn drive(&self) {
        poll_fn(|cx| {
            for number in 0..self.slots() {
                // One that is waited for is driven by those who wait.
                if let Some(job) = self.job(number).filter(|job| !job.is_wanted()) {
                    let _ = job.poll(cx);
                }
            }
            self.driver.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await
    }

    fn wake_driver(&self) {
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }

    fn slots(&self) -> usize {
        self.pool.borrow().slots()
    }

    /// The read that is under way whose first block is in this slot.
    fn job(&self, slot: usize) -> Option<Rc<Job>> {
        self.pool.borrow().job(slot)
    }

    /// What was counted since it was made, and what it holds now.
    pub fn counters(&self) -> Counters {
        let mut counters = self.counters.get();
        let pool = self.pool.borrow();
        counters.capacity = pool.capacity();
        counters.blocks = pool.blocks();
        counters.held = pool.held();
        counters
    }

    /// One who reads a file in turn comes.
    pub(crate) fn enter(&self) {
        self.readers.set(self.readers.get() + 1);
    }

    /// One of these goes.
    pub(crate) fn leave(&self) {
        self.readers.set(self.readers.get().saturating_sub(1));
    }

    fn count(&self, change: impl FnOnce(&mut Counters)) {
        let mut counters = self.counters.get();
        change(&mut counters);
        self.counters.set(counters);
    }
}

/// What the cache did, and what it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Blocks that were asked for and there.
    pub hits: u64,
    /// Blocks that were asked for and had to be waited for.
    pub misses: u64,
    /// Reads that devices were asked for.
    pub reads: u64,
    /// Reads that failed.
    pub failed: u64,
    /// Bytes that devices have read.
    pub bytes: u64,
    /// Blocks that made room for others.
    pub evictions: u64,
    /// Blocks that were asked for while no more could be had: all were held or being read, or the
    /// heap was full.
    pub refused: u64,
    /// Most blocks that the limit allows.
    pub capacity: usize,
    /// Blocks that there is memory for now.
    pub blocks: usize,
    /// Blocks that somebody holds, or that are being read.
    pub held: usize,
}

/// Bytes of a block, which stay as they are for as long as this is held.
#[derive(Clone)]
pub struct Chunk {
    page: Rc<Page>,
    start: usize,
    end: usize,
}

impl Chunk {
    /// The part of it that begins `skip` bytes on, `len` bytes long or as far as it goes.
    pub fn part(mut self, skip: usize, len: usize) -> Self {
        self.start = self.start.saturating_add(skip).min(self.end);
        self.end = self.start.saturating_add(len).min(self.end);
        self
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        self.page.0.get(self.start..self.end).unwrap_or(&[])
    }
}

impl core::ops::Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_ref()
    }
}

impl core::fmt::Debug for Chunk {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Chunk({} bytes)", self.len())
    }
}

/// The memory of a block.
struct Page(Vec<u8>);

impl From<Rc<Page>> for Chunk {
    fn from(page: Rc<Page>) -> Self {
        let end = page.0.len();
        Self {
            page,
            start: 0,
            end,
        }
    }
}

/// A `Box` of one, if the heap has room: [`Box::new`] aborts if not.
pub(crate) fn boxed<T>(value: T) -> Option<Box<[T; 1]>> {
    let mut one = Vec::new();
    one.try_reserve_exact(1).ok()?;
    one.push(value);
    // It has the capacity that was asked for, so this moves nothing.
    one.into_boxed_slice().try_into().ok()
}

/// Whether the heap has `bytes` in one piece now. `Rc` and `Box` cannot be asked: they abort.
pub(crate) fn heap_has(bytes: usize) -> bool {
    let mut probe = Vec::<u128>::new();
    let has = probe.try_reserve_exact(bytes.div_ceil(16)).is_ok();
    // What is never looked at need not be allocated, for the compiler.
    core::hint::black_box(probe.as_ptr());
    has
}
