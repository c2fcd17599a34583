//! `www::net` in good weather.

use smoltcp::socket::tcp::State;
use smoltcp::wire::IpAddress;
use tests::net::*;
use www::net::wire::Abilities;
use www::net::{Duration, link_local};

#[test]
fn serves_a_connection_and_closes_it() {
    let mut world = World::new(config(), Abilities::default(), Abilities::default());
    world.serve(echo);
    let handle = world.connect();
    assert_eq!(world.ask(handle, b"hello", 5), b"hello");
    assert_eq!(world.ask(handle, b"again", 5), b"again");
    world.client.socket(handle).close();
    world.run_until(Duration::from_secs(5), |world| {
        matches!(
            world.client.socket(handle).state(),
            State::TimeWait | State::Closed
        )
    });
    world.run_for(Duration::from_millis(100));
    let stats = world.net.stats();
    assert_eq!(
        (stats.connections, stats.awake, stats.memory),
        (0, 0, 0),
        "{stats:?}"
    );
    assert_eq!((stats.established, stats.accepted), (1, 1));
}

#[test]
fn serves_over_ipv6_link_local() {
    let mut world = World::new(config(), Abilities::default(), Abilities::default());
    world.serve(blocks);
    let server = IpAddress::Ipv6(link_local(SERVER_MAC));
    let handle = world.client.connect(server, 65535, 65535);
    world.run_until(Duration::from_secs(5), |world| {
        world.client.socket(handle).state() == State::Established
    });
    assert_eq!(world.ask(handle, b"100000\n", 100_000), pattern(100_000));
}

#[test]
fn a_large_response_arrives_whole() {
    let mut world = World::new(config(), Abilities::default(), Abilities::default());
    world.serve(blocks);
    let handle = world.connect();
    assert_eq!(
        world.ask(handle, b"3000000\n", 3_000_000),
        pattern(3_000_000)
    );
    let stats = world.net.stats();
    assert!(stats.grown >= 1, "{stats:?}");
}

/// A fuzzer makes thousands of them.
#[test]
fn a_world_leaves_nothing_behind() {
    let held = std::rc::Rc::new(());
    let there = std::rc::Rc::downgrade(&held);
    let mut world = World::new(config(), Abilities::default(), Abilities::default());
    world.serve(move |conn| {
        let held = held.clone();
        async move {
            echo(conn).await;
            drop(held);
        }
    });
    let handle = world.connect();
    assert_eq!(world.ask(handle, b"hello", 5), b"hello");
    drop(world);
    assert!(there.upgrade().is_none());
}
