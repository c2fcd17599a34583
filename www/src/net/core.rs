//! The stack itself, without its device: what comes in, and the life of connections.

use super::border::{Framing, Once, above_ethernet};
use super::config::{Config, link_local};
use super::entry::{End, Entry, NEVER, Owner};
use super::forge::{Flow, Forge, Outfit};
use super::guard::{ACK, FIN, Identity, Input, RST, SYN, Segment, remote_address};
use super::linger::{Linger, Verdict};
use super::reply::{self, Bare};
use super::shake::{Half, Handshakes};
use super::stats::{NetStats, Refusal};
use super::table::{Handle, Key, Keyed, Table};
use super::timers::Timers;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::task::Waker;
use smoltcp::iface::{Interface, SocketSet};
use smoltcp::phy::{DeviceCapabilities, TxToken};
use smoltcp::socket::tcp::State;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{
    EthernetAddress, HardwareAddress, IpAddress, IpCidr, IpEndpoint, Ipv6Cidr, TcpControl,
};

/// Connections that have said nothing.
pub(super) const SILENT: u8 = 0;
/// Connections that have.
pub(super) const SPOKEN: u8 = 1;

/// A connection in use for less than this is not dropped for another.
const BUSY: Duration = Duration::from_secs(1);
/// A transfer without a sign of life for so long is dropped if its memory is wanted.
const STALLED: Duration = Duration::from_secs(5);

pub(super) struct Core {
    pub(super) config: Config,
    pub(super) who: Identity,
    pub(super) caps: DeviceCapabilities,
    pub(super) interface: Interface,
    /// For what belongs to no connection.
    pub(super) nothing: SocketSet<'static>,
    pub(super) forge: Forge,
    pub(super) conns: Table<Entry>,
    handshakes: Handshakes,
    lingering: Table<Linger>,
    pub(super) timers: Timers,
    pub(super) dirty: VecDeque<Handle>,
    pub(super) backlog: VecDeque<Handle>,
    /// Connections that want to write and found no memory for a socket.
    starved: VecDeque<Handle>,
    pub(super) acceptor: Option<Waker>,
    pub(super) driver: Option<Waker>,
    /// Something was queued for egress since the last poll.
    pub(super) fresh: bool,
    /// To be woken once nothing is borrowed.
    pub(super) wakes: Vec<Waker>,
    pub(super) now: Instant,
    pub(super) memory: usize,
    pub(super) awake: usize,
    resets: Bucket,
    echoes: Bucket,
    /// Until when listener reports may be due.
    pub(super) reports_until: Instant,
    pub(super) stats: NetStats,
}

impl Core {
    pub(super) fn new(config: Config, caps: &DeviceCapabilities, now: Instant) -> Self {
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
        let mut addresses = Vec::new();
        addresses.push(IpCidr::Ipv6(Ipv6Cidr::new(link_local(config.mac), 64)));
        addresses.extend(config.ipv4.map(IpCidr::Ipv4));
        addresses.extend(config.ipv6.iter().copied().map(IpCidr::Ipv6));
        addresses.truncate(8);
        let mut interface = interface(&above, word(3), now);
        interface.update_ip_addrs(|own| own.extend(addresses.iter().copied()));
        Core {
            who: Identity {
                mac: EthernetAddress(config.mac),
                addresses,
                port: config.port,
                check_ipv4: caps.checksum.ipv4.rx(),
                check_tcp: caps.checksum.tcp.rx(),
            },
            interface,
            nothing: SocketSet::new(Vec::new()),
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
            reports_until: Instant::ZERO,
            stats: NetStats::default(),
            caps: above,
            config,
        }
    }

    /// Takes a frame in. `token` is for the answer.
    pub(super) fn frame<T: TxToken>(&mut self, frame: &[u8], token: T) {
        self.stats.frames += 1;
        let own = self.who.mac;
        let refused = match self.who.inspect(frame) {
            Ok(Input::Tcp(segment)) => self.segment(&segment, token),
            Ok(Input::Control { mac, packet }) if self.echoes.take(self.now) => {
                self.control(mac, packet, token);
                Ok(())
            }
            Ok(Input::Control { .. }) => Err(Refusal::RateLimit),
            Ok(Input::Arp { mac, ip }) => {
                if let Some(target) = self.config.ipv4 {
                    reply::arp(token, own, target.address(), Some((mac, ip)));
                }
                Ok(())
            }
            Ok(Input::Solicitation {
                mac,
                source,
                target,
            }) => {
                let to = (!source.is_unspecified()).then_some((mac, source));
                reply::advertise(token, own, target, to, &self.caps.checksum);
                Ok(())
            }
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = refused {
            self.stats.refuse(refusal);
        }
    }

    fn control<T: TxToken>(&mut self, mac: EthernetAddress, packet: &[u8], token: T) {
        self.reports_until = self.now + Duration::from_secs(12);
        self.stats.polls += 1;
        let mut once = Once {
            packet: Some(packet),
            answer: Some(Framing {
                inner: token,
                source: self.who.mac,
                destination: mac,
            }),
            caps: &self.caps,
        };
        self.interface
            .poll_ingress_single(self.now, &mut once, &mut self.nothing);
    }

    fn segment<T: TxToken>(&mut self, segment: &Segment<'_>, token: T) -> Result<(), Refusal> {
        let token = Framing {
            inner: token,
            source: self.who.mac,
            destination: segment.mac,
        };
        if segment.local_port != self.who.port {
            return self.stranger(segment, token);
        }
        self.stats.lookups += 1;
        if let Some(index) = self.conns.find(&segment.key) {
            return self.known(index, segment, token);
        }
        let mut floor = None;
        if let Some(index) = self.lingering.find(&segment.key)
            && let Some(linger) = self.lingering.get_mut(index)
        {
            match linger.segment(segment, self.config.time_wait, self.now) {
                Verdict::Nothing => return Ok(()),
                Verdict::Acknowledge => {
                    let (seq, ack) = (linger.snd_nxt, linger.rcv_nxt);
                    let window = self.config.receive_buffer as u16;
                    let answer = Bare::new(TcpControl::None, seq, Some(ack), window);
                    answer.send(&self.flow(segment), &self.caps.checksum, token);
                    return Ok(());
                }
                Verdict::Forget => {
                    self.lingering.remove(index);
                    return Ok(());
                }
                Verdict::Successor(above) => {
                    self.lingering.remove(index);
                    floor = Some(above);
                }
            }
        }
        match segment.flags & (SYN | ACK | RST) {
            SYN => self.syn(segment, floor, token),
            ACK => self.last_of_handshake(segment, token),
            flags if flags & RST != 0 => {
                if let Some((half, _)) = self.handshakes.peek(&segment.key)
                    && half.irs.wrapping_add(1) == segment.seq
                {
                    self.handshakes.forget(&segment.key);
                }
                Ok(())
            }
            _ => self.stranger(segment, token),
        }
    }

    fn syn<T: TxToken>(
        &mut self,
        segment: &Segment<'_>,
        floor: Option<u32>,
        token: Framing<T>,
    ) -> Result<(), Refusal> {
        self.stats.syns += 1;
        let mss = self.mss(segment);
        let window = self.config.receive_buffer as u16;
        let offer = self.handshakes.syn(segment, mss, window, floor, self.now)?;
        self.stats.half_open_reaped += offer.reaped;
        self.stats.cookies_sent += u64::from(offer.is_cookie);
        offer
            .segment
            .send(&self.flow(segment), &self.caps.checksum, token);
        Ok(())
    }

    fn last_of_handshake<T: TxToken>(
        &mut self,
        segment: &Segment<'_>,
        token: Framing<T>,
    ) -> Result<(), Refusal> {
        let window = self.config.receive_buffer as u16;
        let Some((half, cookie)) = self.handshakes.complete(segment, window, self.now) else {
            return self.stranger(segment, token);
        };
        // Without room the handshake stays half open; the peer will say this again.
        if !self.config.defer_accept && self.backlog.len() >= self.config.backlog
            || !self.make_room()
        {
            self.stats.no_room += 1;
            return Ok(());
        }
        let flow = Flow {
            rcv_nxt: half.irs.wrapping_add(1),
            snd_nxt: half.iss.wrapping_add(1),
            window: segment.window,
            scale: half.peer.scale,
            mss: half.peer.mss,
            sack: half.peer.sack,
            ..self.flow(segment)
        };
        let Ok(index) =
            self.conns
                .insert(segment.key, Entry::new(flow, segment.mac, self.now), SILENT)
        else {
            self.stats.no_room += 1;
            return Ok(());
        };
        self.handshakes.forget(&segment.key);
        self.stats.established += 1;
        self.stats.cookies_taken += u64::from(cookie);
        if !self.config.defer_accept {
            self.enqueue(index);
        }
        self.known(index, segment, token)
    }

    /// A segment of an established connection.
    fn known<T: TxToken>(
        &mut self,
        index: u32,
        segment: &Segment<'_>,
        token: Framing<T>,
    ) -> Result<(), Refusal> {
        let now = self.now;
        let full = self.backlog.len() >= self.config.backlog;
        let Some(entry) = self.conns.get_mut(index) else {
            return Ok(());
        };
        if segment.has(RST) {
            // RFC 5961: a reset must hit the exact sequence number; one that is near gets an
            // answer that lets the peer do so.
            if segment.seq == entry.edge() {
                self.stats.resets_received += 1;
                self.finish(index, End::Reset);
                return Ok(());
            }
            self.challenge(index, token)?;
            return Err(Refusal::Reset);
        }
        if segment.has(SYN) {
            return self.challenge(index, token);
        }
        if !segment.has(ACK) {
            return Err(Refusal::TcpFlags);
        }
        entry.mac = segment.mac;
        entry.last = now;
        entry.probes = 0;
        let speaks = segment.len > 0 || segment.has(FIN);
        if entry.owner == Owner::Nobody && speaks && full {
            self.stats.no_room += 1;
            return Ok(());
        }
        if entry.set.is_none() {
            let offset = segment.seq.wrapping_sub(entry.flow.rcv_nxt);
            let news = segment.end().wrapping_sub(entry.flow.rcv_nxt) as i32 > 0;
            self.conns.touch(index);
            match (offset, news) {
                (0, false) => {
                    let entry = self.conns.get_mut(index);
                    if let Some(entry) = entry.filter(|e| e.flow.snd_nxt == segment.ack) {
                        entry.flow.window = segment.window;
                    }
                    return Ok(());
                }
                (_, false) => return self.challenge(index, token),
                (_, true) => {
                    if !self.wake_up(index, self.config.send_buffer) {
                        return Ok(());
                    }
                }
            }
        } else {
            self.conns.touch(index);
        }
        let Some(entry) = self.conns.get_mut(index) else {
            return Ok(());
        };
        entry.flow.window = segment.window;
        let Some(set) = entry.set.as_mut() else {
            return Ok(());
        };
        self.stats.polls += 1;
        let mut once = Once {
            packet: Some(segment.packet),
            answer: Some(token),
            caps: &self.caps,
        };
        self.interface.poll_ingress_single(now, &mut once, set);
        self.settle(index, true);
        Ok(())
    }

    /// A segment that belongs to nothing: RST, but not too many.
    fn stranger<T: TxToken>(
        &mut self,
        segment: &Segment<'_>,
        token: Framing<T>,
    ) -> Result<(), Refusal> {
        if segment.has(RST) {
            return Ok(());
        }
        if !self.resets.take(self.now) {
            return Err(Refusal::RateLimit);
        }
        let answer = if segment.has(ACK) {
            Bare::new(TcpControl::Rst, segment.ack, None, 0)
        } else {
            Bare::new(TcpControl::Rst, 0, Some(segment.end()), 0)
        };
        self.stats.resets_sent += 1;
        answer.send(&self.flow(segment), &self.caps.checksum, token);
        Ok(())
    }

    /// An ACK that tells the peer where we are.
    fn challenge<T: TxToken>(&mut self, index: u32, token: Framing<T>) -> Result<(), Refusal> {
        if !self.resets.take(self.now) {
            return Err(Refusal::RateLimit);
        }
        let window = self.config.receive_buffer as u16;
        if let Some(entry) = self.conns.get_mut(index) {
            let ack = entry.edge();
            let answer = Bare::new(TcpControl::None, entry.flow.snd_nxt, Some(ack), window);
            answer.send(&entry.flow, &self.caps.checksum, token);
        }
        Ok(())
    }

    /// Makes room for one more connection, if need be by dropping one: the one that has been idle
    /// for longest without ever having said anything, else the one that has been idle for longest.
    fn make_room(&mut self) -> bool {
        let wanted = self.conns.slots() + 1;
        let reserved = self.timers.reserve(wanted).is_ok()
            && self
                .dirty
                .try_reserve(wanted.saturating_sub(self.dirty.len()))
                .is_ok()
            && self.backlog.try_reserve(1).is_ok()
            && self
                .starved
                .try_reserve(wanted.saturating_sub(self.starved.len()))
                .is_ok()
            && self.wakes.try_reserve(2 * wanted).is_ok();
        if !reserved {
            self.stats.out_of_memory += 1;
            return false;
        }
        if !self.conns.is_full() {
            return true;
        }
        if let Some(silent) = self.conns.front(SILENT) {
            self.stats.evicted_silent += 1;
            self.finish(silent, End::Reset);
            return true;
        }
        let now = self.now;
        match self.conns.front(SPOKEN) {
            Some(idle) if self.conns.get(idle).is_some_and(|e| e.last + BUSY <= now) => {
                self.stats.evicted_idle += 1;
                self.finish(idle, End::Reset);
                true
            }
            _ => false,
        }
    }

    /// Gives the connection a socket with a send buffer of `send` bytes.
    pub(super) fn wake_up(&mut self, index: u32, send: usize) -> bool {
        self.equip(index, send, &[], false)
    }

    /// Exchanges the socket for one with another send buffer, keeping what has arrived. Nothing may
    /// be in flight.
    pub(super) fn grow(&mut self, index: u32, send: usize) -> bool {
        let Some(entry) = self.conns.get_mut(index) else {
            return false;
        };
        let Some(socket) = entry.socket() else {
            return false;
        };
        if socket.send_queue() > 0 {
            return false;
        }
        let fin = match socket.state() {
            State::Established => false,
            State::CloseWait => true,
            _ => return false,
        };
        let mut unread = Vec::new();
        if unread.try_reserve_exact(socket.recv_queue()).is_err() {
            return false;
        }
        unread.resize(socket.recv_queue(), 0);
        let copied = socket.peek_slice(&mut unread).unwrap_or(0);
        unread.truncate(copied);
        let grown = self.equip(index, send, &unread, fin);
        self.stats.grown += u64::from(grown);
        grown
    }

    fn equip(&mut self, index: u32, send: usize, unread: &[u8], fin: bool) -> bool {
        let mut outfit = Outfit {
            receive: self.config.receive_buffer,
            send,
            timeout: self.config.user_timeout,
        };
        // Under pressure a small buffer has to do; a socket has to be had in any case.
        while self.memory + outfit.cost() > self.config.memory * 3 / 4 && outfit.send > 4096 {
            outfit.send = (outfit.send / 2).max(4096);
        }
        while self.memory + outfit.cost() > self.config.memory {
            if !self.reclaim(index) {
                self.stats.out_of_memory += 1;
                return false;
            }
        }
        let Some(entry) = self.conns.get_mut(index) else {
            return false;
        };
        if entry
            .socket()
            .is_some_and(|socket| socket.send_capacity() >= outfit.send)
        {
            return false;
        }
        let Some(set) = self
            .forge
            .build(&entry.flow, &outfit, unread, fin, self.now)
        else {
            self.stats.out_of_memory += 1;
            return false;
        };
        if entry.set.replace(set).is_none() {
            self.awake += 1;
            self.stats.woken += 1;
        }
        self.memory = self.memory - entry.cost + outfit.cost();
        entry.cost = outfit.cost();
        true
    }

    /// Finds memory: puts the longest idle connection to sleep, or drops it if it cannot sleep.
    fn reclaim(&mut self, except: u32) -> bool {
        let mut candidate = self.conns.front(SPOKEN);
        // Sleepers are at the front; there may be many, but each was put there by a packet.
        for _ in 0..64 {
            let Some(index) = candidate else { return false };
            candidate = self.conns.after(index);
            let Some(entry) = self.conns.get_mut(index) else {
                continue;
            };
            if index == except || entry.set.is_none() {
                continue;
            }
            if entry.is_quiet() {
                self.sleep(index);
                return true;
            }
            if entry.last + STALLED <= self.now {
                self.stats.evicted_idle += 1;
                self.finish(index, End::Reset);
                return true;
            }
        }
        false
    }

    /// Takes its socket away. Nothing may be in flight.
    pub(super) fn sleep(&mut self, index: u32) {
        self.drop_socket(index);
        self.stats.slept += 1;
    }

    fn drop_socket(&mut self, index: u32) {
        if let Some(entry) = self.conns.get_mut(index)
            && entry.set.take().is_some()
        {
            self.memory -= entry.cost;
            entry.cost = 0;
            entry.due = NEVER;
            self.awake -= 1;
            // Memory is free: whoever waits for some may try again.
            while let Some(handle) = self.starved.pop_front() {
                if let Some(index) = self.conns.resolve(handle)
                    && let Some(entry) = self.conns.get_mut(index)
                {
                    entry.starved = false;
                    self.wakes.extend(entry.writer.take());
                    break;
                }
            }
        }
    }

    /// Puts a connection in line for memory.
    pub(super) fn starve(&mut self, index: u32) {
        if let Some(entry) = self.conns.get_mut(index)
            && !entry.starved
        {
            entry.starved = true;
            let handle = self.conns.handle(index);
            if self.starved.len() == self.starved.capacity() {
                let conns = &self.conns;
                self.starved
                    .retain(|&queued| conns.resolve(queued).is_some());
            }
            self.starved.push_back(handle);
        }
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
            self.conns.shift(index, SPOKEN);
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
    fn enqueue(&mut self, index: u32) {
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

    fn mss(&self, segment: &Segment<'_>) -> u16 {
        // The Ethernet MTU is clamped so that this fits and is positive.
        let headers = if segment.tcp == 20 { 40 } else { 60 };
        (self.caps.max_transmission_unit - headers) as u16
    }

    /// Who talks to whom in `segment`.
    fn flow(&self, segment: &Segment<'_>) -> Flow {
        let local = self.who.addresses.get(usize::from(segment.key.local));
        let local = local.map_or(IpAddress::v4(0, 0, 0, 0), |own| own.address());
        Flow {
            local: IpEndpoint::new(local, segment.local_port),
            remote: IpEndpoint::new(remote_address(&segment.key), segment.key.port),
            rcv_nxt: 0,
            snd_nxt: 0,
            window: 0,
            scale: None,
            mss: 0,
            sack: false,
        }
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

/// A limit on answers per second.
struct Bucket {
    rate: u32,
    tokens: u32,
    at: Instant,
}

impl Bucket {
    fn new(rate: u32, now: Instant) -> Self {
        Bucket {
            rate,
            tokens: rate,
            at: now,
        }
    }

    fn take(&mut self, now: Instant) -> bool {
        if self.tokens < self.rate && now > self.at {
            let passed = (now - self.at).total_micros().min(1_000_000);
            let earned = (passed * u64::from(self.rate) / 1_000_000) as u32;
            if earned > 0 {
                self.tokens = self.tokens.saturating_add(earned).min(self.rate);
                self.at = now;
            }
        }
        if self.tokens == self.rate {
            self.at = now;
        }
        let got = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        got
    }
}

/// Half of a handshake, for whoever asks.
impl Handshakes {
    fn peek(&self, key: &Key) -> Option<(Half, u32)> {
        let index = self.half.find(key)?;
        self.half.get(index).map(|half| (*half, index))
    }
}
