//! The Unix binary among many clients that want nothing, or not all that they asked for.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;

use tests::unix::{Server, binary, rest};

/// Whether the server has ended this connection.
fn ended(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    match stream.read(&mut [0; 1]) {
        Ok(n) => n == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

#[test]
fn a_thousand_silent_connections() {
    let server = Server::start(&[]);
    let mut silent: Vec<_> = (0..1000).map(|_| server.connect()).collect();
    server.serves();
    assert!(!silent.iter_mut().any(ended));
    // Any of them may still ask.
    let mut late = silent.swap_remove(500);
    late.set_nonblocking(false).unwrap();
    late.write_all(b"GET /small HTTP/1.0\r\n\r\n").unwrap();
    assert!(rest(&mut late).ends_with("small\n"));
}

/// Says `what` on each of so many connections, and nothing more, with not one of them closed by the
/// client before 600 others have come after it.
fn crowd(count: u32, what: &[u8]) {
    const KEPT: usize = 600;
    let server = Server::start(&["--max-connections=400"]);
    let mut kept = VecDeque::new();
    for number in 0..count {
        // One address has not as many ports.
        let address = Ipv4Addr::new(127, 0, 0, 1 + (number % 16) as u8);
        let mut stream = TcpStream::connect((address, server.port)).unwrap();
        // The server may have cut it off already.
        let _ = stream.write_all(what);
        kept.push_back(stream);
        if kept.len() > KEPT {
            kept.pop_front();
        }
        if number % 10_000 == 5000 {
            server.serves();
        }
    }
    server.serves();
    assert!(kept.iter_mut().any(|stream| !ended(stream)));
    assert!(ended(&mut kept[0]), "others came after it");
}

#[test]
fn a_hundred_thousand_silent_connections() {
    crowd(100_000, b"");
}

#[test]
fn twenty_thousand_half_requests() {
    crowd(20_000, b"GET / HTTP/1.1\r\nHost: ");
}

#[test]
fn more_than_there_may_be() {
    let server = Server::start(&["--max-connections=100"]);
    let mut kept = Vec::new();
    for round in 0..20 {
        kept.extend((0..100).map(|_| server.connect()));
        server.serves();
        let gone = kept
            .iter_mut()
            .filter_map(|c| ended(c).then_some(()))
            .count();
        assert!(gone >= round * 100, "{round}: {gone}");
    }
    // Those that came first went first.
    assert!(ended(&mut kept[0]));
    assert!(!ended(kept.last_mut().unwrap()));
}

#[test]
fn more_than_there_are_descriptors() {
    let mut shell = Command::new("sh");
    let limited = "ulimit -n 64; exec \"$@\"";
    shell.args(["-c", limited, "sh"]).arg(binary());
    let server = Server::start_as(shell, &["--max-connections=1000"]);
    let mut silent = Vec::new();
    for _ in 0..10 {
        silent.extend((0..50).map(|_| server.connect()));
        server.serves();
    }
}

#[test]
fn the_system_gives_no_more() {
    let server = Server::start(&[]);
    let mut silent: Vec<_> = (0..50).map(|_| server.connect()).collect();
    server.serves();
    server.limit_files(30);
    for _ in 0..5 {
        silent.extend((0..50).map(|_| server.connect()));
        server.serves();
    }
    assert!(ended(&mut silent[0]));
}

#[test]
fn half_requests_and_stuck_readers() {
    let server = Server::start(&["--max-connections=300"]);
    let mut others = Vec::new();
    for i in 0..200 {
        let mut stream = server.connect();
        let request: &[u8] = match i % 2 {
            0 => b"GET /small HTTP/1.1\r\nHost: a\r\nX: ",
            _ => b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n",
        };
        stream.write_all(request).unwrap();
        others.push(stream);
    }
    server.serves();
    others.extend((0..400).map(|_| server.connect()));
    server.serves();
    // Asking for much and reading nothing is a request in progress: it is not cut off for others.
    let mut stuck = others.swap_remove(1);
    let mut start = [0; 17];
    stuck.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK\r\n");
}
