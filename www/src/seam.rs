//! The seams: what the service needs of the world, and nothing else.
//!
//! Two things implement [`Stack`]: our own TCP stack (`www::net`) and the kernel's sockets
//! (`unikernel`, on Unix). Everything here is single-threaded, as the guest is.

use core::future::{Future, poll_fn};
use core::net::SocketAddr;
use core::task::{Context, Poll};
use core::time::Duration;

/// A source of TCP connections: whatever listens on the service's port.
pub trait Stack {
    /// One connection of this stack.
    type Conn: Conn;

    /// Takes the next established connection. Only the last task to ask is woken.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Self::Conn>;

    /// [`poll_accept`](Self::poll_accept) as a future. Cancelling it loses no connection.
    fn accept(&self) -> impl Future<Output = Self::Conn> {
        poll_fn(|cx| self.poll_accept(cx))
    }
}

/// An established TCP connection. Dropping it aborts it (RST) unless it was closed first.
///
/// Every operation but `set_deadline` and `abort` fails with [`ConnError::TimedOut`] once the
/// deadline has passed.
pub trait Conn {
    /// The other end.
    fn peer(&self) -> SocketAddr;

    /// Reads at most `buf.len()` bytes. `Ok(0)`: the peer sends no more.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8])
    -> Poll<Result<usize, ConnError>>;

    /// Queues bytes of `parts`, in order, as one gathered write; says how many it took, at least
    /// one if `parts` holds any. Nothing is transmitted before the task yields, so parts queued
    /// one after the other share segments.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[&[u8]],
    ) -> Poll<Result<usize, ConnError>>;

    /// As [`poll_write`](Self::poll_write), of a message of which `more` bytes will be written
    /// later: a hint for how much to buffer.
    fn poll_write_of(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[&[u8]],
        more: usize,
    ) -> Poll<Result<usize, ConnError>> {
        let _ = more;
        self.poll_write(cx, parts)
    }

    /// Sends what is queued, then FIN; ready when the peer has acknowledged both or is gone.
    /// Bytes that still arrive are discarded, so that closing with unread input does not reset
    /// the connection and take the last response with it.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnError>>;

    /// Time from now after which operations fail; `None` for never. Replaces the last one.
    fn set_deadline(&mut self, after: Option<Duration>);

    /// Resets the connection at once.
    fn abort(&mut self);
}

/// Why an operation on a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnError {
    /// The peer reset it, or went silent for longer than the stack waits. It is of no more use.
    Reset,
    /// The deadline passed. With a new one the connection may be used again, for a last word.
    TimedOut,
}

/// The time of day, for `Date` and logs.
pub trait Clock {
    /// Seconds since 1970-01-01 00:00:00 UTC, as POSIX counts them.
    fn unix_time(&self) -> u64;
}
