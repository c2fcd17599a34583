//! In the stack: frames, addresses, connections.

use super::link::{FOREVER, ROUTER, advertisement, option, ours, prefix, secs};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::tcp::State;
use smoltcp::wire::{
    EthernetAddress, Icmpv6Packet, Icmpv6Repr, IpAddress, IpCidr, IpProtocol, IpRepr, Ipv6Cidr,
    NdiscNeighborFlags, NdiscRepr,
};
use std::net::Ipv6Addr;
use tests::net::*;
use www::net::wire::{Abilities, Wire, pair};
use www::net::{Address, Config, Duration, Instant, Learn, Net, Refusal, Source, link_local};

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

fn learning() -> Config {
    let mut config = config();
    let mut learn = Learn::new();
    learn.slaac = true;
    config.learn = Some(learn);
    config
}

struct Link {
    net: Net<Wire>,
    far: Wire,
    now: Instant,
}

impl Link {
    fn new(config: Config) -> Link {
        let (near, far) = pair(Abilities::default(), Abilities::default(), 1);
        let now = Instant::from_secs(9);
        let net = Net::new(near, config, now);
        Link { net, far, now }
    }

    /// What is sent in `time`.
    fn run(&mut self, time: Duration) -> Vec<Vec<u8>> {
        let end = self.now + time;
        let mut frames = Vec::new();
        loop {
            let next = self.net.poll(self.now);
            frames.extend(std::iter::from_fn(|| self.far.take()));
            match next.deadline {
                Some(deadline) if deadline <= end => self.now = self.now.max(deadline),
                _ => break,
            }
        }
        self.now = end;
        frames
    }

    fn answers(&mut self, frame: &[u8]) -> Vec<Vec<u8>> {
        self.far.inject(frame);
        self.run(Duration::ZERO)
    }

    fn refuses(&mut self, frame: &[u8], reason: Refusal) {
        let before = self.net.stats().refused(reason);
        assert_eq!(self.answers(frame), Vec::<Vec<u8>>::new(), "{reason:?}");
        let stats = self.net.stats();
        assert_eq!(
            stats.refused(reason),
            before + 1,
            "{reason:?}: {:?}",
            stats.refused
        );
    }

    fn has(&self, address: Ipv6Cidr, source: Source) -> bool {
        let own = Address {
            cidr: IpCidr::Ipv6(address),
            source,
        };
        self.net.addresses().contains(&own)
    }
}

/// An ICMPv6 message in a frame from `CLIENT_MAC`, its checksum made right.
fn icmp(source: Ipv6Addr, to: Ipv6Addr, hop_limit: u8, message: &[u8]) -> Vec<u8> {
    let (from, dest) = (IpAddress::Ipv6(source), IpAddress::Ipv6(to));
    let ip = IpRepr::new(from, dest, IpProtocol::Icmpv6, message.len(), hop_limit);
    let octets = to.octets();
    let mac = match to.is_multicast() {
        true => [0x33, 0x33, octets[12], octets[13], octets[14], octets[15]],
        false => SERVER_MAC,
    };
    let mut frame = [&mac[..], &CLIENT_MAC, &[0x86, 0xdd]].concat();
    frame.resize(14 + ip.buffer_len(), 0);
    ip.emit(&mut frame[14..], &ChecksumCapabilities::default());
    frame[54..].copy_from_slice(message);
    Icmpv6Packet::new_unchecked(&mut frame[54..]).fill_checksum(&source, &to);
    frame
}

fn ndisc(source: Ipv6Addr, to: Ipv6Addr, repr: NdiscRepr<'_>) -> Vec<u8> {
    let repr = Icmpv6Repr::Ndisc(repr);
    let mut bytes = vec![0; repr.buffer_len()];
    let checksum = ChecksumCapabilities::ignored();
    repr.emit(
        &source,
        &to,
        &mut Icmpv6Packet::new_unchecked(&mut bytes[..]),
        &checksum,
    );
    icmp(source, to, 255, &bytes)
}

fn solicited(address: Ipv6Addr) -> Ipv6Addr {
    let o = address.octets();
    let low = u16::from_be_bytes([o[14], o[15]]);
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(o[13]), low)
}

fn solicitation(source: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let lladdr = (!source.is_unspecified()).then(|| EthernetAddress(CLIENT_MAC).into());
    let repr = NdiscRepr::NeighborSolicit {
        target_addr: target,
        lladdr,
    };
    ndisc(source, solicited(target), repr)
}

fn claim(target: Ipv6Addr) -> Vec<u8> {
    let repr = NdiscRepr::NeighborAdvert {
        flags: NdiscNeighborFlags::OVERRIDE,
        target_addr: target,
        lladdr: Some(EthernetAddress(CLIENT_MAC).into()),
    };
    ndisc(target, ALL_NODES, repr)
}

/// The type of an ICMPv6 message in a frame, and its target or what is there.
fn kind(frame: &[u8]) -> Option<(u8, Ipv6Addr)> {
    if frame[12..14] != [0x86, 0xdd] || frame[20] != 58 {
        return None;
    }
    let source = Ipv6Addr::from(<[u8; 16]>::try_from(&frame[22..38]).expect("16"));
    let to = Ipv6Addr::from(<[u8; 16]>::try_from(&frame[38..54]).expect("16"));
    let message = Icmpv6Packet::new_checked(&frame[54..]).expect("ICMPv6");
    assert!(message.verify_checksum(&source, &to));
    let at = frame
        .get(62..78)
        .and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    Some((frame[54], at.map_or(Ipv6Addr::UNSPECIFIED, Ipv6Addr::from)))
}

#[test]
fn the_link_local_address_is_checked_while_it_is_used() {
    let mut config = config();
    config.learn = Some(Learn::new());
    let mut link = Link::new(config);
    let own = link_local(SERVER_MAC);
    link.net.announce(link.now);
    let peer = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    let first = link.run(Duration::ZERO);
    // Nobody is told that it is ours, but who asks is answered, and need not believe it.
    assert!(
        !first
            .iter()
            .any(|frame| frame[12] == 0x86 && frame[54] == 136)
    );
    let answers = link.answers(&solicitation(peer, own));
    assert_eq!(kind(&answers[0]), Some((136, own)));
    assert_eq!(answers[0][58], 0x40);
    let frames = link.run(secs(3));
    let probes: Vec<_> = frames
        .iter()
        .filter(|f| kind(f) == Some((135, own)))
        .collect();
    assert_eq!(probes.len(), 1);
    // From nobody, to its group, from this link, and without a MAC address to remember.
    assert_eq!(probes[0][22..38], [0; 16]);
    assert_eq!(probes[0][38..54], solicited(own).octets());
    assert_eq!(probes[0][..6], [0x33, 0x33, 0xff, 0, 0, 2]);
    assert_eq!((probes[0][21], probes[0].len()), (255, 78));
    let told: Vec<_> = frames
        .iter()
        .filter(|f| kind(f) == Some((136, own)))
        .collect();
    assert_eq!((told.len(), told[0][58]), (1, 0x20));
    let reported = first
        .iter()
        .chain(&frames)
        .any(|f| f[12] == 0x86 && f[20] == 0);
    assert!(reported, "the group was not joined");
    let answers = link.answers(&solicitation(peer, own));
    assert_eq!(answers[0][58], 0x60);
    // Another who checks whether it can have it is told that it cannot.
    let answers = link.answers(&solicitation(Ipv6Addr::UNSPECIFIED, own));
    assert_eq!(kind(&answers[0]), Some((136, own)));
    assert_eq!(link.net.stats().conflicts, 0);
    // Who claims it is told, too, but not every time.
    let answers = link.answers(&claim(own));
    assert_eq!((answers.len(), kind(&answers[0])), (1, Some((136, own))));
    let message = claim(own).split_off(54);
    for source in [own, peer] {
        let claim = icmp(source, ALL_NODES, 255, &message);
        assert_eq!(link.answers(&claim).len(), 0);
    }
    assert_eq!(link.net.stats().conflicts, 3);
    link.refuses(&icmp(own, ALL_NODES, 254, &message), Refusal::Protocol);
    link.refuses(&solicitation(own, own), Refusal::IpSource);
}

#[test]
fn a_duplicate_is_given_up() {
    let own = link_local(SERVER_MAC);
    for frame in [claim(own), solicitation(Ipv6Addr::UNSPECIFIED, own)] {
        let mut link = Link::new(learning());
        link.run(Duration::from_millis(400));
        assert!(link.has(Ipv6Cidr::new(own, 64), Source::LinkLocal));
        link.answers(&frame);
        assert!(!link.has(Ipv6Cidr::new(own, 64), Source::LinkLocal));
        let peer = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        link.run(secs(60));
        link.refuses(&solicitation(peer, own), Refusal::IpDestination);
        assert_eq!(link.net.stats().conflicts, 1);
        // IPv4 is none the worse.
        assert_eq!(link.net.addresses().len(), 1);
    }
}

#[test]
fn a_chosen_address_is_used_after_the_check() {
    let chosen = Ipv6Cidr::new(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 7), 64);
    let with = || {
        let mut config = config();
        config.learn = Some(Learn::new());
        config.ipv6.push(chosen);
        Link::new(config)
    };
    let mut link = with();
    link.run(Duration::from_millis(900));
    assert!(!link.has(chosen, Source::Configured));
    let frames = link.run(secs(1));
    assert!(link.has(chosen, Source::Configured));
    assert!(
        frames
            .iter()
            .any(|f| kind(f) == Some((136, chosen.address())))
    );
    let mut link = with();
    link.run(Duration::from_millis(900));
    link.answers(&claim(chosen.address()));
    link.run(secs(100));
    assert!(!link.has(chosen, Source::Configured));
}

#[test]
fn an_advertised_prefix_gives_an_address_that_serves() {
    let mut world = World::new(learning(), Abilities::default(), Abilities::default());
    world.serve(blocks);
    world.run_for(secs(1));
    let message = advertisement(&[option(prefix(1), FOREVER, FOREVER)]);
    world
        .client
        .device
        .inject(&icmp(ROUTER, ALL_NODES, 255, &message));
    world.run_for(Duration::from_millis(1));
    let own = ours(prefix(1));
    let learned = Address {
        cidr: IpCidr::Ipv6(own),
        source: Source::Router,
    };
    assert!(world.net.addresses().contains(&learned));
    world.client.iface.update_ip_addrs(|own| {
        let peer = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 9);
        own.push(IpCidr::new(peer.into(), 64)).expect("room");
    });
    let handle = world.client.connect(own.address().into(), 65535, 65535);
    world.run_until(secs(5), |world| {
        world.client.socket(handle).state() == State::Established
    });
    assert_eq!(world.ask(handle, b"100000\n", 100_000), pattern(100_000));
    assert_eq!(world.net.stats().conflicts, 0);
    world.client.socket(handle).close();
    world.run_for(secs(30));
    assert_eq!(world.next.deadline, None, "idle costs no timer");
}

#[test]
fn a_connection_ends_with_its_address() {
    let mut world = World::new(learning(), Abilities::default(), Abilities::default());
    world.serve(echo);
    world.run_for(secs(1));
    let message = advertisement(&[option(prefix(1), 60, 30)]);
    world
        .client
        .device
        .inject(&icmp(ROUTER, ALL_NODES, 255, &message));
    world.run_for(Duration::from_millis(1));
    world.client.iface.update_ip_addrs(|own| {
        let peer = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 9);
        own.push(IpCidr::new(peer.into(), 64)).expect("room");
    });
    let handle = world
        .client
        .connect(ours(prefix(1)).address().into(), 5000, 5000);
    world.run_until(secs(5), |world| {
        world.client.socket(handle).state() == State::Established
    });
    assert_eq!(world.ask(handle, b"hello", 5), b"hello");
    // Deprecated: it still serves.
    world.run_for(secs(40));
    assert_eq!(world.ask(handle, b"still", 5), b"still");
    assert_eq!(world.net.addresses().len(), 3);
    world.run_for(secs(30));
    assert_eq!(world.net.addresses().len(), 2);
    let stats = world.net.stats();
    assert_eq!((stats.connections, stats.resets_sent), (0, 0), "{stats:?}");
    world.connect();
}

#[test]
fn advertisements_come_from_routers_of_this_link() {
    let message = advertisement(&[option(prefix(1), 9000, 9000)]);
    let good = icmp(ROUTER, ALL_NODES, 255, &message);
    let mut link = Link::new(learning());
    link.run(secs(3));
    link.refuses(&icmp(ROUTER, ALL_NODES, 254, &message), Refusal::Protocol);
    link.refuses(
        &icmp(prefix(9), ALL_NODES, 255, &message),
        Refusal::IpSource,
    );
    link.refuses(
        &icmp(Ipv6Addr::UNSPECIFIED, ALL_NODES, 255, &message),
        Refusal::IpSource,
    );
    let mut bad = good.clone();
    bad[90] ^= 1;
    link.refuses(&bad, Refusal::Checksum);
    let mut code = message.clone();
    code[1] = 1;
    link.refuses(&icmp(ROUTER, ALL_NODES, 255, &code), Refusal::Protocol);
    link.refuses(
        &icmp(ROUTER, ALL_NODES, 255, &message[..15]),
        Refusal::Protocol,
    );
    let cut = &message[..message.len() - 8];
    link.refuses(&icmp(ROUTER, ALL_NODES, 255, cut), Refusal::Configuration);
    assert_eq!(link.net.addresses().len(), 2);
    link.answers(&good);
    assert!(link.has(ours(prefix(1)), Source::Router));
    // To us alone is as good. No more than ten a second.
    let mut link = Link::new(learning());
    link.run(secs(3));
    link.answers(&icmp(ROUTER, link_local(SERVER_MAC), 255, &message));
    assert!(link.has(ours(prefix(1)), Source::Router));
    for _ in 0..20 {
        link.answers(&good);
    }
    assert_eq!(link.net.stats().refused(Refusal::RateLimit), 11);
    // Who does not ask does not listen.
    let mut link = Link::new(config());
    link.refuses(&good, Refusal::Protocol);
}

#[test]
fn routers_are_solicited() {
    let mut link = Link::new(learning());
    let frames = link.run(secs(60));
    let asked: Vec<_> = frames
        .iter()
        .filter(|f| kind(f).is_some_and(|k| k.0 == 133))
        .collect();
    assert_eq!(asked.len(), 3);
    for frame in &asked {
        assert_eq!(frame[..6], [0x33, 0x33, 0, 0, 0, 2]);
        assert_eq!(frame[21], 255);
    }
    assert_eq!((asked[0].len(), &asked[0][22..38]), (62, &[0; 16][..]));
    assert_eq!(asked[1][22..38], link_local(SERVER_MAC).octets());
    assert_eq!(asked[1][62..], [[1, 1].as_slice(), &SERVER_MAC].concat());
}

/// Every message that this part reads, damaged at random: no harm, and service goes on.
#[test]
fn hostile_neighbours_do_no_harm() {
    let mut state = 7u64;
    let mut draw = move |most: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 8) as usize % most
    };
    let mut config = learning();
    if let Some(learn) = &mut config.learn {
        learn.dhcp = Some(Default::default());
    }
    config.ipv4 = None;
    let own = link_local(SERVER_MAC);
    for round in 0..60 {
        let mut link = Link::new(config.clone());
        for _ in 0..100 {
            let n = draw(40) as u16;
            let mut message = match draw(4) {
                0 => solicitation(Ipv6Addr::UNSPECIFIED, own)[54..].to_vec(),
                1 => claim(ours(prefix(n)).address())[54..].to_vec(),
                _ => {
                    let lifetime = draw(20_000) as u32;
                    advertisement(&[
                        option(prefix(n), lifetime, lifetime / 2),
                        option(prefix(n + 1), FOREVER, 5),
                    ])
                }
            };
            for _ in 0..draw(3) {
                let at = draw(message.len());
                message[at] = draw(256) as u8;
            }
            let from = [ROUTER, Ipv6Addr::UNSPECIFIED, own, prefix(1)][draw(4)];
            link.far.inject(&icmp(from, ALL_NODES, 255, &message));
            link.run(Duration::from_millis(draw(3_000) as u64));
        }
        assert!(
            link.net.addresses().len() <= 6,
            "round {round}: {:?}",
            link.net.addresses()
        );
    }
}
