//! What servers may say, and what not.

use std::net::Ipv4Addr;

use proptest::prelude::*;
use smoltcp::wire::{self, DhcpMessageType, DhcpRepr, Ipv4Cidr};
use tests::net::CLIENT_MAC;
use www::net::dhcp::Hostname;
use www::net::{Duration, Instant};

use super::link::*;

/// Offers that no host can use.
#[test]
fn what_cannot_be_used_is_ignored() {
    type Change = fn(&mut DhcpRepr<'_>);
    let change: &[(&str, Change)] = &[
        ("no address", |r| r.your_ip = Ipv4Addr::UNSPECIFIED),
        ("loopback", |r| r.your_ip = Ipv4Addr::LOCALHOST),
        ("group", |r| r.your_ip = Ipv4Addr::new(224, 0, 0, 1)),
        ("broadcast", |r| r.your_ip = Ipv4Addr::BROADCAST),
        ("class E", |r| r.your_ip = Ipv4Addr::new(250, 0, 0, 1)),
        ("network", |r| r.your_ip = Ipv4Addr::new(192, 168, 7, 0)),
        ("its broadcast", |r| {
            r.your_ip = Ipv4Addr::new(192, 168, 7, 255)
        }),
        ("mask with a hole", |r| {
            r.subnet_mask = Some(Ipv4Addr::new(255, 0, 255, 0))
        }),
        ("no network", |r| {
            r.subnet_mask = Some(Ipv4Addr::UNSPECIFIED)
        }),
        ("no server", |r| r.server_identifier = None),
        ("server 0", |r| {
            r.server_identifier = Some(Ipv4Addr::UNSPECIFIED)
        }),
        ("server a group", |r| {
            r.server_identifier = Some(Ipv4Addr::new(224, 0, 0, 9))
        }),
        ("no lease", |r| r.lease_duration = None),
        ("lease of 0", |r| r.lease_duration = Some(0)),
        ("lease of 3", |r| r.lease_duration = Some(3)),
        ("another client", |r| {
            r.client_hardware_address = wire::EthernetAddress(CLIENT_MAC)
        }),
        ("another question", |r| r.transaction_id ^= 1),
        ("an ACK", |r| r.message_type = DhcpMessageType::Ack),
        ("a NAK", |r| r.message_type = DhcpMessageType::Nak),
        ("a question", |r| r.message_type = DhcpMessageType::Discover),
    ];
    let server = Server::new(1, 30);
    let good = |xid| DhcpRepr {
        your_ip: ADDRESS,
        server_identifier: Some(server.id),
        subnet_mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
        lease_duration: Some(30),
        ..blank(DhcpMessageType::Offer, xid)
    };
    for (what, change) in change {
        let mut link = Link::new(vec![]);
        link.turn();
        let xid = link.client.awaits().expect("a question");
        let mut repr = good(xid);
        change(&mut repr);
        assert!(link.hear(&server, &reply(&repr)).is_some(), "{what}");
        link.turn();
        assert_eq!(link.kinds(), [DISCOVER], "{what}");
        // A good one is taken after that.
        assert_eq!(link.hear(&server, &reply(&good(xid))), None, "{what}");
        link.turn();
        assert_eq!(link.kinds(), [DISCOVER, REQUEST], "{what}");
    }
    // Every cut of a good one, and options that run over the end.
    let mut link = Link::new(vec![]);
    link.turn();
    let xid = link.client.awaits().expect("a question");
    let whole = reply(&good(xid));
    for len in 0..whole.len() - 1 {
        let mut cut = whole[..len].to_vec();
        if link.hear(&server, &cut).is_none() {
            // What is missing is not needed.
            assert!(len > 240 + 3 + 6 * 3, "{len}");
            link = Link::new(vec![]);
            link.turn();
        }
        cut.extend_from_slice(&[51, 255]);
        let _ = link.hear(&server, &cut);
    }
    // No more than one host on a network: used as it is.
    for (mask, prefix) in [
        ([255; 4], 32),
        ([255, 255, 255, 254], 31),
        ([255, 255, 0, 0], 16),
    ] {
        let mut link = Link::new(vec![]);
        link.turn();
        let mut repr = good(link.client.awaits().expect("a question"));
        repr.subnet_mask = Some(mask.into());
        link.hear(&server, &reply(&repr));
        link.turn();
        repr.message_type = DhcpMessageType::Ack;
        assert_eq!(link.hear(&server, &reply(&repr)), None);
        assert_eq!(link.bound().address, Ipv4Cidr::new(ADDRESS, prefix));
    }
}

/// A reply with options in the places of names, as `overload` says.
fn overloaded(server: &Server, kind: DhcpMessageType, xid: u32, overload: u8) -> Vec<u8> {
    let mut bytes = server.reply(kind, xid);
    assert_eq!(bytes.pop(), Some(255));
    bytes.extend([52, 1, overload, 255]);
    let router = [0, 3, 4, 192, 168, 7, 254, 255];
    let mtu = [26, 2, 5, 120];
    bytes[44..][..router.len()].copy_from_slice(&router);
    // Until the last byte, without an end.
    bytes[236 - mtu.len()..236].copy_from_slice(&mtu);
    bytes
}

#[test]
fn options_are_in_the_places_of_names_too_if_that_is_said() {
    let other = Some(Ipv4Addr::new(192, 168, 7, 254));
    let usual = Some(Ipv4Addr::new(192, 168, 7, 1));
    for (overload, router, mtu) in [
        (0, usual, None),
        (1, usual, Some(1400)),
        (2, other, None),
        (3, other, Some(1400)),
    ] {
        let server = Server::new(1, 30);
        let mut link = Link::new(vec![]);
        for kind in [DhcpMessageType::Offer, DhcpMessageType::Ack] {
            link.turn();
            let xid = link.client.awaits().expect("a question");
            let bytes = overloaded(&server, kind, xid, overload);
            assert_eq!(link.hear(&server, &bytes), None);
        }
        let lease = link.bound();
        assert_eq!((lease.router, lease.mtu), (router, mtu), "{overload}");
    }
}

#[test]
fn times_that_make_no_sense_are_replaced() {
    for times in [(0, 0), (20, 10), (10, 30), (30, 40), (u32::MAX, u32::MAX)] {
        let mut link = Link::new(vec![Server {
            times: Some(times),
            ..Server::new(1, 30)
        }]);
        let lease = link.bound();
        let asked = link.asked[1].at;
        let millis = |at: Instant| (at - asked).total_millis();
        assert!(
            (14_000..=15_000).contains(&millis(lease.renew_at)),
            "{times:?}"
        );
        assert_eq!(
            (millis(lease.rebind_at), millis(lease.expires_at)),
            (26_250, 30_000)
        );
    }
}

#[test]
fn names_are_checked() {
    assert!(Hostname::new("web-1.example").is_some());
    for bad in ["", "a b", "a\n", "\u{e9}", &"x".repeat(64)] {
        assert_eq!(Hostname::new(bad), None, "{bad:?}");
    }
}

#[derive(Clone, Debug)]
enum Blow {
    Bytes(Vec<u8>),
    /// A reply of the right shape, bytes of it changed.
    Reply(u8, Vec<(prop::sample::Index, u8)>),
    Claim,
    Wait(u32),
}

fn blow() -> impl Strategy<Value = Blow> {
    let change = (any::<prop::sample::Index>(), any::<u8>());
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..600).prop_map(Blow::Bytes),
        6 => (0u8..4, prop::collection::vec(change, 0..4)).prop_map(|(k, c)| Blow::Reply(k, c)),
        1 => Just(Blow::Claim),
        3 => (0u32..40_000).prop_map(Blow::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_do_harm(blows in prop::collection::vec(blow(), 1..80)) {
        let mut link = Link::new(vec![]);
        let server = Server::new(1, 30);
        link.turn();
        for blow in &blows {
            let xid = link.client.awaits().unwrap_or(0);
            match blow {
                Blow::Bytes(bytes) => _ = link.hear(&server, bytes),
                Blow::Reply(kind, changes) => {
                    let kind = [DhcpMessageType::Offer, DhcpMessageType::Ack, DhcpMessageType::Nak,
                        DhcpMessageType::Ack][usize::from(*kind)];
                    let mut bytes = server.reply(kind, xid);
                    for (at, to) in changes {
                        let at = at.index(bytes.len());
                        bytes[at] = *to;
                    }
                    let _ = link.hear(&server, &bytes);
                }
                Blow::Claim => {
                    let claimed = link.client.candidate().unwrap_or(ADDRESS);
                    if let Some(event) = link.client.claimed(claimed, OTHER, link.now) {
                        link.note(event);
                    }
                }
                Blow::Wait(millis) => link.run(Duration::from_millis((*millis).into()), never),
            }
            link.turn();
            let lease = link.client.lease();
            prop_assert!(lease.is_none_or(|lease| lease.expires_at > link.now
                && lease.renew_at <= lease.rebind_at && lease.rebind_at <= lease.expires_at
                && lease.address.prefix_len() >= 8));
        }
        // Then a good server, and all is well.
        let before = link.asked.len();
        link.servers.push(server);
        link.run(Duration::from_secs(400), |link| link.client.lease().is_some());
        prop_assert!(link.client.lease().is_some());
        prop_assert!(link.asked.len() - before < 60);
    }
}
