//! The executor: one thread, dynamic tasks, real wakers.
//!
//! A task is a future with nothing to return, polled on the thread of its [`Executor`] and dropped
//! there. Waking one is allowed from anywhere, at any time, also while it is being polled, and never
//! allocates: room in the run queue is reserved when the task is spawned. Tasks run in the order in
//! which they were woken, each at most once a pass, so a task that wakes itself cannot starve the
//! rest or the drivers that run between passes.
//!
//! The executor does not sleep: its owner calls [`Executor::run_ready`], looks at its devices and
//! timers, and sleeps when nothing is left to run.

use alloc::collections::VecDeque;
use alloc::rc::{Rc, Weak};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::Future;
use core::mem::size_of;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use async_task::Runnable;
use spin::mutex::SpinMutex;

mod combine;
pub use combine::{Either, Race, YieldNow, race, yield_now};

/// Runs tasks. See the [module](self).
///
/// Dropping it drops every task, on this thread, whether ready, waiting or never polled.
pub struct Executor {
    local: Rc<Local>,
}

/// A handle that puts tasks on an [`Executor`]; it does not keep the executor alive.
#[derive(Clone)]
pub struct Spawner {
    local: Weak<Local>,
}

/// Why a task was not spawned. Its future has been dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpawnError {
    /// No memory for it now.
    OutOfMemory,
    /// The executor is gone, or going.
    Stopped,
}

impl core::error::Error for SpawnError {}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutOfMemory => "no memory for a task",
            Self::Stopped => "the executor has stopped",
        })
    }
}

/// What only the executor's own thread touches.
struct Local {
    ready: Arc<RunQueue>,
    table: RefCell<Table>,
    stopped: Cell<bool>,
}

/// What wakers, on whichever thread, touch.
///
/// A [`Runnable`] in the queue keeps its task alive, and the task's schedule function keeps the
/// queue alive: a queue that is not empty is therefore never dropped, and the futures in it are
/// never dropped by another thread that happened to hold the last waker.
struct RunQueue(SpinMutex<VecDeque<Runnable>>);

/// One waker for each live task, so that stopping can reach those that wait.
#[derive(Default)]
struct Table {
    slots: Vec<Option<Waker>>,
    free: Vec<usize>,
}

/// A task's future, and its entry in the table for as long as the future lives.
struct Tracked<F> {
    future: F,
    _entry: Entry,
}

struct Entry {
    local: Weak<Local>,
    slot: usize,
}

impl Executor {
    /// An executor without tasks.
    pub fn new() -> Self {
        Self {
            local: Rc::new(Local {
                ready: Arc::new(RunQueue(SpinMutex::new(VecDeque::new()))),
                table: RefCell::default(),
                stopped: Cell::new(false),
            }),
        }
    }

    /// A handle to spawn with.
    pub fn spawner(&self) -> Spawner {
        Spawner {
            local: Rc::downgrade(&self.local),
        }
    }

    /// Polls each task that is ready now, first woken first, once. Says whether some are ready
    /// again, or still.
    pub fn run_ready(&self) -> bool {
        let ready = &self.local.ready;
        for _ in 0..ready.len() {
            let Some(runnable) = ready.pop() else { break };
            runnable.run();
        }
        ready.len() > 0
    }

    /// Whether a task is ready to run.
    pub fn is_ready(&self) -> bool {
        self.local.ready.len() > 0
    }

    /// The number of tasks that have not ended.
    pub fn tasks(&self) -> usize {
        self.local.table.borrow().len()
    }
}

impl Default for Executor {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.local.stopped.set(true);
        // A future's destructor may wake other tasks, but cannot spawn any, so this ends. A task
        // that another thread is about to enqueue at this moment is leaked with its queue: there
        // is no thread left that may drop it.
        let slots = self.local.table.borrow().slots.len();
        for slot in 0..slots {
            let waker = self.local.table.borrow().slots[slot].clone();
            if let Some(waker) = waker {
                waker.wake();
            }
            while let Some(runnable) = self.local.ready.pop() {
                drop(runnable);
            }
        }
    }
}

impl Spawner {
    /// Makes `future` a task, ready to run.
    ///
    /// What it needs later on is reserved now; on [`SpawnError`] the future is dropped.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) -> Result<(), SpawnError> {
        let local = self.local.upgrade().ok_or(SpawnError::Stopped)?;
        if local.stopped.get() {
            return Err(SpawnError::Stopped);
        }
        local.spawn(future)
    }

    /// The number of tasks that have not ended; 0 if the executor is gone.
    pub fn tasks(&self) -> usize {
        self.local
            .upgrade()
            .map_or(0, |local| local.table.borrow().len())
    }
}

impl Local {
    fn spawn<F: Future<Output = ()> + 'static>(
        self: &Rc<Self>,
        future: F,
    ) -> Result<(), SpawnError> {
        let slot = {
            let mut table = self.table.borrow_mut();
            let slot = table.reserve().ok_or(SpawnError::OutOfMemory)?;
            if !self.ready.reserve(table.len() + 1) || !probe::<F>() {
                table.free.push(slot);
                return Err(SpawnError::OutOfMemory);
            }
            slot
        };
        let tracked = Tracked {
            future,
            _entry: Entry {
                local: Rc::downgrade(self),
                slot,
            },
        };
        let ready = Arc::clone(&self.ready);
        let schedule = move |runnable| ready.push(runnable);
        // SAFETY: `tracked` is not `Send`, so its Runnable must be run and dropped on this thread.
        // Runnables are only ever handed to `schedule`, which moves them into the queue; they
        // leave it only through `pop`, called by `Executor::run_ready` and by its `drop`. The
        // Executor and the Spawner hold an Rc and cannot leave the thread on which they were made,
        // which is the one that spawns, runs and drops. A queue that still holds a Runnable is not
        // dropped by anyone, as `RunQueue` says. `tracked` and `schedule` are 'static, and
        // `schedule` is Send and Sync (asserted below), so wakers may be used on any thread.
        let (runnable, task) =
            unsafe { async_task::spawn_unchecked(tracked, assert_sync(schedule)) };
        self.table.borrow_mut().slots[slot] = Some(runnable.waker());
        task.detach();
        runnable.schedule();
        Ok(())
    }
}

fn assert_sync<S: Fn(Runnable) + Send + Sync + 'static>(schedule: S) -> S {
    schedule
}

/// Whether a task of `F` would find memory. The allocation that follows at once is infallible by
/// type, and ends the program if it fails.
fn probe<F>() -> bool {
    /// What a task holds besides its future: header and schedule function.
    const OVERHEAD: usize = 128;
    let words = (size_of::<Tracked<F>>() + OVERHEAD).div_ceil(size_of::<u128>());
    Vec::<u128>::new().try_reserve_exact(words).is_ok()
}

impl RunQueue {
    fn push(&self, runnable: Runnable) {
        self.0.lock().push_back(runnable);
    }

    fn pop(&self) -> Option<Runnable> {
        self.0.lock().pop_front()
    }

    fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Makes room for one Runnable for each of `tasks` tasks: a task has at most one.
    fn reserve(&self, tasks: usize) -> bool {
        let mut queue = self.0.lock();
        let missing = tasks.saturating_sub(queue.len());
        queue.try_reserve(missing).is_ok()
    }
}

impl Table {
    fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Takes a slot, and makes sure that it can be given back without allocating.
    fn reserve(&mut self) -> Option<usize> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        self.slots.try_reserve(1).ok()?;
        let missing = self.slots.len() + 1 - self.free.len();
        self.free.try_reserve(missing).ok()?;
        self.slots.push(None);
        Some(self.slots.len() - 1)
    }
}

impl<F: Future<Output = ()>> Future for Tracked<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: `future` is pinned whenever the task is: it is never moved out, `Tracked` has no
        // Drop of its own and is not Unpin unless `F` is.
        let future = unsafe { self.map_unchecked_mut(|tracked| &mut tracked.future) };
        future.poll(cx)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Some(local) = self.local.upgrade() else {
            return;
        };
        let mut table = local.table.borrow_mut();
        let waker = table.slots[self.slot].take();
        table.free.push(self.slot);
        drop(table);
        // Last, and outside the borrow: it may be the task's last reference but one.
        drop(waker);
    }
}

#[cfg(test)]
mod tests;
