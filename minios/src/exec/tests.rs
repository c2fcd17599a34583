use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::vec::Vec;

use super::{Either, Executor, SpawnError, race, yield_now};

/// Leaves its waker in the slot, and is ready when the flag is set.
async fn parked(slot: Arc<Mutex<Option<Waker>>>, go: Rc<Cell<bool>>) {
    poll_fn(|cx| {
        *slot.lock().unwrap() = Some(cx.waker().clone());
        if go.get() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// Counts the drops of futures, and checks the thread.
struct Canary(Rc<Cell<u32>>, thread::ThreadId);

impl Canary {
    fn new(drops: &Rc<Cell<u32>>) -> Self {
        Self(Rc::clone(drops), thread::current().id())
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        assert_eq!(self.1, thread::current().id(), "dropped on another thread");
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn tasks_run_in_the_order_of_waking_once_a_pass() {
    let ex = Executor::new();
    let log = Rc::new(RefCell::new(Vec::new()));
    for name in 0..3 {
        let log = Rc::clone(&log);
        ex.spawner()
            .spawn(async move {
                for round in 0..2 {
                    log.borrow_mut().push((round, name));
                    yield_now().await;
                }
            })
            .unwrap();
    }
    assert_eq!(ex.tasks(), 3);
    assert!(ex.run_ready());
    assert_eq!(*log.borrow(), [(0, 0), (0, 1), (0, 2)]);
    assert!(ex.run_ready());
    assert_eq!(log.borrow()[3..], [(1, 0), (1, 1), (1, 2)]);
    assert!(!ex.run_ready());
    assert_eq!(ex.tasks(), 0);
    assert_eq!(log.borrow().len(), 6);
}

#[test]
fn a_task_that_wakes_itself_for_ever_starves_nobody() {
    let ex = Executor::new();
    let polls = Rc::new(Cell::new(0));
    let counter = Rc::clone(&polls);
    ex.spawner()
        .spawn(poll_fn(move |cx| {
            counter.set(counter.get() + 1);
            cx.waker().wake_by_ref();
            cx.waker().wake_by_ref();
            Poll::Pending
        }))
        .unwrap();
    for pass in 1..=10 {
        assert!(ex.run_ready());
        assert_eq!(polls.get(), pass);
    }
}

#[test]
fn a_waiting_task_costs_nothing_until_woken() {
    let ex = Executor::new();
    let slot = Arc::new(Mutex::new(None));
    let go = Rc::new(Cell::new(false));
    ex.spawner()
        .spawn(parked(Arc::clone(&slot), Rc::clone(&go)))
        .unwrap();
    assert!(!ex.run_ready());
    assert!(!ex.is_ready());
    go.set(true);
    let waker = slot.lock().unwrap().take().unwrap();
    waker.wake_by_ref();
    waker.wake_by_ref();
    assert!(ex.is_ready());
    assert!(!ex.run_ready());
    assert_eq!(ex.tasks(), 0);
    waker.wake();
    assert!(!ex.is_ready(), "a task that has ended was scheduled");
}

#[test]
fn tasks_spawn_tasks() {
    let ex = Executor::new();
    let spawner = ex.spawner();
    let ran = Rc::new(Cell::new(0));
    let count = Rc::clone(&ran);
    ex.spawner()
        .spawn(async move {
            for _ in 0..100 {
                let count = Rc::clone(&count);
                spawner
                    .spawn(async move { count.set(count.get() + 1) })
                    .unwrap();
            }
        })
        .unwrap();
    assert!(ex.run_ready());
    assert_eq!((ran.get(), ex.tasks()), (0, 100));
    assert!(!ex.run_ready());
    assert_eq!((ran.get(), ex.tasks()), (100, 0));
    assert!(ex.local.table.borrow().slots.len() <= 101);
}

#[test]
fn waking_never_allocates() {
    let ex = Executor::new();
    let wakers = Rc::new(RefCell::new(Vec::new()));
    for _ in 0..1000 {
        let wakers = Rc::clone(&wakers);
        ex.spawner()
            .spawn(poll_fn(move |cx| {
                wakers.borrow_mut().push(cx.waker().clone());
                Poll::Pending
            }))
            .unwrap();
    }
    assert!(!ex.run_ready());
    let room = ex.local.ready.0.lock().capacity();
    assert!(room >= 1000);
    let taken: Vec<Waker> = wakers.borrow_mut().drain(..).collect();
    for waker in taken.iter().chain(taken.iter()) {
        waker.wake_by_ref();
    }
    assert_eq!(ex.local.ready.len(), 1000);
    assert_eq!(ex.local.ready.0.lock().capacity(), room);
}

#[test]
fn dropping_the_executor_drops_each_task_once() {
    let drops = Rc::new(Cell::new(0));
    let slot = Arc::new(Mutex::new(None));
    let ex = Executor::new();
    let spawner = ex.spawner();
    // Waiting, with a waker outside.
    let canary = Canary::new(&drops);
    let parked = parked(Arc::clone(&slot), Rc::default());
    spawner
        .spawn(async move {
            let _canary = canary;
            parked.await;
        })
        .unwrap();
    // Waiting, with no waker but the executor's.
    let canary = Canary::new(&drops);
    spawner
        .spawn(async move {
            let _canary = canary;
            pending().await
        })
        .unwrap();
    assert!(!ex.run_ready());
    // Ready and never polled; its destructor tries to spawn.
    let canary = Canary::new(&drops);
    struct SpawnOnDrop(super::Spawner, Rc<Cell<Option<SpawnError>>>);
    impl Drop for SpawnOnDrop {
        fn drop(&mut self) {
            self.1.set(self.0.spawn(async {}).err());
        }
    }
    let refused = Rc::new(Cell::new(None));
    let spawn_on_drop = SpawnOnDrop(spawner.clone(), Rc::clone(&refused));
    spawner
        .spawn(async move {
            let _held = (canary, spawn_on_drop);
        })
        .unwrap();
    assert_eq!(spawner.tasks(), 3);
    drop(ex);
    assert_eq!(drops.get(), 3);
    assert_eq!(refused.get(), Some(SpawnError::Stopped));
    slot.lock().unwrap().take().unwrap().wake();
    assert_eq!(drops.get(), 3);
    assert_eq!(spawner.tasks(), 0);
    assert_eq!(spawner.spawn(async {}), Err(SpawnError::Stopped));
}

#[test]
fn a_destructor_that_wakes_a_sibling_does_not_lose_it() {
    struct WakeOnDrop(Arc<Mutex<Option<Waker>>>);
    impl Drop for WakeOnDrop {
        fn drop(&mut self) {
            if let Some(waker) = self.0.lock().unwrap().take() {
                waker.wake();
            }
        }
    }
    let drops = Rc::new(Cell::new(0));
    let slots = [Arc::new(Mutex::new(None)), Arc::new(Mutex::new(None))];
    let ex = Executor::new();
    for (mine, other) in [(0, 1), (1, 0)] {
        let held = (Canary::new(&drops), WakeOnDrop(Arc::clone(&slots[other])));
        let parked = parked(Arc::clone(&slots[mine]), Rc::default());
        ex.spawner()
            .spawn(async move {
                let _held = held;
                parked.await;
            })
            .unwrap();
    }
    ex.run_ready();
    drop(ex);
    assert_eq!(drops.get(), 2);
}

#[test]
fn wakers_work_and_die_on_other_threads() {
    static POLLS: AtomicUsize = AtomicUsize::new(0);
    let drops = Rc::new(Cell::new(0));
    let slot = Arc::new(Mutex::new(None::<Waker>));
    let ex = Executor::new();
    let canary = Canary::new(&drops);
    let inner = Arc::clone(&slot);
    ex.spawner()
        .spawn(async move {
            let _canary = canary;
            poll_fn(|cx| {
                POLLS.fetch_add(1, Ordering::Relaxed);
                *inner.lock().unwrap() = Some(cx.waker().clone());
                Poll::<()>::Pending
            })
            .await;
        })
        .unwrap();
    ex.run_ready();
    let remote = Arc::clone(&slot);
    let waker = thread::spawn(move || {
        for _ in 0..1000 {
            let waker = remote.lock().unwrap().clone();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
        remote.lock().unwrap().take()
    });
    while !waker.is_finished() {
        ex.run_ready();
    }
    let last = waker.join().unwrap();
    ex.run_ready();
    assert!(POLLS.load(Ordering::Relaxed) >= 2);
    drop(ex);
    assert_eq!(drops.get(), 1);
    thread::spawn(move || drop((last, slot))).join().unwrap();
}

#[test]
fn a_panic_ends_its_task_alone() {
    let ex = Executor::new();
    let ran = Rc::new(Cell::new(false));
    let flag = Rc::clone(&ran);
    ex.spawner().spawn(async { panic!("as asked") }).unwrap();
    ex.spawner().spawn(async move { flag.set(true) }).unwrap();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ex.run_ready()));
    assert!(caught.is_err());
    assert_eq!(ex.tasks(), 1);
    ex.run_ready();
    assert!(ran.get());
    assert_eq!(ex.tasks(), 0);
}

#[test]
fn race_prefers_the_first_and_drops_the_loser() {
    let ex = Executor::new();
    let drops = Rc::new(Cell::new(0));
    let out = Rc::new(RefCell::new(Vec::new()));
    let results = Rc::clone(&out);
    let canary = Canary::new(&drops);
    ex.spawner()
        .spawn(async move {
            let first = race(async { 1 }, async { "a" }).await;
            results.borrow_mut().push(first);
            let second = race(
                async move {
                    let _canary = canary;
                    pending::<i32>().await
                },
                async {
                    yield_now().await;
                    "b"
                },
            )
            .await;
            results.borrow_mut().push(second);
        })
        .unwrap();
    while ex.run_ready() {}
    assert_eq!(*out.borrow(), [Either::Left(1), Either::Right("b")]);
    assert_eq!(drops.get(), 1);
}

#[test]
fn a_slot_of_a_task_that_ended_is_used_again() {
    let ex = Executor::new();
    ex.spawner().spawn(async {}).unwrap();
    ex.run_ready();
    let mut table = ex.local.table.borrow_mut();
    assert_eq!((table.reserve(), table.len()), (Some(0), 1));
    table.free.push(0);
    assert_eq!(table.len(), 0);
}
