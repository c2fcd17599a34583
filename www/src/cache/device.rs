//! A device that is read through the cache.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::task::Context;

use super::job::{Job, Wait, Work};
use super::pool::Look;
use super::{BLOCK, Cache, Chunk, heap_has};
use crate::sectors::{Sector, Sectors, SectorsError};

/// How often a block is read again that was gone before it could be had: with very few blocks for
/// very many readers, that can be.
const TRIES: usize = 4;

/// A device and its part of a cache. When it is dropped the cache forgets what was on it.
pub struct Device<S> {
    cache: Rc<Cache>,
    sectors: Rc<S>,
    id: u32,
    /// How long the device was when it was attached: beyond it nothing is read.
    len: u64,
}

impl<S: Sectors + 'static> Device<S> {
    /// Reads `sectors` through the cache from now on.
    pub fn new(cache: &Rc<Cache>, sectors: S) -> Self {
        let sector = u64::from(sectors.sector_size());
        let len = sectors.sectors().saturating_mul(sector);
        Self {
            cache: cache.clone(),
            id: cache.pool.borrow_mut().attach(),
            // What a block cannot name is not there. A sector's size never changes: one that
            // does not fit into a block cannot be read.
            len: if sector == 0 || !(BLOCK as u64).is_multiple_of(sector) {
                0
            } else {
                len
            },
            sectors: Rc::new(sectors),
        }
    }

    /// Bytes that there were when it was attached.
    #[expect(
        clippy::len_without_is_empty,
        reason = "nobody asks whether a disk is empty"
    )]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// What is read.
    pub fn sectors(&self) -> &S {
        &self.sectors
    }

    /// The cache that it is read through.
    pub fn cache(&self) -> &Rc<Cache> {
        &self.cache
    }

    /// The block `number`, which holds the bytes from `number * BLOCK` on. If it has to be read,
    /// up to `run` blocks that are not there are read with it. Cancelling this loses nothing.
    pub async fn block(&self, number: u64, run: usize) -> Result<Chunk, SectorsError> {
        match self.cached(number) {
            Some(chunk) => Ok(chunk),
            None => self.missed(number, run).await,
        }
    }

    /// The block `number`, if it is there.
    pub fn cached(&self, number: u64) -> Option<Chunk> {
        let look = self.cache.pool.borrow_mut().look((self.id, number));
        let hit = matches!(look, Look::Ready(_));
        self.cache.count(|counters| {
            counters.hits += u64::from(hit);
            counters.misses += u64::from(!hit);
        });
        match look {
            Look::Ready(page) => Some(page.into()),
            _ => None,
        }
    }

    /// The blocks that one reader may have read at once: a share of what there is, as large as
    /// the device likes it.
    pub fn window(&self) -> usize {
        let share = self.cache.pool.borrow().capacity() / (4 * self.cache.readers.get().max(1));
        (self.sectors.best_read() / BLOCK).clamp(1, share.max(1))
    }

    /// A block that is not there, as [`block`](Self::block) has it.
    pub async fn missed(&self, number: u64, mut run: usize) -> Result<Chunk, SectorsError> {
        let mut tries = TRIES;
        while tries > 0 {
            let look = self.cache.pool.borrow_mut().look((self.id, number));
            let job = match look {
                Look::Ready(page) => return Ok(page.into()),
                Look::Loading(job) => job,
                Look::Absent => match self.begin(number, run) {
                    Err(SectorsError::OutOfMemory) => {
                        self.room(number).await?;
                        // Others want some as well.
                        run = 1;
                        continue;
                    }
                    begun => begun?,
                },
            };
            tries -= 1;
            let mut wait = Wait::new(job);
            match (&mut wait).await {
                Ok(()) => {}
                // It may be the others that cannot be read.
                Err(SectorsError::Failed) if wait.job().count() > 1 => run = 1,
                Err(error) => return Err(error),
            }
        }
        Err(SectorsError::OutOfMemory)
    }

    /// Waits for the end of one of the reads that have taken all room. If there is none, those who
    /// hold blocks have it, and nobody knows for how long.
    async fn room(&self, number: u64) -> Result<(), SectorsError> {
        let slots = self.cache.slots();
        // Others wait for other ones.
        let first = number as usize % slots.max(1);
        let mut jobs = (first..slots).chain(0..first);
        let Some(job) = jobs.find_map(|slot| self.cache.job(slot)) else {
            self.cache.count(|counters| counters.refused += 1);
            return Err(SectorsError::OutOfMemory);
        };
        let _short = Short::new(&self.cache);
        // What becomes of it is for those who want it.
        let _ = Wait::new(job).await;
        Ok(())
    }

    /// Begins to read up to `run` blocks, from `number` on, that will be wanted soon, and lets the
    /// device work while this is held. `None` if the first of them is there or on its way, or
    /// there is no room.
    pub fn ahead(&self, number: u64, run: usize, cx: &mut Context<'_>) -> Option<Ahead> {
        if self.cache.short.get() > 0 {
            return None;
        }
        let job = self.begin(number, run).ok()?;
        // What becomes of it is for those who want it.
        if job.poll(cx).is_pending() {
            self.cache.wake_driver();
        }
        Some(Ahead(job))
    }

    /// Whether a block is there, or on its way.
    pub fn has(&self, number: u64) -> bool {
        self.cache.pool.borrow().has((self.id, number))
    }

    /// Takes room for blocks, and has them read. The first one is absent.
    fn begin(&self, number: u64, run: usize) -> Result<Rc<Job>, SectorsError> {
        let start = number.checked_mul(BLOCK as u64);
        let Some(start) = start.filter(|start| *start < self.len) else {
            return Err(SectorsError::OutOfRange);
        };
        if self.has(number) {
            return Err(SectorsError::OutOfMemory);
        }
        self.prepare(number, start, run)
    }

    fn prepare(&self, number: u64, start: u64, run: usize) -> Result<Rc<Job>, SectorsError> {
        let run = run.max(1);
        let mut buffers = Vec::new();
        let room = buffers.try_reserve_exact(run).is_ok();
        if !room || !heap_has(size_of::<Job>() + 2 * size_of::<usize>()) {
            return Err(SectorsError::OutOfMemory);
        }
        let job = Rc::new(Job::new(self.cache.clone(), (self.id, number)));
        let mut evictions = 0;
        let weak = Rc::downgrade(&job);
        for (at, block) in (start..self.len).step_by(BLOCK).zip(number..).take(run) {
            let mut pool = self.cache.pool.borrow_mut();
            if pool.has((self.id, block)) {
                break;
            }
            let len = (self.len - at).min(BLOCK as u64) as usize;
            let Some((buffer, evicted)) = pool.reserve((self.id, block), len, &weak) else {
                break;
            };
            job.extend();
            evictions += u64::from(evicted);
            buffers.push(buffer);
        }
        self.cache.count(|counters| counters.evictions += evictions);
        if buffers.is_empty() {
            return Err(SectorsError::OutOfMemory);
        }
        let first = Sector(start / u64::from(self.sectors.sector_size()));
        let sectors = self.sectors.clone();
        let work = async move {
            let result = sectors.read(first, &mut buffers).await;
            (buffers, result)
        };
        if !heap_has(size_of_val(&work)) {
            return Err(SectorsError::OutOfMemory);
        }
        let work: Work = Box::pin(work);
        job.start(work);
        self.cache.count(|counters| counters.reads += 1);
        Ok(job)
    }
}

impl<S> Drop for Device<S> {
    fn drop(&mut self) {
        self.cache.pool.borrow_mut().detach(self.id);
    }
}

/// One who waits for room, for as long as that takes.
struct Short<'a>(&'a Cache);

impl<'a> Short<'a> {
    fn new(cache: &'a Cache) -> Self {
        cache.short.set(cache.short.get() + 1);
        Self(cache)
    }
}

impl Drop for Short<'_> {
    fn drop(&mut self) {
        self.0.short.set(self.0.short.get() - 1);
    }
}

/// A read that was begun ahead of time. Dropping it ends the read, unless others wait for it.
pub struct Ahead(Rc<Job>);

impl Ahead {
    /// How many blocks it reads.
    #[expect(clippy::len_without_is_empty, reason = "it has one at least")]
    pub fn len(&self) -> usize {
        self.0.count() as usize
    }

    /// Whether it has come to its end, in whatever way.
    pub fn is_done(&self) -> bool {
        self.0.is_done()
    }
}
