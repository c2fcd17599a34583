//! The Unix binary with our own TCP/IP stack, on a tap device in a network namespace: asked by ping
//! and curl, as people do.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use rustix::process::Signal;
use tests::lan::{Lan, Server};
use tests::netns::{Direct, Namespace};
use tests::unix::{binary, file, large};
use www::pack::{Page, Writer};

/// A namespace with a tap device that stays.
fn tapped() -> Namespace {
    let namespace = Namespace::new();
    namespace.ok("scripts/tap", &["up", "--user=root"]);
    namespace
}

/// The number before these words in the last line about the device.
fn count(log: &str, words: &str) -> u64 {
    let line = log.lines().find(|line| line.contains(" frames in, "));
    let before = line.and_then(|line| line.split(words).next());
    let number = before.and_then(|before| before.rsplit(' ').next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no {words:?}: {log}"))
}

#[test]
fn ping_and_pages_by_both_protocols() {
    let namespace = tapped();
    namespace.sh("ip address add fd00::1/64 dev tap0");
    let server = Direct::start(&namespace, &["--ipv6=fd00::2/64"]);
    assert_eq!(
        server.urls,
        ["http://10.0.0.2/"],
        "the other is being checked"
    );
    let link_local = server.link_local() + "%tap0";
    for address in ["10.0.0.2", &link_local, "fd00::2"] {
        namespace.ping(address);
    }
    for host in ["10.0.0.2", &format!("[{link_local}]"), "[fd00::2]"] {
        let url = |path: &str| format!("http://{host}{path}");
        assert_eq!(namespace.curl(&[], &url("/small")), b"small\n");
        let text = "All work and no play makes Jack a dull boy.\n".repeat(200);
        assert_eq!(
            namespace.curl(&["--compressed"], &url("/")),
            text.as_bytes()
        );
        assert!(namespace.curl(&[], &url("/large")) == large());
    }
    let log = server.stop();
    for line in [
        "tap0: 02:",
        "MTU 1500, checksums and segmentation are left out both ways",
        "http://10.0.0.2:80/, 10.0.0.2/24, the default",
        "fd00::2/64, from --ipv6, if nobody else has it",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
    assert!(!log.contains("was made"), "{log}");
}

#[test]
fn a_large_file_in_frames_longer_than_the_mtu() {
    let body: Vec<u8> = (0..16_u32 << 20)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let mut writer = Writer::new();
    let page = Page {
        media_type: "application/octet-stream".into(),
        body: body.clone(),
        ..Page::default()
    };
    writer.page("/64M", page).unwrap();
    let pack = file(&writer.finish(|_| [0; 32]).unwrap());
    let namespace = tapped();
    let of = format!("--pack={}", pack.path().display());
    let arguments = [of.as_str(), "--ipv4=10.0.0.7/24", "--http-port=8080"];
    let server = Direct::begin(namespace.command(binary()), &arguments, None);
    assert_eq!(server.urls, ["http://10.0.0.7:8080/"]);
    assert!(namespace.curl(&[], "http://10.0.0.7:8080/64M") == body);
    let log = server.stop();
    assert!(log.contains("http://10.0.0.7:8080/, 10.0.0.7/24, from --ipv4"));
    // Most of it: 44 segments a frame would be 1045.
    let (sent, large) = (count(&log, " out, "), count(&log, " longer, "));
    assert!(large > 500 && sent < 20_000, "{log}");
    assert_eq!(count(&log, " lost"), 0, "{log}");
}

#[test]
fn a_host_that_leaves_nothing_to_us() {
    let namespace = tapped();
    let server = Direct::start(&namespace, &[]);
    namespace.ok(
        "ethtool",
        &["-K", "tap0", "tx", "off", "tso", "off", "gso", "off"],
    );
    assert!(namespace.curl(&[], "http://10.0.0.2/large") == large());
    // With a checksum that only we verify.
    asks_in_several_segments(&namespace);
    let log = server.stop();
    assert_eq!(count(&log, " longer than the MTU, "), 0, "{log}");
    assert_eq!(count(&log, " refused"), 0, "{log}");
}

/// Asks with more than fits in a segment.
fn asks_in_several_segments(namespace: &Namespace) {
    let long = format!("X: {}", "x".repeat(6000));
    let status = [
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
        "--header",
    ];
    let small = "http://10.0.0.2/small";
    let code = namespace.curl(&[&status[..], &[&long]].concat(), small);
    assert_eq!(code, b"200");
}

#[test]
fn a_host_that_leaves_everything_to_us() {
    let namespace = tapped();
    let server = Direct::start(&namespace, &[]);
    asks_in_several_segments(&namespace);
    let log = server.stop();
    assert!(count(&log, " longer than the MTU, ") > 0, "{log}");
}

#[test]
fn a_stop_lets_answers_arrive() {
    let namespace = tapped();
    let server = Direct::start(&namespace, &[]);
    let script =
        "exec 3<>/dev/tcp/10.0.0.2/80; printf 'GET /large HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n' >&3
        head -c 1000 <&3; read -r _; cat <&3";
    let mut client = namespace.command("bash");
    let mut client = client
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut got = vec![0; 1000];
    let mut stdout = client.stdout.take().unwrap();
    stdout.read_exact(&mut got).unwrap();
    server.signal(Signal::TERM);
    server.logs("stopping");
    client.stdin.take().unwrap().write_all(b"go\n").unwrap();
    stdout.read_to_end(&mut got).unwrap();
    let body = got.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    assert!(got[body..] == large());
    assert!(client.wait().unwrap().success());
    let (status, log) = server.end();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[test]
fn the_host_takes_its_end_away() {
    let namespace = tapped();
    let server = Direct::start(&namespace, &[]);
    namespace.sh("ip link set tap0 down; ip link set tap0 up");
    assert_eq!(namespace.curl(&[], "http://10.0.0.2/small"), b"small\n");
    namespace.ok("scripts/tap", &["down"]);
    let (status, log) = server.end();
    assert_eq!(status.code(), Some(1));
    assert!(log.ends_with("mir-www: tap0 has been removed\n"), "{log}");
}

#[test]
fn a_device_that_was_not_there() {
    let namespace = Namespace::new();
    let server = Direct::start(&namespace, &["--tap=www", "--mac=02:00:00:00:00:07"]);
    namespace.ok("scripts/tap", &["up", "--tap=www", "--user=root"]);
    namespace.ping("10.0.0.2");
    let neighbour = namespace.ok("ip", &["neighbour", "show", "10.0.0.2"]);
    assert!(neighbour.contains("02:00:00:00:00:07"), "{neighbour}");
    let log = server.stop();
    assert!(log.contains("www was made, until this ends"), "{log}");
    let links = namespace.ok("ip", &["link"]);
    assert!(!links.contains("www"), "{links}");
}

#[test]
fn a_bridge() {
    let namespace = Namespace::new();
    namespace
        .sh("ip link add br0 type bridge; ip address add 10.0.0.1/24 dev br0; ip link set br0 up");
    namespace.ok("scripts/tap", &["up", "--bridge=br0", "--user=root"]);
    let server = Direct::start(&namespace, &[]);
    namespace.ping("10.0.0.2");
    assert!(namespace.curl(&[], "http://10.0.0.2/large") == large());
    server.stop();
}

#[test]
fn the_address_that_dhcp_gives_is_said() {
    let lan = Lan::new(&["10.5.0.1/24"]);
    let lends = ["start 10.5.0.10", "end 10.5.0.10"];
    let _udhcpd = Server::udhcpd(&lan.hub, "br0", &lends);
    let mut server = Direct::start(&lan.hub, &["--dhcp"]);
    let link_local = server.link_local();
    assert_eq!(server.urls, [format!("http://[{link_local}%tap0]/")]);
    let mut line = String::new();
    let stdout = server.program.child.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    assert_eq!(line, "mir-www serves http://10.5.0.10/\n");
    assert_eq!(lan.hub.curl(&[], "http://10.5.0.10/small"), b"small\n");
    server.stop();
}
