//! Xen's numbers, each with a type of its own.

use core::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// A domain's number.
    DomId(u16)
);
number!(
    /// A grant reference: an index into the granting domain's grant table.
    Grant(u32)
);
number!(
    /// An event channel's number in the domain that owns this end of it.
    PortNumber(u32)
);

impl DomId {
    /// The control domain.
    pub const ZERO: DomId = DomId(0);
}
