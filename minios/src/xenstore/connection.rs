//! The client's half of a xenstore connection, without rings, events or waiting.
//!
//! Bytes that arrive go into [`Connection::input`], bytes to send come out of
//! [`Connection::output`]. Requests may be answered in any order. A daemon that says what it cannot
//! say makes the connection broken: each call fails from then on, and nothing waits for it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;
use core::task::{Poll, Waker};

use super::StoreError;
use super::codec::{self, DecodeError, Decoder, EncodeError, Errno, Kind, Message};
use crate::ring::Broken;

/// Requests without an answer, at most. xenstored itself stops reading at about twenty.
const PENDING_MAX: usize = 64;
/// The same for requests that clean up behind others.
const CLEANING_MAX: usize = 2 * PENDING_MAX;
/// Watches at most; xenstored's default quota for a guest is 128.
const WATCHES_MAX: usize = 128;

/// The state of a connection. See the [module](self).
#[derive(Debug, Default)]
pub struct Connection {
    decoder: Decoder,
    out: VecDeque<u8>,
    pending: Vec<Pending>,
    watches: Vec<Watched>,
    last_req_id: u32,
    last_token: u32,
    broken: Option<Lie>,
}

/// Names a request that was sent and has not been taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReqId(u32);

/// Names a watch. Not used twice, so an event that is late cannot be taken for another watch's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(u32);

/// What a daemon said that it cannot say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// The stream of messages is not one.
    Stream(DecodeError),
    /// A reply to a request that was not made.
    NoSuchRequest(u32),
    /// A reply of another type than its request.
    WrongType(Kind, Kind),
    /// A watch event that does not consist of a path and a token.
    BadEvent,
    /// A transaction with an impossible number.
    BadTransaction,
    /// No message at all, for it has stopped to listen, and gave this reason (`XENSTORE_ERROR_*`).
    CutOff(u32),
    /// The shared ring is not one.
    Ring(Broken),
}

#[derive(Debug)]
struct Pending {
    req_id: u32,
    kind: Kind,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting(Option<Waker>),
    Done(Result<Vec<u8>, StoreError>),
    /// Nobody waits for the answer any more.
    Abandoned,
}

#[derive(Debug)]
struct Watched {
    token: u32,
    path: Vec<u8>,
    fired: bool,
    waker: Option<Waker>,
}

impl Connection {
    /// A connection on which nothing has been said yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Queues a request in transaction `tx_id`, 0 for none.
    pub fn request(
        &mut self,
        kind: Kind,
        tx_id: u32,
        parts: &[&[u8]],
    ) -> Result<ReqId, StoreError> {
        self.queue(kind, tx_id, parts, State::Waiting(None), PENDING_MAX)
    }

    /// Queues a request whose answer nobody waits for.
    pub fn send(&mut self, kind: Kind, tx_id: u32, parts: &[&[u8]]) -> Result<(), StoreError> {
        self.queue(kind, tx_id, parts, State::Abandoned, CLEANING_MAX)
            .map(drop)
    }

    /// Takes the answer to a request; `waker` is woken when it is there. Once it was ready, the
    /// request is forgotten.
    pub fn poll_reply(
        &mut self,
        ReqId(req_id): ReqId,
        waker: &Waker,
    ) -> Poll<Result<Vec<u8>, StoreError>> {
        let Some(at) = self.position(req_id) else {
            return Poll::Ready(Err(StoreError::Broken));
        };
        match &mut self.pending[at].state {
            State::Done(_) => {}
            _ if self.broken.is_some() => {}
            state => {
                set_waker(state, waker);
                return Poll::Pending;
            }
        }
        Poll::Ready(match self.pending.swap_remove(at).state {
            State::Done(reply) => reply,
            _ => Err(StoreError::Broken),
        })
    }

    /// Says that nobody waits for the answer any more. A transaction that it opens is ended.
    pub fn abandon(&mut self, ReqId(req_id): ReqId) {
        let Some(at) = self.position(req_id) else {
            return;
        };
        if let State::Waiting(_) = self.pending[at].state
            && self.broken.is_none()
        {
            self.pending[at].state = State::Abandoned;
            return;
        }
        let request = self.pending.swap_remove(at);
        if let (Kind::TransactionStart, State::Done(Ok(reply))) = (request.kind, request.state)
            && let Some(tx_id) = codec::number(&reply)
        {
            self.end(tx_id);
        }
    }

    /// Queues the registration of a watch, to be known by the token.
    pub fn watch(&mut self, path: &[u8]) -> Result<(Token, ReqId), StoreError> {
        if self.watches.len() >= WATCHES_MAX || self.watches.try_reserve(1).is_err() {
            return Err(StoreError::Busy);
        }
        let mut owned = Vec::new();
        owned
            .try_reserve_exact(path.len())
            .map_err(|_| StoreError::Busy)?;
        owned.extend_from_slice(path);
        let token = self.last_token.wrapping_add(1);
        let mut digits = [0; 10];
        let digits = decimal(token, &mut digits);
        let id = self.request(Kind::Watch, 0, &[path, b"\0", digits, b"\0"])?;
        self.last_token = token;
        self.watches.push(Watched {
            token,
            path: owned,
            fired: false,
            waker: None,
        });
        Ok((Token(token), id))
    }

    /// Forgets a watch, and queues that the daemon shall forget it too.
    pub fn unwatch(&mut self, Token(token): Token) {
        let Some(at) = self.watches.iter().position(|w| w.token == token) else {
            return;
        };
        let watch = self.watches.swap_remove(at);
        let mut digits = [0; 10];
        let digits = decimal(token, &mut digits);
        // If it cannot be sent, the events that go on to come are for nobody, and ignored.
        let _ = self.send(Kind::Unwatch, 0, &[&watch.path, b"\0", digits, b"\0"]);
    }

    /// Ready if the watch fired since it was last ready, however often; else `waker` is woken when
    /// it does.
    pub fn poll_watch(
        &mut self,
        Token(token): Token,
        waker: &Waker,
    ) -> Poll<Result<(), StoreError>> {
        if self.broken.is_some() {
            return Poll::Ready(Err(StoreError::Broken));
        }
        let Some(watch) = self.watches.iter_mut().find(|w| w.token == token) else {
            return Poll::Ready(Err(StoreError::Broken));
        };
        if core::mem::take(&mut watch.fired) {
            return Poll::Ready(Ok(()));
        }
        refresh(&mut watch.waker, waker);
        Poll::Pending
    }

    /// Takes bytes that arrived, and wakes those whom they concern.
    pub fn input(&mut self, mut bytes: &[u8]) {
        while self.broken.is_none() {
            let message = match self.decoder.next(&mut bytes) {
                Ok(Some(message)) => message,
                Ok(None) => return,
                Err(error) => return self.fail(Lie::Stream(error)),
            };
            let heard = if message.kind == Kind::WatchEvent {
                event(&mut self.watches, &message).map(|()| None)
            } else {
                reply(&mut self.pending, &message)
            };
            match heard {
                Ok(Some(tx_id)) => self.end(tx_id),
                Ok(None) => {}
                Err(lie) => self.fail(lie),
            }
        }
    }

    /// Bytes to send; possibly not all that are there. [`sent`](Self::sent) removes them.
    pub fn output(&self) -> &[u8] {
        self.out.as_slices().0
    }

    /// Removes the first `count` bytes of the output.
    pub fn sent(&mut self, count: usize) {
        self.out.drain(..count.min(self.out.len()));
    }

    /// Makes the connection broken and wakes everybody. The first reason stays.
    pub fn fail(&mut self, lie: Lie) {
        if self.broken.is_some() {
            return;
        }
        self.broken = Some(lie);
        self.out.clear();
        for pending in &mut self.pending {
            if let State::Waiting(waker) = &mut pending.state {
                wake(waker);
            }
        }
        for watch in &mut self.watches {
            wake(&mut watch.waker);
        }
    }

    /// Why the connection is broken, if it is.
    pub fn broken(&self) -> Option<Lie> {
        self.broken
    }

    fn queue(
        &mut self,
        kind: Kind,
        tx_id: u32,
        parts: &[&[u8]],
        state: State,
        most: usize,
    ) -> Result<ReqId, StoreError> {
        if self.broken.is_some() {
            return Err(StoreError::Broken);
        }
        if self.pending.len() >= most || self.pending.try_reserve(1).is_err() {
            return Err(StoreError::Busy);
        }
        let mut req_id = self.last_req_id.wrapping_add(1);
        while self.position(req_id).is_some() {
            req_id = req_id.wrapping_add(1);
        }
        codec::encode(&mut self.out, kind, req_id, tx_id, parts).map_err(|error| match error {
            EncodeError::TooLong => StoreError::Unsendable,
            EncodeError::OutOfMemory => StoreError::Busy,
        })?;
        self.last_req_id = req_id;
        self.pending.push(Pending {
            req_id,
            kind,
            state,
        });
        Ok(ReqId(req_id))
    }

    fn position(&self, req_id: u32) -> Option<usize> {
        self.pending.iter().position(|p| p.req_id == req_id)
    }

    fn end(&mut self, tx_id: u32) {
        // Without room for it the daemon keeps a transaction until the domain ends: it has a quota.
        let _ = self.send(Kind::TransactionEnd, tx_id, &[b"F\0"]);
    }
}

/// Gives a reply to its request. Returns a transaction that was opened for nobody.
fn reply(pending: &mut Vec<Pending>, message: &Message<'_>) -> Result<Option<u32>, Lie> {
    let at = pending
        .iter()
        .position(|p| p.req_id == message.req_id && !matches!(p.state, State::Done(_)))
        .ok_or(Lie::NoSuchRequest(message.req_id))?;
    let request = &mut pending[at];
    let result = if message.kind == Kind::Error {
        Err(StoreError::Refused(Errno::from_payload(message.payload)))
    } else if message.kind == request.kind {
        Ok(message.payload)
    } else {
        return Err(Lie::WrongType(request.kind, message.kind));
    };
    let mut opened = None;
    if let (Kind::TransactionStart, Ok(id)) = (request.kind, result) {
        let id = codec::number(id).filter(|&id| id != 0);
        opened = Some(id.ok_or(Lie::BadTransaction)?);
    }
    match &mut request.state {
        State::Waiting(waker) => {
            let waker = waker.take();
            request.state = State::Done(result.and_then(|payload| keep(request.kind, payload)));
            if let Some(waker) = waker {
                waker.wake();
            }
            Ok(None)
        }
        _ => {
            pending.swap_remove(at);
            Ok(opened)
        }
    }
}

/// A copy of what a reply says, where it says more than that it was done.
fn keep(kind: Kind, payload: &[u8]) -> Result<Vec<u8>, StoreError> {
    let says_something = matches!(
        kind,
        Kind::Read
            | Kind::Directory
            | Kind::DirectoryPart
            | Kind::GetPerms
            | Kind::GetDomainPath
            | Kind::TransactionStart
    );
    let mut kept = Vec::new();
    if says_something {
        kept.try_reserve_exact(payload.len())
            .map_err(|_| StoreError::Busy)?;
        kept.extend_from_slice(payload);
    }
    Ok(kept)
}

fn event(watches: &mut [Watched], message: &Message<'_>) -> Result<(), Lie> {
    let (_, token) = codec::two_strings(message.payload).ok_or(Lie::BadEvent)?;
    // A token that is not known belonged to a watch that was dropped, here or by whoever ran in
    // this domain before.
    let token = codec::number(token);
    if let Some(watch) = watches.iter_mut().find(|w| Some(w.token) == token) {
        watch.fired = true;
        wake(&mut watch.waker);
    }
    Ok(())
}

fn set_waker(state: &mut State, waker: &Waker) {
    if let State::Waiting(slot) = state {
        refresh(slot, waker);
    }
}

fn refresh(slot: &mut Option<Waker>, waker: &Waker) {
    match slot {
        Some(old) => old.clone_from(waker),
        None => *slot = Some(waker.clone()),
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn decimal(mut number: u32, digits: &mut [u8; 10]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[at..];
        }
    }
}

impl fmt::Display for Lie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(DecodeError::UnknownType(kind)) => {
                write!(f, "a message of type {kind}, which does not exist")
            }
            Self::Stream(DecodeError::TooLong(len)) => write!(f, "a message of {len} bytes"),
            Self::NoSuchRequest(id) => write!(f, "a reply to request {id}, which was not made"),
            Self::WrongType(asked, said) => write!(f, "{said:?} in reply to {asked:?}"),
            Self::BadEvent => f.write_str("a watch event without path and token"),
            Self::BadTransaction => f.write_str("a transaction with an impossible number"),
            Self::CutOff(reason) => write!(f, "it does not listen any more, reason {reason}"),
            Self::Ring(broken) => write!(f, "{broken}"),
        }
    }
}

#[cfg(test)]
mod tests;
