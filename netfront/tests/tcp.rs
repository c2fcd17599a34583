//! smoltcp on both ends of the wire: bytes arrive as they were sent, whatever the backend can do.

mod common;

use common::{Pair, config, linux, qemu};
use minios::xenbus::Mac;
use netfront::Config;
use netfront::back::Manner;
use netfront::features::Features;
use smoltcp::iface::{self, Interface, SocketHandle, SocketSet};
use smoltcp::phy::Device;
use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

const FAR: Mac = Mac([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff]);

struct End {
    interface: Interface,
    sockets: SocketSet<'static>,
    tcp: SocketHandle,
}

impl End {
    fn new(device: &mut impl Device, mac: Mac, addresses: [IpAddress; 2]) -> Self {
        let mut config = iface::Config::new(EthernetAddress(mac.0).into());
        config.random_seed = mac.0[5].into();
        let mut interface = Interface::new(config, device, Instant::ZERO);
        interface.update_ip_addrs(|list| {
            for (address, prefix) in addresses.into_iter().zip([24, 64]) {
                list.push(IpCidr::new(address, prefix)).expect("room");
            }
        });
        let buffer = || tcp::SocketBuffer::new(vec![0; 256 * 1024]);
        let mut sockets = SocketSet::new(vec![]);
        let tcp = sockets.add(tcp::Socket::new(buffer(), buffer()));
        End {
            interface,
            sockets,
            tcp,
        }
    }

    fn poll(&mut self, now: Instant, device: &mut impl Device) {
        self.interface.poll(now, device, &mut self.sockets);
    }

    fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.tcp)
    }
}

fn byte(at: usize) -> u8 {
    (at.wrapping_mul(2_654_435_761) >> 13) as u8
}

/// The guest sends `down` bytes and receives `up`, over IPv4 or IPv6.
fn transfer(mut pair: Pair, v6: bool, offloads: bool, down: usize, up: usize) -> Pair {
    let (ours, theirs) = if v6 {
        (
            IpAddress::v6(0xfd00, 0, 0, 0, 0, 0, 0, 2),
            IpAddress::v6(0xfd00, 0, 0, 0, 0, 0, 0, 1),
        )
    } else {
        (IpAddress::v4(10, 0, 0, 2), IpAddress::v4(10, 0, 0, 1))
    };
    pair.back.send_offloaded(offloads);
    let near = [
        IpAddress::v4(10, 0, 0, 2),
        IpAddress::v6(0xfd00, 0, 0, 0, 0, 0, 0, 2),
    ];
    let far = [
        IpAddress::v4(10, 0, 0, 1),
        IpAddress::v6(0xfd00, 0, 0, 0, 0, 0, 0, 1),
    ];
    let mut server = End::new(&mut pair.front, common::MAC, near);
    let mut client = End::new(&mut pair.back, FAR, far);
    server.socket().listen(80).expect("a port");
    let context = client.interface.context();
    let socket = client.sockets.get_mut::<tcp::Socket<'_>>(client.tcp);
    socket
        .connect(context, (ours, 80), (theirs, 50_000))
        .expect("a route");

    let (mut sent, mut got) = ([0, 0], [0, 0]);
    let (mut now, mut seen) = (Instant::ZERO, 0);
    while got != [down, up] {
        let total = [down, up];
        assert!(
            now < Instant::from_secs(60),
            "{got:?} of {total:?} after a minute"
        );
        for (side, end, total) in [(0, &mut server, down), (1, &mut client, up)] {
            let socket = end.socket();
            while socket.can_send() && sent[side] < total {
                let start = sent[side];
                let fill = |buffer: &mut [u8]| {
                    let len = buffer.len().min(total - start);
                    for (at, to) in buffer[..len].iter_mut().enumerate() {
                        *to = byte(start + at);
                    }
                    (len, len)
                };
                sent[side] += socket.send(fill).expect("open");
            }
            while socket.can_recv() {
                let other = 1 - side;
                let start = got[other];
                got[other] += socket
                    .recv(|bytes| {
                        let right = bytes
                            .iter()
                            .enumerate()
                            .all(|(at, &is)| is == byte(start + at));
                        assert!(right, "after {start} bytes");
                        (bytes.len(), bytes.len())
                    })
                    .expect("open");
            }
        }
        server.poll(now, &mut pair.front);
        pair.front.flush();
        client.poll(now, &mut pair.back);
        // Late, but not for ever: when the guest can send no more.
        let stalls = pair.front.stats().tx_stalls;
        if stalls > seen {
            seen = stalls;
            pair.back.complete(1);
        }
        now += Duration::from_micros(200);
    }
    assert_eq!(pair.back.fatal(), None);
    let stats = pair.front.stats();
    let wrong = [
        stats.broken,
        stats.rx_bad_checksums,
        stats.rx_errors,
        stats.rx_runts,
        stats.tx_errors,
        stats.tx_dropped,
    ];
    assert_eq!(wrong, [0; 6]);
    pair
}

const DOWN: usize = 2 << 20;
const UP: usize = 512 << 10;

fn both(features: Features, manner: Manner, config: &Config, check: impl Fn(&Pair, bool)) {
    for v6 in [false, true] {
        for offloads in [false, true] {
            let tso = !v6 && features.tso4;
            let pair = Pair::new(features, manner, config);
            let pair = transfer(pair, v6, offloads, DOWN, UP);
            let verified = pair.front.stats().rx_verified;
            assert_eq!(
                verified == 0,
                offloads,
                "only what the backend has not checked"
            );
            check(&pair, tso);
        }
    }
}

#[test]
fn with_all_of_linux() {
    both(linux(), Manner::linux(), &config(), |pair, tso| {
        let stats = pair.front.stats();
        // Withheld over IPv6, for which smoltcp 0.14 drops what is to be segmented.
        assert_eq!(stats.tx_large > 0, tso);
        assert!(!tso || stats.tx_frames * 10_000 < DOWN as u64, "{stats:?}");
        assert_eq!(stats.tx_copied, 0);
    });
}

#[test]
fn with_all_of_qemu() {
    both(qemu(), Manner::qemu(), &config(), |pair, _| {
        assert_eq!(pair.front.stats().tx_large, 0);
        assert_eq!(pair.front.stats().rx_large, 0);
    });
}

#[test]
fn with_little_memory_and_a_slow_backend() {
    let config = Config {
        tx_pages: 64,
        ..config()
    };
    let manner = Manner {
        holds: true,
        ..Manner::linux()
    };
    let pair = Pair::new(linux(), manner, &config);
    let mut pair = transfer(pair, false, true, DOWN, UP);
    pair.back.complete(usize::MAX);
    pair.front.flush();
    assert_eq!(pair.front.stats().tx_pages_free, 64);
    assert!(pair.front.stats().tx_stalls > 0);
}

#[test]
fn without_tso() {
    let features = linux().without_tso();
    both(features, Manner::linux(), &config(), |pair, _| {
        assert_eq!(pair.front.stats().tx_large, 0);
    });
}
