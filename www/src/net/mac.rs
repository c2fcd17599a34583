//! MAC addresses in the log.

use core::fmt;
use smoltcp::wire::EthernetAddress;

/// As `ip`, `xl` and `tcpdump` write one, so that it can be searched for: smoltcp puts hyphens
/// between the bytes.
pub(super) struct Mac(pub(super) EthernetAddress);

impl fmt::Display for Mac {
    #[cold]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for byte in self.0.0 {
            write!(f, "{between}{byte:02x}")?;
            between = ":";
        }
        Ok(())
    }
}
