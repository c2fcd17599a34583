//! Settings as the program's arguments.

use super::{Key, KvRo, Settings, Target};

/// The names of the two images, in the folder for what is built.
pub(crate) const FILES_IMAGE: &str = "files.img";
pub(crate) const PAGES_IMAGE: &str = "pages.img";

/// Those that are the program's under the same name.
const AS_THEY_ARE: [Key; 9] = [
    Key::Ipv4,
    Key::Ipv4Gateway,
    Key::Ipv6,
    Key::Ipv6Gateway,
    Key::HttpPort,
    Key::MaxConnections,
    Key::Redirect,
    Key::AccessLog,
    Key::Logs,
];

/// The words for settings that rules let pass, with the folders as the program is to see them.
pub(super) fn words(settings: &Settings, site: &str, dist: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut say = |name: &str, text: &str| words.push(format!("--{name}={text}"));
    let unix = settings.target() == Target::Unix;
    match settings.kv_ro() {
        KvRo::Crunch => {}
        KvRo::Fat => {
            say("kv_ro", "fat");
            if unix {
                say("files", &format!("{dist}/{FILES_IMAGE}"));
                say("pages", &format!("{dist}/{PAGES_IMAGE}"));
            }
        }
        KvRo::Direct => {
            say("kv_ro", "direct");
            say("site", site);
        }
    }
    if unix && settings.own_stack() {
        say("net", "direct");
    }
    // On Xen the toolstack says the interface's MAC address.
    let of_unix = [Key::Tap, Key::Mac].into_iter().filter(|_| unix);
    let keys = of_unix.chain(AS_THEY_ARE).chain([Key::Cache, Key::Reload]);
    for key in keys {
        if let Some(text) = settings.get(key) {
            say(key.name(), text);
        }
    }
    if settings.is(Key::Dhcp) {
        words.push("--dhcp".into());
    }
    words
}
