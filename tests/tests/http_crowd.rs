//! The site over our own TCP stack, as a guest sets it up, among clients that want nothing of it or
//! do it harm: others are served within a second.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::OnceLock;

use smoltcp::wire::TcpControl;
use tests::net::{SERVER, World, collect, config, segment};
use www::Clock;
use www::http::{Limits, Service};
use www::net::Duration;
use www::net::wire::Abilities;
use www::pack::Pack;
use www::stats::Stats;

/// What a small guest has for connections.
const MEMORY: usize = 3 << 20;
const CONNECTIONS: usize = 2048;

struct Still;

impl Clock for Still {
    fn unix_time(&self) -> u64 {
        784_111_777
    }
}

type Site = Rc<Service<Pack<'static>, Still>>;

struct Crowd {
    world: World,
    site: Site,
    next: u32,
    short: u64,
}

impl Crowd {
    fn new() -> Self {
        static PACK: OnceLock<Vec<u8>> = OnceLock::new();
        let pack = Pack::load(PACK.get_or_init(tests::unix::pack)).unwrap();
        let limits = Limits {
            connections: CONNECTIONS - CONNECTIONS / 16,
            ..Limits::default()
        };
        let stats = Rc::new(Stats::default());
        let site = Rc::new(Service::new(pack, Still, limits, stats));
        let mut config = config();
        config.memory = MEMORY;
        config.max_connections = CONNECTIONS;
        let world = World::new(config, Abilities::default(), Abilities::default());
        let serving = Rc::clone(&site);
        world.serve(move |conn| {
            let site = Rc::clone(&serving);
            async move { site.serve(conn).await }
        });
        let next = 0;
        Crowd {
            world,
            site,
            next,
            short: 0,
        }
    }

    /// Opens `count` connections, each from a host of its own that says `what` and then only
    /// acknowledges nothing.
    fn come(&mut self, count: u32, what: &[u8]) {
        let mut opened = 0;
        let mut asked = VecDeque::new();
        while opened < count {
            while asked.len() < 200 && asked.len() < (count - opened) as usize {
                let host = host(self.next);
                self.next += 1;
                asked.push_back(host);
                let syn = segment(host, 4000, TcpControl::Syn, 9, None, &[]);
                self.world.client.device.inject(&syn);
            }
            self.world.now += Duration::from_micros(500);
            self.world.step_server(|_| {});
            self.tend();
            while let Some(frame) = self.world.client.device.take() {
                // Those who get SYN-ACK answer it; nobody hears anything else.
                if frame.len() > 47 && frame[12..14] == [8, 0] && frame[47] == 0x12 {
                    let to: [u8; 4] = frame[30..34].try_into().unwrap();
                    let seq = u32::from_be_bytes(frame[38..42].try_into().unwrap());
                    let ack = Some(seq.wrapping_add(1));
                    let said = segment(to, 4000, TcpControl::Psh, 10, ack, what);
                    self.world.client.device.inject(&said);
                    asked.retain(|host| *host != to);
                    opened += 1;
                }
                self.world.client.device.recycle(frame);
            }
            let stats = self.world.net.stats();
            assert!(
                stats.memory <= MEMORY && stats.connections <= CONNECTIONS,
                "{stats:?}"
            );
            assert!(self.site.active() <= CONNECTIONS + 1);
        }
    }

    /// As the guest's driver does: for who finds no memory, somebody who only waits makes room.
    fn tend(&mut self) {
        let short = self.world.net.out_of_memory();
        if short != self.short {
            self.short = short;
            self.site.reap();
        }
    }

    /// Somebody else asks for a page, and has it within a second. Other systems send again after a
    /// fifth of that; this client would wait for all of it, so it comes anew instead.
    fn others_are_served(&mut self) {
        let served = (0..4).any(|_| self.is_served(Duration::from_millis(250)));
        assert!(served, "{:?}", self.world.net.stats());
    }

    fn is_served(&mut self, within: Duration) -> bool {
        let end = self.world.now + within;
        let handle = self.world.client.connect(SERVER, 65535, 65535);
        let mut asked = false;
        let mut got = Vec::new();
        while self.world.now < end && !got.ends_with(b"\r\n\r\nsmall\n") {
            self.world.step();
            self.tend();
            let socket = self.world.client.socket(handle);
            if !asked && socket.can_send() {
                let request = b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n";
                asked = socket.send_slice(request).is_ok();
            }
            collect(socket, &mut got);
        }
        self.world.client.socket(handle).abort();
        self.world.step();
        got.starts_with(b"HTTP/1.1 200 OK\r\n") && got.ends_with(b"\r\n\r\nsmall\n")
    }

    /// And in time nothing is left of the crowd.
    fn all_go(&mut self) {
        self.world.run_for(Duration::from_secs(200));
        assert_eq!(self.world.net.stats().connections, 0);
        assert_eq!(self.site.active(), 0);
    }
}

fn host(number: u32) -> [u8; 4] {
    let [_, a, b, c] = number.to_be_bytes();
    [10, 100 + a, b, c]
}

#[test]
fn silence() {
    let mut crowd = Crowd::new();
    for _ in 0..3 {
        crowd.come(5000, b"");
        crowd.others_are_served();
    }
    crowd.all_go();
}

#[test]
fn half_requests() {
    let mut crowd = Crowd::new();
    for _ in 0..2 {
        crowd.come(4000, b"GET / HTTP/1.1\r\nHost: a\r\nX-Half: ");
        crowd.others_are_served();
    }
    crowd.all_go();
}

#[test]
fn long_halves_of_requests() {
    let mut crowd = Crowd::new();
    let what = [b"GET / HTTP/1.1\r\nX: ".as_slice(), &[b'x'; 1400]].concat();
    for _ in 0..2 {
        crowd.come(3000, &what);
        crowd.others_are_served();
    }
    crowd.all_go();
}

#[test]
fn garbage() {
    let mut crowd = Crowd::new();
    for _ in 0..3 {
        crowd.come(
            3000,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        );
        crowd.others_are_served();
    }
    crowd.all_go();
}

/// Each asks for 16 MiB, and acknowledges nothing of it.
#[test]
fn downloads_that_nobody_takes() {
    let mut crowd = Crowd::new();
    for _ in 0..2 {
        crowd.come(1500, b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
        crowd.world.run_for(Duration::from_secs(6));
        crowd.others_are_served();
    }
    crowd.all_go();
}

#[test]
fn a_spoofed_syn_and_then_twenty_thousand() {
    let mut crowd = Crowd::new();
    for count in [1, 20_000] {
        for number in 0..count {
            let syn = segment(host(number), 4000, TcpControl::Syn, number, None, &[]);
            crowd.world.client.device.inject(&syn);
            if number % 100 == 0 {
                crowd.world.now += Duration::from_micros(500);
                crowd.world.step_server(|_| {});
                while crowd.world.client.device.take().is_some() {}
            }
        }
        crowd.others_are_served();
    }
    crowd.all_go();
}
