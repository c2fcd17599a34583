use alloc::string::String;
use core::fmt::{self, Write};

/// Why arguments are not understood. Displayed, it is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// There is no such argument.
    Unknown {
        /// The word.
        word: String,
        /// What was perhaps meant.
        nearest: Option<&'static str>,
    },
    /// The argument has no effect on this platform.
    Elsewhere(&'static str),
    /// The argument needs a value.
    NoValue(&'static str),
    /// The argument takes no value.
    HasValue(&'static str),
    /// The value is not what the argument takes.
    Value {
        /// The argument.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it takes.
        takes: &'static str,
    },
    /// The argument has no effect without another one.
    Needs {
        /// The argument.
        name: &'static str,
        /// What there has to be.
        other: &'static str,
    },
    /// Two arguments that exclude each other.
    Both(&'static str, &'static str),
    /// One disk for both volumes.
    SameDisk,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { word, nearest } => {
                write!(f, "unknown argument '{}'", Shown(word))?;
                match nearest {
                    Some(nearest) => write!(f, ": did you mean {nearest}?"),
                    None => f.write_str(": --help lists them"),
                }
            }
            Self::Elsewhere(name) => write!(f, "{name} has no effect on this platform"),
            Self::NoValue(name) => write!(f, "{name} needs a value"),
            Self::HasValue(name) => write!(f, "{name} takes no value"),
            Self::Value { name, value, takes } => {
                write!(f, "{name} takes {takes}, not '{}'", Shown(value))
            }
            Self::Needs { name, other } => write!(f, "{name} needs {other}"),
            Self::Both(one, other) => write!(f, "{one} and {other} exclude each other"),
            Self::SameDisk => f.write_str(
                "--files and --pages name the same disk: one of them is enough for a disk that \
                 has everything",
            ),
        }
    }
}

impl core::error::Error for ConfigError {}

/// Text as it is, but for what would act on a terminal or end the line. `escape_debug` knows more
/// that nobody sees, and takes 3 KiB of the guest's image for it.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c.is_control() {
                true => write!(f, "{}", c.escape_default())?,
                false => f.write_char(c)?,
            }
        }
        Ok(())
    }
}
