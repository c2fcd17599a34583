//! The stack itself, without its device, and the life of its connections.

use super::addresses::{Addressing, identity};
use super::border::{Once, above_ethernet};
use super::config::Config;
use super::entry::{End, Entry, NEVER, Owner};
use super::forge::Forge;
use super::groups::Groups;
use super::guard::Identity;
use super::ingress::Bucket;
use super::linger::Linger;
use super::shake::Handshakes;
use super::stats::NetStats;
use super::table::{Handle, Key, Keyed, Table};
use super::timers::Timers;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::task::Waker;
use smoltcp::iface::Interface;
use smoltcp::phy::{DeviceCapabilities, TxToken};
use smoltcp::socket::tcp::State;
use smoltcp::time::Instant;
use smoltcp::wire::HardwareAddress;

/// Connections that have said nothing.
pub(super) const SILENT: u8 = 0;
/// Connections that have, and have no socket now.
pub(super) const ASLEEP: u8 = 1;
/// Connections that have a socket.
pub(super) const AWAKE: u8 = 2;

pub(super) struct Core {
    pub(super) config: Config,
    pub(super) who: Identity,
    pub(super) addressing: Addressing,
    pub(super) caps: DeviceCapabilities,
    pub(super) interface: Interface,
    pub(super) forge: Forge,
    pub(super) conns: Table<Entry>,
    pub(super) handshakes: Handshakes,
    pub(super) lingering: Table<Linger>,
    pub(super) timers: Timers,
    pub(super) dirty: VecDeque<Handle>,
    pub(super) backlog: VecDeque<Handle>,
    /// Connections that want to write and found no memory for a socket.
    pub(super) starved: VecDeque<Handle>,
    pub(super) acceptor: Option<Waker>,
    pub(super) driver: Option<Waker>,
    /// Something was queued for egress since the last poll.
    pub(super) fresh: bool,
    /// To be woken once nothing is borrowed.
    pub(super) wakes: Vec<Waker>,
    pub(super) now: Instant,
    pub(super) memory: usize,
    pub(super) awake: usize,
    pub(super) resets: Bucket,
    pub(super) echoes: Bucket,
    pub(super) groups: Groups,
    pub(super) stats: NetStats,
}

impl Core {
    pub(super) fn new(mut config: Config, caps: &DeviceCapabilities, now: Instant) -> Self {
        config.receive_buffer = config.receive_buffer.clamp(1024, 65535);
        config.send_buffer = config.send_buffer.clamp(1024, 1 << 30);
        config.send_buffer_max = config.send_buffer_max.clamp(config.send_buffer, 1 << 30);
        let above = above_ethernet(caps);
        let word = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&config.seed[at * 8..at * 8 + 8]);
            u64::from_le_bytes(bytes)
        };
        // One seed, several keys: each has a number of its own.
        let keyed = |n: u64| {
            Keyed(
                word(0) ^ n,
                word(1) ^ word(2).rotate_left(n as u32) ^ word(3),
            )
        };
        let who = identity(&config, caps);
        let interface = interface(&above, word(3), now);
        let seed = [word(1) ^ 6, word(2) ^ word(0)];
        let mut core = Core {
            who,
            addressing: Addressing::new(now),
            interface,
            forge: Forge::new(above.max_transmission_unit),
            conns: Table::new(config.max_connections, keyed(1)),
            handshakes: Handshakes::new(
                config.max_half_open,
                config.half_open_timeout,
                [keyed(2), keyed(3), keyed(4)],
            ),
            lingering: Table::new(config.max_lingering, keyed(5)),
            timers: Timers::default(),
            dirty: VecDeque::new(),
            backlog: VecDeque::new(),
            starved: VecDeque::new(),
            acceptor: None,
            driver: None,
            fresh: false,
            wakes: Vec::new(),
            now,
            memory: 0,
            awake: 0,
            resets: Bucket::new(config.resets_per_second, now),
            echoes: Bucket::new(config.echoes_per_second, now),
            groups: Groups::new([word(2) ^ 7, word(3) ^ word(1)]),
            stats: NetStats::default(),
            caps: above,
            config,
        };
        core.learn(seed);
        core
    }

    /// Looks at a connection after smoltcp has had it: wakes who waits, sees what has ended.
    /// `heard`: it was given a segment, else it was let send.
    pub(super) fn settle(&mut self, index: u32, heard: bool) {
        let now = self.now;
        let Some(entry) = self.conns.get_mut(index) else {
            return;
        };
        if entry.closing {
            entry.discard();
        }
        let grow = entry.grow;
        let Some(socket) = entry.socket() else { return };
        let state = socket.state();
        let unread = socket.recv_queue();
        let queued = socket.send_queue();
        let free = socket.send_capacity() - queued;
        let gone = socket.remote_endpoint().is_none();
        let changed = state != State::Established;
        if unread > 0 || changed {
            self.wakes.extend(entry.reader.take());
        }
        if changed || queued == 0 || (!grow && free >= queued) {
            entry.grow = false;
            self.wakes.extend(entry.writer.take());
        }
        if (unread > 0 || changed) && !entry.spoken {
            entry.spoken = true;
            self.enqueue(index);
        }
        let Some(entry) = self.conns.get_mut(index) else {
            return;
        };
        if state == State::Closed {
            if gone {
                // Resets do not get to smoltcp: what ends by being heard has heard the last
                // acknowledgement, what ends otherwise has waited for it for too long.
                let end = if heard { End::Closed } else { End::Reset };
                if !heard {
                    self.stats.vanished += u64::from(!entry.reset);
                    self.stats.resets_sent += 1;
                }
                self.finish(index, end);
                return;
            }
            entry.reset = true;
        }
        // Others wait for memory, and this one has been told that all has arrived.
        if heard && !self.starved.is_empty() && !entry.starved && entry.is_quiet() {
            self.sleep(index);
            self.arm(index);
            return;
        }
        if matches!(entry.owner, Owner::Orphan(_))
            && matches!(state, State::FinWait2 | State::TimeWait)
        {
            self.linger(index, state == State::TimeWait);
            return;
        }
        let Some(set) = entry.set.as_ref() else {
            return;
        };
        entry.due = self.interface.poll_at(now, set).unwrap_or(NEVER);
        if entry.due <= now {
            self.mark(index);
        } else {
            self.arm(index);
        }
    }

    /// Keeps of a closed connection what its last segments need.
    fn linger(&mut self, index: u32, fin: bool) {
        let Some(entry) = self.conns.get_mut(index) else {
            return;
        };
        let record = Linger {
            rcv_nxt: entry.edge(),
            snd_nxt: entry.flow.snd_nxt.wrapping_add(1),
            fin,
            until: self.now + self.config.time_wait,
        };
        while let Some(oldest) = self.lingering.front(0)
            && let Some(linger) = self.lingering.get(oldest)
        {
            let early = linger.until > self.now;
            if early && !self.lingering.is_full() {
                break;
            }
            self.stats.time_wait_reaped += u64::from(early);
            self.lingering.remove(oldest);
        }
        let key = self.key(index);
        self.finish(index, End::Closed);
        if let Some(key) = key {
            // Without memory for it, the peer's FIN gets an RST, which ends it as well.
            let _ = self.lingering.insert(key, record, 0);
        }
    }

    fn key(&self, index: u32) -> Option<Key> {
        self.conns.key(index)
    }

    /// The connection is over. Its slot stays until its owner has seen that.
    pub(super) fn finish(&mut self, index: u32, end: End) {
        self.drop_socket(index);
        self.conns.detach(index);
        let Some(entry) = self.conns.get_mut(index) else {
            return;
        };
        entry.end = Some(end);
        self.wakes.extend(entry.reader.take());
        self.wakes.extend(entry.writer.take());
        if entry.owner != Owner::Task {
            self.conns.remove(index);
        }
    }

    /// Hands a connection to whoever accepts.
    pub(super) fn enqueue(&mut self, index: u32) {
        if let Some(entry) = self.conns.get_mut(index)
            && entry.owner == Owner::Nobody
        {
            entry.owner = Owner::Backlog;
            let handle = self.conns.handle(index);
            self.backlog.push_back(handle);
            self.wakes.extend(self.acceptor.take());
        }
    }

    /// Puts a connection on the queue for egress.
    pub(super) fn mark(&mut self, index: u32) {
        if let Some(entry) = self.conns.get_mut(index)
            && !entry.dirty
        {
            entry.dirty = true;
            let handle = self.conns.handle(index);
            self.push_dirty(handle);
            self.fresh = true;
            self.wakes.extend(self.driver.take());
        }
    }

    /// There is room for every connection once; what belongs to none any more makes way.
    fn push_dirty(&mut self, handle: Handle) {
        if self.dirty.len() == self.dirty.capacity() {
            let conns = &self.conns;
            self.dirty.retain(|&queued| conns.resolve(queued).is_some());
        }
        self.dirty.push_back(handle);
    }

    /// The counters, with the levels filled in.
    pub(super) fn stats(&self) -> NetStats {
        NetStats {
            connections: self.conns.len(),
            awake: self.awake,
            half_open: self.handshakes.half.len(),
            lingering: self.lingering.len(),
            memory: self.memory,
            ..self.stats.clone()
        }
    }
}

fn interface(caps: &DeviceCapabilities, seed: u64, now: Instant) -> Interface {
    let mut config = smoltcp::iface::Config::new(HardwareAddress::Ip);
    config.random_seed = seed;
    let mut never = Once::<Nowhere> {
        packet: None,
        answer: None,
        caps,
    };
    Interface::new(config, &mut never, now)
}

/// A token that is never made.
enum Nowhere {}

impl TxToken for Nowhere {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, _: usize, _: F) -> R {
        match self {}
    }
}
