//! Answers of which a client wants some bytes: 206 and 416 (RFC 9110, 15.3.7 and 15.5.17).
//!
//! Their heads are the head of the whole with other lines where it is about the length. The bytes
//! stay where the store has them.

use alloc::boxed::Box;

use twox_hash::XxHash3_64;

use super::composed::{Composed, Composer};
use super::ranges::{Part, Wanted, wanted};
use super::request::length;
use crate::pack::is_name;

const UNSATISFIABLE: &[u8] = b"range not satisfiable\n";
const UNSATISFIABLE_HEAD: &[u8] = b"HTTP/1.1 416 Range Not Satisfiable\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Length: 22\r\nCache-Control: no-store\r\n\
    Content-Range: bytes */";

/// Digits of the line that stands between parts.
const BOUNDARY: u32 = 16;

/// What answers for `range`, the value of a field `Range`, in the place of an answer with this
/// head; nothing if all of it is to be sent.
#[cold]
pub(super) fn partial(head: &[u8], etag: &[u8], range: &[u8]) -> Option<Box<[Composed; 1]>> {
    let length = length(field(head, b"content-length")?)?;
    match wanted(range, length) {
        Wanted::All => None,
        Wanted::Nothing => nothing(length),
        Wanted::Parts(parts) => match parts.as_slice() {
            [part] => one(head, length, *part),
            parts => many(head, etag, length, parts),
        },
    }
}

fn nothing(length: u64) -> Option<Box<[Composed; 1]>> {
    let mut made = Composer::new(416);
    made.push(UNSATISFIABLE_HEAD);
    made.number(length);
    made.push(b"\r\n");
    made.end_head();
    made.push(UNSATISFIABLE);
    made.done()
}

fn one(head: &[u8], length: u64, part: Part) -> Option<Box<[Composed; 1]>> {
    let mut made = begin(head, &[b"content-length"]);
    content_range(&mut made, part, length);
    content_length(&mut made, part.len());
    made.end_head();
    made.part(part);
    made.done()
}

/// Several, as `multipart/byteranges` (14.6).
fn many(head: &[u8], etag: &[u8], length: u64, parts: &[Part]) -> Option<Box<[Composed; 1]>> {
    // The tag is a hash of the content: no content has its own in it but on purpose.
    let boundary = XxHash3_64::oneshot(etag);
    let media_type = field(head, b"content-type").unwrap_or_default();
    // The length is that of all that follows, which is made first to know it.
    let mut leads = Composer::new(206);
    leads.end_head();
    let mut bytes = 0;
    for part in parts {
        delimiter(&mut leads, boundary);
        leads.push(b"\r\n");
        line(&mut leads, b"Content-Type", media_type);
        content_range(&mut leads, *part, length);
        leads.push(b"\r\n");
        leads.part(*part);
        bytes += part.len();
    }
    delimiter(&mut leads, boundary);
    leads.push(b"--\r\n");
    let leads = leads.done()?;
    let texts = (0..=parts.len()).map(|at| leads[0].lead(at));
    let text: usize = texts.clone().map(<[u8]>::len).sum();
    let mut made = begin(head, &[b"content-length", b"content-type"]);
    made.push(b"Content-Type: multipart/byteranges; boundary=");
    made.hex(boundary, BOUNDARY);
    made.push(b"\r\n");
    content_length(&mut made, bytes + text as u64);
    made.end_head();
    for (at, text) in texts.enumerate() {
        made.push(text);
        if let Some(part) = parts.get(at) {
            made.part(*part);
        }
    }
    made.done()
}

fn delimiter(made: &mut Composer, boundary: u64) {
    made.push(b"\r\n--");
    made.hex(boundary, BOUNDARY);
}

/// The status line, and all lines of the head of the whole but for some.
fn begin(head: &[u8], but: &[&[u8]]) -> Composer {
    let mut made = Composer::new(206);
    made.push(b"HTTP/1.1 206 Partial Content\r\n");
    for (name, value) in fields(head) {
        if !but.iter().any(|but| is_name(name, but)) {
            line(&mut made, name, value);
        }
    }
    made
}

#[inline(never)]
fn line(made: &mut Composer, name: &[u8], value: &[u8]) {
    for bytes in [name, b": ", value, b"\r\n"] {
        made.push(bytes);
    }
}

#[inline(never)]
fn content_range(made: &mut Composer, part: Part, length: u64) {
    made.push(b"Content-Range: bytes ");
    made.number(part.from);
    made.push(b"-");
    made.number(part.to.saturating_sub(1));
    made.push(b"/");
    made.number(length);
    made.push(b"\r\n");
}

fn content_length(made: &mut Composer, length: u64) {
    made.push(b"Content-Length: ");
    made.number(length);
    made.push(b"\r\n");
}

#[inline(never)]
fn field<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut fields = fields(head);
    let found = fields.find(|(n, _)| is_name(n, name));
    found.map(|(_, value)| value)
}

/// The header lines of a head: names and values.
fn fields(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = head;
    // The status line is none.
    let _ = next_line(&mut rest);
    core::iter::from_fn(move || next_field(&mut rest))
}

#[inline(never)]
fn next_field<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let line = next_line(rest)?;
    let colon = memchr::memchr(b':', line)?;
    Some((&line[..colon], line[colon + 1..].trim_ascii()))
}

fn next_line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = memchr::memchr(b'\n', rest)?;
    let (line, after) = rest.split_at(end + 1);
    *rest = after;
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\ncontent-length: 100\r\n\
                          ETag: \"x\"\r\nCache-Control: no-cache\r\n";

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    #[test]
    fn one_part() {
        let made = partial(HEAD, b"\"x\"", b"bytes=10-19").unwrap();
        assert_eq!(
            text(made[0].head()),
            "HTTP/1.1 206 Partial Content\r\nContent-Type: text/plain\r\nETag: \"x\"\r\n\
             Cache-Control: no-cache\r\nContent-Range: bytes 10-19/100\r\nContent-Length: 10\r\n"
        );
        assert_eq!(made[0].part(0), Some(Part { from: 10, to: 20 }));
        assert_eq!(
            (made[0].lead(0), made[0].lead(1), made[0].part(1)),
            (&b""[..], &b""[..], None)
        );
    }

    #[test]
    fn two_parts() {
        let made = partial(HEAD, b"\"x\"", b"bytes=0-0,-1").unwrap();
        let head = text(made[0].head());
        let boundary = head.split("boundary=").nth(1).unwrap();
        let boundary = boundary.split("\r\n").next().unwrap();
        assert_eq!(boundary.len(), 16);
        let lead = |range: &str| {
            std::format!(
                "\r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes {range}/100\r\n\r\n"
            )
        };
        let end = std::format!("\r\n--{boundary}--\r\n");
        let leads = [0, 1, 2].map(|at| text(made[0].lead(at)));
        assert_eq!(leads, [lead("0-0"), lead("99-99"), end.clone()]);
        let length = 2 + lead("0-0").len() + lead("99-99").len() + end.len();
        assert_eq!(
            head,
            std::format!(
                "HTTP/1.1 206 Partial Content\r\nETag: \"x\"\r\nCache-Control: no-cache\r\n\
                 Content-Type: multipart/byteranges; boundary={boundary}\r\nContent-Length: {length}\r\n"
            )
        );
    }

    #[test]
    fn no_part() {
        let made = partial(HEAD, b"\"x\"", b"bytes=100-").unwrap();
        assert_eq!((made[0].status, made[0].part(0)), (416, None));
        assert!(text(made[0].head()).contains("\r\nContent-Range: bytes */100\r\n"));
        assert_eq!(made[0].lead(0), UNSATISFIABLE);
        assert!(partial(HEAD, b"\"x\"", b"bytes=x").is_none());
        assert!(partial(b"HTTP/1.1 200 OK\r\n", b"", b"bytes=0-").is_none());
    }
}
