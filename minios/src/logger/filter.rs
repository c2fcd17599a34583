//! Which messages are printed: the value of `--logs`.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use log::{LevelFilter, Metadata};

/// A level for everything, and others for some parts.
///
/// Written as rules between commas, each `PART:LEVEL`; `*` is everything, and a level alone is
/// `*:LEVEL`. A part is named by any segment of a message's target, which is the path of the module
/// that logs: `netfront`, or `net` for `www::net` and all below it; or by several segments,
/// `www::net`. Of the rules that fit a message the one with the innermost part decides, and the
/// last one of those. Levels: `off`, `error`, `warn`, `info`, `debug`, `trace`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    everything: LevelFilter,
    parts: Vec<(String, LevelFilter)>,
}

/// What is wrong with the value of `--logs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterError<'a> {
    /// No level is called so.
    UnknownLevel(&'a str),
    /// A rule that does not say for what.
    NoPart(&'a str),
    /// A rule that is empty.
    Empty,
}

impl core::error::Error for FilterError<'_> {}

impl fmt::Display for FilterError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownLevel(level) => write!(
                f,
                "'{level}' is no log level: off, error, warn, info, debug, trace"
            ),
            Self::NoPart(rule) => write!(f, "'{rule}' does not say what it is for: PART:LEVEL"),
            Self::Empty => f.write_str("a rule is empty: PART:LEVEL,PART:LEVEL,..."),
        }
    }
}

impl Filter {
    /// The same level for everything.
    pub const fn all(level: LevelFilter) -> Self {
        Self {
            everything: level,
            parts: Vec::new(),
        }
    }

    /// From the value of `--logs`. What it does not mention is logged from `info` up.
    pub fn parse(value: &str) -> Result<Self, FilterError<'_>> {
        let mut filter = Self::default();
        for rule in value.split(',').map(str::trim) {
            if rule.is_empty() {
                return Err(FilterError::Empty);
            }
            // The last colon: a part may hold some.
            let (part, name) = match rule.rsplit_once(':') {
                Some((part, name)) => (part.trim(), name.trim()),
                None => ("*", rule),
            };
            let level = level(name).ok_or(FilterError::UnknownLevel(name))?;
            match part {
                "" => return Err(FilterError::NoPart(rule)),
                "*" => filter.everything = level,
                part => filter.parts.push((part.into(), level)),
            }
        }
        Ok(filter)
    }

    /// Has a level for `part`, unless a rule names one.
    #[must_use]
    pub fn unless_named(mut self, part: &str, level: LevelFilter) -> Self {
        self.parts.insert(0, (part.into(), level));
        self
    }

    /// The most that is printed for anything.
    pub fn max(&self) -> LevelFilter {
        let parts = self.parts.iter().map(|&(_, level)| level);
        parts.fold(self.everything, Ord::max)
    }

    /// What is printed for messages with this target.
    pub fn level(&self, target: &str) -> LevelFilter {
        let deepest = self
            .parts
            .iter()
            .filter_map(|(part, level)| Some((end_of(part, target)?, *level)))
            .max_by_key(|&(end, _)| end);
        deepest.map_or(self.everything, |(_, level)| level)
    }

    /// Whether such a message is printed.
    pub fn allows(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.level(metadata.target())
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self::all(LevelFilter::Info)
    }
}

fn level(name: &str) -> Option<LevelFilter> {
    LevelFilter::iter().find(|level| level.as_str().eq_ignore_ascii_case(name))
}

/// Where `part` ends in `target`, if it is in there as whole segments.
fn end_of(part: &str, target: &str) -> Option<usize> {
    let (target, part) = (target.as_bytes(), part.as_bytes());
    let last = target.len().checked_sub(part.len())?;
    let start = (0..=last).rev().find(|&start| {
        let (before, rest) = target.split_at(start);
        let border = |beside: &[u8], found| beside.is_empty() || found;
        rest.strip_prefix(part).is_some_and(|after| {
            border(before, before.ends_with(b"::")) && border(after, after.starts_with(b"::"))
        })
    })?;
    Some(start + part.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use LevelFilter::*;
    use proptest::prelude::*;
    use std::string::ToString;

    #[test]
    fn what_is_named_counts_more() {
        let level = |value| {
            let filter = Filter::parse(value).unwrap();
            filter.unless_named("access", Off).level("access")
        };
        assert_eq!((level("info"), level("net:debug")), (Off, Off));
        assert_eq!(
            (level("access:info"), level("warn,access:warn")),
            (Info, Warn)
        );
    }

    #[test]
    fn rules_are_read() {
        let level = |value, target| Filter::parse(value).unwrap().level(target);
        assert_eq!(level("*:warn", "netfront"), Warn);
        assert_eq!(level("debug", "netfront"), Debug);
        assert_eq!(level("net:debug", "netfront"), Info);
        assert_eq!(level("net:debug", "www::net"), Debug);
        assert_eq!(level("net:debug", "www::net::tcp"), Debug);
        assert_eq!(level("www::net:debug", "www::net::tcp"), Debug);
        assert_eq!(level("www::net:debug", "www::network"), Info);
        assert_eq!(level("ww::net:debug", "www::net"), Info);
        assert_eq!(level("net:debug,*:error", "www::net"), Debug);
        assert_eq!(level("net:debug,*:error", "www::http"), Error);
        assert_eq!(level(" *:OFF , Net:Trace ", "x"), Off);
    }

    #[test]
    fn the_innermost_part_decides_then_the_last_rule() {
        let level = |value, target| Filter::parse(value).unwrap().level(target);
        assert_eq!(level("tcp:trace,www:off", "www::net::tcp"), Trace);
        assert_eq!(level("www:off,tcp:trace", "www::net::tcp"), Trace);
        assert_eq!(level("www:off,tcp:trace", "www::http"), Off);
        assert_eq!(level("www:off,www:warn", "www::http"), Warn);
    }

    #[test]
    fn the_maximum_is_over_all_rules() {
        let max = |value| Filter::parse(value).unwrap().max();
        assert_eq!(max("error"), Error);
        assert_eq!(max("error,net:debug,http:warn"), Debug);
        assert_eq!(Filter::default().max(), Info);
    }

    #[test]
    fn mistakes_are_named() {
        let error = |value: &'static str| Filter::parse(value).unwrap_err();
        assert_eq!(error("*:loud"), FilterError::UnknownLevel("loud"));
        assert_eq!(error("net"), FilterError::UnknownLevel("net"));
        assert_eq!(error("net:"), FilterError::UnknownLevel(""));
        assert_eq!(error(":info"), FilterError::NoPart(":info"));
        assert_eq!(error(""), FilterError::Empty);
        assert_eq!(error("info,"), FilterError::Empty);
        assert!(error("*:loud").to_string().contains("'loud'"));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(value in "[a-z:*, é]{0,30}", target in "[a-z:é]{0,20}") {
            if let Ok(filter) = Filter::parse(&value) {
                prop_assert!(filter.level(&target) <= filter.max());
            }
        }
    }
}
