//! Which arguments there are.

use core::fmt;

use super::Platform;

/// What an argument is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arg {
    Ipv4,
    Ipv4Gateway,
    Dhcp,
    Ipv6,
    Ipv6Gateway,
    HttpPort,
    MaxConnections,
    Redirect,
    KvRo,
    Files,
    Pages,
    Cache,
    AccessLog,
    Logs,
    Help,
    Net,
    Tap,
    Mac,
    Pcap,
    Pack,
    Site,
    Reload,
}

/// An argument.
pub(super) struct Known {
    pub(super) arg: Arg,
    pub(super) name: &'static str,
    /// What stands for its value in the help; empty if it has none.
    pub(super) value: &'static str,
    help: &'static str,
}

const fn known(arg: Arg, name: &'static str, value: &'static str, help: &'static str) -> Known {
    Known {
        arg,
        name,
        value,
        help,
    }
}

/// For every platform.
static COMMON: [Known; 15] = [
    known(Arg::Ipv4, "--ipv4", "ADDRESS/PREFIX", "IPv4 address"),
    known(Arg::Ipv4Gateway, "--ipv4-gateway", "ADDRESS", "IPv4 router"),
    known(Arg::Dhcp, "--dhcp", "", "IPv4 address from a DHCP server"),
    known(
        Arg::Ipv6,
        "--ipv6",
        "ADDRESS/PREFIX",
        "IPv6 address; auto: from routers, link-local: no other",
    ),
    known(Arg::Ipv6Gateway, "--ipv6-gateway", "ADDRESS", "IPv6 router"),
    known(Arg::HttpPort, "--http-port", "PORT", "port to listen on"),
    known(
        Arg::MaxConnections,
        "--max-connections",
        "N",
        "connections at once",
    ),
    known(
        Arg::Redirect,
        "--redirect",
        "URL",
        "answer everything with a redirect to the same path there",
    ),
    known(
        Arg::KvRo,
        "--kv_ro",
        "KIND",
        "where the site is: crunch, a pack; fat, FAT volumes; direct, a folder (Unix)",
    ),
    known(
        Arg::Files,
        "--files",
        "DISK",
        "FAT: static files; on Xen a disk (xvda), on Unix an image's path",
    ),
    known(
        Arg::Pages,
        "--pages",
        "DISK",
        "FAT: rendered pages; on Xen a disk (xvdb), on Unix an image's path",
    ),
    known(
        Arg::Cache,
        "--cache",
        "SIZE",
        "FAT: memory for what was read, such as 4M",
    ),
    known(Arg::AccessLog, "--access-log", "yes|no", "log each request"),
    known(
        Arg::Logs,
        "--logs",
        "LEVELS",
        "off, error, warn, info, debug or trace, or target:LEVEL,*:LEVEL (also -l)",
    ),
    known(Arg::Help, "--help", "", "this text"),
];

/// For processes alone.
static UNIX: [Known; 7] = [
    known(
        Arg::Net,
        "--net",
        "KIND",
        "whose TCP/IP stack: socket, the system's; direct, our own on a tap device",
    ),
    known(Arg::Tap, "--tap", "NAME", "direct: the tap device (tap0)"),
    known(Arg::Mac, "--mac", "ADDRESS", "direct: our MAC address"),
    known(Arg::Pcap, "--pcap", "FILE", "direct: capture packets"),
    known(
        Arg::Pack,
        "--pack",
        "FILE",
        "serve this pack, not the one in the program",
    ),
    known(Arg::Site, "--site", "DIR", "direct: the site's folder"),
    known(
        Arg::Reload,
        "--reload",
        "yes|no",
        "direct: pages show changes by themselves",
    ),
];

/// What there is on a platform.
pub(super) fn on(platform: Platform) -> impl Iterator<Item = &'static Known> + Clone {
    let own: &[Known] = match platform {
        Platform::Xen => &[],
        Platform::Unix => &UNIX,
    };
    COMMON.iter().chain(own)
}

/// What is called so on another platform than this one.
pub(super) fn elsewhere(platform: Platform, name: &str) -> Option<&'static str> {
    if platform == Platform::Unix {
        return None;
    }
    UNIX.iter().map(|k| k.name).find(|own| *own == name)
}

/// What arguments there are, one a line.
pub fn help(platform: Platform) -> impl fmt::Display {
    struct Help(Platform);
    impl fmt::Display for Help {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            for known in on(self.0) {
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
pub(super) fn nearest(platform: Platform, word: &str) -> Option<&'static str> {
    let word = word.get(..32).unwrap_or(word);
    on(platform)
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
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance(b"", b"abc"), 3);
        assert_eq!(distance(b"kitten", b"sitting"), 3);
        assert_eq!(distance(b"same", b"same"), 0);
    }
}
