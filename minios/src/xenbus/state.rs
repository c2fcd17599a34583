//! The states of a device's two ends, and what the front end does about them.

use core::fmt;

use crate::xenstore::codec;

/// The state of one end (`enum xenbus_state` in xen/include/public/io/xenbus.h, 4.20).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum XenbusState {
    /// The toolstack has made the device; nothing has been said yet.
    Initialising = 1,
    /// The back end has said what it can, and waits.
    InitWait = 2,
    /// All that the other end needs has been said.
    Initialised = 3,
    /// In use.
    Connected = 4,
    /// Being given up.
    Closing = 5,
    /// Given up; nothing of the other end's is in use any more.
    Closed = 6,
    /// Changing, for physical devices.
    Reconfiguring = 7,
    /// Changed, for physical devices.
    Reconfigured = 8,
}

impl XenbusState {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Initialising,
        Self::InitWait,
        Self::Initialised,
        Self::Connected,
        Self::Closing,
        Self::Closed,
        Self::Reconfiguring,
        Self::Reconfigured,
    ];

    /// From the value of a `state` key.
    pub fn parse(value: &str) -> Option<Self> {
        let number = codec::number(value.as_bytes())?;
        Self::ALL
            .into_iter()
            .find(|&s| u32::from(s as u8) == number)
    }

    /// As the value of a `state` key.
    pub fn value(self) -> &'static str {
        match self {
            Self::Initialising => "1",
            Self::InitWait => "2",
            Self::Initialised => "3",
            Self::Connected => "4",
            Self::Closing => "5",
            Self::Closed => "6",
            Self::Reconfiguring => "7",
            Self::Reconfigured => "8",
        }
    }
}

impl fmt::Display for XenbusState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// What a front end is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, until the back end changes.
    Wait,
    /// Read what the back end offers, publish what it needs, then switch to `Initialised` or
    /// `Connected`, as the class of device has it.
    Offer,
    /// Use the device, from now on.
    Use,
    /// Stop using the device, and close it.
    Close,
    /// Switch to `Initialising`, to connect anew.
    Reopen,
}

/// A front end's own state, and what it makes of its back end's.
///
/// States may be missed: a watch tells of changes, not of each one. So nothing here depends on
/// having seen every state of the back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    ours: XenbusState,
    /// The back end was connected since we were.
    used: bool,
    /// What ran here before was in this state, not we.
    left_behind: bool,
    /// A back end that has closed has not been told yet that we begin.
    nudge: bool,
}

impl Machine {
    /// A front end that finds itself in state `ours`.
    pub fn new(ours: XenbusState) -> Self {
        let begins = matches!(ours, XenbusState::Initialising | XenbusState::Closed);
        Self {
            ours,
            used: false,
            left_behind: !begins,
            nudge: true,
        }
    }

    /// The front end's state.
    pub fn ours(&self) -> XenbusState {
        self.ours
    }

    /// Says that the front end switched to a state.
    pub fn switched(&mut self, to: XenbusState) {
        *self = Self {
            ours: to,
            used: false,
            left_behind: false,
            nudge: false,
        };
    }

    /// What to do when the back end is in state `theirs`, `None` if that is missing. `Use` is said
    /// once for a connection, everything else until it has been done.
    pub fn step(&mut self, theirs: Option<XenbusState>) -> Step {
        use XenbusState::*;
        if theirs != Some(Closed) {
            self.nudge = true;
        }
        match (self.ours, theirs) {
            _ if self.left_behind => Step::Close,
            (Initialising, Some(InitWait)) => Step::Offer,
            // It still serves whoever was here before us.
            (Initialising, Some(Connected)) => Step::Close,
            // It waits for us to say again that we begin.
            (Initialising, Some(Closed)) if self.nudge => Step::Reopen,
            (Initialising, _) => Step::Wait,

            (Initialised | Connected, Some(Connected)) if !self.used => {
                self.used = true;
                Step::Use
            }
            (Initialised | Connected, Some(Connected | Reconfiguring | Reconfigured)) => Step::Wait,
            (Initialised | Connected, Some(Closing | Closed)) => Step::Close,
            // It began anew, or is gone, without having said goodbye.
            (Initialised | Connected, _) if self.used => Step::Close,
            (Initialised | Connected, _) => Step::Wait,

            (Closed, Some(Initialising | InitWait | Closed)) => Step::Reopen,
            (Closed, _) => Step::Wait,
            // Closing, or a state that only back ends and physical devices have.
            _ => Step::Close,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::XenbusState::*;
    use super::*;
    use std::string::ToString;

    #[test]
    fn states_are_numbers() {
        for state in XenbusState::ALL {
            assert_eq!(XenbusState::parse(state.value()), Some(state));
            assert_eq!(state.value(), (state as u8).to_string());
        }
        for lie in ["", "0", "9", "-1", "4 ", "x", "4294967300"] {
            assert_eq!(XenbusState::parse(lie), None, "{lie:?}");
        }
    }

    /// Every state of ours with every state of theirs, fresh, not yet used: W(ait), O(ffer), U(se),
    /// C(lose), R(eopen).
    #[test]
    fn the_table() {
        let letter = |step| match step {
            Step::Wait => 'W',
            Step::Offer => 'O',
            Step::Use => 'U',
            Step::Close => 'C',
            Step::Reopen => 'R',
        };
        // Theirs: missing, then 1 to 8.
        for (ours, used, expected) in [
            (Initialising, false, "WWOWCWRWW"),
            (Initialised, false, "WWWWUCCWW"),
            (Connected, false, "WWWWUCCWW"),
            (Initialised, true, "CCCCWCCWW"),
            (Connected, true, "CCCCWCCWW"),
            (Closing, false, "CCCCCCCCC"),
            (Closed, false, "WRRWWWRWW"),
        ] {
            let theirs = [None].into_iter().chain(XenbusState::ALL.map(Some));
            let row: std::string::String = theirs
                .map(|theirs| letter(machine(ours, used).step(theirs)))
                .collect();
            assert_eq!(row, expected, "{ours}, used: {used}");
        }
    }

    fn machine(ours: XenbusState, used: bool) -> Machine {
        Machine {
            ours,
            used,
            left_behind: false,
            nudge: true,
        }
    }

    #[test]
    fn a_back_end_that_has_closed_is_told_once() {
        let mut machine = Machine::new(Closed);
        assert_eq!(machine.step(Some(Closed)), Step::Reopen);
        machine.switched(Initialising);
        assert_eq!(machine.step(Some(Closed)), Step::Wait);
        assert_eq!(machine.step(Some(Initialising)), Step::Wait);
        assert_eq!(machine.step(Some(Closed)), Step::Reopen);
    }

    #[test]
    fn left_behind_in_any_state_it_closes_first() {
        for ours in [Initialised, Connected, Closing, InitWait, Reconfigured] {
            for theirs in [None, Some(InitWait), Some(Connected), Some(Closed)] {
                assert_eq!(Machine::new(ours).step(theirs), Step::Close, "{ours}");
            }
        }
        assert_eq!(Machine::new(Initialising).step(Some(InitWait)), Step::Offer);
        assert_eq!(Machine::new(Closed).step(Some(Closed)), Step::Reopen);
    }

    /// A front end that does as it is told, against a back end that goes through states in any
    /// order: it never uses a device that is not connected on both sides, says so once for each
    /// connection, and ends up connected when the back end behaves at last.
    #[test]
    fn every_order_of_states() {
        fn obey(machine: &mut Machine, in_use: &mut bool, theirs: Option<XenbusState>) {
            match machine.step(theirs) {
                Step::Wait => {}
                Step::Offer => machine.switched(Connected),
                Step::Use => {
                    assert!(!*in_use && machine.ours() == Connected && theirs == Some(Connected));
                    *in_use = true;
                }
                Step::Close => {
                    machine.switched(Closed);
                    *in_use = false;
                }
                Step::Reopen => machine.switched(Initialising),
            }
            if *in_use {
                let ok = [Connected, Reconfiguring, Reconfigured].map(Some);
                assert!(ok.contains(&theirs), "in use while {theirs:?}");
            }
        }
        let all = [None].into_iter().chain(XenbusState::ALL.map(Some));
        let all: std::vec::Vec<_> = all.collect();
        let mut orders = 0;
        for code in 0..9usize.pow(5) {
            let mut machine = Machine::new(Initialising);
            let mut in_use = false;
            let mut rest = code;
            for _ in 0..5 {
                obey(&mut machine, &mut in_use, all[rest % 9]);
                rest /= 9;
            }
            // The orderly way, as a back end goes when its front end has closed.
            for theirs in [
                Closing, Closed, Closed, InitWait, InitWait, InitWait, Connected,
            ] {
                obey(&mut machine, &mut in_use, Some(theirs));
            }
            assert!(in_use, "order {code} ends in {machine:?}");
            orders += 1;
        }
        assert_eq!(orders, 59049);
    }
}
