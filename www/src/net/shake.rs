//! Handshakes: SYN, SYN|ACK, ACK, without a socket.
//!
//! A half-open connection is a record in a table of fixed size. When that is full, the initial
//! sequence number is a cookie that holds all that we need to know, and a flood of SYNs costs
//! nothing but the answers. A connection made from a cookie has no window scaling and no selective
//! acknowledgements.

use super::guard::Segment;
use super::reply::Bare;
use super::stats::Refusal;
use super::table::{Key, Keyed, Table};
use core::hash::{BuildHasher, Hasher};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{TcpControl, TcpOption};

/// A SYN that was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Half {
    pub(super) irs: u32,
    pub(super) iss: u32,
    pub(super) peer: Peer,
    at: Instant,
}

/// What the options of a SYN say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) mss: u16,
    pub(super) scale: Option<u8>,
    pub(super) sack: bool,
}

/// The MSS that RFC 9293 has us assume.
const DEFAULT_MSS: u16 = 536;
/// Smaller ones make us send nothing but headers.
const LEAST_MSS: u16 = 64;

impl Peer {
    fn of(segment: &Segment<'_>, ours: u16) -> Result<Peer, Refusal> {
        let mut peer = Peer {
            mss: DEFAULT_MSS,
            scale: None,
            sack: false,
        };
        let mut options = segment.options();
        while !options.is_empty() {
            let (rest, option) = TcpOption::parse(options).map_err(|_| Refusal::TcpHeader)?;
            match option {
                TcpOption::EndOfList => break,
                TcpOption::MaxSegmentSize(0) => {}
                TcpOption::MaxSegmentSize(mss) => peer.mss = mss,
                TcpOption::WindowScale(scale) => peer.scale = Some(scale.min(14)),
                TcpOption::SackPermitted => peer.sack = true,
                _ => {}
            }
            options = rest;
        }
        peer.mss = peer.mss.clamp(LEAST_MSS, ours.max(LEAST_MSS));
        Ok(peer)
    }
}

/// The MSS values that a cookie can tell.
const COOKIE_MSS: [u16; 8] = [64, 536, 1200, 1220, 1360, 1440, 1460, 8940];
/// How long one cookie key holds; a cookie is good for one to two of these.
const COOKIE_AGE: Duration = Duration::from_secs(32);

pub(super) struct Handshakes {
    pub(super) half: Table<Half>,
    sequence: Keyed,
    cookie: Keyed,
    /// Until when cookies may come back.
    cookies_until: Instant,
    timeout: Duration,
}

/// What a SYN is answered with.
pub(super) struct Offer {
    pub(super) segment: Bare,
    pub(super) is_cookie: bool,
    /// Handshakes given up.
    pub(super) reaped: u64,
}

impl Handshakes {
    pub(super) fn new(limit: usize, timeout: Duration, keys: [Keyed; 3]) -> Self {
        let [table, sequence, cookie] = keys;
        Handshakes {
            half: Table::new(limit, table),
            sequence,
            cookie,
            cookies_until: Instant::ZERO,
            timeout,
        }
    }

    /// Takes a SYN in. `floor`: the last sequence number of the connection that was here before,
    /// which the new one must begin above. `mss` is ours.
    pub(super) fn syn(
        &mut self,
        segment: &Segment<'_>,
        mss: u16,
        window: u16,
        floor: Option<u32>,
        now: Instant,
    ) -> Result<Offer, Refusal> {
        let peer = Peer::of(segment, mss)?;
        let key = &segment.key;
        let mut offer = Offer {
            segment: Bare {
                mss: Some(mss),
                scale: peer.scale.is_some(),
                sack: peer.sack,
                ..Bare::new(
                    TcpControl::Syn,
                    0,
                    Some(segment.seq.wrapping_add(1)),
                    window,
                )
            },
            is_cookie: false,
            reaped: 0,
        };
        if let Some(index) = self.half.find(key) {
            match self.half.get(index) {
                Some(half) if half.irs == segment.seq => {
                    offer.segment.seq = half.iss;
                    return Ok(offer);
                }
                _ => _ = self.half.remove(index),
            }
        }
        while let Some(oldest) = self.half.front(0)
            && self
                .half
                .get(oldest)
                .is_some_and(|half| half.at + self.timeout <= now)
        {
            self.half.remove(oldest);
            offer.reaped += 1;
        }
        let iss = self.initial(key, floor, now);
        let half = Half {
            irs: segment.seq,
            iss,
            peer,
            at: now,
        };
        offer.segment.seq = iss;
        if self.half.insert(*key, half, 0).is_err() {
            self.cookies_until = now + COOKIE_AGE + COOKIE_AGE;
            offer.segment.seq = self.bake(key, segment.seq, peer.mss, now);
            offer.segment.scale = false;
            offer.segment.sack = false;
            offer.is_cookie = true;
        }
        Ok(offer)
    }

    /// Takes in a segment that may be the last of a handshake: `Ok` with the sequence numbers and
    /// whether it was a cookie's.
    pub(super) fn complete(
        &mut self,
        segment: &Segment<'_>,
        window: u16,
        now: Instant,
    ) -> Option<(Half, bool)> {
        let key = &segment.key;
        if let Some(index) = self.half.find(key) {
            let half = *self.half.get(index)?;
            let begin = half.irs.wrapping_add(1);
            // Data may overtake the bare acknowledgement.
            let inside = segment.seq.wrapping_sub(begin) < u32::from(window);
            return (segment.ack == half.iss.wrapping_add(1) && inside).then_some((half, false));
        }
        if now >= self.cookies_until {
            return None;
        }
        let (irs, iss) = (segment.seq.wrapping_sub(1), segment.ack.wrapping_sub(1));
        let mss = self.taste(key, irs, iss, now)?;
        let peer = Peer {
            mss,
            scale: None,
            sack: false,
        };
        Some((
            Half {
                irs,
                iss,
                peer,
                at: now,
            },
            true,
        ))
    }

    /// The handshake of `key`.
    pub(super) fn peek(&self, key: &Key) -> Option<Half> {
        self.half.get(self.half.find(key)?).copied()
    }

    /// Forgets the handshake of `key`.
    pub(super) fn forget(&mut self, key: &Key) {
        if let Some(index) = self.half.find(key) {
            self.half.remove(index);
        }
    }

    /// RFC 6528: a clock of 4 microseconds plus a keyed hash of the addresses and ports.
    fn initial(&self, key: &Key, floor: Option<u32>, now: Instant) -> u32 {
        let clock = (now.total_micros() / 4) as u32;
        let mut hasher = self.sequence.build_hasher();
        hasher.write(&key.bytes());
        let iss = clock.wrapping_add(hasher.finish() as u32);
        match floor {
            Some(floor) if (iss.wrapping_sub(floor) as i32) <= 0 => floor.wrapping_add(1 << 16),
            _ => iss,
        }
    }

    fn bake(&self, key: &Key, irs: u32, mss: u16, now: Instant) -> u32 {
        let fits = COOKIE_MSS
            .iter()
            .rposition(|&known| known <= mss)
            .unwrap_or(0) as u32;
        let age = Self::age(now);
        self.cookie_hash(key, irs, age, fits) & 0x00ff_ffff | fits << 24 | (age & 31) << 27
    }

    fn taste(&self, key: &Key, irs: u32, iss: u32, now: Instant) -> Option<u16> {
        let fits = (iss >> 24) & 7;
        let now = Self::age(now);
        let age = [now, now.wrapping_sub(1)]
            .into_iter()
            .find(|age| age & 31 == iss >> 27)?;
        let good = self.cookie_hash(key, irs, age, fits) & 0x00ff_ffff == iss & 0x00ff_ffff;
        good.then(|| COOKIE_MSS[fits as usize])
    }

    fn age(now: Instant) -> u32 {
        (now.total_micros() as u64 / COOKIE_AGE.total_micros()) as u32
    }

    fn cookie_hash(&self, key: &Key, irs: u32, age: u32, fits: u32) -> u32 {
        let mut bytes = [0; 31];
        bytes[..19].copy_from_slice(&key.bytes());
        bytes[19..23].copy_from_slice(&irs.to_be_bytes());
        bytes[23..27].copy_from_slice(&age.to_be_bytes());
        bytes[27..].copy_from_slice(&fits.to_be_bytes());
        let mut hasher = self.cookie.build_hasher();
        hasher.write(&bytes);
        hasher.finish() as u32
    }
}
