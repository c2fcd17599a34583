//! Runtime arguments: the same words on Unix and on Xen's command line.
//!
//! What is not understood is an error, in one line that names what was probably meant; nothing is
//! accepted that has no effect. An image may have words of its own built in: what is given takes
//! their place.

mod arguments;
mod error;
mod given;
mod parse;
mod size;
mod words;

use alloc::string::String;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

pub use arguments::help;
pub use error::ConfigError;
pub use given::Given;
pub use parse::is_base_url;
pub use size::MIN_CACHE;
pub use words::{UnclosedQuote, split};

/// The IPv4 address of a stack of our own that was told nothing else.
pub const DEFAULT_IPV4: Net<Ipv4Addr> = Net {
    address: Ipv4Addr::new(10, 0, 0, 2),
    prefix: 24,
};

/// The tap device of a process that was told no other.
pub const DEFAULT_TAP: &str = "tap0";

/// Where the service runs, which decides on defaults and on what can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// As a Xen guest, with a network stack of its own.
    Xen,
    /// As a process, with the system's network stack or its own.
    Unix,
}

/// What was asked for.
#[expect(clippy::large_enum_variant, reason = "there is one, once")]
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
    /// Whose TCP/IP stack: always [`NetKind::Direct`] on Xen.
    pub net: NetKind,
    /// The tap device, if it is not [`DEFAULT_TAP`]. This and the next two are of Unix with
    /// [`NetKind::Direct`].
    pub tap: Option<String>,
    /// Our MAC address, if it is not to be made up.
    pub mac: Option<[u8; 6]>,
    /// The file to capture packets to.
    pub pcap: Option<String>,
    /// The IPv4 address that was asked for. With the system's stack: the one to listen on, all if
    /// `None`. With our own, `None` leaves it to [`dhcp`](Self::dhcp), to what the toolstack says,
    /// and then to [`DEFAULT_IPV4`].
    pub ipv4: Option<Net<Ipv4Addr>>,
    /// Where IPv4 packets for other networks go.
    pub ipv4_gateway: Option<Ipv4Addr>,
    /// Whether a DHCP server gives the IPv4 address; then none was asked for.
    pub dhcp: bool,
    /// The IPv6 address. With the system's stack, an address is the one to listen on.
    pub ipv6: Ipv6,
    /// Where IPv6 packets for other networks go.
    pub ipv6_gateway: Option<Ipv6Addr>,
    /// The port to listen on. Zero, with the system's stack: any that is free.
    pub http_port: u16,
    /// Connections at once; `None` leaves it to the platform.
    pub max_connections: Option<usize>,
    /// Where everything is, if not here: a URL without query and fragment.
    pub redirect: Option<String>,
    /// The file that has the pack, if not the program's own. Unix.
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
    /// The site's folder; there is one with [`KvRo::Direct`], and otherwise none.
    pub site: Option<String>,
    /// Whether pages load themselves again in the browser when the site's folder changes.
    pub reload: bool,
    /// Whether each request is logged.
    pub access_log: bool,
    /// What is logged, in the words of whatever logs.
    pub logs: Option<String>,
}

/// Whose TCP/IP stack, in MirageOS's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetKind {
    /// The system's.
    #[default]
    Socket,
    /// Our own, on a network interface.
    Direct,
}

/// Which IPv6 addresses there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ipv6 {
    /// A link-local one, and what routers advertise (SLAAC). With the system's stack: its own.
    #[default]
    Auto,
    /// The link-local one alone.
    LinkLocal,
    /// This one, beside the link-local one.
    Static(Net<Ipv6Addr>),
}

/// Where a site is, in MirageOS's words: the kinds of read-only key-value stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KvRo {
    /// A pack, in the program.
    #[default]
    Crunch,
    /// FAT volumes.
    Fat,
    /// The site's folder, rendered on request. Unix.
    Direct,
}

/// An address and the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net<A> {
    /// The address.
    pub address: A,
    /// The number of bits of it that are the network's.
    pub prefix: u8,
}

impl Config {
    /// What holds if nothing is said.
    pub fn new(platform: Platform, net: NetKind) -> Self {
        Self {
            net,
            tap: None,
            mac: None,
            pcap: None,
            ipv4: None,
            ipv4_gateway: None,
            dhcp: false,
            ipv6: Ipv6::Auto,
            ipv6_gateway: None,
            http_port: match net {
                NetKind::Socket => 8080,
                NetKind::Direct => 80,
            },
            max_connections: None,
            redirect: None,
            pack: None,
            kv_ro: KvRo::default(),
            files: None,
            pages: None,
            cache: None,
            site: None,
            reload: true,
            access_log: platform == Platform::Unix,
            logs: None,
        }
    }
}

impl Ipv6 {
    /// The address that was asked for.
    pub fn asked(self) -> Option<Net<Ipv6Addr>> {
        match self {
            Self::Static(net) => Some(net),
            Self::Auto | Self::LinkLocal => None,
        }
    }
}

impl<A: fmt::Display> fmt::Display for Net<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests;
