//! Response heads as the pack keeps them: how they are made, and what is asked of them.
//!
//! A head is the status line and the header lines, each with its line end; `Date`, `Connection`
//! and the empty line come when it is sent.

use alloc::format;
use alloc::vec::Vec;

use crate::date::imf_fixdate;
use crate::encoding::Encoding;

/// What a head says.
pub(crate) struct Head<'a> {
    pub(crate) status: u16,
    pub(crate) media_type: &'a str,
    pub(crate) length: usize,
    pub(crate) etag: &'a str,
    pub(crate) modified: Option<u64>,
    pub(crate) encoding: Encoding,
    /// Whether there are other encodings.
    pub(crate) varies: bool,
    pub(crate) location: &'a str,
    /// More header fields: names and values.
    pub(crate) extra: &'a [(&'a str, &'a str)],
}

impl Head<'_> {
    /// The head of a response that carries the body.
    pub(crate) fn full(&self) -> Vec<u8> {
        let mut out = status_line(self.status).to_vec();
        if !self.location.is_empty() {
            line(&mut out, "Location", self.location);
        }
        if !self.media_type.is_empty() {
            line(&mut out, "Content-Type", self.media_type);
        }
        line(&mut out, "Content-Length", &format!("{}", self.length));
        if self.encoding != Encoding::Identity {
            line(&mut out, "Content-Encoding", self.encoding.name());
        }
        self.validators(&mut out);
        if let Some(at) = self.modified {
            out.extend_from_slice(b"Last-Modified: ");
            out.extend_from_slice(&imf_fixdate(at));
            out.extend_from_slice(b"\r\n");
        }
        if self.status == 200 {
            line(&mut out, "Accept-Ranges", "bytes");
        }
        for (name, value) in self.extra {
            line(&mut out, name, value);
        }
        out
    }

    /// The head of a 304 (RFC 9110, 15.4.5).
    pub(crate) fn not_modified(&self) -> Vec<u8> {
        let mut out = status_line(304).to_vec();
        self.validators(&mut out);
        for (name, value) in self.extra {
            if is_for_caches(name) {
                line(&mut out, name, value);
            }
        }
        out
    }

    fn validators(&self, out: &mut Vec<u8>) {
        if !self.etag.is_empty() {
            line(out, "ETag", self.etag);
        }
        if self.varies {
            line(out, "Vary", "Accept-Encoding");
        }
    }
}

/// Whether a 304 says it, too.
fn is_for_caches(name: &str) -> bool {
    let names = ["Cache-Control", "Content-Location", "Expires"];
    let mut names = names.iter();
    names.any(|known| is_name(name.as_bytes(), known.as_bytes()))
}

/// Whether two field names are the same. Out of line, since it takes room wherever it is.
#[inline(never)]
pub(crate) fn is_name(one: &[u8], other: &[u8]) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// The status line of a status that a pack, or what answers in its place, may have.
fn status_line(status: u16) -> &'static [u8] {
    match status {
        200 => b"HTTP/1.1 200 OK\r\n",
        301 => b"HTTP/1.1 301 Moved Permanently\r\n",
        302 => b"HTTP/1.1 302 Found\r\n",
        304 => b"HTTP/1.1 304 Not Modified\r\n",
        307 => b"HTTP/1.1 307 Temporary Redirect\r\n",
        308 => b"HTTP/1.1 308 Permanent Redirect\r\n",
        410 => b"HTTP/1.1 410 Gone\r\n",
        500 => b"HTTP/1.1 500 Internal Server Error\r\n",
        _ => b"HTTP/1.1 404 Not Found\r\n",
    }
}

#[inline(never)]
fn line(out: &mut Vec<u8>, name: &str, value: &str) {
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Whether a site may add this field: a well-formed one that the pack or the connection does not
/// set itself.
pub fn may_add(name: &str, value: &str) -> bool {
    let ours = [
        "Accept-Ranges",
        "Connection",
        "Content-Encoding",
        "Content-Length",
        "Content-Range",
        "Content-Type",
        "Date",
        "ETag",
        "Keep-Alive",
        "Last-Modified",
        "Location",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Vary",
    ];
    is_token(name.as_bytes())
        && is_value(value.as_bytes())
        && !ours.iter().any(|o| name.eq_ignore_ascii_case(o))
}

/// Whether these bytes are a token (RFC 9110, 5.6.2).
pub(super) fn is_token(bytes: &[u8]) -> bool {
    let is = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    !bytes.is_empty() && bytes.iter().all(is)
}

/// Whether these bytes are a field value, without white space around it and without control
/// characters, so that it cannot end its line.
pub(super) fn is_value(bytes: &[u8]) -> bool {
    bytes.trim_ascii().len() == bytes.len()
        && bytes.iter().all(|b| !b.is_ascii_control() || *b == b'\t')
}

/// Whether this is a strong entity tag (RFC 9110, 8.8.3).
pub(super) fn is_etag(bytes: &[u8]) -> bool {
    let [b'"', inner @ .., b'"'] = bytes else {
        return false;
    };
    inner.iter().all(|b| *b > b' ' && *b != b'"' && *b != 0x7f)
}

/// Whether these are the decimal digits of `n`.
fn is_decimal(digits: &[u8], mut n: usize) -> bool {
    for (left, digit) in digits.iter().enumerate().rev() {
        // No zeros in front, but for zero itself.
        if *digit != b'0' + (n % 10) as u8 || (n == 0 && left + 1 < digits.len()) {
            return false;
        }
        n /= 10;
    }
    n == 0 && !digits.is_empty()
}

/// What [`check`] holds a head against.
pub(super) struct Expected<'a> {
    pub(super) status: u16,
    /// `None`: there must be no `Content-Length`.
    pub(super) length: Option<usize>,
    pub(super) etag: &'a [u8],
    pub(super) encoding: Option<Encoding>,
    pub(super) location: &'a [u8],
}

/// Whether a head is well-formed, says what is expected of it, and leaves to the connection what
/// is the connection's.
pub(super) fn check(head: &[u8], expected: &Expected<'_>) -> bool {
    let start = status_line(expected.status);
    let Some(mut rest) = head.strip_prefix(start) else {
        return false;
    };
    let mut length = None;
    let mut etag = &b""[..];
    let mut encoding = &b"identity"[..];
    let mut location = &b""[..];
    while !rest.is_empty() {
        let Some(end) = memchr::memchr(b'\r', rest) else {
            return false;
        };
        let (line, after) = rest.split_at(end);
        let Some(colon) = memchr::memchr(b':', line) else {
            return false;
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let Some(value) = value.strip_prefix(b" ") else {
            return false;
        };
        if !after.starts_with(b"\r\n") || !is_token(name) || !is_value(value) {
            return false;
        }
        rest = &after[2..];
        let is = |n: &str| name.eq_ignore_ascii_case(n.as_bytes());
        if is("Content-Length") {
            if length.is_some() {
                return false;
            }
            length = Some(value);
        } else if is("ETag") {
            etag = value;
        } else if is("Content-Encoding") {
            encoding = value;
        } else if is("Location") {
            location = value;
        } else if [
            "Date",
            "Connection",
            "Keep-Alive",
            "Transfer-Encoding",
            "Trailer",
            "Upgrade",
        ]
        .into_iter()
        .any(is)
        {
            return false;
        }
    }
    let same_length = match (length, expected.length) {
        (None, None) => true,
        (Some(text), Some(length)) => is_decimal(text, length),
        _ => false,
    };
    let wanted = expected.encoding.unwrap_or(Encoding::Identity).name();
    same_length
        && etag == expected.etag
        && encoding == wanted.as_bytes()
        && location == expected.location
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals() {
        for n in [0, 1, 9, 10, 100, 12345, usize::MAX] {
            assert!(is_decimal(format!("{n}").as_bytes(), n));
            assert!(!is_decimal(format!("0{n}").as_bytes(), n));
            assert!(!is_decimal(format!("{n}0").as_bytes(), n) || n == 0);
            assert!(!is_decimal(format!("+{n}").as_bytes(), n));
        }
        assert!(!is_decimal(b"00", 0));
        assert!(!is_decimal(b"", 0));
        assert!(!is_decimal(b"12", 2));
    }
}
