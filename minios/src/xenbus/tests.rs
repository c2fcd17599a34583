use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use super::XenbusState::*;
use super::*;
use crate::exec::Executor;
use crate::host::Hypervisor;
use crate::host::store::Server;
use crate::xenstore::Errno;

const GUEST: DomId = DomId(7);
const BACK: &str = "/local/domain/0/backend/vif/7/0";
const FRONT: &str = "/local/domain/7/device/vif/0";

struct Rig {
    hypervisor: Hypervisor,
    server: Server,
    dom0: (Domain, Executor),
    guest: (Domain, Executor),
    store: Store,
}

impl Rig {
    fn new() -> Self {
        let hypervisor = Hypervisor::new();
        let server = Server::new(&hypervisor);
        let dom0 = (hypervisor.domain(DomId::ZERO), Executor::new());
        let guest = (hypervisor.domain(GUEST), Executor::new());
        server.attach(GUEST).unwrap();
        let serving = server.clone();
        let task = async move { serving.run().await };
        dom0.1.spawner().spawn(task).unwrap();
        let store = Store::new(&guest.0);
        let running = store.clone();
        let task = async move {
            running.run().await;
        };
        guest.1.spawner().spawn(task).unwrap();
        Self {
            hypervisor,
            server,
            dom0,
            guest,
            store,
        }
    }

    /// With a vif plugged in.
    fn with_vif() -> Self {
        let rig = Self::new();
        let front = (GUEST, &[("mac", "00:16:3e:00:00:01")][..]);
        let back = (DomId::ZERO, &[("feature-sg", "1"), ("odd", "maybe")][..]);
        rig.server.plug("vif", 0, front, back);
        rig
    }

    fn parties(&self) -> [crate::host::Party<'_>; 2] {
        [(&self.dom0.0, &self.dom0.1), (&self.guest.0, &self.guest.1)]
    }

    fn settle(&self) {
        self.hypervisor.settle(&self.parties());
    }

    fn start<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> Rc<Cell<Option<T>>> {
        let slot = Rc::new(Cell::new(None));
        let out = Rc::clone(&slot);
        let task = async move { out.set(Some(future.await)) };
        self.guest.1.spawner().spawn(task).unwrap();
        slot
    }

    /// Runs a task to its end, letting time pass if it must.
    fn run<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> T {
        let slot = self.start(future);
        let result = Cell::new(None);
        self.hypervisor.run_until(&self.parties(), || {
            result.set(slot.take());
            let done = result.take();
            let ended = done.is_some();
            result.set(done);
            ended
        });
        result.take().unwrap()
    }

    fn open(&self) -> Result<Rc<Frontend>, XenbusError> {
        let (domain, store) = (self.guest.0.clone(), self.store.clone());
        let opening = async move { Frontend::open(&domain, &store, "vif", 0).await };
        self.run(opening).map(Rc::new)
    }

    fn back(&self, state: XenbusState) {
        self.server.write(&format!("{BACK}/state"), state.value());
    }

    fn front_state(&self) -> Option<String> {
        self.server.read(&format!("{FRONT}/state"))
    }
}

#[test]
fn a_device_is_found_and_its_keys_are_typed() {
    let rig = Rig::with_vif();
    let fe = rig.open().unwrap();
    assert_eq!(
        (fe.class(), fe.id(), fe.backend_id()),
        ("vif", 0, DomId::ZERO)
    );
    assert_eq!(fe.backend().path(), BACK);
    assert_eq!(fe.state(), Initialising);
    rig.run(async move {
        assert_eq!(fe.frontend().mac("mac").await?.unwrap().0[5], 1);
        assert!(fe.backend().flag("feature-sg", false).await?);
        assert!(!fe.backend().flag("feature-none", false).await?);
        assert_eq!(fe.backend().number("queues", 1).await?, 1);
        assert_eq!(fe.read_backend("feature-sg").await?.as_deref(), Some("1"));
        assert_eq!(fe.read_frontend("none").await?, None);
        assert_eq!(fe.backend_state().await?, Some(Initialising));
        let bad = XenbusError::BadValue {
            key: "odd".to_string(),
            value: "maybe".to_string(),
        };
        assert_eq!(bad.to_string(), "odd is \"maybe\"");
        assert_eq!(fe.backend().flag("odd", true).await, Err(bad.clone()));
        assert_eq!(fe.backend().number("odd", 0).await, Err(bad.clone()));
        assert_eq!(fe.backend().mac("odd").await, Err(bad));
        Ok::<_, XenbusError>(())
    })
    .unwrap();
}

#[test]
fn forbidden_keys_are_missing_keys_and_odd_bytes_are_bad_values() {
    let rig = Rig::with_vif();
    let fe = rig.open().unwrap();
    rig.server
        .refuse(&format!("{BACK}/feature-sg"), Errno::EACCES, 1);
    rig.server
        .write_bytes(&format!("{BACK}/bytes"), b"\xff\xfe");
    rig.server.write(&format!("{BACK}/long"), &"x".repeat(4000));
    rig.run(async move {
        assert!(!fe.backend().flag("feature-sg", false).await.unwrap());
        assert!(fe.backend().flag("feature-sg", false).await.unwrap());
        let bad = fe.read_backend("bytes").await;
        assert!(matches!(bad, Err(XenbusError::BadValue { .. })));
        let long = fe.backend().number("long", 0).await.unwrap_err();
        assert_eq!(long.to_string().len(), "long is \"\"".len() + 40);
    });
}

#[test]
fn devices_that_are_not_there_or_not_whole() {
    let rig = Rig::new();
    let path = "device/vif/0/backend".to_string();
    assert_eq!(rig.open().unwrap_err(), XenbusError::Missing(path));
    for (key, value) in [
        ("backend", "relative/path"),
        ("backend", ""),
        ("backend-id", "65536"),
        ("backend-id", "x"),
        ("state", "17"),
    ] {
        let rig = Rig::with_vif();
        rig.server.write(&format!("{FRONT}/{key}"), value);
        let error = rig.open().unwrap_err();
        let expected = XenbusError::BadValue {
            key: key.to_string(),
            value: value.to_string(),
        };
        assert_eq!(error, expected);
    }
}

#[test]
fn devices_are_listed() {
    let rig = Rig::with_vif();
    for name in ["10", "2", "junk", "-1"] {
        rig.server
            .write(&format!("/local/domain/7/device/vif/{name}"), "");
    }
    let store = rig.store.clone();
    let listed =
        rig.run(async move { (devices(&store, "vif").await, devices(&store, "vbd").await) });
    assert_eq!(listed, (Ok(vec![0, 2, 10]), Ok(vec![])));
}

/// Does what it is told to, and keeps a log of it.
async fn drive(fe: Rc<Frontend>, log: Rc<RefCell<Vec<Step>>>) -> XenbusError {
    loop {
        let step = match fe.next().await {
            Ok(step) => step,
            Err(error) => return error,
        };
        log.borrow_mut().push(step);
        let done = match step {
            Step::Offer => match fe.publish(&[("a", "1"), ("b", "2")]).await {
                Ok(()) => fe.set_state(Connected).await,
                failed => failed,
            },
            Step::Close => match fe.close().await {
                Err(XenbusError::TimedOut) => Ok(()),
                done => done,
            },
            Step::Reopen => fe.set_state(Initialising).await,
            Step::Use | Step::Wait => Ok(()),
        };
        if let Err(error) = done {
            return error;
        }
    }
}

#[test]
fn it_connects_closes_and_connects_again() {
    let rig = Rig::with_vif();
    let fe = rig.open().unwrap();
    let log = Rc::new(RefCell::new(vec![]));
    let end = rig.start(drive(Rc::clone(&fe), Rc::clone(&log)));
    rig.settle();
    assert_eq!(*log.borrow(), []);
    rig.back(InitWait);
    rig.settle();
    assert_eq!(*log.borrow(), [Step::Offer]);
    assert_eq!(rig.server.read(&format!("{FRONT}/a")).unwrap(), "1");
    assert_eq!(rig.front_state().unwrap(), "4");
    for _ in 0..3 {
        rig.back(Connected);
        rig.settle();
        assert_eq!(*log.borrow(), [Step::Offer, Step::Use]);
    }
    // The back end closes, and lets go when we have.
    rig.back(Closing);
    rig.settle();
    assert_eq!(rig.front_state().unwrap(), "6");
    rig.back(Closed);
    rig.settle();
    assert_eq!(rig.front_state().unwrap(), "1");
    rig.back(InitWait);
    rig.settle();
    rig.back(Connected);
    rig.settle();
    let (once, again) = ([Step::Offer, Step::Use], [Step::Offer, Step::Use]);
    let between = [Step::Close, Step::Reopen];
    assert_eq!(*log.borrow(), [once, between, again].concat());
    assert_eq!(end.take(), None);
    assert_eq!(
        rig.hypervisor.now(),
        crate::Instant::ZERO,
        "nothing timed out"
    );
}

#[test]
fn a_device_being_taken_away_is_not_reopened() {
    let rig = Rig::with_vif();
    let fe = rig.open().unwrap();
    let log = Rc::new(RefCell::new(vec![]));
    let end = rig.start(drive(Rc::clone(&fe), Rc::clone(&log)));
    rig.back(InitWait);
    rig.settle();
    rig.back(Connected);
    rig.settle();
    // As libxl does.
    rig.server.write(&format!("{BACK}/online"), "0");
    rig.back(Closing);
    rig.settle();
    rig.back(Closed);
    rig.settle();
    rig.server.rm(BACK);
    rig.server.rm(FRONT);
    rig.settle();
    assert_eq!(*log.borrow(), [Step::Offer, Step::Use, Step::Close]);
    assert_eq!(rig.front_state(), None, "it was made again");
    assert_eq!(end.take(), None);
}

#[test]
fn a_device_removed_under_us_is_closed_and_missing() {
    let rig = Rig::with_vif();
    let fe = rig.open().unwrap();
    let log = Rc::new(RefCell::new(vec![]));
    rig.start(drive(Rc::clone(&fe), Rc::clone(&log)));
    rig.back(InitWait);
    rig.settle();
    rig.back(Connected);
    rig.settle();
    rig.server.rm(FRONT);
    rig.server.rm(BACK);
    rig.settle();
    assert_eq!(log.borrow().last(), Some(&Step::Close));
    assert_eq!(fe.state(), Closed);
    assert_eq!(rig.front_state(), None);
    let gone = rig.run(async move {
        (
            fe.publish(&[("a", "1")]).await,
            fe.set_state(Initialising).await,
        )
    });
    let missing = || Err(XenbusError::Missing("device/vif/0/state".to_string()));
    assert_eq!(gone, (missing(), missing()));
}

#[test]
fn a_back_end_that_does_not_let_go_is_waited_for_a_second() {
    let rig = Rig::with_vif();
    let fe = rig.open().unwrap();
    rig.back(Connected);
    let closed = rig.run(async move { (fe.next().await, fe.close().await) });
    assert_eq!(closed, (Ok(Step::Close), Err(XenbusError::TimedOut)));
    assert_eq!(rig.front_state().unwrap(), "6");
    assert_eq!(rig.hypervisor.now().as_nanos(), 1_000_000_000);
}

#[test]
fn a_lie_about_the_state_is_an_error() {
    let rig = Rig::with_vif();
    let fe = rig.open().unwrap();
    let log = Rc::new(RefCell::new(vec![]));
    let end = rig.start(drive(fe, log));
    rig.server.write(&format!("{BACK}/state"), "99");
    rig.settle();
    let lie = XenbusError::BadValue {
        key: "state".to_string(),
        value: "99".to_string(),
    };
    assert_eq!(end.take(), Some(lie));
}

#[test]
fn states_can_be_waited_for_through_absence() {
    let rig = Rig::with_vif();
    let fe = rig.open().unwrap();
    rig.server.rm(BACK);
    let waiting = rig.start(async move { fe.wait_backend(&[InitWait, Connected]).await });
    rig.settle();
    rig.back(Initialising);
    rig.settle();
    assert_eq!(waiting.take(), None);
    rig.back(Connected);
    rig.settle();
    assert_eq!(waiting.take(), Some(Ok(Connected)));
}

#[test]
fn keys_are_published_all_at_once_in_spite_of_conflicts() {
    let rig = Rig::with_vif();
    let fe = rig.open().unwrap();
    rig.server.conflict(3);
    let watch = rig.server.watch(FRONT);
    watch.take();
    rig.run(async move { fe.publish(&[("a", "1"), ("b", "2")]).await })
        .unwrap();
    assert_eq!(watch.take(), [format!("{FRONT}/a"), format!("{FRONT}/b")]);
}
