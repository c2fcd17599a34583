//! The client in the stack: frames, addresses, connections.

use super::link::{REQUEST, Server, never, read_frame, secs};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::tcp::State;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, DhcpMessageType, EthernetAddress, IpAddress, IpCidr,
    IpProtocol, IpRepr, Ipv4Cidr, TcpControl, UdpPacket, UdpRepr,
};
use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::rc::Rc;
use tests::net::*;
use www::net::wire::{Abilities, Wire, pair};
use www::net::{Address, Config, Dhcp, Duration, Instant, Learn, Net, Refusal, Source};

const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

fn wanting() -> Config {
    let mut config = config();
    config.ipv4 = None;
    let mut learn = Learn::new();
    learn.dhcp = Some(Dhcp::default());
    config.learn = Some(learn);
    config
}

fn server() -> Server {
    Server {
        id: Ipv4Addr::new(10, 0, 0, 9),
        address: OURS,
        ..Server::new(9, 30)
    }
}

/// What the server has in common with the test.
struct Shared {
    server: Option<Server>,
    asked: Vec<DhcpMessageType>,
    /// TCP frames seen.
    tcp: usize,
}

fn world() -> (World, Rc<RefCell<Shared>>) {
    let mut world = World::new(wanting(), Abilities::default(), Abilities::default());
    let shared = Rc::new(RefCell::new(Shared {
        server: Some(server()),
        asked: Vec::new(),
        tcp: 0,
    }));
    let own = Rc::clone(&shared);
    world.neighbour = Some(Box::new(move |now, frame| {
        let mut shared = own.borrow_mut();
        shared.tcp += usize::from(frame[12..14] == [8, 0] && frame[23] == 6);
        let Some(asked) = read_frame(frame, now) else {
            return Vec::new();
        };
        shared.asked.push(asked.kind);
        let Some(server) = &shared.server else {
            return Vec::new();
        };
        let answer = server.answer(&asked);
        // Sent to the address that it offers, though nobody has that yet.
        answer
            .map(|bytes| datagram(server, server.address, &bytes))
            .into_iter()
            .collect()
    }));
    (world, shared)
}

fn datagram(server: &Server, to: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let udp = UdpRepr {
        src_port: 67,
        dst_port: 68,
    };
    let (source, destination) = (IpAddress::Ipv4(server.id), IpAddress::Ipv4(to));
    let len = udp.header_len() + payload.len();
    let ip = IpRepr::new(source, destination, IpProtocol::Udp, len, 64);
    let mac = match to {
        Ipv4Addr::BROADCAST => [0xff; 6],
        _ => SERVER_MAC,
    };
    let mut frame = [&mac[..], &server.mac().0, &[8, 0]].concat();
    frame.resize(14 + ip.buffer_len(), 0);
    let checksum = ChecksumCapabilities::default();
    ip.emit(&mut frame[14..], &checksum);
    udp.emit(
        &mut UdpPacket::new_unchecked(&mut frame[34..]),
        &source,
        &destination,
        payload.len(),
        |bytes| bytes.copy_from_slice(payload),
        &checksum,
    );
    frame
}

fn by_dhcp(world: &World) -> Option<Address> {
    let addresses = world.net.addresses();
    assert_eq!(addresses[0].source, Source::LinkLocal);
    addresses.into_iter().find(|own| own.source == Source::Dhcp)
}

fn bound(world: &mut World) {
    world.run_until(secs(100), |world| by_dhcp(world).is_some());
}

#[test]
fn a_lease_is_renewed_under_load_without_a_failed_request() {
    let (mut world, shared) = world();
    world.serve(blocks);
    bound(&mut world);
    let own = by_dhcp(&world);
    let cidr = IpCidr::Ipv4(Ipv4Cidr::new(OURS, 24));
    assert_eq!(
        own,
        Some(Address {
            cidr,
            source: Source::Dhcp
        })
    );
    let old = world.connect();
    let renewals = |shared: &RefCell<Shared>| {
        let shared = shared.borrow();
        shared.asked.iter().filter(|&&kind| kind == REQUEST).count() - 1
    };
    let mut requests = 0;
    while renewals(&shared) < 4 {
        assert_eq!(world.ask(old, b"60000\n", 60_000), pattern(60_000));
        let new = world.connect();
        assert_eq!(world.ask(new, b"3000\n", 3000), pattern(3000));
        world.client.socket(new).close();
        world.run_for(Duration::from_millis(400));
        assert_eq!(by_dhcp(&world), own);
        requests += 1;
    }
    assert!(requests > 100, "{requests}");
    let stats = world.net.stats();
    assert_eq!((stats.resets_sent, stats.conflicts), (0, 0), "{stats:?}");
}

#[test]
fn a_lost_address_takes_its_connections_along_in_silence() {
    let (mut world, shared) = world();
    let ended = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&ended);
    world.serve(move |mut conn| {
        let log = Rc::clone(&log);
        async move {
            let mut buf = [0; 100];
            loop {
                let n = read(&mut conn, &mut buf).await;
                if !matches!(n, Ok(1..)) {
                    log.borrow_mut().push(n.is_err());
                    return;
                }
            }
        }
    });
    bound(&mut world);
    let link_local = www::net::link_local(SERVER_MAC).into();
    let other = world.client.connect(link_local, 5000, 5000);
    let handle = world.connect();
    for handle in [other, handle] {
        world.client.socket(handle).send_slice(b"x").expect("open");
    }
    // One that has said nothing, and one that is half open.
    let silent = world.connect();
    world
        .client
        .device
        .inject(&segment([10, 0, 0, 77], 999, TcpControl::Syn, 1, None, &[]));
    world.run_for(secs(1));
    assert_eq!(
        (world.net.stats().connections, world.net.stats().half_open),
        (3, 1)
    );
    shared.borrow_mut().server = None;
    world.run_until(secs(40), |world| by_dhcp(world).is_none());
    let stats = world.net.stats();
    assert_eq!(
        (stats.connections, stats.half_open, stats.resets_sent),
        (1, 0, 0),
        "{stats:?}"
    );
    world.run_for(Duration::from_millis(10));
    assert_eq!(*ended.borrow(), [true]);
    // Nothing is sent from it, and nobody is told that it is ours.
    let before = shared.borrow().tcp;
    world
        .client
        .socket(handle)
        .send_slice(b"more")
        .expect("open on that side");
    world.run_for(secs(5));
    assert_eq!(shared.borrow().tcp, before);
    world.client.socket(silent).abort();
    let probe = arp(ArpOperation::Request, CLIENT_MAC, [10, 0, 0, 1], OURS);
    world.client.device.inject(&probe);
    world.net.poll(world.now);
    assert!(world.net.stats().refused(Refusal::IpDestination) > 0);
    // What came to the other address lives.
    world.client.socket(other).send_slice(b"y").expect("open");
    world.run_for(secs(1));
    assert_eq!(world.client.socket(other).state(), State::Established);
    assert_eq!(ended.borrow().len(), 1);
    // The server is back, and so are we.
    shared.borrow_mut().server = Some(server());
    bound(&mut world);
    world.client.socket(handle).abort();
    world.run_for(secs(1));
    world.connect();
}

#[test]
fn another_address_is_another_address() {
    let (mut world, shared) = world();
    world.serve(echo);
    bound(&mut world);
    let old = world.connect();
    assert_eq!(world.ask(old, b"a", 1), b"a");
    // The server wants it back, and has another one.
    let next = Ipv4Addr::new(10, 0, 0, 33);
    shared.borrow_mut().server = Some(Server {
        refuses: true,
        ..server()
    });
    world.run_until(secs(40), |world| by_dhcp(world).is_none());
    shared.borrow_mut().server = Some(Server {
        address: next,
        ..server()
    });
    bound(&mut world);
    assert_eq!(
        by_dhcp(&world).map(|own| own.cidr.address()),
        Some(next.into())
    );
    let handle = world.client.connect(next.into(), 5000, 5000);
    world.run_until(secs(10), |world| {
        world.client.socket(handle).state() == State::Established
    });
    assert_eq!(world.ask(handle, b"b", 1), b"b");
    // The old connection's packets are not taken for the new address'.
    let before = world.net.stats();
    world
        .client
        .socket(old)
        .send_slice(b"c")
        .expect("open on that side");
    world.run_for(secs(2));
    let after = world.net.stats();
    assert!(after.refused(Refusal::IpDestination) > before.refused(Refusal::IpDestination));
    assert_eq!(after.connections, 1);
}

fn arp(operation: ArpOperation, mac: [u8; 6], ip: [u8; 4], target: Ipv4Addr) -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: EthernetAddress(mac),
        source_protocol_addr: ip.into(),
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: target,
    };
    let mut frame = [&[0xff; 6][..], &mac, &[8, 6], &[0; 28]].concat();
    repr.emit(&mut ArpPacket::new_unchecked(&mut frame[14..]));
    frame
}

#[test]
fn who_answers_a_probe_keeps_the_address() {
    // As its owner, and as another who is about to take it.
    for (operation, ip) in [
        (ArpOperation::Reply, OURS.octets()),
        (ArpOperation::Request, [0; 4]),
    ] {
        let (mut world, shared) = world();
        let mut dhcp = world.neighbour.take().expect("the server");
        let owned = Rc::new(RefCell::new(true));
        let owner = Rc::clone(&owned);
        world.neighbour = Some(Box::new(move |now, frame| {
            let probe = frame[12..14] == [8, 6] && frame[28..32] == [0; 4];
            if probe && *owner.borrow() {
                assert_eq!(frame[38..42], OURS.octets());
                return vec![arp(operation, [2, 0, 0, 0, 0, 7], ip, OURS)];
            }
            dhcp(now, frame)
        }));
        world.run_for(secs(40));
        assert_eq!(by_dhcp(&world), None);
        let declines = |shared: &RefCell<Shared>| {
            let shared = shared.borrow();
            shared
                .asked
                .iter()
                .filter(|&&kind| kind == DhcpMessageType::Decline)
                .count()
        };
        assert!((2..4).contains(&declines(&shared)), "{}", declines(&shared));
        assert!(world.net.stats().conflicts >= 2);
        *owned.borrow_mut() = false;
        bound(&mut world);
    }
}

struct Bench {
    net: Net<Wire>,
    far: Wire,
    now: Instant,
}

impl Bench {
    fn new(config: Config) -> Bench {
        let (near, far) = pair(Abilities::default(), Abilities::default(), 1);
        let now = Instant::from_secs(9);
        let net = Net::new(near, config, now);
        Bench { net, far, now }
    }

    fn frames(&mut self, time: Duration) -> Vec<Vec<u8>> {
        self.now += time;
        self.net.poll(self.now);
        std::iter::from_fn(|| self.far.take()).collect()
    }

    fn refuses(&mut self, frame: &[u8], reason: Refusal) {
        let before = self.net.stats().refused(reason);
        self.far.inject(frame);
        assert_eq!(
            self.frames(Duration::ZERO),
            Vec::<Vec<u8>>::new(),
            "{reason:?}"
        );
        let stats = self.net.stats();
        assert_eq!(stats.refused(reason), before + 1, "{:?}", stats.refused);
    }
}

/// The IPv4 header checksum made right, and none for UDP.
fn mended(mut frame: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    change(&mut frame);
    frame[40..42].fill(0);
    frame[24..26].fill(0);
    let words = frame[14..34]
        .chunks(2)
        .map(|b| u32::from(b[0]) << 8 | u32::from(b[1]));
    let sum: u32 = words.sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame
}

#[test]
fn datagrams_pass_only_while_they_are_awaited() {
    let server = server();
    let mut bench = Bench::new(wanting());
    let asked = bench.frames(Duration::ZERO);
    let discover = asked
        .iter()
        .find_map(|frame| read_frame(frame, bench.now))
        .expect("DISCOVER");
    let offer = server.answer(&discover).expect("an offer");
    let frame = datagram(&server, OURS, &offer);
    // The checksum, lengths, ports; fragments; the wrong frame for an address; nothing at all.
    let mut bad = frame.clone();
    bad[100] ^= 1;
    bench.refuses(&bad, Refusal::Checksum);
    bench.refuses(&mended(frame.clone(), |f| f[39] ^= 1), Refusal::IpLength);
    bench.refuses(&mended(frame.clone(), |f| f[38] = 0), Refusal::IpLength);
    bench.refuses(&mended(frame.clone(), |f| f[35] = 66), Refusal::Protocol);
    bench.refuses(&mended(frame.clone(), |f| f[37] = 69), Refusal::Protocol);
    bench.refuses(&mended(frame.clone(), |f| f[21] = 1), Refusal::Fragment);
    bench.refuses(
        &mended(frame.clone(), |f| f[..6].fill(0xff)),
        Refusal::IpDestination,
    );
    bench.refuses(
        &mended(frame.clone(), |f| f[30..34].fill(0xff)),
        Refusal::IpDestination,
    );
    bench.refuses(
        &mended(frame.clone(), |f| f[30] = 224),
        Refusal::IpDestination,
    );
    bench.refuses(&mended(frame.clone(), |f| f[26] = 127), Refusal::IpSource);
    bench.refuses(
        &mended(frame.clone(), |f| f[16..18].copy_from_slice(&[0, 24])),
        Refusal::Runt,
    );
    bench.refuses(
        &mended(frame.clone(), |f| f[46] ^= 1),
        Refusal::Configuration,
    );
    // Broadcast or unicast, with a checksum or with none.
    for good in [
        datagram(&server, Ipv4Addr::BROADCAST, &offer),
        mended(frame.clone(), |_| {}),
    ] {
        let mut bench = Bench::new(wanting());
        bench.frames(Duration::ZERO);
        bench.far.inject(&good);
        let sent = bench.frames(Duration::ZERO);
        assert_eq!(
            sent.iter()
                .filter_map(|frame| read_frame(frame, bench.now))
                .count(),
            1
        );
    }
    // While nothing is awaited, and by who has not asked.
    bench.far.inject(&frame);
    let sent = bench.frames(Duration::ZERO);
    let request = sent
        .iter()
        .find_map(|frame| read_frame(frame, bench.now))
        .expect("REQUEST");
    let ack = datagram(&server, OURS, &server.answer(&request).expect("an ACK"));
    bench.far.inject(&ack);
    bench.frames(Duration::ZERO);
    bench.refuses(&ack, Refusal::IpDestination);
    for _ in 0..10 {
        bench.frames(Duration::from_millis(200));
    }
    assert_eq!(bench.net.addresses().len(), 2);
    bench.refuses(&ack, Refusal::Protocol);
    bench.refuses(
        &datagram(&server, Ipv4Addr::BROADCAST, &offer),
        Refusal::IpDestination,
    );
    let mut bench = Bench::new(config());
    bench.refuses(&frame, Refusal::Protocol);
}

#[test]
fn a_configured_address_is_defended_and_kept() {
    let mut config = config();
    config.learn = Some(Learn::new());
    let mut bench = Bench::new(config);
    bench.frames(secs(5));
    bench.frames(secs(5));
    for operation in [ArpOperation::Request, ArpOperation::Reply] {
        let claim = arp(operation, CLIENT_MAC, OURS.octets(), OURS);
        bench.far.inject(&claim);
        let frames = bench.frames(secs(1));
        assert_eq!(frames.len(), 1);
        assert_eq!(
            (&frames[0][12..14], &frames[0][28..32]),
            (&[8, 6][..], &OURS.octets()[..])
        );
        assert_eq!(frames[0][..6], [0xff; 6]);
        for _ in 0..8 {
            bench.far.inject(&claim);
            assert_eq!(bench.frames(secs(1)).len(), 0);
        }
        bench.frames(secs(9));
    }
    assert_eq!(bench.net.stats().conflicts, 18);
    assert_eq!(bench.net.addresses().len(), 2);
}

#[test]
fn the_mtu_that_a_server_tells_is_kept_to() {
    let (mut world, shared) = world();
    let mss = |world: &mut World, port| {
        let syn = segment([10, 0, 0, 5], port, TcpControl::Syn, 1, None, &[]);
        world.client.device.inject(&syn);
        let mut mss = None;
        world.step_server(|frame| {
            if frame[12..14] == [8, 0] && frame[23] == 6 {
                assert_eq!(frame[54..56], [2, 4]);
                mss = Some(u16::from_be_bytes([frame[56], frame[57]]));
            }
        });
        mss
    };
    bound(&mut world);
    assert_eq!(mss(&mut world, 700), Some(1460));
    let told = Server {
        times: Some((10, 20)),
        ..server()
    };
    shared.borrow_mut().server = Some(told);
    world.run_for(secs(20));
    assert_eq!(mss(&mut world, 701), Some(1360));
    assert!(by_dhcp(&world).is_some());
}

#[test]
fn a_lease_and_an_address_in_use_cost_no_timer() {
    let mut endless = server();
    endless.lease = u32::MAX;
    let (mut world, shared) = world();
    shared.borrow_mut().server = Some(endless);
    bound(&mut world);
    world.run_for(secs(10));
    assert_eq!(world.next.deadline, None);
    // Before that, the next deadline is the client's.
    let mut link = super::link::Link::new(vec![]);
    link.run(secs(1), never);
    assert!(link.client.deadline() > link.now + secs(1));
}
