//! Every option there is: its name is a key of `mir.toml` and, with two dashes, an argument.

use super::value::Kind;

/// An option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    Target,
    KvRo,
    Site,
    Reload,
    Cache,
    Net,
    Tap,
    Mac,
    Dhcp,
    Ipv4,
    Ipv4Gateway,
    Ipv6,
    Ipv6Gateway,
    HttpPort,
    MaxConnections,
    Redirect,
    AccessLog,
    Logs,
    Name,
    Memory,
    Bridge,
    VifIp,
    Dist,
}

/// What is known of an option.
pub(crate) struct Known {
    pub(crate) key: Key,
    /// As in `mir.toml`; `--` before it makes the argument.
    pub(crate) name: &'static str,
    pub(crate) short: Option<char>,
    pub(crate) kind: Kind,
    pub(crate) help: &'static str,
    /// What holds if nothing is said, in words where it depends.
    pub(crate) default: &'static str,
    pub(crate) heading: &'static str,
}

const WHAT: &str = "What is made";
const NETWORK: &str = "Network";
const SERVICE: &str = "Service";
const DOMAIN: &str = "Xen domain";

const fn known(
    key: Key,
    name: &'static str,
    kind: Kind,
    default: &'static str,
    heading: &'static str,
    help: &'static str,
) -> Known {
    Known {
        key,
        name,
        short: match key {
            Key::Target => Some('t'),
            Key::Logs => Some('l'),
            _ => None,
        },
        kind,
        help,
        default,
        heading,
    }
}

/// All of them, in the order in which they are shown.
#[rustfmt::skip]
pub(crate) const OPTIONS: [Known; 23] = [
    known(Key::Target, "target", Kind::Choice(&["unix", "xen"]), "unix", WHAT,
        "What it runs on"),
    known(Key::KvRo, "kv_ro", Kind::Choice(&["crunch", "fat", "direct"]), "crunch", WHAT,
        "Where the site is: crunch, in the program; fat, on two FAT images; direct, the folder \
         itself, rendered on request (unix)"),
    known(Key::Site, "site", Kind::Folder, "site, or www/site if that is there", WHAT,
        "The site's folder"),
    known(Key::Dist, "dist", Kind::Folder, "dist", WHAT,
        "The folder for what is built"),
    known(Key::Net, "net", Kind::Choice(&["socket", "direct"]), "socket; direct on xen", NETWORK,
        "Whose TCP/IP stack: socket, the system's (unix); direct, our own, on a tap device or Xen's \
         network interface"),
    known(Key::Dhcp, "dhcp", Kind::Flag, "no", NETWORK,
        "Ask a DHCP server for the IPv4 address"),
    known(Key::Ipv4, "ipv4", Kind::Ipv4Net, "10.0.0.2/24; with sockets all of the system's", NETWORK,
        "The IPv4 address; with sockets the one to listen on"),
    known(Key::Ipv4Gateway, "ipv4-gateway", Kind::Ipv4, "none", NETWORK,
        "The IPv4 router"),
    known(Key::Ipv6, "ipv6", Kind::Ipv6Net, "auto; with sockets all of the system's", NETWORK,
        "The IPv6 address beside the link-local one, or auto (what routers advertise), or \
         link-local (that alone); with sockets the one to listen on"),
    known(Key::Ipv6Gateway, "ipv6-gateway", Kind::Ipv6, "none", NETWORK,
        "The IPv6 router"),
    known(Key::Mac, "mac", Kind::Mac, "made up", NETWORK,
        "The MAC address of the interface"),
    known(Key::Tap, "tap", Kind::Interface, "tap0", NETWORK,
        "The tap device (unix)"),
    known(Key::HttpPort, "http-port", Kind::Number { least: 0, most: 65535 }, "8080 with sockets, else 80", SERVICE,
        "The port to listen on; 0, with sockets: any that is free"),
    known(Key::MaxConnections, "max-connections", Kind::Number { least: 1, most: 10_000_000 }, "what memory or the system allows", SERVICE,
        "Connections at once"),
    known(Key::Redirect, "redirect", Kind::Url, "none", SERVICE,
        "Answer everything with a redirect to the same path behind this URL"),
    known(Key::Cache, "cache", Kind::Size, "a quarter of what is free", SERVICE,
        "Memory for what was read from the images, such as 4M (kv_ro fat)"),
    known(Key::Reload, "reload", Kind::Flag, "yes", SERVICE,
        "Open pages load themselves again when the site changes (kv_ro direct)"),
    known(Key::AccessLog, "access-log", Kind::Flag, "yes; no on xen", SERVICE,
        "Log each request"),
    known(Key::Logs, "logs", Kind::Levels, "info", SERVICE,
        "What is logged: off, error, warn, info, debug or trace, or target:LEVEL,*:LEVEL"),
    known(Key::Name, "name", Kind::Name, "mir-www", DOMAIN,
        "The domain's name"),
    known(Key::Memory, "memory", Kind::Number { least: 8, most: 1_048_576 }, "what the image needs, 32 at least", DOMAIN,
        "Memory in MiB"),
    known(Key::Bridge, "bridge", Kind::Interface, "xenbr0", DOMAIN,
        "The bridge of dom0 that the interface is on"),
    known(Key::VifIp, "vif-ip", Kind::Ipv4, "none", DOMAIN,
        "The address that xl's vif = ['ip=...'] says, which the guest takes if it was told no other"),
];

impl Key {
    /// What is known of it.
    pub(crate) fn known(self) -> &'static Known {
        let found = OPTIONS.iter().find(|known| known.key == self);
        found.unwrap_or(&OPTIONS[0])
    }

    /// Its name in `mir.toml`.
    pub(crate) fn name(self) -> &'static str {
        self.known().name
    }
}

/// The option of this name.
pub(crate) fn find(name: &str) -> Option<&'static Known> {
    OPTIONS.iter().find(|known| known.name == name)
}

/// Why an argument of the program is none of these, if it holds for one run and not for an image.
pub(crate) fn of_a_run(name: &str) -> Option<String> {
    let found = ["pcap", "pack"].into_iter().find(|known| *known == name)?;
    Some(format!("it holds for one run: mir run -- --{found}=FILE"))
}

/// The option that was perhaps meant: few letters are different.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    let plain = |text: &str| text.to_lowercase().replace('_', "-");
    let name = plain(name);
    let near = OPTIONS
        .iter()
        .map(|known| (distance(&name, &plain(known.name)), known.name));
    let (away, found) = near.min()?;
    // As many letters as that are not a name that was mistyped, but another.
    let length = name.chars().count();
    (away <= 2.max(length / 3) && away < length).then_some(found)
}

/// Letters to add, remove or change.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_there_once() {
        for known in &OPTIONS {
            assert_eq!(known.key.name(), known.name);
            assert_eq!(find(known.name).map(|found| found.key), Some(known.key));
        }
    }

    #[test]
    fn what_was_meant() {
        assert_eq!(nearest("kv-ro"), Some("kv_ro"));
        assert_eq!(nearest("port"), None);
        assert_eq!(nearest("htp-port"), Some("http-port"));
        assert_eq!(nearest("Bridges"), Some("bridge"));
        assert_eq!(nearest("something else"), None);
        assert_eq!(nearest(""), None);
        assert_eq!(nearest("a"), None);
        assert_eq!(nearest("ma"), Some("mac"));
    }

    #[test]
    fn what_holds_for_a_run_is_an_argument_of_the_program() {
        for name in ["pcap", "pack"] {
            assert!(find(name).is_none());
            let help = www::config::help(www::config::Platform::Unix).to_string();
            assert!(help.contains(&format!("--{name}=FILE")), "{help}");
            assert!(of_a_run(name).is_some());
        }
        assert_eq!(of_a_run("pcaps"), None);
    }
}
