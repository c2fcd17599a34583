//! `www::net` below TCP: what the guard refuses, ARP, neighbour discovery, echo.

use std::net::{Ipv4Addr, Ipv6Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, Icmpv4Packet, Icmpv4Repr, Icmpv6Packet, Icmpv6Repr, IpAddress, IpProtocol,
    IpRepr, NdiscRepr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
};
use tests::net::*;
use www::net::wire::{Abilities, Wire, pair};
use www::net::{Duration, Instant, Net, Refusal, link_local};

struct Link {
    net: Net<Wire>,
    far: Wire,
    now: Instant,
}

impl Link {
    fn new() -> Link {
        let (near, far) = pair(Abilities::default(), Abilities::default(), 1);
        let now = Instant::from_secs(9);
        Link {
            net: Net::new(near, config(), now),
            far,
            now,
        }
    }

    /// What comes back for `frame`.
    fn answers(&mut self, frame: &[u8]) -> Vec<Vec<u8>> {
        self.far.inject(frame);
        self.now += Duration::from_millis(1);
        self.net.poll(self.now);
        std::iter::from_fn(|| self.far.take()).collect()
    }

    fn refuses(&mut self, frame: &[u8], reason: Refusal) {
        let before = self.net.stats();
        let answers = self.answers(frame);
        let after = self.net.stats();
        assert_eq!(answers, Vec::<Vec<u8>>::new(), "{reason:?}: answered");
        let counted = after.refused(reason) - before.refused(reason);
        assert_eq!(counted, 1, "{reason:?}: {:?}", after.refused);
        assert_eq!(after.half_open, 0);
    }
}

fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = SERVER_MAC.to_vec();
    frame.extend_from_slice(&CLIENT_MAC);
    frame.extend_from_slice(&kind.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

fn tcp(source: IpAddress, destination: IpAddress, control: TcpControl) -> Vec<u8> {
    let repr = TcpRepr {
        src_port: 5000,
        dst_port: PORT,
        control,
        seq_number: TcpSeqNumber(77),
        ack_number: None,
        window_len: 1000,
        window_scale: Some(2),
        max_seg_size: Some(1460),
        sack_permitted: true,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let checksum = ChecksumCapabilities::default();
    let ip = IpRepr::new(source, destination, IpProtocol::Tcp, repr.buffer_len(), 64);
    let mut packet = vec![0; ip.buffer_len()];
    ip.emit(&mut packet[..], &checksum);
    let mut segment = TcpPacket::new_unchecked(&mut packet[ip.header_len()..]);
    repr.emit(&mut segment, &source, &destination, &checksum);
    let kind = if matches!(source, IpAddress::Ipv4(_)) {
        0x0800
    } else {
        0x86dd
    };
    ethernet(kind, &packet)
}

fn syn() -> Vec<u8> {
    tcp(PEER.into(), SERVER, TcpControl::Syn)
}

fn syn6() -> Vec<u8> {
    tcp(
        peer6().into(),
        link_local(SERVER_MAC).into(),
        TcpControl::Syn,
    )
}

fn peer6() -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)
}

/// `frame` changed by `f`, with its IPv4 and TCP checksums made right again.
fn with(mut frame: Vec<u8>, f: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    f(&mut frame);
    if frame[12..14] == [8, 0] && frame.len() >= 54 {
        frame[24..26].fill(0);
        let sum = checksum(&frame[14..34], 0);
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
        frame[50..52].fill(0);
        let pseudo = u32::from(!checksum(&frame[26..34], 0)) + 6 + (frame.len() - 34) as u32;
        let sum = checksum(&frame[34..], pseudo);
        frame[50..52].copy_from_slice(&sum.to_be_bytes());
    }
    frame
}

fn checksum(bytes: &[u8], start: u32) -> u16 {
    let mut sum = start;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[test]
fn a_good_syn_is_answered() {
    for frame in [syn(), syn6(), with(syn(), |_| {})] {
        let mut link = Link::new();
        let answers = link.answers(&frame);
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0][..6], CLIENT_MAC);
        assert_eq!(link.net.stats().half_open, 1);
    }
}

#[test]
fn each_refusal() {
    let mut link = Link::new();
    for len in 0..54 {
        let before = link.net.stats().refused.iter().sum::<u64>();
        assert!(link.answers(&syn()[..len]).is_empty());
        assert_eq!(
            link.net.stats().refused.iter().sum::<u64>(),
            before + 1,
            "{len} bytes"
        );
    }
    link.refuses(&syn()[..20], Refusal::Runt);
    link.refuses(&with(syn(), |f| f[5] = 9), Refusal::NotOurMac);
    link.refuses(&with(syn(), |f| f[6] |= 1), Refusal::MacSource);
    link.refuses(
        &with(syn(), |f| f[6..12].copy_from_slice(&SERVER_MAC)),
        Refusal::MacSource,
    );
    link.refuses(&with(syn(), |f| f[12] = 0x81), Refusal::EtherType);
    link.refuses(&with(syn(), |f| f[14] = 0x44), Refusal::IpHeader);
    link.refuses(&with(syn(), |f| f[14] = 0x65), Refusal::IpHeader);
    let mut bad = syn();
    bad[24] ^= 1;
    link.refuses(&bad, Refusal::IpChecksum);
    link.refuses(&with(syn(), |f| f[16] = 9), Refusal::IpLength);
    link.refuses(&with(syn(), |f| f[17] = 19), Refusal::IpLength);
    link.refuses(&with(syn(), |f| f[14] = 0x46), Refusal::IpOptions);
    link.refuses(&with(syn(), |f| f[20] = 0x20), Refusal::Fragment);
    link.refuses(&with(syn(), |f| f[21] = 3), Refusal::Fragment);
    for source in [
        [0, 0, 0, 0],
        [127, 0, 0, 1],
        [224, 0, 0, 1],
        [255; 4],
        [240, 1, 1, 1],
    ] {
        let frame = with(syn(), |f| f[26..30].copy_from_slice(&source));
        link.refuses(&frame, Refusal::IpSource);
    }
    // Our own address (LAND), and our network's broadcast address.
    link.refuses(
        &with(syn(), |f| f[26..30].copy_from_slice(&[10, 0, 0, 2])),
        Refusal::IpSource,
    );
    let all = [10, 255, 255, 255];
    link.refuses(
        &with(syn(), |f| f[26..30].copy_from_slice(&all)),
        Refusal::IpSource,
    );
    for destination in [[10, 0, 0, 3], all, [255; 4], [224, 0, 0, 1]] {
        let frame = with(syn(), |f| f[30..34].copy_from_slice(&destination));
        link.refuses(&frame, Refusal::IpDestination);
    }
    link.refuses(&with(syn(), |f| f[..6].fill(0xff)), Refusal::IpDestination);
    link.refuses(&with(syn(), |f| f[23] = 17), Refusal::Protocol);
    link.refuses(&with(syn(), |f| f[34..36].fill(0)), Refusal::TcpHeader);
    link.refuses(&with(syn(), |f| f[36..38].fill(0)), Refusal::TcpHeader);
    link.refuses(&with(syn(), |f| f[46] = 0x40), Refusal::TcpHeader);
    link.refuses(&with(syn(), |f| f[46] = 0xf0), Refusal::TcpHeader);
    // An option that is longer than the header.
    link.refuses(&with(syn(), |f| f[55] = 60), Refusal::TcpHeader);
    // Null, SYN|FIN, SYN|RST, FIN|RST, FIN alone, Xmas, everything, nothing but PSH or URG.
    for flags in [0, 0x03, 0x06, 0x05, 0x01, 0x29, 0x3f, 0x08, 0x20] {
        link.refuses(&with(syn(), |f| f[47] = flags), Refusal::TcpFlags);
    }
    let mut bad = syn();
    bad[44] ^= 1;
    link.refuses(&bad, Refusal::Checksum);
    link.refuses(&with(syn6(), |f| f[14] = 0x45), Refusal::IpHeader);
    link.refuses(&with(syn6(), |f| f[19] = 200), Refusal::IpLength);
    for next in [0, 43, 44, 51, 60] {
        link.refuses(&with(syn6(), |f| f[20] = next), Refusal::ExtensionHeader);
    }
    link.refuses(&with(syn6(), |f| f[20] = 17), Refusal::Protocol);
    for source in [
        Ipv6Addr::LOCALHOST,
        Ipv6Addr::UNSPECIFIED,
        Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
        PEER.to_ipv6_mapped(),
        link_local(SERVER_MAC),
    ] {
        let frame = with(syn6(), |f| f[22..38].copy_from_slice(&source.octets()));
        link.refuses(&frame, Refusal::IpSource);
    }
    link.refuses(&with(syn6(), |f| f[53] ^= 1), Refusal::IpDestination);
    // After all that, service.
    assert_eq!(link.answers(&syn()).len(), 1);
}

#[test]
fn other_ports_are_refused_with_a_reset() {
    let mut link = Link::new();
    let answers = link.answers(&with(syn(), |f| f[37] = 81));
    assert_eq!(answers[0][47], 0x14);
    assert_eq!(answers[0][42..46], 78u32.to_be_bytes());
}

#[test]
fn arp_is_answered_to_who_asks() {
    let mut link = Link::new();
    let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1];
    arp.extend_from_slice(&CLIENT_MAC);
    arp.extend_from_slice(&PEER.octets());
    arp.extend_from_slice(&[0; 6]);
    arp.extend_from_slice(&[10, 0, 0, 2]);
    let mut frame = ethernet(0x0806, &arp);
    frame[..6].fill(0xff);
    let answers = link.answers(&frame);
    assert_eq!(answers.len(), 1);
    let mut expected = CLIENT_MAC.to_vec();
    expected.extend_from_slice(&SERVER_MAC);
    expected.extend_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 2]);
    expected.extend_from_slice(&SERVER_MAC);
    expected.extend_from_slice(&[10, 0, 0, 2]);
    expected.extend_from_slice(&CLIENT_MAC);
    expected.extend_from_slice(&PEER.octets());
    assert_eq!(answers[0], expected);
    // A probe, before the asker has an address.
    frame[28..32].fill(0);
    assert_eq!(link.answers(&frame).len(), 1);
    // A lie about the sender, somebody else's address, a claim to ours.
    let mut lie = frame.clone();
    lie[22] ^= 2;
    link.refuses(&lie, Refusal::Arp);
    let mut other = frame.clone();
    other[41] = 3;
    link.refuses(&other, Refusal::IpDestination);
    frame[28..32].copy_from_slice(&[10, 0, 0, 2]);
    link.refuses(&frame, Refusal::Arp);
}

fn solicitation(source: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let octets = target.octets();
    let group = Ipv6Addr::new(
        0xff02,
        0,
        0,
        0,
        0,
        1,
        0xff00 | u16::from(octets[13]),
        u16::from_be_bytes([octets[14], octets[15]]),
    );
    let lladdr = (!source.is_unspecified()).then(|| EthernetAddress(CLIENT_MAC).into());
    let icmp = Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit {
        target_addr: target,
        lladdr,
    });
    let checksum = ChecksumCapabilities::default();
    let ip = IpRepr::new(
        source.into(),
        group.into(),
        IpProtocol::Icmpv6,
        icmp.buffer_len(),
        255,
    );
    let mut packet = vec![0; ip.buffer_len()];
    ip.emit(&mut packet[..], &checksum);
    icmp.emit(
        &source,
        &group,
        &mut Icmpv6Packet::new_unchecked(&mut packet[40..]),
        &checksum,
    );
    let mut frame = ethernet(0x86dd, &packet);
    frame[..6].copy_from_slice(&[0x33, 0x33, 0xff, octets[13], octets[14], octets[15]]);
    frame
}

#[test]
fn solicitations_are_answered() {
    let mut link = Link::new();
    let own = link_local(SERVER_MAC);
    let answers = link.answers(&solicitation(peer6(), own));
    assert_eq!(answers.len(), 1);
    let answer = &answers[0];
    assert_eq!(answer[..6], CLIENT_MAC);
    // Solicited, override; the target; its MAC address.
    assert_eq!((answer[54], answer[58]), (136, 0x60));
    assert_eq!(answer[62..78], own.octets());
    assert_eq!(answer[80..86], SERVER_MAC);
    // Duplicate address detection: to all.
    let answers = link.answers(&solicitation(Ipv6Addr::UNSPECIFIED, own));
    assert_eq!(answers[0][..6], [0x33, 0x33, 0, 0, 0, 1]);
    assert_eq!(answers[0][58], 0x20);
    // From beyond a router, and for somebody else.
    let mut far = solicitation(peer6(), own);
    far[21] = 254;
    link.refuses(&far, Refusal::Protocol);
    link.refuses(&solicitation(peer6(), peer6()), Refusal::IpDestination);
    let mut bad = solicitation(peer6(), own);
    bad[57] ^= 1;
    link.refuses(&bad, Refusal::Checksum);
}

fn echo(len: usize, seq_no: u16) -> Vec<u8> {
    let data = pattern(len);
    let icmp = Icmpv4Repr::EchoRequest {
        ident: 5,
        seq_no,
        data: &data,
    };
    let checksum = ChecksumCapabilities::default();
    let ip = IpRepr::new(PEER.into(), SERVER, IpProtocol::Icmp, icmp.buffer_len(), 64);
    let mut packet = vec![0; ip.buffer_len()];
    ip.emit(&mut packet[..], &checksum);
    icmp.emit(
        &mut Icmpv4Packet::new_unchecked(&mut packet[20..]),
        &checksum,
    );
    ethernet(0x0800, &packet)
}

#[test]
fn echo_is_answered_at_any_size_that_fits() {
    let mut link = Link::new();
    for len in [0, 1, 56, 1000, 1472] {
        let answers = link.answers(&echo(len, 1));
        assert_eq!(answers.len(), 1, "{len}");
        assert_eq!(answers[0][34], 0);
        assert_eq!(answers[0][..6], CLIENT_MAC);
        assert_eq!(answers[0][26..34], [10, 0, 0, 2, 10, 0, 0, 1]);
        assert_eq!(checksum(&answers[0][14..34], 0), 0);
        assert_eq!(checksum(&answers[0][34..], 0), 0);
        assert_eq!(answers[0][42..], pattern(len));
    }
    // Larger than the MTU, as offloads may hand up: no answer, no harm.
    assert!(link.answers(&echo(9000, 1)).is_empty());
    assert_eq!(link.answers(&echo(10, 1)).len(), 1);
    let own = link_local(SERVER_MAC);
    let icmp = Icmpv6Repr::EchoRequest {
        ident: 1,
        seq_no: 2,
        data: b"abc",
    };
    let checksum = ChecksumCapabilities::default();
    let ip = IpRepr::new(
        peer6().into(),
        own.into(),
        IpProtocol::Icmpv6,
        icmp.buffer_len(),
        64,
    );
    let mut packet = vec![0; ip.buffer_len()];
    ip.emit(&mut packet[..], &checksum);
    icmp.emit(
        &peer6(),
        &own,
        &mut Icmpv6Packet::new_unchecked(&mut packet[40..]),
        &checksum,
    );
    let answers = link.answers(&ethernet(0x86dd, &packet));
    assert_eq!((answers.len(), answers[0][54]), (1, 129));
    assert_eq!(answers[0][22..38], own.octets());
    assert_eq!(answers[0][38..54], peer6().octets());
    icmpv6(&answers[0], 54);
    let mut bad = packet.clone();
    bad[50] ^= 1;
    link.refuses(&ethernet(0x86dd, &bad), Refusal::Checksum);
    // Not to groups: nobody is flooded through us.
    let mut frame = echo(10, 1);
    frame[30..34].copy_from_slice(&[10, 255, 255, 255]);
    link.refuses(&with_ip(frame), Refusal::IpDestination);
}

/// The IPv4 header checksum made right.
fn with_ip(mut frame: Vec<u8>) -> Vec<u8> {
    frame[24..26].fill(0);
    let sum = checksum(&frame[14..34], 0);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// The ICMPv6 message at `at`, whose checksum must be right.
fn icmpv6(frame: &[u8], at: usize) -> &[u8] {
    let addresses = frame[22..54].chunks(2);
    let start = addresses.map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let start = start.sum::<u32>() + (frame.len() - at) as u32 + 58;
    assert_eq!(checksum(&frame[at..], start), 0);
    &frame[at..]
}

/// A general multicast listener query, with a second for answers.
fn query(source: Ipv6Addr) -> Vec<u8> {
    let mut icmp = [0; 28];
    icmp[0] = 130;
    icmp[4..6].copy_from_slice(&1000u16.to_be_bytes());
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let ip = IpRepr::new(source.into(), group.into(), IpProtocol::HopByHop, 36, 1);
    let mut packet = vec![0; 40];
    ip.emit(&mut packet[..], &ChecksumCapabilities::default());
    packet.extend_from_slice(&[58, 0, 5, 2, 0, 0, 1, 0]);
    packet.extend_from_slice(&icmp);
    let mut frame = ethernet(0x86dd, &packet);
    let addresses = frame[22..54].chunks(2);
    let start = addresses.map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum = checksum(&icmp, start.sum::<u32>() + 28 + 58);
    frame[64..66].copy_from_slice(&sum.to_be_bytes());
    frame[..6].copy_from_slice(&[0x33, 0x33, 0, 0, 0, 1]);
    frame
}

#[test]
fn routers_are_told_to_which_groups_we_listen() {
    let mut link = Link::new();
    link.net.announce(link.now);
    link.net.poll(link.now);
    while link.far.take().is_some() {}
    let router = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);
    let mut answers = link.answers(&query(router));
    let until = link.now + Duration::from_secs(1);
    while answers.is_empty() {
        let next = link.net.poll(link.now).deadline.expect("an answer is due");
        link.now = next.max(link.now);
        assert!(link.now <= until, "too late");
        link.net.poll(link.now);
        answers.extend(link.far.take());
    }
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0][..6], [0x33, 0x33, 0, 0, 0, 0x16]);
    let own = link_local(SERVER_MAC);
    // One hop, a router alert, from our link-local address.
    assert_eq!((answers[0][20], answers[0][21]), (0, 1));
    assert_eq!(answers[0][54..62], [58, 0, 5, 2, 0, 0, 1, 0]);
    assert_eq!(answers[0][22..38], own.octets());
    let report = icmpv6(&answers[0], 62);
    assert_eq!(report[..2], [143, 0]);
    assert_eq!(report[4..12], [0, 0, 0, 1, 2, 0, 0, 0]);
    let [.., a, b, c] = own.octets();
    assert_eq!(report[12..25], *b"\xff\x02\0\0\0\0\0\0\0\0\0\x01\xff");
    assert_eq!(report[25..], [a, b, c]);

    let beyond = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);
    link.refuses(&query(beyond), Refusal::IpSource);
    let mut bad = query(router);
    bad[70] ^= 1;
    link.refuses(&bad, Refusal::Checksum);
    let mut unalerted = query(router);
    unalerted[56..60].fill(0);
    link.refuses(&unalerted, Refusal::ExtensionHeader);
    let mut short = query(router);
    short.truncate(70);
    short[18..20].copy_from_slice(&16u16.to_be_bytes());
    link.refuses(&short, Refusal::Runt);
}

#[test]
fn echoes_are_limited() {
    let link = Link::new();
    for n in 0..5000 {
        link.far.inject(&echo(10, n));
    }
    while link.net.poll(link.now).more {}
    assert_eq!(std::iter::from_fn(|| link.far.take()).count(), 2000);
    assert_eq!(link.net.stats().refused(Refusal::RateLimit), 3000);
}

#[test]
fn announcements_name_every_address() {
    let link = Link::new();
    link.net.announce(link.now);
    link.net.poll(link.now);
    let frames: Vec<_> = std::iter::from_fn(|| link.far.take()).collect();
    let arp = frames
        .iter()
        .find(|frame| frame[12..14] == [8, 6])
        .expect("gratuitous ARP");
    assert_eq!(arp[..6], [0xff; 6]);
    assert_eq!(
        (&arp[28..32], &arp[38..42]),
        (&[10, 0, 0, 2][..], &[10, 0, 0, 2][..])
    );
    let advert = frames
        .iter()
        .find(|frame| frame[12] == 0x86 && frame[54] == 136);
    assert_eq!(
        advert.expect("an advertisement")[62..78],
        link_local(SERVER_MAC).octets()
    );
    let report = frames
        .iter()
        .find(|frame| frame[12] == 0x86 && frame[20] == 0);
    let report = report.expect("a listener report");
    assert_eq!(report[..6], [0x33, 0x33, 0, 0, 0, 0x16]);
    // The number of records; one that we listen to all of a group from now on.
    assert_eq!(icmpv6(report, 62)[6..12], [0, 1, 4, 0, 0, 0]);
}
