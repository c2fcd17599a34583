//! Connections that we have closed: FIN-WAIT-2 and TIME-WAIT, as records of a few words.
//!
//! All that is left to do is to acknowledge what the peer still sends, and to know an old segment
//! from a new connection.

use super::guard::{ACK, FIN, RST, SYN, Segment};
use smoltcp::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub(super) struct Linger {
    /// What we expect next.
    pub(super) rcv_nxt: u32,
    /// After our FIN.
    pub(super) snd_nxt: u32,
    /// The peer's FIN has arrived: this is TIME-WAIT.
    pub(super) fin: bool,
    /// When it is forgotten.
    pub(super) until: Instant,
}

/// What to do about a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Nothing,
    /// Send an ACK.
    Acknowledge,
    /// Forget the record.
    Forget,
    /// Forget the record; this is a new connection, to begin above this sequence number.
    Successor(u32),
}

impl Linger {
    pub(super) fn segment(
        &mut self,
        segment: &Segment<'_>,
        wait: Duration,
        now: Instant,
    ) -> Verdict {
        let ahead = segment.seq.wrapping_sub(self.rcv_nxt) as i32;
        if self.until <= now {
            return Verdict::Successor(self.snd_nxt);
        }
        if segment.has(RST) {
            // One that hits the exact sequence number answers our challenge to a new connection
            // whose numbers begin below the old one's.
            return if ahead == 0 {
                Verdict::Forget
            } else {
                Verdict::Nothing
            };
        }
        if segment.has(SYN) {
            // RFC 6191 without timestamps: a sequence number beyond the old connection's.
            let successor = self.fin && ahead > 0 && !segment.has(ACK);
            return if successor {
                Verdict::Successor(self.snd_nxt)
            } else {
                Verdict::Acknowledge
            };
        }
        if segment.len == 0 && !segment.has(FIN) {
            return Verdict::Nothing;
        }
        let end = segment.end();
        if ahead <= 0 && (end.wrapping_sub(self.rcv_nxt) as i32) > 0 && !self.fin {
            self.rcv_nxt = end;
            self.fin = segment.has(FIN);
            self.until = now + wait;
        }
        Verdict::Acknowledge
    }
}
