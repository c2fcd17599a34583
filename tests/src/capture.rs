//! What was on the link, from a file that `--pcap` has written.

use std::fs;
use std::path::Path;
use std::time::Duration;

use smoltcp::wire::{
    DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress, IpProtocol, Ipv4Packet, TcpOption,
    TcpPacket, UdpPacket,
};
use std::net::Ipv4Addr;

/// A frame, and when it was seen.
pub struct Frame {
    /// Since 1970.
    pub at: Duration,
    /// From the Ethernet header on.
    pub bytes: Vec<u8>,
}

/// All frames of a file.
pub fn frames(file: &Path) -> Vec<Frame> {
    let bytes = fs::read(file).expect("a capture");
    let mut frames = Vec::new();
    // libpcap's format: 24 bytes of header, then 16 for each frame.
    let mut rest = bytes.get(24..).expect("a header");
    while let Some((header, more)) = rest.split_at_checked(16) {
        let word = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().expect("four"));
        let Some((frame, more)) = more.split_at_checked(word(8) as usize) else {
            break;
        };
        frames.push(Frame {
            at: Duration::from_secs(word(0).into()) + Duration::from_micros(word(4).into()),
            bytes: frame.to_vec(),
        });
        rest = more;
    }
    frames
}

/// A DHCP message and what is around it.
#[derive(Debug)]
pub struct Dhcp {
    /// When it was seen.
    pub at: Duration,
    /// DISCOVER, OFFER and so on.
    pub kind: DhcpMessageType,
    /// Sender and receiver of the frame.
    pub macs: [EthernetAddress; 2],
    /// Source and destination of the packet.
    pub ips: [Ipv4Addr; 2],
    /// The address that the client has.
    pub client: Ipv4Addr,
    /// The address that it is given.
    pub yours: Ipv4Addr,
    /// The address that it wants.
    pub requested: Option<Ipv4Addr>,
    /// The server that sends or is meant.
    pub server: Option<Ipv4Addr>,
    /// The codes of the options in their own place.
    pub options: Vec<u8>,
}

impl Dhcp {
    /// Whether it went to all.
    pub fn is_broadcast(&self) -> bool {
        let broadcast = self.macs[1].is_broadcast();
        assert_eq!(broadcast, self.ips[1].is_broadcast(), "{self:?}");
        broadcast
    }
}

/// The DHCP messages among them.
pub fn dhcp(frames: &[Frame]) -> Vec<Dhcp> {
    frames.iter().filter_map(read_dhcp).collect()
}

fn read_dhcp(frame: &Frame) -> Option<Dhcp> {
    let ip = ipv4(frame, IpProtocol::Udp)?;
    let udp = UdpPacket::new_checked(ip.payload()).ok()?;
    if ![67, 68].contains(&udp.dst_port()) {
        return None;
    }
    let packet = DhcpPacket::new_checked(udp.payload()).expect("DHCP");
    let repr = DhcpRepr::parse(&packet).expect("a message");
    let mac = |at: usize| EthernetAddress::from_bytes(&frame.bytes[at..at + 6]);
    Some(Dhcp {
        at: frame.at,
        kind: repr.message_type,
        macs: [mac(6), mac(0)],
        ips: [ip.src_addr(), ip.dst_addr()],
        client: repr.client_ip,
        yours: repr.your_ip,
        requested: repr.requested_ip,
        server: repr.server_identifier,
        options: packet.options().map(|option| option.kind).collect(),
    })
}

fn ipv4(frame: &Frame, protocol: IpProtocol) -> Option<Ipv4Packet<&[u8]>> {
    let packet = frame.bytes.get(14..)?;
    let is_ipv4 = frame.bytes[12..14] == [8, 0];
    let packet = is_ipv4.then(|| Ipv4Packet::new_checked(packet).ok())??;
    (packet.next_header() == protocol).then_some(packet)
}

/// The MSS in each SYN|ACK, by IPv4 and by IPv6 without extension headers.
pub fn mss_accepted(frames: &[Frame]) -> Vec<u16> {
    let mut all = Vec::new();
    for frame in frames {
        let tcp = match frame.bytes.get(12..14) {
            Some([8, 0]) if frame.bytes[23] == 6 => frame.bytes.get(34..),
            Some([0x86, 0xdd]) if frame.bytes[20] == 6 => frame.bytes.get(54..),
            _ => None,
        };
        let Some(tcp) = tcp.and_then(|bytes| TcpPacket::new_checked(bytes).ok()) else {
            continue;
        };
        if !(tcp.syn() && tcp.ack()) {
            continue;
        }
        let mut options = tcp.options();
        while let Ok((rest, option)) = TcpOption::parse(options) {
            match option {
                TcpOption::MaxSegmentSize(mss) => all.push(mss),
                TcpOption::EndOfList => break,
                _ => {}
            }
            options = rest;
        }
    }
    all
}
