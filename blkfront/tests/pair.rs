//! Reading and writing, with backends of every kind that keep to the protocol.

mod common;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use blkfront::back::{Manner, Media};
use blkfront::{Config, IoError, Sector, Stats};
use common::{Pair, config, holding, pattern};
use proptest::prelude::*;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Every feature that a backend may have or not, every size of sector, and rings whose indices wrap.
#[test]
fn every_kind_of_backend_reads_writes_and_flushes() {
    let len = 200 * KIB;
    for (sector_size, segments, ring_order, pages, flags) in kinds() {
        let manner = Manner {
            sector_size,
            segments,
            ring_order,
            persistent: flags & 1 != 0,
            flush: flags & 2 != 0,
            says_indirect: flags & 4 != 0,
            ..Manner::linux()
        };
        let media = Media::new(pattern(len));
        let config = Config { pages, ..config() };
        let mut pair = Pair::new(&media, manner, config);
        let about = format!("{manner:?}, {pages} pages");
        assert_eq!(pair.front.sector_size() as usize, sector_size, "{about}");
        assert_eq!(pair.front.sectors() as usize, len / sector_size, "{about}");
        let most = segments.clamp(11, 512).min(pages - 1) * 4096;
        assert_eq!(pair.front.largest_read(), most, "{about}");

        // All of it at once, into uneven buffers, none of which needs to have anything.
        let lens = [
            sector_size,
            0,
            3 * sector_size,
            len - 5 * sector_size,
            sector_size,
        ];
        let read = pair.read(0, &lens);
        assert_eq!(pair.finish(&read), Ok(pattern(len)), "{about}");
        // Not from the start.
        let (first, count) = (3, 20);
        let read = pair.read(first as u64, &[count * sector_size]);
        let expected = pair.bytes(first * sector_size, count * sector_size);
        assert_eq!(pair.finish(&read), Ok(expected), "{about}");

        let new: Vec<u8> = pattern(30 * sector_size).iter().map(|byte| !byte).collect();
        let written = pair.write(5, &new);
        assert_eq!(pair.finish(&written), Ok(()), "{about}");
        assert_eq!(pair.bytes(5 * sector_size, new.len()), new, "{about}");
        let read = pair.read(5, &[new.len()]);
        assert_eq!(pair.finish(&read), Ok(new), "{about}");

        let flushed = pair.flush();
        let expected = match manner.flush {
            true => Ok(()),
            false => Err(IoError::Unsupported),
        };
        assert_eq!(pair.finish(&flushed), expected, "{about}");
        assert_eq!(media.borrow().flushes, usize::from(manner.flush), "{about}");

        let stats = pair.front.stats();
        assert_eq!(stats.pages_free as usize, pages, "{about}");
        assert_eq!(stats.indirect > 0, segments > 11, "{about}");
        assert_eq!(stats.errors + stats.unsupported, 0, "{about}");
        assert!(
            pair.back.stats().most_segments <= segments.max(11),
            "{about}"
        );
        if !manner.persistent {
            assert_eq!(pair.back.stats().kept, 0, "{about}");
        }
        pair.close();
    }
}

/// Sector sizes, segments, ring orders, pages and flags.
fn kinds() -> Vec<(usize, usize, u32, usize, u8)> {
    let mut all = Vec::new();
    for sector_size in [512, 1024, 2048, 4096] {
        for segments in [0, 11, 12, 32, 256, 4096] {
            all.push((sector_size, segments, 4, 272, 3));
            all.push((sector_size, segments, 0, 16, 4));
        }
    }
    for ring_order in 0..=4 {
        for flags in 0..8 {
            all.push((512, 256, ring_order, 64, flags));
        }
    }
    all
}

#[test]
fn a_mebibyte_is_one_request_where_256_segments_are_taken() {
    for (manner, requests) in [(Manner::linux(), 1), (Manner::qemu(), 24)] {
        let media = Media::new(pattern(2 * MIB));
        let mut pair = Pair::new(&media, manner, Config::default());
        let read = pair.read_at(0, MIB);
        assert_eq!(pair.finish(&read), Ok(pattern(MIB)));
        let stats = pair.front.stats();
        assert_eq!(stats.requests, requests);
        assert_eq!(stats.bytes_read, MIB as u64);
        assert_eq!((stats.batches, stats.notifies), (1, 1), "{manner:?}");
        pair.idle();
        // Twice as much needs pages twice.
        let read = pair.read_at(0, 2 * MIB);
        assert_eq!(pair.finish(&read), Ok(pattern(2 * MIB)));
        let stats = pair.front.stats();
        assert!(stats.requests <= 3 * requests + 1, "{stats:?}");
        assert_eq!(stats.waits, 1);
        pair.idle();
        pair.close();
    }
}

#[test]
fn the_backend_finds_the_same_pages_again() {
    let media = Media::new(pattern(MIB));
    let mut pair = Pair::new(&media, Manner::linux(), config());
    for round in 0..100 {
        let read = pair.read_at(round * 512, 60 * KIB);
        assert!(pair.finish(&read).is_ok());
    }
    let kept = pair.back.stats().kept;
    assert_eq!(kept, 15 + 1, "those of a request, and one of segments");
    pair.close();
}

#[test]
fn what_is_asked_for_together_is_one_batch_and_one_event() {
    let media = Media::new(pattern(MIB));
    let mut pair = Pair::new(&media, Manner::linux(), config());
    let before = pair.back.stats().events;
    let reads: Vec<_> = (0..10).map(|n| pair.read_at(n * 8192, 8192)).collect();
    pair.turn();
    for (n, read) in reads.iter().enumerate() {
        assert_eq!(read.take(), Some(Ok(pair.bytes(n * 8192, 8192))));
    }
    let stats = pair.front.stats();
    assert_eq!((stats.requests, stats.batches, stats.notifies), (10, 1, 1));
    assert_eq!(pair.back.stats().events, before + 1);
    assert_eq!(pair.back.stats().notifies, 1, "answered together, too");
    pair.close();
}

#[test]
fn answers_come_in_any_order() {
    let media = Media::new(pattern(MIB));
    let mut pair = Pair::new(&media, holding(), config());
    let reads: Vec<_> = (0..8).map(|n| pair.read_at(n * 4096 + 100, 9000)).collect();
    pair.turn();
    assert_eq!(pair.back.held(), 8);
    for place in [7, 0, 3, 4, 1, 2, 1, 0] {
        pair.back.answer(place);
        pair.turn();
    }
    for (n, read) in reads.iter().enumerate() {
        assert_eq!(read.take(), Some(Ok(pair.bytes(n * 4096 + 100, 9000))));
    }
    pair.idle();
    pair.close();
}

/// One call's parts as well.
#[test]
fn parts_of_a_read_come_in_any_order() {
    let media = Media::new(pattern(MIB));
    let manner = Manner {
        segments: 11,
        ..holding()
    };
    let mut pair = Pair::new(&media, manner, config());
    let read = pair.read(3, &[512, 100 * KIB, 200 * KIB + 512, 0, 20 * KIB]);
    pair.turn();
    let parts = pair.back.held();
    assert_eq!(parts, (321 * KIB).div_ceil(11 * 4096));
    for part in 0..parts {
        let places = pair.back.held();
        pair.back.answer(part * 5 % places);
        pair.turn();
    }
    assert_eq!(read.take(), Some(Ok(pair.bytes(3 * 512, 321 * KIB))));
    pair.idle();
    pair.close();
}

#[test]
fn what_cannot_be_is_refused_at_once() {
    let media = Media::new(pattern(64 * KIB));
    let manner = Manner {
        read_only: true,
        sector_size: 4096,
        ..Manner::linux()
    };
    let mut pair = Pair::new(&media, manner, config());
    let before = pair.front.stats();
    assert!(pair.front.read_only());
    assert!(!pair.front.can_flush());
    let out = Err(IoError::OutOfRange);
    for (offset, len, expected) in [
        (64 * KIB as u64, 0, Ok(vec![])),
        (64 * KIB as u64, 1, out.clone()),
        (64 * KIB as u64 - 1, 2, out.clone()),
        (u64::MAX, 1, out.clone()),
        (u64::MAX, 0, out.clone()),
        (1 << 63, 4096, out.clone()),
    ] {
        let read = pair.read_at(offset, len);
        assert_eq!(pair.finish(&read), expected, "{offset} {len}");
    }
    for (first, lens, expected) in [
        (0, &[512][..], Err(IoError::Misaligned)),
        (0, &[2048, 2048], Err(IoError::Misaligned)),
        (16, &[4096], out.clone()),
        (u64::MAX, &[4096], out.clone()),
        (u64::MAX / 4096, &[4096], out.clone()),
        (16, &[], Ok(vec![])),
    ] {
        let read = pair.read(first, lens);
        assert_eq!(pair.finish(&read), expected, "{first} {lens:?}");
    }
    let write = pair.write(0, &[0; 4096]);
    assert_eq!(pair.finish(&write), Err(IoError::ReadOnly));
    let flush = pair.flush();
    assert_eq!(pair.finish(&flush), Err(IoError::Unsupported));
    assert_eq!(pair.front.stats(), before, "nothing was asked for");
    pair.close();
}

#[test]
fn an_error_fails_its_own_call_only() {
    let media = Media::new(pattern(MIB));
    for manner in [Manner::linux(), Manner::qemu()] {
        let mut pair = Pair::new(&media, manner, config());
        media.borrow().bad.insert(200);
        let (bad, fine) = (
            pair.read_at(99 * KIB as u64, 4096),
            pair.read_at(0, 99 * KIB),
        );
        assert_eq!(pair.finish(&bad), Err(IoError::Failed));
        assert_eq!(pair.finish(&fine), Ok(pair.bytes(0, 99 * KIB)));
        let (bad, fine) = (pair.read_at(0, MIB), pair.read_at(101 * KIB as u64, 5000));
        assert_eq!(pair.finish(&bad), Err(IoError::Failed));
        assert_eq!(pair.finish(&fine), Ok(pair.bytes(101 * KIB, 5000)));
        let bad = pair.write(199, &[1; 1024]);
        assert_eq!(pair.finish(&bad), Err(IoError::Failed));
        media.borrow().bad.clear();
        let fine = pair.read_at(0, MIB);
        assert_eq!(pair.finish(&fine), Ok(pair.bytes(0, MIB)));
        assert!(pair.front.stats().errors >= 3);
        assert_eq!(pair.front.stats().broken, 0);
        pair.idle();
        pair.close();
    }
}

/// A backend that offers what it cannot do is asked in another way, and not again.
#[test]
fn what_is_unsupported_is_done_without() {
    let media = Media::new(pattern(3 * MIB));
    let manner = Manner {
        unsupported: true,
        ..Manner::linux()
    };
    let mut pair = Pair::new(&media, manner, config());
    let read = pair.read_at(1000, 3 * MIB - 2000);
    let small = pair.read_at(0, 5000);
    assert_eq!(pair.finish(&read), Ok(pair.bytes(1000, 3 * MIB - 2000)));
    assert_eq!(pair.finish(&small), Ok(pair.bytes(0, 5000)));
    let refused = pair.front.stats().unsupported;
    assert!(refused > 0);
    assert_eq!(pair.front.largest_read(), 11 * 4096);
    let new = vec![7; 2 * MIB];
    let written = pair.write(64, &new);
    assert_eq!(pair.finish(&written), Ok(()));
    assert_eq!(pair.bytes(64 * 512, 2 * MIB), new);
    assert_eq!(pair.front.stats().unsupported, refused);

    assert!(pair.front.can_flush());
    for _ in 0..2 {
        let flush = pair.flush();
        assert_eq!(pair.finish(&flush), Err(IoError::Unsupported));
        assert!(!pair.front.can_flush());
    }
    assert_eq!(pair.front.stats().unsupported, refused + 1);
    pair.idle();
    pair.close();
}

/// As above, when the one that learns it is a write.
#[test]
fn a_write_is_done_again_without_indirection() {
    let media = Media::new(pattern(3 * MIB));
    let manner = Manner {
        unsupported: true,
        ..holding()
    };
    let mut pair = Pair::new(&media, manner, config());
    let new: Vec<u8> = pattern(2 * MIB + 512).iter().map(|byte| !byte).collect();
    let written = pair.write(1, &new);
    for _ in 0..200 {
        pair.turn();
        let last = pair.back.held().saturating_sub(1);
        pair.back.answer(last);
    }
    assert_eq!(written.take(), Some(Ok(())));
    assert_eq!(pair.bytes(512, new.len()), new);
    pair.idle();
    pair.close();
}

/// Many calls for few pages: all end, and a small one need not wait for all of a large one.
#[test]
fn who_waits_is_served_in_turn() {
    let media = Media::new(pattern(4 * MIB));
    let config = Config {
        pages: 16,
        ring_order: 0,
        ..config()
    };
    let mut pair = Pair::new(&media, holding(), config);
    let large = pair.read_at(0, 2 * MIB);
    pair.rig.settle();
    let writes: Vec<_> = (0..5)
        .map(|n| pair.write(6000 + n * 16, &[n as u8; 8192]))
        .collect();
    let small: Vec<_> = (0..200)
        .map(|n| pair.read_at(n * 512, 1 + n as usize * 50))
        .collect();
    let mut answers = 0;
    while small.iter().any(|slot| slot.borrow().is_none()) {
        pair.turn();
        pair.back.answer(0);
        answers += 1;
        assert!(answers < 1000, "{:?}", pair.front.stats());
    }
    assert!(large.borrow().is_none(), "it waits its turn");
    for (n, slot) in small.iter().enumerate() {
        let expected = pair.bytes(n * 512, 1 + n * 50);
        assert_eq!(slot.take(), Some(Ok(expected)), "{n}");
    }
    pair.back.manner().holds = false;
    assert_eq!(pair.finish(&large), Ok(pattern(2 * MIB)));
    for (n, write) in writes.iter().enumerate() {
        assert_eq!(pair.finish(write), Ok(()));
        assert_eq!(pair.bytes((6000 + n * 16) * 512, 8192), [n as u8; 8192]);
    }
    assert_eq!(pair.front.stats().pages_free, 16);
    assert!(pair.front.stats().waits > 100);
    pair.close();
}

/// More requests than the ring has slots.
#[test]
fn a_full_ring_makes_callers_wait() {
    let media = Media::new(pattern(MIB));
    let config = Config {
        ring_order: 0,
        ..config()
    };
    let mut pair = Pair::new(&media, holding(), config);
    let reads: Vec<_> = (0..100).map(|n| pair.read_at(n * 512, 512)).collect();
    pair.turn();
    assert_eq!(pair.back.held(), 32);
    let stats = pair.front.stats();
    assert_eq!((stats.in_flight, stats.waiting, stats.waits), (32, 68, 68));
    pair.back.manner().holds = false;
    for (n, read) in reads.iter().enumerate() {
        assert_eq!(pair.finish(read), Ok(pair.bytes(n * 512, 512)));
    }
    pair.close();
}

/// A call dropped before, between and after any of its answers gives all back when these come.
#[test]
fn a_call_may_be_dropped_at_any_time() {
    let media = Media::new(pattern(MIB));
    let manner = Manner {
        segments: 11,
        ..holding()
    };
    for write in [false, true] {
        for answers in 0..=9 {
            let config = Config {
                pages: 64,
                ..config()
            };
            let mut pair = Pair::new(&media, manner, config);
            let other = pair.read_at(600 * KIB as u64, 30 * KIB);
            pair.turn();
            {
                let front = pair.front.clone();
                let mut bytes = vec![0; 396 * KIB];
                let data = bytes.clone();
                let mut cx = Context::from_waker(Waker::noop());
                let mut reading = pin!(front.read_at(0, &mut bytes));
                let mut writing = pin!(front.write(Sector(0), &data));
                let mut poll = || match write {
                    true => writing.as_mut().poll(&mut cx),
                    false => reading.as_mut().poll(&mut cx),
                };
                assert!(poll().is_pending());
                let mut done = false;
                for answer in 0..answers {
                    pair.turn();
                    if pair.back.held() > 0 {
                        pair.back.answer(answer % 2 % pair.back.held());
                    }
                    pair.turn();
                    // Also without being polled in between.
                    if answer % 3 != 0 && !done {
                        done = poll().is_ready();
                    }
                }
            }
            let after = pair.read_at(700 * KIB as u64, 100 * KIB);
            pair.back.manner().holds = false;
            assert_eq!(pair.finish(&other), Ok(pair.bytes(600 * KIB, 30 * KIB)));
            assert_eq!(pair.finish(&after), Ok(pair.bytes(700 * KIB, 100 * KIB)));
            let stats = pair.front.stats();
            assert_eq!((stats.in_flight, stats.waiting), (0, 0), "{answers}");
            assert_eq!(stats.pages_free, 64, "{answers}");
            if answers == 0 {
                assert!(stats.abandoned > 0);
            }
            pair.close();
        }
    }
}

/// One that waits for its turn leaves the queue, and the next one has it.
#[test]
fn a_waiting_call_may_be_dropped() {
    let media = Media::new(pattern(MIB));
    let config = Config {
        pages: 16,
        ..config()
    };
    let mut pair = Pair::new(&media, holding(), config);
    let first = pair.read_at(0, 60 * KIB);
    pair.turn();
    let mut cx = Context::from_waker(Waker::noop());
    let front = pair.front.clone();
    let data = vec![0; 60 * KIB];
    let second = pair.read_at(1024, 60 * KIB);
    {
        // A write, for which somebody must come, at the head of the queue.
        let mut write = pin!(front.write(Sector(0), &data));
        assert!(write.as_mut().poll(&mut cx).is_pending());
        pair.turn();
        assert_eq!(pair.front.stats().waiting, 2);
        pair.back.answer_all();
        pair.turn();
        assert_eq!(pair.finish(&first), Ok(pair.bytes(0, 60 * KIB)));
    }
    pair.back.manner().holds = false;
    assert_eq!(pair.finish(&second), Ok(pair.bytes(1024, 60 * KIB)));
    pair.close();
}

#[test]
fn dropping_what_was_never_polled_does_nothing() {
    let media = Media::new(pattern(MIB));
    let mut pair = Pair::new(&media, Manner::linux(), config());
    let mut bytes = [0; 512];
    drop(pair.front.read_at(0, &mut bytes));
    drop(pair.front.read(Sector(0), &mut [bytes]));
    drop(pair.front.write(Sector(0), &bytes));
    drop(pair.front.flush());
    pair.turn();
    assert_eq!(
        pair.front.stats(),
        Stats {
            pages_free: 272,
            ..Stats::default()
        }
    );
    pair.close();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Any ranges, on any backend, many at a time.
    #[test]
    fn any_range_is_read(
        seed in any::<u64>(),
        ranges in proptest::collection::vec((0..300_000usize, 0..120_000usize), 1..12),
    ) {
        let pick = |shift: u32, of: usize| (seed >> shift) as usize % of;
        let manner = Manner {
            sector_size: [512, 1024, 2048, 4096][pick(0, 4)],
            segments: [0, 12, 32, 256][pick(8, 4)],
            persistent: pick(16, 2) == 0,
            ring_order: pick(20, 3) as u32,
            ..Manner::linux()
        };
        let config = Config { pages: [16, 48, 272][pick(24, 3)], ..config() };
        let media = Media::new(pattern(300 * KIB));
        let mut pair = Pair::new(&media, manner, config);
        let ranges = ranges.into_iter().map(|(from, len)| (from, len.min(300 * KIB - from)));
        let reads: Vec<_> = ranges
            .map(|(from, len)| (from, len, pair.read_at(from as u64, len)))
            .collect();
        for (from, len, read) in &reads {
            let expected = pair.bytes(*from, *len);
            prop_assert_eq!(pair.finish(read), Ok(expected));
        }
        pair.close();
    }

    /// Whatever is written, in whatever order it is done, is read again as a plain array would.
    #[test]
    fn writes_and_reads_agree_with_an_array(
        steps in proptest::collection::vec((any::<bool>(), 0..200usize, 1..60usize, any::<u8>()), 1..30),
    ) {
        let media = Media::new(pattern(128 * KIB));
        let mut expected = pattern(128 * KIB);
        let config = Config { pages: 16, ..config() };
        let mut pair = Pair::new(&media, holding(), config);
        for (write, first, count, seed) in steps {
            let at = first * 512;
            let len = (count * 512).min(expected.len() - at);
            let wrote = vec![seed; len];
            let call = match write {
                true => (Some(pair.write(first as u64, &wrote)), None),
                false => (None, Some(pair.read(first as u64, &[len]))),
            };
            for turn in 0..100 {
                pair.turn();
                let held = pair.back.held();
                if held == 0 {
                    break;
                }
                pair.back.answer((usize::from(seed) + turn) % held);
            }
            match call {
                (Some(written), _) => {
                    prop_assert_eq!(written.take(), Some(Ok(())));
                    expected[at..at + len].fill(seed);
                }
                (_, Some(read)) => {
                    prop_assert_eq!(read.take(), Some(Ok(expected[at..at + len].to_vec())));
                }
                _ => {}
            }
        }
        prop_assert_eq!(&media.borrow().bytes, &expected);
        pair.close();
    }
}
