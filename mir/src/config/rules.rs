//! What does not go together, why, and the nearest that does.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use www::config::DEFAULT_IPV4;

use super::value::{ipv4, ipv6};
use super::{Key, KvRo, Settings, Source, Target};

/// Settings that cannot be.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// The option that is without sense.
    pub(crate) culprit: Key,
    /// Another that is there instead of it, if it is a matter of one or the other.
    pub(crate) rival: Option<Key>,
    /// Why, as the rest of a sentence about the culprit.
    pub(crate) reason: String,
    /// What was given for the culprit.
    pub(crate) given: String,
    /// The nearest settings that can be.
    pub(crate) mended: Settings,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.given, self.reason)
    }
}

struct Rule {
    culprit: Key,
    rival: Option<Key>,
    broken: fn(&Settings) -> bool,
    reason: &'static str,
    mend: fn(&mut Settings),
}

const fn rule(
    culprit: Key,
    broken: fn(&Settings) -> bool,
    reason: &'static str,
    mend: fn(&mut Settings),
) -> Rule {
    Rule {
        culprit,
        rival: None,
        broken,
        reason,
        mend,
    }
}

impl Rule {
    const fn or(mut self, rival: Key) -> Self {
        self.rival = Some(rival);
        self
    }
}

const ONLY_XEN: &str = "only a Xen guest has one: it is for -t xen";
const OWN_STACK: &str = "the system's sockets have their own: it is for --net direct";

const RULES: [Rule; 24] = [
    rule(
        Key::KvRo,
        |s| xen(s) && s.kv_ro() == KvRo::Direct,
        "the guest renders nothing: direct is for -t unix",
        |s| put(s, Key::KvRo, "fat"),
    ),
    rule(
        Key::Net,
        |s| xen(s) && s.get(Key::Net) == Some("socket"),
        "under a Xen guest is no system whose sockets it could use: socket is for -t unix",
        |s| put(s, Key::Net, "direct"),
    ),
    rule(
        Key::Tap,
        |s| xen(s) && has(s, Key::Tap),
        "a Xen guest has Xen's network interface: it is for -t unix",
        |s| drop(s, Key::Tap),
    ),
    only_xen(
        Key::Memory,
        |s| unix_with(s, Key::Memory),
        |s| to_xen(s, Key::Memory),
    ),
    only_xen(
        Key::Name,
        |s| unix_with(s, Key::Name),
        |s| to_xen(s, Key::Name),
    ),
    only_xen(
        Key::Bridge,
        |s| unix_with(s, Key::Bridge),
        |s| to_xen(s, Key::Bridge),
    ),
    only_xen(
        Key::VifIp,
        |s| unix_with(s, Key::VifIp),
        |s| to_xen(s, Key::VifIp),
    ),
    own_stack(Key::Tap, |s| socket_with(s, Key::Tap)),
    own_stack(Key::Mac, |s| socket_with(s, Key::Mac)),
    own_stack(Key::Dhcp, |s| !s.own_stack() && s.is(Key::Dhcp)),
    own_stack(Key::Ipv4Gateway, |s| socket_with(s, Key::Ipv4Gateway)),
    own_stack(Key::Ipv6Gateway, |s| socket_with(s, Key::Ipv6Gateway)),
    own_stack(Key::Ipv6, |s| {
        !s.own_stack() && matches!(s.get(Key::Ipv6), Some("auto" | "link-local"))
    }),
    rule(
        Key::Dhcp,
        |s| s.is(Key::Dhcp) && has(s, Key::Ipv4),
        "the IPv4 address is asked for with --dhcp or given with --ipv4, not both",
        |s| drop(s, Key::Dhcp),
    )
    .or(Key::Ipv4),
    rule(
        Key::Ipv4Gateway,
        |s| s.is(Key::Dhcp) && has(s, Key::Ipv4Gateway),
        "with --dhcp the server names the router",
        |s| drop(s, Key::Ipv4Gateway),
    )
    .or(Key::Dhcp),
    rule(
        Key::VifIp,
        |s| s.is(Key::Dhcp) && has(s, Key::VifIp),
        "the IPv4 address is asked for with --dhcp or given with --vif-ip, not both",
        |s| drop(s, Key::VifIp),
    )
    .or(Key::Dhcp),
    rule(
        Key::VifIp,
        |s| {
            let own = s.get(Key::Ipv4).and_then(ipv4);
            let vif = s.get(Key::VifIp).and_then(ipv4);
            own.zip(vif).is_some_and(|(own, vif)| own.0 != vif.0)
        },
        "dom0 would expect another address than the one of --ipv4",
        |s| {
            if let Some((own, _)) = s.get(Key::Ipv4).and_then(ipv4) {
                put(s, Key::VifIp, &own.to_string());
            }
        },
    )
    .or(Key::Ipv4),
    rule(
        Key::Ipv4,
        |s| {
            s.own_stack()
                && s.get(Key::Ipv4)
                    .and_then(ipv4)
                    .is_some_and(|net| net.1.is_none())
        },
        "our own stack has to know the network: the length of its prefix is missing",
        |s| prefix(s, Key::Ipv4, 24),
    ),
    rule(
        Key::Ipv6,
        |s| {
            s.own_stack()
                && s.get(Key::Ipv6)
                    .and_then(ipv6)
                    .is_some_and(|net| net.1.is_none())
        },
        "our own stack has to know the network: the length of its prefix is missing",
        |s| prefix(s, Key::Ipv6, 64),
    ),
    rule(
        Key::Ipv4Gateway,
        |s| gateway4(s).is_some_and(|(own, bits, gateway)| !near4(own, bits, gateway)),
        "a router is another address in the network of --ipv4",
        mend_gateway4,
    )
    .or(Key::Ipv4),
    rule(
        Key::Ipv6Gateway,
        |s| gateway6(s).is_some_and(|gateway| !near6(s, gateway)),
        "a router has a link-local address or another one in the network of --ipv6",
        |s| put(s, Key::Ipv6Gateway, "fe80::1"),
    )
    .or(Key::Ipv6),
    rule(
        Key::HttpPort,
        |s| s.own_stack() && s.get(Key::HttpPort) == Some("0"),
        "only the system's sockets can look for a port that is free",
        |s| put(s, Key::HttpPort, "80"),
    ),
    rule(
        Key::Cache,
        |s| has(s, Key::Cache) && s.kv_ro() != KvRo::Fat,
        "only what is read from images is kept in one: it is for --kv_ro fat",
        |s| kv_ro_or_drop(s, Key::Cache, "fat"),
    ),
    rule(
        Key::Reload,
        |s| has(s, Key::Reload) && s.kv_ro() != KvRo::Direct,
        "only a site that is rendered on request changes in the browser: it is for --kv_ro direct",
        |s| kv_ro_or_drop(s, Key::Reload, "direct"),
    ),
];

const fn only_xen(key: Key, broken: fn(&Settings) -> bool, mend: fn(&mut Settings)) -> Rule {
    rule(key, broken, ONLY_XEN, mend)
}

const fn own_stack(key: Key, broken: fn(&Settings) -> bool) -> Rule {
    rule(key, broken, OWN_STACK, |s| put(s, Key::Net, "direct"))
}

/// What is wrong with settings, if anything is.
pub(crate) fn check(settings: &Settings) -> Option<Refusal> {
    let rule = broken(settings)?;
    let mut mended = settings.clone();
    while let Some(rule) = broken(&mended) {
        (rule.mend)(&mut mended);
    }
    let name = rule.culprit.name();
    let text = settings.get(rule.culprit).unwrap_or_default();
    let given = match text {
        "yes" => format!("--{name}"),
        _ => format!("--{name} {text}"),
    };
    Some(Refusal {
        culprit: rule.culprit,
        rival: rule.rival,
        reason: rule.reason.to_owned(),
        given,
        mended,
    })
}

fn broken(settings: &Settings) -> Option<&'static Rule> {
    RULES.iter().find(|rule| (rule.broken)(settings))
}

fn xen(settings: &Settings) -> bool {
    settings.target() == Target::Xen
}

fn has(settings: &Settings, key: Key) -> bool {
    settings.given(key).is_some()
}

fn unix_with(settings: &Settings, key: Key) -> bool {
    !xen(settings) && has(settings, key)
}

fn socket_with(settings: &Settings, key: Key) -> bool {
    !settings.own_stack() && has(settings, key)
}

fn put(settings: &mut Settings, key: Key, text: &str) {
    settings.set(key, text, Source::Argument);
}

fn drop(settings: &mut Settings, key: Key) {
    settings.remove(key);
}

/// Whoever did not say what it runs on has meant Xen.
fn to_xen(settings: &mut Settings, key: Key) {
    if has(settings, Key::Target) {
        drop(settings, key);
    } else {
        put(settings, Key::Target, "xen");
    }
}

/// Whoever did not say where the site is has meant `kind`.
fn kv_ro_or_drop(settings: &mut Settings, key: Key, kind: &str) {
    if has(settings, Key::KvRo) || (kind == "direct" && xen(settings)) {
        drop(settings, key);
    } else {
        put(settings, Key::KvRo, kind);
    }
}

fn prefix(settings: &mut Settings, key: Key, bits: u8) {
    if let Some(text) = settings.get(key).map(|text| format!("{text}/{bits}")) {
        put(settings, key, &text);
    }
}

/// The address, its prefix and the router, if all are known before the program runs.
fn gateway4(settings: &Settings) -> Option<(Ipv4Addr, u8, Ipv4Addr)> {
    let gateway = settings.get(Key::Ipv4Gateway)?.parse().ok()?;
    let (own, bits) = match settings.get(Key::Ipv4) {
        Some(text) => ipv4(text)?,
        None if has(settings, Key::VifIp) || settings.is(Key::Dhcp) => return None,
        None => (DEFAULT_IPV4.address, Some(DEFAULT_IPV4.prefix)),
    };
    Some((own, bits?, gateway))
}

fn near4(own: Ipv4Addr, bits: u8, other: Ipv4Addr) -> bool {
    let differ = own.to_bits() ^ other.to_bits();
    own != other && differ.leading_zeros() >= bits.into()
}

/// The first address of the network that is not our own, if there is one.
fn mend_gateway4(settings: &mut Settings) {
    let Some((own, bits, _)) = gateway4(settings) else {
        return drop(settings, Key::Ipv4Gateway);
    };
    let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
    let first = own.to_bits() & mask;
    let near = [first.wrapping_add(1), first.wrapping_add(2), first];
    let near = near.map(Ipv4Addr::from_bits);
    match near.into_iter().find(|other| near4(own, bits, *other)) {
        Some(other) => put(settings, Key::Ipv4Gateway, &other.to_string()),
        None => drop(settings, Key::Ipv4Gateway),
    }
}

fn gateway6(settings: &Settings) -> Option<Ipv6Addr> {
    settings.get(Key::Ipv6Gateway)?.parse().ok()
}

fn near6(settings: &Settings, gateway: Ipv6Addr) -> bool {
    let own = settings.get(Key::Ipv6).and_then(ipv6);
    gateway.is_unicast_link_local()
        || own.is_some_and(|(own, bits)| {
            let differ = own.to_bits() ^ gateway.to_bits();
            own != gateway && differ.leading_zeros() >= bits.unwrap_or(128).into()
        })
}
