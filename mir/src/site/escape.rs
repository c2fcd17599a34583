//! Escapes for URLs and HTML attributes.

use std::borrow::Cow;
use std::fmt::Write;

/// Percent-encodes what may not stand in a URL's path or fragment.
pub(crate) fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(byte as char),
            b'/' | b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*'
            | b'+' | b',' | b';' | b'=' | b':' | b'@' => out.push(byte as char),
            _ => write!(out, "%{byte:02X}").unwrap_or_default(),
        }
    }
    out
}

/// Undoes [`percent`]; `None` if the result is not UTF-8. A `%` that begins no code stays.
pub(crate) fn unpercent(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let code = (byte == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| Some(hex(digits[0])? << 4 | hex(digits[1])?));
        out.push(code.unwrap_or(byte));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out).ok()
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

/// Percent-encodes what is not ASCII, and space, in an address that is one already.
pub(crate) fn ascii(url: &str) -> String {
    let mut out = String::with_capacity(url.len());
    for byte in url.bytes() {
        match byte.is_ascii_graphic() {
            true => out.push(byte as char),
            false => write!(out, "%{byte:02X}").unwrap_or_default(),
        }
    }
    out
}

/// Escapes text for HTML and XML, also within an attribute's quotes. What neither may hold, such as
/// most control characters, is left out.
pub(crate) fn html(text: &str) -> String {
    let odd = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
    let odd = |c: char| odd(c) || matches!(c, '\u{fffe}' | '\u{ffff}');
    let text: Cow<'_, str> = match text.contains(odd) {
        true => text.chars().filter(|&c| !odd(c)).collect::<String>().into(),
        false => text.into(),
    };
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for text in ["/a b/ü?#%\"", "/plain-._~", "", "/%41"] {
            assert_eq!(unpercent(&percent(text)).as_deref(), Some(text));
        }
        assert_eq!(percent("/a b"), "/a%20b");
        assert_eq!(unpercent("%"), Some("%".to_owned()));
        assert_eq!(unpercent("%4"), Some("%4".to_owned()));
        assert_eq!(unpercent("%ff"), None);
    }
}
