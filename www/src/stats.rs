//! What the service has done so far.

use core::cell::Cell;
use core::fmt;

/// Counters, all of which only grow. They are shared by `Rc`, and the service is single-threaded.
#[derive(Debug, Default)]
pub struct Stats {
    /// Connections taken.
    pub connections: Counter,
    /// Connections turned away or cut off because there were too many, or no memory for more.
    pub refused: Counter,
    /// Connections that ended because the client took too long.
    pub timed_out: Counter,
    /// Requests answered, those that were not understood included.
    pub requests: Counter,
    /// Answers by the first digit of their status: index 0 is 1xx.
    pub by_class: [Counter; 5],
    /// Bytes of answers that the connections took, heads included.
    pub bytes: Counter,
}

/// A number that grows.
#[derive(Debug, Default)]
pub struct Counter(Cell<u64>);

impl Counter {
    /// Adds one.
    pub fn count(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.set(self.0.get().wrapping_add(n));
    }

    /// What it has come to.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

impl Stats {
    /// Counts an answer.
    pub(crate) fn answered(&self, status: u16) {
        self.requests.count();
        if let Some(class) = self.by_class.get(usize::from(status / 100).wrapping_sub(1)) {
            class.count();
        }
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests", self.requests.get())?;
        for (class, counter) in self.by_class.iter().enumerate().skip(1) {
            write!(f, ", {} with {}xx", counter.get(), class + 1)?;
        }
        write!(
            f,
            "; {} bytes; {} connections, {} refused, {} timed out",
            self.bytes.get(),
            self.connections.get(),
            self.refused.get(),
            self.timed_out.get()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn what_it_says() {
        let stats = Stats::default();
        stats.answered(200);
        stats.answered(304);
        stats.answered(200);
        stats.bytes.add(1234);
        stats.connections.count();
        assert_eq!(
            stats.to_string(),
            "3 requests, 2 with 2xx, 1 with 3xx, 0 with 4xx, 0 with 5xx; 1234 bytes; \
             1 connections, 0 refused, 0 timed out"
        );
    }
}
