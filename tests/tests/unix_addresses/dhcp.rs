//! DHCP.

use std::net::Ipv4Addr;
use std::time::Duration;

use smoltcp::wire::DhcpMessageType as Kind;
use tests::capture::{dhcp, mss_accepted};
use tests::lan::{Lan, Load, MAC, Server, answers_arp, mac};

pub(super) const ALL: &[(&str, fn())] = &[
    ("dhcp_renewed_under_load", renewed_under_load),
    ("dhcp_dnsmasq_renewed_then_refused", renewed_then_refused),
    ("dhcp_server_goes_away", server_goes_away),
    ("dhcp_two_servers", two_servers),
    ("dhcp_another_server_takes_over", another_server_takes_over),
    ("dhcp_address_of_somebody_else", address_of_somebody_else),
    ("dhcp_address_is_claimed_later", address_is_claimed_later),
    ("dhcp_unicast_and_no_router", unicast_and_no_router),
    ("dhcp_broadcast_router_and_mtu", broadcast_router_and_mtu),
    ("dhcp_more_options_than_room", more_options_than_room),
    ("dhcp_server_is_late", server_is_late),
];

const MINUTE: Duration = Duration::from_secs(60);

/// The address in a line `DHCP: lent ADDRESS/PREFIX from ...`.
fn lent(line: &str) -> String {
    let address = line.split_once("DHCP: lent ").map(|(_, rest)| rest);
    let address = address.and_then(|rest| rest.split('/').next());
    address.unwrap_or_else(|| panic!("{line}")).to_owned()
}

fn small(lan: &Lan, address: &str) {
    let got = lan.hub.curl(&[], &format!("http://{address}/small"));
    assert_eq!(got, b"small\n");
}

/// A lease of 30 s is renewed three times, and clients notice nothing.
fn renewed_under_load() {
    let lan = Lan::new(&["10.0.0.1/24"]);
    let lines = ["start 10.0.0.100", "end 10.0.0.109", "option lease 30"];
    let server = Server::udhcpd(&lan.hub, "br0", &lines);
    let www = lan.www(&["--dhcp"]);
    let line = www.says("DHCP: lent 10.0.0.10");
    assert!(line.contains("/24 from 10.0.0.1, for 30 s"), "{line}");
    let address = lent(&line);
    assert!(lan.hub.ping(&address).contains(" 0% packet loss"));
    let load = Load::start(&lan.hub, &address);
    let renewed = format!("DHCP: renewed {address}/24 from 10.0.0.1, for 30 s");
    www.says_nth(&renewed, 3, 2 * MINUTE);
    load.stop(500);
    let known = server.dumped(&lan.hub);
    let name = uname();
    let line = known.lines().find(|line| line.starts_with(MAC));
    assert!(
        line.is_some_and(|l| l.contains(&address) && l.contains(&name)),
        "{known}"
    );
    let (log, _) = www.stop();
    assert!(!log.contains(" error "), "{log}");
}

fn uname() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// Three renewals, then a NAK, and another address at once.
fn renewed_then_refused() {
    let lan = Lan::new(&["10.0.0.1/24"]);
    let range = |range: &str| {
        // The shortest that it has is two minutes; when they are renewed is free.
        let range = format!("--dhcp-range={range},255.255.255.0,120");
        let renew = "--dhcp-option=option:T1,8";
        Server::dnsmasq(&lan.hub, "br0", &[&range, renew, "--dhcp-authoritative"])
    };
    let server = range("10.0.0.50,10.0.0.59");
    let www = lan.www(&["--dhcp"]);
    let address = lent(&www.says("/24 from 10.0.0.1, for 120 s"));
    let leased = server.leased();
    let name = uname();
    let known = leased
        .lines()
        .find(|line| line.contains(MAC))
        .expect("a lease");
    // When it ends, MAC address, IP address, name, client identifier.
    let fields: Vec<_> = known.split(' ').skip(1).collect();
    assert_eq!(fields, [MAC, &address, &name, &format!("01:{MAC}")]);
    let load = Load::start(&lan.hub, &address);
    let renewed = format!("DHCP: renewed {address}/24 from 10.0.0.1, for 120 s");
    www.says_nth(&renewed, 3, MINUTE);
    load.stop(200);
    server.program.stop();
    let server = range("10.0.0.150,10.0.0.159");
    let line = www.says(&format!("the server takes {address}/24 back"));
    assert!(line.ends_with("back, says 10.0.0.1"), "{line}");
    let next = lent(&www.says("DHCP: lent 10.0.0.15"));
    small(&lan, &next);
    assert!(!answers_arp(&lan.hub, &address, Duration::from_secs(1)));
    assert_eq!(server.program.count("DHCPNAK"), 1);
    let (_, frames) = www.stop();
    let messages = dhcp(&frames);
    let nak = messages
        .iter()
        .find(|m| m.kind == Kind::Nak)
        .expect("a NAK");
    let bound = messages
        .iter()
        .find(|m| m.at > nak.at && m.kind == Kind::Ack)
        .expect("an ACK");
    assert!(bound.at - nak.at < Duration::from_secs(5), "{messages:#?}");
}

/// Nobody renews: its server is asked, then all, then the lease ends; with the server, an address
/// comes back.
fn server_goes_away() {
    let lan = Lan::new(&["10.0.0.1/24"]);
    let lines = ["start 10.0.0.100", "end 10.0.0.100", "option lease 12"];
    let server = Server::udhcpd(&lan.hub, "br0", &lines);
    let www = lan.www(&["--dhcp"]);
    let address = lent(&www.says("for 12 s"));
    small(&lan, &address);
    www.says("DHCP: renewed");
    server.program.stop();
    www.says("DHCP: the lease of 10.0.0.100/24 has ended, renewed neither by 10.0.0.1 nor by another server");
    www.says("10.0.0.100 withdrawn, ");
    assert!(!answers_arp(&lan.hub, &address, Duration::from_secs(1)));
    let server = Server::udhcpd(&lan.hub, "br0", &lines);
    www.says_nth("DHCP: lent 10.0.0.100/24", 2, MINUTE);
    small(&lan, &address);
    drop(server);
    let (_, frames) = www.stop();
    let messages = dhcp(&frames);
    let last = messages
        .iter()
        .filter(|m| m.kind == Kind::Ack)
        .nth(1)
        .expect("the renewal");
    let after = messages.iter().filter(|m| m.at > last.at);
    let after: Vec<_> = after.take_while(|m| m.kind == Kind::Request).collect();
    let first_to_all = after
        .iter()
        .position(|m| m.is_broadcast())
        .expect("rebinding");
    let (renewing, rebinding) = after.split_at(first_to_all);
    assert!(!renewing.is_empty(), "{messages:#?}");
    for message in renewing {
        assert_eq!(
            message.ips,
            [Ipv4Addr::new(10, 0, 0, 100), Ipv4Addr::new(10, 0, 0, 1)]
        );
    }
    for message in rebinding {
        assert!(message.is_broadcast());
    }
    for message in after {
        // RFC 2131, 4.3.2: neither an address that is wanted, nor a server that is chosen.
        assert_eq!(
            (message.client, message.requested, message.server),
            (Ipv4Addr::new(10, 0, 0, 100), None, None)
        );
    }
}

/// One is chosen, and the other one hears that it is not.
fn two_servers() {
    let lan = Lan::new(&["10.0.0.200/24"]);
    let hosts = [lan.host(&["10.0.0.1/24"]), lan.host(&["10.0.0.2/24"])];
    let serve = |n: usize| {
        let range = format!("--dhcp-range=10.0.0.{n}0,10.0.0.{n}9,255.255.255.0,120");
        Server::dnsmasq(
            &hosts[n - 1],
            "eth0",
            &[&range, "--dhcp-option=option:T1,4"],
        )
    };
    let servers = [serve(1), serve(2)];
    let www = lan.www(&["--dhcp"]);
    let address = lent(&www.says("DHCP: lent"));
    let (chosen, other) = match address.starts_with("10.0.0.1") {
        true => (0, 1),
        false => (1, 0),
    };
    small(&lan, &address);
    www.says(&format!(
        "DHCP: renewed {address}/24 from 10.0.0.{}",
        chosen + 1
    ));
    servers[other].program.says("DHCPOFFER");
    assert_eq!(servers[other].program.count("DHCPACK"), 0);
    assert_eq!(servers[other].leased(), "");
    assert!(servers[chosen].leased().contains(&address));
    let (log, frames) = www.stop();
    assert_eq!(log.matches("DHCP: lent").count(), 1, "{log}");
    let messages = dhcp(&frames);
    let offers = messages.iter().filter(|m| m.kind == Kind::Offer);
    assert_eq!(offers.count(), 2, "{messages:#?}");
    let request = messages
        .iter()
        .find(|m| m.kind == Kind::Request)
        .expect("a REQUEST");
    assert!(request.is_broadcast());
    assert_eq!(
        request.server,
        Some(Ipv4Addr::new(10, 0, 0, chosen as u8 + 1))
    );
    assert_eq!(request.requested, address.parse().ok());
}

/// Its server is gone when the lease is to be renewed; another one knows it, too.
fn another_server_takes_over() {
    let lan = Lan::new(&["10.0.0.200/24"]);
    let hosts = [lan.host(&["10.0.0.1/24"]), lan.host(&["10.0.0.2/24"])];
    let known = format!("static_lease {MAC} 10.0.0.100");
    let lines = [
        "start 10.0.0.100",
        "end 10.0.0.109",
        "option lease 12",
        &known,
    ];
    let first = Server::udhcpd(&hosts[0], "eth0", &lines);
    let www = lan.www(&["--dhcp"]);
    www.says("DHCP: lent 10.0.0.100/24 from 10.0.0.1, for 12 s");
    let load = Load::start(&lan.hub, "10.0.0.100");
    first.program.stop();
    let second = Server::udhcpd(&hosts[1], "eth0", &lines);
    // And from then on it is the one that is asked.
    let renewed = "DHCP: renewed 10.0.0.100/24 from 10.0.0.2, for 12 s";
    www.says_nth(renewed, 2, MINUTE);
    load.stop(200);
    drop(second);
    let (_, frames) = www.stop();
    let messages = dhcp(&frames);
    let to_second = |m: &&tests::capture::Dhcp| m.ips[1] == Ipv4Addr::new(10, 0, 0, 2);
    assert!(messages.iter().any(|m| to_second(&m)), "{messages:#?}");
}

/// An address is offered that another host has.
fn address_of_somebody_else() {
    let lan = Lan::new(&["10.0.0.1/24"]);
    let range = "--dhcp-range=10.0.0.50,10.0.0.59,255.255.255.0,120";
    let server = Server::dnsmasq(&lan.hub, "br0", &[range]);
    // Which one it offers depends on who asks.
    let www = lan.www(&["--dhcp"]);
    let address = lent(&www.says("DHCP: lent"));
    www.stop();
    let other = lan.host(&[&format!("{address}/24")]);
    let www = lan.www(&["--dhcp"]);
    let by = mac(&other);
    www.says(&format!(
        "DHCP: {address} was offered by 10.0.0.1, but {by} has it; declined"
    ));
    server.program.says("DHCPDECLINE");
    let next = lent(&www.says("DHCP: lent"));
    assert_ne!(next, address);
    small(&lan, &next);
    let (log, frames) = www.stop();
    assert_eq!(log.matches("DHCP: lent").count(), 1, "{log}");
    let messages = dhcp(&frames);
    let mut declines = messages.iter().filter(|m| m.kind == Kind::Decline);
    let decline = declines.next().expect("a DECLINE");
    assert!(decline.is_broadcast());
    assert_eq!(decline.requested, address.parse().ok());
    assert_eq!(decline.server, Some(Ipv4Addr::new(10, 0, 0, 1)));
    assert_eq!(declines.count(), 0);
}

/// Another host takes the address that we have: it is told, and when it insists, we have another.
fn address_is_claimed_later() {
    let lan = Lan::new(&["10.0.0.1/24"]);
    let range = "--dhcp-range=10.0.0.50,10.0.0.59,255.255.255.0,120";
    let _server = Server::dnsmasq(&lan.hub, "br0", &[range]);
    let www = lan.www(&["--dhcp"]);
    let address = lent(&www.says("DHCP: lent"));
    let other = lan.host(&[&format!("{address}/24")]);
    let by = mac(&other);
    let claim = ["arping", "-q", "-U", "-c", "1", "-I", "eth0", &address];
    other.ok("busybox", &claim);
    www.says(&format!("DHCP: {address} is ours, and {by} claims it"));
    other.ok("busybox", &claim);
    www.says(&format!("DHCP: {by} uses {address}/24 too; given up"));
    let next = lent(&www.says_nth("DHCP: lent", 2, MINUTE));
    assert_ne!(next, address);
    small(&lan, &next);
}

/// What dnsmasq does by itself: its answers go to us alone.
fn unicast_and_no_router() {
    let lan = Lan::new(&["10.0.0.1/24"]);
    let range = "--dhcp-range=10.0.0.50,10.0.0.59,255.255.255.0,120";
    let _server = Server::dnsmasq(&lan.hub, "br0", &[range, "--dhcp-option=option:router"]);
    let www = lan.www(&["--dhcp"]);
    let line = www.says("DHCP: lent");
    assert!(line.ends_with(" from 10.0.0.1, for 120 s"), "{line}");
    small(&lan, &lent(&line));
    let (_, frames) = www.stop();
    let messages = dhcp(&frames);
    let answers = messages
        .iter()
        .filter(|m| matches!(m.kind, Kind::Offer | Kind::Ack));
    let unicast = answers.filter(|m| !m.is_broadcast() && m.ips[1] == m.yours);
    assert_eq!(unicast.count(), 2, "{messages:#?}");
    assert_eq!(mss_accepted(&frames), [1460]);
}

fn broadcast_router_and_mtu() {
    let lan = Lan::new(&["10.0.0.1/24"]);
    let _server = Server::dnsmasq(
        &lan.hub,
        "br0",
        &[
            "--dhcp-range=10.0.0.50,10.0.0.59,255.255.255.0,infinite",
            "--dhcp-broadcast",
            "--dhcp-option=option:mtu,1400",
            "--dhcp-option=option:router,10.0.0.254",
        ],
    );
    let www = lan.www(&["--dhcp"]);
    let line = www.says("DHCP: lent");
    let end = " from 10.0.0.1, for ever, router 10.0.0.254, MTU 1400";
    assert!(line.ends_with(end), "{line}");
    small(&lan, &lent(&line));
    let (_, frames) = www.stop();
    let messages = dhcp(&frames);
    let answers = messages
        .iter()
        .filter(|m| matches!(m.kind, Kind::Offer | Kind::Ack));
    assert_eq!(
        answers.filter(|m| m.is_broadcast()).count(),
        2,
        "{messages:#?}"
    );
    assert_eq!(mss_accepted(&frames), [1360]);
}

/// What has no place among the options is where names are otherwise (RFC 2132, 9.3).
fn more_options_than_room() {
    let lan = Lan::new(&["10.0.0.1/24"]);
    // A message of 576 bytes has 308 for them.
    let filler = |option| format!("--dhcp-option-force={option},{}", "x".repeat(130));
    let _server = Server::dnsmasq(
        &lan.hub,
        "br0",
        &[
            "--dhcp-range=10.0.0.50,10.0.0.59,255.255.255.0,120",
            "--dhcp-option=option:router,10.0.0.254",
            "--dhcp-option=option:mtu,1400",
            &filler(224),
            &filler(225),
        ],
    );
    let www = lan.www(&["--dhcp"]);
    let line = www.says("DHCP: lent");
    small(&lan, &lent(&line));
    assert!(line.ends_with(", router 10.0.0.254, MTU 1400"), "{line}");
    let (_, frames) = www.stop();
    let messages = dhcp(&frames);
    let ack = messages
        .iter()
        .find(|m| m.kind == Kind::Ack)
        .expect("an ACK");
    let [router, mtu, overload] = [3, 26, 52].map(|option| ack.options.contains(&option));
    assert!(overload && !router && !mtu, "{messages:#?}");
}

/// We are there before it is.
fn server_is_late() {
    let lan = Lan::new(&["10.0.0.1/24"]);
    let www = lan.www(&["--dhcp"]);
    www.says("asking for an IPv4 address by DHCP");
    let lines = ["start 10.0.0.100", "end 10.0.0.109", "option lease 600"];
    let _server = Server::udhcpd(&lan.hub, "br0", &lines);
    let address = lent(&www.says("for 600 s"));
    small(&lan, &address);
    // And the same one at the next start.
    www.stop();
    let www = lan.www(&["--dhcp"]);
    assert_eq!(lent(&www.says("for 600 s")), address);
}
