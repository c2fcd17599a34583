//! Runtime arguments: the same words on Unix and on Xen's command line.
//!
//! What is not understood is an error, in one line that names what was probably meant; nothing is
//! accepted that has no effect.

mod size;
mod words;

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

pub use size::MIN_CACHE;
pub use words::{UnclosedQuote, split};

/// Where the service runs, which decides on defaults and on what can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// As a Xen guest, with a network stack of its own.
    Xen,
    /// As a process, with the system's.
    Unix,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// To serve, in this way.
    Serve(Config),
    /// [`help`].
    Help,
}

/// How to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The IPv4 address. On Unix: the one to listen on, all if `None`.
    pub ipv4: Option<Net<Ipv4Addr>>,
    /// Where IPv4 packets for other networks go.
    pub ipv4_gateway: Option<Ipv4Addr>,
    /// The IPv6 address, beside the link-local one. On Unix as [`ipv4`](Self::ipv4).
    pub ipv6: Option<Net<Ipv6Addr>>,
    /// Where IPv6 packets for other networks go.
    pub ipv6_gateway: Option<Ipv6Addr>,
    /// The port to listen on. Zero, on Unix: any that is free.
    pub http_port: u16,
    /// Connections at once; `None` leaves it to the platform.
    pub max_connections: Option<usize>,
    /// The file that has the pack, if not the program's own.
    pub pack: Option<String>,
    /// Where the site is.
    pub kv_ro: KvRo,
    /// The disk with the static files: a block device of the guest, on Unix an image's path. With
    /// [`KvRo::Fat`] there is this one or [`pages`](Self::pages) or both; otherwise none.
    pub files: Option<String>,
    /// The disk with the rendered pages.
    pub pages: Option<String>,
    /// Bytes of memory for what was read from disks, at least [`MIN_CACHE`]; `None` leaves it to
    /// the platform.
    pub cache: Option<usize>,
    /// What is logged, in the words of whatever logs.
    pub logs: Option<String>,
}

/// Where a site is, in MirageOS's words: the kinds of read-only key-value stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KvRo {
    /// A pack, in the program.
    #[default]
    Crunch,
    /// FAT volumes.
    Fat,
}

/// An address and the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net<A> {
    /// The address.
    pub address: A,
    /// The number of bits of it that are the network's.
    pub prefix: u8,
}

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
    /// One disk for both volumes.
    SameDisk,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { word, nearest } => {
                write!(f, "unknown argument '{}'", word.escape_debug())?;
                match nearest {
                    Some(nearest) => write!(f, ": did you mean {nearest}?"),
                    None => f.write_str(": --help lists them"),
                }
            }
            Self::Elsewhere(name) => write!(f, "{name} has no effect on this platform"),
            Self::NoValue(name) => write!(f, "{name} needs a value"),
            Self::HasValue(name) => write!(f, "{name} takes no value"),
            Self::Value { name, value, takes } => {
                write!(f, "{name} takes {takes}, not '{}'", value.escape_debug())
            }
            Self::Needs { name, other } => write!(f, "{name} needs {other}"),
            Self::SameDisk => f.write_str(
                "--files and --pages name the same disk: one of them is enough for a disk that \
                 has everything",
            ),
        }
    }
}

impl core::error::Error for ConfigError {}

/// An argument.
struct Known {
    name: &'static str,
    /// What stands for its value in the help; empty if it has none.
    value: &'static str,
    only: Option<Platform>,
    help: &'static str,
}

const IPV4: &str = "--ipv4";
const IPV4_GATEWAY: &str = "--ipv4-gateway";
const IPV6: &str = "--ipv6";
const IPV6_GATEWAY: &str = "--ipv6-gateway";
const HTTP_PORT: &str = "--http-port";
const MAX_CONNECTIONS: &str = "--max-connections";
const PACK: &str = "--pack";
const KV_RO: &str = "--kv_ro";
const FILES: &str = "--files";
const PAGES: &str = "--pages";
const CACHE: &str = "--cache";
const LOGS: &str = "--logs";
const HELP: &str = "--help";

/// The disks that a guest looks for if none is named.
const FILES_DISK: &str = "xvda";
const PAGES_DISK: &str = "xvdb";

const KNOWN: [Known; 13] = [
    Known {
        name: IPV4,
        value: "ADDRESS/PREFIX",
        only: None,
        help: "IPv4 address",
    },
    Known {
        name: IPV4_GATEWAY,
        value: "ADDRESS",
        only: Some(Platform::Xen),
        help: "IPv4 router",
    },
    Known {
        name: IPV6,
        value: "ADDRESS/PREFIX",
        only: None,
        help: "IPv6 address",
    },
    Known {
        name: IPV6_GATEWAY,
        value: "ADDRESS",
        only: Some(Platform::Xen),
        help: "IPv6 router",
    },
    Known {
        name: HTTP_PORT,
        value: "PORT",
        only: None,
        help: "port to listen on",
    },
    Known {
        name: MAX_CONNECTIONS,
        value: "N",
        only: None,
        help: "connections at once",
    },
    Known {
        name: PACK,
        value: "FILE",
        only: Some(Platform::Unix),
        help: "serve this pack, not the one in the program",
    },
    Known {
        name: KV_RO,
        value: "crunch|fat",
        only: None,
        help: "where the site is: a pack, or FAT volumes",
    },
    Known {
        name: FILES,
        value: "DISK",
        only: None,
        help: "FAT: static files; on Xen a disk (xvda), on Unix an image's path",
    },
    Known {
        name: PAGES,
        value: "DISK",
        only: None,
        help: "FAT: rendered pages; on Xen a disk (xvdb), on Unix an image's path",
    },
    Known {
        name: CACHE,
        value: "SIZE",
        only: None,
        help: "FAT: memory for what was read, such as 4M",
    },
    Known {
        name: LOGS,
        value: "LEVELS",
        only: None,
        help: "off, error, warn, info, debug or trace, or target:LEVEL,*:LEVEL (also -l)",
    },
    Known {
        name: HELP,
        value: "",
        only: None,
        help: "this text",
    },
];

impl Config {
    /// What holds if nothing is said.
    pub fn new(platform: Platform) -> Self {
        let xen = platform == Platform::Xen;
        Self {
            ipv4: xen.then_some(Net {
                address: Ipv4Addr::new(10, 0, 0, 2),
                prefix: 24,
            }),
            ipv4_gateway: None,
            ipv6: None,
            ipv6_gateway: None,
            http_port: if xen { 80 } else { 8080 },
            max_connections: None,
            pack: None,
            kv_ro: KvRo::default(),
            files: None,
            pages: None,
            cache: None,
            logs: None,
        }
    }
}

impl Command {
    /// Reads arguments, without the program's name. Where one is given twice, the last counts.
    pub fn parse<'a>(
        platform: Platform,
        words: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ConfigError> {
        let mut config = Config::new(platform);
        let mut words = words.into_iter();
        let mut help = false;
        while let Some(word) = words.next() {
            let (name, mut value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (word, None),
            };
            let name = match name {
                "-h" => HELP,
                "-l" => LOGS,
                short if short.starts_with("-l") && value.is_none() => {
                    value = Some(&short[2..]);
                    LOGS
                }
                long => long,
            };
            let known =
                KNOWN
                    .iter()
                    .find(|k| k.name == name)
                    .ok_or_else(|| ConfigError::Unknown {
                        word: name.to_owned(),
                        nearest: nearest(platform, name),
                    })?;
            if known.only.is_some_and(|only| only != platform) {
                return Err(ConfigError::Elsewhere(known.name));
            }
            if known.value.is_empty() {
                if value.is_some() {
                    return Err(ConfigError::HasValue(known.name));
                }
                help = true;
                continue;
            }
            let value = value.or_else(|| words.next()).filter(|v| !v.is_empty());
            let value = value.ok_or(ConfigError::NoValue(known.name))?;
            config.set(platform, known.name, value)?;
        }
        if help {
            return Ok(Self::Help);
        }
        config.check()?;
        config.disks(platform)?;
        Ok(Self::Serve(config))
    }
}

impl Config {
    fn set(
        &mut self,
        platform: Platform,
        name: &'static str,
        value: &str,
    ) -> Result<(), ConfigError> {
        let not = |takes| ConfigError::Value {
            name,
            value: value.to_owned(),
            takes,
        };
        // On Unix the system knows the network.
        let bare = platform == Platform::Unix;
        match name {
            IPV4 => {
                let net = Net::parse(value, 32, bare)
                    .filter(|net: &Net<Ipv4Addr>| !net.address.is_multicast())
                    .filter(|net| !net.address.is_unspecified() && !net.address.is_broadcast());
                self.ipv4 = Some(net.ok_or(not("an address such as 10.0.0.2/24"))?);
            }
            IPV6 => {
                let net = Net::parse(value, 128, bare)
                    .filter(|net: &Net<Ipv6Addr>| !net.address.is_multicast())
                    .filter(|net| !net.address.is_unspecified());
                self.ipv6 = Some(net.ok_or(not("an address such as 2001:db8::2/64"))?);
            }
            IPV4_GATEWAY => {
                let address = value
                    .parse()
                    .map_err(|_| not("an address such as 10.0.0.1"))?;
                self.ipv4_gateway = Some(address);
            }
            IPV6_GATEWAY => {
                let address = value
                    .parse()
                    .map_err(|_| not("an address such as fe80::1"))?;
                self.ipv6_gateway = Some(address);
            }
            HTTP_PORT => {
                let port = value.parse().ok().filter(|port| *port != 0 || bare);
                self.http_port = port.ok_or(not("a port from 1 to 65535"))?;
            }
            MAX_CONNECTIONS => {
                let most = value.parse().ok().filter(|n| (1..=10_000_000).contains(n));
                self.max_connections = Some(most.ok_or(not("a number from 1 to 10000000"))?);
            }
            KV_RO => {
                self.kv_ro = match value {
                    "crunch" => KvRo::Crunch,
                    "fat" => KvRo::Fat,
                    _ => return Err(not("crunch or fat")),
                };
            }
            FILES => self.files = Some(value.to_owned()),
            PAGES => self.pages = Some(value.to_owned()),
            CACHE => {
                let size = size::parse(value).filter(|size| *size >= MIN_CACHE);
                self.cache = Some(size.ok_or(not("a size such as 4M, of 256K at least"))?);
            }
            LOGS => self.logs = Some(value.to_owned()),
            _ => self.pack = Some(value.to_owned()),
        }
        Ok(())
    }

    /// What of the disks can be known only when all is said. If none is named, a guest has its
    /// first two; if one is, that is the only one.
    fn disks(&mut self, platform: Platform) -> Result<(), ConfigError> {
        let given = [
            (FILES, self.files.is_some()),
            (PAGES, self.pages.is_some()),
            (CACHE, self.cache.is_some()),
        ];
        let (named, other) = match self.kv_ro {
            KvRo::Crunch => (given.iter().find(|(_, given)| *given), "--kv_ro=fat"),
            KvRo::Fat if self.pack.is_some() => (Some(&(PACK, true)), "--kv_ro=crunch"),
            KvRo::Fat => (None, ""),
        };
        if let Some((name, _)) = named {
            return Err(ConfigError::Needs { name, other });
        }
        if self.kv_ro == KvRo::Fat && self.files.is_none() && self.pages.is_none() {
            if platform == Platform::Unix {
                return Err(ConfigError::Needs {
                    name: "--kv_ro=fat",
                    other: "--files or --pages",
                });
            }
            self.files = Some(FILES_DISK.to_owned());
            self.pages = Some(PAGES_DISK.to_owned());
        }
        if self.files.is_some() && self.files == self.pages {
            return Err(ConfigError::SameDisk);
        }
        Ok(())
    }

    /// What can be known only when all is said.
    fn check(&self) -> Result<(), ConfigError> {
        if let Some(gateway) = self.ipv4_gateway
            && !self.ipv4.is_some_and(|net| net.has(gateway))
        {
            return Err(ConfigError::Value {
                name: IPV4_GATEWAY,
                value: alloc::format!("{gateway}"),
                takes: "an address in the network of --ipv4",
            });
        }
        if let Some(gateway) = self.ipv6_gateway
            && !gateway.is_unicast_link_local()
            && !self.ipv6.is_some_and(|net| net.has(gateway))
        {
            return Err(ConfigError::Value {
                name: IPV6_GATEWAY,
                value: alloc::format!("{gateway}"),
                takes: "a link-local address or one in the network of --ipv6",
            });
        }
        Ok(())
    }
}

impl<A: FromStr> Net<A> {
    fn parse(text: &str, most: u8, bare: bool) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, prefix.parse().ok().filter(|p| *p <= most)?),
            None if bare => (text, most),
            None => return None,
        };
        Some(Self {
            address: address.parse().ok()?,
            prefix,
        })
    }
}

impl Net<Ipv4Addr> {
    fn has(&self, other: Ipv4Addr) -> bool {
        let differ = self.address.to_bits() ^ other.to_bits();
        self.address != other && differ.leading_zeros() >= self.prefix.into()
    }
}

impl Net<Ipv6Addr> {
    fn has(&self, other: Ipv6Addr) -> bool {
        let differ = self.address.to_bits() ^ other.to_bits();
        self.address != other && differ.leading_zeros() >= self.prefix.into()
    }
}

impl<A: fmt::Display> fmt::Display for Net<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// What arguments there are, one a line.
pub fn help(platform: Platform) -> impl fmt::Display {
    struct Help(Platform);
    impl fmt::Display for Help {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            for known in KNOWN.iter().filter(|k| k.only.is_none_or(|p| p == self.0)) {
                let equals = if known.value.is_empty() { "" } else { "=" };
                let name = alloc::format!("{}{equals}{}", known.name, known.value);
                writeln!(f, "  {name:<24}  {}", known.help)?;
            }
            Ok(())
        }
    }
    Help(platform)
}

/// The argument that the fewest changes make of `word`, if they are few.
fn nearest(platform: Platform, word: &str) -> Option<&'static str> {
    let word = word.get(..32).unwrap_or(word);
    KNOWN
        .iter()
        .filter(|k| k.only.is_none_or(|p| p == platform))
        .map(|k| (distance(k.name.as_bytes(), word.as_bytes()), k.name))
        .min()
        .filter(|(changes, name)| *changes <= name.len() / 3)
        .map(|(_, name)| name)
}

/// Insertions, deletions and substitutions that make one of the other (Levenshtein). `a` has at
/// most 31 bytes.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: [usize; 32] = core::array::from_fn(|i| i);
    for (i, from) in b.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, to) in a.iter().enumerate() {
            let substituted = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[a.len()]
}

#[cfg(test)]
mod tests;
