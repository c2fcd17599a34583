//! A DHCPv4 client (RFC 2131), sans-io.
//!
//! It is told the time, servers' messages and who claims its address, and says what to send, when
//! to ask again, and what has come of it. It waits for nothing, reads no clock and opens no socket.
//!
//! The first good offer is taken. The address is probed before it is used (RFC 5227), declined if
//! somebody has it, renewed from its server at T1, from any server at T2, and given up when the
//! lease ends or a server refuses it. A server that does not answer is asked again, less and less
//! often, at most about once a minute, for ever.
//!
//! A reply may hold any bytes: what is not for us, not asked for, or not usable is ignored, and the
//! timers go on. Whoever is on the link can pose as the server; that is DHCP.

mod message;

pub use self::message::{CLIENT_PORT, Hostname, Kind, Message, SERVER_PORT};

use self::message::Reply;
use super::entry::NEVER;
use super::ethernet::EthernetAddress;
use super::random::Random;
use core::fmt;
use core::net::Ipv4Addr;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::Ipv4Cidr;

/// DISCOVERs after which it is said that nobody answers: 12 s.
const PATIENCE: u32 = 2;
/// REQUESTs that one offer is worth: 28 s.
const REQUESTS: u32 = 3;
/// Probes for somebody who has the address already. RFC 5227 has seconds between them, for links
/// with hubs, sleepers and radio; behind a bridge an answer takes less than a millisecond, and
/// who answers late is noticed late, when the address is in use.
const PROBES: u8 = 3;
const PROBE_INTERVAL: Duration = Duration::from_millis(250);
/// More of it at random.
const PROBE_JITTER: Duration = Duration::from_millis(100);
/// RFC 5227, 1.1.
const ANNOUNCEMENTS: u8 = 2;
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
/// RFC 2131, 3.1: after a DECLINE.
const DECLINE_WAIT: Duration = Duration::from_secs(10);
/// RFC 2131, 4.4.5: between attempts to renew, if the lease is long enough for that.
const RENEW_INTERVAL: Duration = Duration::from_secs(60);

/// What a server has lent us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address, and how much of it is the network's.
    pub address: Ipv4Cidr,
    /// Who lends it.
    pub server: Ipv4Addr,
    /// Where its messages come from: itself, or a relay on this link.
    pub server_mac: EthernetAddress,
    /// A router, if it named one.
    pub router: Option<Ipv4Addr>,
    /// The MTU of the link in bytes of IP, if it said so.
    pub mtu: Option<u16>,
    /// How long it is lent; `None`: for ever.
    pub time: Option<Duration>,
    /// T1, when it is to be renewed.
    pub renew_at: Instant,
    /// T2, when any server may do that.
    pub rebind_at: Instant,
    /// When it ends.
    pub expires_at: Instant,
}

impl Lease {
    /// A lease of fewer seconds is not worth taking.
    pub const SHORTEST: u32 = 4;

    fn offered(address: Ipv4Cidr, server: Ipv4Addr, server_mac: EthernetAddress) -> Self {
        Lease {
            address,
            server,
            server_mac,
            router: None,
            mtu: None,
            time: None,
            renew_at: NEVER,
            rebind_at: NEVER,
            expires_at: NEVER,
        }
    }
}

impl fmt::Display for Lease {
    #[cold]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.address, self.server)?;
        match self.time {
            None => f.write_str(", for ever")?,
            Some(time) => write!(f, ", for {} s", time.secs())?,
        }
        if let Some(router) = self.router {
            write!(f, ", router {router}")?;
        }
        if let Some(mtu) = self.mtu {
            write!(f, ", MTU {mtu}")?;
        }
        Ok(())
    }
}

/// Why an address is ours no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Neither this server, who lent it, nor another one has renewed it.
    Expired(Ipv4Addr),
    /// This server has refused to.
    Refused(Ipv4Addr),
    /// Another host uses it, and does not let go.
    Conflict(EthernetAddress),
}

/// What has come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// We have an address: [`Client::lease`] says which.
    Bound,
    /// We keep it. Its prefix, router and MTU may be others now.
    Renewed,
    /// It must not be used any more.
    Lost(Ipv4Cidr, Loss),
    /// An address was offered by a server, but this host has it; it was not used.
    Declined(Ipv4Addr, Ipv4Addr, EthernetAddress),
    /// Another host has claimed our address; it was told that it is ours.
    Defended(Ipv4Addr, EthernetAddress),
    /// The server refused what it had offered.
    Refused(Ipv4Addr),
    /// No server has answered for some seconds. Said once, until there is an address.
    Unanswered,
    /// This server offers or grants what cannot be used. Said once, until there is an address.
    Unusable(Ipv4Addr),
}

impl fmt::Display for Event {
    #[cold]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Bound => f.write_str("lent"),
            Event::Renewed => f.write_str("renewed"),
            Event::Lost(address, Loss::Expired(server)) => write!(
                f,
                "the lease of {address} has ended, renewed neither by {server} nor by another server"
            ),
            Event::Lost(address, Loss::Refused(server)) => {
                write!(f, "the server takes {address} back, says {server}")
            }
            Event::Lost(address, Loss::Conflict(by)) => {
                write!(f, "{by} uses {address} too; given up")
            }
            Event::Declined(address, server, by) => {
                write!(
                    f,
                    "{address} was offered by {server}, but {by} has it; declined"
                )
            }
            Event::Defended(address, by) => {
                write!(f, "{address} is ours, and {by} claims it")
            }
            Event::Refused(server) => write!(f, "{server} refuses what it has offered"),
            Event::Unanswered => f.write_str("no server answers; it is asked on"),
            Event::Unusable(server) => write!(
                f,
                "{server} offers no lease of {} s or more, or an address or mask that no host can have",
                Lease::SHORTEST
            ),
        }
    }
}

/// Why a reply was of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// Not a DHCP reply, or without what each must have.
    Malformed,
    /// To another client, or to another question.
    NotOurs,
    /// Not what we wait for, or not from whom.
    Unexpected,
    /// An address that no host can have, or a lease too short to be one.
    Unusable,
}

/// Something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send a message.
    Send(Message),
    /// Ask by ARP who has the address, as somebody without one.
    Probe(Ipv4Addr),
    /// Say by ARP that the address is ours.
    Announce(Ipv4Addr),
    /// Take notice.
    Event(Event),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Until the next attempt.
    Waiting,
    /// DISCOVER is sent; an offer is awaited.
    Selecting,
    /// REQUEST is sent; its server's word is awaited.
    Requesting,
    /// We may have it, if nobody else does.
    Probing,
    /// Somebody does: say so.
    Declining,
    /// We have it, until T1.
    Bound,
    /// Its server is asked for more time.
    Renewing,
    /// Any server is.
    Rebinding,
}

/// A client of one interface.
pub struct Client {
    mac: EthernetAddress,
    hostname: Option<Hostname>,
    random: Random,
    state: State,
    /// What we have, or may have, or have been offered: then only address and server are known.
    lease: Lease,
    xid: u32,
    /// When this transaction began.
    began: Instant,
    /// When the question that is open was first asked: a lease counts from here.
    asked: Instant,
    /// How often it was.
    sent: u32,
    /// When there is something to do, beside ARP.
    due: Instant,
    /// Probes or announcements to be sent.
    left: u8,
    /// When the next one is.
    arp_at: Instant,
    /// When the address was last defended.
    defended: Option<Instant>,
    /// Failures in a row; the next attempt waits the longer.
    failures: u32,
    /// A server that has let us down; another is preferred next time.
    shunned: Option<Ipv4Addr>,
    /// It was said that nobody answers.
    unanswered: bool,
    /// An answer that is of no use, and whether that was said.
    unusable: Option<(Ipv4Addr, bool)>,
}

impl Client {
    /// A client that begins at once.
    #[must_use]
    pub fn new(mac: [u8; 6], hostname: Option<Hostname>, seed: [u64; 2], now: Instant) -> Self {
        let nobody = EthernetAddress([0; 6]);
        Client {
            mac: EthernetAddress(mac),
            hostname,
            random: Random::new(seed),
            state: State::Waiting,
            lease: Lease::offered(
                Ipv4Cidr::new(Ipv4Addr::UNSPECIFIED, 0),
                Ipv4Addr::UNSPECIFIED,
                nobody,
            ),
            xid: 0,
            began: now,
            asked: now,
            sent: 0,
            due: now,
            left: 0,
            arp_at: NEVER,
            defended: None,
            failures: 0,
            shunned: None,
            unanswered: false,
            unusable: None,
        }
    }

    fn holds(&self) -> bool {
        matches!(
            self.state,
            State::Bound | State::Renewing | State::Rebinding
        )
    }

    fn address(&self) -> Ipv4Addr {
        self.lease.address.address()
    }

    /// What is leased now.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        self.holds().then_some(&self.lease)
    }

    /// The address that is being probed.
    #[must_use]
    pub fn candidate(&self) -> Option<Ipv4Addr> {
        (self.state == State::Probing).then(|| self.address())
    }

    /// The transaction that a reply is awaited for.
    #[must_use]
    pub fn awaits(&self) -> Option<u32> {
        let awaits = match self.state {
            State::Selecting | State::Requesting | State::Renewing | State::Rebinding => true,
            State::Waiting | State::Probing | State::Declining | State::Bound => false,
        };
        awaits.then_some(self.xid)
    }

    /// When to [`poll`](Self::poll).
    #[must_use]
    pub fn deadline(&self) -> Instant {
        if let Some((_, false)) = self.unusable {
            return Instant::ZERO;
        }
        match self.left {
            0 => self.due,
            _ => self.due.min(self.arp_at),
        }
    }

    /// Does the next thing that is due. To be called until there is none.
    #[inline(never)]
    pub fn poll(&mut self, now: Instant) -> Option<Step> {
        if let Some((server, said @ false)) = &mut self.unusable {
            *said = true;
            return Some(Step::Event(Event::Unusable(*server)));
        }
        // Each round sends something or comes nearer to a state in which something is sent.
        while self.deadline() <= now {
            if self.left > 0 && self.arp_at <= now {
                self.left -= 1;
                if self.state != State::Probing {
                    self.arp_at = now + ANNOUNCE_INTERVAL;
                    return Some(Step::Announce(self.address()));
                }
                self.arp_at = now + PROBE_INTERVAL + self.random.time(PROBE_JITTER);
                // After the last one, as long again.
                self.due = self.arp_at;
                return Some(Step::Probe(self.address()));
            }
            match self.state {
                State::Waiting => self.ask(State::Selecting, now),
                State::Selecting if self.sent >= PATIENCE && !self.unanswered => {
                    self.unanswered = true;
                    // Somebody who answers wrongly does answer.
                    if self.unusable.is_none() {
                        return Some(Step::Event(Event::Unanswered));
                    }
                }
                State::Selecting => {
                    self.due = now + self.backoff();
                    return Some(self.send(Kind::Discover, false, now));
                }
                State::Requesting if self.sent >= REQUESTS => {
                    self.shunned = Some(self.lease.server);
                    self.state = State::Waiting;
                }
                State::Requesting => {
                    self.due = now + self.backoff();
                    return Some(self.send(Kind::Request, true, now));
                }
                // Whoever has slept may come too late.
                State::Probing if self.lease.expires_at <= now => self.restart(now),
                State::Probing => {
                    (self.failures, self.shunned) = (0, None);
                    (self.unanswered, self.unusable) = (false, None);
                    self.state = State::Bound;
                    self.due = self.lease.renew_at;
                    (self.left, self.arp_at) = (ANNOUNCEMENTS, now);
                    return Some(Step::Event(Event::Bound));
                }
                State::Declining => {
                    // 10, 20, 40, at last 80 s.
                    let wait = DECLINE_WAIT * (1 << self.failures.min(3));
                    self.failures += 1;
                    self.ask(State::Waiting, now);
                    self.due = now + wait;
                    return Some(self.send(Kind::Decline, true, now));
                }
                State::Bound | State::Renewing | State::Rebinding => {
                    return Some(self.renew(now));
                }
            }
        }
        None
    }

    /// Asks for more time, or sees that there is none left.
    fn renew(&mut self, now: Instant) -> Step {
        if now >= self.lease.expires_at {
            self.restart(now);
            return Step::Event(Event::Lost(
                self.lease.address,
                Loss::Expired(self.lease.server),
            ));
        }
        let (state, until) = match now >= self.lease.rebind_at {
            true => (State::Rebinding, self.lease.expires_at),
            false => (State::Renewing, self.lease.rebind_at),
        };
        if self.state != state {
            self.ask(state, now);
        }
        // Half of the time that is left, but not in ever smaller steps.
        let least = RENEW_INTERVAL.min((self.lease.expires_at - self.lease.renew_at) / 8);
        let least = least.max(Duration::from_secs(1));
        self.due = (now + ((until - now) / 2).max(least)).min(until);
        self.send(Kind::Request, false, now)
    }

    /// Writes `message` to `buffer`, which has [`Message::LEN`] bytes.
    pub fn emit(&self, message: &Message, buffer: &mut [u8]) {
        message.write(self.mac, self.hostname.as_ref(), buffer);
    }

    /// Takes in the payload of a UDP datagram from port 67 to port 68 that came from `from`.
    #[inline(never)]
    pub fn receive(
        &mut self,
        from: EthernetAddress,
        payload: &[u8],
        now: Instant,
    ) -> Result<Option<Event>, Ignored> {
        let xid = self.awaits().ok_or(Ignored::Unexpected)?;
        let reply = Reply::parse(payload, self.mac, xid)?;
        let server = reply.server;
        let heard = self.take(from, reply, now);
        if heard == Err(Ignored::Unusable) && self.unusable.is_none() {
            self.unusable = Some((server, false));
        }
        heard
    }

    fn take(
        &mut self,
        from: EthernetAddress,
        reply: Reply,
        now: Instant,
    ) -> Result<Option<Event>, Ignored> {
        let its_server = reply.server == self.lease.server;
        let its_address = reply.address == self.address();
        match (self.state, reply.kind) {
            (State::Selecting, Some(Kind::Offer)) => {
                let (address, _) = (reply.cidr()?, reply.times()?);
                // Another server has until the next DISCOVER to offer something.
                if self.shunned == Some(reply.server) && self.sent < 2 {
                    return Err(Ignored::Unexpected);
                }
                self.lease = Lease::offered(address, reply.server, from);
                // RFC 2131, 4.4.1: the REQUEST has the DISCOVER's `xid` and `secs`.
                self.state = State::Requesting;
                (self.sent, self.due) = (0, now);
                Ok(None)
            }
            (State::Requesting, Some(Kind::Ack)) if its_server && its_address => {
                self.lease = self.granted(&reply, from, now)?;
                self.state = State::Probing;
                self.left = PROBES;
                self.arp_at = now + self.random.time(PROBE_JITTER);
                self.due = NEVER;
                Ok(None)
            }
            (State::Requesting, Some(Kind::Nak)) if its_server => {
                self.shunned = Some(reply.server);
                self.restart(now);
                Ok(Some(Event::Refused(reply.server)))
            }
            // One server is asked to renew, all are asked to rebind.
            (State::Renewing, _) if !its_server => Err(Ignored::Unexpected),
            (State::Renewing | State::Rebinding, Some(Kind::Ack)) if its_address => {
                self.lease = self.granted(&reply, from, now)?;
                self.state = State::Bound;
                self.due = self.lease.renew_at;
                Ok(Some(Event::Renewed))
            }
            (State::Renewing | State::Rebinding, Some(Kind::Nak)) => {
                self.restart(now);
                Ok(Some(Event::Lost(
                    self.lease.address,
                    Loss::Refused(reply.server),
                )))
            }
            _ => Err(Ignored::Unexpected),
        }
    }

    /// Another host, at `by`, has said by ARP that `address` is its own, or wants it to be.
    #[inline(never)]
    pub fn claimed(
        &mut self,
        address: Ipv4Addr,
        by: EthernetAddress,
        now: Instant,
    ) -> Option<Event> {
        if address != self.address() {
            return None;
        }
        if self.state == State::Probing {
            self.decline(now);
            return Some(Event::Declined(address, self.lease.server, by));
        }
        if !self.holds() {
            return None;
        }
        // RFC 5227, 2.4 (b): defended once, given up if that does not help.
        let recent = |at: Instant| now < at + DEFEND_INTERVAL;
        if self.defended.is_some_and(recent) {
            self.decline(now);
            return Some(Event::Lost(self.lease.address, Loss::Conflict(by)));
        }
        self.defended = Some(now);
        (self.left, self.arp_at) = (self.left.max(1), now);
        Some(Event::Defended(address, by))
    }

    fn decline(&mut self, now: Instant) {
        self.shunned = Some(self.lease.server);
        self.state = State::Declining;
        (self.left, self.due) = (0, now);
    }

    /// Begins anew; at once the first time, later and later if that goes wrong again and again.
    fn restart(&mut self, now: Instant) {
        self.state = State::Waiting;
        (self.left, self.due) = (0, now);
        self.defended = None;
        if self.failures > 0 {
            let wait = Duration::from_secs(1 << self.failures.min(6));
            self.due = now + wait + self.random.time(Duration::from_secs(1));
        }
        self.failures = self.failures.saturating_add(1);
    }

    /// A new transaction.
    fn ask(&mut self, state: State, now: Instant) {
        self.state = state;
        self.xid = self.random.draw() as u32;
        (self.began, self.sent, self.due) = (now, 0, now);
    }

    /// RFC 2131, 4.1: 4, 8, 16, 32, 64 s, each give or take one.
    fn backoff(&mut self) -> Duration {
        let base = Duration::from_secs((4 << self.sent.min(4)) - 1);
        base + self.random.time(Duration::from_secs(2))
    }

    /// A message: to all and from nobody, unless we have an address and a server. If it `names` an
    /// offer, it says which.
    fn send(&mut self, kind: Kind, names: bool, now: Instant) -> Step {
        if self.sent == 0 {
            self.asked = now;
        }
        self.sent = self.sent.saturating_add(1);
        let (destination, to) = match self.state {
            State::Renewing => (self.lease.server, self.lease.server_mac),
            _ => (Ipv4Addr::BROADCAST, EthernetAddress::BROADCAST),
        };
        Step::Send(Message {
            kind,
            source: match self.holds() {
                true => self.address(),
                false => Ipv4Addr::UNSPECIFIED,
            },
            destination,
            to,
            xid: self.xid,
            secs: u16::try_from((now - self.began).secs()).unwrap_or(u16::MAX),
            offer: names.then(|| (self.address(), self.lease.server)),
        })
    }

    /// What an ACK grants. The time counts from when it was asked for, so that we never use an
    /// address for longer than the server thinks.
    fn granted(
        &mut self,
        reply: &Reply,
        from: EthernetAddress,
        now: Instant,
    ) -> Result<Lease, Ignored> {
        let address = reply.cidr()?;
        if address.address() == reply.server {
            return Err(Ignored::Unusable);
        }
        let mut lease = Lease {
            router: reply.router(),
            mtu: reply.mtu(),
            ..Lease::offered(address, reply.server, from)
        };
        if let Some([whole, t1, t2]) = reply.times()? {
            // RFC 2131, 4.4.5: some chance in T1, so that not all come at once.
            lease.time = Some(whole);
            let early = self.random.time(t1 / 16);
            lease.renew_at = self.asked + t1 - early;
            lease.rebind_at = self.asked + t2;
            lease.expires_at = self.asked + whole;
        }
        if lease.expires_at <= now {
            return Err(Ignored::Unusable);
        }
        Ok(lease)
    }
}
