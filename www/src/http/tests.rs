//! Whole conversations over a scripted connection.

mod rest;
mod script;
mod slow;
mod torture;

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use super::{Limits, Service};
use crate::pack::Pack;
use crate::stats::Stats;
use script::{Client, NOW, Site, Talk, site};

const DATE: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

fn service() -> Site {
    site(Limits::default())
}

/// Everything that the service says to these bytes, sent at once, with nothing after them.
fn say(request: &str) -> String {
    let mut talk = Talk::new(&service());
    talk.client.send(request.as_bytes());
    talk.client.finish();
    talk.run();
    assert!(talk.over());
    talk.client.received()
}

/// The status of the answer to this request, and whether the connection stays.
fn status(request: &str) -> (u16, bool) {
    let mut talk = Talk::new(&service());
    talk.client.send(request.as_bytes());
    talk.run();
    let text = talk.client.received();
    let status = text.get(9..12).and_then(|s| s.parse().ok()).unwrap_or(0);
    (status, !talk.client.closing() && !talk.over())
}

fn get(path: &str, headers: &str) -> String {
    say(&std::format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n"
    ))
}

/// The value of a header field of the first response.
fn field<'a>(response: &'a str, name: &str) -> Option<&'a str> {
    let head = response.split("\r\n\r\n").next().unwrap();
    head.lines()
        .find_map(|l| l.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn a_page() {
    let text = get("/", "");
    let etag = field(&text, "ETag").unwrap();
    assert_eq!(
        text,
        std::format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 300\r\nETag: {etag}\r\n\
             Vary: Accept-Encoding\r\nLast-Modified: Sat, 01 Jan 1994 00:00:00 GMT\r\n\
             Accept-Ranges: bytes\r\n{DATE}\r\n{}",
            "x".repeat(300)
        )
    );
}

#[test]
fn head_is_get_without_the_body() {
    for path in ["/", "/old", "/nope", "/healthz", "/%"] {
        let got = get(path, "");
        let head = say(&std::format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let end = got.find("\r\n\r\n").unwrap() + 4;
        assert_eq!(head, got[..end], "{path}");
    }
}

#[test]
fn encodings() {
    for (accept, encoding, length) in [
        ("", None, "300"),
        ("Accept-Encoding: gzip, deflate, br\r\n", Some("br"), "2"),
        ("Accept-Encoding: gzip\r\n", Some("gzip"), "3"),
        (
            "Accept-Encoding: br;q=0.1, gzip;q=0.2\r\n",
            Some("gzip"),
            "3",
        ),
        (
            "Accept-Encoding: gzip\r\nAccept-Encoding: br\r\n",
            Some("br"),
            "2",
        ),
        ("Accept-Encoding:\r\n", None, "300"),
        (
            "Accept-Encoding: identity;q=0, br;q=0, *\r\n",
            Some("gzip"),
            "3",
        ),
    ] {
        let text = get("/", accept);
        assert_eq!(field(&text, "Content-Encoding"), encoding, "{accept}");
        assert_eq!(field(&text, "Content-Length"), Some(length), "{accept}");
    }
    assert!(get("/", "Accept-Encoding: *;q=0\r\n").starts_with("HTTP/1.1 406 "));
    // What has no content has no coding that could be refused.
    assert!(get("/old", "Accept-Encoding: *;q=0\r\n").starts_with("HTTP/1.1 301 "));
    assert!(get("/nope", "Accept-Encoding: *;q=0\r\n").starts_with("HTTP/1.1 404 "));
}

#[test]
fn other_answers() {
    let moved = get("/old?x", "");
    assert!(moved.starts_with("HTTP/1.1 301 Moved Permanently\r\n"));
    assert_eq!(field(&moved, "Location"), Some("/new"));
    assert!(get("/kept", "").starts_with("HTTP/1.1 308 "));
    let missing = get("/nope", "");
    assert!(missing.starts_with("HTTP/1.1 404 Not Found\r\n"));
    assert!(missing.ends_with("\r\n\r\nthe site says no\n"));
    let health = get("/healthz?a", "");
    assert!(health.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain"));
    assert!(health.ends_with("\r\n\r\nok\n"));
    assert_eq!(field(&health, "Cache-Control"), Some("no-store"));
    assert!(get("/a%20b", "").ends_with("\r\n\r\nspace"));
    assert!(get("http://a/a%20b?c", "").ends_with("\r\n\r\nspace"));
    assert!(get("//", "").starts_with("HTTP/1.1 404 "));
}

#[test]
fn conditions() {
    let text = get("/", "");
    let etag = field(&text, "ETag").unwrap();
    let fresh = |headers: &str| {
        let text = get("/", headers);
        text[9..12].parse::<u16>().unwrap()
    };
    let since = |name: &str, day| std::format!("{name}: Sat, {day:02} Jan 1994 00:00:00 GMT\r\n");
    for (headers, status) in [
        (std::format!("If-None-Match: {etag}\r\n"), 304),
        (std::format!("If-None-Match: W/{etag}\r\n"), 304),
        (std::format!("If-None-Match: \"a\", {etag}\r\n"), 304),
        (
            std::format!("If-None-Match: \"a\"\r\nIf-None-Match: {etag}\r\n"),
            304,
        ),
        ("If-None-Match: *\r\n".to_string(), 304),
        ("If-None-Match: \"a\"\r\n".to_string(), 200),
        ("If-None-Match: *\"\r\n".to_string(), 200),
        (since("If-Modified-Since", 1), 304),
        (since("If-Modified-Since", 2), 304),
        (
            "If-Modified-Since: Fri, 31 Dec 1993 23:59:59 GMT\r\n".to_string(),
            200,
        ),
        ("If-Modified-Since: yesterday\r\n".to_string(), 200),
        // The tag says more than the date.
        (
            since("If-Modified-Since", 1) + "If-None-Match: \"a\"\r\n",
            200,
        ),
        (
            std::format!("If-None-Match: {etag}\r\nAccept-Encoding: br\r\n"),
            200,
        ),
        (std::format!("If-Match: {etag}\r\n"), 200),
        (std::format!("If-Match: W/{etag}\r\n"), 412),
        ("If-Match: \"a\"\r\n".to_string(), 412),
        ("If-Match: *\r\n".to_string(), 200),
        (since("If-Unmodified-Since", 1), 200),
        (
            "If-Unmodified-Since: Fri, 31 Dec 1993 23:59:59 GMT\r\n".to_string(),
            412,
        ),
    ] {
        assert_eq!(fresh(&headers), status, "{headers}");
    }
    let unchanged = get("/", &std::format!("If-None-Match: {etag}\r\n"));
    assert_eq!(
        unchanged,
        std::format!(
            "HTTP/1.1 304 Not Modified\r\nETag: {etag}\r\nVary: Accept-Encoding\r\n{DATE}\r\n"
        )
    );
    // Conditions are about pages.
    assert!(get("/nope", "If-None-Match: *\r\n").starts_with("HTTP/1.1 404"));
    assert!(get("/old", "If-None-Match: *\r\n").starts_with("HTTP/1.1 301"));
}

#[test]
fn who_stays() {
    for (request, expected) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", (200, true)),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n",
            (200, false),
        ),
        ("GET / HTTP/1.0\r\n\r\n", (200, false)),
        (
            "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
            (200, true),
        ),
        ("GET /nope HTTP/1.1\r\nHost: a\r\n\r\n", (404, true)),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            (405, true),
        ),
        ("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", (501, true)),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
            (200, true),
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
            (200, false),
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n",
            (200, false),
        ),
    ] {
        assert_eq!(status(request), expected, "{request:?}");
        let said = say(request);
        let connection = match expected.1 {
            false => Some("close"),
            true => request.contains("1.0").then_some("keep-alive"),
        };
        assert_eq!(field(&said, "Connection"), connection, "{request:?}");
    }
    let refused = say("PUT / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(field(&refused, "Allow"), Some("GET, HEAD"));
}

#[test]
fn a_body_is_dropped_and_not_read_as_a_request() {
    let text = say(
        "GET /nope HTTP/1.1\r\nHost: a\r\nContent-Length: 35\r\n\r\n\
         GET /healthz HTTP/1.1\r\nHost: b\r\n\r\n.HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(text.matches("HTTP/1.1 ").count(), 2);
    assert!(text.starts_with("HTTP/1.1 404"));
    assert!(text.ends_with(&std::format!("no-store\r\n{DATE}\r\n")));
}

#[test]
fn a_thousand_at_once() {
    let mut talk = Talk::new(&service());
    talk.client.send(
        "GET /a%20b HTTP/1.1\r\nHost: a\r\n\r\n"
            .repeat(1000)
            .as_bytes(),
    );
    talk.run();
    let text = talk.client.received();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 1000);
    assert!(text.ends_with("\r\n\r\nspace"));
    assert!(!talk.over());
    assert_eq!(talk.site.stats().requests.get(), 1000);
    assert_eq!(talk.site.stats().bytes.get(), text.len() as u64);
}

#[test]
fn the_body_waits_for_room() {
    let mut talk = Talk::new(&service());
    talk.client.window(100);
    talk.client.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    talk.run();
    assert_eq!(talk.client.received().len(), 100);
    let limits = Limits::default();
    // As long as it takes something, it may take as long as it likes.
    for _ in 0..10 {
        talk.pass(limits.write_time - Duration::from_millis(1));
        talk.client.window(100);
        talk.run();
    }
    assert!(!talk.over());
    talk.client.window(usize::MAX);
    talk.run();
    assert!(talk.client.received().ends_with(&"y".repeat(100_000)));
    assert!(!talk.over());
}

/// A client that reads as fast as it gets may take longer than a head may.
#[test]
fn a_fast_reader_has_time_too() {
    let mut talk = Talk::new(&service());
    talk.client.send(b"GET /huge HTTP/1.1\r\nHost: a\r\n\r\n");
    talk.turn();
    let mut turns = 1;
    while !talk.client.received().ends_with("zz") || talk.client.received().len() < 2_000_000 {
        talk.client.later(Limits::default().head_time);
        talk.turn();
        turns += 1;
        assert!(turns < 100 && !talk.over());
    }
    // In pieces, between which others have their turn.
    assert!(turns >= 2_000_000 / super::drive::BYTES_A_TURN);
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    let mut talk = Talk::new(&service());
    talk.client.window(100);
    talk.client.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    talk.run();
    talk.pass(Limits::default().write_time);
    assert!(talk.over() && talk.client.aborted());
    assert_eq!(talk.site.stats().timed_out.get(), 1);
}

#[test]
fn the_silent_are_closed_and_the_slow_are_told() {
    let limits = Limits::default();
    let mut talk = Talk::new(&service());
    talk.run();
    talk.pass(limits.head_time);
    assert!(talk.client.closing());
    assert_eq!(talk.client.received(), "");

    let mut talk = Talk::new(&service());
    talk.client.send(b"GET / HT");
    talk.run();
    talk.pass(limits.head_time / 2);
    talk.client.send(b"TP/1.1\r\n");
    talk.run();
    assert!(!talk.client.closing());
    talk.pass(limits.head_time / 2);
    assert!(
        talk.client
            .received()
            .starts_with("HTTP/1.1 408 Request Timeout\r\n")
    );
    assert!(talk.client.closing());

    // Between requests there is more time, and then as much for the head as before.
    let mut talk = Talk::new(&service());
    talk.client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    talk.run();
    talk.pass(limits.idle_time - Duration::from_millis(1));
    talk.client.send(b"GET");
    talk.run();
    talk.pass(limits.head_time - Duration::from_millis(1));
    assert!(!talk.client.closing());
    talk.pass(Duration::from_millis(1));
    assert!(talk.client.received().contains("HTTP/1.1 408 "));

    let mut talk = Talk::new(&service());
    talk.client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    talk.run();
    talk.pass(limits.idle_time);
    assert!(talk.client.closing());
    assert!(!talk.client.received().contains("408"));
}

#[test]
fn a_client_that_never_acknowledges_the_end_is_cut_off() {
    let mut talk = Talk::new(&service());
    talk.client.send(b"GET / HTTP/1.0\r\n\r\n");
    talk.client.deaf();
    talk.run();
    assert!(talk.client.closing() && !talk.over());
    talk.pass(Limits::default().close_time);
    assert!(talk.over() && talk.client.aborted());
}

#[test]
fn what_is_not_understood_is_counted() {
    let mut talk = Talk::new(&service());
    talk.client.send(b"nonsense\r\n\r\n");
    talk.run();
    let stats = talk.site.stats();
    assert_eq!((stats.requests.get(), stats.by_class[3].get()), (1, 1));
}

#[test]
fn half_a_request_and_the_end() {
    let text = say("GET / HTTP/1.1\r\nHo");
    assert!(text.starts_with("HTTP/1.1 400 "));
    assert_eq!(say(""), "");
}

#[test]
fn a_reset_ends_it() {
    let mut talk = Talk::new(&service());
    talk.client.send(b"GET /");
    talk.run();
    talk.client.reset();
    talk.run();
    assert!(talk.over());
}

#[test]
fn draining() {
    let site = service();
    let mut idle = Talk::new(&site);
    idle.client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    idle.run();
    let mut busy = Talk::new(&site);
    busy.client.window(10);
    busy.client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    busy.run();
    let mut half = Talk::new(&site);
    half.client.send(b"GET /");
    half.run();
    assert_eq!(site.active(), 3);
    let mut drained = script::Task::new(Box::pin({
        let site = site.clone();
        async move { site.drained().await }
    }));
    drained.run();
    site.drain();
    idle.run();
    assert!(idle.client.closing() && idle.over());
    busy.client.window(usize::MAX);
    busy.run();
    assert!(busy.over());
    assert!(busy.client.received().ends_with("xxx"));
    half.client.send(b" HTTP/1.1\r\nHost: a\r\n\r\n");
    half.run();
    assert_eq!(field(&half.client.received(), "Connection"), Some("close"));
    assert!(half.over());
    assert_eq!(site.active(), 0);
    assert!(drained.woken());
    drained.run();
    assert!(drained.over());
}

#[test]
fn too_many_cost_the_longest_silent() {
    let site = site(Limits {
        connections: 2,
        ..Limits::default()
    });
    let mut silent = Talk::new(&site);
    silent.run();
    let mut kept = Talk::new(&site);
    kept.client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    kept.run();
    let mut third = Talk::new(&site);
    third.client.send(b"GET /a%20b HTTP/1.1\r\nHost: a\r\n\r\n");
    third.run();
    silent.run();
    assert!(silent.client.aborted() && silent.over());
    assert!(third.client.received().ends_with("space"));
    assert!(!kept.over() && !third.over());
    assert_eq!(site.active(), 2);
    assert_eq!(site.stats().refused.get(), 1);
}

#[test]
fn if_nobody_is_silent_who_does_not_read_goes() {
    let site = site(Limits {
        connections: 2,
        ..Limits::default()
    });
    let large = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut talks: Vec<_> = (0..3)
        .map(|_| {
            let mut talk = Talk::new(&site);
            talk.client.window(100);
            talk.client.send(large);
            talk.run();
            talk
        })
        .collect();
    talks[0].run();
    assert!(talks[0].client.aborted() && talks[0].over());
    // The second has read since, so that the third waits for longer.
    talks[1].client.window(100);
    talks[1].run();
    let mut fourth = Talk::new(&site);
    fourth
        .client
        .send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    fourth.run();
    talks[2].run();
    assert!(talks[2].client.aborted());
    assert!(!talks[1].over() && !fourth.over());
    assert!(fourth.client.received().ends_with("ok\n"));
    talks[1].client.window(usize::MAX);
    talks[1].run();
    assert!(talks[1].client.received().ends_with("yyy"));
}

#[test]
fn a_conversation_is_small() {
    let site = service();
    let client = Client::default();
    let future = site.serve(client.conn());
    let size = size_of_val(&future) - size_of_val(&client.conn());
    assert!(size <= 1024, "{size}");
}

#[test]
fn idle_connections_hold_no_buffer() {
    let site = service();
    let talks: Vec<_> = (0..100)
        .map(|_| {
            let mut talk = Talk::new(&site);
            talk.client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            talk.run();
            talk
        })
        .collect();
    assert_eq!(site.active(), 100);
    assert_eq!(site.pool.spare(), 1);
    drop(talks);
    assert_eq!(site.active(), 0);
}

#[test]
fn without_a_404_page() {
    let bytes = crate::pack::Writer::new().finish(|_| [0; 32]).unwrap();
    let pack = Pack::load(bytes.leak()).unwrap();
    let stats = Rc::new(Stats::default());
    let site = Rc::new(Service::new(
        pack,
        script::Now(NOW),
        Limits::default(),
        stats,
    ));
    let mut talk = Talk::new(&site);
    talk.client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    talk.run();
    assert!(talk.client.received().ends_with("\r\n\r\nnot found\n"));
}
