//! The console: what the operator sees with `xl console`, and what he types.
//!
//! Output never blocks: bytes go into the ring at once as far as there is room, then into a bounded
//! backlog which [`Console::run`] empties as the back end reads, and when nobody reads, the oldest
//! lines are given up and a mark says how many bytes. Each `\n` goes out as `\r\n`: the back end
//! passes bytes on to a terminal in raw mode, so this end of the line is the terminal driver, as
//! Linux's hvc is.
//!
//! A back end whose indices lie gets nothing any more. Nothing here allocates once the console is
//! made, and [`print`] can be called from anywhere, also from within itself: then, rather than to
//! wait, it loses the text and counts it.
//!
//! Source: xen/include/public/io/console.h (4.17).

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};

use crate::ring::{Broken, byte};
use crate::share::BootPage;
use crate::{Domain, Port};

mod backlog;

use backlog::Backlog;

/// Bytes typed and not yet read that are kept.
const TYPED_MAX: usize = 1024;

/// The domain's console.
pub struct Console {
    end: RefCell<End>,
    port: Port,
    /// Bytes that were printed while printing.
    lost: Cell<u64>,
    reader: Cell<Option<Waker>>,
}

struct End {
    ring: byte::Front<BootPage>,
    broken: Option<Broken>,
    backlog: Backlog,
    typed: VecDeque<u8>,
}

impl Console {
    /// The console of `domain`, to be made once; `None` if it has none, or one that is unusable.
    pub fn new(domain: &Domain) -> Option<Self> {
        let (page, port) = domain.console_ring()?;
        let ring = byte::Front::new(page, byte::CONSOLE).ok()?;
        Some(Self {
            end: RefCell::new(End {
                ring,
                broken: None,
                backlog: Backlog::new(),
                typed: VecDeque::with_capacity(TYPED_MAX),
            }),
            port,
            lost: Cell::new(0),
            reader: Cell::new(None),
        })
    }

    /// Prints text, now or as soon as there is room, without ever waiting.
    pub fn write(&self, text: &[u8]) {
        let Ok(mut end) = self.end.try_borrow_mut() else {
            let lost = self.lost.get().saturating_add(text.len() as u64);
            return self.lost.set(lost);
        };
        end.backlog.lose(self.lost.take());
        for line in text.split_inclusive(|&b| b == b'\n') {
            match line.strip_suffix(b"\n") {
                Some(line) => {
                    end.backlog.push(line);
                    end.backlog.push(b"\r\n");
                }
                None => end.backlog.push(line),
            }
            // Line by line, for what fits the ring must not push anything out of the backlog.
            if end.drain() {
                self.port.notify();
            }
        }
    }

    /// Moves what could not be moved at once, and what is typed, for ever. To be spawned once.
    /// Cancelling it loses nothing; what is waiting waits on.
    pub async fn run(&self) {
        poll_fn(|cx| self.poll_run(cx)).await
    }

    /// Reads what was typed into `into`, waiting until there is something; at least one byte if
    /// `into` has room for it. When nobody reads, the oldest bytes are given up. Cancelling it
    /// loses nothing; for one task at a time.
    pub async fn read(&self, into: &mut [u8]) -> usize {
        poll_fn(|cx| {
            let typed = &mut self.end.borrow_mut().typed;
            if typed.is_empty() && !into.is_empty() {
                self.reader.set(Some(cx.waker().clone()));
                return Poll::Pending;
            }
            let count = typed.len().min(into.len());
            for (to, from) in into.iter_mut().zip(typed.drain(..count)) {
                *to = from;
            }
            Poll::Ready(count)
        })
        .await
    }

    /// Hands everything that waits for room to `out`, for a program that is about to end and can
    /// wait for the back end itself. Does nothing if it is called while printing.
    pub fn take_backlog(&self, mut out: impl FnMut(&[u8])) {
        let Ok(mut end) = self.end.try_borrow_mut() else {
            return;
        };
        while !end.backlog.is_empty() {
            let next = end.backlog.next();
            let count = next.len();
            out(next);
            end.backlog.printed(count);
        }
    }

    /// How the back end broke the ring, if it did.
    pub fn broken(&self) -> Option<Broken> {
        self.end.try_borrow().ok()?.broken
    }

    fn poll_run(&self, cx: &mut Context<'_>) -> Poll<()> {
        // More events than this in one go would starve others.
        for _ in 0..4 {
            if self.port.poll_event(cx).is_pending() {
                return Poll::Pending;
            }
            let mut end = self.end.borrow_mut();
            let heard = end.hear();
            if end.drain() | heard {
                self.port.notify();
            }
            drop(end);
            if let (true, Some(reader)) = (heard, self.reader.take()) {
                reader.wake();
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl End {
    /// Fills the ring from the backlog; whether anything was written.
    fn drain(&mut self) -> bool {
        let mut wrote = false;
        while self.broken.is_none() && !self.backlog.is_empty() {
            match self.ring.write(self.backlog.next()) {
                Ok(0) => break,
                Ok(count) => {
                    self.backlog.printed(count);
                    wrote = true;
                }
                Err(broken) => self.broken = Some(broken),
            }
        }
        wrote
    }

    /// Takes what was typed out of the ring; whether there was anything.
    fn hear(&mut self) -> bool {
        let mut heard = false;
        let mut bytes = [0; TYPED_MAX];
        if self.broken.is_none() {
            match self.ring.read(&mut bytes) {
                Ok(count) => {
                    let over = (self.typed.len() + count).saturating_sub(TYPED_MAX);
                    self.typed.drain(..over);
                    self.typed.extend(&bytes[..count]);
                    heard = count > 0;
                }
                Err(broken) => self.broken = Some(broken),
            }
        }
        heard
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Console")
    }
}

/// Makes `console` the one that [`print`] prints on.
pub fn install(console: Rc<Console>) {
    global::set(console);
}

/// Prints on the console that was [installed](install); without one it does nothing. It fits
/// [`Logger::new`](crate::logger::Logger::new).
pub fn print(text: &[u8]) {
    global::with(|console| console.write(text));
}

/// [`Console::take_backlog`] of the installed console.
pub fn take_backlog(out: impl FnMut(&[u8])) {
    global::with(|console| console.take_backlog(out));
}

/// The guest has one thread, and the console is that thread's.
#[cfg(feature = "xen")]
mod global {
    use alloc::rc::Rc;

    use spin::mutex::SpinMutex;

    use super::Console;

    struct Held(Rc<Console>);

    // SAFETY: Send means being used on another thread, and there is none: the guest has one vCPU
    // and masks event upcalls for ever, so nothing runs concurrently with what holds the lock. A
    // trap handler that interrupts it finds the lock taken, leaves the console alone, and never
    // returns to what it interrupted.
    unsafe impl Send for Held {}

    static CONSOLE: SpinMutex<Option<Held>> = SpinMutex::new(None);

    pub(super) fn set(console: Rc<Console>) {
        if let Some(mut held) = CONSOLE.try_lock() {
            *held = Some(Held(console));
        }
    }

    pub(super) fn with(f: impl FnOnce(&Console)) {
        if let Some(held) = CONSOLE.try_lock()
            && let Some(Held(console)) = &*held
        {
            f(console);
        }
    }
}

/// Each test has a thread, and a console, of its own.
#[cfg(not(feature = "xen"))]
mod global {
    use alloc::rc::Rc;
    use core::cell::RefCell;
    use std::thread_local;

    use super::Console;

    thread_local! {
        static CONSOLE: RefCell<Option<Rc<Console>>> = const { RefCell::new(None) };
    }

    pub(super) fn set(console: Rc<Console>) {
        CONSOLE.set(Some(console));
    }

    pub(super) fn with(f: impl FnOnce(&Console)) {
        CONSOLE.with_borrow(|console| {
            if let Some(console) = console {
                f(console);
            }
        });
    }
}

#[cfg(test)]
mod tests;
