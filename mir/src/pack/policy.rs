//! What answers say beside what they are: how long they may be kept, and what a browser may do
//! with them.

use super::csp;

/// Header fields of all answers at some paths, which `site.toml` lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRule {
    /// A path, decoded, in which `*` stands for any characters.
    pub path: String,
    /// Names and values. An empty value takes the field away.
    pub values: Vec<(String, String)>,
}

/// What is content that never changes, as its name has its hash in it.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Asked for again before each use, which costs a 304.
const ASK_AGAIN: &str = "no-cache";
/// A move may be undone.
const AN_HOUR: &str = "max-age=3600";

/// Digits of the hash that a file's name may have in it.
const HASH_DIGITS: usize = 16;

/// The header fields of a page or a file at this path.
pub fn headers(
    rules: &[HeaderRule],
    path: &str,
    media_type: &str,
    body: &[u8],
) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let keep = match has_hash(path, body) {
        true => FOR_EVER,
        false => ASK_AGAIN,
    };
    set(&mut out, "Cache-Control", keep);
    set(&mut out, "X-Content-Type-Options", "nosniff");
    if csp::is_document(media_type) {
        set(&mut out, "Content-Security-Policy", &csp::of(body));
        set(
            &mut out,
            "Referrer-Policy",
            "strict-origin-when-cross-origin",
        );
        let off = "camera=(), geolocation=(), microphone=(), payment=(), usb=()";
        set(&mut out, "Permissions-Policy", off);
    }
    follow(rules, path, &mut out);
    out
}

/// The header fields of a redirect.
pub fn redirect_headers(rules: &[HeaderRule], path: &str, status: u16) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let keep = match status {
        301 | 308 => AN_HOUR,
        _ => ASK_AGAIN,
    };
    set(&mut out, "Cache-Control", keep);
    follow(rules, path, &mut out);
    out
}

/// Sets a field, or takes it away if the value is empty.
pub fn set(headers: &mut Vec<(String, String)>, name: &str, value: &str) {
    let new = (name.to_owned(), value.to_owned());
    let old = headers
        .iter()
        .position(|(n, _)| n.eq_ignore_ascii_case(name));
    match (old, value.is_empty()) {
        (Some(at), true) => drop(headers.remove(at)),
        (Some(at), false) => headers[at] = new,
        (None, true) => {}
        (None, false) => headers.push(new),
    }
}

/// The name of a file that has the hash of its content in it: `/style.css` becomes
/// `/style.0123456789abcdef.css`.
pub fn hashed(path: &str, body: &[u8]) -> String {
    let hash = hash(body);
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    match path[name..].rfind('.') {
        Some(dot) if dot > 0 => {
            let (stem, extension) = path.split_at(name + dot);
            format!("{stem}.{hash}{extension}")
        }
        _ => format!("{path}.{hash}"),
    }
}

/// The path that was [`hashed`], and the hash, if this is one that may be.
pub fn unhashed(path: &str) -> Option<(String, &str)> {
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    let is_hash = |part: &str| part.len() == HASH_DIGITS && part.bytes().all(is_digit);
    let (before, last) = path.rsplit_once('.').filter(|(b, _)| b.len() > name)?;
    if is_hash(last) {
        return Some((before.to_owned(), last));
    }
    let (stem, hash) = before.rsplit_once('.').filter(|(b, _)| b.len() > name)?;
    is_hash(hash).then(|| (format!("{stem}.{last}"), hash))
}

fn is_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn has_hash(path: &str, body: &[u8]) -> bool {
    unhashed(path).is_some_and(|(_, there)| there == hash(body))
}

fn hash(body: &[u8]) -> String {
    let mut text = super::hex(&super::digest(body));
    text.truncate(HASH_DIGITS);
    text
}

fn follow(rules: &[HeaderRule], path: &str, headers: &mut Vec<(String, String)>) {
    for rule in rules.iter().filter(|rule| rule.matches(path)) {
        for (name, value) in &rule.values {
            set(headers, name, value);
        }
    }
}

impl HeaderRule {
    /// Whether it is about this path.
    pub fn matches(&self, path: &str) -> bool {
        let mut parts = self.path.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = path.strip_prefix(first) else {
            return false;
        };
        let parts: Vec<&str> = parts.collect();
        let Some((last, middle)) = parts.split_last() else {
            return rest.is_empty();
        };
        for part in middle {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media;

    fn rule(path: &str, values: &[(&str, &str)]) -> HeaderRule {
        let values = values.iter();
        let values = values.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        HeaderRule {
            path: path.to_owned(),
            values: values.collect(),
        }
    }

    #[test]
    fn paths() {
        for (pattern, path, expected) in [
            ("/a", "/a", true),
            ("/a", "/a/", false),
            ("/a", "/ab", false),
            ("/a/*", "/a/", true),
            ("/a/*", "/a/b/c", true),
            ("/a/*", "/a", false),
            ("*", "/", true),
            ("/*", "/x", true),
            ("*.css", "/a/b.css", true),
            ("*.css", "/a/b.css.map", false),
            ("/a*b*c", "/abc", true),
            ("/a*b*c", "/a/c/b/c", true),
            ("/a*b*c", "/acb", false),
            ("/aa*a", "/aa", false),
            ("/aa*a", "/aaa", true),
            ("/a**", "/a", true),
        ] {
            assert_eq!(
                rule(pattern, &[]).matches(path),
                expected,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn later_rules_win() {
        let rules = [
            rule("/*", &[("cache-control", "max-age=60"), ("X-A", "1")]),
            rule(
                "/b",
                &[("X-A", ""), ("Content-Security-Policy", "default-src *")],
            ),
        ];
        let names = |path: &str| {
            let all = headers(&rules, path, media::HTML, b"");
            let all = all.iter().map(|(name, value)| format!("{name}: {value}"));
            all.collect::<Vec<_>>().join("\n")
        };
        assert!(names("/a").starts_with("cache-control: max-age=60\n"));
        assert!(names("/a").ends_with("X-A: 1"));
        assert!(names("/b").contains("\nContent-Security-Policy: default-src *\n"));
        assert!(!names("/b").contains("X-A"));
        let moved = redirect_headers(&rules, "/a", 301);
        assert_eq!(moved.len(), 2);
        assert_eq!(redirect_headers(&[], "/a", 301)[0].1, AN_HOUR);
        assert_eq!(redirect_headers(&[], "/a", 302)[0].1, ASK_AGAIN);
    }

    #[test]
    fn what_has_its_hash_in_its_name_is_kept() {
        for path in ["/style.css", "/a/b.min.js", "/a.b/font", "/.well-known/x"] {
            let name = hashed(path, b"body");
            let (back, _) = unhashed(&name).unwrap();
            assert_eq!(back, path);
            let keep = |body: &[u8]| headers(&[], &name, "text/css", body)[0].1.clone();
            assert_eq!(keep(b"body"), FOR_EVER, "{name}");
            assert_eq!(keep(b"other"), ASK_AGAIN, "{name}");
        }
        assert_eq!(hashed("/style.css", b""), "/style.e3b0c44298fc1c14.css");
        for path in [
            "/a",
            "/a.css",
            "/0123456789abcdef",
            "/.0123456789abcdef",
            "/a.0123456789ABCDEF.x",
        ] {
            assert_eq!(unhashed(path), None, "{path}");
        }
    }

    #[test]
    fn only_documents_have_a_policy() {
        let has = |media_type: &str| headers(&[], "/a", media_type, b"").len();
        assert_eq!(
            [has(media::HTML), has("image/svg+xml"), has("image/png")],
            [5, 5, 2]
        );
    }
}
