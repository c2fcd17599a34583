//! Disks that come, go, change and come again, under load.

mod common;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use blkfront::back::{Backend, Manner, Media, Offer};
use blkfront::{Blkfront, Config, IoError, Phase, wait_for};
use common::{GUEST, Pair, Rig, XVDA, config, holding, pattern};
use minios::exec::{Either, race};
use minios::xenbus::{XenbusError, XenbusState};
use minios::xenstore::Store;

/// What a reader saw.
#[derive(Default)]
struct Seen {
    reads: Cell<usize>,
    failed: Cell<usize>,
    connections: Cell<usize>,
    device: RefCell<Option<Blkfront>>,
}

/// A guest that keeps a disk connected for as long as it is there, and another task that reads it.
fn reader(rig: &Rig) -> Rc<Seen> {
    let seen = Rc::new(Seen::default());
    let (domain, store, holder) = (rig.guest.0.clone(), rig.store.clone(), Rc::clone(&seen));
    rig.start(async move {
        loop {
            wait_for(&store, XVDA).await.expect("a store");
            let small = Config {
                pages: 32,
                ..config()
            };
            match Blkfront::connect(&domain, &store, XVDA, &small).await {
                Ok((device, link)) => {
                    *holder.device.borrow_mut() = Some(device);
                    holder.connections.set(holder.connections.get() + 1);
                    link.run().await.expect("a good end");
                    *holder.device.borrow_mut() = None;
                }
                // It went while we connected.
                Err(_) => domain.sleep(Duration::from_millis(100)).await,
            }
        }
    });
    for task in 0..4u64 {
        let (domain, seen) = (rig.guest.0.clone(), Rc::clone(&seen));
        rig.start(async move {
            let expected = pattern(300 * 1024);
            for round in 0u64.. {
                let device = seen.device.borrow().clone();
                let Some(device) = device else {
                    domain.sleep(Duration::from_millis(3)).await;
                    continue;
                };
                let (offset, len) = (task * 10_007 + round % 50, 200_000 / (task as usize + 1));
                let mut bytes = vec![0; len];
                match device.read_at(offset, &mut bytes).await {
                    Ok(()) => {
                        assert!(bytes == expected[offset as usize..][..len]);
                        seen.reads.set(seen.reads.get() + 1);
                    }
                    Err(error) => {
                        assert_eq!(error, IoError::Away);
                        seen.failed.set(seen.failed.get() + 1);
                        // Not at the same device again.
                        domain.sleep(Duration::from_millis(5)).await;
                    }
                }
            }
        });
    }
    seen
}

fn serve(rig: &Rig, backend: &Rc<Backend>) -> common::Slot<bool> {
    let backend = Rc::clone(backend);
    rig.start_on_host(async move {
        let (stats, fatal) = backend.serve().await.expect("a frontend");
        assert_eq!(fatal, None);
        stats.requests > 0
    })
}

/// Detached and attached again, again and again, at any moment of its readers.
#[test]
fn a_disk_comes_and_goes_under_load() {
    let rig = Rig::new();
    let media = Media::new(pattern(300 * 1024));
    let seen = reader(&rig);
    rig.run_for(Duration::from_secs(60));
    assert_eq!(seen.connections.get(), 0);
    let before = rig.hypervisor.pages(GUEST);
    for round in 0..30u32 {
        let manner = Manner {
            delay: Duration::from_micros(u64::from(round) * 100 + 50),
            persistent: round % 2 == 0,
            segments: [11, 256][round as usize / 2 % 2],
            ..Manner::linux()
        };
        let backend = rig.plug(&media, &Offer::new(manner));
        let served = serve(&rig, &backend);
        let reads = seen.reads.get();
        rig.run_for(Duration::from_micros(100_000 + u64::from(round) * 37));
        assert_eq!(seen.connections.get(), round as usize + 1);
        assert!(seen.reads.get() > reads + 10, "{round}");
        assert!(rig.hypervisor.grants(GUEST) > 0);

        backend.detach();
        rig.run_for(Duration::from_millis(20));
        assert_eq!(served.take(), Some(true), "closed in good order");
        assert_eq!(backend.bus.frontend_state(), Some(XenbusState::Closed));
        assert_eq!(rig.hypervisor.grants(GUEST), 0);
        assert_eq!(rig.hypervisor.pages(GUEST), before);
        assert!(seen.device.borrow().is_none());
        rig.run_for(Duration::from_millis(500));
        assert_eq!(
            seen.connections.get(),
            round as usize + 1,
            "not yet gone, not again"
        );
        backend.bus.remove();
        rig.run_for(Duration::from_millis(500));
    }
    assert!(seen.failed.get() >= 30, "some were under way");
    rig.clean();
}

/// A backend that dies lets go of everything, without a word; the next one is another.
#[test]
fn a_backend_that_vanishes_is_as_one_that_closes() {
    let rig = Rig::new();
    let media = Media::new(pattern(300 * 1024));
    let seen = reader(&rig);
    for round in 1..=5 {
        let backend = rig.plug(&media, &Offer::new(Manner::linux()));
        let back = rig.accept(&backend);
        rig.run_for(Duration::from_millis(10));
        let mut back = back.take().expect("accepted").expect("joined");
        rig.settle();
        back.poll();
        assert_eq!(seen.connections.get(), round);
        drop(back);
        backend.bus.vanish();
        rig.run_for(Duration::from_millis(10));
        assert_eq!(rig.hypervisor.grants(GUEST), 0);
        backend.bus.remove();
        rig.run_for(Duration::from_millis(10));
    }
    assert!(seen.failed.get() > 0);
    rig.clean();
}

/// A driver domain that was restarted: the same disk comes back without having been taken away.
#[test]
fn a_backend_may_be_restarted() {
    let rig = Rig::new();
    let media = Media::new(pattern(300 * 1024));
    let seen = reader(&rig);
    let manner = Manner {
        delay: Duration::from_micros(100),
        ..Manner::linux()
    };
    let backend = rig.plug(&media, &Offer::new(manner));
    for round in 1..=5 {
        let served = serve(&rig, &backend);
        rig.run_for(Duration::from_millis(100));
        assert_eq!(seen.connections.get(), round);
        assert!(seen.reads.get() > round * 50);
        // It stays online.
        backend.bus.set_state(XenbusState::Closing);
        rig.run_for(Duration::from_millis(1));
        assert_eq!(served.take(), Some(true));
        backend.bus.set_state(XenbusState::InitWait);
    }
    assert_eq!(rig.guest.0.leaked(), 0);
}

#[test]
fn waiting_for_a_disk_ends_when_it_is_there() {
    let rig = Rig::new();
    let waiting = |store: &Store| {
        let store = store.clone();
        rig.start(async move { wait_for(&store, XVDA).await })
    };
    let first = waiting(&rig.store);
    rig.run_for(Duration::from_secs(1));
    assert!(first.borrow().is_none());
    // Watches that fire for nothing, and another disk.
    let server = &rig.server;
    server.write("/local/domain/1/device/vbd", "");
    server.write("/local/domain/1/device/vbd/51712/junk", "");
    let media = Media::new(pattern(512));
    let offer = Offer::new(Manner::linux());
    rig.plug_as(blkfront::Vdev(51728), &media, &offer);
    rig.settle();
    assert!(first.borrow().is_none());
    // On its way out.
    let front = "/local/domain/1/device/vbd/51712";
    let back = "/local/domain/0/backend/vbd/1/51712";
    server.write(&format!("{back}/state"), "6");
    server.write(&format!("{back}/online"), "0");
    server.write(&format!("{front}/backend"), back);
    rig.settle();
    assert!(first.borrow().is_none());
    server.rm(front);
    server.rm(back);
    rig.settle();
    assert!(first.borrow().is_none());
    let backend = rig.plug(&media, &offer);
    rig.settle();
    assert_eq!(first.take(), Some(Ok(())));
    // At once, if it is there.
    let second = waiting(&rig.store);
    rig.settle();
    assert_eq!(second.take(), Some(Ok(())));
    backend.bus.set_state(XenbusState::Closed);
    let third = waiting(&rig.store);
    rig.settle();
    assert_eq!(third.take(), Some(Ok(())), "online: it comes back");
}

#[test]
fn what_is_under_way_fails_when_the_device_closes() {
    for by_backend in [true, false] {
        let media = Media::new(pattern(4 << 20));
        let mut pair = Pair::new(&media, holding(), config());
        let reads: Vec<_> = (0..5).map(|n| pair.read_at(n * 4096, 700_000)).collect();
        let write = pair.write(0, &[1; 4096]);
        let changes = pair.front.clone();
        let resized = pair.rig.start(async move {
            let sectors = changes.sectors();
            changes.resized(sectors).await == sectors
        });
        pair.turn();
        assert!(pair.back.held() > 0 && pair.front.stats().waiting > 0);
        let link = Rc::clone(&pair.link);
        match by_backend {
            true => pair.backend.detach(),
            false => drop(pair.rig.start(async move { link.shutdown().await })),
        }
        pair.rig.settle();
        for read in reads {
            assert_eq!(read.take(), Some(Err(IoError::Away)));
        }
        assert_eq!(write.take(), Some(Err(IoError::Away)));
        assert_eq!(resized.take(), Some(true), "it ends, too");
        assert_eq!(pair.front.phase(), Phase::Closed);
        assert_eq!(
            pair.rig.hypervisor.grants(GUEST),
            272 + 4,
            "they may still be written"
        );
        // The backend finishes what it has begun, into pages that are still there.
        pair.back.answer_all();
        pair.close();
    }
}

/// A backend that says that it is closed and keeps pages has them for good.
#[test]
fn pages_that_are_kept_are_leaked_and_counted() {
    let media = Media::new(pattern(1 << 20));
    let mut pair = Pair::new(&media, Manner::linux(), config());
    let read = pair.read_at(0, 40_000);
    assert!(pair.finish(&read).is_ok());
    pair.backend.detach();
    pair.rig.settle();
    pair.backend.bus.set_state(XenbusState::Closed);
    pair.rig.settle();
    assert_eq!(pair.run.take(), Some(Ok(())));
    // Ten pages of the first chunk of 16, one of segments or none, and the ring.
    assert_eq!(pair.rig.guest.0.leaked(), 16 + 4);
    assert_eq!(pair.rig.hypervisor.pages(GUEST), 16 + 4);
    drop(pair);
}

#[test]
fn a_backend_that_does_not_let_go_in_time_is_an_error() {
    let media = Media::new(pattern(1 << 20));
    let pair = Pair::new(&media, Manner::linux(), config());
    let link = Rc::clone(&pair.link);
    let closed = pair.rig.start(async move { link.shutdown().await });
    pair.rig.run_for(Duration::from_secs(2));
    assert_eq!(closed.take(), Some(Err(XenbusError::TimedOut)));
    assert_eq!(
        pair.rig.guest.0.leaked(),
        4,
        "the ring, which alone was ever mapped"
    );
}

#[test]
fn a_dropped_link_ends_the_device() {
    let media = Media::new(pattern(1 << 20));
    let rig = Rig::new();
    let backend = rig.plug(&media, &Offer::new(Manner::linux()));
    let (back, front) = (rig.accept(&backend), rig.connect(config()));
    rig.settle();
    let (front, link) = front.take().expect("an outcome").expect("a device");
    let reading = front.clone();
    let read = rig.start(async move { reading.read_at(0, &mut [0; 100]).await });
    rig.settle();
    assert!(read.borrow().is_none(), "nobody runs the link");
    drop(back);
    drop(link);
    rig.settle();
    assert_eq!(read.take(), Some(Err(IoError::Away)));
    rig.clean();
}

#[test]
fn a_size_that_changes_is_noticed() {
    for sector_size in [512usize, 4096] {
        let media = Media::new(pattern(64 * 1024));
        let manner = Manner {
            sector_size,
            ..Manner::linux()
        };
        let mut pair = Pair::new(&media, manner, config());
        let sizes = Rc::new(RefCell::new(Vec::new()));
        let (front, list) = (pair.front.clone(), Rc::clone(&sizes));
        pair.rig.start(async move {
            let mut sectors = front.sectors();
            loop {
                sectors = front.resized(sectors).await;
                list.borrow_mut().push(sectors);
            }
        });
        let beyond = pair.read_at(64 * 1024, 4096);
        assert_eq!(pair.finish(&beyond), Err(IoError::OutOfRange));
        pair.backend.resize(128 * 1024);
        pair.turn();
        assert_eq!(pair.front.sectors(), 128 * 1024 / sector_size as u64);
        let there = pair.read_at(60 * 1024, 8192);
        assert_eq!(pair.finish(&there), Ok(pair.bytes(60 * 1024, 8192)));
        // Smaller, while a read of what goes is under way.
        pair.back.manner().holds = true;
        let going = pair.read_at(100 * 1024, 4096);
        pair.turn();
        pair.backend.resize(8192);
        pair.rig.settle();
        pair.back.manner().holds = false;
        assert_eq!(pair.finish(&going), Err(IoError::Failed));
        let gone = pair.read_at(8192, 1);
        assert_eq!(pair.finish(&gone), Err(IoError::OutOfRange));
        // Said again, it is no change.
        pair.backend.resize(8192);
        pair.turn();
        let sectors = [128 * 1024, 8192].map(|bytes| bytes / sector_size as u64);
        assert_eq!(*sizes.borrow(), sectors);
        assert_eq!(pair.front.stats().resizes, 2);
    }
}

/// Two tasks that close at once, while a third one runs the link: one does it, all are told.
#[test]
fn closing_twice_is_closing_once() {
    let media = Media::new(pattern(4096));
    let pair = Pair::new(&media, Manner::linux(), config());
    let closed: Vec<_> = (0..2)
        .map(|_| {
            let link = Rc::clone(&pair.link);
            pair.rig.start(async move { link.shutdown().await })
        })
        .collect();
    let link = Rc::clone(&pair.link);
    pair.close();
    assert!(closed.iter().all(|closed| closed.take() == Some(Ok(()))));
    drop(link);
}

/// A task that ran the link is dropped while it closes, at any point, of a broken device as
/// well; the next one ends it.
#[test]
fn closing_may_be_cancelled_and_goes_on() {
    let mut finished = 0;
    for (polls, broken) in (0..120).map(|run| (run / 2, run % 2 == 1)) {
        let media = Media::new(pattern(4096));
        let rig = Rig::new();
        let backend = rig.plug(&media, &Offer::new(Manner::linux()));
        let served = serve(&rig, &backend);
        let front = rig.connect(config());
        rig.settle();
        let (front, link) = front.take().expect("an outcome").expect("a device");
        let ended = rig.start(async move {
            assert_eq!(front.read_at(0, &mut []).await, Ok(()));
            let (closing, mut left) = (front.clone(), polls);
            let cancel = poll_fn(move |_| {
                if closing.phase() == Phase::Running {
                    return Poll::Pending;
                }
                if left == 0 {
                    return Poll::Ready(());
                }
                left -= 1;
                Poll::Pending
            });
            match race(link.run(), cancel).await {
                Either::Left(end) => (true, end),
                Either::Right(()) => (false, link.run().await),
            }
        });
        rig.settle();
        assert!(ended.borrow().is_none());
        if broken {
            backend.bus.write("sectors", "none");
        }
        backend.detach();
        rig.run_for(Duration::from_millis(1));
        let (first, end) = ended.take().expect("an end");
        assert_eq!(end, Ok(()), "{polls}");
        finished += usize::from(first);
        assert_eq!(served.take(), Some(false), "{polls}");
        assert_eq!(backend.bus.frontend_state(), Some(XenbusState::Closed));
        rig.clean();
    }
    assert!((10..110).contains(&finished), "{finished}");
}
