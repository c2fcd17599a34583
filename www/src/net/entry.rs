//! One connection.

use super::ethernet::EthernetAddress;
use super::forge::Flow;
use super::timers::Serial;
use core::task::Waker;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, State};
use smoltcp::time::{Duration, Instant};

/// Later than anything.
pub(super) const NEVER: Instant = Instant::from_micros_const(i64::MAX);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Both sides have said all, and know it.
    Closed,
    /// The peer reset it or vanished, or we had to drop it.
    Reset,
}

/// Who has the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Nobody yet; it has said nothing.
    Nobody,
    /// Nobody yet; it waits to be accepted.
    Backlog,
    /// A `NetConn`.
    Task,
    /// Nobody any more; it is closing by itself until then.
    Orphan(Instant),
}

pub(super) struct Entry {
    pub(super) flow: Flow,
    /// Where its last frame came from, and answers go to.
    pub(super) mac: EthernetAddress,
    /// Its socket, alone in its set. `None` while it sleeps.
    pub(super) set: Option<SocketSet<'static>>,
    /// What the socket takes of the heap.
    pub(super) cost: usize,
    pub(super) owner: Owner,
    /// It has sent something.
    pub(super) spoken: bool,
    /// FIN is queued; what arrives is discarded.
    pub(super) closing: bool,
    /// RST is to be sent, and that is all.
    pub(super) reset: bool,
    /// A keep-alive probe is to be sent.
    pub(super) probe: bool,
    /// A writer waits for the send buffer to be empty, so that it can be exchanged.
    pub(super) grow: bool,
    /// In line for memory.
    pub(super) starved: bool,
    /// On the queue for egress.
    pub(super) dirty: bool,
    /// Unanswered keep-alive probes.
    pub(super) probes: u8,
    pub(super) end: Option<End>,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
    /// A deadline that was set since the last poll, relative to the next one, so that it never
    /// fires early for what other tasks took.
    pub(super) after: Option<Duration>,
    pub(super) deadline: Instant,
    pub(super) expired: bool,
    /// Before this, the peer is not told again where we are.
    pub(super) challenge_at: Instant,
    /// When the socket wants to be polled.
    pub(super) due: Instant,
    /// When it last received something.
    pub(super) last: Instant,
    /// Its earliest timer on the heap.
    pub(super) timer: Instant,
    /// The number of that timer.
    pub(super) serial: Serial,
}

impl Entry {
    pub(super) fn new(flow: Flow, mac: EthernetAddress, now: Instant) -> Self {
        Entry {
            flow,
            mac,
            set: None,
            cost: 0,
            owner: Owner::Nobody,
            spoken: false,
            closing: false,
            reset: false,
            probe: false,
            grow: false,
            starved: false,
            dirty: false,
            probes: 0,
            end: None,
            reader: None,
            writer: None,
            after: None,
            deadline: NEVER,
            expired: false,
            challenge_at: now,
            due: NEVER,
            last: now,
            timer: NEVER,
            serial: 0,
        }
    }

    pub(super) fn socket(&mut self) -> Option<&mut Socket<'static>> {
        self.set
            .as_mut()
            .map(|set| set.get_mut(SocketHandle::default()))
    }

    /// The next sequence number that we expect from the peer.
    pub(super) fn edge(&mut self) -> u32 {
        let read = self.flow.rcv_nxt;
        let Some(socket) = self.socket() else {
            return read;
        };
        let fin = matches!(
            socket.state(),
            State::CloseWait | State::LastAck | State::Closing | State::TimeWait
        );
        read.wrapping_add(socket.recv_queue() as u32)
            .wrapping_add(u32::from(fin))
    }

    /// Throws away what has arrived.
    pub(super) fn discard(&mut self) {
        let mut read = 0u32;
        if let Some(socket) = self.socket() {
            while let Ok(n @ 1..) = socket.recv(|bytes| (bytes.len(), bytes.len())) {
                read = read.wrapping_add(n as u32);
            }
        }
        self.flow.rcv_nxt = self.flow.rcv_nxt.wrapping_add(read);
    }

    /// Nothing is in flight, nothing is unread and neither side has closed.
    pub(super) fn is_quiet(&mut self) -> bool {
        match self.socket() {
            Some(socket) => {
                socket.state() == State::Established
                    && socket.send_queue() == 0
                    && socket.recv_queue() == 0
            }
            None => true,
        }
    }
}
