//! Who we are on the link: a MAC address and a name.

use std::fs;
use std::hash::Hasher;

use siphasher::sip::SipHasher24;
use www::net::dhcp::Hostname;

/// Where a machine's own number is, as systemd and D-Bus write it.
const MACHINE_ID: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

/// The machine's number is not for others to see, so it is hashed together with what is ours alone
/// (machine-id(5)).
const KEY: &[u8; 16] = b"mir-www MAC addr";

/// A MAC address for our end of a tap device: the same at each start, and another one on each
/// machine and for each name of a device.
pub(crate) fn mac(tap: &str) -> [u8; 6] {
    let machine = MACHINE_ID.iter().find_map(|path| fs::read(path).ok());
    // A machine without a number has a name at least.
    let machine = machine.unwrap_or_else(|| rustix::system::uname().nodename().to_bytes().to_vec());
    made_of(machine.trim_ascii(), tap)
}

fn made_of(machine: &[u8], tap: &str) -> [u8; 6] {
    let mut hasher = SipHasher24::new_with_key(KEY);
    hasher.write(machine);
    hasher.write(&[0]);
    hasher.write(tap.as_bytes());
    let [a, b, c, d, e, ..] = hasher.finish().to_le_bytes();
    // Locally administered, of one host.
    [0x02, a, b, c, d, e]
}

/// What a DHCP server is told that our name is: the machine's, if it can be a host's.
pub(crate) fn hostname() -> Option<Hostname> {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_str().ok().and_then(Hostname::new);
    name.or_else(|| Hostname::new("mir-www"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_addresses_differ_by_machine_and_name_and_by_nothing_else() {
        let of = |machine: &str, tap: &str| made_of(machine.as_bytes(), tap);
        let one = of("8a7b6c5d", "tap0");
        assert_eq!(one, of("8a7b6c5d", "tap0"));
        assert_ne!(one, of("8a7b6c5d", "tap1"));
        assert_ne!(one, of("8a7b6c5e", "tap0"));
        assert_ne!(of("a", "bc"), of("ab", "c"));
        assert_eq!(one[0], 2);
        assert_eq!(mac("tap0"), mac("tap0"));
    }

    #[test]
    fn there_is_a_name() {
        assert!(hostname().is_some());
    }
}
