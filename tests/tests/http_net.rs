//! The site over our own TCP stack: pack, HTTP, TCP and a client, in one process.

use std::rc::Rc;
use std::sync::OnceLock;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;
use tests::net::{World, collect, config};
use www::Clock;
use www::http::{Limits, Service};
use www::net::Duration;
use www::net::wire::Abilities;
use www::pack::Pack;
use www::stats::Stats;

struct Still;

impl Clock for Still {
    fn unix_time(&self) -> u64 {
        784_111_777
    }
}

type Site = Rc<Service<Pack<'static>, Still>>;

fn site(limits: Limits) -> Site {
    static PACK: OnceLock<Vec<u8>> = OnceLock::new();
    let pack = Pack::load(PACK.get_or_init(tests::unix::pack)).unwrap();
    Rc::new(Service::new(pack, Still, limits, Rc::new(Stats::default())))
}

fn world(site: &Site) -> World {
    let world = World::new(config(), Abilities::default(), Abilities::default());
    let site = site.clone();
    world.serve(move |conn| {
        let site = site.clone();
        async move { site.serve(conn).await }
    });
    world
}

/// What comes until the server closes.
fn rest(world: &mut World, handle: SocketHandle) -> Vec<u8> {
    let mut got = Vec::new();
    world.run_until(Duration::from_secs(120), |world| {
        let socket = world.client.socket(handle);
        collect(socket, &mut got);
        !socket.may_recv()
    });
    got
}

#[test]
fn a_page_and_another_over_one_connection() {
    let site = site(Limits::default());
    let mut world = world(&site);
    let handle = world.connect();
    for _ in 0..3 {
        let got = world.ask(handle, b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n", 150);
        assert!(got.starts_with(b"HTTP/1.1 200 OK\r\n"));
        assert!(got.ends_with(b"\r\n\r\nsmall\n"));
    }
    let last = b"GET /old HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    world.client.socket(handle).send_slice(last).unwrap();
    assert!(rest(&mut world, handle).starts_with(b"HTTP/1.1 301 Moved Permanently\r\n"));
    world.client.socket(handle).close();
    world.run_until(Duration::from_secs(5), |_| site.active() == 0);
    assert_eq!(site.stats().requests.get(), 4);
}

fn sent(world: &World) -> u64 {
    world.net.with_device(|device| device.sent().frames)
}

#[test]
fn pipelined_answers_share_segments() {
    let site = site(Limits::default());
    let mut world = world(&site);
    let handle = world.connect();
    let requests = b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n".repeat(40);
    let one = world
        .ask(handle, &requests[..requests.len() / 40], 150)
        .len();
    let before = sent(&world);
    let got = world.ask(handle, &requests, one * 40);
    assert_eq!(
        got.windows(15).filter(|w| w == b"HTTP/1.1 200 OK").count(),
        40
    );
    let frames = sent(&world) - before;
    assert!(
        frames <= (one as u64 * 40).div_ceil(1400) + 4,
        "{frames} frames"
    );
}

#[test]
fn a_large_file_arrives_whole() {
    let site = site(Limits::default());
    let mut world = world(&site);
    let handle = world.connect();
    world
        .client
        .socket(handle)
        .send_slice(b"GET /large HTTP/1.0\r\n\r\n")
        .unwrap();
    let got = rest(&mut world, handle);
    let body = got.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    assert!(got[body..] == tests::unix::large());
}

#[test]
fn the_late_are_told() {
    let site = site(Limits::default());
    let mut world = world(&site);
    let half = world.connect();
    world
        .client
        .socket(half)
        .send_slice(b"GET / HTTP/1.1\r\n")
        .unwrap();
    assert!(rest(&mut world, half).starts_with(b"HTTP/1.1 408 Request Timeout\r\n"));
    assert_eq!(site.stats().timed_out.get(), 1);
    world.run_until(Duration::from_secs(5), |_| site.active() == 0);
}

#[test]
fn one_too_many_costs_whoever_waits_for_longest() {
    let site = site(Limits {
        connections: 50,
        ..Limits::default()
    });
    let mut world = world(&site);
    let handles: Vec<_> = (0..60)
        .map(|_| {
            let handle = world.connect();
            world.client.socket(handle).send_slice(b"GET ").unwrap();
            world.run_for(Duration::from_millis(1));
            handle
        })
        .collect();
    world.run_for(Duration::from_millis(10));
    let open = |world: &mut World, handle: &SocketHandle| {
        world.client.socket(*handle).state() == State::Established
    };
    let left: Vec<_> = handles
        .iter()
        .map(|handle| open(&mut world, handle))
        .collect();
    assert!(left[..10].iter().all(|open| !open) && left[10..].iter().all(|open| *open));
    let got = world.ask(handles[59], b"/small HTTP/1.1\r\nHost: a\r\n\r\n", 150);
    assert!(got.ends_with(b"small\n"));
}

#[test]
fn a_stop_lets_answers_finish() {
    let site = site(Limits::default());
    let mut world = world(&site);
    let idle = world.connect();
    world.ask(idle, b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n", 150);
    let busy = world.connect();
    let mut got = world.ask(busy, b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n", 1000);
    site.drain();
    assert_eq!(rest(&mut world, idle), b"");
    got.extend(rest(&mut world, busy));
    assert!(got.ends_with(&tests::unix::large()[tests::unix::LARGE - 1000..]));
    for handle in [idle, busy] {
        world.client.socket(handle).close();
    }
    world.run_until(Duration::from_secs(5), |_| site.active() == 0);
}
