//! Frames that we write ourselves: TCP segments without a socket, ARP replies, neighbour
//! advertisements.

use super::border::{ETHERNET, Framing};
use super::forge::Flow;
use core::net::{Ipv4Addr, Ipv6Addr};
use smoltcp::phy::{ChecksumCapabilities, TxToken};
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, Icmpv6Packet, Icmpv6Repr, IpAddress,
    IpProtocol, IpRepr, NdiscNeighborFlags, NdiscRepr, TcpControl, TcpPacket, TcpRepr,
    TcpSeqNumber,
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

/// Sends ARP: our `ip` is at `mac`. A reply to `to`, or an announcement to all.
pub(super) fn arp<T: TxToken>(
    token: T,
    mac: EthernetAddress,
    ip: Ipv4Addr,
    to: Option<(EthernetAddress, Ipv4Addr)>,
) {
    let repr = ArpRepr::EthernetIpv4 {
        operation: if to.is_some() {
            ArpOperation::Reply
        } else {
            ArpOperation::Request
        },
        source_hardware_addr: mac,
        source_protocol_addr: ip,
        target_hardware_addr: to.map_or(EthernetAddress([0; 6]), |(mac, _)| mac),
        target_protocol_addr: to.map_or(ip, |(_, ip)| ip),
    };
    token.consume(ETHERNET + repr.buffer_len(), |frame| {
        frame[..6].copy_from_slice(&to.map_or(EthernetAddress::BROADCAST, |(mac, _)| mac).0);
        frame[6..12].copy_from_slice(&mac.0);
        frame[12..14].copy_from_slice(&[8, 6]);
        repr.emit(&mut ArpPacket::new_unchecked(&mut frame[ETHERNET..]));
    });
}

/// Sends a neighbour advertisement: our `target` is at `mac`. To the host that asked, or to all.
pub(super) fn advertise<T: TxToken>(
    token: T,
    mac: EthernetAddress,
    target: Ipv6Addr,
    to: Option<(EthernetAddress, Ipv6Addr)>,
    checksum: &ChecksumCapabilities,
) {
    let all = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let (destination, to_ip) = to.unwrap_or((EthernetAddress([0x33, 0x33, 0, 0, 0, 1]), all));
    let mut flags = NdiscNeighborFlags::OVERRIDE;
    if to.is_some() {
        flags |= NdiscNeighborFlags::SOLICITED;
    }
    let icmp = Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert {
        flags,
        target_addr: target,
        lladdr: Some(mac.into()),
    });
    let (source, to_ip) = (IpAddress::Ipv6(target), IpAddress::Ipv6(to_ip));
    let ip = IpRepr::new(source, to_ip, IpProtocol::Icmpv6, icmp.buffer_len(), 255);
    let framing = Framing {
        inner: token,
        source: mac,
        destination,
    };
    framing.consume(ip.buffer_len(), |packet| {
        ip.emit(&mut *packet, checksum);
        let IpAddress::Ipv6(to_ip) = to_ip else {
            return;
        };
        let mut message = Icmpv6Packet::new_unchecked(&mut packet[ip.header_len()..]);
        icmp.emit(&target, &to_ip, &mut message, checksum);
    });
}
