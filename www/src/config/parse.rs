//! From words to what holds.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use super::arguments::{Arg, Known, elsewhere, nearest, on};
use super::{Command, Config, ConfigError, Ipv6, KvRo, MIN_CACHE, Net, NetKind, Platform, size};

/// The disks that a guest looks for if none is named.
const FILES_DISK: &str = "xvda";
const PAGES_DISK: &str = "xvdb";

/// The longest name of a network interface.
const TAP_NAME: usize = 15;

/// An argument with its value, which is empty if it takes none.
#[derive(Clone, Copy)]
struct Said<'a> {
    known: &'static Known,
    value: &'a str,
}

impl Command {
    /// Reads arguments, without the program's name, on top of those that are built into the
    /// program. Where one is given twice, the last counts. What is given takes the place of what is
    /// built in, and of that which only makes sense with it.
    pub fn parse<'a>(
        platform: Platform,
        built_in: impl IntoIterator<Item = &'a str>,
        given: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ConfigError> {
        let mut said = Vec::new();
        read(platform, &mut built_in.into_iter(), &mut said)?;
        let mut given_here = Vec::new();
        read(platform, &mut given.into_iter(), &mut given_here)?;
        replace(&mut said, &given_here);
        said.append(&mut given_here);
        if said.iter().any(|said| said.known.arg == Arg::Help) {
            return Ok(Self::Help);
        }
        let mut net = match platform {
            Platform::Xen => NetKind::Direct,
            Platform::Unix => NetKind::Socket,
        };
        for kind in said.iter().filter(|said| said.known.arg == Arg::Net) {
            net = match kind.value {
                "socket" => NetKind::Socket,
                "direct" => NetKind::Direct,
                _ => return Err(kind.not("socket or direct")),
            };
        }
        let mut config = Config::new(platform, net);
        for said in &said {
            config.set(platform, *said)?;
        }
        config.check(platform, &said)?;
        Ok(Self::Serve(config))
    }
}

/// Whether this is a URL that paths can be put behind: with a scheme and a host, without query and
/// fragment.
pub fn is_base_url(url: &str) -> bool {
    let url = url.as_bytes();
    let rest = url.strip_prefix(b"http");
    let rest = rest.map(|rest| rest.strip_prefix(b"s").unwrap_or(rest));
    let rest = rest.and_then(|rest| rest.strip_prefix(b"://"));
    let is = |b: &u8| b.is_ascii_graphic() && !b"\"#<>?@\\^`{|}".contains(b);
    matches!(rest, Some([first, ..]) if !b"/:".contains(first)) && url.iter().all(is)
}

/// Words to arguments.
fn read<'a>(
    platform: Platform,
    words: &mut dyn Iterator<Item = &'a str>,
    said: &mut Vec<Said<'a>>,
) -> Result<(), ConfigError> {
    while let Some(word) = words.next() {
        let (name, mut value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let name = match name {
            "-h" => "--help",
            "-l" => "--logs",
            short if short.starts_with("-l") && value.is_none() => {
                value = Some(&short[2..]);
                "--logs"
            }
            long => long,
        };
        let Some(known) = on(platform).find(|known| known.name == name) else {
            return Err(match elsewhere(platform, name) {
                Some(name) => ConfigError::Elsewhere(name),
                None => ConfigError::Unknown {
                    word: name.to_owned(),
                    nearest: nearest(platform, name),
                },
            });
        };
        if known.value.is_empty() {
            if value.is_some() {
                return Err(ConfigError::HasValue(known.name));
            }
            said.push(Said { known, value: "" });
            continue;
        }
        let value = value.or_else(|| words.next()).filter(|v| !v.is_empty());
        let value = value.ok_or(ConfigError::NoValue(known.name))?;
        said.push(Said { known, value });
    }
    Ok(())
}

/// Takes out of what is built in what does not fit what is given.
fn replace(built_in: &mut Vec<Said<'_>>, given: &[Said<'_>]) {
    for new in given {
        let other = |arg| {
            let mut old = built_in.iter().rev();
            let old = old.find(|old| old.known.arg == arg);
            old.is_none_or(|old| old.value != new.value)
        };
        let gone: &[Arg] = match new.known.arg {
            Arg::Ipv4 | Arg::Dhcp => &[Arg::Ipv4, Arg::Ipv4Gateway, Arg::Dhcp],
            Arg::Ipv6 => &[Arg::Ipv6, Arg::Ipv6Gateway],
            Arg::KvRo if other(Arg::KvRo) => &[
                Arg::Files,
                Arg::Pages,
                Arg::Cache,
                Arg::Pack,
                Arg::Site,
                Arg::Reload,
            ],
            Arg::Net if other(Arg::Net) => &[
                Arg::Tap,
                Arg::Mac,
                Arg::Pcap,
                Arg::Ipv4,
                Arg::Ipv4Gateway,
                Arg::Dhcp,
                Arg::Ipv6,
                Arg::Ipv6Gateway,
            ],
            _ => &[],
        };
        built_in.retain(|old| !gone.contains(&old.known.arg));
    }
}

impl Said<'_> {
    fn not(&self, takes: &'static str) -> ConfigError {
        ConfigError::Value {
            name: self.known.name,
            value: self.value.to_owned(),
            takes,
        }
    }

    fn yes(&self) -> Result<bool, ConfigError> {
        match self.value {
            "yes" => Ok(true),
            "no" => Ok(false),
            _ => Err(self.not("yes or no")),
        }
    }

    fn text(&self) -> Option<String> {
        Some(self.value.to_owned())
    }
}

impl Config {
    fn set(&mut self, platform: Platform, said: Said<'_>) -> Result<(), ConfigError> {
        let value = said.value;
        // The system knows the network.
        let bare = self.net == NetKind::Socket;
        match said.known.arg {
            Arg::Ipv4 => {
                let net = Net::<Ipv4Addr>::host(value, bare);
                self.ipv4 = Some(net.ok_or(said.not("an address such as 10.0.0.2/24"))?);
            }
            Arg::Ipv6 => {
                let net = Net::<Ipv6Addr>::host(value, bare);
                self.ipv6 = match value {
                    "auto" => Ipv6::Auto,
                    "link-local" => Ipv6::LinkLocal,
                    _ => Ipv6::Static(net.ok_or(said.not("an address such as 2001:db8::2/64"))?),
                };
            }
            Arg::Ipv4Gateway => {
                let address = value.parse();
                let address = address.map_err(|_| said.not("an address such as 10.0.0.1"))?;
                self.ipv4_gateway = Some(address);
            }
            Arg::Ipv6Gateway => {
                let address = value.parse();
                let address = address.map_err(|_| said.not("an address such as fe80::1"))?;
                self.ipv6_gateway = Some(address);
            }
            Arg::Dhcp => self.dhcp = true,
            Arg::HttpPort => {
                let port = value.parse().ok().filter(|port| *port != 0 || bare);
                self.http_port = port.ok_or(said.not("a port from 1 to 65535"))?;
            }
            Arg::MaxConnections => {
                let most = value.parse().ok().filter(|n| (1..=10_000_000).contains(n));
                self.max_connections = Some(most.ok_or(said.not("a number from 1 to 10000000"))?);
            }
            Arg::KvRo => {
                self.kv_ro = match (value, platform) {
                    ("crunch", _) => KvRo::Crunch,
                    ("fat", _) => KvRo::Fat,
                    ("direct", Platform::Unix) => KvRo::Direct,
                    (_, Platform::Unix) => return Err(said.not("crunch, fat or direct")),
                    (_, Platform::Xen) => return Err(said.not("crunch or fat")),
                };
            }
            Arg::Redirect => {
                let url = said.text().filter(|url| is_base_url(url));
                self.redirect = Some(url.ok_or(said.not("a URL such as https://example.org"))?);
            }
            Arg::Files => self.files = said.text(),
            Arg::Pages => self.pages = said.text(),
            Arg::Cache => {
                let size = size::parse(value).filter(|size| *size >= MIN_CACHE);
                self.cache = Some(size.ok_or(said.not("a size such as 4M, of 256K at least"))?);
            }
            Arg::AccessLog => self.access_log = said.yes()?,
            Arg::Logs => self.logs = said.text(),
            Arg::Tap => {
                let good = |c: char| !c.is_whitespace() && !c.is_control() && c != '/' && c != '%';
                let name = value.len() <= TAP_NAME && value.chars().all(good);
                let name = name && value != "." && value != "..";
                let name = name.then_some(()).and_then(|()| said.text());
                self.tap = Some(name.ok_or(said.not("a name of at most 15 bytes"))?);
            }
            Arg::Mac => {
                let mac = mac(value).filter(|mac| mac[0] & 1 == 0 && *mac != [0; 6]);
                let mac = mac.ok_or(said.not("an address such as 02:00:00:00:00:01"))?;
                self.mac = Some(mac);
            }
            Arg::Pcap => self.pcap = said.text(),
            Arg::Pack => self.pack = said.text(),
            Arg::Site => self.site = said.text(),
            Arg::Reload => self.reload = said.yes()?,
            // Looked at before all others.
            Arg::Net | Arg::Help => {}
        }
        Ok(())
    }

    /// What can be known only when all is said. If no disk is named, a guest has its first two; if
    /// one is, that is the only one.
    fn check(&mut self, platform: Platform, said: &[Said<'_>]) -> Result<(), ConfigError> {
        for said in said {
            if let Some(other) = self.lacks(*said) {
                let name = said.known.name;
                return Err(ConfigError::Needs { name, other });
            }
        }
        self.check_addresses()?;
        match (self.kv_ro, platform) {
            (KvRo::Fat, _) if self.files.is_some() || self.pages.is_some() => {}
            (KvRo::Fat, Platform::Unix) => {
                return Err(ConfigError::Needs {
                    name: "--kv_ro=fat",
                    other: "--files or --pages",
                });
            }
            (KvRo::Fat, Platform::Xen) => {
                self.files = Some(FILES_DISK.to_owned());
                self.pages = Some(PAGES_DISK.to_owned());
            }
            (KvRo::Direct, _) if self.site.is_none() => {
                return Err(ConfigError::Needs {
                    name: "--kv_ro=direct",
                    other: "--site",
                });
            }
            (KvRo::Direct | KvRo::Crunch, _) => {}
        }
        if self.files.is_some() && self.files == self.pages {
            return Err(ConfigError::SameDisk);
        }
        Ok(())
    }

    /// What an argument would need to have an effect.
    fn lacks(&self, said: Said<'_>) -> Option<&'static str> {
        let own_stack = self.net == NetKind::Direct;
        let (fits, other) = match said.known.arg {
            Arg::Files | Arg::Pages | Arg::Cache => (self.kv_ro == KvRo::Fat, "--kv_ro=fat"),
            Arg::Site | Arg::Reload => (self.kv_ro == KvRo::Direct, "--kv_ro=direct"),
            Arg::Pack => (self.kv_ro == KvRo::Crunch, "--kv_ro=crunch"),
            Arg::Tap | Arg::Mac | Arg::Pcap => (own_stack, "--net=direct"),
            Arg::Dhcp | Arg::Ipv4Gateway | Arg::Ipv6Gateway => (own_stack, "--net=direct"),
            Arg::Ipv6 if self.ipv6.asked().is_none() => (own_stack, "--net=direct"),
            _ => return None,
        };
        (!fits).then_some(other)
    }

    fn check_addresses(&self) -> Result<(), ConfigError> {
        if self.dhcp && self.ipv4.is_some() {
            return Err(ConfigError::Both("--dhcp", "--ipv4"));
        }
        if self.dhcp && self.ipv4_gateway.is_some() {
            return Err(ConfigError::Both("--dhcp", "--ipv4-gateway"));
        }
        if let Some(gateway) = self.ipv4_gateway
            && self.ipv4.is_some_and(|net| !net.has(gateway))
        {
            return Err(ConfigError::Value {
                name: "--ipv4-gateway",
                value: alloc::format!("{gateway}"),
                takes: "an address in the network of --ipv4",
            });
        }
        if let Some(gateway) = self.ipv6_gateway
            && !gateway.is_unicast_link_local()
            && !self.ipv6.asked().is_some_and(|net| net.has(gateway))
        {
            return Err(ConfigError::Value {
                name: "--ipv6-gateway",
                value: alloc::format!("{gateway}"),
                takes: "a link-local address or one in the network of --ipv6",
            });
        }
        Ok(())
    }
}

/// Six bytes in hexadecimal, with colons between them.
fn mac(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        let part = parts.next().filter(|part| part.len() == 2)?;
        let digits = part.bytes().all(|b| b.is_ascii_hexdigit());
        *byte = u8::from_str_radix(part, 16).ok().filter(|_| digits)?;
    }
    parts.next().is_none().then_some(bytes)
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
    /// One that a host can have; `bare`: the prefix may be left out.
    pub(super) fn host(text: &str, bare: bool) -> Option<Self> {
        let net: Self = Self::parse(text, 32, bare)?;
        let address = net.address;
        // All zeros and all ones are a network's name and everybody in it; RFC 3021 has none.
        let hosts = u32::MAX.checked_shr(net.prefix.into()).unwrap_or(0);
        let host = address.to_bits() & hosts;
        let nobody = hosts > 1 && (host == 0 || host == hosts);
        let other = address.is_multicast() || address.is_unspecified() || address.is_broadcast();
        (!nobody && !other).then_some(net)
    }

    fn has(&self, other: Ipv4Addr) -> bool {
        let differ = self.address.to_bits() ^ other.to_bits();
        self.address != other && differ.leading_zeros() >= self.prefix.into()
    }
}

impl Net<Ipv6Addr> {
    /// One that a host can have; `bare`: the prefix may be left out.
    pub(super) fn host(text: &str, bare: bool) -> Option<Self> {
        let net: Self = Self::parse(text, 128, bare)?;
        let other = net.address.is_multicast() || net.address.is_unspecified();
        (!other).then_some(net)
    }

    fn has(&self, other: Ipv6Addr) -> bool {
        let differ = self.address.to_bits() ^ other.to_bits();
        self.address != other && differ.leading_zeros() >= self.prefix.into()
    }
}
