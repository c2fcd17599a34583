//! The head of a request: what the service wants to know of it.
//!
//! What comes in here is whatever someone sent. What two programs could read in two ways is
//! refused, and the connection with it: lengths that contradict each other, a transfer coding that
//! we do not undo, more than one host (RFC 9112, 6.3 and 11.2).

use core::mem::MaybeUninit;

use super::canned::{self, Canned};
use super::target::is_authority;
use super::{Limits, Span};
use crate::encoding::{Accept, Named};

/// The head of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: Method,
    /// The target as it was sent.
    pub(super) target: Span,
    /// Bytes of the head, the empty line included.
    pub(super) len: usize,
    /// Bytes of the body, which nobody wants.
    pub(super) body: u64,
    pub(super) persist: Persist,
    pub(super) accept: Accept,
    pub(super) conditions: Conditions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    /// Known, and not for what a site has.
    NotAllowed,
    Unknown,
}

/// What becomes of the connection after the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Persist {
    /// It stays, as is the custom.
    Keep,
    /// It stays, and an old client wants to be told.
    KeepAlive,
    Close,
}

/// The conditions of RFC 9110, section 13.1, and the range that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Conditions {
    pub(super) matches: Tags,
    pub(super) none_match: Tags,
    pub(super) modified_since: Once,
    pub(super) unmodified_since: Once,
    pub(super) range: Once,
    pub(super) if_range: Once,
}

/// A field that may stand in a request once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Once {
    #[default]
    Absent,
    /// This is its value.
    One(Span),
    /// It stands there twice.
    Unclear,
}

/// The values of all fields of one name that lists entity tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tags {
    /// At most so many fields are looked at. A client that sends more is sent the page.
    values: [Span; 3],
    count: u8,
}

/// What bytes come to.
#[derive(Debug)]
pub(super) enum Parsed {
    /// A whole head.
    Request(Request),
    /// The beginning of one.
    Partial,
    /// None. The connection is of no more use after this answer.
    Refused(&'static Canned),
}

/// Room for headers on the stack; [`Limits::headers`] is at most this.
pub(super) const MAX_HEADERS: usize = 100;

/// Reads the head at the beginning of `bytes`.
pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Parsed {
    let mut room = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let room = &mut room[..limits.headers.min(MAX_HEADERS)];
    let mut raw = httparse::Request::new(&mut []);
    let len = match raw.parse_with_uninit_headers(bytes, room) {
        Ok(httparse::Status::Complete(len)) if len <= limits.head => len,
        Ok(httparse::Status::Partial) if bytes.len() < limits.head => return Parsed::Partial,
        Ok(_) => return Parsed::Refused(too_long(bytes)),
        Err(httparse::Error::TooManyHeaders) => return Parsed::Refused(&canned::HEADERS_TOO_LARGE),
        Err(httparse::Error::Version) if other_version(bytes) => {
            return Parsed::Refused(&canned::VERSION);
        }
        Err(_) => return Parsed::Refused(&canned::BAD_REQUEST),
    };
    let (Some(method), Some(target), Some(version)) = (raw.method, raw.path, raw.version) else {
        return Parsed::Refused(&canned::BAD_REQUEST);
    };
    if target.len() > limits.target {
        return Parsed::Refused(&canned::URI_TOO_LONG);
    }
    let mut fields = Fields {
        old: version == 0,
        ..Fields::default()
    };
    for header in raw.headers.iter() {
        if let Err(refusal) = fields.take(bytes, header) {
            return Parsed::Refused(refusal);
        }
    }
    match fields.finish() {
        Ok((body, persist)) => Parsed::Request(Request {
            method: Method::of(method.as_bytes()),
            target: Span::within(bytes, target.as_bytes()),
            len,
            body,
            persist,
            accept: fields
                .encodings
                .map_or(Accept::IDENTITY, |named| named.accept()),
            conditions: fields.conditions,
        }),
        Err(refusal) => Parsed::Refused(refusal),
    }
}

impl Method {
    fn of(name: &[u8]) -> Self {
        match name {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" | b"PUT" | b"DELETE" | b"OPTIONS" | b"PATCH" | b"TRACE" | b"CONNECT" => {
                Self::NotAllowed
            }
            _ => Self::Unknown,
        }
    }
}

impl Tags {
    /// The values, as they stand in `head`.
    pub(super) fn of(self, head: &[u8]) -> impl Iterator<Item = &[u8]> {
        let count = usize::from(self.count);
        self.values
            .into_iter()
            .take(count)
            .map(|span| &head[span.range()])
    }

    pub(super) fn is_empty(self) -> bool {
        self.count == 0
    }

    fn push(&mut self, value: Span) {
        if let Some(free) = self.values.get_mut(usize::from(self.count)) {
            *free = value;
            self.count += 1;
        }
    }
}

impl Once {
    /// The value, as it stands in `head`, if there is one.
    pub(super) fn of(self, head: &[u8]) -> Option<&[u8]> {
        match self {
            Self::One(value) => Some(&head[value.range()]),
            Self::Absent | Self::Unclear => None,
        }
    }

    fn take(&mut self, value: Span) {
        *self = match self {
            Self::Absent => Self::One(value),
            Self::One(_) | Self::Unclear => Self::Unclear,
        };
    }
}

/// What the header fields come to, one after the other.
#[derive(Default)]
struct Fields {
    /// HTTP/1.0.
    old: bool,
    host: bool,
    length: Option<u64>,
    transfer_coding: bool,
    expects: bool,
    close: bool,
    keep_alive: bool,
    encodings: Option<Named>,
    conditions: Conditions,
}

impl Fields {
    fn take(&mut self, bytes: &[u8], header: &httparse::Header<'_>) -> Result<(), &'static Canned> {
        let value = header.value;
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        // By length first: most fields are none of ours, and this passes over them.
        match header.name.len() {
            4 if is("host") => {
                if self.host || !is_authority(value) {
                    return Err(&canned::BAD_REQUEST);
                }
                self.host = true;
            }
            5 if is("range") => {
                self.conditions.range.take(Span::within(bytes, value));
            }
            6 if is("expect") => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(&canned::EXPECTATION_FAILED);
                }
                self.expects = true;
            }
            8 if is("if-match") => {
                self.conditions.matches.push(Span::within(bytes, value));
            }
            8 if is("if-range") => {
                self.conditions.if_range.take(Span::within(bytes, value));
            }
            10 if is("connection") => {
                for option in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            13 if is("if-none-match") => {
                self.conditions.none_match.push(Span::within(bytes, value));
            }
            14 if is("content-length") => {
                let length = length(value).filter(|_| self.length.is_none());
                self.length = Some(length.ok_or(&canned::BAD_REQUEST)?);
            }
            15 if is("accept-encoding") => {
                self.encodings.get_or_insert_default().add(value);
            }
            17 if is("if-modified-since") => {
                let value = Span::within(bytes, value);
                self.conditions.modified_since.take(value);
            }
            17 if is("transfer-encoding") => self.transfer_coding = true,
            19 if is("if-unmodified-since") => {
                let value = Span::within(bytes, value);
                self.conditions.unmodified_since.take(value);
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&self) -> Result<(u64, Persist), &'static Canned> {
        if self.transfer_coding {
            let ambiguous = self.old || self.length.is_some();
            return Err(if ambiguous {
                &canned::BAD_REQUEST
            } else {
                &canned::NOT_IMPLEMENTED
            });
        }
        if !self.old && !self.host {
            return Err(&canned::BAD_REQUEST);
        }
        let body = self.length.unwrap_or(0);
        // Whoever waits for a "100 Continue" gets the answer instead, and may or may not send the
        // body then: nobody can tell what the next bytes are.
        let unclear = self.expects && body > 0;
        let persist = if self.close || unclear || (self.old && !self.keep_alive) {
            Persist::Close
        } else if self.old {
            Persist::KeepAlive
        } else {
            Persist::Keep
        };
        Ok((body, persist))
    }
}

/// A `Content-Length`: digits and nothing else.
pub(super) fn length(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.len() <= 18 && value.iter().all(u8::is_ascii_digit);
    let number = |n, digit: &u8| n * 10 + u64::from(digit - b'0');
    digits.then(|| value.iter().fold(0, number))
}

/// What to say of a head that is longer than allowed: it depends on which part of it is.
fn too_long(bytes: &[u8]) -> &'static Canned {
    let start = bytes
        .iter()
        .position(|b| !matches!(b, b'\r' | b'\n'))
        .unwrap_or(0);
    match memchr::memchr(b'\n', &bytes[start..]) {
        Some(_) => &canned::HEADERS_TOO_LARGE,
        None => &canned::URI_TOO_LONG,
    }
}

/// Whether the request line names a version of HTTP that we do not speak.
fn other_version(bytes: &[u8]) -> bool {
    let start = bytes
        .iter()
        .position(|b| !matches!(b, b'\r' | b'\n'))
        .unwrap_or(0);
    let line = bytes[start..]
        .split(|b| *b == b'\n')
        .next()
        .unwrap_or_default();
    let version = line
        .trim_ascii_end()
        .rsplit(|b| *b == b' ')
        .next()
        .unwrap_or_default();
    matches!(version, [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', ..])
}
