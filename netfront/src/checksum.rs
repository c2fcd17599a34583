//! TCP and UDP checksums of Ethernet frames: found, blanked for an offload, filled in, verified.
//!
//! A frame from the wire may say anything: [`locate`] believes no length that it has not compared
//! with the frame, and the other functions work within what it found.

use core::ops::Range;

/// What a frame carries, as far as the checksum of a transport goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located {
    /// TCP or UDP, whole.
    Transport(Transport),
    /// TCP or UDP that nobody can check here: a fragment, or lengths that contradict each other.
    Opaque,
    /// Something else, whose checksum the IP stack sees to.
    Other,
}

/// A TCP segment or a UDP datagram within its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transport {
    /// Where it is: its header and its payload.
    pub bytes: Range<usize>,
    /// Which of the two.
    pub protocol: Protocol,
    /// Over which IP.
    pub ip: Ip,
    /// The sum of the two addresses.
    addresses: u32,
}

/// A transport with a checksum of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Protocol {
    Tcp,
    Udp,
}

/// A version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Ip {
    V4,
    V6,
}

/// Bytes of an Ethernet header.
pub const ETHERNET: usize = 14;

/// Finds the transport in an Ethernet frame.
///
/// Extension headers of IPv6 other than one hop-by-hop header make it [`Located::Other`]: so the IP
/// stack sees it, too.
pub fn locate(frame: &[u8]) -> Located {
    let Some((ethernet, packet)) = frame.split_at_checked(ETHERNET) else {
        return Located::Other;
    };
    match (ethernet[12], ethernet[13]) {
        (0x08, 0x00) => locate_v4(packet),
        (0x86, 0xdd) => locate_v6(packet),
        _ => Located::Other,
    }
}

fn locate_v4(packet: &[u8]) -> Located {
    let Some(header) = packet.first_chunk::<20>() else {
        return Located::Other;
    };
    let Some(protocol) = Protocol::of(header[9]) else {
        return Located::Other;
    };
    let start = usize::from(header[0] & 0x0f) * 4;
    let end = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
    if start < 20 || fragment {
        return Located::Opaque;
    }
    let addresses = u32::from(sum(&header[12..20]));
    Transport::within(packet, start..end, protocol, Ip::V4, addresses)
}

fn locate_v6(packet: &[u8]) -> Located {
    const HOP_BY_HOP: u8 = 0;
    let Some(header) = packet.first_chunk::<40>() else {
        return Located::Other;
    };
    let end = 40 + usize::from(u16::from_be_bytes([header[4], header[5]]));
    let (mut next, mut start) = (header[6], 40);
    if next == HOP_BY_HOP {
        let Some(&[following, units]) = packet[40..].first_chunk::<2>() else {
            return Located::Other;
        };
        next = following;
        start += 8 + usize::from(units) * 8;
    }
    let Some(protocol) = Protocol::of(next) else {
        return Located::Other;
    };
    let addresses = u32::from(sum(&header[8..40]));
    Transport::within(packet, start..end, protocol, Ip::V6, addresses)
}

impl Protocol {
    fn of(number: u8) -> Option<Self> {
        match number {
            6 => Some(Protocol::Tcp),
            17 => Some(Protocol::Udp),
            _ => None,
        }
    }

    fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
        }
    }

    fn header(self) -> usize {
        match self {
            Protocol::Tcp => 20,
            Protocol::Udp => 8,
        }
    }

    fn checksum(self) -> usize {
        match self {
            Protocol::Tcp => 16,
            Protocol::Udp => 6,
        }
    }
}

impl Transport {
    fn within(
        packet: &[u8],
        at: Range<usize>,
        protocol: Protocol,
        ip: Ip,
        addresses: u32,
    ) -> Located {
        let Some(bytes) = packet.get(at.clone()) else {
            return Located::Opaque;
        };
        if bytes.len() < protocol.header() {
            return Located::Opaque;
        }
        let len = match protocol {
            Protocol::Tcp => bytes.len(),
            // A datagram may be shorter than its packet.
            Protocol::Udp => usize::from(u16::from_be_bytes([bytes[4], bytes[5]])),
        };
        if !(protocol.header()..=bytes.len()).contains(&len) {
            return Located::Opaque;
        }
        let start = ETHERNET + at.start;
        Located::Transport(Transport {
            bytes: start..start + len,
            protocol,
            ip,
            addresses,
        })
    }

    /// Where in the frame the checksum is.
    pub fn checksum(&self) -> Range<usize> {
        let start = self.bytes.start + self.protocol.checksum();
        start..start + 2
    }

    /// The pseudo-header's sum, folded, not inverted.
    fn pseudo(&self) -> u16 {
        fold(self.addresses + u32::from(self.protocol.number()) + self.bytes.len() as u32)
    }

    /// Leaves the checksum for the other end to complete: only the pseudo-header's sum is filled
    /// in. If the frame is to be segmented, this is what the segmenting side starts from.
    pub fn blank(&self, frame: &mut [u8]) {
        frame[self.checksum()].copy_from_slice(&self.pseudo().to_be_bytes());
    }

    /// Fills in the checksum.
    pub fn fill(&self, frame: &mut [u8]) {
        frame[self.checksum()].copy_from_slice(&[0, 0]);
        let mut checksum = !self.total(frame);
        if checksum == 0 && self.protocol == Protocol::Udp {
            // Zero would say that there is none; both are zero in ones' complement.
            checksum = 0xffff;
        }
        frame[self.checksum()].copy_from_slice(&checksum.to_be_bytes());
    }

    /// Whether the checksum is right, or is none where none is needed.
    pub fn verify(&self, frame: &[u8]) -> bool {
        let none = frame[self.checksum()] == [0, 0];
        match (self.protocol, self.ip) {
            (Protocol::Udp, Ip::V4) if none => true,
            (Protocol::Udp, Ip::V6) if none => false,
            _ => self.total(frame) == 0xffff,
        }
    }

    fn total(&self, frame: &[u8]) -> u16 {
        fold(u32::from(self.pseudo()) + u32::from(sum(&frame[self.bytes.clone()])))
    }
}

/// The ones' complement sum of big-endian 16-bit words, not inverted; an odd last byte is a word's
/// first.
pub fn sum(bytes: &[u8]) -> u16 {
    // In the machine's byte order and four bytes at a time: such a sum comes out the same but for
    // its byte order (RFC 1071), and 64 bits take the carries of more bytes than a frame has. The
    // compiler makes vectors of this.
    let words = bytes.chunks_exact(4);
    let mut tail = [0; 4];
    tail[..words.remainder().len()].copy_from_slice(words.remainder());
    let total: u64 = words.fold(u64::from(u32::from_ne_bytes(tail)), |total, word| {
        total + u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]))
    });
    let total = (total & 0xffff_ffff) + (total >> 32);
    let total = (total & 0xffff) + (total >> 16 & 0xffff) + (total >> 32);
    fold(total as u32).to_be()
}

fn fold(total: u32) -> u16 {
    let total = (total & 0xffff) + (total >> 16);
    (total + (total >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// A SYN from 10.0.0.1:43210 to 10.0.0.2:80 as tcpdump shows it, its checksum right.
    const SYN: [u8; 54] = [
        0x00, 0x16, 0x3e, 0, 0, 1, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0x08, 0x00, //
        0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0x26, 0xce, 10, 0, 0, 1, 10, 0, 0, 2, //
        0xa8, 0xca, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xfa, 0xf0, 0, 0, 0, 0,
    ];

    fn located(frame: &[u8]) -> Transport {
        match locate(frame) {
            Located::Transport(transport) => transport,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn fill_then_verify() {
        let mut frame = SYN;
        let tcp = located(&frame);
        assert_eq!((tcp.protocol, tcp.ip), (Protocol::Tcp, Ip::V4));
        assert_eq!(tcp.checksum(), 50..52);
        assert!(!tcp.verify(&frame));
        tcp.fill(&mut frame);
        // By hand: 0a00+0001+0a00+0002 + 0006+0014 + a8ca+0050+0001+5002+faf0 = 0x2_082a, folded
        // 0x082c.
        assert_eq!(frame[50..52], [0xf7, 0xd3]);
        assert!(tcp.verify(&frame));
        frame[53] ^= 1;
        assert!(!tcp.verify(&frame));
    }

    #[test]
    fn blank_is_the_pseudo_header() {
        let mut frame = SYN;
        let tcp = located(&frame);
        tcp.blank(&mut frame);
        // 0a00+0001+0a00+0002+0006+0014
        assert_eq!(frame[50..52], [0x14, 0x1d]);
        // What a backend does: sums from the transport's header on, over the field as it is.
        let completed = !sum(&frame[34..]);
        frame[50..52].copy_from_slice(&completed.to_be_bytes());
        assert!(tcp.verify(&frame));
    }

    #[test]
    fn udp_without_checksum() {
        let mut frame = SYN;
        frame[23] = 17;
        frame[38..40].copy_from_slice(&20u16.to_be_bytes());
        frame[40..42].fill(0);
        let udp = located(&frame);
        assert!(udp.verify(&frame));
        udp.fill(&mut frame);
        assert!(udp.verify(&frame));
        assert_ne!(frame[40..42], [0, 0]);
    }

    #[test]
    fn v6_with_hop_by_hop() {
        let mut frame = [0; 14 + 40 + 8 + 20].to_vec();
        frame[12..14].copy_from_slice(&[0x86, 0xdd]);
        frame[14] = 0x60;
        frame[18..20].copy_from_slice(&28u16.to_be_bytes());
        frame[54] = 6;
        frame[22..54].fill(0xab);
        let tcp = located(&frame);
        assert_eq!((tcp.ip, tcp.bytes.clone()), (Ip::V6, 62..82));
        tcp.fill(&mut frame);
        assert!(tcp.verify(&frame));
    }

    #[test]
    fn fragments_and_contradictions_are_opaque() {
        let change = |at: usize, to: u8| {
            let mut frame = SYN;
            frame[at] = to;
            locate(&frame)
        };
        assert_eq!(change(20, 0x20), Located::Opaque, "more fragments");
        assert_eq!(change(21, 1), Located::Opaque, "a later fragment");
        assert_eq!(
            change(14, 0x44),
            Located::Opaque,
            "a header shorter than any"
        );
        assert_eq!(
            change(14, 0x4f),
            Located::Opaque,
            "a header longer than the packet"
        );
        assert_eq!(
            change(17, 41),
            Located::Opaque,
            "a packet longer than the frame"
        );
        assert_eq!(
            change(17, 39),
            Located::Opaque,
            "a segment shorter than its header"
        );
        assert_eq!(
            change(17, 0),
            Located::Opaque,
            "a packet shorter than its header"
        );
        assert_eq!(change(23, 1), Located::Other, "ICMP");
        assert_eq!(locate(&SYN[..20]), Located::Other);
    }

    proptest! {
        #[test]
        fn sum_is_that_of_the_rfc(bytes: Vec<u8>) {
            let mut total = 0u64;
            for pair in bytes.chunks(2) {
                total += u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
            }
            while total > 0xffff {
                total = (total & 0xffff) + (total >> 16);
            }
            prop_assert_eq!(u64::from(sum(&bytes)), total);
        }

        #[test]
        fn any_frame_is_looked_at_safely(mut frame: Vec<u8>, v4: bool, tcp: bool) {
            let protocol = if tcp { 6 } else { 17 };
            if frame.len() > 24 {
                frame[12..14].copy_from_slice(if v4 { &[8, 0] } else { &[0x86, 0xdd] });
                frame[if v4 { 23 } else { 20 }] = protocol;
            }
            if let Located::Transport(transport) = locate(&frame) {
                prop_assert!(transport.bytes.end <= frame.len());
                transport.verify(&frame);
                transport.fill(&mut frame);
                prop_assert!(transport.verify(&frame));
            }
        }
    }
}
