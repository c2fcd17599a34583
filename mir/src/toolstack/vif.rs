//! Network interfaces in xl's words.

use www::config::Given;

use super::check::Severity::{self, Error, Warning};
use crate::config::value::Kind;

/// What xl knows, beside what begins with `colo_` (parse_nic_config in tools/xl/xl_parse.c of Xen 4.20). What it does not
/// know it ignores, with a message.
const KEYS: [&str; 16] = [
    "accel",
    "backend",
    "bridge",
    "devid",
    "forwarddev",
    "gatewaydev",
    "ip",
    "mac",
    "model",
    "mtu",
    "netdev",
    "rate",
    "script",
    "type",
    "vifname",
    "vlan",
];

/// Says what is wrong with an interface: words between commas, each with a name.
pub(super) fn check(text: &str) -> Vec<(Severity, String)> {
    let words = text.split(',').map(str::trim);
    let words = words.filter(|word| !word.is_empty());
    words.filter_map(word).collect()
}

fn word(word: &str) -> Option<(Severity, String)> {
    let (key, value) = match word.split_once('=') {
        Some(pair) => pair,
        None if matches!(word, "trusted" | "untrusted") => return None,
        None => (word, ""),
    };
    match key {
        key if !word.contains('=') => {
            let what = format!("xl does not know '{key}' of an interface without =");
            Some((Warning, what))
        }
        "bridge" if !(1..=15).contains(&value.len()) => {
            let why = "the name of a bridge has 15 bytes at most, and one at least";
            Some((Error, format!("bridge '{value}': {why}")))
        }
        "mac" => Kind::Mac.check(value).err().map(|takes| {
            let takes = format!("an interface has {takes}");
            (Error, format!("mac '{value}': {takes}"))
        }),
        "ip" if Given::parse(value).is_none() => {
            let why = "not all of these are addresses that a host can have: the guest takes none";
            Some((Warning, format!("ip '{value}': {why}")))
        }
        key if KEYS.contains(&key) || key.starts_with("colo_") => None,
        key => Some((Warning, format!("xl does not know '{key}' of an interface"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_an_interface() {
        for (text, wrong) in [
            ("", None),
            (
                "bridge=xenbr0, ip=10.0.0.7 2001:db8::7/64 ,mac=00:16:3e:00:00:01",
                None,
            ),
            (
                "script=vif-route,vifname=v,colo_sock_mirror_id=x,mtu=9000,untrusted",
                None,
            ),
            ("xenbr0", Some((Warning, "xl does not know 'xenbr0'"))),
            ("bridge=", Some((Error, "bridge ''"))),
            (
                "bridge=sixteen-letters-",
                Some((Error, "bridge 'sixteen-letters-'")),
            ),
            ("mac=zz", Some((Error, "mac 'zz'"))),
            ("mac=01:00:00:00:00:01", Some((Error, "mac '01:"))),
            ("ip=10.0.0.0/24", Some((Warning, "ip '10.0.0.0/24'"))),
            ("ip=10.0.0.7 x", Some((Warning, "ip '10.0.0.7 x'"))),
            ("brige=xenbr0", Some((Warning, "xl does not know 'brige'"))),
        ] {
            let found = check(text);
            assert_eq!(
                found.len(),
                usize::from(wrong.is_some()),
                "{text}: {found:?}"
            );
            if let (Some((severity, start)), Some((got, what))) = (wrong, found.first()) {
                assert_eq!(severity, *got, "{text}");
                assert!(what.starts_with(start), "{what}");
            }
        }
    }
}
