//! HTTP/1.1, the part of it that a site needs: GET and HEAD (RFC 9110, RFC 9112).
//!
//! What is sans-io here takes bytes and gives values: `request` and `target` read heads,
//! `conditions` evaluates, `input` keeps what has arrived. `drive` is the one place that waits: a
//! future for each connection, over [`Conn`](crate::Conn), [`Store`] and [`Clock`].
//!
//! A client is not trusted with anything. Each connection has a bound on memory and on time, in
//! [`Limits`]; what can be read in two ways is refused and the connection closed. A request costs
//! no allocation and no formatting: heads are the store's, what is added to them is made once a
//! second.

mod access;
mod canned;
mod composed;
mod conditions;
mod drive;
mod input;
mod moved;
mod partial;
mod plan;
mod ranges;
mod request;
mod seats;
mod tail;
mod target;

pub use moved::address as page_address;

use alloc::rc::Rc;
use alloc::string::String;
use core::cell::Cell;
use core::fmt;
use core::ops::Range;
use core::time::Duration;

use crate::seam::Clock;
use crate::stats::Stats;
use crate::store::Store;
use input::Pool;
use seats::Seats;
use tail::Tails;

/// Full-size buffers that are kept while nobody needs them.
const SPARE_BUFFERS: usize = 16;

/// How much one client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's head. At most 64 KiB.
    pub head: usize,
    /// Header fields of a request, at most 100.
    pub headers: usize,
    /// Bytes of a request's target.
    pub target: usize,
    /// Bytes of a body that is read, and dropped, to keep the connection.
    pub body: u64,
    /// Time to send a head, from its first byte or the beginning of the connection.
    pub head_time: Duration,
    /// Time between requests.
    pub idle_time: Duration,
    /// Time without taking a byte of an answer.
    pub write_time: Duration,
    /// Time to acknowledge the end.
    pub close_time: Duration,
    /// Connections at once. One more costs whoever waits for longest the connection: first those
    /// without a request in progress, then those that do not take their answer.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: 8 * 1024,
            headers: 64,
            target: 4 * 1024,
            body: 64 * 1024,
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(60),
            write_time: Duration::from_secs(30),
            close_time: Duration::from_secs(2),
            connections: 10_000,
        }
    }
}

/// A site, served over HTTP.
pub struct Service<S, T> {
    store: S,
    clock: T,
    limits: Limits,
    stats: Rc<Stats>,
    seats: Seats,
    pool: Pool,
    tails: Tails,
    draining: Cell<bool>,
    /// Where everything is, if not here.
    moved_to: Option<String>,
    /// Whether requests are logged: asked once, since asking takes time.
    access_log: bool,
}

impl<S: Store, T: Clock> Service<S, T> {
    /// Serves `store`. Requests are logged if the logger, which is asked now, lets `access` through.
    pub fn new(store: S, clock: T, limits: Limits, stats: Rc<Stats>) -> Self {
        // Spans are of 16 bits.
        let limits = Limits {
            head: limits.head.min(u16::MAX.into()),
            ..limits
        };
        let tails = Tails::new(clock.unix_time());
        Self {
            store,
            clock,
            limits,
            stats,
            seats: Seats::default(),
            pool: Pool::new(limits.head, SPARE_BUFFERS),
            tails,
            draining: Cell::new(false),
            moved_to: None,
            access_log: access::Access::wanted(),
        }
    }

    /// Has every address but `/healthz` lead to the same one behind this URL, which begins with
    /// `http://` or `https://` and has neither query nor fragment.
    pub fn redirect_to(&mut self, url: Option<String>) {
        self.moved_to = url;
    }

    /// What it has done so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// What it has done so far, and what its store has, for a log.
    pub fn report(&self) -> impl fmt::Display + '_ {
        Report(self)
    }

    /// Where the site is.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The number of connections.
    pub fn active(&self) -> usize {
        self.seats.taken()
    }

    /// Asks the connection that has waited for longest to leave, first of those without a request in
    /// progress, then of those that do not take their answer; says whether there is one: for a stack that runs out of what connections are made of.
    pub fn reap(&self) -> bool {
        let reaped = self.seats.reap();
        if reaped {
            self.stats.refused.count();
        }
        reaped
    }

    /// Ends the service: idle connections are closed, and others after the answer that is under
    /// way. Who calls this also stops accepting.
    pub fn drain(&self) {
        self.draining.set(true);
        self.seats.wake_waiting();
    }

    /// Ready when no connection is left. Only the last task to ask is woken.
    pub async fn drained(&self) {
        self.seats.empty().await;
    }
}

struct Report<'a, S, T>(&'a Service<S, T>);

impl<S: Store, T> fmt::Display for Report<'_, S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.stats.fmt(f)?;
        self.0.store.report(f)
    }
}

/// A range of a request's head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    at: u16,
    len: u16,
}

impl Span {
    /// Both fit: a head has at most 64 KiB.
    fn new(at: usize, len: usize) -> Self {
        Self {
            at: at as u16,
            len: len as u16,
        }
    }

    /// Where `part` lies in `whole`, of which it is a slice.
    fn within(whole: &[u8], part: &[u8]) -> Self {
        Self::new(
            (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize),
            part.len(),
        )
    }

    fn range(self) -> Range<usize> {
        let at = usize::from(self.at);
        at..at + usize::from(self.len)
    }
}

#[cfg(test)]
mod tests;
