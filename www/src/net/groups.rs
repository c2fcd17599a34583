//! The groups that we listen to, told to whoever forwards them (RFC 3810).
//!
//! Neighbour solicitations for an address come to a group that is made from it. A switch that
//! snoops lets a group's frames through to those only who have said that they listen.

use super::core::Core;
use super::entry::NEVER;
use super::random::Random;
use super::reply;
use super::stats::Refusal;
use alloc::vec::Vec;
use core::net::Ipv6Addr;
use smoltcp::phy::Device;
use smoltcp::time::{Duration, Instant};

/// Groups at a time, those of addresses that are only being checked included.
const ROOM: usize = 16;
/// When to try again if the device was full.
const RETRY: Duration = Duration::from_millis(10);

/// What a record of a report says of a group (RFC 3810, 5.2.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// We listen to it, to whoever sends.
    Listening = 2,
    /// Not any more.
    Left = 3,
    /// We do from now on.
    Joined = 4,
}

pub(super) struct Groups {
    /// Those that we listen to, or have left, each with what is to be said of it next.
    all: Vec<(Ipv6Addr, Record)>,
    /// When to answer a router's question.
    asked: Instant,
    /// When there is something to say.
    pub(super) due: Instant,
    random: Random,
}

impl Groups {
    pub(super) fn new(seed: [u64; 2]) -> Self {
        Groups {
            all: Vec::new(),
            asked: NEVER,
            due: NEVER,
            random: Random::new(seed),
        }
    }

    /// Listens to `group`. Without room for it, it is not told; without a snooping switch that does
    /// no harm.
    pub(super) fn join(&mut self, group: Ipv6Addr, now: Instant) {
        match self.all.iter().position(|(known, _)| *known == group) {
            Some(at) if self.all[at].1 != Record::Left => return,
            Some(at) => self.all[at].1 = Record::Joined,
            None if self.all.len() < ROOM && self.all.try_reserve(1).is_ok() => {
                self.all.push((group, Record::Joined));
            }
            None => return,
        }
        self.due = now;
    }

    pub(super) fn leave(&mut self, group: Ipv6Addr, now: Instant) {
        let Some(at) = self.all.iter().position(|(known, _)| *known == group) else {
            return;
        };
        if self.all[at].1 == Record::Joined {
            // Nobody was told.
            self.all.swap_remove(at);
            return;
        }
        self.all[at].1 = Record::Left;
        self.due = now;
    }

    /// A router asks who listens to `group`, or to any if that is unspecified, and gives us time so
    /// that not all answer at once.
    fn query(&mut self, group: Ipv6Addr, time: Duration, now: Instant) {
        if group.is_unspecified() || self.all.iter().any(|(known, _)| *known == group) {
            self.asked = self.asked.min(now + self.random.time(time));
            self.due = self.due.min(self.asked);
        }
    }

    /// What is to be said now: what has changed; else, if we were asked, all.
    fn report(&mut self, now: Instant) -> Vec<(Ipv6Addr, Record)> {
        let changed = |&(_, record): &(Ipv6Addr, Record)| record != Record::Listening;
        let mut said: Vec<_> = self.all.iter().copied().filter(changed).collect();
        if said.is_empty() && self.asked <= now {
            self.asked = NEVER;
            said = self.all.clone();
        }
        self.all.retain(|&(_, record)| record != Record::Left);
        for (_, record) in &mut self.all {
            *record = Record::Listening;
        }
        self.due = self.asked;
        said
    }
}

impl Core {
    /// A router asks what we listen to.
    pub(super) fn query(&mut self, group: Ipv6Addr, time: Duration) -> Result<(), Refusal> {
        if !self.echoes.take(self.now) {
            return Err(Refusal::RateLimit);
        }
        self.groups.query(group, time, self.now);
        Ok(())
    }

    /// Sends what is to be said of groups.
    pub(super) fn reports<D: Device>(&mut self, device: &mut D) {
        if self.now < self.groups.due {
            return;
        }
        let Some(token) = device.transmit(self.now) else {
            self.groups.due = self.now + RETRY;
            return;
        };
        let said = self.groups.report(self.now);
        if !said.is_empty() {
            let (mac, source) = (self.who.mac, self.who.link_local());
            reply::listeners(token, mac, source, &said, &self.caps.checksum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 1);
    const TWO: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 2);

    fn at(millis: i64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn changes_are_told_once() {
        let mut groups = Groups::new([1, 2]);
        assert_eq!(groups.due, NEVER);
        groups.join(ONE, at(5));
        groups.join(ONE, at(6));
        assert_eq!(groups.due, at(5));
        assert_eq!(groups.report(at(7)), [(ONE, Record::Joined)]);
        groups.join(ONE, at(8));
        assert_eq!(groups.due, NEVER);
        assert_eq!(groups.report(at(9)), []);

        groups.leave(ONE, at(10));
        groups.join(TWO, at(10));
        assert_eq!(
            groups.report(at(10)),
            [(ONE, Record::Left), (TWO, Record::Joined)]
        );
        groups.leave(ONE, at(11));
        assert_eq!((groups.due, groups.all.len()), (NEVER, 1));
    }

    #[test]
    fn what_was_not_told_need_not_be_taken_back() {
        let mut groups = Groups::new([1, 2]);
        groups.join(ONE, at(1));
        groups.leave(ONE, at(1));
        assert_eq!(groups.report(at(1)), []);

        groups.join(ONE, at(2));
        groups.report(at(2));
        groups.leave(ONE, at(3));
        groups.join(ONE, at(3));
        assert_eq!(groups.report(at(3)), [(ONE, Record::Joined)]);
    }

    #[test]
    fn a_question_is_answered_in_time() {
        let mut groups = Groups::new([1, 2]);
        groups.join(ONE, at(0));
        groups.join(TWO, at(0));
        groups.report(at(0));
        let time = Duration::from_millis(1000);
        groups.query(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 9), time, at(10));
        assert_eq!(groups.due, NEVER);
        groups.query(Ipv6Addr::UNSPECIFIED, time, at(10));
        let due = groups.due;
        assert!(at(10) <= due && due < at(1010), "{due}");
        // Another one does not put it off.
        groups.query(TWO, time, at(1009));
        assert!(groups.due <= due.max(at(1009)));

        // A change in between is told by itself.
        groups.leave(TWO, at(11));
        assert_eq!(groups.report(at(11)), [(TWO, Record::Left)]);
        assert_eq!(groups.report(due), [(ONE, Record::Listening)]);
        assert_eq!(groups.due, NEVER);
    }

    #[test]
    fn there_is_an_end_to_them() {
        let mut groups = Groups::new([1, 2]);
        for n in 0..100 {
            groups.join(Ipv6Addr::from(u128::from(0xff02_u16) << 112 | n), at(0));
        }
        assert_eq!(groups.report(at(0)).len(), ROOM);
    }
}
