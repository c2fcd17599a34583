//! Both ends, driven by hand: frames of all kinds, over the end of the rings' indices, with late
//! and failing backends.

mod common;

use common::{NOW, Pair, blank, checksummed, config, linux, other, qemu, tcp4, tcp6};
use netfront::Config;
use netfront::back::{Checksum, Frame, Manner};
use netfront::wire::GsoType;
use proptest::prelude::*;
use smoltcp::phy::{Device, TxToken};

#[test]
fn frames_go_both_ways_past_the_end_of_the_indices() {
    let mut pair = Pair::linux();
    for number in 0..1000u32 {
        let seed = number as u8;
        let out = tcp4(number as usize % 1400, seed);
        assert!(pair.send(&out, 0));
        pair.back
            .inject(Frame::plain(other(60 + number as usize % 1000, seed)));
        pair.turn();
        assert_eq!(pair.back.take_finished(), Some(checksummed(out)));
        assert_eq!(
            pair.receive(),
            Some(other(60 + number as usize % 1000, seed))
        );
    }
    assert_eq!(pair.back.fatal(), None);
    let stats = pair.front.stats();
    assert_eq!(
        (stats.tx_frames, stats.rx_frames, stats.broken),
        (1000, 1000, 0)
    );
}

#[test]
fn no_grant_is_made_or_ended_on_the_way() {
    let mut pair = Pair::linux();
    let grants = pair.hypervisor.grants(common::GUEST);
    for seed in 0..50 {
        pair.send(&tcp4(60_000, seed), 1460);
        pair.back.inject(Frame::plain(other(9000, seed)));
        pair.turn();
        assert!(pair.receive().is_some());
        assert_eq!(pair.hypervisor.grants(common::GUEST), grants);
    }
}

#[test]
fn a_batch_costs_one_event() {
    let mut pair = Pair::linux();
    // A new ring asks for an event with its first response.
    pair.send(&tcp4(0, 0), 0);
    pair.turn();
    assert!(pair.woken());
    let before = pair.front.stats();
    for seed in 0..20 {
        assert!(pair.send(&tcp4(1000, seed), 0));
    }
    pair.turn();
    let after = pair.front.stats();
    assert_eq!(after.tx_notifies - before.tx_notifies, 1);
    // The backend completed all of them at once, and nobody waits for that.
    assert!(!pair.woken());

    for seed in 0..20 {
        pair.back.inject(Frame::plain(other(60, seed)));
    }
    pair.turn();
    assert!(pair.woken());
    assert_eq!(pair.receive_all().len(), 20);
    pair.turn();
    let after = pair.front.stats();
    assert_eq!(
        after.rx_notifies, before.rx_notifies,
        "the backend has pages in plenty"
    );
    assert_eq!(after.rx_posted, 256);
}

#[test]
fn segmentation_is_left_to_the_backend() {
    let mut pair = Pair::linux();
    let limit = pair.front.capabilities().segmentation.tcpv4.unwrap().get();
    assert_eq!(limit, 64294);
    for (frame, gso) in [
        (tcp4(limit - 54, 1), GsoType::TcpV4),
        (tcp6(63_360, 2), GsoType::TcpV6),
    ] {
        assert!(pair.send(&frame, 1440));
        pair.turn();
        assert_eq!(pair.back.fatal(), None);
        let came = pair.back.take_frame().unwrap();
        assert_eq!(came.bytes, blank(frame.clone()));
        assert_eq!(came.gso, Some((gso, 1440)));
        let segments = came.finish().unwrap();
        assert_eq!(segments.len(), if gso == GsoType::TcpV4 { 45 } else { 44 });
    }
    assert_eq!(pair.front.stats().tx_large, 2);
}

#[test]
fn a_backend_that_can_little_gets_little() {
    let mut pair = Pair::new(qemu(), Manner::qemu(), &config());
    let capabilities = pair.front.capabilities();
    assert_eq!(
        (
            capabilities.segmentation.tcpv4,
            capabilities.segmentation.tcpv6
        ),
        (None, None)
    );
    assert_eq!(capabilities.max_transmission_unit, 1514);
    for (frame, checksum) in [
        (tcp4(1000, 1), Checksum::Blank),
        (tcp6(1000, 2), Checksum::Unknown),
        (other(1000, 3), Checksum::Unknown),
    ] {
        assert!(pair.send(&frame, 0));
        pair.turn();
        let came = pair.back.take_frame().unwrap();
        assert_eq!(came.checksum, checksum);
        let expected = match checksum {
            Checksum::Blank => blank(frame),
            _ if frame[12] == 0x86 => checksummed(frame),
            _ => frame,
        };
        assert_eq!(came.bytes, expected);
    }
    pair.back.inject(Frame::plain(other(1514, 7)));
    pair.turn();
    assert_eq!(pair.receive(), Some(other(1514, 7)), "at an offset");
    assert_eq!(pair.back.fatal(), None);
}

#[test]
fn large_packets_come_in_pieces() {
    let manners = [
        Manner::linux(),
        Manner {
            chatty: true,
            ..Manner::linux()
        },
        Manner {
            offset: 2,
            piece: 3999,
            chatty: true,
            ..Manner::linux()
        },
    ];
    for manner in manners {
        let mut pair = Pair::new(linux(), manner, &config());
        for round in 0..100 {
            let payload = [0, 1446, 9000, 65000][round % 4];
            let frame = blank(tcp4(payload, round as u8));
            let gso = (payload > 1446).then_some((GsoType::TcpV4, 1448));
            pair.back.inject(Frame {
                bytes: frame.clone(),
                checksum: Checksum::Blank,
                gso,
            });
            pair.turn();
            assert_eq!(pair.receive(), Some(frame));
            assert_eq!(pair.receive(), None);
        }
        assert_eq!(pair.front.stats().rx_large, 50);
        assert!(pair.back.stats().fewest_posted >= Some(19));
    }
}

#[test]
fn checksums_are_believed_or_verified() {
    let mut pair = Pair::linux();
    let right = checksummed(tcp4(100, 1));
    let mut wrong = right.clone();
    wrong[60] ^= 0x40;
    let mut fragment = right.clone();
    fragment[20] |= 0x20;
    let mut cut = right.clone();
    cut[17] += 1;
    let frame = |bytes: &Vec<u8>, checksum| Frame {
        bytes: bytes.clone(),
        checksum,
        gso: None,
    };
    for (bytes, checksum, passes) in [
        (&blank(tcp4(100, 1)), Checksum::Blank, true),
        (&blank(tcp6(100, 1)), Checksum::Blank, true),
        (&right, Checksum::Unknown, true),
        (&checksummed(tcp6(99, 1)), Checksum::Unknown, true),
        (&right, Checksum::Verified, true),
        (&wrong, Checksum::Unknown, false),
        (&blank(tcp4(100, 1)), Checksum::Unknown, false),
        (&fragment, Checksum::Unknown, false),
        (&cut, Checksum::Unknown, false),
        (&other(42, 1), Checksum::Unknown, true),
    ] {
        pair.back.inject(frame(bytes, checksum));
        pair.turn();
        assert_eq!(
            pair.receive(),
            passes.then(|| bytes.clone()),
            "{checksum:?} {bytes:02x?}"
        );
    }
    let stats = pair.front.stats();
    assert_eq!((stats.rx_bad_checksums, stats.rx_verified), (4, 4));
}

#[test]
fn runts_and_failures_are_dropped_alone() {
    let mut pair = Pair::linux();
    pair.back.inject(Frame::plain([0; 13]));
    pair.back.inject(Frame::plain(other(14, 1)));
    pair.turn();
    assert_eq!(pair.receive_all(), [other(14, 1)]);
    assert_eq!(pair.front.stats().rx_runts, 1);

    pair.back.fail(2);
    for seed in 0..4 {
        assert!(pair.send(&tcp4(5000, seed), 1460));
        pair.turn();
    }
    pair.turn();
    let stats = pair.front.stats();
    assert_eq!(
        (stats.tx_errors, stats.broken, stats.tx_in_flight),
        (4, 0, 0)
    );
}

#[test]
fn late_completions_stall_and_resume() {
    for config in [
        config(),
        Config {
            tx_pages: 64,
            ..config()
        },
    ] {
        let manner = Manner {
            holds: true,
            ..Manner::linux()
        };
        let mut pair = Pair::new(linux(), manner, &config);
        let (mut sent, mut answers) = (0, 0);
        for payload in [64_240, 1000, 30_000, 64_240] {
            let segment = if payload > 1460 { 1460 } else { 0 };
            let stalls = pair.front.stats().tx_stalls;
            while pair.send(&tcp4(payload, 7), segment) {
                pair.turn();
                sent += 1;
            }
            assert_eq!(pair.front.stats().tx_stalls, stalls + 1);
            pair.turn();
            pair.woken();
            assert!(!pair.woken());
            // Answers still find room.
            pair.back.inject(Frame::plain(other(60, 1)));
            pair.turn();
            assert!(pair.woken());
            let (_, answer) = pair.front.receive(NOW).expect("room for an answer");
            answer.consume(60, |buffer| buffer.copy_from_slice(&other(60, 2)));
            answers += 1;
            pair.turn();
            pair.receive_all();
            pair.turn();

            // Not a packet too late is the driver woken.
            pair.woken();
            assert!(!pair.woken());
            assert!(!pair.send(&tcp4(payload, 7), segment));
            pair.back.complete(1);
            while !pair.woken() {
                assert!(!pair.send(&tcp4(payload, 7), segment));
                pair.back.complete(1);
            }
            pair.front.flush();
        }
        pair.back.complete(usize::MAX);
        pair.turn();
        pair.turn();
        assert_eq!(pair.front.stats().tx_in_flight, 0);
        assert_eq!(pair.front.stats().tx_pages_free as usize, config.tx_pages);
        assert_eq!(pair.back.fatal(), None);
        let frames: Vec<_> = std::iter::from_fn(|| pair.back.take_frame()).collect();
        assert_eq!(frames.len(), sent + answers);
        assert_eq!(frames[0].bytes, blank(tcp4(64_240, 7)));
    }
}

#[test]
fn scattered_pages_do_for_a_long_frame() {
    let manner = Manner {
        holds: true,
        ..Manner::linux()
    };
    let mut pair = Pair::new(
        linux(),
        manner,
        &Config {
            tx_pages: 64,
            ..config()
        },
    );
    // Take every page, one by one, and get back half of them, here and there.
    while pair.send(&other(60, 0), 0) {}
    pair.turn();
    let mut given_back = 0;
    for number in 0..pair.back.held() {
        // The oldest goes to the end of the queue or back to the guest.
        if number % 2 == 0 {
            pair.back.complete(1);
            given_back += 1;
        } else {
            pair.back.postpone();
        }
    }
    assert!(given_back > 16);
    assert!(pair.send(&tcp4(60_000, 2), 1460));
    assert_eq!(pair.front.stats().tx_copied, 0);
    assert!(pair.send(&tcp4(60_000, 3), 1460));
    assert_eq!(pair.front.stats().tx_copied, 1);
    pair.turn();
    let came = std::iter::from_fn(|| pair.back.take_frame())
        .last()
        .unwrap();
    assert_eq!(came.bytes, blank(tcp4(60_000, 3)));
    assert_eq!(pair.back.fatal(), None);
}

#[test]
fn a_full_receive_ring_empties() {
    let mut pair = Pair::linux();
    for seed in 0..600u32 {
        pair.back.inject(Frame::plain(other(60, seed as u8)));
    }
    pair.turn();
    assert_eq!(pair.back.queued(), 600 - 256);
    let mut frames = Vec::new();
    while frames.len() < 600 {
        assert!(pair.woken(), "after {}", frames.len());
        frames.extend(pair.receive_all());
        pair.turn();
    }
    let expected: Vec<_> = (0..600u32).map(|seed| other(60, seed as u8)).collect();
    assert_eq!(frames, expected);
    assert!(
        pair.front.stats().rx_notifies >= 1,
        "the backend was out of pages and asked for them"
    );
}

#[test]
fn pages_are_posted_while_a_burst_is_read() {
    let mut pair = Pair::linux();
    for seed in 0..300u32 {
        pair.back.inject(Frame::plain(other(60, seed as u8)));
    }
    pair.turn();
    assert_eq!(pair.back.queued(), 44);
    for seed in 0..100 {
        assert_eq!(pair.receive(), Some(other(60, seed)));
    }
    pair.host.dispatch();
    pair.back.poll();
    assert_eq!(pair.back.queued(), 0);
}

#[test]
fn a_driver_that_stops_early_is_woken_again() {
    let mut pair = Pair::linux();
    for seed in 0..3 {
        pair.back.inject(Frame::plain(other(60, seed)));
    }
    pair.turn();
    for seed in 0..3 {
        assert!(pair.woken());
        assert_eq!(pair.receive(), Some(other(60, seed)));
        pair.front.flush();
    }
    assert!(pair.woken());
    assert_eq!(pair.receive(), None);
    pair.front.flush();
    assert!(!pair.woken());
}

#[derive(Clone, Debug)]
enum Act {
    Send { payload: usize, segment: u16 },
    Inject(usize),
    Front,
    Back,
    Complete(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0usize..60_000).prop_map(|payload| Act::Send {
            payload,
            segment: 1460
        }),
        (0usize..1400).prop_map(|payload| Act::Send {
            payload,
            segment: 0
        }),
        (14usize..20_000).prop_map(Act::Inject),
        Just(Act::Front),
        Just(Act::Back),
        (0usize..20).prop_map(Act::Complete),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Each end acts only when it has reason to: its own, or an event.
    #[test]
    fn nothing_is_lost_in_any_order(
        acts in proptest::collection::vec(act(), 1..300),
        holds: bool,
        start: u32,
    ) {
        let manner = Manner { holds, ..Manner::linux() };
        let config = Config { ring_index: start, tx_pages: 128, ..Config::default() };
        let mut pair = Pair::new(linux(), manner, &config);
        let (mut sent, mut injected) = (Vec::new(), Vec::new());
        let (mut came, mut received) = (Vec::new(), Vec::new());
        for (seed, act) in acts.into_iter().enumerate() {
            let seed = seed as u8;
            match act {
                Act::Send { payload, segment } => {
                    let frame = tcp4(payload, seed);
                    if pair.send(&frame, if payload > 1460 { segment } else { 0 }) {
                        sent.push(blank(frame));
                    }
                }
                Act::Inject(len) => {
                    pair.back.inject(Frame::plain(other(len, seed)));
                    injected.push(other(len, seed));
                }
                Act::Front => received.extend(pair.receive_all()),
                Act::Back => {
                    pair.front.flush();
                    pair.host.dispatch();
                    pair.back.poll();
                }
                Act::Complete(count) => pair.back.complete(count),
            }
            came.extend(std::iter::from_fn(|| pair.back.take_frame()).map(|frame| frame.bytes));
        }
        // Now by events alone.
        pair.front.flush();
        pair.back.manner.holds = false;
        for _ in 0..10_000 {
            pair.host.dispatch();
            let before = pair.back.stats().events;
            pair.back.poll();
            let told = pair.back.stats().events > before;
            came.extend(std::iter::from_fn(|| pair.back.take_frame()).map(|frame| frame.bytes));
            if pair.woken() {
                received.extend(pair.receive_all());
                pair.front.flush();
            } else if !told {
                break;
            }
        }
        prop_assert_eq!(pair.back.fatal(), None);
        prop_assert_eq!(pair.front.stats().broken, 0);
        prop_assert_eq!(came, sent);
        prop_assert_eq!(received, injected);
    }
}
