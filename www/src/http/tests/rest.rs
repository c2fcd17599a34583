//! Ranges, other spellings of addresses, and a service that is elsewhere. What RFC 9110 says of
//! ranges and conditions is held by a table in `tests/tests/http_rules.rs`, for every store.

use alloc::rc::Rc;
use alloc::string::ToString;
use alloc::vec::Vec;
use std::string::String;

use super::script::{NOW, Now, Talk, site};
use super::{Limits, Service, field, get, say};
use crate::pack::Pack;
use crate::stats::Stats;

fn body(response: &str) -> &str {
    response.split_once("\r\n\r\n").unwrap().1
}

#[test]
fn some_bytes() {
    let whole = get("/", "");
    let part = get("/", "Range: bytes=290-\r\n");
    assert!(part.starts_with("HTTP/1.1 206 Partial Content\r\nContent-Type: text/html\r\n"));
    assert_eq!(field(&part, "Content-Range"), Some("bytes 290-299/300"));
    assert_eq!(field(&part, "Content-Length"), Some("10"));
    for name in ["ETag", "Vary", "Last-Modified", "Content-Type", "Date"] {
        assert!(field(&part, name).is_some(), "{name}");
        assert_eq!(field(&part, name), field(&whole, name), "{name}");
    }
    assert_eq!(body(&part), "xxxxxxxxxx");
    let none = get("/", "Range: bytes=300-\r\n");
    assert!(none.starts_with("HTTP/1.1 416 Range Not Satisfiable\r\n"));
    assert_eq!(field(&none, "Content-Range"), Some("bytes */300"));
    assert_eq!(body(&none), "range not satisfiable\n");
    // The bytes of what is sent, which is encoded.
    let encoded = get("/", "Accept-Encoding: gzip\r\nRange: bytes=1-1\r\n");
    assert_eq!(field(&encoded, "Content-Range"), Some("bytes 1-1/3"));
    assert_eq!(field(&encoded, "Content-Encoding"), Some("gzip"));
    assert_eq!(body(&encoded), "z");
}

/// The connection goes on behind each kind of answer.
#[test]
fn one_after_the_other() {
    let range = |range: &str| {
        std::format!("GET /large HTTP/1.1\r\nHost: a\r\nRange: bytes={range}\r\n\r\n")
    };
    let mut requests = ["0-9", "0-1,50000-,10-11", "100000-", "99999-99999"]
        .map(range)
        .concat();
    requests += "HEAD /large HTTP/1.1\r\nHost: a\r\nRange: bytes=0-9\r\n\r\n";
    requests += "GET /a%20b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let mut talk = Talk::new(&site(Limits::default()));
    talk.client.window(1000);
    talk.client.send(requests.as_bytes());
    while !talk.over() {
        talk.client.window(1000);
        talk.run();
    }
    let text = talk.client.received();
    let statuses: Vec<_> = text.split("HTTP/1.1 ").skip(1).map(|a| &a[..3]).collect();
    assert_eq!(statuses, ["206", "206", "416", "206", "200", "200"]);
    assert!(text.ends_with("\r\n\r\nspace"));
    assert_eq!(
        text.matches("Content-Range: bytes 50000-99999/100000")
            .count(),
        1
    );
    let long = text.split("\r\n").filter(|line| line.starts_with("yy"));
    let long: Vec<_> = long.map(str::len).collect();
    assert_eq!(
        long[..4],
        [10 + "HTTP/1.1 206 Partial Content".len(), 2, 50_000, 2]
    );
    assert_eq!(talk.site.stats().bytes.get(), text.len() as u64);
}

#[test]
fn other_spellings() {
    for (target, location) in [
        ("/a%20b/", "/a%20b"),
        ("/a%20b/index.html", "/a%20b"),
        ("/a%20b.html?q=1/2?", "/a%20b?q=1/2?"),
        ("/index.html", "/"),
        ("/index.html?", "/?"),
        ("/app", "/app/index.html"),
        ("/app/?x#", "/app/index.html?x%23"),
        ("/app/?x", "/app/index.html?x"),
        ("http://a/%61%20b/?q", "/a%20b?q"),
    ] {
        let text = get(target, "");
        assert_eq!(&text[9..12], "301", "{target}");
        assert_eq!(field(&text, "Location").unwrap_or(""), location, "{target}");
        assert_eq!(field(&text, "Cache-Control"), Some("no-cache"));
        assert_eq!(body(&text), "");
    }
    // What leads elsewhere does so in another spelling, too, and at once.
    let moved = get("/kept/", "");
    assert!(moved.starts_with("HTTP/1.1 308 "), "{moved}");
    assert_eq!(field(&moved, "Location"), Some("/new"));
    for target in [
        "/nope/",
        "/nope.html",
        "/nope/index.html",
        "/a%20b//",
        "/.html",
        "/%2F",
    ] {
        assert_eq!(&get(target, "")[9..12], "404", "{target}");
    }
    // It has no content that could be refused.
    let moved = get("/index.html", "Accept-Encoding: *;q=0\r\n");
    assert!(moved.starts_with("HTTP/1.1 301 "), "{moved}");
}

#[test]
fn all_is_elsewhere() {
    let bytes = crate::pack::Writer::new().finish(|_| [0; 32]).unwrap();
    let pack = Pack::load(bytes.leak()).unwrap();
    let stats = Rc::new(Stats::default());
    let mut service = Service::new(pack, Now(NOW), Limits::default(), stats);
    service.redirect_to(Some("https://b:8443/base".to_string()));
    let service = Rc::new(service);
    let ask = |line: &str| -> String {
        let mut talk = Talk::new(&service);
        talk.client
            .send(std::format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        talk.run();
        assert!(!talk.over());
        talk.client.received()
    };
    for (line, status, location) in [
        ("GET /", "301", "https://b:8443/base/"),
        ("GET /a%2Fb?c=/d?", "301", "https://b:8443/base/a%2Fb?c=/d?"),
        ("HEAD /x/", "301", "https://b:8443/base/x/"),
        ("POST /form", "308", "https://b:8443/base/form"),
        ("GET http://a?q", "301", "https://b:8443/base/?q"),
        ("GET /healthz/", "301", "https://b:8443/base/healthz/"),
        ("GET /healthz", "200", ""),
        ("OPTIONS *", "400", ""),
        ("BREW /a", "501", ""),
    ] {
        let text = ask(line);
        assert_eq!(&text[9..12], status, "{line}");
        assert_eq!(field(&text, "Location").unwrap_or(""), location, "{line}");
    }
    assert!(say("GET /a HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 "));
}

/// Every answer says how long it may be kept.
#[test]
fn every_answer_of_ours_says_how_long_it_may_be_kept() {
    for (target, headers) in [
        ("/healthz", ""),
        ("/index.html", ""),
        ("/%", ""),
        ("/", "If-Match: \"no\"\r\n"),
        ("/", "Accept-Encoding: *;q=0\r\n"),
        ("/", "Range: bytes=300-\r\n"),
        ("/", "Expect: more\r\n"),
        ("/", "Transfer-Encoding: chunked\r\n"),
    ] {
        let text = get(target, headers);
        assert!(field(&text, "Cache-Control").is_some(), "{text}");
    }
}
