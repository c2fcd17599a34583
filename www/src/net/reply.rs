//! Frames that we write ourselves: TCP segments without a socket, ARP, neighbour discovery, DHCP.

use super::border::{ETHERNET, Framing};
use super::dhcp;
use super::ethernet::EthernetAddress;
use super::forge::Flow;
use super::groups::Record;
use super::guard::{IPV4, pseudo, sum};
use core::net::{Ipv4Addr, Ipv6Addr};
use smoltcp::phy::{ChecksumCapabilities, TxToken};
use smoltcp::wire::{
    IpAddress, IpProtocol, IpRepr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber, UdpPacket, UdpRepr,
};

/// A TCP segment without payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bare {
    pub(super) control: TcpControl,
    pub(super) seq: u32,
    pub(super) ack: Option<u32>,
    pub(super) window: u16,
    /// With SYN: our MSS.
    pub(super) mss: Option<u16>,
    /// With SYN: take part in window scaling, with a scale of 0.
    pub(super) scale: bool,
    /// With SYN: take selective acknowledgements.
    pub(super) sack: bool,
}

impl Bare {
    pub(super) fn new(control: TcpControl, seq: u32, ack: Option<u32>, window: u16) -> Self {
        Bare {
            control,
            seq,
            ack,
            window,
            mss: None,
            scale: false,
            sack: false,
        }
    }

    /// Sends it as `flow`'s.
    pub(super) fn send<T: TxToken>(
        self,
        flow: &Flow,
        checksum: &ChecksumCapabilities,
        to: Framing<T>,
    ) {
        let tcp = TcpRepr {
            src_port: flow.local.port,
            dst_port: flow.remote.port,
            control: self.control,
            seq_number: TcpSeqNumber(self.seq as i32),
            ack_number: self.ack.map(|ack| TcpSeqNumber(ack as i32)),
            window_len: self.window,
            window_scale: self.scale.then_some(0),
            max_seg_size: self.mss,
            sack_permitted: self.sack,
            sack_ranges: [None; 3],
            timestamp: None,
            payload: &[],
        };
        let (source, destination) = (flow.local.addr, flow.remote.addr);
        let ip = IpRepr::new(source, destination, IpProtocol::Tcp, tcp.buffer_len(), 64);
        to.consume(ip.buffer_len(), |packet| {
            ip.emit(&mut *packet, checksum);
            let mut segment = TcpPacket::new_unchecked(&mut packet[ip.header_len()..]);
            tcp.emit(&mut segment, &source, &destination, checksum);
        });
    }
}

/// Answers the echo request whose IP packet is `packet`, and whose message begins at `at`.
#[inline(never)]
pub(super) fn echo<T: TxToken>(to: Framing<T>, packet: &[u8], at: usize) {
    to.consume(packet.len(), |answer| {
        answer.copy_from_slice(packet);
        let (header, message) = answer.split_at_mut(at);
        let four = at == IPV4;
        let (addresses, hops) = if four { (12, 8) } else { (8, 7) };
        let (source, destination) = header[addresses..].split_at_mut((at - addresses) / 2);
        source.swap_with_slice(destination);
        header[hops] = 64;
        if four {
            header[10..12].fill(0);
            let checksum = !sum(header, 0);
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
        }
        message[0] = if four { 0 } else { 129 };
        message[2..4].fill(0);
        let start = if four { 0 } else { pseudo(answer, at, 58) };
        let checksum = !sum(&answer[at..], start);
        answer[at + 2..at + 4].copy_from_slice(&checksum.to_be_bytes());
    });
}

const ARP_REQUEST: u8 = 1;
const ARP_REPLY: u8 = 2;

/// Sends ARP: our `ip` is at `mac`. A reply to `to`, or an announcement to all.
pub(super) fn arp<T: TxToken>(
    token: T,
    mac: EthernetAddress,
    ip: Ipv4Addr,
    to: Option<(EthernetAddress, Ipv4Addr)>,
) {
    let operation = match to {
        Some(_) => ARP_REPLY,
        None => ARP_REQUEST,
    };
    let nobody = (EthernetAddress([0; 6]), ip);
    send_arp(token, operation, (mac, ip), to.unwrap_or(nobody));
}

/// Asks by ARP, as somebody without an address, who has `ip` (RFC 5227, 2.1.1).
pub(super) fn arp_probe<T: TxToken>(token: T, mac: EthernetAddress, ip: Ipv4Addr) {
    let nobody = EthernetAddress([0; 6]);
    let own = (mac, Ipv4Addr::UNSPECIFIED);
    send_arp(token, ARP_REQUEST, own, (nobody, ip));
}

fn send_arp<T: TxToken>(
    token: T,
    operation: u8,
    (mac, ip): (EthernetAddress, Ipv4Addr),
    (to_mac, to_ip): (EthernetAddress, Ipv4Addr),
) {
    let destination = match operation {
        ARP_REPLY => to_mac,
        _ => EthernetAddress::BROADCAST,
    };
    token.consume(ETHERNET + 28, |frame| {
        // ARP; hardware type Ethernet, protocol IPv4, lengths 6 and 4.
        let kind = [8, 6, 0, 1, 8, 0, 6, 4, 0, operation];
        let (ip, to_ip) = (ip.octets(), to_ip.octets());
        lay(frame, &[&destination.0, &mac.0, &kind]);
        lay(&mut frame[22..], &[&mac.0, &ip, &to_mac.0, &to_ip]);
    });
}

/// Writes `parts` one after the other.
fn lay(mut to: &mut [u8], parts: &[&[u8]]) {
    for part in parts {
        let (here, rest) = to.split_at_mut(part.len());
        here.copy_from_slice(part);
        to = rest;
    }
}

/// Sends a neighbour advertisement: our `target` is at `mac`. To the host that asked, or to all.
/// With `sure`, it replaces what others remember.
pub(super) fn advertise<T: TxToken>(
    token: T,
    mac: EthernetAddress,
    target: Ipv6Addr,
    to: Option<(EthernetAddress, Ipv6Addr)>,
    sure: bool,
    checksum: &ChecksumCapabilities,
) {
    let flags = if sure { 0x20 } else { 0 } | if to.is_some() { 0x40 } else { 0 };
    let head = [136, 0, 0, 0, flags, 0, 0, 0];
    let to = to.unwrap_or((EthernetAddress([0x33, 0x33, 0, 0, 0, 1]), ALL_NODES));
    let message: [&[u8]; 4] = [&head, &target.octets(), &[2, 1], &mac.0];
    send_ndisc(token, (mac, target), to, &message, checksum);
}

/// Asks by a neighbour solicitation, as somebody without an address, who has `target`.
pub(super) fn solicit_neighbour<T: TxToken>(
    token: T,
    mac: EthernetAddress,
    target: Ipv6Addr,
    checksum: &ChecksumCapabilities,
) {
    // The group's MAC address is seen to when the frame is written.
    let to = (EthernetAddress::BROADCAST, solicited_node(target));
    let message: [&[u8]; 2] = [&[135, 0, 0, 0, 0, 0, 0, 0], &target.octets()];
    send_ndisc(token, (mac, Ipv6Addr::UNSPECIFIED), to, &message, checksum);
}

/// Asks routers to advertise themselves: as `source`, or as somebody without an address.
pub(super) fn solicit_routers<T: TxToken>(
    token: T,
    mac: EthernetAddress,
    source: Option<Ipv6Addr>,
    checksum: &ChecksumCapabilities,
) {
    let own = (mac, source.unwrap_or(Ipv6Addr::UNSPECIFIED));
    let to = (EthernetAddress::BROADCAST, ALL_ROUTERS);
    let message: [&[u8]; 3] = [&[133, 0, 0, 0, 0, 0, 0, 0], &[1, 1], &mac.0];
    // Without an address there is no MAC address to be told.
    let parts = if source.is_some() { 3 } else { 1 };
    send_ndisc(token, own, to, &message[..parts], checksum);
}

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// The group in which neighbour solicitations for `address` arrive (RFC 4291, 2.7.1).
pub(super) fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    let low = u16::from_be_bytes([b, c]);
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), low)
}

/// Sends a message of neighbour discovery, whose parts come with a checksum of zero (RFC 4861, 4).
fn send_ndisc<T: TxToken>(
    token: T,
    (mac, source): (EthernetAddress, Ipv6Addr),
    (to_mac, to_ip): (EthernetAddress, Ipv6Addr),
    parts: &[&[u8]],
    checksum: &ChecksumCapabilities,
) {
    let (from, to) = (IpAddress::Ipv6(source), IpAddress::Ipv6(to_ip));
    let length = parts.iter().map(|part| part.len()).sum();
    let ip = IpRepr::new(from, to, IpProtocol::Icmpv6, length, 255);
    let framing = Framing {
        inner: token,
        source: mac,
        destination: to_mac,
    };
    framing.consume(ip.buffer_len(), |packet| {
        ip.emit(&mut *packet, checksum);
        let at = ip.header_len();
        lay(&mut packet[at..], parts);
        seal(packet, at);
    });
}

/// Writes the checksum of the ICMPv6 message at `at`, where there are zeros as yet.
fn seal(packet: &mut [u8], at: usize) {
    let checksum = !sum(&packet[at..], pseudo(packet, at, 58));
    packet[at + 2..at + 4].copy_from_slice(&checksum.to_be_bytes());
}

/// Tells those who forward groups to which of them we listen (RFC 3810, 5.2).
#[inline(never)]
pub(super) fn listeners<T: TxToken>(
    token: T,
    mac: EthernetAddress,
    source: Option<Ipv6Addr>,
    records: &[(Ipv6Addr, Record)],
    checksum: &ChecksumCapabilities,
) {
    const OPTIONS: usize = 8;
    const RECORD: usize = 20;
    let source = IpAddress::Ipv6(source.unwrap_or(Ipv6Addr::UNSPECIFIED));
    let to = IpAddress::Ipv6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16));
    let length = OPTIONS + 8 + records.len() * RECORD;
    let ip = IpRepr::new(source, to, IpProtocol::HopByHop, length, 1);
    let framing = Framing {
        inner: token,
        source: mac,
        // The group's MAC address is seen to when the frame is written.
        destination: EthernetAddress::BROADCAST,
    };
    framing.consume(ip.buffer_len(), |packet| {
        ip.emit(&mut *packet, checksum);
        let at = ip.header_len() + OPTIONS;
        packet[ip.header_len()..].fill(0);
        // ICMPv6 comes next; a router alert, and two bytes of padding.
        packet[at - OPTIONS..at].copy_from_slice(&[58, 0, 5, 2, 0, 0, 1, 0]);
        let message = &mut packet[at..];
        message[0] = 143;
        message[7] = records.len() as u8;
        for (to, (group, record)) in message[8..].chunks_exact_mut(RECORD).zip(records) {
            to[0] = *record as u8;
            to[4..].copy_from_slice(&group.octets());
        }
        seal(packet, at);
    });
}

/// Sends a DHCP message.
#[inline(never)]
pub(super) fn dhcp<T: TxToken>(
    token: T,
    mac: EthernetAddress,
    message: &dhcp::Message,
    write: impl FnOnce(&mut [u8]),
    checksum: &ChecksumCapabilities,
) {
    let udp = UdpRepr {
        src_port: dhcp::CLIENT_PORT,
        dst_port: dhcp::SERVER_PORT,
    };
    let len = dhcp::Message::LEN;
    let source = IpAddress::Ipv4(message.source);
    let destination = IpAddress::Ipv4(message.destination);
    let ip = IpRepr::new(
        source,
        destination,
        IpProtocol::Udp,
        udp.header_len() + len,
        64,
    );
    let framing = Framing {
        inner: token,
        source: mac,
        destination: message.to,
    };
    framing.consume(ip.buffer_len(), |packet| {
        ip.emit(&mut *packet, checksum);
        let mut datagram = UdpPacket::new_unchecked(&mut packet[ip.header_len()..]);
        udp.emit(&mut datagram, &source, &destination, len, write, checksum);
    });
}
