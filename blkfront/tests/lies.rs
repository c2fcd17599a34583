//! A backend that lies: each lie breaks the device, once and for good, and harms nobody else.

mod common;

use blkfront::back::{Deceit, Manner, Media, Offer};
use blkfront::lie::Lie;
use blkfront::wire::Response;
use blkfront::{Blkfront, IoError, Phase, Vdev};
use common::{Pair, config, holding, pattern};
use minios::exec::{Either, race};
use proptest::prelude::*;

/// A pair with two reads under way, whose ring is about to wrap.
fn pair() -> Pair {
    let media = Media::new(pattern(64 * 1024));
    let mut pair = Pair::new(&media, holding(), config());
    let reads = [pair.read_at(0, 5000), pair.read_at(8192, 512)];
    pair.turn();
    assert_eq!(pair.back.held(), 2);
    assert!(reads.iter().all(|read| read.borrow().is_none()));
    pair
}

fn told(deceit: Deceit) -> Phase {
    let mut pair = pair();
    let late = pair.read_at(4096, 4096);
    pair.turn();
    pair.back.deceive(deceit);
    assert_eq!(pair.back.fatal(), None, "{deceit:?}");
    pair.rig.settle();
    let phase = pair.front.phase();
    if let Phase::Broken(_) = phase {
        assert_eq!(late.take(), Some(Err(IoError::Away)), "{deceit:?}");
        assert_silent(&mut pair);
    }
    pair.close();
    phase
}

fn assert_silent(pair: &mut Pair) {
    assert_eq!(pair.front.stats().broken, 1);
    let seen = pair.back.stats().requests;
    let (read, write, flush) = (pair.read_at(0, 1), pair.write(0, &[0; 512]), pair.flush());
    pair.rig.settle();
    assert_eq!(read.take(), Some(Err(IoError::Away)));
    assert_eq!(write.take(), Some(Err(IoError::Away)));
    assert_eq!(flush.take(), Some(Err(IoError::Away)));
    pair.back.answer_all();
    pair.back.poll();
    pair.rig.settle();
    assert_eq!(pair.back.stats().requests, seen);
    assert_eq!(pair.front.stats().broken, 1);
    assert!(pair.run.borrow().is_none(), "it is watched until it closes");
}

#[test]
fn each_lie_breaks_the_device() {
    for (deceit, lie) in [
        (Deceit::Index(4), Lie::Index),
        (Deceit::Index(129), Lie::Index),
        (Deceit::Index(u32::MAX), Lie::Index),
        (Deceit::Index(1 << 31), Lie::Index),
        (Deceit::Id(3), Lie::Id(3)),
        (Deceit::Id(127), Lie::Id(127)),
        (Deceit::Id(128), Lie::Id(128)),
        (Deceit::Id(0xffff), Lie::Id(0xffff)),
        (Deceit::Id(1 << 16), Lie::Id(1 << 16)),
        (Deceit::Id(1 << 32), Lie::Id(1 << 32)),
        (Deceit::Id(u64::MAX), Lie::Id(u64::MAX)),
        (Deceit::Status(1), Lie::Status(1)),
        (Deceit::Status(-3), Lie::Status(-3)),
        (Deceit::Status(i16::MIN), Lie::Status(i16::MIN)),
        (Deceit::Operation(1), Lie::Operation { asked: 0, says: 1 }),
        (Deceit::Operation(3), Lie::Operation { asked: 0, says: 3 }),
        (Deceit::Operation(6), Lie::Operation { asked: 0, says: 6 }),
        (
            Deceit::Operation(255),
            Lie::Operation {
                asked: 0,
                says: 255,
            },
        ),
    ] {
        assert_eq!(told(deceit), Phase::Broken(lie), "{deceit:?}");
        assert!(!lie.to_string().is_empty());
    }
    let twice = told(Deceit::Twice);
    assert!(matches!(twice, Phase::Broken(Lie::Id(_))), "{twice:?}");
}

#[test]
fn what_is_odd_and_no_lie_does_not() {
    for deceit in [
        // An event without anything.
        Deceit::Index(0),
        Deceit::Status(0),
        Deceit::Status(-1),
        Deceit::Status(-2),
        Deceit::Operation(0),
    ] {
        assert_eq!(told(deceit), Phase::Running, "{deceit:?}");
    }
}

/// As an error is, without indirection: it fails one call.
#[test]
fn unsupported_reads_are_errors() {
    let mut pair = pair();
    let read = pair.read_at(0, 512);
    pair.turn();
    pair.back.answer_all();
    pair.turn();
    assert!(matches!(read.take(), Some(Ok(_))));
    let read = pair.read_at(0, 512);
    pair.turn();
    pair.back.deceive(Deceit::Status(-2));
    pair.rig.settle();
    assert_eq!(read.take(), Some(Err(IoError::Unsupported)));
    assert_eq!(pair.front.phase(), Phase::Running);
}

/// A device that has got smaller, or says so, is read no further; one that says what is no size is
/// broken.
#[test]
fn a_size_may_be_any_number_but_must_be_one() {
    for (value, sectors) in [
        ("0", Some(0)),
        ("1", Some(1)),
        ("18014398509481983", Some((1u64 << 54) - 1)),
        ("18014398509481984", None),
        ("", None),
        ("-1", None),
        ("lots", None),
        ("128 ", None),
        ("\u{1F980}", None),
    ] {
        let media = Media::new(pattern(64 * 1024));
        let mut pair = Pair::new(&media, Manner::linux(), config());
        pair.backend.bus.write("sectors", value);
        pair.turn();
        match sectors {
            Some(sectors) => {
                assert_eq!(pair.front.sectors(), sectors, "{value}");
                assert_eq!(pair.front.phase(), Phase::Running);
                let beyond = pair.read_at(sectors * 512, 1);
                assert_eq!(pair.finish(&beyond), Err(IoError::OutOfRange));
            }
            None => assert_eq!(pair.front.phase(), Phase::Broken(Lie::Sectors), "{value}"),
        }
        pair.close();
    }
}

/// Two devices: the one that lies takes nothing from the other.
#[test]
fn another_device_goes_on() {
    let mut liar = pair();
    liar.back.deceive(Deceit::Id(99));
    liar.rig.settle();
    assert!(matches!(liar.front.phase(), Phase::Broken(_)));
    let other = Vdev(51728);
    let offer = Offer::new(Manner::linux());
    let media = Media::new(pattern(10_240));
    let backend = liar.rig.plug_as(other, &media, &offer);
    let back = liar.rig.accept(&backend);
    let (domain, store) = (liar.rig.guest.0.clone(), liar.rig.store.clone());
    let reading = liar.rig.start(async move {
        let connected = Blkfront::connect(&domain, &store, other, &config()).await;
        let (front, link) = connected.expect("a device");
        let mut bytes = vec![0; 1000];
        let read = race(front.read_at(9000, &mut bytes), link.run()).await;
        assert_eq!(read, Either::Left(Ok(())));
        bytes
    });
    liar.rig.settle();
    let mut back = back.take().expect("accepted").expect("joined");
    back.poll();
    drop(back);
    liar.rig.settle();
    assert_eq!(
        reading.take().as_deref(),
        Some(&pattern(10_240)[9000..10_000])
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever it answers, the device runs on or is broken, and every call ends.
    #[test]
    fn any_answers_end_every_call(
        answers in proptest::collection::vec((0..6u64, 0..8u8, -3..2i16, any::<u64>()), 1..40),
    ) {
        let mut pair = pair();
        let calls: Vec<_> = (0..4).map(|n| pair.read_at(n * 4096, 9000)).collect();
        let write = pair.write(3, &[0; 1024]);
        let flush = pair.flush();
        pair.turn();
        for (id, operation, status, odd) in answers {
            let id = if odd % 16 == 0 { odd } else { id };
            pair.back.raw(&Response { id, operation, status });
            pair.rig.settle();
            if pair.back.fatal().is_some() || pair.front.phase() != Phase::Running {
                break;
            }
        }
        let link = std::rc::Rc::clone(&pair.link);
        let closed = pair.rig.start(async move { link.shutdown().await });
        pair.rig.settle();
        prop_assert!(calls.iter().all(|call| call.take().is_some()));
        prop_assert!(write.take().is_some() && flush.take().is_some());
        drop(closed);
    }
}
