//! Without a stack.

use std::net::Ipv6Addr;

use proptest::prelude::*;
use smoltcp::wire::Ipv6Cidr;
use www::net::slaac::{Event, Malformed, PREFIXES, Step};
use www::net::{Duration, Instant, link_local};

use super::link::*;

#[test]
fn an_address_from_the_mac_is_used_and_checked() {
    let mut link = Link::new();
    let own = Ipv6Cidr::new(link_local(MAC), 64);
    link.run(secs(0));
    assert_eq!(link.steps, [(secs(0), Step::Event(Event::Use(own)))]);
    assert_eq!(link.slaac.in_check().collect::<Vec<_>>(), [own.address()]);
    link.run(secs(5));
    let steps: Vec<Step> = link.steps.iter().map(|(_, step)| *step).collect();
    assert_eq!(
        steps[1..],
        [
            Step::Probe(own.address()),
            Step::Event(Event::Verified(own)),
            Step::Announce(own.address()),
        ]
    );
    assert_eq!(link.steps[2].0 - link.steps[1].0, secs(1));
    assert_eq!(link.slaac.in_check().count(), 0);
    // And no timer is left.
    assert_eq!(
        link.slaac.deadline(link.now),
        Instant::from_micros(i64::MAX)
    );
}

#[test]
fn a_chosen_address_is_checked_and_used() {
    let mut link = Link::new();
    let chosen = Ipv6Cidr::new(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 7), 64);
    assert!(link.slaac.add(chosen, false, link.now));
    link.run(Duration::from_millis(900));
    assert!(!link.events().contains(&Event::Use(chosen)));
    link.run(secs(1));
    let events = link.events();
    let at = |event| {
        events
            .iter()
            .position(|&e| e == event)
            .expect("it happened")
    };
    assert!(at(Event::Verified(chosen)) < at(Event::Use(chosen)));
}

/// `turn` stops when there is nothing left to do; then nothing is due.
#[test]
fn two_that_end_at_once() {
    let mut link = Link::new();
    link.run(secs(5));
    link.hear(&[option(prefix(1), 60, 60), option(prefix(2), 60, 60)]);
    // The first is somebody else's, so that nobody is told of its end.
    let first = ours(prefix(1));
    let by = link.slaac.claimed(first.address(), OTHER, link.now);
    assert_eq!(by, Some(Event::Duplicate(first, OTHER)));
    link.now += secs(60);
    let events = link.after();
    assert!(
        events.contains(&Event::Expired(ours(prefix(2)))),
        "{events:?}"
    );
    assert!(link.slaac.deadline(link.now) > link.now);
}

#[test]
fn a_duplicate_is_not_used() {
    for wait in [0, 100, 600, 1000] {
        let mut link = Link::new();
        let own = Ipv6Cidr::new(link_local(MAC), 64);
        link.run(Duration::from_millis(wait));
        let event = link.slaac.claimed(own.address(), OTHER, link.now);
        assert_eq!(event, Some(Event::Duplicate(own, OTHER)));
        assert_eq!(link.slaac.claimed(own.address(), OTHER, link.now), None);
        link.steps.clear();
        link.run(secs(100));
        assert_eq!(link.steps, []);
    }
}

#[test]
fn a_late_claim_is_answered_once_in_ten_seconds() {
    let mut link = Link::new();
    let own = Ipv6Cidr::new(link_local(MAC), 64);
    link.run(secs(5));
    for _ in 0..2 {
        link.steps.clear();
        for n in 0..5 {
            let event = link.slaac.claimed(own.address(), OTHER, link.now);
            assert_eq!(event, (n == 0).then_some(Event::Defended(own, OTHER)));
        }
        link.run(secs(11));
        assert_eq!(link.steps.len(), 1);
        assert_eq!(link.steps[0].1, Step::Announce(own.address()));
    }
    assert_eq!(link.slaac.claimed(ROUTER, OTHER, link.now), None);
}

#[test]
fn routers_are_asked_three_times() {
    let mut link = Link::new();
    link.slaac.solicit(link.now);
    link.run(secs(100));
    let asked: Vec<_> = link
        .steps
        .iter()
        .filter_map(|(at, step)| match step {
            Step::Solicit(from) => Some((*at, *from)),
            _ => None,
        })
        .collect();
    assert_eq!(asked.len(), 3);
    // From nobody while our address is in check, then from it.
    assert_eq!(asked[0].1, None);
    assert_eq!(asked[1].1, Some(link_local(MAC)));
    assert_eq!(
        (asked[1].0 - asked[0].0, asked[2].0 - asked[1].0),
        (secs(4), secs(4))
    );
    // One that answers is not asked again.
    let mut link = Link::new();
    link.slaac.solicit(link.now);
    link.run(secs(1));
    link.hear(&[]);
    link.run(secs(100));
    assert!(
        !link
            .steps
            .iter()
            .any(|(_, step)| matches!(step, Step::Solicit(_)))
    );
}

#[test]
fn prefixes_make_addresses() {
    let mut link = Link::new();
    link.run(secs(5));
    let events = link.hear(&[
        vec![1, 1, 2, 0, 0, 0, 0, 1],
        option(prefix(1), 3000, 2000),
        vec![5, 1, 0, 0, 0, 0, 5, 120],
        option(prefix(2), FOREVER, FOREVER),
        vec![25, 1, 0, 0, 0, 0, 0, 9],
    ]);
    let (one, two) = (ours(prefix(1)), ours(prefix(2)));
    let learned = |address, valid| Event::Learned {
        address,
        router: ROUTER,
        valid,
    };
    assert_eq!(
        events,
        [
            learned(one, Some(secs(3000))),
            Event::Mtu(1400),
            learned(two, None),
            Event::Use(one),
            Event::Use(two),
        ]
    );
    assert_eq!(link.slaac.mtu(), Some(1400));
    link.steps.clear();
    link.run(secs(3));
    assert!(
        link.events().contains(&Event::Verified(one))
            && link.events().contains(&Event::Verified(two))
    );
    // The same again is no news.
    assert_eq!(link.hear(&[option(prefix(1), 3000, 2000)]), []);
    // Deprecated, then gone; the other one stays.
    let heard = link.now - START;
    link.run(secs(100_000));
    let last: Vec<_> = link
        .steps
        .iter()
        .map(|(at, step)| (*at - heard, *step))
        .collect();
    assert_eq!(
        last,
        [
            (secs(2000), Step::Event(Event::Deprecated(one))),
            (secs(3000), Step::Event(Event::Expired(one))),
        ]
    );
}

#[test]
fn a_forged_advertisement_takes_no_address_away() {
    let when_gone = |adverts: &[(u64, u32)]| {
        let mut link = Link::new();
        link.hear(&[option(prefix(1), 100_000, 100_000)]);
        for &(wait, valid) in adverts {
            link.run(secs(wait));
            link.hear(&[option(prefix(1), valid, 0)]);
        }
        link.run(secs(200_000));
        let gone = link
            .steps
            .iter()
            .find(|(_, step)| matches!(step, Step::Event(Event::Expired(_))));
        gone.map(|(at, _)| at.secs())
    };
    assert_eq!(when_gone(&[]), Some(100_000));
    // Cut to two hours, and no more.
    assert_eq!(when_gone(&[(1000, 0)]), Some(1000 + 7200));
    assert_eq!(when_gone(&[(1000, 60)]), Some(1000 + 7200));
    assert_eq!(
        when_gone(&[(1000, 0), (1000, 0), (1000, 5)]),
        Some(1000 + 7200)
    );
    // Longer than two hours, or than what is left: as told.
    assert_eq!(when_gone(&[(1000, 8000)]), Some(1000 + 8000));
    assert_eq!(when_gone(&[(99_990, 60)]), Some(99_990 + 60));
    assert_eq!(when_gone(&[(99_990, 5)]), Some(100_000));
    assert_eq!(when_gone(&[(1000, FOREVER)]), None);
    assert_eq!(when_gone(&[(1000, FOREVER), (1000, 0)]), Some(2000 + 7200));
}

#[test]
fn a_deprecated_address_may_be_preferred_again() {
    let mut link = Link::new();
    link.run(secs(5));
    link.hear(&[option(prefix(1), 90_000, 10)]);
    link.run(secs(20));
    assert!(link.events().contains(&Event::Deprecated(ours(prefix(1)))));
    // Said once, however often the router does.
    assert_eq!(link.hear(&[option(prefix(1), 90_000, 0)]), []);
    assert_eq!(link.hear(&[option(prefix(1), 90_000, 100)]), []);
    assert_eq!(
        link.hear(&[option(prefix(1), 90_000, 0)]),
        [Event::Deprecated(ours(prefix(1)))]
    );
}

#[test]
fn prefixes_are_bounded() {
    let mut link = Link::new();
    link.run(secs(5));
    for n in 0..100 {
        link.hear(&[
            option(prefix(2 * n), 9000, 9000),
            option(prefix(2 * n + 1), 9000, 9000),
        ]);
        link.run(secs(1));
    }
    assert_eq!(link.slaac.in_check().count(), 0);
    let mut gone = 0;
    link.steps.clear();
    link.run(secs(10_000));
    for event in link.events() {
        gone += usize::from(matches!(event, Event::Expired(_)));
    }
    assert_eq!(gone, PREFIXES);
    // There is room again.
    assert!(
        link.hear(&[option(prefix(7), 9000, 9000)])
            .contains(&Event::Use(ours(prefix(7))))
    );
}

#[test]
fn what_makes_no_address() {
    let mut link = Link::new();
    link.run(secs(5));
    let mut not_for_addresses = option(prefix(1), 900, 900);
    not_for_addresses[3] = 0x80;
    let mut short = option(prefix(1), 900, 900);
    short[2] = 56;
    let mut long = option(prefix(1), 900, 900);
    long[2] = 255;
    for bad in [
        not_for_addresses,
        short,
        long,
        option(prefix(1), 0, 0),
        option(prefix(1), 100, 101),
        option(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 900, 900),
        option(Ipv6Addr::new(0xff0e, 0, 0, 1, 0, 0, 0, 0), 900, 900),
        option(Ipv6Addr::UNSPECIFIED, 900, 900),
        vec![5, 1, 0, 0, 0, 0, 4, 0xff],
        vec![5, 1, 0, 0, 0, 1, 0, 0],
        vec![5, 2, 0, 0, 0, 0, 5, 120, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        assert_eq!(link.hear(&[bad]), []);
    }
    // An option that cannot be read spoils all.
    for bad in [
        vec![3],
        vec![3, 0],
        vec![200, 0, 0, 0, 0, 0, 0, 0],
        vec![3, 4, 64, 0xc0],
    ] {
        let message = advertisement(&[option(prefix(1), 900, 900), bad]);
        assert_eq!(
            link.slaac.advertised(ROUTER, &message, link.now),
            Err(Malformed)
        );
        assert_eq!(link.after(), []);
    }
    assert_eq!(
        link.slaac.advertised(ROUTER, &[134; 15], link.now),
        Err(Malformed)
    );
}

#[test]
fn a_duplicate_from_a_prefix_is_not_tried_again_and_again() {
    let mut link = Link::new();
    link.run(secs(5));
    link.hear(&[option(prefix(1), 9000, 9000)]);
    let own = ours(prefix(1));
    assert_eq!(
        link.slaac.claimed(own.address(), OTHER, link.now),
        Some(Event::Duplicate(own, OTHER))
    );
    for _ in 0..10 {
        assert_eq!(link.hear(&[option(prefix(1), 9000, 9000)]), []);
        link.run(secs(10));
    }
    assert_eq!(link.steps, []);
}

#[derive(Clone, Debug)]
enum Blow {
    Bytes(Vec<u8>),
    Options(Vec<(u16, u32, u32, prop::sample::Index, Option<u8>)>),
    Claim(u16),
    Wait(u32),
}

fn blow() -> impl Strategy<Value = Blow> {
    let lifetime = prop_oneof![0u32..10, 0u32..20_000, Just(FOREVER), any::<u32>()];
    let one = (
        0u16..8,
        lifetime.clone(),
        lifetime,
        any::<prop::sample::Index>(),
        any::<Option<u8>>(),
    );
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Blow::Bytes),
        4 => prop::collection::vec(one, 0..12).prop_map(Blow::Options),
        1 => (0u16..8).prop_map(Blow::Claim),
        3 => (0u32..9_000_000).prop_map(Blow::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_do_harm(blows in prop::collection::vec(blow(), 1..60)) {
        let mut link = Link::new();
        let mut used = std::collections::HashSet::new();
        for blow in &blows {
            let mut event = None;
            match blow {
                Blow::Bytes(bytes) => _ = link.slaac.advertised(ROUTER, bytes, link.now),
                Blow::Options(options) => {
                    let options: Vec<_> = options.iter().map(|(n, valid, preferred, at, change)| {
                        let mut option = option(prefix(*n), *valid, *preferred);
                        if let Some(to) = change {
                            option[at.index(32)] = *to;
                        }
                        option
                    }).collect();
                    let _ = link.slaac.advertised(ROUTER, &advertisement(&options), link.now);
                }
                Blow::Claim(n) => event = link.slaac.claimed(ours(prefix(*n)).address(), OTHER, link.now),
                Blow::Wait(millis) => link.run(Duration::from_millis((*millis).into())),
            }
            link.turn();
            for event in event.into_iter().chain(link.events()) {
                match event {
                    Event::Use(address) => prop_assert!(used.insert(address)),
                    Event::Duplicate(address, _) | Event::Expired(address) => _ = used.remove(&address),
                    _ => {}
                }
            }
            link.steps.clear();
            prop_assert!(used.len() <= 1 + PREFIXES, "{used:?}");
        }
    }
}
