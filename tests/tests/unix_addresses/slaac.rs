//! Router advertisements.

use std::time::Duration;

use tests::capture::mss_accepted;
use tests::lan::{Lan, Load, Server, Www, mac};

pub(super) const ALL: &[(&str, fn())] = &[
    ("slaac_an_address_under_load", an_address_under_load),
    ("slaac_deprecated_then_gone", deprecated_then_gone),
    ("slaac_another_prefix", another_prefix),
    (
        "slaac_two_prefixes_beside_a_static_one",
        two_prefixes_beside_a_static_one,
    ),
    ("slaac_mtu", mtu),
    ("slaac_taken_addresses", taken_addresses),
    ("slaac_link_local_alone", link_local_alone),
];

/// What the service's MAC address makes of a prefix.
const HOST: &str = "ff:fe00:7";

fn small(lan: &Lan, address: &str) {
    assert!(lan.hub.ping(address).contains(" 0% packet loss"));
    let url = format!("http://[{address}]/small");
    assert_eq!(lan.hub.curl(&[], &url), b"small\n");
}

/// Waits for the address in a prefix such as `fd00:1::`.
fn learned(www: &Www, prefix: &str, lifetime: &str) -> String {
    let address = format!("{prefix}{HOST}");
    let line = www.says(&format!("IPv6: {address}/64 from router fe80::"));
    assert!(line.ends_with(lifetime), "{line}");
    www.says(&format!("http://[{address}]:80/"));
    address
}

/// It is advertised every few seconds, and lives for less than the load lasts.
fn an_address_under_load() {
    let lan = Lan::new(&["fd00:1::1/64"]);
    let prefix = "prefix fd00:1::/64 { AdvValidLifetime 8; AdvPreferredLifetime 8; };";
    let radvd = Server::radvd(&lan.hub, "br0", prefix);
    let www = lan.www(&[]);
    let address = learned(&www, "fd00:1::", ", for 8 s");
    small(&lan, &address);
    let load = Load::start(&lan.hub, &format!("[{address}]"));
    load.stop(400);
    drop(radvd);
    // Nobody says that it goes.
    let line = www.says(&format!("IPv6: no router advertises {address}/64 any more"));
    assert!(line.contains(" error "), "{line}");
    www.says(&format!("{address} withdrawn, "));
    gone(&lan, &address);
    let (log, _) = www.stop();
    assert_eq!(log.matches(" from router ").count(), 1, "{log}");
}

fn gone(lan: &Lan, address: &str) {
    let ping = ["-n", "-c", "1", "-W", "1", address];
    assert!(!lan.hub.run("ping", &ping).status.success(), "{address}");
}

/// A prefix with a preferred lifetime of zero serves on until its end.
fn deprecated_then_gone() {
    let lan = Lan::new(&["fd00:1::1/64"]);
    let prefix = |preferred| {
        format!("prefix fd00:1::/64 {{ AdvValidLifetime 12; AdvPreferredLifetime {preferred}; }};")
    };
    let radvd = Server::radvd(&lan.hub, "br0", &prefix(10));
    let www = lan.www(&[]);
    let address = learned(&www, "fd00:1::", ", for 12 s");
    radvd.radvd_says("br0", &prefix(0));
    www.says(&format!("IPv6: {address}/64 is deprecated by "));
    small(&lan, &address);
    radvd.program.stop();
    www.says(&format!("IPv6: no router advertises {address}/64 any more"));
    gone(&lan, &address);
}

/// The router has another one from now on.
fn another_prefix() {
    let lan = Lan::new(&["fd00:1::1/64", "fd00:2::1/64"]);
    let prefix =
        |n| format!("prefix fd00:{n}::/64 {{ AdvValidLifetime 10; AdvPreferredLifetime 5; }};");
    let radvd = Server::radvd(&lan.hub, "br0", &prefix(1));
    let www = lan.www(&[]);
    let old = learned(&www, "fd00:1::", ", for 10 s");
    small(&lan, &old);
    radvd.radvd_says("br0", &prefix(2));
    let new = learned(&www, "fd00:2::", ", for 10 s");
    small(&lan, &new);
    www.says(&format!("IPv6: no router advertises {old}/64 any more"));
    gone(&lan, &old);
    small(&lan, &new);
}

/// One that has an end, one that has none, and one that a person has chosen.
fn two_prefixes_beside_a_static_one() {
    let lan = Lan::new(&["fd00:1::1/64", "fd00:2::1/64", "fd00:3::1/64"]);
    let _radvd = Server::radvd(
        &lan.hub,
        "br0",
        "prefix fd00:1::/64 { }; prefix fd00:2::/64 { AdvValidLifetime infinity; AdvPreferredLifetime infinity; };",
    );
    let www = lan.www(&["--ipv6=auto"]);
    // radvd's own day.
    let one = learned(&www, "fd00:1::", ", for 86400 s");
    let two = learned(&www, "fd00:2::", ", for ever");
    small(&lan, &one);
    small(&lan, &two);
    www.stop();
    let www = lan.www(&["--ipv6=fd00:3::7/64"]);
    www.says("fd00:3::7/64, from --ipv6");
    www.says("http://[fd00:3::7]:80/");
    small(&lan, "fd00:3::7");
    let (log, _) = www.stop();
    assert!(!log.contains("from router"), "{log}");
}

fn mtu() {
    let lan = Lan::new(&["fd00:1::1/64"]);
    let says = "AdvLinkMTU 1400; prefix fd00:1::/64 { };";
    let _radvd = Server::radvd(&lan.hub, "br0", says);
    let www = lan.www(&[]);
    www.says("the MTU is 1400");
    let address = learned(&www, "fd00:1::", " s");
    small(&lan, &address);
    let (_, frames) = www.stop();
    assert_eq!(mss_accepted(&frames), [1340]);
}

/// Somebody else has the addresses that we would have: by the router's prefix, and chosen.
fn taken_addresses() {
    let lan = Lan::new(&["fd00:2::1/64"]);
    let taken = format!("fd00:1::{HOST}");
    let other = lan.host(&[&format!("{taken}/64"), "fd00:2::7/64"]);
    let prefixes = "prefix fd00:1::/64 { }; prefix fd00:2::/64 { };";
    let _radvd = Server::radvd(&lan.hub, "br0", prefixes);
    let mac = mac(&other);
    let www = lan.www(&[]);
    www.says(&format!("IPv6: {mac} has {taken}/64; not used"));
    small(&lan, &learned(&www, "fd00:2::", " s"));
    let (log, _) = www.stop();
    assert_eq!(log.matches("not used").count(), 1, "{log}");
    let www = lan.www(&["--ipv6=fd00:2::7/64"]);
    www.says(&format!("IPv6: {mac} has fd00:2::7/64; not used"));
    let (log, _) = www.stop();
    assert!(!log.contains("http://[fd00:2::7]:80/"), "{log}");
}

/// The router is not listened to.
fn link_local_alone() {
    let lan = Lan::new(&["fd00:1::1/64"]);
    let radvd = Server::radvd(&lan.hub, "br0", "prefix fd00:1::/64 { };");
    let www = lan.www(&["--ipv6=link-local"]);
    // It speaks twice meanwhile.
    let says = "timer_handler called for br0";
    let before = radvd.program.count(says);
    radvd
        .program
        .says_nth(says, before + 2, Duration::from_secs(20));
    small(&lan, &format!("fe80::{HOST}%br0"));
    let (log, _) = www.stop();
    assert!(!log.contains("fd00:1"), "{log}");
}
