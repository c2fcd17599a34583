//! Addresses that lead to others: every page has one address, and other spellings lead there.
//!
//! docs/http.md has the rule.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::composed::{Composed, Composer};

/// How long a client may keep a redirect away from here: who moves it again wants that to be seen.
const AWAY: &str = "Cache-Control: max-age=3600\r\n";
/// Within a site, what is another spelling now may be a page tomorrow.
const WITHIN: &str = "Cache-Control: no-cache\r\n";

/// Which spelling of a path is looked for.
pub(super) enum Spelling {
    AsSent,
    /// The [`address`] of a page.
    Address,
    /// The file of a folder, by this path.
    Index(Vec<u8>),
}

impl Spelling {
    pub(super) fn is_as_sent(&self) -> bool {
        matches!(self, Self::AsSent)
    }

    /// What to look for if there is nothing at this one.
    #[cold]
    pub(super) fn next(&self, path: &[u8]) -> Option<Self> {
        match self {
            Self::AsSent if address(path).is_some() => Some(Self::Address),
            Self::AsSent | Self::Address => index(path).map(Self::Index),
            Self::Index(_) => None,
        }
    }
}

/// The status of a redirect: 308 says that the method stays, which clients take for granted with GET
/// and HEAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Moved,
    Permanent,
}

/// The address of a page that is asked for in another spelling: with a slash or `index.html` at its
/// end, or with `.html`. Nothing if this is none.
pub fn address(path: &[u8]) -> Option<&[u8]> {
    let folder = path.strip_suffix(b"/index.html");
    let page = folder.or_else(|| path.strip_suffix(b".html"));
    match page.or_else(|| path.strip_suffix(b"/")) {
        // `/index.html` is the root.
        Some(b"") if folder.is_some() => Some(&path[..1]),
        Some([.., b'/'] | []) | None => None,
        found => found,
    }
}

/// Where the file `index.html` of a folder would be that is asked for by its name.
fn index(path: &[u8]) -> Option<Vec<u8>> {
    let folder = path.strip_suffix(b"/").unwrap_or(path);
    let mut index = Vec::new();
    let parts = [folder, b"/index.html"];
    let length = parts.iter().map(|part| part.len()).sum();
    index.try_reserve_exact(length).ok()?;
    parts.iter().for_each(|part| index.extend_from_slice(part));
    Some(index)
}

/// A redirect to a path of the site, decoded, with this query, which has its question mark.
#[cold]
pub(super) fn within(path: &[u8], query: &[u8]) -> Option<Box<[Composed; 1]>> {
    let mut made = begin(Kind::Moved);
    for byte in path {
        match byte {
            b'-' | b'.' | b'_' | b'~' | b'/' => made.push(&[*byte]),
            other if other.is_ascii_alphanumeric() => made.push(&[*byte]),
            other => escape(&mut made, *other),
        }
    }
    visible(&mut made, query);
    end(made, WITHIN)
}

/// A redirect to what is behind `url`: a path and a query as they were sent.
#[cold]
pub(super) fn behind(url: &str, rest: &[u8], kind: Kind) -> Option<Box<[Composed; 1]>> {
    let mut made = begin(kind);
    made.push(url.trim_end_matches('/').as_bytes());
    if rest.first() != Some(&b'/') {
        made.push(b"/");
    }
    visible(&mut made, rest);
    end(made, AWAY)
}

fn begin(kind: Kind) -> Composer {
    let (status, line) = match kind {
        Kind::Moved => (301, "HTTP/1.1 301 Moved Permanently\r\nLocation: "),
        Kind::Permanent => (308, "HTTP/1.1 308 Permanent Redirect\r\nLocation: "),
    };
    let mut made = Composer::new(status);
    made.push(line.as_bytes());
    made
}

fn end(mut made: Composer, keep: &str) -> Option<Box<[Composed; 1]>> {
    made.push(b"\r\nContent-Length: 0\r\n");
    made.push(keep.as_bytes());
    made.end_head();
    made.done()
}

/// What a client sent as a part of a target may hold what no address does.
fn visible(made: &mut Composer, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b'"' | b'#' | b'<' | b'>' | b'\\' => escape(made, *byte),
            other if other.is_ascii_graphic() => made.push(&[*byte]),
            other => escape(made, *other),
        }
    }
}

fn escape(made: &mut Composer, byte: u8) {
    made.push(b"%");
    made.hex(byte.into(), 2);
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use proptest::prelude::*;

    #[test]
    fn one_address() {
        for (path, expected) in [
            ("/index.html", Some("/")),
            ("/a/", Some("/a")),
            ("/a/index.html", Some("/a")),
            ("/a.html", Some("/a")),
            ("/a/b.html", Some("/a/b")),
            ("/aindex.html", Some("/aindex")),
            ("/a.html/", Some("/a.html")),
            ("/", None),
            ("//", None),
            ("/a//", None),
            ("//index.html", None),
            ("/.html", None),
            ("/a/.html", None),
            ("/a", None),
            ("/a.htm", None),
        ] {
            let found = address(path.as_bytes());
            assert_eq!(found, expected.map(str::as_bytes), "{path}");
        }
        assert_eq!(index(b"/a").unwrap(), b"/a/index.html");
        assert_eq!(index(b"/a/").unwrap(), b"/a/index.html");
    }

    fn location(made: Option<Box<[Composed; 1]>>) -> String {
        let made = made.unwrap();
        let head = String::from_utf8(made[0].head().to_vec()).unwrap();
        let line = head.lines().nth(1).unwrap();
        line.strip_prefix("Location: ").unwrap().into()
    }

    #[test]
    fn locations() {
        assert_eq!(location(within(b"/a/b-1.x", b"?q=/?1")), "/a/b-1.x?q=/?1");
        assert_eq!(
            location(within("/größe 1?%".as_bytes(), b"?")),
            "/gr%C3%B6%C3%9Fe%201%3F%25?"
        );
        let to = |url, rest: &str| location(behind(url, rest.as_bytes(), Kind::Moved));
        assert_eq!(
            to("https://a:8443/b/", "/c%20d?e"),
            "https://a:8443/b/c%20d?e"
        );
        assert_eq!(to("https://a", ""), "https://a/");
        assert_eq!(to("https://a", "?q"), "https://a/?q");
        assert_eq!(to("https://a", "//b/c"), "https://a//b/c");
        assert_eq!(to("https://a", "/\"\u{e9}"), "https://a/%22%C3%A9");
    }

    proptest! {
        #[test]
        fn it_stays_a_line(path: Vec<u8>, query: Vec<u8>) {
            for made in [within(&path, &query), behind("http://a", &query, Kind::Permanent)] {
                let line = location(made);
                prop_assert!(line.bytes().all(|b| b.is_ascii_graphic()));
            }
        }

        /// An address is shorter, so that nobody is led in a circle.
        #[test]
        fn it_gets_shorter(path in "/[/a.]{0,5}(index)?(.html)?/?") {
            if let Some(address) = address(path.as_bytes()) {
                prop_assert!(address.len() < path.len() && address.starts_with(b"/"));
            }
        }
    }
}
