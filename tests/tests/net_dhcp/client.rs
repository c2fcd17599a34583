//! What the client says, and when.

use std::net::Ipv4Addr;

use smoltcp::wire::{DhcpMessageType, Ipv4Cidr};
use www::net::dhcp::{Event, Ignored, Loss};
use www::net::{Duration, EthernetAddress, Instant};

use super::link::*;

#[test]
fn an_address_is_asked_for_probed_and_announced() {
    let mut server = Server::new(1, 3600);
    server.times = Some((1000, 2000));
    let mut link = Link::new(vec![server.clone()]);
    let start = link.now;
    let lease = link.bound();
    assert!(
        link.now - start < Duration::from_millis(1200),
        "{}",
        link.now - start
    );
    assert_eq!(link.kinds(), [DISCOVER, REQUEST]);
    let (discover, request) = (&link.asked[0], &link.asked[1]);
    let all = (
        EthernetAddress::BROADCAST,
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::BROADCAST,
    );
    assert_eq!((discover.to, request.to), (all, all));
    assert_eq!((discover.requested, discover.server), (None, None));
    assert_eq!(
        (request.requested, request.server),
        (Some(ADDRESS), Some(server.id))
    );
    assert_eq!((request.xid, request.secs), (discover.xid, discover.secs));
    assert_eq!(request.client_ip, Ipv4Addr::UNSPECIFIED);
    assert!(discover.bytes.len() >= 300);
    // Fixed fields, cookie, type, client identifier, and later the name.
    assert_eq!(discover.bytes[..4], [1, 1, 6, 0]);
    assert_eq!(discover.bytes[236..243], [99, 130, 83, 99, 53, 1, 1]);
    assert_eq!(discover.bytes[243..252], [61, 7, 1, 2, 0, 0, 0, 0, 2]);
    let name = [12, 7, b'm', b'i', b'r', b'-', b'w', b'w', b'w', 255];
    assert!(discover.bytes.windows(10).any(|bytes| bytes == name));
    assert_eq!(link.probes.len(), 3);
    assert!(link.probes.iter().all(|(_, probed)| *probed == ADDRESS));
    assert_eq!(lease.address, Ipv4Cidr::new(ADDRESS, 24));
    assert_eq!((lease.server, lease.server_mac), (server.id, server.mac()));
    assert_eq!(
        (lease.router, lease.mtu),
        (Some(Ipv4Addr::new(192, 168, 7, 1)), Some(1400))
    );
    // Times count from the REQUEST; T1 comes a little early.
    let asked = link.asked[1].at;
    assert_eq!(lease.rebind_at, asked + Duration::from_secs(2000));
    assert_eq!(lease.expires_at, asked + Duration::from_secs(3600));
    let t1 = lease.renew_at - asked;
    assert!(
        t1 <= Duration::from_secs(1000) && t1 > Duration::from_secs(937),
        "{t1}"
    );
    link.run(Duration::from_secs(100), never);
    assert_eq!(link.announced.len(), 2);
    assert_eq!(link.events.len(), 1);
    // Nothing is due until the lease is to be renewed.
    assert_eq!(link.client.deadline(), lease.renew_at);
}

#[test]
fn a_short_lease_is_renewed_from_its_server() {
    let mut link = Link::new(vec![Server::new(1, 30)]);
    link.bound();
    link.asked.clear();
    for renewal in 1..=3 {
        link.run(Duration::from_secs(30), |link| link.asked.len() == renewal);
        let asked = &link.asked[renewal - 1];
        let server = &link.servers[0];
        assert_eq!(asked.to, (server.mac(), ADDRESS, server.id));
        assert_eq!(
            (asked.client_ip, asked.requested, asked.server),
            (ADDRESS, None, None)
        );
        assert_eq!(
            link.events.last().map(|(_, event)| *event),
            Some(Event::Renewed)
        );
        let lease = link.client.lease().expect("a lease");
        assert_eq!(lease.expires_at, asked.at + Duration::from_secs(30));
    }
    assert_eq!(link.losses(), []);
    assert_eq!(link.probes.len(), 3);
    let xids: std::collections::HashSet<_> = link.asked.iter().map(|asked| asked.xid).collect();
    assert_eq!(xids.len(), 3);
}

#[test]
fn that_nobody_answers_is_said_once() {
    let mut link = Link::new(vec![]);
    let start = link.now;
    link.run(Duration::from_secs(600), never);
    let (at, event) = link.events[0];
    assert_eq!((link.events.len(), event), (1, Event::Unanswered));
    assert!((10..15).contains(&(at - start).secs()), "{at}");
    // There is an address, until it is lost: then it may be said once more.
    link.servers.push(Server::new(1, 30));
    link.bound();
    link.servers.clear();
    link.events.clear();
    link.run(Duration::from_secs(600), never);
    let said: Vec<_> = link.events.iter().map(|(_, event)| *event).collect();
    assert!(
        matches!(said[..], [Event::Lost(..), Event::Unanswered]),
        "{said:?}"
    );
}

/// As on a machine that has slept.
#[test]
fn a_lease_that_has_ended_before_it_was_used_is_not_used() {
    let mut link = Link::new(vec![Server::new(1, 30)]);
    link.run(secs(5), |link| link.probes.len() == 3);
    link.servers.clear();
    link.now += secs(40);
    link.run(secs(2), never);
    assert_eq!((&link.events[..], &link.announced[..]), (&[][..], &[][..]));
    assert_eq!(link.kinds(), [DISCOVER, REQUEST, DISCOVER]);
}

#[test]
fn an_offer_of_no_use_is_said_once() {
    for lease in [0, 1, 3] {
        let useless = Server::new(1, lease);
        let mut link = Link::new(vec![useless.clone()]);
        link.run(Duration::from_secs(600), never);
        let said: Vec<_> = link.events.iter().map(|(_, event)| *event).collect();
        assert_eq!(said, [Event::Unusable(useless.id)]);
        // Beside one that is of use it does no harm.
        link.servers.push(Server::new(2, 30));
        link.bound();
    }
}

#[test]
fn silence_is_asked_less_and_less_often() {
    let mut link = Link::new(vec![]);
    link.run(Duration::from_secs(3600), never);
    let gaps: Vec<f64> = link
        .asked
        .windows(2)
        .map(|pair| (pair[1].at - pair[0].at).total_millis() as f64 / 1000.0)
        .collect();
    for (n, gap) in gaps.iter().enumerate() {
        let expected = f64::from(4 << n.min(4));
        assert!((gap - expected).abs() <= 1.0, "{n}: {gap}");
    }
    assert!((50..70).contains(&gaps.len()), "{}", gaps.len());
    assert!(gaps.iter().any(|gap| gap.fract() > 0.1));
    assert_eq!(
        link.asked[3].secs,
        (link.asked[3].at - link.asked[0].at).secs() as u16
    );
    // It comes back, an hour later.
    link.servers.push(Server::new(1, 30));
    let lease = link.bound();
    assert!(lease.expires_at > link.now + Duration::from_secs(25));
}

#[test]
fn a_refusal_begins_anew_and_not_in_a_rush() {
    let mut link = Link::new(vec![Server {
        refuses: true,
        ..Server::new(1, 30)
    }]);
    link.run(Duration::from_secs(600), never);
    let refused = link
        .events
        .iter()
        .filter(|(_, event)| matches!(event, Event::Refused(_)));
    assert!(
        (3..40).contains(&refused.count()),
        "{:?}",
        link.events.len()
    );
    assert!(link.asked.len() < 100);
    link.servers[0].refuses = false;
    link.bound();
}

#[test]
fn of_two_servers_the_first_is_taken_and_named() {
    let second = Server {
        address: Ipv4Addr::new(192, 168, 7, 99),
        ..Server::new(2, 30)
    };
    let mut link = Link::new(vec![Server::new(1, 30), second.clone()]);
    assert_eq!(link.bound().server, link.servers[0].id);
    assert_eq!(link.asked[1].server, Some(link.servers[0].id));
    // It goes away; the other does not know our address, and gives another after the loss.
    link.servers.remove(0);
    link.run(Duration::from_secs(60), |link| {
        link.losses() == [Loss::Expired(Ipv4Addr::new(192, 168, 7, 1))]
    });
    assert!(link.client.lease().is_none());
    assert_eq!(link.bound().address.address(), second.address);
}

#[test]
fn a_server_that_only_offers_is_left_for_another() {
    let first = Server {
        grants: false,
        ..Server::new(1, 30)
    };
    let mut link = Link::new(vec![first, Server::new(2, 30)]);
    let start = link.now;
    assert_eq!(link.bound().server, link.servers[1].id);
    assert_eq!(
        link.kinds(),
        [DISCOVER, REQUEST, REQUEST, REQUEST, DISCOVER, REQUEST]
    );
    assert!(link.now - start < Duration::from_secs(35));
    // Alone, it gets another chance.
    let mut link = Link::new(vec![Server {
        grants: false,
        ..Server::new(1, 30)
    }]);
    link.run(Duration::from_secs(40), never);
    link.servers[0].grants = true;
    link.bound();
}

#[test]
fn a_server_that_goes_away_is_asked_then_all_are_then_the_address_is_lost() {
    let mut link = Link::new(vec![Server::new(1, 30)]);
    let lease = link.bound();
    let server = link.servers.remove(0);
    link.asked.clear();
    link.run(Duration::from_secs(60), |link| !link.losses().is_empty());
    assert_eq!(link.now, lease.expires_at);
    assert_eq!(link.losses(), [Loss::Expired(server.id)]);
    let (renewals, rebinds): (Vec<_>, Vec<_>) = link
        .asked
        .iter()
        .filter(|asked| asked.kind == REQUEST)
        .partition(|asked| asked.to.2 == server.id);
    assert!((2..=6).contains(&renewals.len()), "{renewals:?}");
    assert!((1..=3).contains(&rebinds.len()), "{rebinds:?}");
    assert!(renewals.iter().all(|asked| asked.at < lease.rebind_at));
    for asked in &rebinds {
        assert!(asked.at >= lease.rebind_at && asked.at < lease.expires_at);
        assert_eq!(
            asked.to,
            (EthernetAddress::BROADCAST, ADDRESS, Ipv4Addr::BROADCAST)
        );
    }
    assert_eq!(
        link.asked.last().map(|asked| (asked.kind, asked.at)),
        Some((DISCOVER, link.now))
    );
    link.servers.push(server);
    link.bound();
}

#[test]
fn another_server_may_take_over() {
    let mut link = Link::new(vec![Server::new(1, 3600)]);
    let lease = link.bound();
    link.servers = vec![Server::new(2, 3600)];
    link.run(Duration::from_secs(3600), |link| {
        link.client
            .lease()
            .is_some_and(|l| l.server != lease.server)
    });
    assert!(link.now >= lease.rebind_at && link.now < lease.expires_at);
    assert_eq!(link.losses(), []);
    // A minute between attempts, where there is time.
    let renewals: Vec<_> = link
        .asked
        .iter()
        .filter(|asked| asked.to.2 == lease.server)
        .collect();
    assert!(
        renewals
            .windows(2)
            .all(|pair| pair[1].at - pair[0].at >= Duration::from_secs(60))
    );
}

#[test]
fn a_refused_renewal_withdraws_the_address_at_once() {
    let mut link = Link::new(vec![Server::new(1, 30)]);
    let lease = link.bound();
    link.servers[0].refuses = true;
    link.run(Duration::from_secs(30), |link| !link.losses().is_empty());
    assert!(link.now < lease.rebind_at);
    assert_eq!(link.losses(), [Loss::Refused(link.servers[0].id)]);
    assert!(link.client.lease().is_none());
    // At once something new is asked for; this server refuses that as well.
    let lost = link.now;
    let last = &link.asked[link.asked.len() - 2..];
    assert_eq!((last[0].kind, last[0].at), (DISCOVER, lost));
    assert_eq!((last[1].kind, last[1].at), (REQUEST, lost));
    link.servers[0].refuses = false;
    link.bound();
    assert!(link.now - lost < Duration::from_secs(12));
}

/// An answer may take its time; the lease counts from the question.
#[test]
fn a_lease_counts_from_when_it_was_asked_for() {
    let mut link = Link::new(vec![Server::new(1, 30)]);
    link.bound();
    let server = link.servers.remove(0);
    link.asked.clear();
    link.run(Duration::from_secs(20), |link| !link.asked.is_empty());
    let asked = link.asked[0].clone();
    let answer = server.answer(&asked).expect("an ACK");
    link.run(Duration::from_secs(3), never);
    assert_eq!(link.hear(&server, &answer), None);
    let lease = link.client.lease().expect("a lease");
    assert_eq!(lease.expires_at, asked.at + Duration::from_secs(30));
    assert_eq!(link.now, asked.at + Duration::from_secs(3));
    // The same again, late, is not what is awaited.
    assert_eq!(link.hear(&server, &answer), Some(Ignored::Unexpected));
}

#[test]
fn only_its_server_may_refuse_a_renewal() {
    let mut link = Link::new(vec![Server::new(1, 30)]);
    let lease = link.bound();
    link.servers.clear();
    link.asked.clear();
    link.run(Duration::from_secs(20), |link| !link.asked.is_empty());
    let other = Server::new(2, 30);
    let xid = link.client.awaits().expect("a question");
    let nak = other.reply(DhcpMessageType::Nak, xid);
    assert_eq!(link.hear(&other, &nak), Some(Ignored::Unexpected));
    assert_eq!(link.client.lease(), Some(&lease));
}

#[test]
fn an_address_that_somebody_has_is_declined() {
    let mut link = Link::new(vec![Server::new(1, 3600)]);
    link.run(Duration::from_secs(10), |link| link.probes.len() == 2);
    assert_eq!(link.client.candidate(), Some(ADDRESS));
    assert_eq!(
        link.client
            .claimed(Ipv4Addr::new(192, 168, 7, 21), OTHER, link.now),
        None
    );
    let event = link.client.claimed(ADDRESS, OTHER, link.now);
    let server = link.servers[0].id;
    assert_eq!(event, Some(Event::Declined(ADDRESS, server, OTHER)));
    let declined = link.now;
    link.turn();
    let decline = link.asked.last().expect("a message");
    assert_eq!(
        (decline.kind, decline.requested),
        (DhcpMessageType::Decline, Some(ADDRESS))
    );
    assert_eq!(
        (decline.server, decline.client_ip),
        (Some(link.servers[0].id), Ipv4Addr::UNSPECIFIED)
    );
    let count = link.asked.len();
    link.run(Duration::from_secs(60), |link| link.asked.len() > count);
    assert_eq!(link.now - declined, Duration::from_secs(10));
    link.bound();
}

#[test]
fn a_claim_is_defended_once_in_ten_seconds() {
    let mut link = Link::new(vec![Server::new(1, 3600)]);
    let lease = link.bound();
    link.run(Duration::from_secs(10), never);
    let announced = link.announced.len();
    for n in 1..=3 {
        let event = link.client.claimed(ADDRESS, OTHER, link.now);
        assert_eq!(event, Some(Event::Defended(ADDRESS, OTHER)));
        link.turn();
        assert_eq!(link.announced.len(), announced + n);
        link.run(Duration::from_secs(11), never);
    }
    let first = link.client.claimed(ADDRESS, OTHER, link.now);
    assert_eq!(first, Some(Event::Defended(ADDRESS, OTHER)));
    link.run(Duration::from_secs(9), never);
    let second = link.client.claimed(ADDRESS, OTHER, link.now);
    assert_eq!(
        second,
        Some(Event::Lost(lease.address, Loss::Conflict(OTHER)))
    );
    assert!(link.client.lease().is_none());
    link.turn();
    assert_eq!(link.kinds().last(), Some(&DhcpMessageType::Decline));
}

#[test]
fn an_endless_lease_has_no_timer() {
    let mut link = Link::new(vec![Server::new(1, u32::MAX)]);
    assert!(link.bound().time.is_none());
    link.run(Duration::from_secs(10), never);
    assert_eq!(link.client.deadline(), Instant::from_micros(i64::MAX));
}

/// Lost and doubled messages, for a day: the address is never used beyond its lease, and is got
/// back whenever it is lost.
#[test]
fn on_a_bad_link() {
    let mut link = Link::new(vec![Server::new(1, 30), Server::new(2, 30)]);
    let mut state = 88172645463325252u64;
    link.copies = Box::new(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        [0, 0, 1, 1, 1, 2][(state >> 20) as usize % 6]
    });
    let (mut bound, mut unbound) = (Duration::ZERO, Duration::ZERO);
    let end = link.now + Duration::from_secs(86400);
    while link.now < end {
        let before = link.now;
        let was = link.client.lease().copied();
        let deadline = link.client.deadline();
        link.run(deadline - before, never);
        match was {
            Some(lease) => {
                assert!(before < lease.expires_at && deadline <= lease.expires_at);
                bound += link.now - before;
            }
            None => unbound += link.now - before,
        }
        link.turn();
    }
    assert!(
        bound > unbound * 4,
        "{bound} with, {unbound} without an address"
    );
    assert!(!link.losses().is_empty(), "the link was not bad enough");
}
