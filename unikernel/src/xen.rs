//! mir-www as a Xen guest.
#![no_std]
#![no_main]

use minios::xen::Boot;

minios::guest!(main);

fn main(boot: Boot) -> ! {
    panic!("{boot:?}");
}
