//! What values options take. A value is kept as the text that an argument would have, once that is
//! known to be one.

use std::net::{Ipv4Addr, Ipv6Addr};

use toml_edit::Value;
use www::config::{Command, Platform};

use crate::image;

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `true` or `false` in the file; as an argument `yes` or `no`, and `yes` if nothing is said.
    Flag,
    /// A whole number.
    Number {
        least: i64,
        most: i64,
    },
    /// Bytes, with K, M or G behind.
    Size,
    Ipv4,
    /// With or without the length of the network's prefix.
    Ipv4Net,
    Ipv6,
    /// Like [`Kind::Ipv4Net`], or `auto` or `link-local`.
    Ipv6Net,
    Mac,
    /// The name of a network interface.
    Interface,
    /// The name of a domain.
    Name,
    /// With a scheme and a host, without query and fragment.
    Url,
    /// What is logged.
    Levels,
    Folder,
}

/// The longest text that an option takes.
const LONGEST: usize = 1024;

impl Kind {
    /// What stands for the value in help.
    pub(crate) fn placeholder(self) -> &'static str {
        match self {
            Self::Choice(_) => "",
            Self::Flag => "yes|no",
            Self::Number { .. } => "N",
            Self::Size => "SIZE",
            Self::Ipv4 | Self::Ipv6 => "ADDRESS",
            Self::Ipv4Net | Self::Ipv6Net => "ADDRESS/PREFIX",
            Self::Mac => "MAC",
            Self::Interface | Self::Name => "NAME",
            Self::Url => "URL",
            Self::Levels => "LEVELS",
            Self::Folder => "DIR",
        }
    }

    /// What it takes, in words.
    fn takes(self) -> String {
        match self {
            Self::Choice(words) => match words.split_last() {
                Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
                None => String::new(),
            },
            Self::Flag => "yes or no".into(),
            Self::Number { least, most } => format!("a number from {least} to {most}"),
            Self::Size => "a size such as 4M, of 256K at least".into(),
            Self::Ipv4 => "an address such as 10.0.0.1".into(),
            Self::Ipv4Net => "an address such as 10.0.0.2/24".into(),
            Self::Ipv6 => "an address such as fe80::1".into(),
            Self::Ipv6Net => "an address such as 2001:db8::2/64, auto or link-local".into(),
            Self::Mac => "an address such as 02:00:00:00:00:01".into(),
            Self::Interface => "a name of at most 15 letters, digits and . _ - @".into(),
            Self::Name => {
                "a name of at most 64 letters, digits and . _ - +, not of digits alone".into()
            }
            Self::Url => "a URL such as https://example.org".into(),
            Self::Levels => "levels such as warn, or net:debug,*:info".into(),
            Self::Folder => {
                format!("a folder's name, of at most {LONGEST} bytes without control characters")
            }
        }
    }

    /// The text as it is kept, or what would have been right.
    pub(crate) fn check(self, text: &str) -> Result<String, String> {
        let good = match self {
            Self::Choice(words) => words.contains(&text),
            Self::Flag => matches!(text, "yes" | "no"),
            Self::Number { least, most } => {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                let number = text
                    .parse()
                    .ok()
                    .filter(|n| digits && (least..=most).contains(n));
                return number.map(|n: i64| n.to_string()).ok_or(self.takes());
            }
            Self::Size => size(text),
            Self::Ipv4 => text.parse().is_ok_and(|a: Ipv4Addr| host4(a)),
            Self::Ipv4Net => ipv4(text).is_some() && taken("ipv4", text),
            Self::Ipv6 => text.parse().is_ok_and(|a: Ipv6Addr| host6(a)),
            Self::Ipv6Net => {
                matches!(text, "auto" | "link-local") || ipv6(text).is_some() && taken("ipv6", text)
            }
            Self::Mac => mac(text),
            Self::Interface => interface(text),
            Self::Name => {
                let all = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
                // xl takes a name of digits for a domain's number.
                let number = text.bytes().all(|byte| byte.is_ascii_digit());
                named(text, 64) && text.chars().all(all) && !number
            }
            Self::Url => text.len() <= LONGEST && www::config::is_base_url(text),
            Self::Levels => line(text) && image::check_logs(text),
            Self::Folder => line(text),
        };
        good.then(|| text.to_owned()).ok_or(self.takes())
    }

    /// A value of the file as text, or what would have been right.
    pub(crate) fn read(self, value: &Value) -> Result<String, String> {
        let wrong = || match self {
            Self::Flag => "true or false".to_owned(),
            Self::Number { .. } | Self::Size => self.takes(),
            _ => format!("{}, in quotes", self.takes()),
        };
        match (self, value) {
            (Self::Flag, Value::Boolean(yes)) => Ok(if *yes.value() { "yes" } else { "no" }.into()),
            (Self::Flag, _) => Err(wrong()),
            (Self::Number { .. } | Self::Size, Value::Integer(number)) => {
                self.check(&number.value().to_string())
            }
            (Self::Number { .. }, _) => Err(wrong()),
            (_, Value::String(text)) => self.check(text.value()),
            _ => Err(wrong()),
        }
    }

    /// What [`Self::check`] has let pass as a value of the file.
    pub(crate) fn write(self, text: &str) -> Value {
        match (self, text.parse::<i64>()) {
            (Self::Flag, _) => (text == "yes").into(),
            (Self::Number { .. }, Ok(number)) => number.into(),
            _ => text.into(),
        }
    }
}

/// The address and the length of the prefix, if that is said.
pub(crate) fn ipv4(text: &str) -> Option<(Ipv4Addr, Option<u8>)> {
    let (address, prefix) = split(text, 32)?;
    Some((address.parse().ok()?, prefix))
}

/// The address and the length of the prefix, if that is said.
pub(crate) fn ipv6(text: &str) -> Option<(Ipv6Addr, Option<u8>)> {
    let (address, prefix) = split(text, 128)?;
    Some((address.parse().ok()?, prefix))
}

fn split(text: &str, most: u8) -> Option<(&str, Option<u8>)> {
    match text.split_once('/') {
        Some((address, prefix)) => {
            let prefix = prefix.parse().ok().filter(|prefix| *prefix <= most)?;
            Some((address, Some(prefix)))
        }
        None => Some((text, None)),
    }
}

fn host4(address: Ipv4Addr) -> bool {
    !address.is_multicast() && !address.is_unspecified() && !address.is_broadcast()
}

fn host6(address: Ipv6Addr) -> bool {
    !address.is_multicast() && !address.is_unspecified()
}

fn size(text: &str) -> bool {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let number = digits
        .parse::<usize>()
        .ok()
        .filter(|_| digits.bytes().all(|b| b.is_ascii_digit()));
    let bytes = number.and_then(|number| number.checked_mul(unit));
    bytes.is_some_and(|bytes| bytes >= www::config::MIN_CACHE)
}

fn mac(text: &str) -> bool {
    let part = |part: &str| {
        let two = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        two.then(|| u8::from_str_radix(part, 16).ok()).flatten()
    };
    let bytes: Option<Vec<u8>> = text.split(':').take(7).map(part).collect();
    bytes.is_some_and(|b| b.len() == 6 && b[0] & 1 == 0 && b.iter().any(|byte| *byte != 0))
}

/// Fewer than Linux has: what a shell, xl and libvirt take as it is.
fn interface(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
    named(text, 15) && text.chars().all(good)
}

/// What is neither a folder nor, on a command line, an option.
fn named(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && !text.starts_with('-') && !matches!(text, "." | "..")
}

fn line(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Whether the program itself takes this address to listen on.
fn taken(name: &str, text: &str) -> bool {
    let word = format!("--{name}={text}");
    Command::parse(Platform::Unix, [word.as_str()], []).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_and_what_is_not() {
        let number = Kind::Number { least: 8, most: 64 };
        let table: [(Kind, &[&str], &[&str]); 14] = [
            (Kind::Choice(&["a", "b"]), &["a", "b"], &["", "c", "A"]),
            (Kind::Flag, &["yes", "no"], &["true", "", "1"]),
            (number, &["8", "64"], &["7", "65", "-8", "+8", "8.0", ""]),
            (
                Kind::Size,
                &["256K", "4M", "1g", "262144"],
                &["255K", "M", "-1M", "99999999999G"],
            ),
            (
                Kind::Ipv4,
                &["10.0.0.1"],
                &["10.0.0.1/24", "0.0.0.0", "224.0.0.1", "::1", "x"],
            ),
            (
                Kind::Ipv4Net,
                &["10.0.0.1/24", "10.0.0.1"],
                &[
                    "10.0.0.1/33",
                    "10.0.0/8",
                    "255.255.255.255/8",
                    "10.0.0.0/24",
                    "10.0.0.255/24",
                ],
            ),
            (Kind::Ipv6, &["fe80::1"], &["::", "ff02::1", "10.0.0.1"]),
            (
                Kind::Ipv6Net,
                &["auto", "link-local", "2001:db8::2/64"],
                &["2001:db8::2/129", "slaac"],
            ),
            (
                Kind::Mac,
                &["02:00:00:00:00:01"],
                &[
                    "01:00:00:00:00:01",
                    "02:00:00:00:00",
                    "00:00:00:00:00:00",
                    "2:0:0:0:0:1",
                ],
            ),
            (
                Kind::Interface,
                &["xenbr0", "tap-1"],
                &[
                    "",
                    "sixteen-letters-",
                    "a b",
                    "a/b",
                    "a,b",
                    "..",
                    "a'b",
                    "a;b",
                    "-a",
                    "a:0",
                    "$(a)",
                    "ü",
                ],
            ),
            (
                Kind::Name,
                &["www", "7up", "a+b"],
                &["", "7", "-a", "a b", ".."],
            ),
            (
                Kind::Url,
                &["https://example.org", "http://[::1]:8080/a/"],
                &[
                    "",
                    "example.org",
                    "https://",
                    "https://a?b",
                    "ftp://a",
                    "https://a b",
                ],
            ),
            (
                Kind::Levels,
                &["net:debug,*:info", "WARN", "net: debug, *:off"],
                &["", "a\nb", "loud", "net:", ":info", "info,", "net"],
            ),
            (Kind::Folder, &["a b", "/", "é"], &["", "a\nb", "a\x1bb"]),
        ];
        for (kind, good, bad) in table {
            good.iter()
                .for_each(|text| assert_eq!(kind.check(text).as_deref(), Ok(*text)));
            bad.iter()
                .for_each(|text| assert!(kind.check(text).is_err(), "{kind:?} {text}"));
        }
    }

    #[test]
    fn the_file_and_back() {
        for (kind, text, value) in [
            (Kind::Flag, "yes", "true"),
            (Kind::Number { least: 0, most: 9 }, "7", "7"),
            (Kind::Size, "4M", "\"4M\""),
            (Kind::Folder, "a \"b\"", "'a \"b\"'"),
        ] {
            let written = kind.write(text);
            assert_eq!(written.to_string(), value);
            assert_eq!(kind.read(&written).as_deref(), Ok(text));
        }
        let wrong = Kind::Flag.read(&Value::from("yes")).unwrap_err();
        assert_eq!(wrong, "true or false");
        let wrong = Kind::Mac.read(&Value::from(2)).unwrap_err();
        assert_eq!(wrong, "an address such as 02:00:00:00:00:01, in quotes");
    }
}
