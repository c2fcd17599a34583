//! What a request is answered with, before anything is said.

use alloc::boxed::Box;

use super::canned::{self, Canned};
use super::composed::Composed;
use super::conditions::{self, Outcome};
use super::input::Input;
use super::moved::{self, Kind, Spelling};
use super::partial::partial;
use super::request::{Method, Once, Request};
use super::target::{path_and_query, to_path};
use super::{Service, Span};
use crate::encoding::Accept;
use crate::seam::{Clock, Conn};
use crate::store::{Answer, Lookup, Store, StoreError};

/// What a request is answered with.
pub(super) enum Plan<A> {
    Canned(&'static Canned),
    Page(A),
    NotModified(A),
    /// Parts of the body, of which there is one at least.
    Part(A, Box<[Composed; 1]>),
    /// What is not of the store.
    Composed(Box<[Composed; 1]>),
}

impl<A: Answer> Plan<A> {
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Canned(canned) => canned.status,
            Self::Page(answer) => answer.status(),
            Self::NotModified(_) => 304,
            Self::Part(_, made) | Self::Composed(made) => made[0].status,
        }
    }

    pub(super) fn head(&self) -> &[u8] {
        match self {
            Self::Canned(canned) => canned.head.as_bytes(),
            Self::Page(answer) => answer.head(),
            // It has no body, and no length of one.
            Self::NotModified(_) => b"",
            Self::Part(_, made) | Self::Composed(made) => made[0].head(),
        }
    }

    /// Head and body of what is there at once; of what comes from the store, the head.
    pub(super) fn at_once(&self) -> (&[u8], &[u8]) {
        match self {
            Self::Canned(canned) => (canned.head.as_bytes(), canned.body.as_bytes()),
            Self::NotModified(answer) => (answer.not_modified(), b""),
            Self::Composed(made) => (made[0].head(), made[0].lead(0)),
            Self::Page(_) | Self::Part(..) => (self.head(), b""),
        }
    }

    /// Whose bytes are sent.
    pub(super) fn body(&mut self) -> Option<&mut A> {
        match self {
            Self::Page(answer) | Self::Part(answer, _) => Some(answer),
            Self::Canned(_) | Self::NotModified(_) | Self::Composed(_) => None,
        }
    }
}

impl<S: Store, T: Clock> Service<S, T> {
    pub(super) async fn plan<C: Conn>(
        &self,
        conn: &mut C,
        input: &mut Input,
        request: &Request,
    ) -> Plan<S::Answer<'_>> {
        if let Some(url) = &self.moved_to {
            return all_moved(url, input.bytes(), request);
        }
        match request.method {
            Method::Get | Method::Head => {}
            Method::NotAllowed => return Plan::Canned(&canned::METHOD_NOT_ALLOWED),
            Method::Unknown => return Plan::Canned(&canned::NOT_IMPLEMENTED),
        }
        let Some(span) = to_path(input.bytes_mut(), request.target) else {
            return Plan::Canned(&canned::BAD_REQUEST);
        };
        let head = input.bytes();
        let path: &[u8] = &head[Span::range(span)];
        if path == b"/healthz" {
            return Plan::Canned(&canned::HEALTHY);
        }
        let mut spelling = Spelling::AsSent;
        let answer = loop {
            let asked = match &spelling {
                Spelling::AsSent => path,
                Spelling::Address => moved::address(path).unwrap_or(path),
                Spelling::Index(index) => index,
            };
            let found = self.timed(conn, self.store.find(asked, request.accept));
            match found.await {
                Ok(Lookup::Found(answer)) if spelling.is_as_sent() => break answer,
                // That leads elsewhere itself, or is gone.
                Ok(Lookup::Found(answer)) if answer.status() != 200 => return Plan::Page(answer),
                Ok(Lookup::Found(_) | Lookup::NotAcceptable) if !spelling.is_as_sent() => {
                    let rest = &head[span.range().end..request.target.range().end];
                    return moved_to(asked, rest);
                }
                Ok(Lookup::Found(_) | Lookup::NotAcceptable) => {
                    return Plan::Canned(&canned::NOT_ACCEPTABLE);
                }
                Err(error) => return Plan::Canned(failed(error)),
                Ok(Lookup::Missing) => {}
            }
            spelling = match spelling.next(path) {
                Some(next) => next,
                None => return self.missing(conn, request.accept).await,
            };
        };
        if answer.status() != 200 {
            return Plan::Page(answer);
        }
        let conditions = &request.conditions;
        let (etag, modified, now) = (answer.etag(), answer.modified(), self.tails.second());
        match conditions::evaluate(conditions, head, etag, modified, now) {
            Outcome::Proceed if conditions.range != Once::Absent => {
                self.part_of(answer, head, request)
            }
            Outcome::Proceed => Plan::Page(answer),
            Outcome::NotModified => Plan::NotModified(answer),
            Outcome::Failed => Plan::Canned(&canned::PRECONDITION_FAILED),
        }
    }

    /// What is asked for of an answer. `Range` is for GET alone (RFC 9110, 14.2).
    #[cold]
    fn part_of<A: Answer>(&self, mut answer: A, head: &[u8], request: &Request) -> Plan<A> {
        let (conditions, now) = (&request.conditions, self.tails.second());
        let range = conditions::range(conditions, head, answer.etag(), answer.modified(), now);
        let range = range.filter(|_| request.method == Method::Get);
        match range.and_then(|range| partial(answer.head(), answer.etag(), range)) {
            None => Plan::Page(answer),
            Some(made) => match made[0].part(0) {
                None => Plan::Composed(made),
                Some(part) => {
                    answer.select(part.from, part.to);
                    Plan::Part(answer, made)
                }
            },
        }
    }

    async fn missing<C: Conn>(&self, conn: &mut C, accept: Accept) -> Plan<S::Answer<'_>> {
        match self.timed(conn, self.store.not_found(accept)).await {
            Ok(Lookup::Found(page)) => Plan::Page(page),
            _ => Plan::Canned(&canned::NOT_FOUND),
        }
    }
}

/// What answers for a path that is to be spelled `path`. `rest` is what the target has behind its own.
#[cold]
fn moved_to<A>(path: &[u8], rest: &[u8]) -> Plan<A> {
    // Spaces are what decoding left.
    let query = rest.trim_ascii_start();
    let query = query.strip_prefix(b"?").map_or(&b""[..], |_| query);
    match moved::within(path, query) {
        Some(made) => Plan::Composed(made),
        None => Plan::Canned(&canned::UNAVAILABLE),
    }
}

/// What answers if everything is behind `url`.
#[cold]
fn all_moved<A>(url: &str, head: &[u8], request: &Request) -> Plan<A> {
    let target = &head[request.target.range()];
    let Some(rest) = path_and_query(target) else {
        return Plan::Canned(&canned::BAD_REQUEST);
    };
    let kind = match request.method {
        Method::Get | Method::Head => Kind::Moved,
        Method::NotAllowed => Kind::Permanent,
        Method::Unknown => return Plan::Canned(&canned::NOT_IMPLEMENTED),
    };
    let path = rest.split(|b| *b == b'?').next().unwrap_or_default();
    if path == b"/healthz" && kind == Kind::Moved {
        return Plan::Canned(&canned::HEALTHY);
    }
    match moved::behind(url, rest, kind) {
        Some(made) => Plan::Composed(made),
        None => Plan::Canned(&canned::UNAVAILABLE),
    }
}

/// What a store's failure is answered with, before anything else is.
pub(super) fn failed(error: StoreError) -> &'static Canned {
    match error {
        StoreError::Failed => &canned::FAILED,
        StoreError::Away | StoreError::OutOfMemory => &canned::UNAVAILABLE,
    }
}
