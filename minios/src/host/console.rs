//! The far side of a guest's console, for tests: xenconsoled, which may be slow, absent or lying.

use alloc::string::String;
use alloc::vec;

use super::{GrantError, Hypervisor, Mapping};
use crate::abi::console::{OUT_CONS, OUT_PROD};
use crate::ring::byte;
use crate::{DomId, Port};

/// Reads what a guest prints, and types.
pub struct Terminal {
    ring: byte::Back<Mapping>,
    port: Port,
}

impl Terminal {
    /// The terminal of domain `guest`'s console, in domain 0.
    pub fn new(hypervisor: &Hypervisor, guest: DomId) -> Result<Self, GrantError> {
        let dom0 = hypervisor.domain(DomId::ZERO);
        let (page, port) = hypervisor.console_ring(&dom0, guest)?;
        match byte::Back::new(page, byte::CONSOLE) {
            Ok(ring) => Ok(Self { ring, port }),
            Err(broken) => panic!("domain {guest} spoilt its console ring: {broken}"),
        }
    }

    /// Takes at most `most` bytes of what is printed, and tells the guest.
    pub fn take(&mut self, most: usize) -> String {
        let mut bytes = vec![0; most.min(4096)];
        let count = match self.ring.read(&mut bytes) {
            Ok(count) => count,
            Err(broken) => panic!("the guest spoilt its console ring: {broken}"),
        };
        self.port.notify();
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    /// Types as much of `text` as there is room for; says how many bytes.
    pub fn type_in(&mut self, text: &str) -> usize {
        let count = match self.ring.write(text.as_bytes()) {
            Ok(count) => count,
            Err(broken) => panic!("the guest spoilt its console ring: {broken}"),
        };
        self.port.notify();
        count
    }

    /// Claims to have read more than was printed.
    pub fn lie(&self) {
        let page = self.ring.memory();
        if let Ok(produced) = page.load_u32(OUT_PROD) {
            // The page is mapped for writing, or `take` would have failed.
            let _ = page.store_u32(OUT_CONS, produced.wrapping_add(7));
        }
        self.port.notify();
    }
}
