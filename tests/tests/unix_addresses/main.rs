//! Addresses from servers that others wrote: the Unix binary on our own TCP/IP stack, in network
//! namespaces, beside dnsmasq, busybox' udhcpd and radvd.
//!
//! Each test has a network of its own and waits most of its time for leases to end, so all of them
//! run at once.

mod dhcp;
mod slaac;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(64);
    // Built before they all want it.
    tests::unix::binary();
    let all = dhcp::ALL.iter().chain(slaac::ALL);
    let trial = |&(name, test): &(&'static str, fn())| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    libtest_mimic::run(&arguments, all.map(trial).collect()).exit();
}
