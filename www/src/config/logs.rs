//! Which log messages are wanted.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::str::FromStr;

use log::LevelFilter;

/// A level for each target: `info`, or `http:debug,*:warn`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logs {
    targets: Vec<(String, LevelFilter)>,
    rest: LevelFilter,
}

/// Not a list of levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotLevels;

impl Default for Logs {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            rest: LevelFilter::Info,
        }
    }
}

impl Logs {
    /// The level of a target: what was said of it, or of the longest part of its path that has
    /// something said of it, or of all.
    pub fn level(&self, target: &str) -> LevelFilter {
        let covers = |name: &str| match target.strip_prefix(name) {
            Some(rest) => rest.is_empty() || rest.starts_with("::"),
            None => false,
        };
        let named = self.targets.iter().filter(|(name, _)| covers(name));
        named
            .max_by_key(|(name, _)| name.len())
            .map_or(self.rest, |(_, level)| *level)
    }

    /// The most that any target wants: for `log::set_max_level`.
    pub fn max(&self) -> LevelFilter {
        self.targets
            .iter()
            .map(|(_, level)| *level)
            .fold(self.rest, Ord::max)
    }
}

impl FromStr for Logs {
    type Err = NotLevels;

    fn from_str(text: &str) -> Result<Self, NotLevels> {
        let mut logs = Self::default();
        for part in text.split(',') {
            let (target, level) = part.rsplit_once(':').unwrap_or(("*", part));
            let level = level.parse().map_err(|_| NotLevels)?;
            match target {
                "" => return Err(NotLevels),
                "*" => logs.rest = level,
                target => logs.targets.push((target.to_owned(), level)),
            }
        }
        Ok(logs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        let logs: Logs = "warn".parse().unwrap();
        assert_eq!(
            (logs.level("a"), logs.max()),
            (LevelFilter::Warn, LevelFilter::Warn)
        );
        let logs: Logs = "http:debug,www::net:off,www:Error,*:info".parse().unwrap();
        for (target, level) in [
            ("http", LevelFilter::Debug),
            ("https", LevelFilter::Info),
            ("www", LevelFilter::Error),
            ("www::pack", LevelFilter::Error),
            ("www::net::tcp", LevelFilter::Off),
            ("minios", LevelFilter::Info),
        ] {
            assert_eq!(logs.level(target), level, "{target}");
        }
        assert_eq!(logs.max(), LevelFilter::Debug);
        for text in ["", "loud", "a:", ":info", "a:info,", "a:b:c"] {
            assert_eq!(text.parse::<Logs>(), Err(NotLevels), "{text}");
        }
    }
}
