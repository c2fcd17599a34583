//! IPv6 addresses of an interface (RFC 4862), sans-io: duplicate address detection, and addresses
//! from what routers advertise.
//!
//! It is told the time, router advertisements and who else has an address, and says what to send,
//! when to ask again, and which addresses to use.
//!
//! Addresses made from the MAC address (EUI-64) are used while they are being checked, as RFC 4429
//! allows: nobody is told to prefer us until they are known to be ours alone. Ones that a person
//! has chosen are used after the check.
//!
//! An advertisement may hold any bytes. Prefixes kept are bounded; a lifetime is never cut below
//! two hours by one advertisement, so that a forged one does not take an address away.

use super::entry::NEVER;
use super::ethernet::EthernetAddress;
use super::random::Random;
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv6Addr;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::Ipv6Cidr;

/// Prefixes that routers may make us have an address in.
pub const PREFIXES: usize = 4;
/// Addresses in all.
const ADDRESSES: usize = 8;
/// RFC 4861, 10: MAX_RTR_SOLICITATIONS, RTR_SOLICITATION_INTERVAL, RETRANS_TIMER.
const SOLICITATIONS: u8 = 3;
const SOLICITATION_INTERVAL: Duration = Duration::from_secs(4);
const RETRANSMIT: Duration = Duration::from_secs(1);
/// Before the first message, so that hosts which start together do not speak together. RFC 4861
/// has a second; guests of one host are few, and an address is worth having soon.
const JITTER: Duration = Duration::from_millis(250);
/// RFC 4862, 5.5.3 (e).
const TWO_HOURS: Duration = Duration::from_secs(7200);
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
/// The option's lifetimes: for ever.
const INFINITY: Duration = Duration::from_secs(u32::MAX as u64);
/// RFC 8200, 5.
const LEAST_MTU: u32 = 1280;

/// What has come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// This address may be used.
    Use(Ipv6Cidr),
    /// Nobody else has it.
    Verified(Ipv6Cidr),
    /// Another host, at this MAC address, has it; it must not be used.
    Duplicate(Ipv6Cidr, EthernetAddress),
    /// Another host claims it, though it was verified. It has been told.
    Defended(Ipv6Cidr, EthernetAddress),
    /// A router has advertised a prefix; the address in it is about to be used.
    Learned {
        /// Our address in it.
        address: Ipv6Cidr,
        /// Who advertised it.
        router: Ipv6Addr,
        /// How long it may be used; `None`: for ever.
        valid: Option<Duration>,
    },
    /// It can be used, and should not be for anything new that we begin. (We begin nothing.)
    Deprecated(Ipv6Cidr),
    /// Its time is over; it must not be used any more.
    Expired(Ipv6Cidr),
    /// A router has told the MTU of the link.
    Mtu(u16),
    /// A router has advertised a prefix that there is no room for.
    NoRoom(Ipv6Cidr),
}

impl fmt::Display for Event {
    #[cold]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Use(address) => write!(f, "{address} is used"),
            Event::Verified(address) => write!(f, "nobody else has {address}"),
            Event::Duplicate(address, by) => write!(f, "{by} has {address}; not used"),
            Event::Defended(address, by) => {
                write!(f, "{address} is ours, and {by} claims it")
            }
            Event::Learned {
                address,
                router,
                valid,
            } => {
                write!(f, "{address} from router {router}")?;
                match valid {
                    None => f.write_str(", for ever"),
                    Some(time) => write!(f, ", for {} s", time.secs()),
                }
            }
            Event::Deprecated(address) => write!(f, "{address} is deprecated by its router"),
            Event::Expired(address) => write!(f, "no router advertises {address} any more"),
            Event::Mtu(mtu) => write!(f, "a router says that the MTU is {mtu}"),
            Event::NoRoom(address) => write!(f, "{address} not used: one prefix too many"),
        }
    }
}

/// Something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask by a neighbour solicitation from nobody who has the address.
    Probe(Ipv6Addr),
    /// Say by a neighbour advertisement to all that the address is ours.
    Announce(Ipv6Addr),
    /// Send a router solicitation: from this address, or from nobody.
    Solicit(Option<Ipv6Addr>),
    /// Take notice.
    Event(Event),
}

/// An advertisement that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    /// To be sent at this time.
    Probe(Instant),
    /// Sent; at this time it is ours.
    Listen(Instant),
    /// It is: and is to be announced now, or was.
    Ours { announce: bool },
    /// It is another's.
    Duplicate,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    address: Ipv6Cidr,
    check: Check,
    /// In use before it is verified.
    optimistic: bool,
    /// Made from a router's prefix.
    learned: bool,
    /// `Use` is to be said.
    fresh: bool,
    /// Until when it is preferred; `NEVER` when that is over, or has no end.
    preferred_until: Instant,
    deprecated: bool,
    valid_until: Instant,
    defended: Option<Instant>,
}

impl Entry {
    fn due(&self, now: Instant) -> Instant {
        let check = match self.check {
            Check::Probe(at) | Check::Listen(at) => at,
            Check::Ours { announce: true } => now,
            _ => NEVER,
        };
        let fresh = if self.fresh { now } else { NEVER };
        check
            .min(fresh)
            .min(self.preferred_until)
            .min(self.valid_until)
    }

    fn is_checked(&self) -> bool {
        matches!(self.check, Check::Ours { .. })
    }

    fn in_check(&self) -> bool {
        matches!(self.check, Check::Probe(_) | Check::Listen(_))
    }
}

/// The IPv6 addresses of one interface.
pub struct Slaac {
    mac: [u8; 6],
    random: Random,
    entries: Vec<Entry>,
    /// Router solicitations to be sent, the next one when.
    solicitations: u8,
    solicit_at: Instant,
    /// Events of a router advertisement that `poll` has not given yet.
    news: Vec<Event>,
    mtu: Option<u16>,
}

impl Slaac {
    /// No addresses yet.
    #[must_use]
    pub fn new(mac: [u8; 6], seed: [u64; 2]) -> Self {
        Slaac {
            mac,
            random: Random::new(seed),
            entries: Vec::new(),
            solicitations: 0,
            solicit_at: NEVER,
            news: Vec::new(),
            mtu: None,
        }
    }

    /// An address to be checked and then used; `optimistic`: used while it is checked. False: there
    /// is no room for it.
    pub fn add(&mut self, address: Ipv6Cidr, optimistic: bool, now: Instant) -> bool {
        let known = |entry: &Entry| entry.address.address() == address.address();
        if self.entries.iter().any(known) {
            return true;
        }
        if self.entries.len() >= ADDRESSES || self.entries.try_reserve(1).is_err() {
            return false;
        }
        self.entries.push(Entry {
            address,
            check: Check::Probe(now + self.random.time(JITTER)),
            optimistic,
            learned: false,
            fresh: optimistic,
            preferred_until: NEVER,
            deprecated: false,
            valid_until: NEVER,
            defended: None,
        });
        true
    }

    /// Asks routers what they have to say.
    pub fn solicit(&mut self, now: Instant) {
        self.solicitations = SOLICITATIONS;
        self.solicit_at = now + self.random.time(JITTER);
    }

    /// The addresses that are being checked.
    pub fn in_check(&self) -> impl Iterator<Item = Ipv6Addr> {
        let checked = self.entries.iter().filter(|entry| entry.in_check());
        checked.map(|entry| entry.address.address())
    }

    /// The MTU that a router has told.
    #[must_use]
    pub fn mtu(&self) -> Option<u16> {
        self.mtu
    }

    /// When to [`poll`](Self::poll).
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Instant {
        if !self.news.is_empty() {
            return now;
        }
        let entries = self.entries.iter().map(|entry| entry.due(now));
        entries.fold(self.solicit_at, Instant::min)
    }

    /// Does the next thing that is due. To be called until there is none.
    #[inline(never)]
    pub fn poll(&mut self, now: Instant) -> Option<Step> {
        if !self.news.is_empty() {
            return Some(Step::Event(self.news.remove(0)));
        }
        let mut at = 0;
        while let Some(left) = self.entries.len().checked_sub(at).filter(|left| *left > 0) {
            if let Some(step) = self.step(at, now) {
                return Some(step);
            }
            // One that was removed in silence has left its place to the next.
            at += usize::from(self.entries.len() == at + left);
        }
        if self.solicit_at <= now {
            self.solicitations -= 1;
            self.solicit_at = match self.solicitations {
                0 => NEVER,
                _ => now + SOLICITATION_INTERVAL,
            };
            let own = |entry: &&Entry| entry.is_checked() && !entry.learned;
            let mut sources = self.entries.iter().filter(own).map(|e| e.address.address());
            return Some(Step::Solicit(sources.find(Ipv6Addr::is_unicast_link_local)));
        }
        None
    }

    fn step(&mut self, at: usize, now: Instant) -> Option<Step> {
        let entry = self.entries.get_mut(at)?;
        let address = entry.address;
        if entry.valid_until <= now {
            let used = entry.check != Check::Duplicate;
            self.entries.remove(at);
            // What was never used need not be withdrawn, but it does no harm.
            return used.then_some(Step::Event(Event::Expired(address)));
        }
        if entry.fresh {
            entry.fresh = false;
            return Some(Step::Event(Event::Use(address)));
        }
        match entry.check {
            Check::Probe(due) if due <= now => {
                entry.check = Check::Listen(now + RETRANSMIT);
                return Some(Step::Probe(address.address()));
            }
            Check::Listen(due) if due <= now => {
                entry.check = Check::Ours { announce: true };
                entry.fresh = !entry.optimistic;
                return Some(Step::Event(Event::Verified(address)));
            }
            Check::Ours { announce: true } => {
                entry.check = Check::Ours { announce: false };
                return Some(Step::Announce(address.address()));
            }
            _ => {}
        }
        if entry.preferred_until <= now {
            entry.preferred_until = NEVER;
            let news = !entry.deprecated && entry.check != Check::Duplicate;
            entry.deprecated = true;
            return news.then_some(Step::Event(Event::Deprecated(address)));
        }
        None
    }

    /// Another host, at `by`, has said that `target` is its own, or is checking whether it can be.
    #[inline(never)]
    pub fn claimed(
        &mut self,
        target: Ipv6Addr,
        by: EthernetAddress,
        now: Instant,
    ) -> Option<Event> {
        let mut entries = self.entries.iter_mut();
        let entry = entries.find(|entry| entry.address.address() == target)?;
        match &mut entry.check {
            Check::Probe(_) | Check::Listen(_) => {
                entry.check = Check::Duplicate;
                entry.fresh = false;
                Some(Event::Duplicate(entry.address, by))
            }
            Check::Ours { announce } => {
                let recent = |at: Instant| now < at + DEFEND_INTERVAL;
                if entry.defended.is_some_and(recent) {
                    return None;
                }
                *announce = true;
                entry.defended = Some(now);
                Some(Event::Defended(entry.address, by))
            }
            Check::Duplicate => None,
        }
    }

    /// Takes in a router advertisement: the ICMPv6 message, whose checksum, hop limit and source
    /// have been checked, and which has its 16 bytes of header.
    #[inline(never)]
    pub fn advertised(
        &mut self,
        router: Ipv6Addr,
        message: &[u8],
        now: Instant,
    ) -> Result<(), Malformed> {
        let options = message.get(16..).ok_or(Malformed)?;
        // RFC 4861, 6.1.2: an option that cannot be read spoils all, so look before acting.
        let whole = Options(options).fold(0, |whole, option| whole + option.len());
        if whole != options.len() {
            return Err(Malformed);
        }
        // A router has spoken: RFC 4861, 6.3.7.
        (self.solicitations, self.solicit_at) = (0, NEVER);
        for option in Options(options) {
            match *option {
                [3, 4, ..] => {
                    if let Some(option) = option.first_chunk() {
                        self.prefix(router, option, now);
                    }
                }
                [5, 1, _, _, a, b, c, d] => {
                    let mtu = Some(u32::from_be_bytes([a, b, c, d]));
                    let mtu = mtu.filter(|mtu| (LEAST_MTU..=65535).contains(mtu));
                    let mtu = mtu.map(|mtu| mtu as u16);
                    if let Some(told) = mtu.filter(|_| mtu != self.mtu) {
                        self.mtu = mtu;
                        self.tell(Event::Mtu(told));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// RFC 4862, 5.5.3; the option is that of RFC 4861, 4.6.2.
    fn prefix(&mut self, router: Ipv6Addr, option: &[u8; 32], now: Instant) {
        /// To be used for addresses.
        const AUTONOMOUS: u8 = 0x40;
        let [_, _, length, flags, a, b, c, d, e, f, g, h, ..] = *option;
        let time = |seconds| Duration::from_secs(u32::from_be_bytes(seconds).into());
        let (valid, preferred) = (time([a, b, c, d]), time([e, f, g, h]));
        let mut prefix = [0; 16];
        prefix.copy_from_slice(&option[16..]);
        let prefix = Ipv6Addr::from(prefix);
        let usable = flags & AUTONOMOUS != 0
            && length == 64
            && preferred <= valid
            && !prefix.is_unicast_link_local()
            && !prefix.is_multicast()
            // Unspecified, loopback, mapped and other ones that no host has.
            && prefix.octets()[0] != 0;
        if !usable {
            return;
        }
        let until = |lifetime: Duration| match lifetime {
            INFINITY => NEVER,
            lifetime => now + lifetime,
        };
        let address = Ipv6Cidr::new(interface_address(prefix, self.mac), 64);
        let known = |entry: &&mut Entry| entry.address.address() == address.address();
        if let Some(entry) = self.entries.iter_mut().find(known) {
            // One that a person has chosen stays as it is.
            if entry.learned {
                let left = match entry.valid_until {
                    NEVER => INFINITY,
                    until => until - now,
                };
                if valid > TWO_HOURS || valid > left {
                    entry.valid_until = until(valid);
                } else if left > TWO_HOURS {
                    entry.valid_until = now + TWO_HOURS;
                }
                entry.preferred_until = until(preferred).min(entry.valid_until);
                entry.deprecated &= entry.preferred_until <= now;
            }
            return;
        }
        if valid == Duration::ZERO {
            return;
        }
        let learned = self.entries.iter().filter(|entry| entry.learned).count();
        if learned >= PREFIXES || !self.add(address, true, now) {
            self.tell(Event::NoRoom(address));
            return;
        }
        if let Some(entry) = self.entries.last_mut() {
            entry.learned = true;
            entry.valid_until = until(valid);
            entry.preferred_until = until(preferred);
        }
        self.tell(Event::Learned {
            address,
            router,
            valid: (valid != INFINITY).then_some(valid),
        });
    }

    /// Something that `poll` is to give. There are not many, and one lost is a line in a log.
    fn tell(&mut self, event: Event) {
        if self.news.len() < 16 && self.news.try_reserve(1).is_ok() {
            self.news.push(event);
        }
    }
}

/// The options of a message; ends where one cannot be read. Each has a length of eight bytes or
/// more, so that a message has not many.
struct Options<'m>(&'m [u8]);

impl<'m> Iterator for Options<'m> {
    type Item = &'m [u8];

    fn next(&mut self) -> Option<&'m [u8]> {
        let len = usize::from(*self.0.get(1)?) * 8;
        let (option, rest) = self.0.split_at_checked(len).filter(|_| len > 0)?;
        self.0 = rest;
        Some(option)
    }
}

/// The address that `mac` has in `prefix` of 64 bits (RFC 4291, appendix A).
fn interface_address(prefix: Ipv6Addr, mac: [u8; 6]) -> Ipv6Addr {
    let mut octets = super::link_local(mac).octets();
    octets[..8].copy_from_slice(&prefix.octets()[..8]);
    Ipv6Addr::from(octets)
}
