//! Addresses as a toolstack gives them to an interface.

use core::net::{Ipv4Addr, Ipv6Addr};

use super::Net;

/// What a toolstack says that an interface's addresses are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// The first IPv4 address.
    pub ipv4: Option<Net<Ipv4Addr>>,
    /// The first IPv6 address.
    pub ipv6: Option<Net<Ipv6Addr>>,
}

impl Given {
    /// Reads a list of addresses with white space between them, such as `10.0.0.7 2001:db8::7/64`.
    /// Where no prefix is said the network has this address alone, which costs nothing: answers go
    /// where the question came from. `None` if a word is no address that a host can have.
    pub fn parse(list: &str) -> Option<Self> {
        let mut given = Self::default();
        for word in list.split_ascii_whitespace() {
            if let Some(net) = Net::<Ipv4Addr>::host(word, true) {
                given.ipv4 = given.ipv4.or(Some(net));
            } else {
                let net = Net::<Ipv6Addr>::host(word, true)?;
                given.ipv6 = given.ipv6.or(Some(net));
            }
        }
        Some(given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};
    use proptest::prelude::*;

    fn read(list: &str) -> Option<String> {
        let given = Given::parse(list)?;
        let ipv4 = given.ipv4.map_or("-".into(), |net| net.to_string());
        let ipv6 = given.ipv6.map_or("-".into(), |net| net.to_string());
        Some(ipv4 + " " + &ipv6)
    }

    #[test]
    fn lists() {
        for (list, found) in [
            ("10.0.0.7", "10.0.0.7/32 -"),
            ("  10.0.0.7/24 ", "10.0.0.7/24 -"),
            ("2001:db8::7", "- 2001:db8::7/128"),
            ("10.0.0.7 2001:db8::7/64", "10.0.0.7/32 2001:db8::7/64"),
            ("2001:db8::7/64\t10.0.0.7", "10.0.0.7/32 2001:db8::7/64"),
            ("10.0.0.7 10.0.0.8 ::7 ::8", "10.0.0.7/32 ::7/128"),
            ("10.0.0.0/31", "10.0.0.0/31 -"),
            ("", "- -"),
            (" ", "- -"),
        ] {
            assert_eq!(read(list).as_deref(), Some(found), "{list}");
        }
        for list in [
            "garbage",
            "dhcp",
            "10.0.0.7,10.0.0.8",
            "10.0.0.7 and more",
            "10.0.0",
            "10.0.0.7/33",
            "10.0.0.7/",
            "010.0.0.7",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "10.0.0.0/24",
            "10.0.0.255/24",
            "::",
            "ff02::1",
            "2001:db8::7/129",
            "fe80::1%eth0",
        ] {
            assert_eq!(read(list), None, "{list}");
        }
    }

    proptest! {
        #[test]
        fn no_list_panics(list: String) {
            let _ = Given::parse(&list);
        }

        #[test]
        fn nor_one_that_is_nearly_right(list in "[0-9a-f.:/ ]{0,40}") {
            let _ = Given::parse(&list);
        }
    }
}
