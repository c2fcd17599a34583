//! Our addresses: which there are, where each comes from, and how they come and go.
//!
//! `dhcp` and `slaac` decide; this gives them frames and time, sends what they want sent, and makes
//! their decisions true. Nothing here is on the way of a TCP packet: the one deadline is looked at
//! once a poll.
//!
//! An address that is lost takes its connections with it, and sends no reset: it is not ours to
//! send from any more (RFC 2131, 4.4.5; RFC 5227, 2.4).

use super::border::Swallow;
use super::config::{Config, Dhcp, link_local};
use super::core::Core;
use super::dhcp;
use super::entry::{End, NEVER};
use super::ethernet::EthernetAddress;
use super::guard::Identity;
use super::ingress::Bucket;
use super::lines::Lines;
use super::reply;
use super::slaac::{self, Slaac};
use super::stats::Refusal;
use super::table::Table;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use log::Level;
use smoltcp::phy::{Device, DeviceCapabilities, TxToken};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{IpAddress, IpCidr, Ipv6Cidr};

/// Addresses at a time; smoltcp has room for so many.
pub(super) const PLACES: usize = 8;
/// When to try again if the device was full.
const RETRY: Duration = Duration::from_millis(10);
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
/// Router advertisements a second: neighbours may say much.
const ADVERTISEMENTS: u32 = 10;

/// An address that is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// It, and how much of it is the network's.
    pub cidr: IpCidr,
    /// Where we have it from.
    pub source: Source,
}

/// Where an address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From our MAC address.
    LinkLocal,
    /// From [`Config`].
    Configured,
    /// A DHCP server lends it.
    Dhcp,
    /// A router has advertised its prefix.
    Router,
}

/// What learns addresses and looks after them. A program that never makes one does not have the
/// code for it linked, which takes 20 KiB.
#[derive(Clone, Copy)]
pub struct Learn {
    hooks: &'static Hooks,
    /// Get an IPv4 address from a DHCP server, and keep it while the lease lasts.
    pub dhcp: Option<Dhcp>,
    /// Have an IPv6 address in each prefix that a router advertises, `slaac::PREFIXES` at most.
    pub slaac: bool,
}

impl Learn {
    /// Only to look out for hosts that have our addresses: IPv6 ones are checked before they are
    /// used (RFC 4862, 5.4; the link-local one while it is used, RFC 4429), and all are defended.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "it is not nothing: it is linked"
    )]
    pub fn new() -> Self {
        Learn {
            hooks: &HOOKS,
            dhcp: None,
            slaac: false,
        }
    }
}

impl fmt::Debug for Learn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dhcp {:?}, slaac {}", self.dhcp, self.slaac)
    }
}

/// The ways in. Everything that is learned hangs on them alone.
struct Hooks {
    begin: fn(&mut Core, [u64; 2]),
    step: fn(&mut Core) -> Option<usize>,
    claim: fn(&mut Core, IpAddr, EthernetAddress),
    dhcp: fn(&mut Core, EthernetAddress, &[u8]) -> Result<(), Refusal>,
    router: fn(&mut Core, Ipv6Addr, &[u8]) -> Result<(), Refusal>,
}

static HOOKS: Hooks = Hooks {
    begin: Core::begin,
    step: Core::step,
    claim: Core::claimed,
    dhcp: Core::server,
    router: Core::advertised,
};

pub(super) struct Addressing {
    dhcp: Option<dhcp::Client>,
    slaac: Option<Slaac>,
    /// When there is something to do.
    pub(super) due: Instant,
    /// MTU of IPv4 and IPv6 that was told, in bytes of IP.
    pub(super) mtu: [Option<u16>; 2],
    /// A configured IPv4 address that is to be announced, since somebody claims it.
    defend: bool,
    defended: Option<Instant>,
    lines: Lines,
    advertisements: Bucket,
    /// The frame that is to be sent.
    frame: Vec<u8>,
}

impl Addressing {
    pub(super) fn new(now: Instant) -> Self {
        Addressing {
            dhcp: None,
            slaac: None,
            due: NEVER,
            mtu: [None; 2],
            defend: false,
            defended: None,
            lines: Lines::new(now),
            advertisements: Bucket::new(ADVERTISEMENTS, now),
            frame: Vec::new(),
        }
    }
}

fn own_link_local(config: &Config) -> Ipv6Cidr {
    Ipv6Cidr::new(link_local(config.mac), 64)
}

/// Who we are before anything is learned.
#[inline(never)]
pub(super) fn identity(config: &Config, caps: &DeviceCapabilities) -> Identity {
    let checked = config.learn.is_some();
    let mut addresses = [None; PLACES];
    addresses[0] = Some(Address {
        cidr: IpCidr::Ipv6(own_link_local(config)),
        source: Source::LinkLocal,
    });
    let mut free = addresses[1..].iter_mut();
    let mut take = |cidr| {
        let source = Source::Configured;
        if let Some(place) = free.next() {
            *place = Some(Address { cidr, source });
        }
    };
    if let Some(own) = config.ipv4 {
        take(IpCidr::Ipv4(own));
    }
    // Those that are to be checked come later.
    for &own in config.ipv6.iter().filter(|_| !checked) {
        take(IpCidr::Ipv6(own));
    }
    Identity {
        mac: EthernetAddress(config.mac),
        addresses,
        used: PLACES,
        in_check: Vec::new(),
        candidate: None,
        detect: checked,
        dhcp: false,
        routers: config.learn.is_some_and(|learn| learn.slaac),
        port: config.port,
        check_ipv4: caps.checksum.ipv4.rx(),
        check_tcp: caps.checksum.tcp.rx(),
        check_udp: caps.checksum.udp.rx(),
    }
}

impl Core {
    /// Begins to learn, if that is wanted.
    pub(super) fn learn(&mut self, seed: [u64; 2]) {
        self.tell_interface();
        if let Some(learn) = self.config.learn {
            (learn.hooks.begin)(self, seed);
        }
    }

    /// Does what is due.
    pub(super) fn addressing<D: Device>(&mut self, device: &mut D) {
        if self.now < self.addressing.due {
            return;
        }
        let Some(learn) = self.config.learn else {
            return;
        };
        self.addressing.due = NEVER;
        loop {
            let Some(token) = device.transmit(self.now) else {
                self.addressing.due = self.now + RETRY;
                break;
            };
            let frame = (learn.hooks.step)(self).and_then(|len| self.addressing.frame.get(..len));
            let Some(frame) = frame else {
                break;
            };
            token.consume(frame.len(), |to| to.copy_from_slice(frame));
        }
    }

    /// A DHCP server has spoken.
    pub(super) fn dhcp(&mut self, from: EthernetAddress, payload: &[u8]) -> Result<(), Refusal> {
        let learn = self.config.learn.ok_or(Refusal::Configuration)?;
        (learn.hooks.dhcp)(self, from, payload)
    }

    /// A router has spoken.
    pub(super) fn router(&mut self, source: Ipv6Addr, message: &[u8]) -> Result<(), Refusal> {
        let learn = self.config.learn.ok_or(Refusal::Configuration)?;
        (learn.hooks.router)(self, source, message)
    }

    /// Another host claims an address.
    pub(super) fn claim(&mut self, address: IpAddr, by: EthernetAddress) -> Result<(), Refusal> {
        self.stats.conflicts += 1;
        let learn = self.config.learn.ok_or(Refusal::Configuration)?;
        (learn.hooks.claim)(self, address, by);
        Ok(())
    }

    fn begin(&mut self, [one, two]: [u64; 2]) {
        let (config, now) = (&self.config, self.now);
        let Some(learn) = config.learn else {
            return;
        };
        let mut slaac = Slaac::new(config.mac, [one ^ 1, two]);
        slaac.add(own_link_local(config), true, now);
        for &address in &config.ipv6 {
            slaac.add(address, false, now);
        }
        if learn.slaac {
            slaac.solicit(now);
        }
        let client = |dhcp: Dhcp| dhcp::Client::new(config.mac, dhcp.hostname, [one, two], now);
        self.addressing.dhcp = learn.dhcp.map(client);
        self.addressing.slaac = Some(slaac);
        self.look();
    }

    /// Goes on until a frame is to be sent, and gives its length.
    fn step(&mut self) -> Option<usize> {
        let mut frame = core::mem::take(&mut self.addressing.frame);
        let mut sent = 0;
        while sent == 0 && self.one_step(Swallow::new(&mut frame, &mut sent)) {}
        self.addressing.frame = frame;
        self.look();
        (sent > 0).then_some(sent)
    }

    /// Does one thing. False: there is none to do.
    fn one_step(&mut self, token: Swallow<'_>) -> bool {
        let (now, mac) = (self.now, self.who.mac);
        let checksum = &self.caps.checksum;
        if core::mem::take(&mut self.addressing.defend)
            && let Some(own) = self.config.ipv4
        {
            reply::arp(token, mac, own.address(), None);
            return true;
        }
        if let Some(client) = &mut self.addressing.dhcp
            && let Some(step) = client.poll(now)
        {
            match step {
                dhcp::Step::Send(message) => {
                    let write = |to: &mut [u8]| client.emit(&message, to);
                    reply::dhcp(token, mac, &message, write, checksum);
                }
                dhcp::Step::Probe(address) => reply::arp_probe(token, mac, address),
                dhcp::Step::Announce(address) => reply::arp(token, mac, address, None),
                dhcp::Step::Event(event) => self.on_dhcp(event),
            }
            return true;
        }
        let slaac = self.addressing.slaac.as_mut();
        match slaac.and_then(|slaac| slaac.poll(now)) {
            Some(slaac::Step::Probe(address)) => {
                reply::solicit_neighbour(token, mac, address, checksum);
                self.join(address);
            }
            Some(slaac::Step::Announce(address)) => {
                reply::advertise(token, mac, address, None, true, checksum);
            }
            Some(slaac::Step::Solicit(from)) => {
                reply::solicit_routers(token, mac, from, checksum);
            }
            Some(slaac::Step::Event(event)) => self.on_slaac(event),
            None => return false,
        }
        true
    }

    /// Tells the guard what is awaited, and sets the deadline.
    #[inline(never)]
    fn look(&mut self) {
        let addressing = &mut self.addressing;
        if let Some(dhcp) = &addressing.dhcp {
            self.who.dhcp = dhcp.awaits().is_some();
            self.who.candidate = dhcp.candidate();
            addressing.due = addressing.due.min(dhcp.deadline());
        }
        if let Some(slaac) = &addressing.slaac {
            self.who.in_check.clear();
            self.who.in_check.extend(slaac.in_check());
            addressing.due = addressing.due.min(slaac.deadline(self.now));
        }
        if addressing.defend {
            addressing.due = self.now;
        }
    }

    fn server(&mut self, from: EthernetAddress, payload: &[u8]) -> Result<(), Refusal> {
        let Some(dhcp) = &mut self.addressing.dhcp else {
            return Err(Refusal::Configuration);
        };
        let heard = dhcp.receive(from, payload, self.now);
        if let Ok(Some(event)) = heard {
            self.on_dhcp(event);
        }
        // What is of no use may be worth a line.
        self.look();
        heard.map(drop).map_err(|_| Refusal::Configuration)
    }

    fn advertised(&mut self, source: Ipv6Addr, message: &[u8]) -> Result<(), Refusal> {
        if !self.addressing.advertisements.take(self.now) {
            return Err(Refusal::RateLimit);
        }
        let Some(slaac) = &mut self.addressing.slaac else {
            return Err(Refusal::Configuration);
        };
        let heard = slaac.advertised(source, message, self.now);
        self.look();
        heard.map_err(|_| Refusal::Configuration)
    }

    fn claimed(&mut self, address: IpAddr, by: EthernetAddress) {
        match address {
            IpAddr::V4(address) => {
                let dhcp = self.addressing.dhcp.as_mut();
                let event = dhcp.and_then(|dhcp| dhcp.claimed(address, by, self.now));
                match event {
                    Some(event) => self.on_dhcp(event),
                    None => self.defend(address, by),
                }
            }
            IpAddr::V6(address) => {
                let slaac = self.addressing.slaac.as_mut();
                let event = slaac.and_then(|slaac| slaac.claimed(address, by, self.now));
                if let Some(event) = event {
                    self.on_slaac(event);
                }
            }
        }
        self.look();
    }

    /// RFC 5227, 2.4 (c): a server does not give up an address that it was told to have; it says
    /// that it has it, once in ten seconds.
    fn defend(&mut self, address: Ipv4Addr, by: EthernetAddress) {
        let own = self.config.ipv4.is_some_and(|own| own.address() == address);
        let recent = |at: Instant| self.now < at + DEFEND_INTERVAL;
        if own && !self.addressing.defended.is_some_and(recent) {
            self.addressing.defended = Some(self.now);
            self.addressing.defend = true;
            self.say(
                Level::Error,
                format_args!("{address} is ours, and {by} claims it"),
            );
        }
    }

    /// A line in the log, if there were not too many lately. Those that were are counted.
    #[cold]
    #[inline(never)]
    fn say(&mut self, level: Level, line: fmt::Arguments<'_>) {
        if !log::log_enabled!(target: "net", level) {
            return;
        }
        let Some(unsaid) = self.addressing.lines.take(self.now) else {
            return;
        };
        if unsaid > 0 {
            log::warn!(target: "net", "{unsaid} lines about addresses were left out");
        }
        log::log!(target: "net", level, "{line}");
    }

    #[inline(never)]
    fn on_dhcp(&mut self, event: dhcp::Event) {
        use dhcp::Event;
        let dhcp = self.addressing.dhcp.as_ref();
        if let Event::Bound | Event::Renewed = event {
            let Some(&lease) = dhcp.and_then(dhcp::Client::lease) else {
                return;
            };
            self.say(Level::Info, format_args!("DHCP: {event} {lease}"));
            self.addressing.mtu[0] = lease.mtu;
            self.have(IpCidr::Ipv4(lease.address), Source::Dhcp);
            return;
        }
        self.say(Level::Error, format_args!("DHCP: {event}"));
        if let Event::Lost(address, _) = event {
            self.addressing.mtu[0] = None;
            self.withdraw(address.address().into(), Source::Dhcp);
        }
    }

    #[inline(never)]
    fn on_slaac(&mut self, event: slaac::Event) {
        use slaac::Event;
        let level = match event {
            Event::Learned { .. } | Event::Deprecated(_) | Event::Mtu(_) => Level::Info,
            Event::Use(_) | Event::Verified(_) | Event::NoRoom(_) => Level::Debug,
            Event::Duplicate(..) | Event::Defended(..) | Event::Expired(_) => Level::Error,
        };
        self.say(level, format_args!("IPv6: {event}"));
        match event {
            Event::Use(address) => {
                self.have(IpCidr::Ipv6(address), self.source_of(address));
            }
            Event::Duplicate(address, _) | Event::Expired(address) => {
                self.withdraw(address.address().into(), self.source_of(address));
            }
            Event::Mtu(mtu) => self.addressing.mtu[1] = Some(mtu),
            _ => {}
        }
    }

    fn source_of(&self, address: Ipv6Cidr) -> Source {
        match address {
            address if address == own_link_local(&self.config) => Source::LinkLocal,
            address if self.config.ipv6.contains(&address) => Source::Configured,
            _ => Source::Router,
        }
    }

    /// An address is ours from now on, unless it is already, from another source, or there is no
    /// room.
    fn have(&mut self, cidr: IpCidr, source: Source) {
        let places = &mut self.who.addresses;
        let same =
            |place: &Option<Address>| place.is_some_and(|own| own.cidr.address() == cidr.address());
        let place = places.iter().position(same);
        let known = place.is_some();
        let place = place.or_else(|| places.iter().position(Option::is_none));
        let Some(place) = place.map(|at| &mut places[at]) else {
            self.say(
                Level::Error,
                format_args!("{cidr}: one address too many, not used"),
            );
            return;
        };
        if known && place.is_some_and(|own| own.source != source) {
            self.say(Level::Error, format_args!("{cidr}: is ours already"));
            return;
        }
        *place = Some(Address { cidr, source });
        self.tell_interface();
        if !known {
            let (address, port) = (cidr.address(), self.config.port);
            let (open, close) = match address {
                IpAddress::Ipv4(_) => ("", ""),
                IpAddress::Ipv6(_) => ("[", "]"),
            };
            self.say(
                Level::Info,
                format_args!("http://{open}{address}{close}:{port}/"),
            );
        }
    }

    /// An address is ours no longer.
    fn withdraw(&mut self, address: IpAddr, source: Source) {
        let address = IpAddress::from(address);
        let ours = |own: Address| own.cidr.address() == address && own.source == source;
        let mut places = self.who.addresses.iter();
        let Some(place) = places.position(|own| own.is_some_and(ours)) else {
            return;
        };
        self.who.addresses[place] = None;
        self.tell_interface();
        if let IpAddress::Ipv6(address) = address {
            self.leave(address);
        }
        // Its number is for others from now on.
        let place = place as u8;
        let mut dropped = 0usize;
        for index in 0..self.conns.slots() as u32 {
            if self.conns.is_live(index)
                && self.conns.key(index).is_some_and(|key| key.local == place)
            {
                self.finish(index, End::Reset);
                dropped += 1;
            }
        }
        forget(&mut self.handshakes.half, place);
        forget(&mut self.lingering, place);
        self.say(
            Level::Warn,
            format_args!("{address} withdrawn, {dropped} connections dropped"),
        );
    }

    #[inline(never)]
    fn tell_interface(&mut self) {
        let addresses = &self.who.addresses;
        let last = addresses.iter().rposition(Option::is_some);
        self.who.used = last.map_or(0, |last| last + 1);
        self.interface.update_ip_addrs(|told| {
            told.clear();
            for own in addresses.iter().flatten() {
                // There are no more places than it has.
                let _ = told.push(own.cidr);
            }
        });
    }

    /// Joins the group in which neighbour solicitations for `address` come.
    #[inline(never)]
    pub(super) fn join(&mut self, address: Ipv6Addr) {
        self.groups.join(reply::solicited_node(address), self.now);
    }

    /// Leaves it, unless another address has the same one.
    fn leave(&mut self, address: Ipv6Addr) {
        let group = reply::solicited_node(address);
        let mut own = self.who.addresses.iter().flatten();
        let shared = own.any(|own| match own.cidr.address() {
            IpAddress::Ipv6(own) => reply::solicited_node(own) == group,
            IpAddress::Ipv4(_) => false,
        });
        if !shared {
            self.groups.leave(group, self.now);
        }
    }

    /// What is ours now, in use.
    pub(super) fn addresses(&self) -> Vec<Address> {
        self.who.addresses.iter().copied().flatten().collect()
    }
}

/// Removes what belongs to the address at `place`.
fn forget<V>(table: &mut Table<V>, place: u8) {
    for index in 0..table.slots() as u32 {
        if table.key(index).is_some_and(|key| key.local == place) {
            table.remove(index);
        }
    }
}
