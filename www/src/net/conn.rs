//! One connection, as the service has it.

use super::Net;
use super::core::Core;
use super::entry::{End, Entry, Owner};
use super::table::Handle;
use crate::seam::{Conn, ConnError};
use core::net::SocketAddr;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use smoltcp::phy::Device;
use smoltcp::socket::tcp::{RecvError, State};
use smoltcp::wire::IpAddress;

/// An established connection of a [`Net`].
pub struct NetConn<D: Device> {
    pub(super) net: Net<D>,
    pub(super) handle: Handle,
    pub(super) peer: SocketAddr,
}

impl<D: Device> Conn for NetConn<D> {
    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, ConnError>> {
        self.with(|core, index| core.read(index, cx.waker(), buf))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[&[u8]],
    ) -> Poll<Result<usize, ConnError>> {
        self.poll_write_of(cx, parts, 0)
    }

    fn poll_write_of(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[&[u8]],
        more: usize,
    ) -> Poll<Result<usize, ConnError>> {
        self.with(|core, index| core.write(index, cx.waker(), parts, more))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnError>> {
        self.with(|core, index| core.close(index, cx.waker()))
    }

    fn set_deadline(&mut self, after: Option<Duration>) {
        self.tell(|core, index| core.set_deadline(index, after));
    }

    fn abort(&mut self) {
        self.tell(Core::abort);
    }
}

impl<D: Device> Drop for NetConn<D> {
    fn drop(&mut self) {
        self.tell(Core::release);
    }
}

impl<D: Device> NetConn<D> {
    fn with<R>(
        &self,
        f: impl FnOnce(&mut Core, u32) -> Poll<Result<R, ConnError>>,
    ) -> Poll<Result<R, ConnError>> {
        self.net
            .with_core(|core| match core.conns.resolve(self.handle) {
                Some(index) => f(core, index),
                None => Poll::Ready(Err(ConnError::Reset)),
            })
    }

    fn tell(&self, f: impl FnOnce(&mut Core, u32)) {
        self.net.with_core(|core| {
            if let Some(index) = core.conns.resolve(self.handle) {
                f(core, index);
            }
        });
    }
}

/// The address and port of `entry`'s peer.
pub(super) fn peer(entry: &Entry) -> SocketAddr {
    let remote = entry.flow.remote;
    match remote.addr {
        IpAddress::Ipv4(addr) => SocketAddr::new(addr.into(), remote.port),
        IpAddress::Ipv6(addr) => SocketAddr::new(addr.into(), remote.port),
    }
}

fn register(slot: &mut Option<Waker>, waker: &Waker) {
    if !slot.as_ref().is_some_and(|old| old.will_wake(waker)) {
        *slot = Some(waker.clone());
    }
}

impl Core {
    fn read(
        &mut self,
        index: u32,
        waker: &Waker,
        buf: &mut [u8],
    ) -> Poll<Result<usize, ConnError>> {
        let Some(entry) = self.conns.get_mut(index) else {
            return Poll::Ready(Err(ConnError::Reset));
        };
        if entry.expired {
            return Poll::Ready(Err(ConnError::TimedOut));
        }
        match entry.end {
            Some(End::Closed) => return Poll::Ready(Ok(0)),
            Some(End::Reset) => return Poll::Ready(Err(ConnError::Reset)),
            None if entry.reset => return Poll::Ready(Err(ConnError::Reset)),
            None => {}
        }
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let Some(socket) = entry.socket() else {
            register(&mut entry.reader, waker);
            return Poll::Pending;
        };
        let narrow = socket.recv_queue() * 2 >= socket.recv_capacity();
        match socket.recv_slice(buf) {
            Ok(0) => {
                register(&mut entry.reader, waker);
                Poll::Pending
            }
            Ok(n) => {
                entry.flow.rcv_nxt = entry.flow.rcv_nxt.wrapping_add(n as u32);
                if narrow {
                    self.mark(index);
                }
                Poll::Ready(Ok(n))
            }
            Err(RecvError::Finished) => Poll::Ready(Ok(0)),
            Err(RecvError::InvalidState) => Poll::Ready(Err(ConnError::Reset)),
        }
    }

    fn write(
        &mut self,
        index: u32,
        waker: &Waker,
        parts: &[&[u8]],
        more: usize,
    ) -> Poll<Result<usize, ConnError>> {
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let most = self.config.send_buffer_max;
        let first = self.config.send_buffer;
        let Some(entry) = self.conns.get_mut(index) else {
            return Poll::Ready(Err(ConnError::Reset));
        };
        if entry.expired {
            return Poll::Ready(Err(ConnError::TimedOut));
        }
        if entry.end.is_some() || entry.reset || entry.closing {
            return Poll::Ready(Err(ConnError::Reset));
        }
        if total == 0 {
            return Poll::Ready(Ok(0));
        }
        let total = total.saturating_add(more);
        let wanted = total
            .checked_next_power_of_two()
            .map_or(most, |n| n.clamp(first, most));
        let Some(socket) = entry.socket() else {
            if !self.wake_up(index, wanted) {
                return self.wait_for_memory(index, waker);
            }
            return self.enqueue_parts(index, waker, parts);
        };
        if socket.send_capacity() < wanted && total > socket.send_capacity() - socket.send_queue() {
            if socket.send_queue() == 0 {
                let none = socket.send_capacity() == 0;
                // If it fails, the buffer that is there has to do, if there is one.
                if !self.grow(index, wanted) && none {
                    return self.wait_for_memory(index, waker);
                }
            } else if total > 2 * socket.send_capacity() && socket.may_send() {
                // Much is to come: wait until nothing is in flight, then exchange the buffer.
                entry.grow = true;
                register(&mut entry.writer, waker);
                return Poll::Pending;
            }
        }
        self.enqueue_parts(index, waker, parts)
    }

    fn wait_for_memory(&mut self, index: u32, waker: &Waker) -> Poll<Result<usize, ConnError>> {
        self.starve(index);
        if let Some(entry) = self.conns.get_mut(index) {
            register(&mut entry.writer, waker);
        }
        Poll::Pending
    }

    fn enqueue_parts(
        &mut self,
        index: u32,
        waker: &Waker,
        parts: &[&[u8]],
    ) -> Poll<Result<usize, ConnError>> {
        let Some(entry) = self.conns.get_mut(index) else {
            return Poll::Ready(Err(ConnError::Reset));
        };
        let Some(socket) = entry.socket() else {
            return Poll::Ready(Err(ConnError::Reset));
        };
        let mut taken = 0;
        for part in parts {
            match socket.send_slice(part) {
                Ok(n) => {
                    taken += n;
                    if n < part.len() {
                        break;
                    }
                }
                Err(_) => return Poll::Ready(Err(ConnError::Reset)),
            }
        }
        if taken == 0 {
            register(&mut entry.writer, waker);
            return Poll::Pending;
        }
        entry.flow.snd_nxt = entry.flow.snd_nxt.wrapping_add(taken as u32);
        self.mark(index);
        Poll::Ready(Ok(taken))
    }

    fn close(&mut self, index: u32, waker: &Waker) -> Poll<Result<(), ConnError>> {
        let Some(entry) = self.conns.get_mut(index) else {
            return Poll::Ready(Err(ConnError::Reset));
        };
        match entry.end {
            Some(End::Closed) => return Poll::Ready(Ok(())),
            Some(End::Reset) => return Poll::Ready(Err(ConnError::Reset)),
            None => {}
        }
        if entry.expired {
            self.abort(index);
            return Poll::Ready(Err(ConnError::TimedOut));
        }
        if entry.reset {
            return Poll::Ready(Err(ConnError::Reset));
        }
        if !entry.closing {
            if entry.set.is_none() && !self.wake_up(index, 0) {
                self.abort(index);
                return Poll::Ready(Err(ConnError::Reset));
            }
            let Some(entry) = self.conns.get_mut(index) else {
                return Poll::Ready(Err(ConnError::Reset));
            };
            entry.closing = true;
            entry.discard();
            if let Some(socket) = entry.socket() {
                socket.close();
            }
            self.mark(index);
        }
        let Some(entry) = self.conns.get_mut(index) else {
            return Poll::Ready(Err(ConnError::Reset));
        };
        let state = entry.socket().map(|socket| socket.state());
        if matches!(state, Some(State::FinWait2 | State::TimeWait)) {
            return Poll::Ready(Ok(()));
        }
        register(&mut entry.reader, waker);
        Poll::Pending
    }

    fn set_deadline(&mut self, index: u32, after: Option<Duration>) {
        if let Some(entry) = self.conns.get_mut(index) {
            entry.deadline = super::entry::NEVER;
            entry.expired = false;
            entry.after = after.map(Into::into);
            if after.is_some() {
                self.mark(index);
            }
        }
    }

    /// Has RST sent, and nothing else from now on.
    pub(super) fn abort(&mut self, index: u32) {
        let Some(entry) = self.conns.get_mut(index) else {
            return;
        };
        if entry.end.is_some() || entry.reset {
            return;
        }
        entry.reset = true;
        if let Some(socket) = entry.socket() {
            socket.abort();
        }
        self.mark(index);
    }

    /// Its `NetConn` is gone.
    fn release(&mut self, index: u32) {
        let until = self.now + self.config.close_timeout;
        let Some(entry) = self.conns.get_mut(index) else {
            return;
        };
        entry.owner = Owner::Orphan(until);
        entry.deadline = super::entry::NEVER;
        entry.after = None;
        entry.reader = None;
        entry.writer = None;
        if entry.end.is_some() {
            self.conns.remove(index);
        } else if entry.closing && !entry.expired {
            self.settle(index, false);
        } else {
            self.abort(index);
        }
    }
}
