//! DHCP messages: the ones that a client sends, and what it reads from a server's.
//!
//! RFC 2131, as far as it asks something of a client. A reply may hold any bytes.

use super::super::ethernet::EthernetAddress;
use super::{Ignored, Lease};
use core::net::Ipv4Addr;
use core::ops::Range;
use smoltcp::time::Duration;
use smoltcp::wire::Ipv4Cidr;

/// The port of servers and relays.
pub const SERVER_PORT: u16 = 67;
/// Ours.
pub const CLIENT_PORT: u16 = 68;

// The fixed part (RFC 2131, 2), and what begins the options behind it.
const OP: usize = 0;
const XID: Range<usize> = 4..8;
const SECS: Range<usize> = 8..10;
const OURS: Range<usize> = 12..16;
const YOURS: Range<usize> = 16..20;
const MAC: Range<usize> = 28..34;
/// The names of a server and of a file to boot, or more options.
const SNAME: Range<usize> = 44..108;
const FILE: Range<usize> = 108..236;
const COOKIE: Range<usize> = 236..240;
const FIXED: usize = 240;

/// Hardware type Ethernet, addresses of six bytes, no relays.
const ETHERNET: [u8; 3] = [1, 6, 0];
const MAGIC: [u8; 4] = [0x63, 0x82, 0x53, 0x63];
const QUESTION: u8 = 1;
const ANSWER: u8 = 2;
const PAD: u8 = 0;
const END: u8 = 255;

// RFC 2132.
const OPTION_MASK: u8 = 1;
const OPTION_ROUTER: u8 = 3;
const OPTION_HOST_NAME: u8 = 12;
const OPTION_MTU: u8 = 26;
const OPTION_REQUESTED: u8 = 50;
const OPTION_LEASE: u8 = 51;
const OPTION_OVERLOAD: u8 = 52;
const OPTION_KIND: u8 = 53;
const OPTION_SERVER: u8 = 54;
const OPTION_WANTED: u8 = 55;
const OPTION_MAX_SIZE: u8 = 57;
const OPTION_RENEW: u8 = 58;
const OPTION_REBIND: u8 = 59;
const OPTION_CLIENT: u8 = 61;

/// What we want to be told.
const WANTED: [u8; 7] = [
    OPTION_MASK,
    OPTION_ROUTER,
    OPTION_MTU,
    OPTION_LEASE,
    OPTION_SERVER,
    OPTION_RENEW,
    OPTION_REBIND,
];

/// RFC 2132, 9.10: each host takes 576 bytes; no reply to us needs more.
const MAX_SIZE: u16 = 576;

/// The name that we tell the server, which may show it or put it into its DNS: 1 to 63 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hostname {
    bytes: [u8; 63],
    len: u8,
}

impl Hostname {
    /// `None` if it is empty, too long, or holds anything but letters, digits, `-` and `.`.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        if !(1..=63).contains(&name.len()) || !name.bytes().all(good) {
            return None;
        }
        let mut bytes = [0; 63];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Some(Hostname {
            bytes,
            len: name.len() as u8,
        })
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Who has an address for us?
    Discover = 1,
    /// A server has.
    Offer = 2,
    /// We take it, or want to keep it.
    Request = 3,
    /// Somebody else has it.
    Decline = 4,
    /// It is ours.
    Ack = 5,
    /// It is not.
    Nak = 6,
}

/// A message to be sent, as UDP from port 68 to port 67. [`Client::emit`](super::Client::emit)
/// writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// DISCOVER, REQUEST or DECLINE.
    pub kind: Kind,
    /// IP source: ours, or unspecified.
    pub source: Ipv4Addr,
    /// IP destination: the server, or all.
    pub destination: Ipv4Addr,
    /// Where that is on this link.
    pub to: EthernetAddress,
    pub(super) xid: u32,
    pub(super) secs: u16,
    /// The address and the server of the offer that this is about.
    pub(super) offer: Option<(Ipv4Addr, Ipv4Addr)>,
}

impl Message {
    /// Bytes that each takes: the fixed part, and room for all options with the longest name. A
    /// BOOTP message has 300 at least, and some relays insist (RFC 1542, 2.1).
    pub const LEN: usize = 344;

    pub(super) fn write(&self, mac: EthernetAddress, name: Option<&Hostname>, buffer: &mut [u8]) {
        buffer.fill(0);
        buffer[OP] = QUESTION;
        buffer[OP + 1..XID.start].copy_from_slice(&ETHERNET);
        buffer[XID].copy_from_slice(&self.xid.to_be_bytes());
        buffer[SECS].copy_from_slice(&self.secs.to_be_bytes());
        buffer[OURS].copy_from_slice(&self.source.octets());
        buffer[MAC].copy_from_slice(&mac.0);
        buffer[COOKIE].copy_from_slice(&MAGIC);
        let mut at = FIXED;
        let mut option = |kind, data: &[u8]| {
            let end = at + 2 + data.len();
            buffer[at..at + 2].copy_from_slice(&[kind, data.len() as u8]);
            buffer[at + 2..end].copy_from_slice(data);
            at = end;
        };
        option(OPTION_KIND, &[self.kind as u8]);
        // Hardware type Ethernet, and the address: RFC 2132, 9.14.
        let [a, b, c, d, e, f] = mac.0;
        option(OPTION_CLIENT, &[1, a, b, c, d, e, f]);
        if let Some((address, server)) = self.offer {
            option(OPTION_REQUESTED, &address.octets());
            option(OPTION_SERVER, &server.octets());
        }
        if self.kind != Kind::Decline {
            option(OPTION_MAX_SIZE, &MAX_SIZE.to_be_bytes());
            option(OPTION_WANTED, &WANTED);
            if let Some(name) = name {
                option(OPTION_HOST_NAME, name.as_bytes());
            }
        }
        buffer[at] = END;
    }
}

/// The options behind the fixed part, up to the first that is cut off.
struct Options<'m>(&'m [u8]);

impl<'m> Iterator for Options<'m> {
    type Item = (u8, &'m [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while let [PAD, rest @ ..] = self.0 {
            self.0 = rest;
        }
        match *self.0 {
            [kind, length, ref rest @ ..] if kind != END => {
                let (data, rest) = rest.split_at_checked(length.into())?;
                self.0 = rest;
                Some((kind, data))
            }
            _ => None,
        }
    }
}

/// A server's answer, as far as it can be told without knowing what was asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    /// `None` if it is none that a server sends.
    pub(super) kind: Option<Kind>,
    pub(super) server: Ipv4Addr,
    pub(super) address: Ipv4Addr,
    mask: Option<Ipv4Addr>,
    router: Option<Ipv4Addr>,
    mtu: Option<u16>,
    /// Seconds.
    lease: Option<u32>,
    renew: Option<u32>,
    rebind: Option<u32>,
}

impl Reply {
    /// Reads `bytes`, the payload of a UDP datagram; it must be for `mac` and `xid`.
    #[inline(never)]
    pub(super) fn parse(bytes: &[u8], mac: EthernetAddress, xid: u32) -> Result<Reply, Ignored> {
        let (fixed, options) = bytes.split_at_checked(FIXED).ok_or(Ignored::Malformed)?;
        if fixed[XID] != xid.to_be_bytes() || fixed[MAC] != mac.0 {
            return Err(Ignored::NotOurs);
        }
        if fixed[OP] != ANSWER || fixed[COOKIE] != MAGIC || fixed[1..3] != ETHERNET[..2] {
            return Err(Ignored::Malformed);
        }
        let mut address = [0; 4];
        address.copy_from_slice(&fixed[YOURS]);
        let mut reply = Reply {
            kind: None,
            server: Ipv4Addr::UNSPECIFIED,
            address: address.into(),
            mask: None,
            router: None,
            mtu: None,
            lease: None,
            renew: None,
            rebind: None,
        };
        // RFC 2131, 4.1: options' own place, then those of names, if the first says so.
        let mut overload = 0;
        for (place, bit) in [(options, 0), (&fixed[FILE], 1), (&fixed[SNAME], 2)] {
            if overload & bit != bit {
                continue;
            }
            for option in Options(place) {
                // One of a length that it cannot have is as good as none.
                let four = |data: &[u8]| Some(u32::from_be_bytes(data.first_chunk().copied()?));
                let address = |data| four(data).map(Ipv4Addr::from_bits);
                match option {
                    (OPTION_KIND, &[kind]) => {
                        let kinds = [Kind::Offer, Kind::Ack, Kind::Nak];
                        reply.kind = kinds.into_iter().find(|known| *known as u8 == kind);
                    }
                    (OPTION_MASK, data) => reply.mask = address(data),
                    (OPTION_ROUTER, data) => reply.router = address(data).filter(|&it| is_host(it)),
                    // A host must take 576 bytes, so that no link has less.
                    (OPTION_MTU, &[a, b]) => {
                        let mtu = u16::from_be_bytes([a, b]);
                        reply.mtu = (mtu >= 576).then_some(mtu);
                    }
                    (OPTION_LEASE, data) => reply.lease = four(data),
                    (OPTION_SERVER, data) => {
                        reply.server = address(data).unwrap_or(Ipv4Addr::UNSPECIFIED);
                    }
                    (OPTION_RENEW, data) => reply.renew = four(data),
                    (OPTION_REBIND, data) => reply.rebind = four(data),
                    (OPTION_OVERLOAD, &[which]) if bit == 0 => overload = which,
                    _ => {}
                }
            }
        }
        match is_host(reply.server) {
            true => Ok(reply),
            false => Err(Ignored::Malformed),
        }
    }

    /// The address with its prefix, if a host can have it.
    pub(super) fn cidr(&self) -> Result<Ipv4Cidr, Ignored> {
        let address = self.address;
        if !is_host(address) {
            return Err(Ignored::Unusable);
        }
        let prefix = match self.mask.map(Ipv4Addr::to_bits) {
            // A prefix length is ones, then zeros.
            Some(mask) if mask.leading_ones() == mask.count_ones() => mask.count_ones() as u8,
            Some(_) => return Err(Ignored::Unusable),
            // Before masks, the first bits told.
            None => match address.octets()[0] {
                0..128 => 8,
                128..192 => 16,
                _ => 24,
            },
        };
        let host = address.to_bits() & u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
        let all = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
        if prefix < 8 || (prefix < 31 && (host == 0 || host == all)) {
            return Err(Ignored::Unusable);
        }
        Ok(Ipv4Cidr::new(address, prefix))
    }

    /// How long the lease is, T1 and T2. `None` is for ever.
    pub(super) fn times(&self) -> Result<Option<[Duration; 3]>, Ignored> {
        let lease = self.lease.ok_or(Ignored::Unusable)?;
        if lease == u32::MAX {
            return Ok(None);
        }
        if lease < Lease::SHORTEST {
            return Err(Ignored::Unusable);
        }
        let millis = u64::from(lease) * 1000;
        // RFC 2131, 4.4.5: a half and seven eighths, if the server does not say otherwise.
        let (t1, t2) = match (self.renew, self.rebind) {
            (Some(t1), Some(t2)) if 0 < t1 && t1 < t2 && t2 < lease => {
                (u64::from(t1) * 1000, u64::from(t2) * 1000)
            }
            _ => (millis / 2, millis / 8 * 7),
        };
        Ok(Some([millis, t1, t2].map(Duration::from_millis)))
    }

    pub(super) fn router(&self) -> Option<Ipv4Addr> {
        self.router
    }

    pub(super) fn mtu(&self) -> Option<u16> {
        self.mtu
    }
}

/// Neither 0/8, loopback, a group, nor class E with the broadcast address.
fn is_host(address: Ipv4Addr) -> bool {
    let top = address.octets()[0];
    top != 0 && top != 127 && top < 224
}
