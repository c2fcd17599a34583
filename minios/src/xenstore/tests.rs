use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use super::*;
use crate::DomId;
use crate::abi::xenstore::{REQ_CONS, REQ_PROD, RSP_CONS, RSP_PROD};
use crate::exec::{Executor, race};
use crate::host::Hypervisor;
use crate::host::store::{self, Server};

const GUEST: DomId = DomId(7);

/// A guest with a store, and the server that it talks to.
struct Rig {
    hypervisor: Hypervisor,
    server: Server,
    dom0: (Domain, Executor),
    guest: (Domain, Executor),
    store: Store,
    /// How the store ended.
    end: Rc<Cell<Option<Lie>>>,
}

impl Rig {
    fn new() -> Self {
        Self::starting_at(0)
    }

    /// The rings' indices start at `index`.
    fn starting_at(index: u32) -> Self {
        let hypervisor = Hypervisor::new();
        let server = Server::new(&hypervisor);
        let dom0 = (hypervisor.domain(DomId::ZERO), Executor::new());
        let guest = (hypervisor.domain(GUEST), Executor::new());
        let (page, _) = guest.0.store_ring();
        for at in [REQ_CONS, REQ_PROD, RSP_CONS, RSP_PROD] {
            page.store_u32(at, index).unwrap();
        }
        server.attach(GUEST).unwrap();
        let serving = server.clone();
        dom0.1
            .spawner()
            .spawn(async move { serving.run().await })
            .unwrap();
        let store = Store::new(&guest.0);
        let end = Rc::new(Cell::new(None));
        let (running, ending) = (store.clone(), Rc::clone(&end));
        guest
            .1
            .spawner()
            .spawn(async move { ending.set(Some(running.run().await)) })
            .unwrap();
        Self {
            hypervisor,
            server,
            dom0,
            guest,
            store,
            end,
        }
    }

    fn settle(&self) {
        let parties = [(&self.dom0.0, &self.dom0.1), (&self.guest.0, &self.guest.1)];
        self.hypervisor.settle(&parties);
    }

    /// Starts a task in the guest; its result is there once it has ended.
    fn start<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> Rc<Cell<Option<T>>> {
        let slot = Rc::new(Cell::new(None));
        let out = Rc::clone(&slot);
        let task = async move { out.set(Some(future.await)) };
        self.guest.1.spawner().spawn(task).unwrap();
        slot
    }

    /// Runs a task in the guest to its end.
    fn run<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> T {
        let slot = self.start(future);
        self.settle();
        slot.take().expect("the task does not end")
    }

    fn read(&self, path: &str) -> Result<String, StoreError> {
        let (store, path) = (self.store.clone(), path.to_string());
        self.run(async move { store.read(&path).await })
    }

    fn write(&self, path: &str, value: &str) -> Result<(), StoreError> {
        let (store, path, value) = (self.store.clone(), path.to_string(), value.to_string());
        self.run(async move { store.write(&path, &value).await })
    }
}

fn home(path: &str) -> String {
    format!("/local/domain/7/{path}")
}

#[test]
fn values_are_written_and_read_wherever_the_indices_start() {
    for index in [0, 1, 1000, u32::MAX - 20, u32::MAX] {
        let rig = Rig::starting_at(index);
        assert_eq!(rig.read("domid").unwrap(), "7");
        rig.write("data/a", "hello").unwrap();
        assert_eq!(rig.server.read(&home("data/a")).unwrap(), "hello");
        // Longer than the rings; and as long as a guest may write.
        let long = "x".repeat(4096);
        rig.server.write(&home("data/b"), &long);
        assert_eq!(rig.read("data/b").unwrap(), long);
        assert_eq!(rig.write("data/b", &long[..2000]), Ok(()));
        let refused = rig.write("data/b", &long[..2001]);
        assert_eq!(refused, Err(StoreError::Refused(Errno::ENOSPC)));
        assert_eq!(rig.end.get(), None);
    }
}

#[test]
fn refusals_are_told_apart() {
    let rig = Rig::new();
    assert_eq!(rig.read("nothing"), Err(StoreError::Refused(Errno::ENOENT)));
    assert_eq!(
        rig.write("name", "x"),
        Err(StoreError::Refused(Errno::EACCES))
    );
    assert_eq!(rig.read("a b"), Err(StoreError::Refused(Errno::EINVAL)));
    rig.server.write_bytes(&home("data/odd"), b"\xff");
    assert_eq!(rig.read("data/odd"), Err(StoreError::NotText));
    let before = rig.server.requests();
    for path in ["", "a\0b", &"x".repeat(ABS_PATH_MAX + 1)] {
        assert_eq!(rig.read(path), Err(StoreError::Unsendable));
    }
    let long = "x".repeat(4090);
    assert_eq!(rig.write("data/a", &long), Err(StoreError::Unsendable));
    assert_eq!(rig.server.requests(), before);
}

#[test]
fn nodes_are_made_listed_and_removed() {
    let rig = Rig::new();
    let store = rig.store.clone();
    rig.run(async move {
        store.mkdir("data/dir").await?;
        store.write("data/dir/b", "2").await?;
        store.write("data/dir/a", [0u8, 255]).await?;
        assert_eq!(store.list("data/dir").await?, ["a", "b"]);
        assert_eq!(store.list("data/dir/a").await?, [""; 0]);
        assert_eq!(store.read_bytes("data/dir/a").await?, [0, 255]);
        store.rm("data/dir/a").await?;
        assert_eq!(store.list("data/dir").await?, ["b"]);
        let error = store.list("data/none").await.unwrap_err();
        assert!(error.is_missing());
        Ok::<_, StoreError>(())
    })
    .unwrap();
}

#[test]
fn tasks_share_the_store_and_replies_may_be_reversed_or_cut_up() {
    for (reverse, chunk) in [(false, 0), (true, 0), (true, 1), (false, 17)] {
        let rig = Rig::new();
        {
            let mut treat = rig.server.misbehave(GUEST);
            treat.reverse = reverse;
            treat.chunk = chunk;
        }
        let mut slots = Vec::new();
        for n in 0..40 {
            let path = format!("data/{n}");
            rig.server.write(&home(&path), &format!("value {n}"));
            let store = rig.store.clone();
            slots.push(rig.start(async move { store.read(&path).await }));
        }
        rig.settle();
        for (n, slot) in slots.into_iter().enumerate() {
            assert_eq!(slot.take(), Some(Ok(format!("value {n}"))));
        }
    }
}

#[test]
fn a_watch_fires_at_once_and_for_what_is_below() {
    let rig = Rig::new();
    let fired = Rc::new(Cell::new(0));
    let (store, count) = (rig.store.clone(), Rc::clone(&fired));
    rig.start(async move {
        let watch = store.watch("device/vif").await.unwrap();
        while watch.changed().await.is_ok() {
            count.set(count.get() + 1);
            if count.get() == 3 {
                break;
            }
        }
    });
    rig.settle();
    assert_eq!(fired.get(), 1);
    rig.server.write(&home("device/vbd/0"), "");
    rig.settle();
    assert_eq!(fired.get(), 1);
    rig.server.write(&home("device/vif/0/state"), "1");
    rig.settle();
    assert_eq!(fired.get(), 2);
    rig.server.rm(&home("device"));
    rig.settle();
    assert_eq!(fired.get(), 3);
    // The watch is gone here, and at the server: changes are no more events.
    let requests = rig.server.requests();
    let events = rig.start(std::future::pending::<()>());
    rig.server.write(&home("device/vif/0/state"), "2");
    rig.settle();
    assert_eq!(rig.server.requests(), requests);
    assert!(events.take().is_none());
    let again = rig.store.clone();
    // It could not be registered a second time under the same token if it were still there.
    rig.run(async move { again.watch("device/vif").await.map(drop) })
        .unwrap();
}

#[test]
fn a_storm_of_events_is_one_and_others_are_served() {
    let rig = Rig::new();
    rig.server.misbehave(GUEST).repeat_events = 2000;
    let fired = Rc::new(Cell::new(0));
    let (store, count) = (rig.store.clone(), Rc::clone(&fired));
    rig.start(async move {
        let watch = store.watch("data").await.unwrap();
        while watch.changed().await.is_ok() {
            count.set(count.get() + 1);
        }
    });
    let read = rig.read("domid");
    assert_eq!(read.unwrap(), "7");
    assert!((1..=2001).contains(&fired.get()));
    assert_eq!(rig.end.get(), None);
}

#[test]
fn waiting_for_a_key_survives_its_absence_and_missing_permission() {
    let rig = Rig::new();
    rig.server
        .refuse("/local/domain/0/backend/state", Errno::EACCES, 0);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let (store, log) = (rig.store.clone(), Rc::clone(&seen));
    let state = rig.start(async move {
        let path = "/local/domain/0/backend/state";
        let accept = |value: Option<&str>| {
            log.borrow_mut().push(value.map(String::from));
            value.filter(|v| *v == "2").map(String::from)
        };
        store.wait_for(path, accept).await
    });
    let path = "/local/domain/0/backend/state";
    rig.settle();
    assert_eq!(*seen.borrow(), [None]);
    rig.server.refuse(path, Errno::EACCES, 1);
    rig.server.write(path, "1");
    rig.settle();
    assert_eq!(*seen.borrow(), [None, None]);
    rig.server.write(path, "1");
    rig.settle();
    rig.server.rm(path);
    rig.settle();
    rig.server.write(path, "2");
    rig.settle();
    assert_eq!(state.take(), Some(Ok("2".to_string())));
    let values = seen.borrow().clone();
    assert_eq!(
        values[2..],
        [Some("1".to_string()), None, Some("2".to_string())]
    );
}

#[test]
fn transactions_are_redone_on_conflicts() {
    let rig = Rig::new();
    rig.server.write(&home("data/n"), "5");
    let (store, server) = (rig.store.clone(), rig.server.clone());
    let tries = Rc::new(Cell::new(0));
    let count = Rc::clone(&tries);
    let done = rig.run(async move {
        store
            .transaction(async |tx: &Tree| {
                count.set(count.get() + 1);
                let n: u32 = tx.read("data/n").await?.parse().unwrap();
                if count.get() < 3 {
                    server.write(&home("data/n"), &format!("{}", n * 10));
                }
                tx.write("data/m", format!("{}", n + 1)).await?;
                Ok::<_, StoreError>(n)
            })
            .await
    });
    assert_eq!((done, tries.get()), (Ok(500), 3));
    assert_eq!(rig.server.read(&home("data/m")).unwrap(), "501");
}

#[test]
fn a_transaction_that_always_conflicts_is_given_up() {
    let rig = Rig::new();
    rig.server.conflict(u32::MAX);
    let store = rig.store.clone();
    let done = rig.run(async move {
        let body = async |tx: &Tree| tx.write("data/x", "1").await;
        store.transaction(body).await
    });
    assert_eq!(done, Err(StoreError::Refused(Errno::EAGAIN)));
    assert_eq!(rig.server.read(&home("data/x")), None);
    // Start, write and end, each time.
    assert_eq!(rig.server.requests(), 3 * u64::from(ATTEMPTS));
}

#[test]
fn a_transaction_that_fails_or_is_cancelled_does_nothing() {
    let rig = Rig::new();
    // More often than there may be transactions at once: none is left open.
    for _ in 0..20 {
        let store = rig.store.clone();
        let failed = rig.run(async move {
            let body = async |tx: &Tree| {
                tx.write("data/x", "1").await?;
                tx.read("missing").await
            };
            store.transaction(body).await
        });
        assert_eq!(failed, Err(StoreError::Refused(Errno::ENOENT)));
        let store = rig.store.clone();
        rig.run(async move {
            let body = async |tx: &Tree| {
                tx.write("data/x", "1").await?;
                std::future::pending::<Result<(), StoreError>>().await
            };
            let cancelled = async {
                store.read("domid").await.unwrap();
                store.read("domid").await.unwrap();
                store.read("domid").await.unwrap();
            };
            race(store.transaction(body), cancelled).await
        });
    }
    assert_eq!(rig.server.read(&home("data/x")), None);
    assert_eq!(rig.end.get(), None);
}

#[test]
fn a_server_that_lies_breaks_the_store_and_hangs_nobody() {
    for lie in [
        store::Lie::WrongRequest,
        store::Lie::WrongType,
        store::Lie::UnknownType,
        store::Lie::Oversized,
        store::Lie::BadEvent,
        store::Lie::Twice,
        store::Lie::Indices,
    ] {
        let rig = Rig::new();
        let store = rig.store.clone();
        let watching = rig.start(async move {
            let watch = store.watch("data").await?;
            watch.changed().await?;
            watch.changed().await
        });
        rig.settle();
        rig.server.misbehave(GUEST).lie = Some(lie);
        let slots: Vec<_> = (0..3)
            .map(|_| {
                let store = rig.store.clone();
                rig.start(async move { store.read("domid").await })
            })
            .collect();
        rig.settle();
        let ended = rig.end.take();
        assert!(ended.is_some(), "{lie:?}");
        assert_eq!(rig.store.broken(), ended);
        for slot in slots {
            let result = slot.take().expect("a read hangs");
            let first = lie == store::Lie::Twice && result == Ok("7".to_string());
            assert!(
                first || result == Err(StoreError::Broken),
                "{lie:?} {result:?}"
            );
        }
        assert_eq!(watching.take(), Some(Err(StoreError::Broken)), "{lie:?}");
        assert_eq!(rig.read("domid"), Err(StoreError::Broken));
        assert_eq!(rig.write("data/x", "1"), Err(StoreError::Broken));
    }
}

#[test]
fn a_ring_that_lies_from_the_start_is_broken() {
    let hypervisor = Hypervisor::new();
    let (domain, executor) = (hypervisor.domain(GUEST), Executor::new());
    let (page, _) = domain.store_ring();
    page.store_u32(RSP_PROD, 5000).unwrap();
    let store = Store::new(&domain);
    assert!(matches!(store.broken(), Some(Lie::Ring(_))));
    let read = domain.block_on(&executor, async { store.read("domid").await });
    assert_eq!(read, Err(StoreError::Broken));
    let lie = domain.block_on(&executor, store.run());
    assert_eq!(Some(lie), store.broken());
}

#[test]
fn a_server_that_has_cut_us_off_keeps_nobody_waiting() {
    let rig = Rig::new();
    rig.server.misbehave(GUEST).silent = true;
    let store = rig.store.clone();
    let reading = rig.start(async move { store.read("domid").await });
    rig.settle();
    assert_eq!(reading.take(), None);
    let (page, port) = rig.guest.0.store_ring();
    page.store_u32(abi::ERROR, 1).unwrap();
    rig.hypervisor.raise(GUEST, port.number());
    rig.settle();
    assert_eq!(reading.take(), Some(Err(StoreError::Broken)));
    assert_eq!(rig.end.get(), Some(Lie::CutOff(1)));
}

#[test]
fn watches_of_a_former_life_are_reset_if_that_is_possible() {
    let rig = Rig::new();
    let store = rig.store.clone();
    let before = rig.server.requests();
    rig.run(async move { store.reset_watches().await }).unwrap();
    assert_eq!(rig.server.requests(), before + 2);
    for value in [Some("0"), None] {
        let key = home("control/platform-feature-xs_reset_watches");
        match value {
            Some(value) => rig.server.write(&key, value),
            None => rig.server.rm(&key),
        }
        let store = rig.store.clone();
        let before = rig.server.requests();
        rig.run(async move { store.reset_watches().await }).unwrap();
        assert_eq!(rig.server.requests(), before + 1);
    }
}

#[test]
fn cancelled_calls_leave_no_trace() {
    let rig = Rig::new();
    let store = rig.store.clone();
    rig.run(async move {
        for _ in 0..200 {
            // The second one is ready at once, so the first is cancelled with its request sent.
            race(store.read("domid"), async {}).await;
            race(store.watch("data"), crate::exec::yield_now()).await;
            crate::exec::yield_now().await;
        }
    });
    let store = rig.store.clone();
    let value = rig.run(async move {
        loop {
            match store.read("domid").await {
                Err(StoreError::Busy) => crate::exec::yield_now().await,
                other => return other,
            }
        }
    });
    assert_eq!(value.unwrap(), "7");
    let mut watches = vec![];
    for _ in 0..100 {
        let store = rig.store.clone();
        watches.push(rig.run(async move { store.watch("data").await }).unwrap());
    }
}
