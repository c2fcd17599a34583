//! The Content-Security-Policy of a page: nothing from elsewhere, and of what stands in the page
//! itself only what stood there when it was made.
//!
//! Scripts and styles in a page are allowed by their hashes, so whatever is put into it later does
//! not run. A search that takes something for a script that is none allows nothing that is there;
//! one that misses a script forbids it. Neither does harm.

use std::collections::BTreeSet;

/// What every page says. Images may be written into it.
const STRICT: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'self'; \
                      form-action 'self'; frame-ancestors 'self'";

/// Hashes of one kind. With more, whatever stands in the page is allowed: a head is to be short.
const MOST: usize = 24;

/// Whether a browser shows this as a document that may have scripts and styles.
pub(super) fn is_document(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim_end();
    ["text/html", "application/xhtml+xml", "image/svg+xml"].contains(&essence)
}

/// The policy of a document.
pub(super) fn of(body: &[u8]) -> String {
    let mut policy = STRICT.to_owned();
    let scripts = sources(body, b"script");
    if !scripts.is_empty() {
        policy += &format!("; script-src 'self' {scripts}");
    }
    let styles = sources(body, b"style");
    if !styles.is_empty() {
        policy += &format!("; style-src 'self' {styles}");
    }
    if has_style_attribute(body) {
        policy += "; style-src-attr 'unsafe-inline'";
    }
    policy
}

/// The hashes of what stands in elements of this name.
fn sources(body: &[u8], name: &[u8]) -> String {
    let mut hashes = BTreeSet::new();
    let mut rest = body;
    while let Some((content, after)) = element(rest, name) {
        rest = after;
        for text in texts(content).into_iter().filter(|text| !text.is_empty()) {
            hashes.insert(super::digest(&text));
        }
    }
    if hashes.len() > MOST {
        return "'unsafe-inline'".to_owned();
    }
    let hashes = hashes.iter();
    let hashes = hashes.map(|hash| format!("'sha256-{}'", base64(hash)));
    hashes.collect::<Vec<_>>().join(" ")
}

/// What a browser may take what stands in an element for: with its line ends, and without the marks
/// that it may have in XML.
fn texts(content: &[u8]) -> [Vec<u8>; 2] {
    let without = |text: &[u8], marks: &[&[u8]], with: &[u8]| {
        let mut out = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.first() {
            match marks.iter().find(|mark| rest.starts_with(mark)) {
                Some(mark) => {
                    out.extend_from_slice(with);
                    rest = &rest[mark.len()..];
                }
                None => {
                    out.push(*first);
                    rest = &rest[1..];
                }
            }
        }
        out
    };
    let lines = without(content, &[b"\r\n", b"\r"], b"\n");
    let unmarked = without(&lines, &[b"<![CDATA[", b"]]>"], b"");
    [lines, unmarked]
}

/// What stands in the next element of this name, and what follows.
fn element<'b>(body: &'b [u8], name: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let mut rest = body;
    loop {
        let open = rest.iter().position(|b| *b == b'<')?;
        rest = &rest[open + 1..];
        let (tag, after) = rest.split_at_checked(name.len())?;
        let ends = matches!(
            after.first(),
            Some(b'>' | b'/' | b' ' | b'\t' | b'\n' | b'\r' | b'\x0c')
        );
        if !tag.eq_ignore_ascii_case(name) || !ends {
            continue;
        }
        let content = &after[tag_end(after)?..];
        let end = (0..content.len()).find(|at| {
            let close = content[*at..].strip_prefix(b"</");
            close.is_some_and(|c| {
                c.len() >= name.len() && c[..name.len()].eq_ignore_ascii_case(name)
            })
        })?;
        return Some((&content[..end], &content[end..]));
    }
}

/// The bytes up to the end of a tag, which is not within quotes.
fn tag_end(tag: &[u8]) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in tag.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(*byte),
            (Some(open), byte) if open == *byte => quote = None,
            _ => {}
        }
    }
    None
}

/// Whether there may be an attribute `style`.
fn has_style_attribute(body: &[u8]) -> bool {
    let mut places = body.windows(6).enumerate();
    places.any(|(at, word)| {
        let apart = word[0].is_ascii_whitespace() || matches!(word[0], b'"' | b'\'' | b'/');
        apart
            && word[1..].eq_ignore_ascii_case(b"style")
            && body[at + 6..].trim_ascii_start().starts_with(b"=")
    })
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let index = bits >> (18 - 6 * digit) & 63;
            out.push(match digit > group.len() {
                true => '=',
                false => char::from(DIGITS[index as usize]),
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn what_stands_in_a_page_is_allowed() {
        assert_eq!(of(b"<p>in style, with a script: style</p>"), STRICT);
        assert!(of(b"<p STYLE\n= 'a'>").ends_with("; style-src-attr 'unsafe-inline'"));
        assert_eq!(of(b"<script src=\"/a.js\"></script>"), STRICT);
        // The example of CSP 3: https://www.w3.org/TR/CSP3/#example-f4adfb8e
        let hash = base64(&super::super::digest(b"alert('Hello, world.');"));
        assert_eq!(hash, "qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng=");
        assert_eq!(
            of(b"<SCRIPT type='a>b'>alert('Hello, world.');</Script><script>alert('Hello, world.');</script>"),
            format!("{STRICT}; script-src 'self' 'sha256-{hash}'")
        );
        let policy = of(b"<svg><style>\n.a{}</style><g style='fill:red'/></svg>");
        assert!(policy.contains("; style-src 'self' 'sha256-"), "{policy}");
        assert!(
            policy.ends_with("; style-src-attr 'unsafe-inline'"),
            "{policy}"
        );
        assert!(!policy.contains("script-src"));
    }

    #[test]
    fn as_a_browser_reads_it() {
        let hash = |text: &str| base64(&super::super::digest(text.as_bytes()));
        let policy = of(b"<script>a\r\nb\rc</script>");
        assert!(policy.contains(&hash("a\nb\nc")), "{policy}");
        let policy = of(b"<style><![CDATA[a>b]]></style>");
        assert!(policy.contains(&hash("a>b")), "{policy}");
    }

    #[test]
    fn it_is_bounded() {
        let page = |n: usize| {
            (0..n)
                .map(|i| format!("<style>{i}</style>"))
                .collect::<String>()
        };
        assert_eq!(of(page(MOST).as_bytes()).matches("sha256-").count(), MOST);
        assert!(of(page(MOST + 1).as_bytes()).ends_with("style-src 'self' 'unsafe-inline'"));
    }

    #[test]
    fn half_a_page_is_no_trouble() {
        for page in [
            "<",
            "<script",
            "<script>",
            "<script>a</scrip",
            "<style a='",
            "<styled>a</styled>",
        ] {
            assert_eq!(of(page.as_bytes()), STRICT, "{page}");
        }
        assert!(is_document("text/html; charset=utf-8") && !is_document("text/css"));
    }

    proptest::proptest! {
        #[test]
        fn it_is_a_field_value(page in "(<script|<style|</script>|</style|>|'| style=|\\PC){0,12}") {
            proptest::prop_assert!(of(page.as_bytes()).bytes().all(|b| (b' '..0x7f).contains(&b)));
        }
    }
}
