//! Which addresses the stack has at first: those of the arguments, else those that a toolstack has
//! for the interface, else the default. What is learned from the network comes later, and is said by
//! the stack.

use smoltcp::wire::{Ipv4Cidr, Ipv6Cidr};

use super::dhcp::Hostname;
use super::{Config, Dhcp, Learn, link_local};
use crate::config::{self, DEFAULT_IPV4, Given, Ipv6};

impl Config {
    /// Takes the addresses, and how to get others, from the arguments and from what a toolstack
    /// says, and says in the log where each comes from. A DHCP server is told the name. `interface`
    /// is what the log calls the interface that leads here.
    pub fn choose(
        &mut self,
        arguments: &config::Config,
        given: Given,
        hostname: Option<Hostname>,
        interface: &str,
    ) {
        let port = arguments.http_port;
        let mut learn = Learn::new();
        let (ipv4, from) = match (arguments.ipv4, given.ipv4) {
            (Some(net), _) => (net, "from --ipv4"),
            (None, Some(net)) => (net, "from the vif's ip"),
            (None, None) => (DEFAULT_IPV4, "the default"),
        };
        if arguments.dhcp {
            learn.dhcp = Some(Dhcp { hostname });
            log::info!(target: "net", "asking for an IPv4 address by DHCP");
        } else {
            self.ipv4 = Some(Ipv4Cidr::new(ipv4.address, ipv4.prefix));
            log::info!(target: "net", "http://{}:{port}/, {ipv4}, {from}", ipv4.address);
        }
        let (ipv6, from) = match (arguments.ipv6, given.ipv6) {
            (Ipv6::Auto, Some(net)) => (Ipv6::Static(net), "from the vif's ip"),
            (ipv6, _) => (ipv6, "from --ipv6"),
        };
        learn.slaac = ipv6 == Ipv6::Auto;
        if let Some(net) = ipv6.asked() {
            self.ipv6.push(Ipv6Cidr::new(net.address, net.prefix));
            log::info!(target: "net", "{net}, {from}, if nobody else has it");
        }
        let link_local = link_local(self.mac);
        log::info!(target: "net", "http://[{link_local}%{interface}]:{port}/, link-local");
        if arguments.ipv4_gateway.is_some() || arguments.ipv6_gateway.is_some() {
            log::info!(target: "net", "a gateway is not needed: answers go where the question came from");
        }
        self.learn = Some(learn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Command, Platform};
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;

    fn told(words: &[&str], given: &str) -> Config {
        let words = words.iter().copied();
        let Ok(Command::Serve(arguments)) = Command::parse(Platform::Xen, [], words) else {
            panic!("arguments");
        };
        let mut stack = Config::new([2, 0, 0, 0, 0, 7], arguments.http_port, [7; 32]);
        let given = Given::parse(given).unwrap();
        stack.choose(&arguments, given, Hostname::new("here"), "tap0");
        stack
    }

    #[test]
    fn where_an_ipv4_address_comes_from() {
        let ipv4 = |words: &[&str], given| told(words, given).ipv4.map(|own| own.to_string());
        assert_eq!(ipv4(&[], "").as_deref(), Some("10.0.0.2/24"));
        assert_eq!(ipv4(&[], "10.4.0.7").as_deref(), Some("10.4.0.7/32"));
        let asked = ["--ipv4=10.9.0.7/8"];
        assert_eq!(ipv4(&asked, "").as_deref(), Some("10.9.0.7/8"));
        assert_eq!(ipv4(&asked, "10.4.0.7").as_deref(), Some("10.9.0.7/8"));
        assert_eq!(ipv4(&["--dhcp"], "10.4.0.7"), None);
    }

    #[test]
    fn where_an_ipv6_address_comes_from() {
        let ipv6 = |words: &[&str], given| {
            let own = told(words, given).ipv6;
            own.iter().map(ToString::to_string).collect::<Vec<String>>()
        };
        assert!(ipv6(&[], "").is_empty());
        assert_eq!(ipv6(&[], "fd00:4::7/64"), ["fd00:4::7/64"]);
        assert_eq!(ipv6(&["--ipv6=fd00::2/64"], "fd00:4::7/64"), ["fd00::2/64"]);
        assert!(ipv6(&["--ipv6=link-local"], "fd00:4::7/64").is_empty());
    }

    #[test]
    fn what_is_asked_of_the_network() {
        let asks = |words: &[&str], given| {
            let learn = told(words, given).learn.unwrap();
            (learn.dhcp.is_some(), learn.slaac)
        };
        assert_eq!(asks(&[], ""), (false, true));
        assert_eq!(asks(&["--dhcp"], ""), (true, true));
        assert_eq!(asks(&["--ipv6=link-local"], ""), (false, false));
        assert_eq!(asks(&["--ipv6=fd00::2/64"], ""), (false, false));
        assert_eq!(asks(&[], "fd00:4::7/64"), (false, false));
        let dhcp = told(&["--dhcp"], "").learn.unwrap().dhcp.unwrap();
        assert_eq!(dhcp.hostname, Hostname::new("here"));
    }
}
