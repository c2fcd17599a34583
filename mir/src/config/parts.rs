//! What a program is made of: the tree of parts that settings result in.

use std::fmt::Write;

use serde::Serialize;

use super::words::{FILES_IMAGE, PAGES_IMAGE};
use super::{Configuration, Key, KvRo, Settings, Target};

/// A part, and the parts that it stands on.
#[derive(Debug, Serialize)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    /// What is special about it here.
    pub(crate) about: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) parts: Vec<Part>,
}

fn part(name: &'static str, about: impl Into<String>, parts: Vec<Part>) -> Part {
    Part {
        name,
        about: about.into(),
        parts,
    }
}

/// The tree of a configuration.
pub(crate) fn tree(configuration: &Configuration) -> Part {
    let settings = &configuration.settings;
    let dist = configuration.dist();
    let http = part(
        "http",
        format!("port {}{}", settings.http_port(), access(settings)),
        vec![net(settings), store(configuration)],
    );
    let (name, about) = match settings.target() {
        Target::Unix => (
            "mir-www",
            format!("a program for Unix, {}", dist.join("mir-www").display()),
        ),
        Target::Xen => {
            let memory = match settings.get(Key::Memory) {
                Some(memory) => format!("{memory} MiB"),
                None => "as much memory as the image needs".into(),
            };
            let image = dist.join("mir-www.xen");
            let about = format!("a PV guest with {memory}, {}", image.display());
            ("mir-www.xen", about)
        }
    };
    part(name, about, vec![http])
}

fn access(settings: &Settings) -> &'static str {
    let default = match settings.target() {
        Target::Unix => "yes",
        Target::Xen => "no",
    };
    match settings.get(Key::AccessLog).unwrap_or(default) {
        "yes" => ", with an access log",
        _ => "",
    }
}

fn net(settings: &Settings) -> Part {
    if !settings.own_stack() {
        let asked = [Key::Ipv4, Key::Ipv6]
            .into_iter()
            .filter_map(|key| settings.get(key));
        let asked: Vec<_> = asked.collect();
        let about = match asked.is_empty() {
            true => "the system's TCP/IP, on all of its addresses".to_owned(),
            false => format!("the system's TCP/IP, on {}", asked.join(" and ")),
        };
        return part("sockets", about, vec![]);
    }
    let interface = match settings.target() {
        Target::Xen => part(
            "netfront",
            format!(
                "on the bridge {}",
                settings.get(Key::Bridge).unwrap_or("xenbr0")
            ),
            vec![],
        ),
        Target::Unix => part("tap", settings.get(Key::Tap).unwrap_or("tap0"), vec![]),
    };
    let mac = settings.get(Key::Mac).unwrap_or("made up");
    let ethernet = part("ethernet", format!("MAC address {mac}"), vec![interface]);
    let tcp = "our own, a smoltcp for each connection";
    part("tcp", tcp, vec![ipv4(settings), ipv6(settings), ethernet])
}

fn ipv4(settings: &Settings) -> Part {
    let address = match (settings.get(Key::Ipv4), settings.get(Key::VifIp)) {
        _ if settings.is(Key::Dhcp) => "from a DHCP server".to_owned(),
        (Some(address), _) => address.to_owned(),
        (None, Some(vif)) => format!("{vif}, from the toolstack"),
        (None, None) => www::config::DEFAULT_IPV4.to_string(),
    };
    part(
        "ipv4",
        address + &router(settings, Key::Ipv4Gateway),
        vec![],
    )
}

fn ipv6(settings: &Settings) -> Part {
    let address = match settings.get(Key::Ipv6) {
        None | Some("auto") => "link-local, and what routers advertise".to_owned(),
        Some("link-local") => "link-local alone".to_owned(),
        Some(address) => format!("link-local, and {address}"),
    };
    part(
        "ipv6",
        address + &router(settings, Key::Ipv6Gateway),
        vec![],
    )
}

fn router(settings: &Settings, key: Key) -> String {
    let router = settings.get(key);
    router.map_or_else(String::new, |router| format!(", router {router}"))
}

fn store(configuration: &Configuration) -> Part {
    let settings = &configuration.settings;
    let site = part("site", configuration.site().display().to_string(), vec![]);
    match settings.kv_ro() {
        KvRo::Crunch => part("crunch", "a pack in the program", vec![site]),
        KvRo::Direct => {
            let reload = match settings.get(Key::Reload) {
                Some("no") => "",
                _ => ", reloaded in the browser",
            };
            part("direct", format!("rendered on request{reload}"), vec![site])
        }
        KvRo::Fat => {
            let cache = match settings.get(Key::Cache) {
                Some(size) => format!("over a cache of {size}"),
                None => "over a cache".into(),
            };
            let dist = configuration.dist();
            let disk = |device: &str, image: &str| {
                let image = dist.join(image).display().to_string();
                match settings.target() {
                    Target::Xen => part("blkfront", format!("{device}, {image}"), vec![]),
                    Target::Unix => part("image", image, vec![]),
                }
            };
            let volumes = vec![
                part("files", "static files", vec![disk("xvda", FILES_IMAGE)]),
                part("pages", "rendered pages", vec![disk("xvdb", PAGES_IMAGE)]),
                site,
            ];
            part("fat", cache, volumes)
        }
    }
}

impl Part {
    /// A part a line, drawn as a tree.
    pub(crate) fn drawn(&self) -> String {
        let mut out = String::new();
        self.draw("", "", &mut out);
        out
    }

    fn draw(&self, first: &str, rest: &str, out: &mut String) {
        let named = format!("{first}{}", self.name);
        let room = 26usize.saturating_sub(named.chars().count());
        out.push_str(&format!("{named}{:room$}  {}\n", "", self.about));
        for (at, part) in self.parts.iter().enumerate() {
            let last = at + 1 == self.parts.len();
            let (branch, beside) = if last { ("`- ", "   ") } else { ("|- ", "|  ") };
            part.draw(&format!("{rest}{branch}"), &format!("{rest}{beside}"), out);
        }
    }

    /// The graph in Graphviz' language.
    pub(crate) fn dot(&self) -> String {
        let mut out = String::from("digraph mir {\n  node [shape=box];\n");
        self.nodes(&mut 0, &mut out);
        out.push_str("}\n");
        out
    }

    fn nodes(&self, next: &mut usize, out: &mut String) {
        let own = *next;
        *next += 1;
        let about = self.about.replace('\\', "\\\\").replace('"', "\\\"");
        // Writing to a string does not fail.
        let _ = writeln!(out, "  n{own} [label=\"{}\\n{about}\"];", self.name);
        for part in &self.parts {
            let _ = writeln!(out, "  n{own} -> n{next};");
            part.nodes(next, out);
        }
    }
}
