//! Lines of log that neighbours can cause: some at once, and after that one in a while, whatever
//! they do. Those that are left out are counted.

use smoltcp::time::{Duration, Instant};

/// Lines at once.
const MOST: u64 = 20;
/// Between two of the rest.
const INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Lines {
    left: u64,
    /// Since when more may have come to be left.
    since: Instant,
    unsaid: u32,
}

impl Lines {
    pub(super) fn new(now: Instant) -> Self {
        Lines {
            left: MOST,
            since: now,
            unsaid: 0,
        }
    }

    /// Whether a line may be written; then, how many were left out before it.
    pub(super) fn take(&mut self, now: Instant) -> Option<u32> {
        let more = (now - self.since).total_micros() / INTERVAL.total_micros();
        self.since += INTERVAL * u32::try_from(more).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(more).min(MOST);
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Some(core::mem::take(&mut self.unsaid))
            }
            None => {
                self.unsaid = self.unsaid.saturating_add(1);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_at_once_and_then_one_in_a_while() {
        let start = Instant::from_secs(5);
        let mut lines = Lines::new(start);
        let mut written = 0;
        let mut left_out = 0;
        for tenth in 0..1000 {
            for _ in 0..10 {
                if let Some(before) = lines.take(start + Duration::from_millis(100) * tenth) {
                    written += 1;
                    left_out += u64::from(before);
                }
            }
        }
        assert_eq!(written, MOST + 99);
        // All but those that nobody has asked after yet.
        assert_eq!(left_out, 10_000 - written - 99);
        let later = start + Duration::from_secs(1000);
        assert_eq!(lines.take(later), Some(99));
        assert_eq!(
            (0..100).filter_map(|_| lines.take(later)).count() as u64,
            MOST - 1
        );
    }
}
