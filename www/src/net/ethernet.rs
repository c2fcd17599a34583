//! Addresses of hosts on the link. smoltcp has such a type, but only together with its own link
//! layer, which nothing here needs.

use core::fmt;

/// A MAC address. Written as `ip`, `xl` and `tcpdump` write it, so that it can be searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EthernetAddress(pub [u8; 6]);

impl EthernetAddress {
    /// That of all hosts.
    pub const BROADCAST: Self = EthernetAddress([0xff; 6]);
}

impl fmt::Display for EthernetAddress {
    #[cold]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for byte in self.0 {
            write!(f, "{between}{byte:02x}")?;
            between = ":";
        }
        Ok(())
    }
}
