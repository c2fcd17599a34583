//! What nobody should send.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::super::Limits;
use super::script::Talk;
use super::{get, say, service, status};

const REFUSED: (u16, bool) = (400, false);

fn with(headers: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n")
}

#[test]
fn two_ways_to_read_it() {
    for headers in [
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length: 1 1\r\n",
        "Content-Length:\r\n",
        "Content-Length: 9999999999999999999\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
        "Content-Length : 1\r\n",
        "Transfer-Encoding : chunked\r\n",
        " Content-Length: 1\r\n",
        "X: a\r\n folded: b\r\n",
        "Host: b\r\n",
        "X: a\rContent-Length: 1\r\n",
        "X: \0\r\n",
        "X\0: a\r\n",
        ": a\r\n",
        "no colon\r\n",
    ] {
        assert_eq!(status(&with(headers)), REFUSED, "{headers:?}");
    }
    for coding in ["chunked", "gzip, chunked", "identity", "xchunked", ""] {
        let request = with(&format!("Transfer-Encoding: {coding}\r\n"));
        assert_eq!(status(&request), (501, false), "{coding}");
        assert_eq!(status(&request.replace("1.1", "1.0")), REFUSED, "{coding}");
    }
    // Nothing that follows a refusal is answered.
    let text = say(&format!("{}{}", with("Content-Length: x\r\n"), with("")));
    assert_eq!(text.matches("HTTP/1.1").count(), 1);
}

#[test]
fn request_lines() {
    for line in [
        "GET",
        "GET /",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 x",
        "GET / HTTPS/1.1",
        "GET / http/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\0 HTTP/1.1",
        "G\0T / HTTP/1.1",
        "GET / HTTP/1.1\r",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}",
        "SSH-2.0-OpenSSH_9.2p1",
    ] {
        assert_eq!(
            status(&format!("{line}\r\nHost: a\r\n\r\n")),
            REFUSED,
            "{line:?}"
        );
    }
    for line in [
        "GET / HTTP/2.0",
        "PRI * HTTP/2.0",
        "GET / HTTP/0.9",
        "GET / HTTP/1.2",
    ] {
        assert_eq!(
            status(&format!("{line}\r\nHost: a\r\n\r\n")),
            (505, false),
            "{line:?}"
        );
    }
    assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), REFUSED);
    assert_eq!(
        status("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (200, true)
    );
    for target in [
        "/..",
        "/%2e%2e/x",
        "/a/../b",
        "/%",
        "/%00",
        "*",
        "x",
        "/a#b",
    ] {
        assert!(get(target, "").starts_with("HTTP/1.1 400 "), "{target}");
    }
    for method in ["get", "GETT", "LOCK", "G"] {
        assert_eq!(
            status(&format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n")),
            (501, true)
        );
    }
    for host in ["a b", "a/b", "u@h", "a\tb", "\u{fc}"] {
        assert_eq!(
            status(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")),
            REFUSED,
            "{host}"
        );
    }
    assert_eq!(status("GET / HTTP/1.1\r\nHost:\r\n\r\n"), (200, true));
    let odd = with("Expect: 200-ok\r\n");
    assert_eq!(status(&odd), (417, false));
}

#[test]
fn too_much() {
    let limits = Limits::default();
    let target = "a".repeat(limits.target);
    assert_eq!(
        status(&format!("GET /{target} HTTP/1.1\r\nHost: a\r\n\r\n")),
        (414, false)
    );
    assert_eq!(
        status(&format!("GET /{}", "a".repeat(limits.head))),
        (414, false)
    );
    assert_eq!(
        status(&with(&"X: y\r\n".repeat(limits.headers))),
        (431, false)
    );
    assert_eq!(
        status(&with(&"X: y\r\n".repeat(limits.headers - 1))),
        (200, true)
    );
    assert_eq!(
        status(&with(&format!("X: {}\r\n", "y".repeat(limits.head)))),
        (431, false)
    );
    // To the byte.
    let rest = limits.head - with("X: \r\n").len();
    assert_eq!(
        status(&with(&format!("X: {}\r\n", "y".repeat(rest)))),
        (200, true)
    );
    assert_eq!(
        status(&with(&format!("X: {}\r\n", "y".repeat(rest + 1)))),
        (431, false)
    );
    assert_eq!(status(&"\r\n".repeat(limits.head)), (431, false));
}

/// The same bytes in other pieces get the same answers.
fn in_pieces(bytes: &[u8], cuts: &[usize], window: usize) -> String {
    let mut talk = Talk::new(&service());
    let mut rest = bytes;
    for cut in cuts {
        let (piece, after) = rest.split_at((*cut).min(rest.len()));
        if !piece.is_empty() {
            talk.client.send(piece);
        }
        talk.client.window(window);
        talk.run();
        rest = after;
    }
    if !rest.is_empty() {
        talk.client.send(rest);
    }
    talk.client.finish();
    talk.client.window(usize::MAX);
    talk.run();
    assert!(talk.over());
    assert_eq!(talk.site.active(), 0);
    talk.client.received()
}

fn request() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("GET / HTTP/1.1"),
        Just("HEAD /a%20b HTTP/1.1"),
        Just("GET /nope?x HTTP/1.0"),
        Just("GET /old HTTP/1.1"),
        Just("POST / HTTP/1.1"),
        Just("GET /../ HTTP/1.1"),
        Just("GET"),
    ];
    let header = prop_oneof![
        Just("Connection: keep-alive"),
        Just("Connection: close"),
        Just("Accept-Encoding: br, gzip;q=0.5"),
        Just("If-None-Match: *"),
        Just("X: y"),
        Just("Content-Length: 3\r\n\r\nGET"),
        Just("Transfer-Encoding: chunked"),
    ];
    (line, prop::collection::vec(header, 0..3)).prop_map(|(line, headers)| {
        let headers: String = headers.iter().flat_map(|h| [h, "\r\n"]).collect();
        format!("{line}\r\nHost: a\r\n{headers}\r\n")
    })
}

proptest! {
    #[test]
    fn pieces_do_not_matter(
        requests in prop::collection::vec(request(), 1..8),
        cuts in prop::collection::vec(0..80usize, 0..60),
        window in 1..400usize,
    ) {
        let bytes = requests.concat();
        let whole = say(&bytes);
        prop_assert_eq!(in_pieces(bytes.as_bytes(), &cuts, window), whole);
    }

    #[test]
    fn no_bytes_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        cuts in prop::collection::vec(0..80usize, 0..20),
    ) {
        let _ = in_pieces(&bytes, &cuts, 50);
    }

    #[test]
    fn nearly_requests_do_not_panic(
        requests in prop::collection::vec(request(), 1..4),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cuts in prop::collection::vec(0..80usize, 0..20),
    ) {
        let mut bytes = requests.concat().into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let text = in_pieces(&bytes, &cuts, 50);
        prop_assert!(text.is_empty() || text.starts_with("HTTP/1.1 "));
    }
}

#[test]
fn one_byte_at_a_time() {
    let request = with("X: y\r\nAccept-Encoding: br\r\n");
    let cuts: Vec<usize> = vec![1; request.len()];
    assert_eq!(in_pieces(request.as_bytes(), &cuts, 1), say(&request));
}
