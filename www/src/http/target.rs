//! The request target: from what stands in the request line to a path that a store knows.

use super::Span;

/// Makes the target at `span` of the head a path: without scheme and authority, query and percent
/// signs. Works in place, since a decoded path is never longer. `None`: not a target of GET (RFC
/// 9112, 3.2.1 and 3.2.2), or one that tries to climb.
pub(super) fn to_path(head: &mut [u8], span: Span) -> Option<Span> {
    let target = &head[span.range()];
    let mut at = usize::from(span.at);
    let mut path = target;
    if target.first() != Some(&b'/') {
        path = absolute_form(target)?;
        at += target.len() - path.len();
    }
    let (mut plain, mut dots) = (true, false);
    let mut end = path.len();
    let mut last = b'/';
    for (i, byte) in path.iter().enumerate() {
        match byte {
            b'?' => {
                end = i;
                break;
            }
            // A fragment is not sent.
            b'#' => return None,
            b'%' => plain = false,
            b'.' => dots |= last == b'/',
            _ => {}
        }
        last = *byte;
    }
    if end == 0 {
        // `http://host` and `http://host?query` mean the root; the slash is found in the scheme's.
        let slash = head[span.range()].iter().position(|b| *b == b'/')?;
        return Some(Span::new(usize::from(span.at) + slash, 1));
    }
    let end = if plain {
        end
    } else {
        decode(&mut head[at..at + end])?
    };
    // Hardly any path has a segment that begins with a dot.
    let climbs = |path: &[u8]| path.split(|b| *b == b'/').any(|s| s == b"." || s == b"..");
    let climbs = (dots || !plain) && climbs(&head[at..at + end]);
    (!climbs).then(|| Span::new(at, end))
}

/// The path and the query of a target as they were sent: beginning with a slash or a question mark,
/// or empty.
pub(super) fn path_and_query(target: &[u8]) -> Option<&[u8]> {
    match target.first() {
        Some(b'/') => Some(target),
        _ => absolute_form(target),
    }
}

/// What follows the authority of `http://authority/path?query`.
fn absolute_form(target: &[u8]) -> Option<&[u8]> {
    let scheme = target.iter().position(|b| *b == b':')?;
    let (scheme, rest) = target.split_at(scheme);
    let known = scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https");
    let rest = rest.strip_prefix(b"://").filter(|_| known)?;
    let authority = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#'));
    let (authority, path) = rest.split_at(authority.unwrap_or(rest.len()));
    // No path may begin with the query but an empty one.
    (is_authority(authority) && !authority.is_empty()).then_some(path)
}

/// Whether this may stand in `Host` or in an absolute target: a host and perhaps a port. Nothing
/// depends on it, but what is none is a sign that two programs read one request differently.
pub(super) fn is_authority(host: &[u8]) -> bool {
    let is = |b: &u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%:[]".contains(b);
    host.iter().all(is)
}

/// Decodes percent signs in place, once; gives the new length, and leaves spaces in what is not
/// needed any more. `None` for a malformed one or NUL.
fn decode(path: &mut [u8]) -> Option<usize> {
    let mut to = 0;
    let mut from = 0;
    while from < path.len() {
        let mut byte = path[from];
        from += 1;
        if byte == b'%' {
            let digits = path.get(from..from + 2)?;
            byte = hex(digits[0])? << 4 | hex(digits[1])?;
            from += 2;
        }
        if byte == 0 {
            return None;
        }
        path[to] = byte;
        to += 1;
    }
    path[to..].fill(b' ');
    Some(to)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn path(target: &str) -> Option<String> {
        // Not at the front, so that a wrong base shows.
        let mut head = std::format!("GET {target} HTTP/1.1\r\n").into_bytes();
        let span = to_path(&mut head, Span::new(4, target.len()))?;
        Some(String::from_utf8_lossy(&head[span.range()]).into_owned())
    }

    #[test]
    fn paths() {
        for (target, expected) in [
            ("/", "/"),
            ("/a/b.html", "/a/b.html"),
            ("/a?b=/../c#", "/a"),
            ("/?", "/"),
            ("/%41%2e%C3%BC", "/A.ü"),
            ("/a%2fb", "/a/b"),
            ("/a%3Fb", "/a?b"),
            ("/%2541", "/%41"),
            ("//", "//"),
            ("//host/a", "//host/a"),
            ("/...", "/..."),
            ("/.well-known/a", "/.well-known/a"),
            ("/a/..b/.c", "/a/..b/.c"),
            ("http://example.org/a%20b?c", "/a b"),
            ("HTTP://example.org", "/"),
            ("https://[::1]:8080?x", "/"),
            ("http://h?/", "/"),
        ] {
            assert_eq!(path(target).as_deref(), Some(expected), "{target}");
        }
    }

    #[test]
    fn not_paths() {
        for target in [
            "*",
            "",
            "a",
            "example.org:80",
            "ftp://a/",
            "http:/a",
            "http:///a",
            "http://a b/",
            "http://u@h/",
            "?",
            "/a#b",
            "/%",
            "/%4",
            "/%4g",
            "/%00",
            "/..",
            "/.",
            "/a/../b",
            "/a/./b",
            "/%2e%2E/a",
            "/a/%2e%2e%2fb",
            "/a/..?b",
            "http://h/../a",
            "http://h#a",
        ] {
            assert_eq!(path(target), None, "{target}");
        }
    }

    proptest! {
        #[test]
        fn nothing_climbs(target in "[/.%2eEfFa?#:]{0,40}") {
            if let Some(path) = path(&target) {
                prop_assert!(path.starts_with('/'));
                prop_assert!(!path.split('/').any(|s| s == "." || s == ".."));
            }
        }

        #[test]
        fn nothing_panics(bytes: Vec<u8>) {
            let mut bytes = bytes;
            let span = Span::new(0, bytes.len());
            let _ = to_path(&mut bytes, span);
        }
    }
}
