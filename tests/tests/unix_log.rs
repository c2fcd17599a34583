//! What the Unix binary logs, and that nobody who reads its log can hold it up.

use std::io::{BufRead, BufReader, Read, Write};

use rustix::process::Signal;
use tests::unix::Server;

/// The lines of the access log, without what the logger puts before them and without their time.
fn accesses(log: &str) -> Vec<String> {
    let lines = log
        .lines()
        .filter_map(|line| line.split_once("info  access: "));
    let timeless = lines.map(|(_, line)| {
        let (before, rest) = line.split_once(" [").unwrap();
        let (time, after) = rest.split_once("] ").unwrap();
        assert_eq!((time.len(), &time[21..]), (26, "+0000"), "{line}");
        format!("{before} {after}")
    });
    timeless.collect()
}

fn log_of(arguments: &[&str], ask: impl FnOnce(&Server)) -> String {
    let mut server = Server::start_unread(arguments);
    ask(&server);
    server.signal(Signal::TERM);
    let log = server.log();
    assert!(server.wait().success());
    log
}

#[test]
fn a_line_for_each_request() {
    let log = log_of(&["--access-log=yes"], |server| {
        server.curl(
            &["--user-agent", "me \"1\"", "--referer", "http://x/"],
            "/small?a",
        );
        server.curl(&["--user-agent", "", "--head"], "/");
        server.curl(&["--user-agent", "a"], "/no%20pe");
        server.say(b"what\r\n\r\n");
    });
    assert_eq!(
        accesses(&log),
        [
            r#"127.0.0.1 - - "GET /small?a HTTP/1.1" 200 6 "http://x/" "me \"1\"""#,
            r#"127.0.0.1 - - "HEAD / HTTP/1.1" 200 0 "-" "-""#,
            r#"127.0.0.1 - - "GET /no%20pe HTTP/1.1" 404 17 "-" "a""#,
            r#"127.0.0.1 - - "-" 400 12 "-" "-""#,
        ]
    );
    assert!(!log.contains('\x1b'), "no colours in a pipe");
}

#[test]
fn it_can_be_turned_off() {
    let log = |arguments: &[&str]| log_of(arguments, |server| drop(server.curl(&[], "/small")));
    for off in ["--access-log=no", "--logs=access:off", "--logs=warn"] {
        let text = log(&["--access-log=yes", off]);
        assert_eq!(accesses(&text).len(), 0, "{text}");
    }
    let text = log(&["--access-log=no", "--logs=access:info"]);
    assert_eq!(accesses(&text).len(), 1, "{text}");
}

/// A pipe holds 64 KiB. These lines are ten times as much, and nobody reads one before the end.
#[test]
fn a_log_that_nobody_reads_holds_nobody_up() {
    const REQUESTS: usize = 3000;
    let server = Server::start_unread(&["--access-log=yes"]);
    let mut stream = server.connect();
    let agent = "a".repeat(120);
    let request = format!("GET /small HTTP/1.1\r\nHost: x\r\nUser-Agent: {agent}\r\n\r\n");
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    for _ in 0..REQUESTS {
        stream.write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        assert_eq!(line, "HTTP/1.1 200 OK\r\n");
        while line != "\r\n" {
            line.clear();
            answers.read_line(&mut line).unwrap();
        }
        answers.read_exact(&mut [0; 6]).unwrap();
    }
    server.serves();
    server.signal(Signal::TERM);
    let mut server = server;
    let log = server.log();
    // Fewer than may wait: none is lost, and all come once they are read.
    assert!(accesses(&log).len() > REQUESTS, "{}", log.len());
    assert!(server.wait().success());
}
