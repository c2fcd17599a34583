//! What the toolstack and xenstore know of the guest's addresses and its name.

use alloc::string::String;

use minios::xenstore::Store;
use netfront::Link;
use www::config::{Config, Given};
use www::net::dhcp::Hostname;

/// Tells the stack which addresses it has and how to get others.
pub(crate) async fn choose(
    config: &Config,
    store: &Store,
    link: &Link,
    stack: &mut www::net::Config,
) {
    let text = told(link).await;
    let given = text.as_deref().and_then(Given::parse);
    if let (Some(text), None) = (&text, given) {
        let text = text.as_bytes().get(..80).unwrap_or(text.as_bytes());
        let text = text.escape_ascii();
        log::error!(target: "net", "ip=\"{text}\" of the vif is not a list of addresses, and has no effect");
    }
    // A domain may have a name that no host can have.
    let name = match config.dhcp {
        true => store.read("name").await.ok(),
        false => None,
    };
    let hostname = name.as_deref().and_then(Hostname::new);
    stack.choose(config, given.unwrap_or_default(), hostname, "interface");
}

/// What the toolstack says.
async fn told(link: &Link) -> Option<String> {
    link.addresses().await.unwrap_or_else(|error| {
        log::error!(target: "net", "the vif's ip: {error}");
        None
    })
}
