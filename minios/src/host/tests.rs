use alloc::rc::Rc;
use core::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::string::String;
use std::vec::Vec;

use super::*;
use crate::event::EventError;
use crate::exec::Executor;
use crate::ring::byte;
use crate::shared::Fault;
use crate::{Grant, OutOfMemory, PAGE_SIZE, Revoke, ShareError};

const GUEST: DomId = DomId(1);

fn pair() -> (Hypervisor, Domain, Domain) {
    let hypervisor = Hypervisor::new();
    let (guest, server) = (hypervisor.domain(GUEST), hypervisor.domain(DomId::ZERO));
    (hypervisor, guest, server)
}

/// What the test's own misuse makes the hypervisor say.
fn caught(misuse: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(misuse)).unwrap_err();
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => String::from(*panic.downcast::<&str>().unwrap()),
    }
}

#[test]
fn pages_are_zeroed_and_come_back() {
    let (hypervisor, guest, _) = pair();
    let mut pages = guest.pages(3).unwrap();
    assert_eq!((pages.count(), pages.len()), (3, 3 * PAGE_SIZE));
    assert!(pages.iter().all(|byte| *byte == 0));
    pages.fill(7);
    assert_eq!(hypervisor.pages(GUEST), 3);
    drop(pages);
    assert_eq!(hypervisor.pages(GUEST), 0);
    assert_eq!(guest.pages(0).err(), Some(OutOfMemory));
    assert_eq!(guest.pages(usize::MAX).err(), Some(OutOfMemory));
}

#[test]
fn memory_runs_out_when_told() {
    let (hypervisor, guest, _) = pair();
    hypervisor.faults(GUEST).pages_left = Some(2);
    assert_eq!(guest.pages(3).err(), Some(OutOfMemory));
    let pages = guest.pages(2).unwrap();
    assert_eq!(guest.memory().frames_free, 0);
    assert_eq!(guest.memory().frames_total, 2);
    assert_eq!(guest.pages(1).err(), Some(OutOfMemory));
    drop(pages);
    assert!(guest.pages(1).is_ok());
}

#[test]
fn a_share_is_wiped_reached_by_its_peer_only_and_revoked() {
    let (hypervisor, guest, server) = pair();
    let mut pages = guest.pages(2).unwrap();
    pages.fill(0x5e);
    let share = guest.share(pages, DomId::ZERO).unwrap();
    assert_eq!(share.grants().len(), 2);
    assert_eq!(share.grant(2), None);
    let second = share.grant(1).unwrap();

    let stranger = hypervisor.domain(DomId(2));
    let refused = map(&stranger, GUEST, second, Access::ReadOnly).err();
    assert_eq!(refused, Some(GrantError::NotForYou));
    let refused = map(&server, GUEST, Grant(999), Access::ReadOnly).err();
    assert_eq!(refused, Some(GrantError::NoSuchGrant));
    let refused = map(&server, DomId(9), second, Access::ReadOnly).err();
    assert_eq!(refused, Some(GrantError::NoSuchGrant));

    let mapping = map(&server, GUEST, second, Access::ReadWrite).unwrap();
    let mut bytes = [1; 8];
    mapping.read(0, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 8], "wiped");
    mapping.write(4, b"hello").unwrap();
    share.read(PAGE_SIZE + 4, &mut bytes).unwrap();
    assert_eq!(&bytes, b"hello\0\0\0");
    assert_eq!(mapping.read(PAGE_SIZE, &mut bytes), Err(Fault::OutOfBounds));
    drop(mapping);

    let pages = share.revoke().unwrap();
    assert_eq!(&pages[PAGE_SIZE + 4..][..5], b"hello");
    let refused = map(&server, GUEST, second, Access::ReadWrite).err();
    assert_eq!(refused, Some(GrantError::NoSuchGrant));
    assert_eq!((hypervisor.grants(GUEST), guest.leaked()), (0, 0));
}

#[test]
fn what_is_published_cannot_be_written_by_the_peer() {
    let (_hypervisor, guest, server) = pair();
    let mut published = guest.publish(guest.pages(1).unwrap(), DomId::ZERO).unwrap();
    let grant = published.grants()[0];
    let refused = map(&server, GUEST, grant, Access::ReadWrite).err();
    assert_eq!(refused, Some(GrantError::ReadOnly));
    let mapping = map(&server, GUEST, grant, Access::ReadOnly).unwrap();
    published.bytes_mut()[10..15].copy_from_slice(b"frame");
    published.write(15, b"!").unwrap();
    let mut bytes = [0; 6];
    mapping.read(10, &mut bytes).unwrap();
    assert_eq!(&bytes, b"frame!");
    assert_eq!(mapping.write(10, b"x"), Err(Fault::ReadOnly));
    assert_eq!(mapping.store_u32(0, 1), Err(Fault::ReadOnly));
    drop(mapping);
    assert_eq!(&published.revoke().unwrap()[10..16], b"frame!");
}

#[test]
fn pages_that_are_still_mapped_are_leaked_and_counted() {
    let (hypervisor, guest, server) = pair();
    let share = guest.share(guest.pages(3).unwrap(), DomId::ZERO).unwrap();
    let mapping = map(&server, GUEST, share.grants()[1], Access::ReadWrite).unwrap();
    assert_eq!(
        share.revoke().err(),
        Some(Revoke::StillMapped { leaked: 3 })
    );
    assert_eq!(guest.leaked(), 3);
    assert_eq!(hypervisor.pages(GUEST), 3);
    assert_eq!(hypervisor.grants(GUEST), 1, "the others are ended");
    // The peer still has it, and does nobody harm.
    mapping.write(0, b"still here").unwrap();
    assert!(guest.pages(1).unwrap().iter().all(|byte| *byte == 0));

    let published = guest.publish(guest.pages(1).unwrap(), DomId::ZERO).unwrap();
    let reading = map(&server, GUEST, published.grants()[0], Access::ReadOnly).unwrap();
    drop(published);
    assert_eq!(guest.leaked(), 4);
    drop((mapping, reading));
    let share = guest.share(guest.pages(1).unwrap(), DomId::ZERO).unwrap();
    drop(share);
    assert_eq!(
        guest.leaked(),
        4,
        "dropping a share that nobody maps loses nothing"
    );
}

#[test]
fn a_full_grant_table_is_an_error_that_leaves_nothing_behind() {
    let (hypervisor, guest, _) = pair();
    hypervisor.faults(GUEST).grants_left = Some(2);
    let refused = guest.share(guest.pages(3).unwrap(), DomId::ZERO).err();
    assert_eq!(refused, Some(ShareError::NoGrants));
    assert_eq!((hypervisor.grants(GUEST), hypervisor.pages(GUEST)), (0, 0));
    let share = guest.share(guest.pages(2).unwrap(), DomId::ZERO).unwrap();
    let refused = guest.publish(guest.pages(1).unwrap(), DomId::ZERO).err();
    assert_eq!(refused, Some(ShareError::NoGrants));
    drop(share);
    assert!(guest.publish(guest.pages(1).unwrap(), DomId::ZERO).is_ok());
}

#[test]
fn several_pages_are_mapped_as_one_if_they_are_one() {
    let (_hypervisor, guest, server) = pair();
    let share = guest.share(guest.pages(2).unwrap(), DomId::ZERO).unwrap();
    let mapping = map_all(&server, GUEST, share.grants(), Access::ReadWrite).unwrap();
    assert_eq!(mapping.len(), 2 * PAGE_SIZE);
    mapping.write(PAGE_SIZE - 2, b"over").unwrap();
    let mut bytes = [0; 4];
    share.read(PAGE_SIZE - 2, &mut bytes).unwrap();
    assert_eq!(&bytes, b"over");
    let reversed: Vec<Grant> = share.grants().iter().rev().copied().collect();
    let refused = map_all(&server, GUEST, &reversed, Access::ReadWrite).err();
    assert_eq!(refused, Some(GrantError::NotContiguous));
    let refused = map_all(&server, GUEST, &[], Access::ReadWrite).err();
    assert_eq!(refused, Some(GrantError::NoSuchGrant));
    drop(mapping);
    assert!(share.revoke().is_ok(), "refused mappings hold nothing");
}

#[test]
fn ports_are_for_the_peer_that_they_were_made_for() {
    let (hypervisor, guest, server) = pair();
    let offer = guest.listen(DomId::ZERO).unwrap();
    let stranger = hypervisor.domain(DomId(2));
    let refused = Some(EventError::Refused);
    assert_eq!(stranger.bind(GUEST, offer.number()).err(), refused);
    assert_eq!(server.bind(GUEST, PortNumber(77)).err(), refused);
    assert_eq!(server.bind(DomId(9), offer.number()).err(), refused);
    let bound = server.bind(GUEST, offer.number()).unwrap();
    assert_eq!(
        server.bind(GUEST, offer.number()).err(),
        refused,
        "bound twice"
    );
    drop(bound);
    assert!(server.bind(GUEST, offer.number()).is_ok(), "and again");

    hypervisor.faults(GUEST).ports_left = Some(0);
    assert_eq!(guest.listen(DomId::ZERO).err(), Some(EventError::NoPorts));
}

#[test]
fn events_coalesce_and_are_taken_once() {
    let (_hypervisor, guest, server) = pair();
    let near = guest.listen(DomId::ZERO).unwrap();
    near.notify();
    let far = server.bind(GUEST, near.number()).unwrap();
    server.dispatch();
    assert!(far.take(), "one is pending from the start");
    assert!(!far.take());
    near.notify();
    near.notify();
    assert!(!far.take(), "not collected yet");
    assert!(server.dispatch());
    assert!(far.take());
    assert!(!server.dispatch());
    assert!(!far.take());
    far.notify();
    assert!(guest.dispatch());
    assert!(near.take());
    drop(near);
    far.notify();
}

#[test]
fn an_event_before_the_wait_is_not_missed() {
    let (hypervisor, guest, server) = pair();
    let near = guest.listen(DomId::ZERO).unwrap();
    let far = server.bind(GUEST, near.number()).unwrap();
    far.notify();
    let executor = Executor::new();
    guest.block_on(&executor, near.event());
    assert_eq!(hypervisor.now(), Instant::ZERO);
    // And one that comes after the dispatch, while the loop goes to sleep.
    far.notify();
    guest.platform().sleep(None);
    guest.block_on(&executor, near.event());
}

#[test]
fn lost_repeated_and_spurious_events() {
    let (hypervisor, guest, server) = pair();
    let near = guest.listen(DomId::ZERO).unwrap();
    let far = server.bind(GUEST, near.number()).unwrap();

    hypervisor.faults(GUEST).lose_events = 1;
    far.notify();
    assert!(!guest.dispatch());
    far.notify();
    assert!(guest.dispatch() && near.take());

    hypervisor.faults(GUEST).repeat_events = 1;
    far.notify();
    assert!(guest.dispatch() && near.take());
    assert!(guest.dispatch() && near.take());
    assert!(!guest.dispatch());

    hypervisor.raise(GUEST, near.number());
    assert!(guest.dispatch() && near.take());
    hypervisor.raise(GUEST, PortNumber(4000));
    assert!(!guest.dispatch(), "nobody's port");
}

#[test]
fn misuse_is_caught() {
    let (_hypervisor, guest, _server) = pair();
    let number = guest.listen(DomId::ZERO).unwrap().number();
    let message = caught(|| guest.platform().port_notify(number.0));
    assert!(message.contains("notified closed port"), "{message}");
    let message = caught(|| guest.platform().port_close(number.0));
    assert!(message.contains("closed port"), "{message}");
    let message = caught(|| guest.platform().grant_end(Grant(500)).unwrap());
    assert!(message.contains("not in force"), "{message}");

    let (_hypervisor, guest, _server) = pair();
    let share = guest.share(guest.pages(1).unwrap(), DomId::ZERO).unwrap();
    let executor = Executor::new();
    let message = caught(|| guest.block_on(&executor, core::future::pending()));
    assert!(message.contains("deadlock"), "{message}");
    drop(share);
}

#[test]
fn freeing_a_granted_page_is_caught() {
    let (_hypervisor, guest, _server) = pair();
    let platform = guest.platform();
    let page = platform.alloc_pages(1).unwrap();
    platform
        .grant_access(page, DomId::ZERO, Access::ReadOnly)
        .unwrap();
    // SAFETY: as `alloc_pages` gave it, and nothing uses it. It is refused, and leaked.
    let message = caught(|| unsafe { platform.free_pages(page, 1) });
    assert!(message.contains("still granted"), "{message}");
}

#[test]
fn a_domain_is_born_with_its_rings() {
    let (hypervisor, guest, server) = pair();
    let executor = Executor::new();
    let (page, port) = guest.store_ring();
    let mut front = byte::Front::new(page, byte::XENSTORE).unwrap();
    let (mapping, far) = hypervisor.store_ring(&server, GUEST).unwrap();
    let mut back = byte::Back::new(mapping, byte::XENSTORE).unwrap();
    guest.dispatch();
    port.take();
    front.write(b"ask").unwrap();
    port.notify();
    server.block_on(&executor, far.event());
    let mut bytes = [0; 3];
    assert_eq!((back.read(&mut bytes), &bytes), (Ok(3), b"ask"));
    back.write(b"yes").unwrap();
    far.notify();
    guest.block_on(&executor, port.event());
    assert_eq!((front.read(&mut bytes), &bytes), (Ok(3), b"yes"));

    let (page, port) = guest.console_ring().unwrap();
    let (mapping, far) = hypervisor.console_ring(&server, GUEST).unwrap();
    page.write(0, b"x").unwrap();
    mapping.read(0, &mut bytes).unwrap();
    assert_eq!(bytes[0], b'x');
    drop(port);
    let (_page, port) = guest.console_ring().unwrap();
    far.notify();
    guest.block_on(&executor, port.event());
}

#[test]
fn domains_run_side_by_side_in_simulated_time() {
    let (hypervisor, guest, server) = pair();
    let near = guest.listen(DomId::ZERO).unwrap();
    let far = server.bind(GUEST, near.number()).unwrap();
    server.dispatch();
    far.take();
    let (here, there) = (Executor::new(), Executor::new());
    let rounds = Rc::new(Cell::new(0));
    let count = rounds.clone();
    let sleeper = guest.clone();
    let ping = async move {
        loop {
            sleeper.sleep(Duration::from_secs(1)).await;
            near.notify();
            near.event().await;
            count.set(count.get() + 1);
        }
    };
    let pong = async move {
        loop {
            far.event().await;
            far.notify();
        }
    };
    here.spawner().spawn(ping).unwrap();
    there.spawner().spawn(pong).unwrap();
    let parties = [(&guest, &here), (&server, &there)];
    hypervisor.run_until(&parties, || rounds.get() == 10);
    assert_eq!(hypervisor.now(), Instant::ZERO + Duration::from_secs(10));
    hypervisor.run_for(&parties, Duration::from_millis(5500));
    assert_eq!(rounds.get(), 15);
    assert_eq!(
        hypervisor.now(),
        Instant::ZERO + Duration::from_millis(15_500)
    );
    hypervisor.block_on(&parties, server.sleep(Duration::from_secs(2)));
    assert_eq!(rounds.get(), 17);
    hypervisor.settle(&parties);
    assert_eq!(rounds.get(), 17);

    // A lost event is a deadlock here, for neither side has a timer to look again.
    hypervisor.faults(GUEST).lose_events = 1;
    let message = caught(|| hypervisor.run_until(&parties, || rounds.get() == 20));
    assert!(message.contains("deadlock"), "{message}");
}

#[test]
fn a_domain_that_never_rests_is_caught() {
    let (hypervisor, guest, _) = pair();
    let executor = Executor::new();
    let restless = async {
        loop {
            crate::exec::yield_now().await;
        }
    };
    executor.spawner().spawn(restless).unwrap();
    let message = caught(|| hypervisor.settle(&[(&guest, &executor)]));
    assert!(message.contains("come to rest"), "{message}");
}

#[test]
fn clock_entropy_and_shutdown() {
    let (hypervisor, guest, server) = pair();
    hypervisor.set_wall(Duration::from_secs(1000));
    hypervisor.advance(Duration::from_millis(1));
    assert_eq!(guest.wall(), Duration::from_millis(1_000_001));
    assert_eq!(guest.now(), server.now());
    let (a, b) = (guest.seed(), guest.seed());
    assert_ne!(a, b);
    assert_eq!(pair().1.seed(), a, "the same in each run");
    assert_eq!(guest.generation(), 0);
    assert_eq!(hypervisor.stopped(GUEST), None);
    guest.shutdown(ShutdownReason::Poweroff);
    assert_eq!(hypervisor.stopped(GUEST), Some(ShutdownReason::Poweroff));
    assert_eq!(hypervisor.stopped(DomId::ZERO), None);
}

#[test]
fn the_task_that_waited_last_is_woken() {
    let (_hypervisor, guest, server) = pair();
    let near = Rc::new(guest.listen(DomId::ZERO).unwrap());
    let far = server.bind(GUEST, near.number()).unwrap();
    let executor = Executor::new();
    let woken = Rc::new(Cell::new((0, 0)));
    for task in 0..2 {
        let (port, woken) = (near.clone(), woken.clone());
        let wait = async move {
            port.event().await;
            let (count, _) = woken.get();
            woken.set((count + 1, task));
        };
        executor.spawner().spawn(wait).unwrap();
    }
    executor.run_ready();
    far.notify();
    assert!(guest.dispatch());
    executor.run_ready();
    assert_eq!(woken.get(), (1, 1));
}
