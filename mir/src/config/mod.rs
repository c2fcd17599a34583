//! What is to be made: options from arguments, from `mir.toml` and from defaults.
//!
//! An argument counts more than the file, and the file more than a default. What an argument leaves
//! without sense in the file is left out; what contradicts itself is refused, with the nearest that
//! does not ([`rules`]).

pub(crate) mod file;
pub(crate) mod options;
pub(crate) mod parts;
pub(crate) mod rules;
pub(crate) mod value;
mod words;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{fmt, io};

use www::config::Platform;

pub(crate) use self::file::File;
pub(crate) use self::options::{Key, OPTIONS};
use self::rules::Refusal;
pub(crate) use self::words::{FILES_IMAGE, PAGES_IMAGE};

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Argument,
    /// This line of `mir.toml`.
    File(usize),
}

/// A value that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) text: String,
    pub(crate) source: Source,
}

/// The options that were given, by whatever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    given: BTreeMap<Key, Given>,
}

/// What the program runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Unix,
    Xen,
}

/// Where the site is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KvRo {
    Crunch,
    Fat,
    Direct,
}

impl Target {
    pub(crate) fn platform(self) -> Platform {
        match self {
            Self::Unix => Platform::Unix,
            Self::Xen => Platform::Xen,
        }
    }
}

impl Settings {
    /// What was given for an option.
    pub(crate) fn given(&self, key: Key) -> Option<&Given> {
        self.given.get(&key)
    }

    /// The text that was given for an option.
    pub(crate) fn get(&self, key: Key) -> Option<&str> {
        self.given(key).map(|given| given.text.as_str())
    }

    pub(crate) fn set(&mut self, key: Key, text: impl Into<String>, source: Source) {
        let text = text.into();
        self.given.insert(key, Given { text, source });
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<Given> {
        self.given.remove(&key)
    }

    pub(crate) fn target(&self) -> Target {
        match self.get(Key::Target) {
            Some("xen") => Target::Xen,
            _ => Target::Unix,
        }
    }

    pub(crate) fn kv_ro(&self) -> KvRo {
        match self.get(Key::KvRo) {
            Some("fat") => KvRo::Fat,
            Some("direct") => KvRo::Direct,
            _ => KvRo::Crunch,
        }
    }

    /// Whether the TCP/IP stack is our own.
    pub(crate) fn own_stack(&self) -> bool {
        match self.target() {
            Target::Xen => true,
            Target::Unix => self.get(Key::Net) == Some("direct"),
        }
    }

    pub(crate) fn is(&self, key: Key) -> bool {
        self.get(key) == Some("yes")
    }

    pub(crate) fn http_port(&self) -> &str {
        let default = if self.own_stack() { "80" } else { "8080" };
        self.get(Key::HttpPort).unwrap_or(default)
    }

    /// As arguments: what gives the same settings.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let shown = OPTIONS.iter().filter_map(|known| {
            let text = self.get(known.key)?;
            Some(match (known.short, text) {
                (_, "yes") if known.key == Key::Dhcp => format!("--{}", known.name),
                (Some(short), _) => format!("-{short} {}", quoted(text)),
                _ => format!("--{} {}", known.name, quoted(text)),
            })
        });
        shown.collect()
    }
}

/// A word as a shell reads it back.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:,+=@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Settings, and how they came about.
pub(crate) struct Configuration {
    pub(crate) settings: Settings,
    /// The file, if there is one.
    pub(crate) file: Option<File>,
    /// What the file says and arguments left without sense, with the reason.
    pub(crate) dropped: Vec<(Key, Given, String)>,
    /// What the file's paths are relative to; without one, the folder we are in.
    pub(crate) root: PathBuf,
}

/// Why there is no configuration.
pub(crate) enum Unsettled {
    /// Something is wrong with the file: each is one line.
    File(Vec<String>),
    /// What the file says cannot be.
    Contradiction(PathBuf, Box<(Settings, Refusal)>),
    /// What the arguments say cannot be, in themselves or with the file.
    Refused(Box<Refusal>),
}

impl Configuration {
    /// Arguments on top of a file.
    pub(crate) fn merge(
        file: Option<File>,
        arguments: Settings,
        root: PathBuf,
    ) -> Result<Self, Unsettled> {
        let mut settings = Settings::default();
        if let Some(file) = &file {
            settings = file.settings.clone();
            if let Some(refusal) = rules::check(&settings) {
                let both = Box::new((settings, refusal));
                return Err(Unsettled::Contradiction(file.path.clone(), both));
            }
        }
        let (from_file, own_stack) = (settings.clone(), settings.own_stack());
        settings.given.extend(arguments.given);
        let mut dropped = Vec::new();
        // What to listen on, and what to be: the same option, and nothing that holds for both.
        for key in [Key::Ipv4, Key::Ipv6] {
            if settings.own_stack() != own_stack && settings.given(key) == from_file.given(key) {
                let reason = "it is for another TCP/IP stack".to_owned();
                dropped.extend(settings.remove(key).map(|given| (key, given, reason)));
            }
        }
        // Each turn takes one setting away.
        while let Some(refusal) = rules::check(&settings) {
            let from_file = |key: &Key| {
                let given = settings.given(*key);
                given.is_some_and(|given| matches!(given.source, Source::File(_)))
            };
            let gone = [Some(refusal.culprit), refusal.rival];
            let gone = gone.into_iter().flatten().find(from_file);
            let removed = gone.and_then(|key| Some((key, settings.remove(key)?)));
            let Some((key, given)) = removed else {
                return Err(Unsettled::Refused(Box::new(refusal)));
            };
            dropped.push((key, given, refusal.reason));
        }
        Ok(Self {
            settings,
            file,
            dropped,
            root,
        })
    }

    /// The site's folder.
    pub(crate) fn site(&self) -> PathBuf {
        self.folder(Key::Site).unwrap_or_else(|| {
            let own = self.root.join("site");
            let projects = self.root.join("www/site");
            if !own.exists() && projects.exists() {
                projects
            } else {
                own
            }
        })
    }

    /// The folder for what is built.
    pub(crate) fn dist(&self) -> PathBuf {
        self.folder(Key::Dist)
            .unwrap_or_else(|| self.root.join("dist"))
    }

    /// Paths in the file are relative to it, paths in arguments to where we are.
    fn folder(&self, key: Key) -> Option<PathBuf> {
        let given = self.settings.given(key)?;
        Some(match given.source {
            Source::Argument => PathBuf::from(&given.text),
            Source::File(_) => self.root.join(&given.text),
        })
    }

    /// What holds for an option that was not given, or why nothing does.
    pub(crate) fn default(&self, key: Key) -> String {
        let settings = &self.settings;
        let (unix, own_stack) = (settings.target() == Target::Unix, settings.own_stack());
        let fat = settings.kv_ro() == KvRo::Fat;
        let text = match key {
            Key::Site => return self.site().display().to_string(),
            Key::Dist => return self.dist().display().to_string(),
            Key::HttpPort => settings.http_port(),
            Key::Net if own_stack => "direct",
            Key::Net => "socket",
            Key::AccessLog if unix => "yes",
            Key::AccessLog => "no",
            Key::Memory | Key::Name | Key::Bridge | Key::VifIp if unix => "-",
            Key::Memory => "what the image needs",
            Key::Tap if !unix => "-",
            Key::Tap | Key::Mac | Key::Dhcp | Key::Ipv4Gateway | Key::Ipv6Gateway if !own_stack => {
                "-"
            }
            Key::Ipv4 | Key::Ipv6 if !own_stack => "all of the system's",
            Key::Ipv4 if settings.is(Key::Dhcp) => "from the DHCP server",
            Key::Ipv4Gateway if settings.is(Key::Dhcp) => "from the DHCP server",
            Key::Ipv4 if settings.get(Key::VifIp).is_some() => "from the toolstack",
            Key::Ipv4 => return www::config::DEFAULT_IPV4.to_string(),
            Key::Ipv6 => "auto",
            Key::Cache if !fat => "-",
            Key::Reload if settings.kv_ro() != KvRo::Direct => "-",
            _ => key.known().default,
        };
        text.to_owned()
    }

    /// The words that an image has built in: what was given, but for defaults.
    pub(crate) fn words(&self) -> io::Result<Vec<String>> {
        let settings = &self.settings;
        // The program knows none but full paths, and words are text.
        let absolute = |path: PathBuf, wanted: bool| match wanted {
            true => {
                let path = std::path::absolute(path)?;
                let text = path.to_str().map(str::to_owned);
                let shown = path.display();
                text.ok_or_else(|| io::Error::other(format!("{shown}: this path is not UTF-8")))
            }
            false => Ok(String::new()),
        };
        let images = settings.kv_ro() == KvRo::Fat && settings.target() == Target::Unix;
        let site = absolute(self.site(), settings.kv_ro() == KvRo::Direct)?;
        let dist = absolute(self.dist(), images)?;
        Ok(words::words(settings, &site, &dist))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unix => "unix",
            Self::Xen => "xen",
        })
    }
}

impl fmt::Display for KvRo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crunch => "crunch",
            Self::Fat => "fat",
            Self::Direct => "direct",
        })
    }
}

#[cfg(test)]
mod tests;
