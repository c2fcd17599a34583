use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::task::Wake;
use core::pin::pin;
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::vec;

use proptest::prelude::*;

use super::*;
use crate::DomId;
use crate::exec::Executor;
use crate::host::Hypervisor;

/// A waker that notes when it was woken.
struct Note(usize, Arc<Mutex<Vec<usize>>>);

impl Wake for Note {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(self.0);
    }
}

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

#[derive(Clone, Debug)]
enum Step {
    Add(u64),
    Remove(usize),
    Pass(u64),
}

proptest! {
    /// Timers fire in the order of their deadlines, then of their making, each once, unless removed.
    #[test]
    fn fires_what_is_due_in_order(steps in prop::collection::vec(prop_oneof![
        3 => (0..50u64).prop_map(Step::Add),
        1 => any::<usize>().prop_map(Step::Remove),
        1 => (0..20u64).prop_map(Step::Pass),
    ], 0..200)) {
        let timers = Timers::default();
        let woken = Arc::new(Mutex::new(Vec::new()));
        let mut model = BTreeSet::new();
        let mut ids = Vec::new();
        let mut now = 0;
        for (serial, step) in steps.into_iter().enumerate() {
            match step {
                Step::Add(delay) => {
                    let waker = Waker::from(Arc::new(Note(serial, woken.clone())));
                    let id = timers.add(at(now + delay), &waker).unwrap();
                    ids.push((id, now + delay, serial));
                    model.insert((now + delay, serial));
                }
                Step::Remove(which) => if !ids.is_empty() {
                    let (id, deadline, serial) = ids.swap_remove(which % ids.len());
                    timers.remove(id);
                    model.remove(&(deadline, serial));
                },
                Step::Pass(nanos) => {
                    now += nanos;
                    let due: Vec<usize> = model.iter().take_while(|due| due.0 <= now).map(|due| due.1).collect();
                    model.retain(|due| due.0 > now);
                    prop_assert_eq!(timers.fire(at(now)), !due.is_empty());
                    prop_assert_eq!(core::mem::take(&mut *woken.lock().unwrap()), due);
                }
            }
            prop_assert_eq!(timers.next(), model.first().map(|due| at(due.0)));
        }
        let most = timers.0.borrow().timers.len();
        for (id, ..) in ids {
            timers.remove(id);
        }
        prop_assert_eq!(timers.next(), None);
        prop_assert_eq!(timers.0.borrow().free.len(), most);
    }
}

#[test]
fn a_sleep_ends_when_its_time_has_come() {
    let hypervisor = Hypervisor::new();
    let domain = hypervisor.domain(DomId(1));
    let executor = Executor::new();
    let order = Rc::new(RefCell::new(vec![]));
    for millis in [30, 10, 20, 10] {
        let (sleeper, order) = (domain.clone(), order.clone());
        let task = async move {
            sleeper.sleep(Duration::from_millis(millis)).await;
            order.borrow_mut().push((millis, sleeper.now()));
        };
        executor.spawner().spawn(task).unwrap();
    }
    domain.block_on(&executor, domain.sleep(Duration::from_millis(40)));
    let expected = [10, 10, 20, 30].map(|millis| (millis, at(millis * 1_000_000)));
    assert_eq!(*order.borrow(), expected);
    assert_eq!(domain.now(), at(40_000_000));
}

#[test]
fn a_dropped_sleep_leaves_nothing_behind() {
    let domain = Hypervisor::new().domain(DomId(1));
    let mut cx = Context::from_waker(Waker::noop());
    let mut sleep = domain.sleep(Duration::from_secs(5));
    assert!(Pin::new(&mut sleep).poll(&mut cx).is_pending());
    assert_eq!(domain.next_deadline(), Some(at(5_000_000_000)));
    sleep.reset(at(7_000_000_000));
    assert_eq!(domain.next_deadline(), None);
    assert!(Pin::new(&mut sleep).poll(&mut cx).is_pending());
    assert_eq!(domain.next_deadline(), Some(at(7_000_000_000)));
    drop(sleep);
    assert_eq!(domain.next_deadline(), None);
}

#[test]
fn a_fired_sleep_is_ready_whoever_polls_it() {
    let hypervisor = Hypervisor::new();
    let domain = hypervisor.domain(DomId(1));
    let woken = Arc::new(Mutex::new(Vec::new()));
    let wakers = [1, 2].map(|who| Waker::from(Arc::new(Note(who, woken.clone()))));
    let mut sleep = pin!(domain.sleep(Duration::from_nanos(3)));
    for waker in &wakers {
        let mut cx = Context::from_waker(waker);
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
    }
    hypervisor.advance(Duration::from_nanos(2));
    assert!(!domain.dispatch());
    hypervisor.advance(Duration::from_nanos(1));
    assert!(domain.dispatch());
    assert_eq!(*woken.lock().unwrap(), [2], "the last that polled");
    let mut cx = Context::from_waker(&wakers[0]);
    assert!(sleep.as_mut().poll(&mut cx).is_ready());
}

#[test]
fn a_timeout_is_as_good_as_its_future() {
    let domain = Hypervisor::new().domain(DomId(1));
    let executor = Executor::new();
    let (early, late) = (
        domain.now() + Duration::from_secs(1),
        domain.now() + Duration::from_secs(2),
    );
    let waited = async {
        let inner = domain.sleep_until(early);
        let in_time = domain.timeout(late, inner).await;
        let outer = domain.sleep_until(late + Duration::from_secs(1));
        (in_time, domain.timeout(late, outer).await)
    };
    let waited = domain.block_on(&executor, waited);
    assert_eq!(waited, (Ok(()), Err(crate::domain::TimedOut)));
    assert_eq!(domain.now(), late);
    assert_eq!(domain.next_deadline(), None);
}
