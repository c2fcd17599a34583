//! The access log: a line for each request, in the combined log format of Apache and nginx.
//!
//! It is log messages of the target `access`, so whoever installs the logger decides whether there
//! is one, and sees to it that writing them waits for nobody. Without it a request costs one
//! comparison more.

use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;

use crate::date;

/// What messages of the access log have as their target.
pub(super) const TARGET: &str = "access";

/// Bytes of a request line, and of each of the two fields, escaped; the rest is not logged.
const LINE: usize = 512;
const FIELD: usize = 240;

/// Bytes of all three, with quotes, spaces, and dots where something is cut off.
const SAID: usize = LINE + 2 * FIELD + 3 * "\"...\" ".len();

/// What is to be said of a request once it is answered.
pub(super) struct Access {
    peer: SocketAddr,
    /// Request line, `Referer` and `User-Agent`, with their quotes.
    said: Said,
}

impl Access {
    /// Whether there is an access log.
    pub(super) fn wanted() -> bool {
        log::log_enabled!(target: TARGET, log::Level::Info)
    }

    /// Notes what the client at `peer` says in `head`, before it is decoded in place.
    #[cold]
    pub(super) fn note(peer: SocketAddr, head: &[u8]) -> Self {
        let mut said = Said::default();
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
        said.quote(referer, FIELD);
        said.quote(agent, FIELD);
        Self { peer, said }
    }

    /// Logs it, with the head that it was answered with. `sent` says whether all of that went out.
    #[cold]
    pub(super) fn log(self, unix: u64, status: u16, head: &[u8], sent: Sent) {
        let at = Time(unix);
        let Self { peer, said } = self;
        let (request, rest) = said.parts();
        let length = match sent {
            Sent::All => length(head),
            Sent::Nothing => b"0",
            Sent::Part => b"-",
        };
        let length = length.escape_ascii();
        log::info!(target: TARGET, "{} - - [{at}] {request} {status} {length}{rest}", peer.ip().to_canonical());
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

/// Text of bounded length. What memory there is none for is left away.
#[derive(Default)]
struct Said {
    text: Vec<u8>,
    /// Where the request line ends.
    request: Option<usize>,
}

impl Said {
    /// Appends what a client said, in quotes, at most `most` bytes of it.
    fn quote(&mut self, said: &[u8], most: usize) {
        if self.text.capacity() == 0 {
            let _ = self.text.try_reserve_exact(SAID);
        }
        self.push(if self.request.is_some() {
            b" \""
        } else {
            b"\""
        });
        let said = said.trim_ascii();
        let end = self.text.len() + most;
        // Escaped, so that nobody ends the quotes, or does worse to a terminal.
        for byte in said {
            let escaped = byte.escape_ascii();
            if self.text.len() + escaped.len() > end {
                self.push(b"...");
                break;
            }
            escaped.for_each(|byte| self.push(&[byte]));
        }
        self.push(if said.is_empty() { b"-\"" } else { b"\"" });
        self.request.get_or_insert(self.text.len());
    }

    /// Appends what there is room for: all, or nothing if there is no memory.
    fn push(&mut self, bytes: &[u8]) {
        if bytes.len() <= self.text.capacity() - self.text.len() {
            self.text.extend_from_slice(bytes);
        }
    }

    /// The request line, and what is behind it.
    fn parts(&self) -> (&str, &str) {
        let at = self.request.unwrap_or_default();
        let (request, rest) = self.text.split_at_checked(at).unwrap_or_default();
        // All of it is ASCII.
        let text = |bytes| core::str::from_utf8(bytes).unwrap_or_default();
        (text(request), text(rest))
    }
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
        let (request, rest) = access.said.parts();
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
            assert!(line.len() <= SAID + 1, "{}", line.len());
            let quotes = line.replace("\\\"", "").matches('"').count();
            let dots = line.matches("...\"").count();
            assert_eq!((quotes, dots), (6, 3), "{line}");
        }
    }
}
