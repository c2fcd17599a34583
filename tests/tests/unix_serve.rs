//! The Unix binary, asked by curl and by raw sockets.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tests::unix::{Server, binary, curl, file, large, pack, rest, run, said_port};

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn pages_as_curl_sees_them() {
    let server = Server::start(&[]);
    let head = server.curl(&["--head"], "/");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(field(&head, "Content-Length"), Some("8800"));
    assert_eq!(field(&head, "Content-Type"), Some("text/html"));
    assert_eq!(
        field(&head, "Last-Modified"),
        Some("Sun, 06 Nov 1994 08:49:37 GMT")
    );
    assert!(field(&head, "Date").is_some_and(|date| date.ends_with(" GMT")));
    let got = server.curl(&["--dump-header", "-", "--output", "/dev/null"], "/");
    // All but the second that it is may be compared.
    let dateless = |head: &str| {
        head.lines()
            .filter(|l| !l.starts_with("Date"))
            .collect::<String>()
    };
    assert_eq!(dateless(&got), dateless(&head));

    let etag = field(&head, "ETag").unwrap();
    let code = [
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code} %{size_download}",
    ];
    let status = |more: &[&str], path: &str| server.curl(&[&code[..], more].concat(), path);
    assert_eq!(status(&[], "/"), "200 8800");
    assert_eq!(
        status(&["--header", &format!("If-None-Match: {etag}")], "/"),
        "304 0"
    );
    assert_eq!(
        status(&["--time-cond", "Sun, 06 Nov 1994 08:49:37 GMT"], "/"),
        "304 0"
    );
    assert_eq!(
        status(&["--header", "If-None-Match: \"other\""], "/"),
        "200 8800"
    );
    assert_eq!(status(&[], "/nope"), "404 17");
    assert_eq!(status(&[], "/old"), "301 0");
    assert_eq!(status(&["--location"], "/old"), "200 6");
    assert_eq!(status(&["--range", "0-3"], "/"), "206 4");
    assert_eq!(status(&["--request", "DELETE"], "/"), "405 19");
    assert_eq!(status(&["--data", "a=b"], "/"), "405 19");
    assert_eq!(status(&["--http1.0"], "/small"), "200 6");
    assert_eq!(status(&["--path-as-is"], "/../../etc/passwd"), "400 12");
    assert_eq!(server.curl(&[], "/healthz"), "ok\n");
    let text = "All work and no play makes Jack a dull boy.\n".repeat(200);
    assert_eq!(server.curl(&["--compressed"], "/"), text);
    let sent = server.curl(&["--header", "Accept-Encoding: gzip", "--head"], "/");
    assert_eq!(field(&sent, "Content-Encoding"), Some("gzip"));
}

#[test]
fn connections_are_kept() {
    let server = Server::start(&[]);
    let (one, two) = (server.url("/small"), server.url("/nope"));
    let count = [
        "--output",
        "/dev/null",
        "--output",
        "/dev/null",
        "--write-out",
        "%{num_connects}",
    ];
    assert_eq!(curl(&count, &[&one, &two]).stdout, b"10");
    let old = [&count[..], &["--http1.0"]].concat();
    assert_eq!(curl(&old, &[&one, &two]).stdout, b"11");
    let told = [&count[..], &["--header", "Connection: close"]].concat();
    assert_eq!(curl(&told, &[&one, &two]).stdout, b"11");
}

#[test]
fn both_families() {
    let server = Server::start(&[]);
    let six = format!("http://[::1]:{}/small", server.port);
    assert_eq!(curl(&[], &[&six]).stdout, b"small\n");
    let only = Server::start(&["--ipv6=::1"]);
    let six = format!("http://[::1]:{}/small", only.port);
    assert_eq!(curl(&[], &[&six]).stdout, b"small\n");
    assert!(!curl(&[], &[&only.url("/small")]).status.success());
}

#[test]
fn a_large_file_arrives_whole() {
    let server = Server::start(&[]);
    let output = curl(&[], &[&server.url("/large")]);
    assert!(output.status.success());
    assert!(output.stdout == large());
}

#[test]
fn a_large_body_that_nobody_wants() {
    let server = Server::start(&[]);
    let body = file(&vec![b'x'; 8 << 20]);
    let data = format!("@{}", body.path().display());
    let code = ["--output", "/dev/null", "--write-out", "%{http_code}"];
    // With and without waiting for "100 Continue".
    assert_eq!(
        server.curl(&[&code[..], &["--data-binary", &data]].concat(), "/"),
        "405"
    );
    let plain = ["--data-binary", &data, "--header", "Expect:"];
    assert_eq!(server.curl(&[&code[..], &plain].concat(), "/"), "405");
    let chunked = [
        "--data-binary",
        &data,
        "--header",
        "Transfer-Encoding: chunked",
    ];
    assert_eq!(server.curl(&[&code[..], &chunked].concat(), "/"), "501");
}

#[test]
fn a_thousand_pipelined() {
    let server = Server::start(&[]);
    let last = "GET /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let requests = "GET /small HTTP/1.1\r\nHost: a\r\n\r\n".repeat(999) + last;
    let text = server.say(requests.as_bytes());
    assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 1000);
    assert_eq!(text.matches("\r\n\r\nsmall\n").count(), 1000);
}

#[test]
fn nonsense_gets_an_answer_and_the_end() {
    let server = Server::start(&[]);
    assert!(
        server
            .say(b"\x16\x03\x01\x02\x00\x01\r\n\r\n")
            .starts_with("HTTP/1.1 400 ")
    );
    assert!(
        server
            .say(b"GET / HTTP/1.1\r\n\r\n")
            .starts_with("HTTP/1.1 400 ")
    );
    let long = [b"GET /".as_slice(), &[b'a'; 100_000]].concat();
    assert!(server.say(&long).starts_with("HTTP/1.1 414 "));
    server.serves();
}

/// This one takes as long as the limit on a head, ten seconds.
#[test]
fn half_a_request_is_told_that_it_took_too_long() {
    let server = Server::start(&[]);
    let mut silent = server.connect();
    let mut half = server.connect();
    let start = Instant::now();
    half.write_all(b"GET / HTTP/1.1\r\nHost").unwrap();
    assert!(rest(&mut half).starts_with("HTTP/1.1 408 Request Timeout\r\n"));
    assert!(
        start.elapsed() > Duration::from_secs(9),
        "{:?}",
        start.elapsed()
    );
    assert!(
        start.elapsed() < Duration::from_secs(12),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(rest(&mut silent), "");
}

#[test]
fn a_stop_lets_answers_finish() {
    let mut server = Server::start(&[]);
    let mut idle = server.connect();
    idle.write_all(b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let mut busy = server.connect();
    busy.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let mut start = vec![0; 1000];
    busy.read_exact(&mut start).unwrap();
    assert!(start.starts_with(b"HTTP/1.1 200 OK\r\n"));
    idle.read_exact(&mut [0; 17]).unwrap();
    server.signal(Signal::TERM);
    // The idle one is closed, and the answer under way arrives whole.
    assert!(rest(&mut idle).ends_with("small\n"));
    busy.read_to_end(&mut start).unwrap();
    drop(busy);
    let body = start.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    assert!(start[body..] == large());
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    let mut server = Server::start(&[]);
    let mut stuck = server.connect();
    stuck
        .write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    stuck.read_exact(&mut [0; 17]).unwrap();
    let start = Instant::now();
    server.signal(Signal::INT);
    assert_eq!(server.wait().code(), Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}

/// Whoever reads stderr may be gone, or have no room.
#[test]
fn the_exit_status_says_what_is_wrong_when_no_line_can() {
    for (argument, status) in [("--nonsense", 64), ("--pack=/none", 1)] {
        let mut command = Command::new(binary());
        let full = std::fs::File::options().write(true).open("/dev/full");
        command.arg(argument).stderr(full.unwrap());
        assert_eq!(command.status().unwrap().code(), Some(status), "{argument}");
    }
}

#[test]
fn what_goes_wrong_at_the_start() {
    let taken = TcpListener::bind("[::]:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let good = file(&pack());
    let good_pack = format!("--pack={}", good.path().display());
    let (status, text) = run(&[&good_pack, &format!("--http-port={port}")]);
    let in_use = "is in use: choose another with --http-port=PORT";
    assert_eq!(
        (status, text),
        (1, format!("mir-www: port {port} {in_use}\n"))
    );

    let (status, text) = run(&["--http-prot=80"]);
    let meant = "mir-www: unknown argument '--http-prot': did you mean --http-port?\n";
    assert_eq!((status, text.as_str()), (64, meant));
    assert_eq!(run(&["--logs=loud"]).0, 64);
    assert_eq!(run(&["--help"]).0, 0);

    let (status, text) = run(&[]);
    assert!(status == 1 && text.contains("carries no site"), "{text}");
    let (status, text) = run(&["--pack=/nonexistent"]);
    assert!(
        status == 1 && text.contains("cannot read /nonexistent"),
        "{text}"
    );
    let mut bytes = pack();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let altered = file(&bytes);
    let (status, text) = run(&[&format!("--pack={}", altered.path().display())]);
    assert!(
        status == 1 && text.contains("the pack is altered"),
        "{text}"
    );
    let cut = file(&bytes[..middle]);
    let (status, text) = run(&[&format!("--pack={}", cut.path().display())]);
    assert!(
        status == 1 && text.contains(&format!("and has {middle}")),
        "{text}"
    );
}

/// Starts copies of the program with something behind it.
struct Copies(tempfile::TempDir);

impl Copies {
    fn start(&self, name: &str, bytes: &[u8], arguments: &[&str]) -> Child {
        let program = self.0.path().join(name);
        std::fs::write(&program, bytes).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// How it ends, with its output and its errors.
    fn end(&self, bytes: &[u8], arguments: &[&str]) -> (Option<i32>, String, String) {
        let ended = self.start("ends", bytes, arguments).wait_with_output();
        let ended = ended.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (ended.status.code(), text(ended.stdout), text(ended.stderr))
    }
}

fn linked(pack: &[u8], words: &str) -> Vec<u8> {
    let base = std::fs::read(binary()).unwrap();
    let payload = mir::link::Payload {
        pack,
        words,
        about: "",
    };
    let image = mir::link::unix::link(&base, &payload).unwrap();
    image.parts().concat()
}

#[test]
fn a_site_behind_the_program() {
    let mut bytes = linked(&pack(), "");
    let copies = Copies(tempfile::tempdir().unwrap());
    let mut child = copies.start("whole", &bytes, &["--http-port=0"]);
    let url = format!("http://127.0.0.1:{}/small", said_port(&mut child));
    let got = curl(&[], &[&url]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(got.stdout, b"small\n");

    // One byte more in the site: the trailer does not fit the file.
    bytes.insert(bytes.len() - 100, 0);
    let (code, _, errors) = copies.end(&bytes, &["--http-port=0"]);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("was damaged after"), "{errors}");
}

#[test]
fn arguments_behind_the_program() {
    let copies = Copies(tempfile::tempdir().unwrap());
    let bytes = linked(&pack(), "--http-port=0 '--logs=info'");
    let mut child = copies.start("serves", &bytes, &[]);
    let url = format!("http://127.0.0.1:{}/small", said_port(&mut child));
    assert_eq!(curl(&[], &[&url]).stdout, b"small\n");
    child.kill().unwrap();
    child.wait().unwrap();

    let (code, help, _) = copies.end(&bytes, &["--help"]);
    assert_eq!(code, Some(0));
    assert!(
        help.ends_with("\nBuilt in: --http-port=0 '--logs=info'\n"),
        "{help}"
    );

    // What is given takes their place; what is wrong with them is said as of those.
    let (code, _, errors) = copies.end(&bytes, &["--logs=loud"]);
    assert_eq!(code, Some(64), "{errors}");
    assert!(errors.contains("--logs"), "{errors}");
    for (words, said) in [
        ("--http-prot=1", "did you mean --http-port"),
        ("--http-port='1", "a quote"),
        ("--kv_ro=fat", "--kv_ro=fat needs --files or --pages"),
    ] {
        let (code, _, errors) = copies.end(&linked(b"", words), &[]);
        assert_eq!(code, Some(64), "{words}: {errors}");
        assert!(
            errors.starts_with("mir-www: ") && errors.contains(said),
            "{errors}"
        );
    }
    let (code, _, errors) = copies.end(&linked(b"", "--http-port=0"), &[]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("carries no site"), "{errors}");
}
