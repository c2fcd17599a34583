//! A table of what RFC 9110 says, each row with its section.

use crate::stores::{Answer, DATA, MODIFIED, Stores};

/// Section; path; header lines with `|` between; what is answered: a status, and for 206 what
/// `Content-Range` says of each part.
///
/// `{etag}` is the entity tag of what is asked for, `{other}` that of it in another encoding,
/// `{date}` its `Last-Modified`, `{before}` and `{after}` seconds beside it, `{rfc850}` and
/// `{asctime}` the same as `{date}` in the obsolete forms.
type Row = (&'static str, &'static str, &'static str, &'static str);

#[rustfmt::skip]
const CONDITIONS: &[Row] = &[
    // If-Match: strong comparison, a list, anything.
    ("13.1.1", "/page", "If-Match: {etag}", "200"),
    ("13.1.1", "/page", "If-Match: \"no\", {etag}", "200"),
    ("13.1.1", "/page", "If-Match: \"no\"|If-Match: {etag}", "200"),
    ("13.1.1", "/page", "If-Match: *", "200"),
    ("13.1.1", "/page", "If-Match: W/{etag}", "412"),
    ("13.1.1", "/page", "If-Match: \"no\"", "412"),
    ("13.1.1", "/page", "If-Match: {other}", "412"),
    ("13.1.1", "/page", "If-Match: no", "412"),
    // If-None-Match: weak comparison, a list, anything.
    ("13.1.2", "/page", "If-None-Match: {etag}", "304"),
    ("13.1.2", "/page", "If-None-Match: W/{etag}", "304"),
    ("13.1.2", "/page", "If-None-Match: \"no\" , W/\"a,b\",{etag}", "304"),
    ("13.1.2", "/page", "If-None-Match: \"no\"|If-None-Match: {etag}", "304"),
    ("13.1.2", "/page", "If-None-Match: *", "304"),
    ("13.1.2", "/page", "If-None-Match: \"no\"", "200"),
    ("13.1.2", "/page", "If-None-Match: {other}", "200"),
    ("8.8.3.3", "/page", "If-None-Match: {etag}|Accept-Encoding: br", "304"),
    ("8.8.3.3", "/page", "If-None-Match: {other}|Accept-Encoding: br", "200"),
    // If-Modified-Since: three forms of a date, and what is none.
    ("13.1.3", "/page", "If-Modified-Since: {date}", "304"),
    ("13.1.3", "/page", "If-Modified-Since: {after}", "304"),
    ("13.1.3", "/page", "If-Modified-Since: {before}", "200"),
    ("5.6.7", "/page", "If-Modified-Since: {rfc850}", "304"),
    ("5.6.7", "/page", "If-Modified-Since: {asctime}", "304"),
    ("13.1.3", "/page", "If-Modified-Since: yesterday", "200"),
    ("13.1.3", "/page", "If-Modified-Since: {date}|If-Modified-Since: {date}", "200"),
    ("13.1.3", "/page", "If-Modified-Since: {date}, {date}", "200"),
    // If-Unmodified-Since.
    ("13.1.4", "/page", "If-Unmodified-Since: {date}", "200"),
    ("13.1.4", "/page", "If-Unmodified-Since: {after}", "200"),
    ("13.1.4", "/page", "If-Unmodified-Since: {before}", "412"),
    ("13.1.4", "/page", "If-Unmodified-Since: never", "200"),
    ("13.1.4", "/page", "If-Unmodified-Since: {before}|If-Unmodified-Since: {before}", "200"),
    // What comes first.
    ("13.2.2", "/page", "If-Match: {etag}|If-Unmodified-Since: {before}", "200"),
    ("13.2.2", "/page", "If-Match: \"no\"|If-Unmodified-Since: {date}", "412"),
    ("13.2.2", "/page", "If-Match: \"no\"|If-None-Match: {etag}", "412"),
    ("13.2.2", "/page", "If-Match: {etag}|If-None-Match: {etag}", "304"),
    ("13.2.2", "/page", "If-Unmodified-Since: {before}|If-Modified-Since: {date}", "412"),
    ("13.2.2", "/page", "If-Unmodified-Since: {date}|If-Modified-Since: {date}", "304"),
    ("13.2.2", "/page", "If-None-Match: \"no\"|If-Modified-Since: {date}", "200"),
    ("13.2.2", "/page", "If-None-Match: {etag}|If-Modified-Since: {before}", "304"),
    ("13.2.2", "/data.bin", "If-Match: \"no\"|Range: bytes=0-1", "412"),
    ("13.2.2", "/data.bin", "If-None-Match: {etag}|Range: bytes=0-1", "304"),
    ("13.2.2", "/data.bin", "If-None-Match: \"no\"|Range: bytes=0-1", "206 0-1"),
    ("13.2.2", "/data.bin", "If-Modified-Since: {date}|Range: bytes=0-1", "304"),
    ("13.2.2", "/data.bin", "If-Match: {etag}|Range: bytes=200000-", "416"),
    // What would not be a 2xx is answered as if there were none.
    ("13.2.1", "/nowhere", "If-None-Match: *", "404"),
    ("13.2.1", "/nowhere", "If-Match: \"no\"|Range: bytes=0-1", "404"),
    ("13.2.1", "/old", "If-None-Match: *|Range: bytes=0-1", "301"),
    ("13.2.1", "/gone", "If-None-Match: *|Range: bytes=0-1", "410"),
];

#[rustfmt::skip]
const RANGES: &[Row] = &[
    ("14.1.2", "/data.bin", "Range: bytes=0-0", "206 0-0"),
    ("14.1.2", "/data.bin", "Range: bytes=0-499", "206 0-499"),
    ("14.1.2", "/data.bin", "Range: bytes=500-999", "206 500-999"),
    ("14.1.2", "/data.bin", "Range: bytes=-500", "206 99503-100002"),
    ("14.1.2", "/data.bin", "Range: bytes=100000-", "206 100000-100002"),
    ("14.1.2", "/data.bin", "Range: bytes=100002-", "206 100002-100002"),
    ("14.1.2", "/data.bin", "Range: bytes=0-", "206 0-100002"),
    ("14.1.2", "/data.bin", "Range: bytes=5-99999999999999999999999", "206 5-100002"),
    ("14.1.2", "/data.bin", "Range: bytes=-99999999999999999999999", "206 0-100002"),
    ("14.1.2", "/data.bin", "Range: bytes=100003-", "416"),
    ("14.1.2", "/data.bin", "Range: bytes=-0", "416"),
    ("14.1.2", "/data.bin", "Range: bytes=99999999999999999999999-", "416"),
    ("14.1.2", "/empty.txt", "Range: bytes=0-", "416"),
    ("14.2", "/empty.txt", "Range: bytes=-1", "200"),
    ("14.1", "/data.bin", "Range: BYTES=0-0", "206 0-0"),
    ("5.6.1.2", "/data.bin", "Range: bytes=,0-0 , ,2-2,", "206 0-0 2-2"),
    // Several parts, in the order asked for; those that touch are one.
    ("14.2", "/data.bin", "Range: bytes=0-9,50000-50009,-3", "206 0-9 50000-50009 100000-100002"),
    ("15.3.7.2", "/data.bin", "Range: bytes=90-99,0-9", "206 90-99 0-9"),
    ("15.3.7.2", "/data.bin", "Range: bytes=0-9,10-19", "206 0-19"),
    ("15.3.7.2", "/data.bin", "Range: bytes=0-9,5-19,100-109", "206 0-19 100-109"),
    ("15.3.7.2", "/data.bin", "Range: bytes=0-,0-,0-,0-", "206 0-100002"),
    ("15.3.7.2", "/data.bin", "Range: bytes=200000-,7-8", "206 7-8"),
    ("15.5.17", "/data.bin", "Range: bytes=200000-,300000-300001", "416"),
    // What is none is as if it were not there.
    ("14.1.1", "/data.bin", "Range: bytes=2-1", "200"),
    ("14.1.1", "/data.bin", "Range: bytes=0-1,x", "200"),
    ("14.1.1", "/data.bin", "Range: bytes=", "200"),
    ("14.1.1", "/data.bin", "Range: 0-1", "200"),
    ("14.2", "/data.bin", "Range: lines=0-1", "200"),
    ("5.3", "/data.bin", "Range: bytes=0-1|Range: bytes=4-5", "200"),
    ("17.15", "/data.bin", "Range: bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30,32-32", "200"),
    // Of what is sent, which may be encoded.
    ("14.2", "/text.txt", "Range: bytes=0-9|Accept-Encoding: gzip", "206 0-9"),
    ("14.2", "/text.txt", "Range: bytes=0-9|Accept-Encoding: br", "206 0-9"),
    ("14.2", "/page", "Range: bytes=0-4,10-14", "206 0-4 10-14"),
    // If-Range.
    ("13.1.5", "/data.bin", "Range: bytes=0-1|If-Range: {etag}", "206 0-1"),
    ("13.1.5", "/data.bin", "Range: bytes=0-1|If-Range: \"no\"", "200"),
    ("13.1.5", "/data.bin", "Range: bytes=0-1|If-Range: W/{etag}", "200"),
    ("13.1.5", "/data.bin", "Range: bytes=0-1|If-Range: {etag}, {etag}", "200"),
    ("13.1.5", "/data.bin", "Range: bytes=0-1|If-Range: {date}", "206 0-1"),
    ("13.1.5", "/data.bin", "Range: bytes=0-1|If-Range: {after}", "200"),
    ("13.1.5", "/data.bin", "Range: bytes=0-1|If-Range: {before}", "200"),
    ("13.1.5", "/data.bin", "Range: bytes=0-1|If-Range: *", "200"),
    ("13.1.5", "/data.bin", "Range: bytes=0-1|If-Range: {etag}|If-Range: {etag}", "200"),
    ("13.1.5", "/text.txt", "Range: bytes=0-1|If-Range: {other}|Accept-Encoding: gzip", "206 0-1"),
    ("13.1.5", "/text.txt", "Range: bytes=0-1|If-Range: {etag}|Accept-Encoding: gzip", "200"),
    ("13.1.5", "/data.bin", "If-Range: \"no\"", "200"),
    ("13.1.5", "/data.bin", "Range: bytes=200000-|If-Range: \"no\"", "200"),
    ("13.1.5", "/data.bin", "Range: bytes=200000-|If-Range: {etag}", "416"),
];

#[rustfmt::skip]
const ENCODINGS: &[Row] = &[
    ("12.5.3", "/text.txt", "", "200 -"),
    ("12.5.3", "/text.txt", "Accept-Encoding:", "200 -"),
    ("12.5.3", "/text.txt", "Accept-Encoding: gzip", "200 gzip"),
    ("12.5.3", "/text.txt", "Accept-Encoding: x-gzip", "200 gzip"),
    ("12.5.3", "/text.txt", "Accept-Encoding: GZIP, BR", "200 br"),
    ("12.5.3", "/text.txt", "Accept-Encoding: br;q=0.5, gzip;q=0.8", "200 gzip"),
    ("12.5.3", "/text.txt", "Accept-Encoding: br;q=0.5|Accept-Encoding: gzip;q=0.2", "200 br"),
    ("12.5.3", "/text.txt", "Accept-Encoding: gzip;q=0", "200 -"),
    ("12.5.3", "/text.txt", "Accept-Encoding: identity, gzip;q=0.9", "200 -"),
    ("12.5.3", "/text.txt", "Accept-Encoding: *", "200 br"),
    ("12.5.3", "/text.txt", "Accept-Encoding: *;q=0.1, identity;q=0.2", "200 -"),
    ("12.5.3", "/text.txt", "Accept-Encoding: br;q=0, *", "200 gzip"),
    ("12.5.3", "/text.txt", "Accept-Encoding: zstd", "200 -"),
    ("12.5.3", "/text.txt", "Accept-Encoding: identity;q=0, gzip", "200 gzip"),
    ("12.4.2", "/text.txt", "Accept-Encoding: gzip;q=1.000, br;q=0.999", "200 gzip"),
    ("12.4.2", "/text.txt", "Accept-Encoding: gzip;q=0.001, identity;q=0", "200 gzip"),
    // Nothing is acceptable only if the identity is refused by name, or with all others.
    ("12.5.3", "/text.txt", "Accept-Encoding: identity;q=0", "406"),
    ("12.5.3", "/text.txt", "Accept-Encoding: *;q=0", "406"),
    ("12.5.3", "/data.bin", "Accept-Encoding: gzip, identity;q=0", "406"),
    ("12.5.3", "/data.bin", "Accept-Encoding: gzip, br", "200 -"),
    ("12.5.3", "/old", "Accept-Encoding: *;q=0", "301 -"),
];

/// Fills in what a row leaves open.
fn headers(stores: &Stores, path: &str, row: &str) -> String {
    let date = |unix: u64| String::from_utf8(www::date::imf_fixdate(unix).to_vec()).unwrap();
    let plain = stores.get(path, "");
    let encoded = match row.contains("gzip") {
        true => stores.get(path, "Accept-Encoding: gzip\r\n"),
        false => stores.get(path, "Accept-Encoding: br\r\n"),
    };
    let etag = |answer: &Answer| answer.field("ETag").unwrap_or("\"none\"").to_owned();
    // The first names what is asked for, but in the rows that are about both.
    let (one, other) = match row.contains("Accept-Encoding: br") {
        true => (etag(&encoded), etag(&plain)),
        false => (etag(&plain), etag(&encoded)),
    };
    let lines = row.split('|').filter(|line| !line.is_empty());
    let lines: String = lines.map(|line| format!("{line}\r\n")).collect();
    // `Sun, 06 Nov 1994 08:47:56 GMT`
    let now = date(MODIFIED);
    let (day, month, year, time) = (&now[5..7], &now[8..11], &now[12..16], &now[17..25]);
    lines
        .replace("{etag}", &one)
        .replace("{other}", &other)
        .replace("{date}", &now)
        .replace("{before}", &date(MODIFIED - 1))
        .replace("{after}", &date(MODIFIED + 1))
        .replace(
            "{rfc850}",
            &format!("Sunday, {day}-{month}-{} {time} GMT", &year[2..]),
        )
        .replace(
            "{asctime}",
            &format!(
                "Sun {month} {:>2} {time} {year}",
                day.trim_start_matches('0')
            ),
        )
}

/// What holds for every answer, whatever was asked.
fn well_formed(answer: &Answer, request: &str) {
    assert!(answer.field("Cache-Control").is_some(), "{request}");
    assert!(answer.field("Date").is_some(), "{request}");
    let length = answer
        .field("Content-Length")
        .map(|n| n.parse::<usize>().unwrap());
    match answer.status() {
        304 => assert!(length.is_none() && answer.body().is_empty(), "{request}"),
        _ => assert_eq!(length, Some(answer.body().len()), "{request}"),
    }
    if let 200 | 206 | 304 = answer.status() {
        let etag = answer.field("ETag").expect(request);
        assert!(etag.starts_with('"') && etag.len() > 2, "{request}");
    }
}

#[test]
fn conditions() {
    let stores = Stores::new();
    for (section, path, row, expected) in CONDITIONS {
        let headers = headers(&stores, path, row);
        let answer = stores.get(path, &headers);
        let said = format!("{section}: {path} {headers}{}", answer.head());
        assert_eq!(answer.status().to_string(), expected[..3], "{said}");
        well_formed(&answer, &said);
        // 15.4.5: what a 200 would have said of how to keep it.
        if answer.status() == 304 {
            let accept = headers.contains("Accept-Encoding: br");
            let accept = if accept {
                "Accept-Encoding: br\r\n"
            } else {
                ""
            };
            let whole = stores.get(path, accept);
            for name in ["ETag", "Cache-Control", "Vary"] {
                assert_eq!(answer.field(name), whole.field(name), "{said}");
            }
        }
    }
}

#[test]
fn ranges() {
    let stores = Stores::new();
    for (section, path, row, expected) in RANGES {
        let headers = headers(&stores, path, row);
        let answer = stores.get(path, &headers);
        let said = format!("{section}: {path} {headers}{}", answer.head());
        assert_eq!(answer.status().to_string(), expected[..3], "{said}");
        well_formed(&answer, &said);
        let whole = row.split('|').filter(|line| line.starts_with("Accept"));
        let whole: String = whole.map(|line| format!("{line}\r\n")).collect();
        let whole = stores.get(path, &whole);
        match answer.status() {
            206 => {
                let parts = crate::ranges::parts(&answer, whole.body());
                assert_eq!(parts.join(" "), expected[4..], "{said}");
                let kept = [
                    "ETag",
                    "Cache-Control",
                    "Vary",
                    "Last-Modified",
                    "Content-Encoding",
                    "X-Own",
                ];
                for name in kept {
                    assert_eq!(answer.field(name), whole.field(name), "{name}: {said}");
                }
            }
            416 => {
                let range = format!("bytes */{}", whole.body().len());
                assert_eq!(answer.field("Content-Range"), Some(&*range), "{said}");
            }
            _ => {
                assert_eq!(answer.field("Content-Range"), None, "{said}");
                assert!(answer.body() == whole.body(), "{said}");
            }
        }
    }
}

#[test]
fn encodings() {
    let stores = Stores::new();
    for (section, path, row, expected) in ENCODINGS {
        let headers = headers(&stores, path, row);
        let answer = stores.get(path, &headers);
        let said = format!("{section}: {path} {headers}{}", answer.head());
        assert_eq!(answer.status().to_string(), expected[..3], "{said}");
        well_formed(&answer, &said);
        if let Some(encoding) = expected.get(4..) {
            let found = answer.field("Content-Encoding").unwrap_or("-");
            assert_eq!(found, encoding, "{said}");
        }
        // 12.5.5: a cache is told that this one is not the only one.
        if *path == "/text.txt" {
            assert_eq!(answer.field("Vary"), Some("Accept-Encoding"), "{said}");
        }
    }
    // 8.8.3: each representation has a tag of its own.
    let tag = |accept: &str| {
        let answer = stores.get("/text.txt", &format!("Accept-Encoding: {accept}\r\n"));
        answer.field("ETag").unwrap().to_owned()
    };
    let tags = [tag("identity"), tag("gzip"), tag("br")];
    assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[0] != tags[2]);
}

/// 9.3.2: HEAD says what GET would say; 14.2: it knows no ranges.
#[test]
fn head() {
    let stores = Stores::new();
    let rows = CONDITIONS.iter().chain(ENCODINGS);
    for (_, path, row, _) in rows.filter(|(_, _, row, _)| !row.contains("Range: ")) {
        let headers = headers(&stores, path, row);
        let got = stores.get(path, &headers);
        let head = stores.ask(&format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n"));
        assert_eq!(head.head(), got.head(), "{path} {headers}");
        assert!(head.body().is_empty());
    }
    let head = stores.ask("HEAD /data.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\n\r\n");
    assert_eq!(head.status(), 200);
    assert_eq!(head.field("Content-Length"), Some(&*DATA.to_string()));
    assert_eq!(head.field("Accept-Ranges"), Some("bytes"));
}
