//! A guest that fails in the way that its command line names: `extra="read-null"`.
//!
//! What it prints and how it ends is what tests/xen looks at; and that what must trap does.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;

use minios::ShutdownReason;
use minios::console::{self, Console};
use minios::xen::{self, Boot, Failure};

minios::guest!(main);

fn main(boot: Boot) -> ! {
    if let Some(console) = Console::new(&boot.domain) {
        console::install(console.into());
    }
    let wanted = boot.command_line.trim_ascii();
    let found = Failure::ALL
        .iter()
        .find(|(name, _)| name.as_bytes() == wanted);
    match found {
        Some((name, failure)) => {
            console::print(format!("about to fail: {name}\n").as_bytes());
            failure.provoke();
            console::print(b"nothing happened, which must not be\n");
        }
        None => {
            for (name, _) in Failure::ALL {
                console::print(format!("{name}\n").as_bytes());
            }
        }
    }
    xen::stop(&boot.domain, ShutdownReason::Poweroff)
}
