//! A backend that lies: each lie breaks the device, once and for good, and harms nobody else.

mod common;

use common::{GUEST, NOW, Pair, config, linux, other, tcp4};
use minios::host::map;
use minios::{Access, DomId, Grant};
use netfront::back::{Back, Deceit, Frame, Manner};
use netfront::features::Wiring;
use netfront::lie::Lie;
use netfront::wire::{RX_SLOT, TX_SLOT};
use netfront::{Phase, Stats};
use proptest::prelude::*;
use smoltcp::phy::Device;

/// A pair with a transmit request that waits for its response.
fn pair() -> Pair {
    let manner = Manner {
        holds: true,
        ..Manner::linux()
    };
    let mut pair = Pair::new(linux(), manner, &config());
    assert!(pair.send(&other(60, 1), 0));
    pair.turn();
    pair
}

fn told(deceit: Deceit) -> Phase {
    let mut pair = pair();
    pair.back.deceive(deceit);
    assert_eq!(pair.back.fatal(), None, "{deceit:?}");
    pair.guest.dispatch();
    // Whatever came before the lie is lost with the device, so nothing is expected of these but to
    // return.
    pair.receive_all();
    pair.front.flush();
    let phase = pair.front.phase();
    if let Phase::Broken(_) = phase {
        assert_silent(&mut pair);
    }
    phase
}

fn assert_silent(pair: &mut Pair) {
    let before = pair.front.stats();
    let seen = pair.back.stats();
    pair.back.inject(Frame::plain(other(60, 2)));
    assert!(pair.woken(), "once, for it may have waited for room");
    assert!(pair.front.receive(NOW).is_none());
    // As with a cable that is unplugged.
    assert!(pair.send(&tcp4(9000, 1), 1460));
    pair.front.flush();
    pair.host.dispatch();
    pair.back.poll();
    assert_eq!(pair.back.stats().from_guest, seen.from_guest);
    assert!(!pair.woken(), "nobody is woken for a broken device");
    let after = Stats {
        tx_dropped: before.tx_dropped + 1,
        ..before
    };
    assert_eq!(pair.front.stats(), after);
    assert_eq!(before.broken, 1);
}

#[test]
fn each_lie_breaks_the_device() {
    for (deceit, lie) in [
        (Deceit::TxIndex(2), Lie::TxIndex),
        (Deceit::TxIndex(u32::MAX), Lie::TxIndex),
        (Deceit::TxIndex(1 << 31), Lie::TxIndex),
        (Deceit::RxIndex(257), Lie::RxIndex),
        (Deceit::RxIndex(u32::MAX), Lie::RxIndex),
        (Deceit::TxId(0), Lie::TxId(0)),
        (Deceit::TxId(256), Lie::TxId(256)),
        (Deceit::TxId(0xffff), Lie::TxId(0xffff)),
        (Deceit::TxNull, Lie::TxNull),
        (
            Deceit::RxSize(4096, 1),
            Lie::RxSize {
                offset: 4096,
                size: 1,
            },
        ),
        (
            Deceit::RxSize(0, 4097),
            Lie::RxSize {
                offset: 0,
                size: 4097,
            },
        ),
        (
            Deceit::RxSize(0xffff, 0x7fff),
            Lie::RxSize {
                offset: 0xffff,
                size: 0x7fff,
            },
        ),
        (Deceit::RxEndless(20), Lie::RxSlots),
        (Deceit::RxExtras(6), Lie::RxSlots),
        (Deceit::RxExtra(0), Lie::ExtraType(0)),
        (Deceit::RxExtra(6), Lie::ExtraType(6)),
        (Deceit::RxExtra(255), Lie::ExtraType(255)),
        (Deceit::RxGso(3, 1448), Lie::Gso),
        (Deceit::RxGso(1, 0), Lie::Gso),
    ] {
        assert_eq!(told(deceit), Phase::Broken(lie), "{deceit:?}");
    }
    for further in [1, 255, 256, 0x8000] {
        let phase = told(Deceit::RxId(further));
        assert!(
            matches!(phase, Phase::Broken(Lie::RxId { .. })),
            "{further}: {phase:?}"
        );
    }
}

#[test]
fn what_is_odd_and_no_lie_does_not() {
    for deceit in [
        Deceit::RxSize(4096, 0),
        Deceit::RxSize(0, -1),
        Deceit::RxSize(0, i16::MIN),
        Deceit::RxSize(0xffff, -2),
        Deceit::RxEndless(19),
        Deceit::RxExtras(5),
        Deceit::RxExtra(4),
        Deceit::RxGso(2, 1),
    ] {
        assert_eq!(told(deceit), Phase::Running, "{deceit:?}");
    }
}

#[test]
fn a_response_twice_is_a_lie() {
    let mut pair = pair();
    assert!(pair.send(&other(60, 1), 0));
    pair.turn();
    // The first page of all is the last of the pool.
    pair.back.deceive(Deceit::TxId(255));
    pair.front.flush();
    assert_eq!(pair.front.phase(), Phase::Running);
    pair.back.deceive(Deceit::TxId(255));
    pair.front.flush();
    assert_eq!(pair.front.phase(), Phase::Broken(Lie::TxId(255)));
}

#[test]
fn events_out_of_the_blue_are_nothing() {
    let mut pair = Pair::linux();
    for port in 0..20 {
        pair.hypervisor.raise(GUEST, minios::PortNumber(port));
    }
    assert!(pair.woken());
    assert_eq!(pair.receive(), None);
    pair.front.flush();
    assert_eq!(pair.front.phase(), Phase::Running);
}

#[test]
fn lost_events_are_made_up_for_by_the_next() {
    let mut pair = Pair::linux();
    pair.woken();
    pair.hypervisor.faults(GUEST).lose_events = 1;
    pair.back.inject(Frame::plain(other(60, 1)));
    pair.turn();
    assert!(!pair.woken());
    // Any other reason for a round does.
    assert_eq!(pair.receive_all(), [other(60, 1)]);
    pair.back.inject(Frame::plain(other(60, 2)));
    pair.turn();
    assert!(pair.woken());
    assert_eq!(pair.receive_all(), [other(60, 2)]);
}

#[test]
fn a_backend_that_only_wastes_our_time_gets_little_of_it() {
    let mut pair = Pair::linux();
    // It fails packets as fast as they can be posted again.
    for _ in 0..256 {
        let failed = |id: u16| netfront::wire::RxResponse {
            id,
            offset: 0,
            flags: netfront::wire::RxFlags::empty(),
            status: -1,
        };
        pair.back
            .raw_rx(|id| failed(id).encode())
            .expect("a posted page");
    }
    pair.back.poll();
    assert!(pair.woken());
    assert!(pair.receive().is_none());
    assert_eq!(pair.front.stats().rx_errors, 256);
    // There might have been more.
    assert!(pair.woken());
    assert!(pair.receive().is_none());
    assert!(!pair.woken());
    assert_eq!(pair.front.stats().rx_posted, 256);
    assert_eq!(pair.front.phase(), Phase::Running);
}

#[test]
fn pages_that_are_still_mapped_are_lost_not_reused() {
    let mut pair = Pair::linux();
    pair.send(&tcp4(100, 1), 0);
    let manner = Manner {
        holds: true,
        ..Manner::linux()
    };
    pair.back.manner = manner;
    pair.turn();
    assert_eq!(pair.back.held(), 1);
    let held = pair.hypervisor.pages(GUEST);
    drop(pair.front);
    // The two rings, and the chunk of the page that is held.
    assert_eq!(pair.guest.leaked(), 1 + 1 + 64);
    assert_eq!(pair.hypervisor.pages(GUEST), 1 + 1 + 64);
    assert!(held > 66);
    drop(pair.back);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Bytes of any kind in response slots, some of them near enough to the truth to be taken.
    #[test]
    fn no_response_is_a_panic(
        rx in proptest::collection::vec((any::<bool>(), any::<[u8; RX_SLOT]>()), 0..250),
        tx in proptest::collection::vec((any::<bool>(), any::<[u8; TX_SLOT]>()), 0..8),
    ) {
        let manner = Manner { holds: true, ..Manner::linux() };
        let mut pair = Pair::new(linux(), manner, &config());
        pair.send(&tcp4(30_000, 1), 1460);
        pair.turn();
        for (near, mut bytes) in rx {
            pair.back.raw_rx(|id| {
                if near {
                    bytes[..2].copy_from_slice(&id.to_le_bytes());
                    bytes[3] &= 3;
                    bytes[5] = 0;
                    bytes[7] &= 0x87;
                }
                bytes
            }).expect("a posted page");
        }
        for (near, mut bytes) in tx {
            if near {
                bytes[1] = 0;
                // From -1 to 2.
                let status = i16::from(bytes[2] & 3) - 1;
                bytes[2..4].copy_from_slice(&status.to_le_bytes());
            }
            pair.back.raw_tx(&bytes).expect("a request");
        }
        pair.back.complete(0);
        pair.back.poll();
        for frame in pair.receive_all() {
            prop_assert!(frame.len() >= 14);
        }
        pair.front.flush();
        pair.send(&tcp4(100, 1), 0);
    }

    /// Any indices at all in the rings' headers.
    #[test]
    fn no_index_is_a_panic(words: [u32; 8]) {
        let mut pair = pair();
        let wiring: Wiring = pair.wiring;
        for (ring, words) in [(wiring.tx_ring, &words[..4]), (wiring.rx_ring, &words[4..])] {
            let page = map(&pair.host, GUEST, Grant(ring), Access::ReadWrite).expect("the ring");
            for (at, word) in words.iter().enumerate() {
                page.store_u32(at * 4, *word).expect("its header");
            }
        }
        pair.receive_all();
        pair.send(&tcp4(100, 1), 0);
        pair.front.flush();
        pair.receive_all();
    }
}

#[test]
fn a_broken_device_leaves_others_alone() {
    let mut one = pair();
    let two = netfront::Netfront::new(
        &one.guest,
        DomId::ZERO,
        common::MAC,
        None,
        linux(),
        &config(),
    );
    let (mut two, wiring) = two.expect("another device");
    let mut back = Back::attach(&one.host, GUEST, &wiring, Manner::linux()).expect("its backend");
    one.back.deceive(Deceit::TxNull);
    one.front.flush();
    assert!(matches!(one.front.phase(), Phase::Broken(_)));
    assert!(common::send(&mut two, &other(60, 1), 0));
    two.flush();
    back.poll();
    assert_eq!(back.take_finished(), Some(other(60, 1)));
}
