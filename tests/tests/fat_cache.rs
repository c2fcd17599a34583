//! The page cache: what is in it, what it asks of a device, and what it never does.

use std::future::Future;
use std::ops::Range;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use tests::disk::{Bell, Disk, run};
use www::SectorsError;
use www::cache::{BLOCK, Cache, Chunk, Device};

const B: u64 = BLOCK as u64;

fn bytes(len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at / 512 * 31 + at % 251) as u8)
        .collect()
}

/// A log of one read.
fn one(start: u64, end: u64) -> Vec<Range<u64>> {
    std::iter::once(start..end).collect()
}

/// A disk of so many blocks, and a cache with room for some.
fn device(blocks: usize, room: usize) -> (Disk, Rc<Cache>, Device<Disk>) {
    let disk = Disk::new(bytes(blocks * BLOCK));
    let cache = Cache::new(room * (BLOCK + 512));
    let device = Device::new(&cache, disk.clone());
    (disk, cache, device)
}

/// A future, its waker's bell, and a poll by hand.
struct Hand<F> {
    future: std::pin::Pin<Box<F>>,
    bell: Arc<Bell>,
}

impl<F: Future> Hand<F> {
    fn new(future: F) -> Self {
        Self {
            future: Box::pin(future),
            bell: Arc::default(),
        }
    }

    fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(self.bell.clone());
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

#[test]
fn what_was_read_is_there() {
    let (disk, cache, device) = device(8, 8);
    let whole = disk.bytes();
    for round in 0..2 {
        for number in 0..8 {
            let chunk = run(device.block(number, 1)).expect("a block");
            let at = number as usize * BLOCK;
            assert!(*chunk == whole[at..at + BLOCK]);
        }
        let reads = disk.take_log().len();
        assert_eq!(reads, if round == 0 { 8 } else { 0 });
    }
    let counters = cache.counters();
    assert_eq!((counters.hits, counters.misses), (8, 8));
    assert_eq!((counters.reads, counters.bytes), (8, 8 * B));
    assert_eq!(
        (counters.blocks, counters.held, counters.evictions),
        (8, 0, 0)
    );
}

#[test]
fn blocks_in_a_row_are_one_read() {
    let (disk, _, device) = device(16, 16);
    run(device.block(5, 1)).expect("a block");
    disk.take_log();
    // As far as there is something that is not there.
    run(device.block(2, 10)).expect("a block");
    assert_eq!(disk.take_log(), one(2 * B, 5 * B));
    run(device.block(6, 100)).expect("a block");
    assert_eq!(disk.take_log(), one(6 * B, 16 * B));
}

#[test]
fn the_last_block_is_as_long_as_the_device() {
    let disk = Disk::with_sectors(bytes(BLOCK + 3 * 4096 + 100), 4096);
    let cache = Cache::new(1 << 20);
    let device = Device::new(&cache, disk.clone());
    let last = run(device.block(1, 4)).expect("a block");
    assert!(*last == disk.bytes()[BLOCK..BLOCK + 3 * 4096]);
    for number in [2, 3, u64::MAX / B, u64::MAX] {
        let error = run(device.block(number, 1)).err();
        assert_eq!(error, Some(SectorsError::OutOfRange));
    }
    assert_eq!(disk.take_log().len(), 1);
}

#[test]
fn chunks_are_slices() {
    let (disk, _, device) = device(1, 1);
    let block = run(device.block(0, 1)).expect("a block");
    let whole = disk.bytes();
    assert!(*block.clone().part(100, 50) == whole[100..150]);
    assert!(*block.clone().part(100, 50).part(10, 1000) == whole[110..150]);
    assert!(block.clone().part(BLOCK, 1).is_empty());
    assert!(block.clone().part(usize::MAX, usize::MAX).is_empty());
    assert_eq!(block.part(BLOCK - 1, usize::MAX).len(), 1);
}

#[test]
fn those_who_want_the_same_wait_for_one_read() {
    let (disk, cache, device) = device(4, 4);
    disk.hold(true);
    let mut first = Hand::new(device.block(1, 1));
    let mut second = Hand::new(device.block(1, 1));
    assert!(first.poll().is_pending() && second.poll().is_pending());
    assert_eq!(disk.take_log().len(), 1);
    // The first one gives up: the other is told, and goes on with the same read.
    let rings = second.bell.rings();
    drop(first);
    assert!(second.bell.rings() > rings, "nobody drives the read");
    assert!(second.poll().is_pending());
    disk.hold(false);
    let Poll::Ready(Ok(chunk)) = second.poll() else {
        panic!("no block");
    };
    assert!(*chunk == disk.bytes()[BLOCK..2 * BLOCK]);
    assert_eq!(disk.take_log().len(), 0);
    assert_eq!(cache.counters().reads, 1);
}

#[test]
fn the_device_knows_one_waker_and_all_are_woken() {
    let (disk, _, device) = device(4, 4);
    disk.hold(true);
    let mut waiting: Vec<_> = (0..5).map(|_| Hand::new(device.block(0, 1))).collect();
    for hand in &mut waiting {
        assert!(hand.poll().is_pending());
    }
    disk.hold(false);
    let woken: Vec<_> = (0..5).filter(|n| waiting[*n].bell.rings() > 0).collect();
    assert!(!woken.is_empty());
    // Whoever is woken drives the read to its end, and all the others hear of it.
    assert!(waiting[woken[0]].poll().is_ready());
    for (number, hand) in waiting.iter_mut().enumerate() {
        if number != woken[0] {
            assert!(hand.bell.rings() > 0, "{number}");
            assert!(hand.poll().is_ready());
        }
    }
    assert_eq!(disk.take_log().len(), 1);
}

#[test]
fn a_read_that_nobody_wants_any_more_ends() {
    let (disk, cache, device) = device(8, 8);
    disk.hold(true);
    let mut hand = Hand::new(device.block(0, 8));
    assert!(hand.poll().is_pending());
    assert_eq!((disk.working(), cache.counters().held), (1, 8));
    drop(hand);
    assert_eq!((disk.working(), cache.counters().held), (0, 0));
    disk.hold(false);
    assert!(run(device.block(0, 8)).is_ok());
}

#[test]
fn a_read_ahead_of_one_who_sleeps_is_driven_by_whoever_wants_it() {
    let (disk, _, device) = device(8, 8);
    disk.set_delay(3);
    let sleeper = Arc::new(Bell::default());
    let waker = Waker::from(sleeper);
    let ahead = device.ahead(2, 4, &mut Context::from_waker(&waker));
    assert_eq!(ahead.as_ref().map(|ahead| ahead.len()), Some(4));
    assert_eq!(disk.working(), 1);
    let chunk = run(device.block(3, 1)).expect("a block");
    assert!(*chunk == disk.bytes()[3 * BLOCK..4 * BLOCK]);
    assert_eq!(disk.take_log(), one(2 * B, 6 * B));
    assert!(ahead.is_some_and(|ahead| ahead.is_done()));
    // Dropped while it is under way, it ends.
    let other = device.ahead(6, 2, &mut Context::from_waker(&waker));
    assert_eq!(disk.working(), 1);
    drop(other);
    assert_eq!(disk.working(), 0);
}

#[test]
fn errors_are_not_kept_and_do_not_spread() {
    let (disk, cache, device) = device(8, 8);
    disk.spoil(3 * B / 512 + 7);
    assert!(run(device.block(1, 8)).is_ok(), "another one is bad");
    assert_eq!(run(device.block(3, 8)).err(), Some(SectorsError::Failed));
    assert_eq!(run(device.block(3, 1)).err(), Some(SectorsError::Failed));
    assert_eq!(cache.counters().held, 0);
    disk.heal();
    let chunk = run(device.block(3, 1)).expect("a block");
    assert!(*chunk == disk.bytes()[3 * BLOCK..4 * BLOCK]);
    disk.go_away();
    assert!(run(device.block(3, 1)).is_ok());
    assert_eq!(run(device.block(7, 4)).err(), Some(SectorsError::Away));
}

#[test]
fn what_is_held_stays_and_no_more_memory_is_taken() {
    let (disk, cache, device) = device(40, 8);
    let limit = cache.counters().capacity;
    assert_eq!(limit, 8);
    let whole = disk.bytes();
    let mut held = Vec::new();
    for number in 0..8 {
        held.push(run(device.block(number, 1)).expect("room"));
    }
    assert_eq!(
        run(device.block(20, 1)).err(),
        Some(SectorsError::OutOfMemory)
    );
    assert_eq!(cache.counters().refused, 1);
    for (number, chunk) in held.iter().enumerate() {
        assert!(**chunk == whole[number * BLOCK..][..BLOCK]);
    }
    held.remove(3);
    // As many blocks as there is room for.
    assert!(run(device.block(20, 8)).is_ok());
    assert!(run(device.block(21, 8)).is_ok());
    assert_eq!(cache.counters().blocks, limit);
    // A slice holds its block, too.
    let slice: Chunk = run(device.block(30, 1)).expect("room").part(5, 5);
    assert_eq!(
        run(device.block(31, 1)).err(),
        Some(SectorsError::OutOfMemory)
    );
    assert!(*slice == whole[30 * BLOCK + 5..][..5]);
}

#[test]
fn a_block_that_is_asked_for_stays_longer() {
    let (disk, _, device) = device(100, 10);
    for number in 0..9 {
        run(device.block(number, 1)).expect("room");
    }
    for number in 20..90 {
        run(device.block(number, 1)).expect("room");
        run(device.block(4, 1)).expect("room");
    }
    let reads = disk.take_log();
    assert_eq!(reads.iter().filter(|read| read.start == 4 * B).count(), 1);
}

#[test]
fn devices_are_told_apart() {
    let cache = Cache::new(8 * (BLOCK + 512));
    let one = Device::new(&cache, Disk::new(vec![1; 4 * BLOCK]));
    let two = Device::new(&cache, Disk::new(vec![2; 4 * BLOCK]));
    for number in 0..4 {
        assert_eq!(run(one.block(number, 4)).expect("room")[9], 1);
        assert_eq!(run(two.block(number, 4)).expect("room")[9], 2);
    }
    let held = run(one.block(2, 1)).expect("room");
    drop(one);
    // What was the first one's is free for others, but for what is held.
    let three = Device::new(&cache, Disk::new(vec![3; 4 * BLOCK]));
    let evicted = cache.counters().evictions;
    for number in 0..3 {
        assert_eq!(run(three.block(number, 1)).expect("room")[9], 3);
    }
    assert_eq!(cache.counters().evictions, evicted);
    // What is held counts, though nobody can find it any more.
    assert_eq!(cache.counters().held, 1);
    assert!(run(three.block(3, 1)).is_ok());
    assert_eq!(cache.counters().evictions, evicted + 1);
    assert_eq!(held[9], 1);
}

#[test]
fn a_cache_without_room_says_so() {
    let disk = Disk::new(bytes(BLOCK));
    let device = Device::new(&Cache::new(BLOCK), disk);
    assert_eq!(
        run(device.block(0, 1)).err(),
        Some(SectorsError::OutOfMemory)
    );
}

/// One thing that is done to a cache.
#[derive(Clone, Debug)]
enum Act {
    /// Reads a block of a device.
    Read {
        device: usize,
        number: u64,
        run: usize,
        keep: bool,
    },
    /// Begins to read one, and polls it so often.
    Begin {
        device: usize,
        number: u64,
        run: usize,
        polls: usize,
    },
    /// Goes on with one that was begun.
    Poll(usize),
    /// Gives up one that was begun.
    Cancel(usize),
    /// Lets go of a block that was kept.
    Forget(usize),
    Delay(u32),
}

fn act() -> impl Strategy<Value = Act> {
    let read = (0..2usize, 0..20u64, 1..9usize);
    prop_oneof![
        4 => (read.clone(), any::<bool>()).prop_map(|((device, number, run), keep)| Act::Read { device, number, run, keep }),
        4 => (read, 0..3usize).prop_map(|((device, number, run), polls)| Act::Begin { device, number, run, polls }),
        3 => any::<usize>().prop_map(Act::Poll),
        2 => any::<usize>().prop_map(Act::Cancel),
        2 => any::<usize>().prop_map(Act::Forget),
        1 => (0..4u32).prop_map(Act::Delay),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// Whatever is read, kept, begun and given up: blocks are those of their device, and there are
    /// never more than there may be.
    #[test]
    fn a_cache_is_its_devices(acts in prop::collection::vec(act(), 1..80), room in 1..12usize) {
        let disks = [bytes(19 * BLOCK + 512), bytes(20 * BLOCK).into_iter().rev().collect()];
        let disks = disks.map(Disk::new);
        let contents = [disks[0].bytes(), disks[1].bytes()];
        let cache = Cache::new(room * (BLOCK + 512));
        let devices = [0, 1].map(|n: usize| Device::new(&cache, disks[n].clone()));
        let mut kept: Vec<(usize, u64, Chunk)> = Vec::new();
        let mut begun: Vec<(usize, u64, _)> = Vec::new();
        let right = |device: usize, number: u64, chunk: &Chunk| {
            let at = number as usize * BLOCK;
            let end = contents[device].len().min(at + BLOCK);
            **chunk == contents[device][at..end]
        };
        for act in acts {
            match act {
                Act::Read { device, number, run: blocks, keep } => {
                    match run(devices[device].block(number, blocks)) {
                        Ok(chunk) => {
                            prop_assert!(right(device, number, &chunk));
                            if keep {
                                kept.push((device, number, chunk));
                            }
                        }
                        Err(SectorsError::OutOfMemory) => {
                            prop_assert!(kept.len() + begun.len() > 0, "there is room");
                        }
                        Err(error) => prop_assert!(false, "{error}"),
                    }
                }
                Act::Begin { device, number, run, polls } => {
                    let mut hand = Hand::new(devices[device].block(number, run));
                    if (0..polls).all(|_| hand.poll().is_pending()) {
                        begun.push((device, number, hand));
                    }
                }
                Act::Poll(which) if !begun.is_empty() => {
                    let which = which % begun.len();
                    let (device, number, hand) = &mut begun[which];
                    match hand.poll() {
                        Poll::Pending => {}
                        Poll::Ready(Ok(chunk)) => {
                            prop_assert!(right(*device, *number, &chunk));
                            begun.swap_remove(which);
                        }
                        Poll::Ready(Err(error)) => {
                            prop_assert_eq!(error, SectorsError::OutOfMemory);
                            begun.swap_remove(which);
                        }
                    }
                }
                Act::Cancel(which) if !begun.is_empty() => {
                    begun.swap_remove(which % begun.len());
                }
                Act::Forget(which) if !kept.is_empty() => {
                    kept.swap_remove(which % kept.len());
                }
                Act::Delay(polls) => disks.iter().for_each(|disk| disk.set_delay(polls)),
                _ => {}
            }
            for (device, number, chunk) in &kept {
                prop_assert!(right(*device, *number, chunk));
            }
            let counters = cache.counters();
            prop_assert!(counters.blocks <= counters.capacity && counters.capacity <= room);
        }
        begun.clear();
        prop_assert_eq!(disks[0].working() + disks[1].working(), 0);
        kept.clear();
        prop_assert_eq!(cache.counters().held, 0);
    }
}

#[test]
fn waiting_without_end_is_not_busy() {
    let (disk, _, device) = device(2, 2);
    disk.hold(true);
    let future = pin!(device.block(0, 1));
    let mut hand = Hand::new(future);
    for _ in 0..10 {
        assert!(hand.poll().is_pending());
    }
    assert_eq!(hand.bell.rings(), 0);
    assert_eq!(disk.take_log().len(), 1);
}
