//! The whole chain in one process: a site's folder rendered and packed, HTTP, our TCP stack,
//! netfront, its backend and xenstore, and TCP clients on the network behind it.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::sync::OnceLock;
use std::task::Poll;
use std::time::Duration;

use minios::exec::{Executor, Spawner, yield_now};
use minios::host::Hypervisor;
use minios::host::store::Server;
use minios::xenstore::Store;
use minios::{DomId, Domain};
use netfront::back::{Back, Backend, Deceit, Offer};
use netfront::{Config, Events, Netfront, Phase};
use smoltcp::iface::{self, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr, Ipv4Address, Ipv4Cidr};
use www::encoding::Accept;
use www::http::{Limits, Service};
use www::net::{self, Net};
use www::pack::Pack;
use www::stats::Stats;
use www::{Clock, Stack};

const GUEST: DomId = DomId(7);
const LARGE: usize = 3 << 20;

/// The project's own site and a large file.
fn pack() -> Pack<'static> {
    static PACK: OnceLock<Vec<u8>> = OnceLock::new();
    let bytes = PACK.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../www/site");
        let options = mir::site::Options {
            modified: Some(784_111_777),
            ..mir::site::Options::default()
        };
        let mut site = mir::site::render(&folder, options).expect("our own site");
        let large = mir::site::Item {
            path: "/large.bin".into(),
            media_type: "application/octet-stream",
            rendered: false,
            modified: 784_111_777,
            body: (0..LARGE).map(|at| ((at * at) >> 7) as u8).collect(),
        };
        site.items.push(large);
        site.items.sort_by(|a, b| a.path.cmp(&b.path));
        mir::pack::pack(site, &mir::pack::Cache::none()).expect("a pack")
    });
    Pack::load(bytes).expect("our own pack")
}

struct Guest(Domain);

impl Clock for Guest {
    fn unix_time(&self) -> u64 {
        self.0.wall().as_secs()
    }
}

type Site = Rc<Service<Pack<'static>, Guest>>;
type Slot<T> = Rc<RefCell<Option<T>>>;

fn moment(domain: &Domain) -> Instant {
    Instant::from_micros((domain.now().as_nanos() / 1000) as i64)
}

/// What a guest runs: the device, the stack on it, and the service on that.
async fn guest(domain: Domain, store: Store, spawner: Spawner, running: Slot<Net<Netfront>>) {
    let connected = Netfront::connect(&domain, &store, 0, &Config::default()).await;
    let (device, link) = connected.expect("a device");
    let task = async move {
        let _ = link.run().await;
    };
    spawner.spawn(task).expect("a task");
    let events = device.events();
    let mut config = net::Config::new(device.mac().0, 80, domain.seed());
    config.ipv4 = Some(Ipv4Cidr::new(Ipv4Address::new(10, 0, 0, 2), 24));
    let net = Net::new(device, config, moment(&domain));
    *running.borrow_mut() = Some(net.clone());
    spawner
        .spawn(drive(domain.clone(), net.clone(), events))
        .expect("a task");

    let stats = Rc::new(Stats::default());
    let site: Site = Rc::new(Service::new(
        pack(),
        Guest(domain),
        Limits::default(),
        stats,
    ));
    loop {
        let conn = net.accept().await;
        let site = site.clone();
        spawner
            .spawn(async move { site.serve(conn).await })
            .expect("a task");
    }
}

async fn drive(domain: Domain, net: Net<Netfront>, events: Events) {
    loop {
        let next = net.poll(moment(&domain));
        net.with_device(Netfront::flush);
        if next.more {
            yield_now().await;
            continue;
        }
        let deadline = next
            .deadline
            .map_or(u64::MAX, |at| at.total_micros() as u64 * 1000);
        let mut sleep = pin!(domain.sleep_until(minios::Instant::from_nanos(deadline)));
        poll_fn(|cx| {
            let reasons = [
                events.poll_wait(cx).is_ready(),
                net.poll_dirty(cx).is_ready(),
                sleep.as_mut().poll(cx).is_ready(),
            ];
            if reasons.contains(&true) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

/// The machine, its guest, and the network on which its clients are.
struct World {
    hypervisor: Hypervisor,
    host: (Domain, Executor),
    guest: (Domain, Executor),
    backend: Rc<Backend>,
    back: Back,
    net: Net<Netfront>,
    interface: Interface,
    sockets: SocketSet<'static>,
    ports: u16,
}

impl World {
    fn new(offer: &Offer) -> Self {
        let hypervisor = Hypervisor::new();
        let server = Server::new(&hypervisor);
        let host = (hypervisor.domain(DomId::ZERO), Executor::new());
        let guest_side = (hypervisor.domain(GUEST), Executor::new());
        server.attach(GUEST).expect("a guest");
        let backend = Rc::new(Backend::plug(&server, &host.0, GUEST, 0, offer));
        let serving = async move { server.run().await };
        host.1.spawner().spawn(serving).expect("a task");
        let (accepted, accepting) = (Slot::<Back>::default(), Rc::clone(&backend));
        let out = Rc::clone(&accepted);
        let accept = async move { *out.borrow_mut() = accepting.accept().await.ok() };
        host.1.spawner().spawn(accept).expect("a task");

        let store = Store::new(&guest_side.0);
        let running = store.clone();
        let run = async move {
            running.run().await;
        };
        guest_side.1.spawner().spawn(run).expect("a task");
        let net = Slot::default();
        let main = guest(
            guest_side.0.clone(),
            store,
            guest_side.1.spawner(),
            Rc::clone(&net),
        );
        guest_side.1.spawner().spawn(main).expect("a task");
        hypervisor.settle(&[(&host.0, &host.1), (&guest_side.0, &guest_side.1)]);

        let mut back = accepted.take().expect("a frontend that connects");
        let mac = EthernetAddress([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff]);
        let config = iface::Config::new(mac.into());
        let mut interface = Interface::new(config, &mut back, moment(&host.0));
        interface.update_ip_addrs(|list| {
            for address in [
                IpAddress::v4(10, 0, 0, 1),
                IpAddress::v6(0xfe80, 0, 0, 0, 0, 0, 0, 1),
            ] {
                let prefix = if address.version() == smoltcp::wire::IpVersion::Ipv4 {
                    24
                } else {
                    64
                };
                list.push(IpCidr::new(address, prefix)).expect("room");
            }
        });
        World {
            hypervisor,
            host,
            guest: guest_side,
            backend,
            back,
            net: net.take().expect("a stack"),
            interface,
            sockets: SocketSet::new(vec![]),
            ports: 40_000,
        }
    }

    fn connect(&mut self, v6: bool) -> SocketHandle {
        let buffer = |len| tcp::SocketBuffer::new(vec![0; len]);
        let handle = self
            .sockets
            .add(tcp::Socket::new(buffer(256 << 10), buffer(16 << 10)));
        let mac = self.net.with_device(|device| device.mac().0);
        let address: IpAddress = match v6 {
            false => IpAddress::v4(10, 0, 0, 2),
            true => net::link_local(mac).into(),
        };
        self.ports += 1;
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
        let context = self.interface.context();
        socket
            .connect(context, (address, 80), self.ports)
            .expect("a route");
        handle
    }

    fn socket(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    fn step(&mut self) {
        let parties = [(&self.host.0, &self.host.1), (&self.guest.0, &self.guest.1)];
        self.hypervisor
            .run_for(&parties, Duration::from_micros(100));
        let now = moment(&self.host.0);
        self.interface.poll(now, &mut self.back, &mut self.sockets);
    }

    /// Asks for all of `paths` on each of `handles`, and gives the answers as they came.
    fn ask(&mut self, handles: &[SocketHandle], paths: &[&str]) -> Vec<Vec<u8>> {
        let mut request: Vec<u8> = Vec::new();
        for (number, path) in paths.iter().enumerate() {
            let close = if number + 1 == paths.len() {
                "Connection: close\r\n"
            } else {
                ""
            };
            request.extend(format!("GET {path} HTTP/1.1\r\nHost: mir\r\n{close}\r\n").bytes());
        }
        let mut sent = vec![0; handles.len()];
        let mut got = vec![Vec::new(); handles.len()];
        let end = self.hypervisor.now() + Duration::from_secs(60);
        let mut open = handles.len();
        while open > 0 {
            assert!(
                self.hypervisor.now() < end,
                "{open} of {} are not done",
                handles.len()
            );
            self.step();
            open = 0;
            for (number, handle) in handles.iter().enumerate() {
                let socket = self.socket(*handle);
                if socket.can_send() && sent[number] < request.len() {
                    sent[number] += socket.send_slice(&request[sent[number]..]).expect("open");
                }
                while socket.can_recv() {
                    let take = |bytes: &mut [u8]| (bytes.len(), bytes.to_vec());
                    got[number].extend(socket.recv(take).expect("open"));
                }
                if socket.may_recv() || sent[number] < request.len() {
                    open += 1;
                } else {
                    socket.close();
                }
            }
        }
        got
    }

    fn assert_well(&self) {
        assert_eq!(self.back.fatal(), None);
        let stats = self.net.with_device(|device| device.stats());
        let wrong = [
            stats.broken,
            stats.rx_bad_checksums,
            stats.rx_errors,
            stats.rx_runts,
            stats.tx_errors,
            stats.tx_dropped,
        ];
        assert_eq!(wrong, [0; 6], "{stats:?}");
    }
}

/// Takes the next answer off `bytes`: its status and its body.
fn answer<'a>(bytes: &mut &'a [u8]) -> (u16, &'a [u8]) {
    let end = bytes
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .expect("a head")
        + 4;
    let head = std::str::from_utf8(&bytes[..end]).expect("text");
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    let length = field("Content-Length: ")
        .expect("a length")
        .parse()
        .expect("a number");
    let status = head[9..12].parse().expect("a status");
    let (body, rest) = bytes[end..].split_at(length);
    *bytes = rest;
    (status, body)
}

fn paths() -> Vec<(&'static str, u16, &'static [u8])> {
    let pages = pack().entries().map(|entry| {
        let variant = entry.pick(Accept::IDENTITY).expect("the identity");
        (entry.path(), entry.status(), variant.body.here().unwrap())
    });
    let pages: Vec<_> = pages
        .filter(|(path, ..)| path.bytes().all(|b| b.is_ascii_graphic()))
        .collect();
    assert!(pages.len() > 5);
    pages
}

#[test]
fn every_page_arrives_whole_whatever_the_backend() {
    for (offer, large) in [(Offer::linux(), true), (Offer::qemu(), false)] {
        for v6 in [false, true] {
            for offloads in [false, true] {
                let mut world = World::new(&offer);
                world.back.send_offloaded(offloads);
                let pages = paths();
                let names: Vec<_> = pages.iter().map(|(path, ..)| *path).collect();
                let handle = world.connect(v6);
                let got = world.ask(&[handle], &names);
                let mut rest = got[0].as_slice();
                for (path, status, body) in pages {
                    let came = answer(&mut rest);
                    assert_eq!(came.0, status, "{path}");
                    assert!(came.1 == body, "{path} is not as it was packed");
                }
                assert_eq!(rest, b"");
                world.assert_well();
                let stats = world.net.with_device(|device| device.stats());
                assert_eq!(stats.tx_large > 0, large && !v6, "{stats:?}");
            }
        }
    }
}

#[test]
fn many_clients_at_once() {
    let mut world = World::new(&Offer::linux());
    world.back.send_offloaded(true);
    let handles: Vec<_> = (0..100)
        .map(|number| world.connect(number % 2 == 1))
        .collect();
    let all = world.ask(&handles, &["/", "/nowhere", "/"]);
    let (_, _, body) = *paths()
        .iter()
        .find(|(path, ..)| *path == "/")
        .expect("a front page");
    for got in all {
        let mut rest = got.as_slice();
        let answers = [answer(&mut rest), answer(&mut rest), answer(&mut rest)];
        assert_eq!(answers.map(|(status, _)| status), [200, 404, 200]);
        assert!(answers[0].1 == body && answers[2].1 == body);
    }
    world.assert_well();
}

#[test]
fn a_backend_that_holds_pages_slows_a_download_and_no_more() {
    let mut offer = Offer::linux();
    offer.manner.holds = true;
    let mut world = World::new(&offer);
    let handle = world.connect(false);
    let request = b"GET /large.bin HTTP/1.0\r\n\r\n";
    let mut got = Vec::new();
    let end = world.hypervisor.now() + Duration::from_secs(60);
    let mut asked = false;
    for turn in 0.. {
        assert!(world.hypervisor.now() < end, "{} bytes", got.len());
        world.step();
        if turn % 8 == 0 {
            world.back.complete(2);
        }
        let socket = world.socket(handle);
        if !asked && socket.can_send() {
            socket.send_slice(request).expect("open");
            asked = true;
        }
        while socket.can_recv() {
            got.extend(
                socket
                    .recv(|bytes| (bytes.len(), bytes.to_vec()))
                    .expect("open"),
            );
        }
        if asked && !socket.may_recv() {
            break;
        }
    }
    let (status, body) = answer(&mut got.as_slice());
    let expected = paths()
        .into_iter()
        .find(|(path, ..)| *path == "/large.bin")
        .expect("it");
    assert!(status == 200 && body == expected.2);
    world.assert_well();
}

#[test]
fn a_backend_that_lies_or_leaves_takes_nobody_with_it() {
    let ways: [fn(&mut World); 3] = [
        |world| world.back.deceive(Deceit::RxSize(4000, 4000)),
        |world| {
            world
                .backend
                .bus
                .set_state(minios::xenbus::XenbusState::Closing)
        },
        |world| world.backend.bus.vanish(),
    ];
    for way in ways {
        let mut world = World::new(&Offer::linux());
        let handle = world.connect(false);
        for _ in 0..100 {
            world.step();
            let socket = world.socket(handle);
            if socket.can_send() {
                socket
                    .send_slice(b"GET /large.bin HTTP/1.1\r\nHost: mir\r\n\r\n")
                    .expect("open");
            }
        }
        assert!(world.socket(handle).can_recv());
        way(&mut world);
        for _ in 0..100 {
            world.step();
        }
        let phase = world.net.with_device(|device| device.phase());
        assert_ne!(phase, Phase::Running);
        // The guest lives, gives up its connections in time, and then sleeps.
        let parties = [
            (&world.host.0, &world.host.1),
            (&world.guest.0, &world.guest.1),
        ];
        world.hypervisor.run_for(&parties, Duration::from_secs(300));
        assert_eq!(world.net.stats().connections, 0);
    }
}
