//! Connecting and letting go over xenstore, with backends that offer, say and do anything.

mod common;

use std::cell::Cell;
use std::ops::Deref;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use common::{GUEST, other, tcp4};
use minios::exec::{Either, race};
use minios::host::bus::{Bus, Refused};
use minios::host::{Slot, World};
use minios::xenbus::{XenbusError, XenbusState};
use minios::xenstore::Errno;
use netfront::back::{Back, Backend, Offer};
use netfront::{Config, ConnectError, Link, Netfront, Phase, SetupError};
use smoltcp::phy::Device;

struct Rig(World);

type Connected = Result<(Netfront, Link), ConnectError>;

impl Deref for Rig {
    type Target = World;

    fn deref(&self) -> &World {
        &self.0
    }
}

impl Rig {
    fn new() -> Self {
        Self(World::new())
    }

    fn plug(&self, offer: &Offer) -> Rc<Backend> {
        Rc::new(Backend::plug(&self.server, &self.host.0, GUEST, 0, offer))
    }

    fn connect(&self, config: Config) -> Slot<Connected> {
        let (domain, store) = (self.guest.0.clone(), self.store.clone());
        let connecting = async move { Netfront::connect(&domain, &store, 0, &config).await };
        self.start(connecting)
    }

    fn accept(&self, backend: &Rc<Backend>) -> Slot<Result<Back, Refused>> {
        let backend = Rc::clone(backend);
        self.start_on_host(async move { backend.accept().await })
    }

    /// Both ends, connected.
    fn joined(&self, offer: &Offer) -> (Rc<Backend>, Back, Netfront, Rc<Link>) {
        let backend = self.plug(offer);
        let (back, front) = (self.accept(&backend), self.connect(Config::default()));
        self.settle();
        let back = back.take().expect("accepted").expect("joined");
        let (front, link) = front.take().expect("connected").expect("a device");
        (backend, back, front, Rc::new(link))
    }

    fn watch(&self, link: &Rc<Link>) -> Slot<Result<(), XenbusError>> {
        let link = Rc::clone(link);
        self.start(async move { link.run().await })
    }

    /// A frame each way.
    fn talks(&self, front: &mut Netfront, back: &mut Back) -> bool {
        let frame = tcp4(1000, 1);
        if !common::send(front, &frame, 0) {
            return false;
        }
        front.flush();
        back.inject(netfront::back::Frame::plain(other(60, 2)));
        self.host.0.dispatch();
        back.poll();
        back.take_finished() == Some(common::checksummed(frame))
            && front.receive(common::NOW).is_some()
            && back.fatal().is_none()
    }

    fn clean(&self) {
        assert_eq!(self.hypervisor.grants(GUEST), 0);
        assert_eq!(self.guest.0.leaked(), 0);
    }
}

#[test]
fn linux_and_qemu_connect_and_close() {
    for offer in [Offer::linux(), Offer::qemu()] {
        let rig = Rig::new();
        let (backend, mut back, mut front, link) = rig.joined(&offer);
        assert!(rig.talks(&mut front, &mut back));
        assert_eq!(front.mac().to_string(), "00:16:3e:00:00:01");
        let split = offer == Offer::linux();
        assert_eq!(front.features().split, split);
        assert_eq!(backend.bus.read("event-channel").is_none(), split);

        // While another task watches the backend, as in the guest; and as two may want to at once.
        let watched = rig.watch(&link);
        rig.settle();
        let closed: Vec<_> = (0..2)
            .map(|_| {
                let closing = Rc::clone(&link);
                rig.start(async move { closing.shutdown().await })
            })
            .collect();
        let letting_go = Rc::clone(&backend);
        let let_go = rig.start_on_host(async move {
            letting_go.bus.frontend_reaches(XenbusState::Closing).await;
            letting_go.bus.set_state(XenbusState::Closing);
            letting_go.bus.frontend_reaches(XenbusState::Closed).await;
            drop(back);
            letting_go.bus.set_state(XenbusState::Closed);
        });
        rig.run_for(Duration::from_millis(1));
        for closed in closed {
            assert_eq!(closed.take(), Some(Ok(())));
        }
        assert_eq!(watched.take(), Some(Ok(())));
        assert!(let_go.take().is_some());
        assert_eq!(front.phase(), Phase::Closed);
        assert!(front.receive(common::NOW).is_none());
        drop(front);
        rig.clean();
    }
}

/// Each key of the backend's absent, garbage or extreme: it connects and talks, and uses no more
/// than was offered.
#[test]
fn any_offer_is_taken_for_what_it_is_worth() {
    let values = [
        None,
        Some(""),
        Some("0"),
        Some("2"),
        Some("-1"),
        Some("4294967296"),
        Some("x"),
        Some("\u{1F980}"),
    ];
    for key in netfront::features::Features::KEYS {
        for value in values {
            let mut offer = Offer::linux().without(key);
            if let Some(value) = value {
                offer = offer.with(key, value);
            }
            // What is not said to be offered is not taken either.
            let offered = value == Some("2");
            match key {
                "feature-sg" => offer.manner.sg = offered,
                "feature-gso-tcpv4" => offer.manner.gso[0] = offered,
                "feature-gso-tcpv6" => offer.manner.gso[1] = offered,
                "feature-ipv6-csum-offload" => offer.manner.blank[1] = offered,
                "feature-no-csum-offload" => {
                    offer.manner.blank[0] = matches!(value, None | Some("0"))
                }
                _ => {}
            }
            let rig = Rig::new();
            let backend = rig.plug(&offer);
            let (back, front) = (rig.accept(&backend), rig.connect(Config::default()));
            rig.settle();
            let front = front.take().expect("an outcome");
            if key == "feature-rx-copy" && !offered {
                assert_eq!(front.err(), Some(ConnectError::NoRxCopy), "{value:?}");
                rig.clean();
                continue;
            }
            let (mut front, _link) = front.expect("a device");
            let mut back = back.take().expect("accepted").expect("joined");
            assert!(
                rig.talks(&mut front, &mut back),
                "{key} {value:?}: {:?}",
                back.fatal()
            );
            if let Some(limit) = front.capabilities().segmentation.tcpv4 {
                assert!(common::send(&mut front, &tcp4(limit.get() - 54, 1), 1460));
                front.flush();
                back.poll();
                assert_eq!(back.fatal(), None, "{key} {value:?}");
            }
        }
    }
}

#[test]
fn any_setting_is_taken_for_what_it_is_worth() {
    for (key, value, usable) in [
        ("mac", None, false),
        ("mac", Some(""), false),
        ("mac", Some("00:16:3e:00:00"), false),
        ("mac", Some("ff:ff:ff:ff:ff:ff"), false),
        ("mac", Some("00:00:00:00:00:00"), false),
        ("mac", Some("00:16:3E:AB:CD:EF"), true),
        ("mtu", None, true),
        ("mtu", Some("9000"), true),
        ("mtu", Some("4294967295"), true),
        ("mtu", Some("-3"), true),
        ("trusted", Some("0"), true),
        ("trusted", None, true),
        ("handle", None, true),
    ] {
        let rig = Rig::new();
        let offer = Offer::linux().with_frontend(key, value);
        let backend = rig.plug(&offer);
        let (back, front) = (rig.accept(&backend), rig.connect(Config::default()));
        rig.settle();
        let front = front.take().expect("an outcome");
        assert_eq!(front.is_ok(), usable, "{key} {value:?}");
        if let (Ok((mut front, _)), Some(Ok(mut back))) = (front, back.take()) {
            assert!(rig.talks(&mut front, &mut back));
            let mtu = if value == Some("9000") { 9000 } else { 1500 };
            assert_eq!(front.mtu(), mtu);
        }
    }
}

#[test]
fn a_backend_may_be_late_but_not_for_ever() {
    let rig = Rig::new();
    let offer = Offer::linux();
    let backend = rig.plug(&offer);
    backend.bus.set_state(XenbusState::Initialising);
    let front = rig.connect(Config::default());
    rig.run_for(Duration::from_secs(9));
    assert!(front.borrow().is_none());
    backend.bus.set_state(XenbusState::InitWait);
    rig.run_for(Duration::from_secs(9));
    assert!(front.borrow().is_none());
    let back = rig.accept(&backend);
    rig.settle();
    assert!(front.take().expect("connected").is_ok());
    assert!(back.take().is_some());

    for state in [
        XenbusState::Initialising,
        XenbusState::InitWait,
        XenbusState::Reconfiguring,
    ] {
        let rig = Rig::new();
        let backend = rig.plug(&offer);
        backend.bus.set_state(state);
        let front = rig.connect(Config::default());
        rig.run_for(Duration::from_secs(30));
        let error = front.take().expect("an end").err();
        assert_eq!(
            error,
            Some(ConnectError::Xenbus(XenbusError::TimedOut)),
            "{state}"
        );
        rig.clean();
    }
}

#[test]
fn a_backend_that_closes_instead_is_an_error() {
    let rig = Rig::new();
    let backend = rig.plug(&Offer::linux());
    let front = rig.connect(Config::default());
    rig.settle();
    backend.bus.set_state(XenbusState::Closing);
    rig.run_for(Duration::from_secs(5));
    assert_eq!(
        front.take().expect("an end").err(),
        Some(ConnectError::Closed)
    );
    rig.clean();
}

#[test]
fn there_may_be_no_device() {
    let rig = Rig::new();
    let front = rig.connect(Config::default());
    rig.settle();
    let error = front.take().expect("an end").err();
    assert!(
        matches!(error, Some(ConnectError::Xenbus(XenbusError::Missing(_)))),
        "{error:?}"
    );
}

#[test]
fn the_backend_goes_away() {
    type Way = fn(&Bus);
    let ways: [(Way, bool); 4] = [
        (|bus| bus.set_state(XenbusState::Closing), true),
        (|bus| bus.set_state(XenbusState::Closed), true),
        (Bus::vanish, true),
        (Bus::remove, false),
    ];
    for (way, orderly) in ways {
        let rig = Rig::new();
        let (backend, back, mut front, link) = rig.joined(&Offer::linux());
        let ended = rig.watch(&link);
        rig.settle();
        assert!(ended.borrow().is_none());
        way(&backend.bus);
        drop(back);
        rig.run_for(Duration::from_millis(10));
        assert_eq!(front.phase(), Phase::Closed);
        let frame = tcp4(100, 1);
        assert!(common::send(&mut front, &frame, 0));
        assert_eq!(
            front.stats().tx_dropped,
            1,
            "as with a cable that is unplugged"
        );
        if orderly {
            assert_eq!(
                backend.bus.frontend_state(),
                Some(XenbusState::Closed).filter(|_| true)
            );
        }
        rig.run_for(Duration::from_secs(5));
        assert!(ended.take().is_some());
        drop((front, link));
        rig.clean();
    }
}

#[test]
fn a_backend_that_will_not_let_go_costs_its_pages() {
    let rig = Rig::new();
    let (_backend, mut back, mut front, link) = rig.joined(&Offer::linux());
    back.manner.holds = true;
    assert!(common::send(&mut front, &other(60, 1), 0));
    front.flush();
    back.poll();
    assert_eq!(back.held(), 1);
    let closing = Rc::clone(&link);
    let domain = rig.guest.0.clone();
    let closed = rig.start(async move {
        // Cancelled half way, and called again.
        let soon = domain.now() + Duration::from_millis(500);
        assert!(domain.timeout(soon, closing.shutdown()).await.is_err());
        closing.shutdown().await
    });
    rig.run_for(Duration::from_secs(5));
    assert_eq!(closed.take(), Some(Err(XenbusError::TimedOut)));
    drop(front);
    assert_eq!(
        rig.guest.0.leaked(),
        2 + 64,
        "the rings, and a chunk of the pool"
    );
    drop(back);
}

#[test]
fn what_was_left_behind_is_closed_first() {
    let rig = Rig::new();
    let (backend, back, front, link) = rig.joined(&Offer::linux());
    drop((back, front, link));
    // Another kernel in the same domain finds the device as it was.
    let again = rig.connect(Config::default());
    let backend_again = Rc::clone(&backend);
    let served = rig.start_on_host(async move {
        backend_again
            .bus
            .frontend_reaches(XenbusState::Closing)
            .await;
        backend_again.bus.set_state(XenbusState::Closing);
        backend_again
            .bus
            .frontend_reaches(XenbusState::Closed)
            .await;
        backend_again.bus.set_state(XenbusState::Closed);
        backend_again
            .bus
            .frontend_reaches(XenbusState::Initialising)
            .await;
        backend_again.bus.set_state(XenbusState::InitWait);
        backend_again.accept().await
    });
    rig.run_for(Duration::from_secs(5));
    let mut back = served.take().expect("served").expect("joined");
    let (mut front, _link) = again.take().expect("connected").expect("a device");
    assert!(rig.talks(&mut front, &mut back));
}

#[test]
fn too_little_memory_or_grants_is_an_error_and_leaves_nothing() {
    for pages in [0, 1, 2, 100, 300, 513] {
        let rig = Rig::new();
        rig.plug(&Offer::linux());
        rig.hypervisor.faults(GUEST).pages_left = Some(pages);
        let front = rig.connect(Config::default());
        rig.settle();
        let error = front.take().expect("an end").err();
        assert_eq!(
            error,
            Some(ConnectError::Setup(SetupError::OutOfMemory)),
            "{pages} pages"
        );
        rig.clean();
    }
    for grants in [0, 1, 2, 100, 300, 513] {
        let rig = Rig::new();
        rig.plug(&Offer::linux());
        rig.hypervisor.faults(GUEST).grants_left = Some(grants);
        let front = rig.connect(Config::default());
        rig.settle();
        let error = front.take().expect("an end").err();
        assert_eq!(
            error,
            Some(ConnectError::Setup(SetupError::NoGrants)),
            "{grants} grants"
        );
        rig.clean();
    }
    for ports in [0, 1] {
        let rig = Rig::new();
        rig.plug(&Offer::linux());
        rig.hypervisor.faults(GUEST).ports_left = Some(ports);
        let front = rig.connect(Config::default());
        rig.settle();
        assert!(matches!(
            front.take().expect("an end"),
            Err(ConnectError::Setup(SetupError::Port(_)))
        ));
        rig.clean();
    }
    // 2 rings, 256 to receive, 64 to send.
    let rig = Rig::new();
    let backend = rig.plug(&Offer::linux());
    rig.hypervisor.faults(GUEST).pages_left = Some(2 + 256 + 64);
    let config = Config {
        tx_pages: 64,
        ..Config::default()
    };
    let (_back, front) = (rig.accept(&backend), rig.connect(config));
    rig.settle();
    assert!(front.take().expect("an end").is_ok());
}

#[test]
fn keys_that_cannot_be_read_or_written_at_once_do_no_harm() {
    let rig = Rig::new();
    let offer = Offer::linux();
    let backend = rig.plug(&offer);
    // What may not be read is not offered; a transaction that conflicts is done again.
    let key = "/local/domain/0/backend/vif/1/0/feature-ipv6-csum-offload";
    rig.server.refuse(key, Errno::EACCES, 1);
    rig.server.conflict(2);
    let (back, front) = (rig.accept(&backend), rig.connect(Config::default()));
    rig.settle();
    let mut back = back.take().expect("accepted").expect("joined");
    let (mut front, _link) = front.take().expect("connected").expect("a device");
    assert!(!front.features().csum6 && front.features().csum4);
    assert!(rig.talks(&mut front, &mut back));
}

#[test]
fn the_carrier_is_followed() {
    let rig = Rig::new();
    let (backend, _back, front, link) = rig.joined(&Offer::linux());
    let ended = rig.watch(&link);
    for (value, up) in [
        ("1", true),
        ("0", false),
        ("?", true),
        ("0", false),
        ("1", true),
    ] {
        backend.bus.write("carrier", value);
        rig.settle();
        assert_eq!(front.carrier(), up, "{value}");
    }
    assert!(ended.borrow().is_none());
}

#[test]
fn the_driver_sleeps_until_there_is_something() {
    let rig = Rig::new();
    let (_backend, mut back, mut front, link) = rig.joined(&Offer::linux());
    let woken = Rc::new(Cell::new(0));
    let (counting, events) = (Rc::clone(&woken), front.events());
    let driver = async move {
        loop {
            events.wait().await;
            counting.set(counting.get() + 1);
        }
    };
    rig.guest.1.spawner().spawn(driver).expect("a task");
    rig.settle();
    while front.receive(common::NOW).is_some() {}
    let before = woken.get();
    rig.run_for(Duration::from_secs(60));
    assert_eq!(woken.get(), before, "idle costs nothing");
    back.inject(netfront::back::Frame::plain(other(60, 2)));
    back.poll();
    rig.settle();
    assert_eq!(woken.get(), before + 1);

    // It may wait for room that will not come any more.
    let closed = rig.start(async move { link.shutdown().await });
    rig.run_for(Duration::from_secs(5));
    assert!(closed.take().is_some());
    assert_eq!(woken.get(), before + 2);
}

/// What a backend does when its frontend closes.
fn let_go(rig: &Rig, backend: &Rc<Backend>, back: Back) {
    let backend = Rc::clone(backend);
    rig.start_on_host(async move {
        backend.bus.frontend_reaches(XenbusState::Closing).await;
        backend.bus.set_state(XenbusState::Closing);
        backend.bus.frontend_reaches(XenbusState::Closed).await;
        drop(back);
        backend.bus.set_state(XenbusState::Closed);
    });
}

/// More tasks than one wait for the one that closes.
#[test]
fn closing_many_times_is_closing_once() {
    let rig = Rig::new();
    let (backend, back, front, link) = rig.joined(&Offer::linux());
    let watched = rig.watch(&link);
    rig.settle();
    let closed: Vec<_> = (0..4)
        .map(|_| {
            let closing = Rc::clone(&link);
            rig.start(async move { closing.shutdown().await })
        })
        .collect();
    let_go(&rig, &backend, back);
    rig.run_for(Duration::from_millis(1));
    assert_eq!(watched.take(), Some(Ok(())));
    for closed in closed {
        assert_eq!(closed.take(), Some(Ok(())));
    }
    drop(front);
    rig.clean();
}

/// The task that runs the link is cancelled while it closes, at any point, of a device that broke as
/// well; the next one ends it.
#[test]
fn closing_may_be_cancelled_and_goes_on() {
    let mut finished = 0;
    for polls in 0..60 {
        let rig = Rig::new();
        let (backend, back, front, link) = rig.joined(&Offer::linux());
        let events = front.events();
        let running = Rc::clone(&link);
        let ended = rig.start(async move {
            let mut left = polls;
            let cancel = std::future::poll_fn(move |cx| {
                if left == polls && events.poll_wait(cx).is_pending() {
                    return Poll::Pending;
                }
                if left == 0 {
                    return Poll::Ready(());
                }
                left -= 1;
                Poll::Pending
            });
            match race(running.run(), cancel).await {
                Either::Left(end) => (true, end),
                Either::Right(()) => (false, running.run().await),
            }
        });
        rig.settle();
        assert!(ended.borrow().is_none());
        backend.bus.set_state(XenbusState::Closing);
        let_go(&rig, &backend, back);
        rig.run_for(Duration::from_millis(1));
        let (first, end) = ended.take().expect("an end");
        assert_eq!(end, Ok(()), "{polls}");
        finished += usize::from(first);
        assert_eq!(backend.bus.frontend_state(), Some(XenbusState::Closed));
        assert_eq!(front.phase(), Phase::Closed);
        drop((front, link));
        rig.clean();
    }
    assert!((5..55).contains(&finished), "{finished}");
}
