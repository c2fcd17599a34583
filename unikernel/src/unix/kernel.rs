//! The kernel's sockets as a [`Stack`], through epoll.
//!
//! Readiness comes as edges: a socket is asked again only after it said that it had nothing left
//! and epoll said that it has more. A request on an idle connection costs three system calls:
//! epoll_wait, read, writev.

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use www::{Conn, ConnError, Stack};

use crate::clock::Clock;
use crate::driven::{Driven, FIRST_TOKEN};
use crate::listen;
use crate::timers::Timers;

/// Parts of a gathered write that are passed on; what is beyond waits for the next.
const PARTS: usize = 8;

/// Bytes dropped at once while waiting for the other end to close.
const DROPPED: usize = 16 * 1024;

/// How long accepting pauses when the system is out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections that may be gone before they are taken, one after the other.
const GONE_IN_A_ROW: u32 = 1000;

/// Waiting connections that have to go when there are no descriptors for new ones.
const REAPED_AT_ONCE: u32 = 16;

/// Time between two complaints about that.
const COMPLAIN: Duration = Duration::from_secs(10);

/// Tokens below this are not connections.
const FIRST_CONN: usize = FIRST_TOKEN + 15;

/// What listens, and all of its connections. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Kernel(Rc<Inner>);

struct Inner {
    registry: Registry,
    listeners: RefCell<Vec<TcpListener>>,
    accept: Accept,
    slots: RefCell<Slots>,
    timers: RefCell<Timers>,
    clock: Clock,
    urls: Cell<Option<Vec<String>>>,
}

#[derive(Default)]
struct Accept {
    /// Whether a listener may have a connection.
    ready: Cell<bool>,
    paused_until: Cell<Option<Instant>>,
    starved: Cell<bool>,
    silent_until: Cell<Option<Instant>>,
    waker: Cell<Option<Waker>>,
}

#[derive(Default)]
struct Slots {
    slots: Vec<Slot>,
    free: Vec<usize>,
}

/// What is known of a connection.
#[derive(Default)]
struct Slot {
    readable: bool,
    writable: bool,
    /// The peer sends no more, so that no edge will follow what is there.
    read_closed: bool,
    waker: Option<Waker>,
}

impl Kernel {
    /// Takes connections from `listeners`, of which there are a few.
    pub(crate) fn new(
        registry: Registry,
        mut listeners: Vec<TcpListener>,
        clock: &Clock,
    ) -> std::io::Result<Self> {
        for (i, listener) in listeners.iter_mut().enumerate() {
            registry.register(listener, Token(FIRST_TOKEN + i), Interest::READABLE)?;
        }
        let urls = listeners.iter().map(listen::url).collect();
        Ok(Self(Rc::new(Inner {
            registry,
            listeners: RefCell::new(listeners),
            accept: Accept::default(),
            slots: RefCell::default(),
            timers: RefCell::default(),
            clock: clock.clone(),
            urls: Cell::new(Some(urls)),
        })))
    }
}

impl Driven for Kernel {
    // Only epoll knows what there is to be done next.
    const ROUNDS: u32 = 1;

    fn wants_room(&self) -> u32 {
        // Connections could not be taken since the last call, for want of descriptors or memory.
        match self.0.accept.starved.take() {
            true => REAPED_AT_ONCE,
            false => 0,
        }
    }

    fn made_room(&self) {
        self.resume();
    }

    fn quiet_for(&self) -> Option<Duration> {
        let deadline = self.0.timers.borrow().first();
        let first = [deadline, self.0.accept.paused_until.get()]
            .into_iter()
            .flatten()
            .min()?;
        // epoll counts in milliseconds: without one more it would wake early, and spin.
        Some(first.saturating_duration_since(Instant::now()) + Duration::from_millis(1))
    }

    fn tick(&self) {
        let now = self.0.clock.now();
        if self
            .0
            .accept
            .paused_until
            .get()
            .is_some_and(|until| until <= now)
        {
            self.resume();
        }
        while let Some(slot) = { self.0.timers.borrow_mut().next(now) } {
            self.0.wake(slot, |_| {});
        }
    }

    fn event(&self, event: &Event) {
        let Token(token) = event.token();
        let Some(slot) = token.checked_sub(FIRST_CONN) else {
            return self.0.wake_accept();
        };
        self.0.wake(slot, |slot| {
            let failed = event.is_error();
            slot.readable |= event.is_readable() || event.is_read_closed() || failed;
            slot.writable |= event.is_writable() || event.is_write_closed() || failed;
            slot.read_closed |= event.is_read_closed() || failed;
        });
    }

    fn stop_listening(&self) {
        self.0.listeners.borrow_mut().clear();
    }

    fn urls(&self) -> Option<Vec<String>> {
        self.0.urls.take()
    }
}

impl Stack for Kernel {
    type Conn = Socket;

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Socket> {
        let accept = &self.0.accept;
        while accept.ready.get() && accept.paused_until.get().is_none() {
            match self.accept() {
                Ok(Some(socket)) => return Poll::Ready(socket),
                Ok(None) => accept.ready.set(false),
                Err(error) => {
                    let now = self.0.clock.now();
                    if accept.silent_until.get().is_none_or(|until| until <= now) {
                        log::warn!(target: "unix", "no connection can be taken: {error}");
                        accept.silent_until.set(Some(now + COMPLAIN));
                    }
                    accept.paused_until.set(Some(now + PAUSE));
                    accept.starved.set(true);
                }
            }
        }
        accept.waker.set(Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl Kernel {
    /// Ends the pause after a connection that could not be taken.
    fn resume(&self) {
        self.0.accept.paused_until.set(None);
        self.0.wake_accept();
    }

    /// The next connection, if there is one. Fails if it would for any.
    fn accept(&self) -> std::io::Result<Option<Socket>> {
        for listener in self.0.listeners.borrow().iter() {
            for attempts in 1.. {
                match listener.accept() {
                    Ok((stream, peer)) => return self.socket(stream, peer).map(Some),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => match Errno::from_io_error(&error) {
                        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                            return Err(error);
                        }
                        // The connection was gone before it was taken, in one of many ways. What
                        // does not end is something else.
                        _ if attempts < GONE_IN_A_ROW => {}
                        _ => return Err(error),
                    },
                }
            }
        }
        Ok(None)
    }

    fn socket(&self, mut stream: TcpStream, peer: SocketAddr) -> std::io::Result<Socket> {
        let slot = self.0.slots.borrow_mut().take();
        let both = Interest::READABLE | Interest::WRITABLE;
        self.0.timers.borrow_mut().set(slot, None);
        let registered = self
            .0
            .registry
            .register(&mut stream, Token(slot + FIRST_CONN), both);
        let socket = Socket {
            kernel: self.clone(),
            stream,
            peer,
            slot,
            closing: false,
        };
        registered.map(|()| socket)
    }
}

impl Inner {
    fn wake(&self, slot: usize, note: impl FnOnce(&mut Slot)) {
        let waker = match self.slots.borrow_mut().slots.get_mut(slot) {
            Some(slot) => {
                note(slot);
                slot.waker.take()
            }
            None => None,
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn wake_accept(&self) {
        self.accept.ready.set(true);
        if let Some(waker) = self.accept.waker.take() {
            waker.wake();
        }
    }
}

impl Slots {
    fn take(&mut self) -> usize {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        self.slots[slot] = Slot {
            writable: true,
            ..Slot::default()
        };
        slot
    }
}

/// A connection of the kernel's.
pub(crate) struct Socket {
    kernel: Kernel,
    stream: TcpStream,
    peer: SocketAddr,
    slot: usize,
    closing: bool,
}

#[derive(Clone, Copy)]
enum Direction {
    Read,
    Write,
}

impl Socket {
    /// Does something with the socket if it is ready for it. `operation` says, beside its result,
    /// whether the socket is ready for more.
    fn poll<O>(
        &self,
        cx: &Context<'_>,
        direction: Direction,
        operation: impl FnOnce(&TcpStream) -> std::io::Result<(O, bool)>,
    ) -> Poll<Result<O, ConnError>> {
        let inner = &self.kernel.0;
        if inner.timers.borrow().passed(self.slot, inner.clock.now()) {
            return Poll::Ready(Err(ConnError::TimedOut));
        }
        let slots = &mut *inner.slots.borrow_mut();
        let slot = &mut slots.slots[self.slot];
        let ready = match direction {
            Direction::Read => &mut slot.readable,
            Direction::Write => &mut slot.writable,
        };
        if *ready {
            match operation(&self.stream) {
                Ok((output, more)) => {
                    *ready = more || (matches!(direction, Direction::Read) && slot.read_closed);
                    return Poll::Ready(Ok(output));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => *ready = false,
                Err(_) => return Poll::Ready(Err(ConnError::Reset)),
            }
        }
        match &slot.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => slot.waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

/// Does it again if a signal came between.
fn uninterrupted<O>(mut operation: impl FnMut() -> std::io::Result<O>) -> std::io::Result<O> {
    loop {
        match operation() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

impl Conn for Socket {
    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, ConnError>> {
        self.poll(cx, Direction::Read, |mut stream| {
            let n = uninterrupted(|| stream.read(buf))?;
            // The end stays readable.
            Ok((n, n == 0 || n == buf.len()))
        })
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[&[u8]],
    ) -> Poll<Result<usize, ConnError>> {
        let mut slices = [IoSlice::new(&[]); PARTS];
        let mut count = 0;
        let mut total = 0;
        for part in parts.iter().filter(|p| !p.is_empty()).take(PARTS) {
            slices[count] = IoSlice::new(part);
            count += 1;
            total += part.len();
        }
        if count == 0 {
            return Poll::Ready(Ok(0));
        }
        self.poll(cx, Direction::Write, |mut stream| {
            let n = uninterrupted(|| stream.write_vectored(&slices[..count]))?;
            Ok((n, n == total))
        })
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnError>> {
        if !self.closing && self.stream.shutdown(Shutdown::Write).is_err() {
            return Poll::Ready(Err(ConnError::Reset));
        }
        self.closing = true;
        let mut dropped = [0; DROPPED];
        // The kernel sees to it that what was written arrives; the other end's FIN tells that it
        // did. Some turns at most, so that a flood holds nobody up.
        for _ in 0..16 {
            match self.poll_read(cx, &mut dropped) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn set_deadline(&mut self, after: Option<Duration>) {
        let deadline = after.and_then(|after| self.kernel.0.clock.now().checked_add(after));
        self.kernel.0.timers.borrow_mut().set(self.slot, deadline);
    }

    fn abort(&mut self) {
        self.closing = false;
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if !self.closing {
            // Closing then resets, and leaves nothing behind in the kernel. If it does not, that is
            // no worse than an ordinary end.
            let _ = rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
        }
        let inner = &self.kernel.0;
        inner.timers.borrow_mut().set(self.slot, None);
        let waker = {
            let mut slots = inner.slots.borrow_mut();
            slots.free.push(self.slot);
            slots.slots[self.slot].waker.take()
        };
        drop(waker);
    }
}
