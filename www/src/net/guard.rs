//! What comes in from the wire, checked before anything else sees it.
//!
//! Nothing here is trusted: the frame may hold any bytes. What passes is an IP packet from a host
//! that may have sent it, to us, whole, with a header that means one thing only.

use super::addresses::{Address, PLACES, Source};
use super::dhcp;
use super::ethernet::EthernetAddress;
use super::stats::Refusal;
use super::table::Key;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use smoltcp::time::Duration;
use smoltcp::wire::{IpAddress, IpCidr};

pub(super) const FIN: u8 = 0x01;
pub(super) const SYN: u8 = 0x02;
pub(super) const RST: u8 = 0x04;
const PSH: u8 = 0x08;
pub(super) const ACK: u8 = 0x10;
const URG: u8 = 0x20;

const ETHERNET: usize = 14;
pub(super) const IPV4: usize = 20;
const IPV6: usize = 40;
const TCP: usize = 20;
const UDP: usize = 8;

/// Who we are.
pub(super) struct Identity {
    pub(super) mac: EthernetAddress,
    /// Our addresses. A place is never given to another while anything remembers its number.
    pub(super) addresses: [Option<Address>; PLACES],
    /// Places that may hold one; what comes after is not looked at for each packet.
    pub(super) used: usize,
    /// IPv6 addresses, used or not, that somebody else may have.
    pub(super) in_check: Vec<Ipv6Addr>,
    /// An IPv4 address, not used yet, that somebody else may have.
    pub(super) candidate: Option<Ipv4Addr>,
    /// Look at others' claims to our addresses.
    pub(super) detect: bool,
    /// A DHCP server's message is awaited.
    pub(super) dhcp: bool,
    /// Router advertisements are of use.
    pub(super) routers: bool,
    pub(super) port: u16,
    /// Verify UDP checksums.
    pub(super) check_udp: bool,
    /// Verify IPv4 header checksums.
    pub(super) check_ipv4: bool,
    /// Verify TCP checksums.
    pub(super) check_tcp: bool,
}

/// What a frame that passed is.
pub(super) enum Input<'f> {
    /// An ARP request for our address: the sender's addresses, and ours.
    Arp {
        mac: EthernetAddress,
        ip: Ipv4Addr,
        target: Ipv4Addr,
    },
    /// Another host says that an address is its own, or wants it to be: ours, or one in check.
    Claim {
        mac: EthernetAddress,
        address: IpAddr,
    },
    /// A datagram from port 67 to port 68, while it is awaited.
    Dhcp {
        mac: EthernetAddress,
        payload: &'f [u8],
    },
    /// A router advertisement: the ICMPv6 message.
    Router { source: Ipv6Addr, message: &'f [u8] },
    /// A neighbour solicitation for `target`; `source` is unspecified if it is a probe. Are we
    /// `sure` that the address is ours alone?
    Solicitation {
        mac: EthernetAddress,
        source: Ipv6Addr,
        target: Ipv6Addr,
        sure: bool,
    },
    /// An echo request: the IP packet, and where its ICMP message begins.
    Echo {
        mac: EthernetAddress,
        packet: &'f [u8],
        at: usize,
    },
    /// A router asks who listens to a group, or to any, and gives time for an answer.
    Query { group: Ipv6Addr, time: Duration },
    /// A TCP segment to one of our addresses.
    Tcp(Segment<'f>),
}

/// A TCP segment that passed.
pub(super) struct Segment<'f> {
    /// The IP packet, without what the link padded.
    pub(super) packet: &'f [u8],
    /// Where the TCP header begins in it.
    pub(super) tcp: usize,
    /// The MAC address that sent it.
    pub(super) mac: EthernetAddress,
    pub(super) key: Key,
    /// Of the port it was sent to; not necessarily ours.
    pub(super) local_port: u16,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: u8,
    pub(super) window: u16,
    /// Bytes of payload.
    pub(super) len: u32,
}

impl Segment<'_> {
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The sequence number after this segment.
    pub(super) fn end(&self) -> u32 {
        let control = u32::from(self.has(SYN)) + u32::from(self.has(FIN));
        self.seq.wrapping_add(self.len).wrapping_add(control)
    }

    /// The options of the TCP header.
    pub(super) fn options(&self) -> &[u8] {
        let header = usize::from(self.packet[self.tcp + 12] >> 4) * 4;
        &self.packet[self.tcp + TCP..self.tcp + header]
    }
}

/// The address of a [`Key`].
pub(super) fn remote_address(key: &Key) -> IpAddress {
    match Ipv6Addr::from(key.remote).to_ipv4_mapped() {
        Some(v4) => IpAddress::Ipv4(v4),
        None => IpAddress::Ipv6(key.remote.into()),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

impl Identity {
    /// Checks `frame`.
    pub(super) fn inspect<'f>(&self, frame: &'f [u8]) -> Result<Input<'f>, Refusal> {
        if frame.len() < ETHERNET + IPV4 {
            return Err(Refusal::Runt);
        }
        let group = frame[0] & 1 != 0;
        if !group && frame[..6] != self.mac.0 {
            return Err(Refusal::NotOurMac);
        }
        let mac = EthernetAddress(array(frame, 6));
        if mac.0[0] & 1 != 0 || mac == self.mac || mac.0 == [0; 6] {
            return Err(Refusal::MacSource);
        }
        let packet = &frame[ETHERNET..];
        match u16_at(frame, 12) {
            0x0800 => self.ipv4(packet, mac, group),
            0x86dd => self.ipv6(packet, mac, group),
            0x0806 => self.arp(packet, mac),
            _ => Err(Refusal::EtherType),
        }
    }

    fn places(&self) -> &[Option<Address>] {
        self.addresses.get(..self.used).unwrap_or_default()
    }

    /// Which of our addresses `address` is.
    fn local(&self, address: IpAddr) -> Option<u8> {
        let address = IpAddress::from(address);
        self.places()
            .iter()
            .position(|own| own.is_some_and(|own| own.cidr.address() == address))
            .map(|at| at as u8)
    }

    fn arp<'f>(&self, arp: &[u8], mac: EthernetAddress) -> Result<Input<'f>, Refusal> {
        if arp.len() < 28 {
            return Err(Refusal::Runt);
        }
        // Hardware type Ethernet, protocol IPv4, lengths 6 and 4.
        if arp[..6] != [0, 1, 8, 0, 6, 4] || arp[8..14] != mac.0 {
            return Err(Refusal::Arp);
        }
        let sender = Ipv4Addr::from(array::<4>(arp, 14));
        let target = Ipv4Addr::from(array::<4>(arp, 24));
        let operation = u16_at(arp, 6);
        if !(1..=2).contains(&operation) {
            return Err(Refusal::Protocol);
        }
        let own = self.local(IpAddr::V4(sender)).is_some();
        let probes = operation == 1 && sender.is_unspecified();
        if own && self.detect || self.candidate == Some(sender) {
            let address = IpAddr::V4(sender);
            return Ok(Input::Claim { mac, address });
        }
        if probes && self.candidate == Some(target) {
            let address = IpAddr::V4(target);
            return Ok(Input::Claim { mac, address });
        }
        // Replies tell us nothing else that we need: we answer to the MAC address that asks.
        if operation != 1 {
            return Err(Refusal::Protocol);
        }
        if own || sender.is_multicast() || sender.is_broadcast() {
            return Err(Refusal::Arp);
        }
        match self.local(IpAddr::V4(target)) {
            Some(_) => Ok(Input::Arp {
                mac,
                ip: sender,
                target,
            }),
            None => Err(Refusal::IpDestination),
        }
    }

    fn ipv4<'f>(
        &self,
        packet: &'f [u8],
        mac: EthernetAddress,
        group: bool,
    ) -> Result<Input<'f>, Refusal> {
        let header = usize::from(packet[0] & 0x0f) * 4;
        if packet[0] >> 4 != 4 || header < IPV4 {
            return Err(Refusal::IpHeader);
        }
        let total = usize::from(u16_at(packet, 2));
        if total > packet.len() || total < header {
            return Err(Refusal::IpLength);
        }
        if header > IPV4 {
            return Err(Refusal::IpOptions);
        }
        if self.check_ipv4 && sum(&packet[..IPV4], 0) != 0xffff {
            return Err(Refusal::IpChecksum);
        }
        // More fragments, or an offset.
        if u16_at(packet, 6) & 0x3fff != 0 {
            return Err(Refusal::Fragment);
        }
        let source = Ipv4Addr::from(array::<4>(packet, 12));
        let destination = Ipv4Addr::from(array::<4>(packet, 16));
        // 0/8, loopback, groups, class E with the limited broadcast.
        let top = source.octets()[0];
        if top == 0 || top == 127 || top >= 224 || self.is_own_v4(source) {
            return Err(Refusal::IpSource);
        }
        let local = self.local(IpAddr::V4(destination)).filter(|_| !group);
        let packet = &packet[..total];
        let Some(local) = local else {
            // A server may send to the address that it offers, and that we do not have yet.
            let lawful = group == destination.is_broadcast() && !destination.is_multicast();
            return match packet[9] {
                17 if self.dhcp && lawful => self.dhcp(packet, mac),
                _ => Err(Refusal::IpDestination),
            };
        };
        match packet[9] {
            6 => {
                let remote = source.to_ipv6_mapped().octets();
                self.tcp(
                    packet,
                    IPV4,
                    mac,
                    Key {
                        remote,
                        port: 0,
                        local,
                    },
                )
            }
            1 => match packet.get(IPV4..) {
                Some([8, 0, _, _, _, _, _, _, ..]) => {
                    if sum(&packet[IPV4..], 0) != 0xffff {
                        return Err(Refusal::Checksum);
                    }
                    let at = IPV4;
                    Ok(Input::Echo { mac, packet, at })
                }
                _ => Err(Refusal::Protocol),
            },
            17 if self.dhcp => self.dhcp(packet, mac),
            _ => Err(Refusal::Protocol),
        }
    }

    /// A whole IPv4 packet with UDP, to us or to all, while a DHCP server's message is awaited.
    #[cold]
    #[inline(never)]
    fn dhcp<'f>(&self, packet: &'f [u8], mac: EthernetAddress) -> Result<Input<'f>, Refusal> {
        let udp = &packet[IPV4..];
        if udp.len() < UDP {
            return Err(Refusal::Runt);
        }
        if (u16_at(udp, 0), u16_at(udp, 2)) != (dhcp::SERVER_PORT, dhcp::CLIENT_PORT) {
            return Err(Refusal::Protocol);
        }
        if usize::from(u16_at(udp, 4)) != udp.len() {
            return Err(Refusal::IpLength);
        }
        // Zero: the sender has not computed any, as IPv4 allows.
        if self.check_udp && u16_at(udp, 6) != 0 && sum(udp, pseudo(packet, IPV4, 17)) != 0xffff {
            return Err(Refusal::Checksum);
        }
        let payload = &udp[UDP..];
        Ok(Input::Dhcp { mac, payload })
    }

    /// Our own address, or the broadcast address of our network.
    fn is_own_v4(&self, source: Ipv4Addr) -> bool {
        self.places().iter().flatten().any(|own| match own.cidr {
            IpCidr::Ipv4(own) => own.address() == source || own.broadcast() == Some(source),
            IpCidr::Ipv6(_) => false,
        })
    }

    fn ipv6<'f>(
        &self,
        packet: &'f [u8],
        mac: EthernetAddress,
        group: bool,
    ) -> Result<Input<'f>, Refusal> {
        if packet.len() < IPV6 {
            return Err(Refusal::Runt);
        }
        if packet[0] >> 4 != 6 {
            return Err(Refusal::IpHeader);
        }
        let total = IPV6 + usize::from(u16_at(packet, 4));
        if total > packet.len() {
            return Err(Refusal::IpLength);
        }
        let packet = &packet[..total];
        let source = Ipv6Addr::from(array::<16>(packet, 8));
        let destination = Ipv6Addr::from(array::<16>(packet, 24));
        let next = packet[6];
        if source.is_multicast()
            || source.is_loopback()
            || source.to_ipv4_mapped().is_some()
            || self.local(IpAddr::V6(source)).is_some() && !self.may_claim(packet)
        {
            return Err(Refusal::IpSource);
        }
        let local = self.local(IpAddr::V6(destination)).filter(|_| !group);
        if local.is_none() && !(group && destination.is_multicast()) {
            return Err(Refusal::IpDestination);
        }
        if source.is_unspecified() && next != 58 {
            return Err(Refusal::IpSource);
        }
        match (next, local) {
            (6, Some(local)) => {
                let key = Key {
                    remote: source.octets(),
                    port: 0,
                    local,
                };
                self.tcp(packet, IPV6, mac, key)
            }
            (58, _) => self.icmpv6(packet, mac, source, local.is_some()),
            // Hop-by-hop options belong in front of multicast listener queries, nowhere else.
            (0, None) => match packet.get(IPV6..) {
                Some([58, 0, _, _, _, _, _, _, 130, ..]) if packet[7] == 1 => {
                    Self::query(packet, source)
                }
                _ => Err(Refusal::ExtensionHeader),
            },
            (0 | 43 | 44 | 51 | 60, _) => Err(Refusal::ExtensionHeader),
            _ => Err(Refusal::Protocol),
        }
    }

    /// A multicast listener query, behind a header of hop-by-hop options that must hold a router
    /// alert and comes from a router of this link (RFC 3810, 5.1.14 and 6.2).
    #[cold]
    #[inline(never)]
    fn query<'f>(packet: &'f [u8], source: Ipv6Addr) -> Result<Input<'f>, Refusal> {
        const OPTIONS: usize = 8;
        const ALERT: [u8; 4] = [5, 2, 0, 0];
        let at = IPV6 + OPTIONS;
        let (options, icmp) = packet[IPV6..].split_at(OPTIONS);
        // The other two bytes pad.
        if options[2..6] != ALERT && options[4..] != ALERT {
            return Err(Refusal::ExtensionHeader);
        }
        if icmp.len() < 24 {
            return Err(Refusal::Runt);
        }
        if !source.is_unicast_link_local() {
            return Err(Refusal::IpSource);
        }
        if sum(icmp, pseudo(packet, at, 58)) != 0xffff {
            return Err(Refusal::Checksum);
        }
        // In milliseconds; the larger half of the numbers have an exponent (5.1.3).
        let millis = match u32::from(u16_at(icmp, 4)) {
            code @ ..0x8000 => code,
            code => (code & 0xfff | 0x1000) << ((code >> 12 & 7) + 3),
        };
        Ok(Input::Query {
            group: array::<16>(icmp, 8).into(),
            time: Duration::from_millis(millis.into()),
        })
    }

    /// Our link-local address, if we have it.
    pub(super) fn link_local(&self) -> Option<Ipv6Addr> {
        let mut places = self.places().iter().flatten();
        places.find_map(|own| match own.cidr {
            IpCidr::Ipv6(cidr) => Some(cidr.address()).filter(|_| own.source == Source::LinkLocal),
            IpCidr::Ipv4(_) => None,
        })
    }

    /// What comes from our own address is forged, but for one thing: another host that has the same
    /// one says so by a neighbour advertisement.
    fn may_claim(&self, packet: &[u8]) -> bool {
        self.detect && packet[6] == 58 && packet.get(IPV6) == Some(&136)
    }

    fn icmpv6<'f>(
        &self,
        packet: &'f [u8],
        mac: EthernetAddress,
        source: Ipv6Addr,
        unicast: bool,
    ) -> Result<Input<'f>, Refusal> {
        let icmp = &packet[IPV6..];
        match icmp {
            [128, 0, _, _, _, _, _, _, ..] if unicast && !source.is_unspecified() => {
                if sum(icmp, pseudo(packet, IPV6, 58)) != 0xffff {
                    return Err(Refusal::Checksum);
                }
                let at = IPV6;
                Ok(Input::Echo { mac, packet, at })
            }
            // RFC 4861, 7.1.1: hop limit 255, so that it comes from this link.
            [135, 0, ..] if icmp.len() >= 24 && packet[7] == 255 => {
                if sum(icmp, pseudo(packet, IPV6, 58)) != 0xffff {
                    return Err(Refusal::Checksum);
                }
                let target = Ipv6Addr::from(array::<16>(icmp, 8));
                let in_check = self.in_check.contains(&target);
                if source.is_unspecified() && in_check {
                    let address = IpAddr::V6(target);
                    return Ok(Input::Claim { mac, address });
                }
                match self.local(IpAddr::V6(target)) {
                    Some(_) => Ok(Input::Solicitation {
                        mac,
                        source,
                        target,
                        sure: !in_check,
                    }),
                    None => Err(Refusal::IpDestination),
                }
            }
            // RFC 4861, 7.1.2: only of use if it speaks of an address of ours.
            [136, 0, ..] if self.detect && icmp.len() >= 24 && packet[7] == 255 => {
                if sum(icmp, pseudo(packet, IPV6, 58)) != 0xffff {
                    return Err(Refusal::Checksum);
                }
                let address = IpAddr::V6(array::<16>(icmp, 8).into());
                let in_check = self.in_check.iter().any(|&own| own == address);
                match in_check || self.local(address).is_some() {
                    true => Ok(Input::Claim { mac, address }),
                    false => Err(Refusal::Protocol),
                }
            }
            // RFC 4861, 6.1.2: from a router of this link.
            [134, 0, ..] if self.routers && icmp.len() >= 16 && packet[7] == 255 => {
                if !source.is_unicast_link_local() {
                    return Err(Refusal::IpSource);
                }
                if sum(icmp, pseudo(packet, IPV6, 58)) != 0xffff {
                    return Err(Refusal::Checksum);
                }
                Ok(Input::Router {
                    source,
                    message: icmp,
                })
            }
            _ => Err(Refusal::Protocol),
        }
    }

    fn tcp<'f>(
        &self,
        packet: &'f [u8],
        at: usize,
        mac: EthernetAddress,
        key: Key,
    ) -> Result<Input<'f>, Refusal> {
        let tcp = &packet[at..];
        if tcp.len() < TCP {
            return Err(Refusal::Runt);
        }
        let header = usize::from(tcp[12] >> 4) * 4;
        let (port, local_port) = (u16_at(tcp, 0), u16_at(tcp, 2));
        if header < TCP || header > tcp.len() || port == 0 || local_port == 0 {
            return Err(Refusal::TcpHeader);
        }
        let flags = tcp[13];
        let lawful = match flags & (FIN | SYN | RST | ACK) {
            ACK | RST | SYN => true,
            flags if flags == FIN | ACK || flags == RST | ACK || flags == SYN | ACK => true,
            _ => false,
        };
        if !lawful || flags & (FIN | PSH | URG | ACK) == FIN | PSH | URG {
            return Err(Refusal::TcpFlags);
        }
        if self.check_tcp && sum(tcp, pseudo(packet, at, 6)) != 0xffff {
            return Err(Refusal::Checksum);
        }
        Ok(Input::Tcp(Segment {
            packet,
            tcp: at,
            mac,
            key: Key { port, ..key },
            local_port,
            seq: u32_at(tcp, 4),
            ack: u32_at(tcp, 8),
            flags,
            window: u16_at(tcp, 14),
            len: (tcp.len() - header) as u32,
        }))
    }
}

/// The sum of the pseudo-header of the packet whose payload begins at `at`.
pub(super) fn pseudo(packet: &[u8], at: usize, protocol: u8) -> u64 {
    let addresses = if at == IPV4 {
        &packet[12..20]
    } else {
        &packet[8..40]
    };
    u64::from(sum(
        addresses,
        (packet.len() - at) as u64 + u64::from(protocol),
    ))
}

/// The ones' complement sum of `bytes`, as big-endian words, onto `start`.
pub(super) fn sum(bytes: &[u8], start: u64) -> u16 {
    let mut total = start;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        total += u64::from(u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
    }
    let mut last = [0; 4];
    let rest = words.remainder();
    last[..rest.len()].copy_from_slice(rest);
    total += u64::from(u32::from_be_bytes(last));
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}
