//! The access log: a line for each request, in the combined log format of Apache and nginx.
//!
//! It is log messages of the target `access`, so whoever installs the logger decides whether there
//! is one, and sees to it that writing them waits for nobody. Without it a request costs one
//! comparison more.

use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::net::SocketAddr;

use crate::date;

/// What messages of the access log have as their target.
pub(super) const TARGET: &str = "access";

/// Bytes of a request line, and of each of the two fields, escaped; the rest is not logged.
const LINE: usize = 512;
const FIELD: usize = 240;

/// The most bytes of an IPv6 address.
const PEER: usize = 39;

/// Bytes of it all, with quotes, spaces, and dots where something is cut off.
const SAID: usize = PEER + LINE + 2 * FIELD + 3 * "\"...\"".len() + "\n\n  ".len();

/// What is to be said of a request once it is answered. Every connection has room for one, so it is
/// on the heap, and bounded: what there is no memory for is left away.
///
/// Three lines: who it was; the request line; `Referer` and `User-Agent`. They are escaped, so that
/// there is no other line in them.
pub(super) struct Access(Vec<u8>);

impl Access {
    /// Whether there is an access log.
    pub(super) fn wanted() -> bool {
        log::log_enabled!(target: TARGET, log::Level::Info)
    }

    /// Notes what the client at `peer` says in `head`, before it is decoded in place.
    #[cold]
    pub(super) fn note(peer: SocketAddr, head: &[u8]) -> Self {
        let mut said = Self(Vec::new());
        let _ = said.0.try_reserve_exact(SAID);
        // What is not written has no room.
        let _ = write!(said, "{}", peer.ip().to_canonical());
        said.push(b"\n");
        let mut lines = head.trim_ascii_start().split(|b| *b == b'\n');
        said.quote(lines.next().unwrap_or_default(), LINE);
        let [mut referer, mut agent] = [b"".as_slice(); 2];
        for line in lines {
            let Some(colon) = line.iter().position(|b| *b == b':') else {
                continue;
            };
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            if name.eq_ignore_ascii_case(b"referer") {
                referer = value;
            } else if name.eq_ignore_ascii_case(b"user-agent") {
                agent = value;
            }
        }
        said.push(b"\n ");
        said.quote(referer, FIELD);
        said.push(b" ");
        said.quote(agent, FIELD);
        said
    }

    /// Logs it, with the head that it was answered with. `sent` says whether all of that went out.
    #[cold]
    pub(super) fn log(self, unix: u64, status: u16, head: &[u8], sent: Sent) {
        let at = Time(unix);
        let [peer, request, rest] = self.parts();
        let length = match sent {
            Sent::All => length(head),
            Sent::Nothing => b"0",
            Sent::Part => b"-",
        };
        let length = length.escape_ascii();
        log::info!(target: TARGET, "{peer} - - [{at}] {request} {status} {length}{rest}");
    }

    /// Appends what a client said, in quotes, at most `most` bytes of it.
    fn quote(&mut self, said: &[u8], most: usize) {
        self.push(b"\"");
        let said = said.trim_ascii();
        let end = self.0.len() + most;
        // Escaped, so that nobody ends the quotes, or does worse to a terminal.
        for byte in said {
            let escaped = byte.escape_ascii();
            if self.0.len() + escaped.len() > end {
                self.push(b"...");
                break;
            }
            escaped.for_each(|byte| self.push(&[byte]));
        }
        self.push(if said.is_empty() { b"-\"" } else { b"\"" });
    }

    /// Appends what there is room for: all, or nothing if there is no memory.
    fn push(&mut self, bytes: &[u8]) {
        if bytes.len() <= self.0.capacity() - self.0.len() {
            self.0.extend_from_slice(bytes);
        }
    }

    fn parts(&self) -> [&str; 3] {
        // All of it is ASCII.
        let text = core::str::from_utf8(&self.0).unwrap_or_default();
        let mut lines = text.splitn(3, '\n');
        [(); 3].map(|()| lines.next().unwrap_or_default())
    }
}

impl fmt::Write for Access {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

/// How much of a body went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    All,
    /// There was none to send.
    Nothing,
    /// The connection broke.
    Part,
}

/// The value of Content-Length.
fn length(head: &[u8]) -> &[u8] {
    const NAME: &[u8] = b"content-length:";
    let mut lines = head.split(|b| *b == b'\n');
    let value = lines.find_map(|line| {
        let (name, value) = line.split_at_checked(NAME.len())?;
        name.eq_ignore_ascii_case(NAME).then(|| value.trim_ascii())
    });
    value.unwrap_or(b"0")
}

/// A time as `10/Oct/2000:13:55:36 +0000`.
struct Time(u64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `Tue, 10 Oct 2000 13:55:36 GMT`
        let date = date::imf_fixdate(self.0);
        let part = |from, to| core::str::from_utf8(&date[from..to]).unwrap_or_default();
        let (day, month, year, time) = (part(5, 7), part(8, 11), part(12, 16), part(17, 25));
        write!(f, "{day}/{month}/{year}:{time} +0000")
    }
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};

    use super::*;

    fn said(head: &[u8]) -> String {
        let access = Access::note("10.0.0.1:5".parse().unwrap(), head);
        let [peer, request, rest] = access.parts();
        assert_eq!(peer, "10.0.0.1");
        std::format!("{request} |{rest}")
    }

    #[test]
    fn the_combined_log_format() {
        assert_eq!(Time(971_186_136).to_string(), "10/Oct/2000:13:55:36 +0000");
        assert_eq!(
            said(b"\r\nGET /a%20b?c HTTP/1.1\r\nHost: x\r\nuser-agent: curl/8\r\nREFERER:  http://y/\r\n\r\n"),
            r#""GET /a%20b?c HTTP/1.1" | "http://y/" "curl/8""#
        );
        assert_eq!(said(b"GET / HTTP/1.0\n\n"), r#""GET / HTTP/1.0" | "-" "-""#);
        assert_eq!(said(b""), r#""-" | "-" "-""#);
        assert_eq!(
            length(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nA: b\r\n"),
            b"12"
        );
        assert_eq!(length(b"HTTP/1.1 304 Not Modified\r\n"), b"0");
    }

    #[test]
    fn nobody_writes_his_own_line() {
        assert_eq!(
            said(b"GET /\"\x1b[2J\xff HTTP/1.1\r\nUser-Agent: \"\r\\\r\n\r\n"),
            r#""GET /\"\x1b[2J\xff HTTP/1.1" | "-" "\"\r\\""#
        );
    }

    /// However long what he sends is, each part has its quotes.
    #[test]
    fn long_words_are_cut() {
        for byte in [b'a', b'"', 0xff] {
            let long = std::vec![byte; 5000];
            let head = [
                b"GET /",
                &long[..],
                b" HTTP/1.1\r\nUser-Agent: ",
                &long,
                b"\r\nReferer: ",
                &long,
            ];
            let line = said(&head.concat());
            assert!(line.len() <= SAID, "{}", line.len());
            let quotes = line.replace("\\\"", "").matches('"').count();
            let dots = line.matches("...\"").count();
            assert_eq!((quotes, dots), (6, 3), "{line}");
        }
    }
}
