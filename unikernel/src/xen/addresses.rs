//! Which addresses the guest has: those of its arguments, else those that the toolstack has for its
//! interface, else the default. What is learned from the network comes later, and is said by the
//! stack.

use alloc::string::String;

use minios::xenstore::Store;
use netfront::Link;
use smoltcp::wire::{Ipv4Cidr, Ipv6Cidr};
use www::config::{Config, DEFAULT_IPV4, Given, Ipv6};
use www::net::dhcp::Hostname;
use www::net::{Dhcp, Learn, link_local};

/// Tells the stack which addresses it has and how to get others, and says in the log where each
/// comes from.
pub(crate) async fn choose(
    config: &Config,
    store: &Store,
    link: &Link,
    stack: &mut www::net::Config,
) {
    let port = config.http_port;
    let text = told(link).await;
    let given = text.as_deref().and_then(Given::parse);
    if let (Some(text), None) = (&text, given) {
        let text: String = text.chars().take(80).collect();
        log::error!(target: "net", "ip={text:?} of the vif is not a list of addresses, and has no effect");
    }
    let given = given.unwrap_or_default();
    let mut learn = Learn::new();

    let (ipv4, from) = match (config.ipv4, given.ipv4) {
        (Some(net), _) => (net, "from --ipv4"),
        (None, Some(net)) => (net, "from the vif's ip"),
        (None, None) => (DEFAULT_IPV4, "the default"),
    };
    if config.dhcp {
        // A domain may have a name that no host can have.
        let name = store.read("name").await.ok();
        let hostname = name.as_deref().and_then(Hostname::new);
        learn.dhcp = Some(Dhcp { hostname });
        log::info!(target: "net", "asking for an IPv4 address by DHCP");
    } else {
        stack.ipv4 = Some(Ipv4Cidr::new(ipv4.address, ipv4.prefix));
        log::info!(target: "net", "http://{}:{port}/, {ipv4}, {from}", ipv4.address);
    }

    let (ipv6, from) = match (config.ipv6, given.ipv6) {
        (Ipv6::Auto, Some(net)) => (Ipv6::Static(net), "from the vif's ip"),
        (ipv6, _) => (ipv6, "from --ipv6"),
    };
    learn.slaac = ipv6 == Ipv6::Auto;
    if let Some(net) = ipv6.asked() {
        stack.ipv6.push(Ipv6Cidr::new(net.address, net.prefix));
        log::info!(target: "net", "{net}, {from}, if nobody else has it");
    }
    let link_local = link_local(stack.mac);
    log::info!(target: "net", "http://[{link_local}%interface]:{port}/, link-local");
    if config.ipv4_gateway.is_some() || config.ipv6_gateway.is_some() {
        log::info!(target: "net", "a gateway is not needed: answers go where the question came from");
    }
    stack.learn = Some(learn);
}

/// What the toolstack says.
async fn told(link: &Link) -> Option<String> {
    link.addresses().await.unwrap_or_else(|error| {
        log::error!(target: "net", "the vif's ip: {error}");
        None
    })
}
