//! The device as its users see it.

use alloc::rc::Rc;
use alloc::string::String;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};

use crate::engine::Engine;
use crate::features::Properties;
use crate::lie::Lie;
use crate::stats::Stats;
use crate::transfer::{Flush, Read, ReadAt, Write};
use crate::vdev::Vdev;
use crate::wire::SECTOR;

/// The number of a sector of a device, in that device's sector size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sector(pub u64);

/// Why something was not read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoError {
    /// The backend says that it could not do it. Others may be done.
    Failed,
    /// The backend knows no such operation. It will not be asked again.
    Unsupported,
    /// There are no such sectors.
    OutOfRange,
    /// A length is not one of whole sectors.
    Misaligned,
    /// The device is for reading only.
    ReadOnly,
    /// There is no memory for one more call at once.
    OutOfMemory,
    /// The device was closed, or broke. It will not come back: connect again.
    Away,
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IoError::Failed => "the backend could not do it",
            IoError::Unsupported => "the backend knows no such operation",
            IoError::OutOfRange => "beyond the end of the device",
            IoError::Misaligned => "not whole sectors",
            IoError::ReadOnly => "the device is for reading only",
            IoError::OutOfMemory => "out of memory",
            IoError::Away => "the device is away",
        })
    }
}

impl core::error::Error for IoError {}

/// How the device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It works.
    Running,
    /// The backend lied.
    Broken(Lie),
    /// It was closed, by us or by the backend.
    Closed,
}

/// A connected virtual block device. Clones are the same one.
///
/// Calls are futures: they begin when they are first polled, any number may be under way, and each
/// may be dropped at any time. The device's [`Link`](crate::Link) must be running: it moves what
/// they ask for. Whatever the backend does, none panics or hangs; when the device ends, all fail
/// with [`IoError::Away`].
///
/// A read whose bytes have come holds pages of the pool until it is polled. So who has several
/// under way must poll all of those that are woken, not wait for one of them alone.
#[derive(Clone)]
pub struct Blkfront(pub(crate) Rc<Shared>);

/// What the device's users and its link share.
pub(crate) struct Shared {
    pub(crate) vdev: Vdev,
    /// `None` when all is given back.
    pub(crate) engine: RefCell<Option<Engine>>,
    pub(crate) phase: Cell<Phase>,
    /// What was counted up to the end.
    last: Cell<Stats>,
    pub(crate) properties: Cell<Properties>,
    pub(crate) flush: Cell<bool>,
    pump: Cell<Option<Waker>>,
    resized: Cell<Option<Waker>>,
}

impl Shared {
    pub(crate) fn new(vdev: Vdev, engine: Engine) -> Self {
        Shared {
            vdev,
            engine: RefCell::new(Some(engine)),
            phase: Cell::new(Phase::Running),
            last: Cell::default(),
            properties: Cell::default(),
            flush: Cell::new(false),
            pump: Cell::new(None),
            resized: Cell::new(None),
        }
    }

    pub(crate) fn runs(&self) -> bool {
        self.phase.get() == Phase::Running
    }

    /// Ends the use of the device: everybody who waits for it is told.
    pub(crate) fn end(&self, phase: Phase) {
        if !self.runs() {
            return;
        }
        self.phase.set(phase);
        if let Some(engine) = &mut *self.engine.borrow_mut() {
            engine.count(|stats| stats.broken += u64::from(phase != Phase::Closed));
            engine.wake_all();
        }
        for waiter in [&self.pump, &self.resized] {
            if let Some(waker) = waiter.take() {
                waker.wake();
            }
        }
    }

    pub(crate) fn breaks(&self, lie: Lie) {
        log::error!(target: "blkfront", "vbd/{}: the backend lies: {lie}; the device is not used any more", self.vdev.0);
        self.end(Phase::Broken(lie));
    }

    /// Gives back the ring, the pool and the port, once the backend has let go of them.
    pub(crate) fn release(&self) {
        self.end(Phase::Closed);
        let engine = self.engine.borrow_mut().take();
        if let Some(engine) = engine {
            let stats = engine.stats();
            self.last.set(Stats {
                in_flight: 0,
                pages_free: 0,
                waiting: 0,
                ..stats
            });
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        match &*self.engine.borrow() {
            Some(engine) => engine.stats(),
            None => self.last.get(),
        }
    }

    pub(crate) fn wake_pump(&self) {
        if let Some(pump) = self.pump.take() {
            pump.wake();
        }
    }

    /// Moves requests and responses for as long as the device runs, and never ends.
    pub(crate) async fn pump(&self) {
        poll_fn(|cx| {
            self.poll_pump(cx);
            Poll::Pending
        })
        .await
    }

    fn poll_pump(&self, cx: &mut Context<'_>) {
        if !self.runs() {
            return;
        }
        let moved = match &mut *self.engine.borrow_mut() {
            Some(engine) => {
                // Once more after an event was taken, to be woken by the next.
                while engine.port.poll_event(cx).is_ready() {}
                engine.drain().and_then(|()| engine.publish())
            }
            None => return,
        };
        match moved {
            Ok(()) => {
                let waker = match self.pump.take() {
                    Some(known) if known.will_wake(cx.waker()) => known,
                    _ => cx.waker().clone(),
                };
                self.pump.set(Some(waker));
            }
            Err(lie) => self.breaks(lie),
        }
    }

    /// The backend says that the device has so many sectors of 512 bytes.
    pub(crate) fn resize(&self, sectors: u64) {
        let properties = self.properties.get();
        if properties.sectors == sectors {
            return;
        }
        self.properties.set(Properties {
            sectors,
            ..properties
        });
        if let Some(engine) = &mut *self.engine.borrow_mut() {
            engine.count(|stats| stats.resizes += 1);
        }
        log::info!(target: "blkfront", "vbd/{}: {sectors} sectors of 512 bytes now", self.vdev.0);
        if let Some(waiter) = self.resized.take() {
            waiter.wake();
        }
    }
}

impl Blkfront {
    /// Which device it is.
    pub fn vdev(&self) -> Vdev {
        self.0.vdev
    }

    /// Bytes in a sector: 512, 1024, 2048 or 4096. It never changes.
    pub fn sector_size(&self) -> u32 {
        self.0.properties.get().sector_size
    }

    /// How many sectors there are now.
    pub fn sectors(&self) -> u64 {
        let properties = self.0.properties.get();
        properties.sectors / (u64::from(properties.sector_size) / SECTOR as u64)
    }

    /// Waits until there are not `sectors` sectors any more, and says how many; or until the device
    /// ends. For one task at a time: the last one that polled is woken.
    pub async fn resized(&self, sectors: u64) -> u64 {
        poll_fn(|cx| {
            let now = self.sectors();
            if now != sectors || !self.0.runs() {
                return Poll::Ready(now);
            }
            self.0.resized.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await
    }

    /// Bytes that the medium itself has in a block, as far as the backend says: what is read and
    /// written best.
    pub fn physical_sector_size(&self) -> u32 {
        self.0.properties.get().physical
    }

    /// Whether it may only be read.
    pub fn read_only(&self) -> bool {
        self.0.properties.get().read_only
    }

    /// Whether [`flush`](Self::flush) does anything.
    pub fn can_flush(&self) -> bool {
        self.0.flush.get()
    }

    /// Bytes of the largest read that is one request. Longer ones are done in parts.
    pub fn largest_read(&self) -> usize {
        match &*self.0.engine.borrow() {
            Some(engine) => engine.largest(),
            None => self.sector_size() as usize,
        }
    }

    /// How it is.
    pub fn phase(&self) -> Phase {
        self.0.phase.get()
    }

    /// What it has counted, and its levels now.
    pub fn stats(&self) -> Stats {
        self.0.stats()
    }

    /// Reads consecutive sectors, from `first` on, into the buffers one after the other; each
    /// buffer's length is a multiple of the sector size. After an error, or if it is dropped, the
    /// buffers hold anything.
    pub fn read<'a, B: AsMut<[u8]>>(&'a self, first: Sector, into: &'a mut [B]) -> Read<'a, B> {
        Read::new(&self.0, first, into)
    }

    /// Reads any bytes, from any offset on.
    pub fn read_at<'a>(&'a self, offset: u64, into: &'a mut [u8]) -> ReadAt<'a> {
        ReadAt::new(&self.0, offset, into)
    }

    /// Writes whole sectors, from `first` on. After an error, or if it is dropped, each of them may
    /// have been written or not. They are on the medium after the next [`flush`](Self::flush).
    pub fn write<'a>(&'a self, first: Sector, from: &'a [u8]) -> Write<'a> {
        Write::new(&self.0, first, from)
    }

    /// Sees to it that what was written, by calls that have ended, is on the medium.
    /// [`IoError::Unsupported`] from a backend that has no such operation.
    pub fn flush(&self) -> Flush<'_> {
        Flush::new(&self.0)
    }
}

impl fmt::Debug for Blkfront {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blkfront({}, {:?})", self.0.vdev, self.phase())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

/// For messages.
pub(crate) fn name(vdev: Vdev) -> String {
    alloc::format!("vbd/{}", vdev.0)
}
