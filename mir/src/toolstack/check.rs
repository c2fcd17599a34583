//! What is wrong with a configuration for `xl`, for a guest of ours.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use www::config::{Command, Config, KvRo, Platform};

use super::cfg::{self, Setting, Value};
use super::disk::Disk;
use super::keys::KEYS;
use super::{memory_for, vif};
use crate::describe::{Description, FileKind, describe};
use crate::output::Shown;
use crate::{image, input};

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The line of the file, from 1; 0 for what is not there.
    pub line: usize,
    /// How wrong it is.
    pub severity: Severity,
    /// What, on one line.
    pub what: String,
}

/// How wrong something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It does not start, or does not serve.
    Error,
    /// It does, and perhaps not as it was meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// Says what is wrong with a configuration, in the order of its lines. Files that it names are
/// looked for from `folder`.
pub fn check(text: &str, folder: &Path) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    match cfg::parse(text) {
        Ok(settings) => findings.all(&settings, folder),
        Err(mistake) => findings.error(mistake.line, mistake.what),
    }
    findings.0.sort();
    findings.0
}

/// Bytes of a command line that the guest takes. Xen has room for one more (`MAX_GUEST_CMDLINE` with
/// the NUL), but one that fills it may have been cut off.
const COMMAND_LINE: usize = 1022;

struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, line: usize, what: impl Into<String>) {
        self.add(line, Severity::Error, what.into());
    }

    fn warning(&mut self, line: usize, what: impl Into<String>) {
        self.add(line, Severity::Warning, what.into());
    }

    fn add(&mut self, line: usize, severity: Severity, what: String) {
        // What the file says is shown on one line, whatever it says.
        let what = Shown(what).to_string();
        self.0.push(Finding {
            line,
            severity,
            what,
        });
    }

    fn all(&mut self, settings: &[Setting], folder: &Path) {
        self.names(settings);
        let found = |name: &str| settings.iter().rev().find(|s| s.name == name);
        self.kind(&found);
        match found("name").map(|setting| (setting.line, atom(&setting.value))) {
            None => self.error(0, "there is no name: xl wants one"),
            Some((line, None | Some(""))) => self.error(line, "a name is a string, not empty"),
            Some((line, Some(name))) if name.bytes().all(|byte| byte.is_ascii_digit()) => {
                let what = format!("name '{name}': xl takes digits for a domain's number");
                self.warning(line, what);
            }
            Some(_) => {}
        }
        if let Some((line, vcpus)) = self.number(found("vcpus"))
            && vcpus != 1
        {
            self.warning(line, "the guest uses one vCPU; more stay idle");
        }
        let image = self.kernel(found("kernel"), folder);
        let disks = self.disks(found("disk"), folder);
        let config = self.arguments(&found, image.as_ref());
        if let (Some(image), Some((line, config))) = (&image, &config) {
            self.site(image, config, *line, &disks, found("disk"));
            let memory = memory_for(
                image.bytes as u64,
                0,
                config.cache.map(|bytes| bytes as u64),
            );
            match self.number(found("memory")) {
                Some((line, given)) if given < memory.least => self.error(
                    line,
                    format!(
                        "memory = {given}: this image wants {} MiB at least, and {} are usual",
                        memory.least, memory.usual
                    ),
                ),
                _ => {}
            }
        }
        if found("memory").is_none() {
            self.error(0, "there is no memory");
        }
        self.vif(found("vif"));
    }

    fn names(&mut self, settings: &[Setting]) {
        let mut before = HashSet::new();
        for setting in settings {
            if !KEYS.contains(&setting.name.as_str()) {
                self.warning(
                    setting.line,
                    format!("xl does not know '{}', and ignores it", setting.name),
                );
            }
            if !before.insert(&setting.name) && !setting.adds {
                self.warning(
                    setting.line,
                    format!("'{}' was said before: this one counts", setting.name),
                );
            }
        }
    }

    fn kind<'a>(&mut self, found: &impl Fn(&str) -> Option<&'a Setting>) {
        let is = |name| found(name).and_then(|s| Some((s.line, atom(&s.value)?)));
        let shim = is("pvshim").is_some_and(|(_, on)| on == "1");
        match is("type") {
            Some((_, "pv")) => {}
            Some((_, "pvh")) if shim => {}
            Some((line, "pvh")) => self.error(
                line,
                "the guest is a PV one: type = \"pv\", or pvshim = 1 beside \"pvh\"",
            ),
            Some((line, other)) => self.error(
                line,
                format!("type = '{other}': the guest is a PV one, type = \"pv\""),
            ),
            None => match is("builder") {
                Some((line, "hvm")) => self.error(line, "the guest is a PV one: type = \"pv\""),
                _ => self.warning(0, "there is no type; xl takes it for \"pv\" and says so"),
            },
        }
    }

    fn number(&mut self, setting: Option<&Setting>) -> Option<(usize, u64)> {
        let setting = setting?;
        let text = atom(&setting.value).unwrap_or("");
        // As C's strtol reads it.
        let (digits, radix) = match (text.strip_prefix("0x"), text.strip_prefix('0')) {
            (Some(digits), _) => (digits, 16),
            (None, Some(digits)) if !digits.is_empty() => (digits, 8),
            _ => (text, 10),
        };
        let number = u64::from_str_radix(digits, radix).ok();
        if number.is_none() {
            self.error(setting.line, format!("{} is no number", setting.name));
        }
        Some((setting.line, number?))
    }

    fn kernel(&mut self, setting: Option<&Setting>, folder: &Path) -> Option<Description> {
        let Some(setting) = setting else {
            self.error(0, "there is no kernel");
            return None;
        };
        let path = atom(&setting.value).unwrap_or("");
        if !path.starts_with('/') {
            self.warning(
                setting.line,
                format!("kernel '{path}': for a reboot xl looks for it from /"),
            );
        }
        let described = match input::read(&folder.join(path), input::IMAGE) {
            Ok(bytes) => describe(&bytes).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match described {
            Ok(image) if image.kind == FileKind::Xen => return Some(image),
            Ok(_) => self.error(setting.line, format!("kernel '{path}': not one for Xen")),
            Err(error) => self.error(setting.line, format!("kernel '{path}': {error}")),
        }
        None
    }

    /// The names of the disks in the guest.
    fn disks(&mut self, setting: Option<&Setting>, folder: &Path) -> HashSet<String> {
        let mut names = HashSet::new();
        let Some(setting) = setting else {
            return names;
        };
        let Value::List(disks) = &setting.value else {
            self.error(setting.line, "disk is a list: disk = ['...']");
            return names;
        };
        for (line, disk) in disks {
            let Some(disk) = atom(disk).map(Disk::parse) else {
                self.error(*line, "a disk is a string");
                continue;
            };
            let Some(vdev) = disk.vdev else {
                self.error(*line, "the disk has no vdev, its name in the guest");
                continue;
            };
            if !disk.read_only {
                self.warning(
                    *line,
                    format!("{vdev}: the guest only reads: access=ro keeps it so"),
                );
            }
            match disk.target {
                Some(target) => {
                    if let Err(error) = folder.join(target).metadata() {
                        self.error(*line, format!("{vdev}: {target}: {error}"));
                    } else if !target.starts_with('/') {
                        self.warning(
                            *line,
                            format!("{vdev}: for a reboot xl looks for '{target}' from /"),
                        );
                    }
                }
                None => self.error(*line, format!("{vdev}: the disk has no target")),
            }
            let vdev = vdev.strip_prefix("/dev/").unwrap_or(vdev).to_owned();
            if let Some(twice) = names.replace(vdev) {
                self.error(*line, format!("{twice}: there are two of that name"));
            }
        }
        names
    }

    /// What the guest makes of its arguments, and the line that they are on.
    fn arguments<'a>(
        &mut self,
        found: &impl Fn(&str) -> Option<&'a Setting>,
        image: Option<&Description>,
    ) -> Option<(usize, Config)> {
        let (cmdline, extra, root) = (found("cmdline"), found("extra"), found("root"));
        if let (Some(_), Some(extra)) = (cmdline, extra) {
            self.warning(extra.line, "beside cmdline, xl ignores extra");
        }
        let setting = cmdline.or(extra);
        if let (None, Some(root)) = (cmdline, root) {
            self.error(root.line, "root: the guest would refuse the argument root=");
        }
        let line = setting.map_or(0, |setting| setting.line);
        let text = match setting.map(|setting| atom(&setting.value)) {
            Some(Some(text)) => text,
            Some(None) => {
                self.error(line, "arguments are a string, not a list");
                return None;
            }
            None => "",
        };
        if text.len() > COMMAND_LINE {
            self.error(
                line,
                format!(
                    "{} bytes of arguments: there is room for {COMMAND_LINE}",
                    text.len()
                ),
            );
        }
        let words = match image::split(text) {
            Ok(words) => words,
            Err(error) => {
                self.error(line, error.to_string());
                return None;
            }
        };
        let built_in = image.map_or(&[][..], |image| &image.options);
        let built_in = built_in.iter().map(String::as_str);
        match Command::parse(Platform::Xen, built_in, words.iter().map(String::as_str)) {
            Ok(Command::Serve(config)) => {
                let logs = config.logs.as_deref();
                if let Some(logs) = logs.filter(|logs| !image::check_logs(logs)) {
                    self.error(line, format!("the guest refuses this: --logs '{logs}'"));
                }
                return Some((line, config));
            }
            Ok(Command::Help) => {
                self.warning(line, "--help: the guest prints its arguments and is gone");
            }
            Err(error) => self.error(line, format!("the guest refuses this: {error}")),
        }
        None
    }

    /// Whether the site is where the arguments say.
    fn site(
        &mut self,
        image: &Description,
        config: &Config,
        line: usize,
        disks: &HashSet<String>,
        setting: Option<&Setting>,
    ) {
        if config.kv_ro != KvRo::Fat {
            if image.site.is_none() {
                self.error(line, "there is no site in the image, and no --kv_ro=fat");
            }
            if !disks.is_empty() {
                let line = setting.map_or(0, |setting| setting.line);
                self.warning(line, "without --kv_ro=fat the guest does not look at disks");
            }
            return;
        }
        let parts = [&config.files, &config.pages].into_iter().flatten();
        let missing: Vec<_> = parts
            .clone()
            .filter(|name| !disks.contains(*name))
            .collect();
        let all = missing.len() == parts.count();
        for name in missing {
            let what = format!("the guest looks for the disk {name}, which is not among these");
            match all {
                true => self.error(line, what),
                // It serves what it has, and says so.
                false => self.warning(line, what),
            }
        }
    }

    fn vif(&mut self, setting: Option<&Setting>) {
        let line = setting.map_or(0, |setting| setting.line);
        match setting.map(|setting| &setting.value) {
            Some(Value::List(vifs)) if !vifs.is_empty() => {
                if let Some((line, _)) = vifs.get(1) {
                    self.warning(*line, "the guest uses its first interface alone");
                }
                for (line, vif) in vifs {
                    let Some(vif) = atom(vif) else {
                        self.error(*line, "an interface is a string: vif = ['bridge=xenbr0']");
                        continue;
                    };
                    for (severity, what) in vif::check(vif) {
                        self.add(*line, severity, what);
                    }
                }
            }
            Some(Value::Atom(_)) => self.error(line, "vif is a list: vif = ['bridge=xenbr0']"),
            _ => self.error(
                line,
                "there is no network interface: vif = ['bridge=xenbr0']",
            ),
        }
    }
}

fn atom(value: &Value) -> Option<&str> {
    match value {
        Value::Atom(text) => Some(text),
        Value::List(_) => None,
    }
}
