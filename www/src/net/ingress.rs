//! What comes in.

use super::border::{Framing, Once};
use super::core::{Core, SILENT};
use super::entry::{End, Entry, Owner};
use super::ethernet::EthernetAddress;
use super::forge::Flow;
use super::guard::{ACK, FIN, Input, RST, SYN, Segment, remote_address};
use super::linger::Verdict;
use super::reply::{self, Bare};
use super::stats::Refusal;
use smoltcp::phy::TxToken;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{IpAddress, IpEndpoint, TcpControl};

/// Between two challenges to one peer.
const CHALLENGE_INTERVAL: Duration = Duration::from_millis(100);

impl Core {
    /// Takes a frame in. `token` is for the answer.
    pub(super) fn frame<T: TxToken>(&mut self, frame: &[u8], token: T) {
        self.stats.frames += 1;
        let own = self.who.mac;
        let refused = match self.who.inspect(frame) {
            Ok(Input::Tcp(segment)) => self.segment(&segment, token),
            Ok(Input::Echo { mac, packet, at }) => self.echo(mac, packet, at, token),
            Ok(Input::Query { group, time }) => self.query(group, time),
            Ok(Input::Arp { mac, ip, target }) => {
                reply::arp(token, own, target, Some((mac, ip)));
                Ok(())
            }
            Ok(Input::Solicitation {
                mac,
                source,
                target,
                sure,
            }) => {
                let to = (!source.is_unspecified()).then_some((mac, source));
                reply::advertise(token, own, target, to, sure, &self.caps.checksum);
                Ok(())
            }
            Ok(Input::Claim { mac, address }) => self.claim(address, mac),
            Ok(Input::Dhcp { mac, payload }) => self.dhcp(mac, payload),
            Ok(Input::Router { source, message }) => self.router(source, message),
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = refused {
            self.stats.refuse(refusal);
        }
    }

    fn echo<T: TxToken>(
        &mut self,
        mac: EthernetAddress,
        packet: &[u8],
        at: usize,
        token: T,
    ) -> Result<(), Refusal> {
        if packet.len() > self.caps.max_transmission_unit {
            return Err(Refusal::IpLength);
        }
        if !self.echoes.take(self.now) {
            return Err(Refusal::RateLimit);
        }
        let framing = Framing {
            inner: token,
            source: self.who.mac,
            destination: mac,
        };
        reply::echo(framing, packet, at);
        Ok(())
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
                if let Some(half) = self.handshakes.peek(&segment.key)
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
                    // Without memory for an answer, at least the question can be read.
                    if !self.wake_up(index, self.config.send_buffer) && !self.wake_up(index, 0) {
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

    /// An ACK that tells the peer where we are, ten times a second at most.
    fn challenge<T: TxToken>(&mut self, index: u32, token: Framing<T>) -> Result<(), Refusal> {
        let window = self.config.receive_buffer as u16;
        let Some(entry) = self.conns.get_mut(index) else {
            return Ok(());
        };
        if self.now < entry.challenge_at {
            return Err(Refusal::RateLimit);
        }
        entry.challenge_at = self.now + CHALLENGE_INTERVAL;
        let ack = entry.edge();
        let answer = Bare::new(TcpControl::None, entry.flow.snd_nxt, Some(ack), window);
        answer.send(&entry.flow, &self.caps.checksum, token);
        Ok(())
    }

    fn mss(&self, segment: &Segment<'_>) -> u16 {
        // The Ethernet MTU is clamped so that this fits and is positive.
        let headers = if segment.tcp == 20 { 40 } else { 60 };
        let most = self.caps.max_transmission_unit;
        let told = self.addressing.mtu[usize::from(headers == 60)];
        (told.map_or(most, |told| most.min(told.into())) - headers) as u16
    }

    /// Who talks to whom in `segment`.
    fn flow(&self, segment: &Segment<'_>) -> Flow {
        let local = self.who.addresses.get(usize::from(segment.key.local));
        let local = local.copied().flatten();
        let local = local.map_or(IpAddress::v4(0, 0, 0, 0), |own| own.cidr.address());
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
}

/// A limit on answers per second.
pub(super) struct Bucket {
    rate: u32,
    tokens: u32,
    at: Instant,
}

impl Bucket {
    pub(super) fn new(rate: u32, now: Instant) -> Self {
        Bucket {
            rate,
            tokens: rate,
            at: now,
        }
    }

    pub(super) fn take(&mut self, now: Instant) -> bool {
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
