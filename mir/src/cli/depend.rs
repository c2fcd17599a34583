//! `mir depend`.

use std::path::Path;
use std::process::Command;

use super::given::{Common, Options};
use super::{Failed, base, report};
use crate::config::{Key, Target};

/// What `scripts/need` is asked for, and why.
const PROGRAM: (&str, &str) = ("rust", "cargo and a linker, to build the program");
const RIG: (&str, &str) = ("curl", "to fetch the site from a guest");

/// What a tap device is made with.
const TUN: &str = "/dev/net/tun";

/// Says what the build needs, and has it fetched where that may be.
pub(super) fn depend(common: &Common, options: Options) -> Result<(), Failed> {
    let configuration = common.configuration(options)?;
    let settings = &configuration.settings;
    let target = settings.target();
    let Some(checkout) = base::checkout(&configuration.root) else {
        let base = base::find(target, None, &configuration.root)?;
        return report(format_args!(
            "{}: is there; nothing is compiled, so nothing else is needed",
            base.display()
        ));
    };
    let needs: &[(&str, &str)] = match target {
        Target::Unix => &[PROGRAM],
        Target::Xen => &[PROGRAM, RIG],
    };
    for (what, why) in needs {
        report(format_args!("{what}: {why}"))?;
        let status = Command::new(checkout.join("scripts/need"))
            .arg(what)
            .status();
        let status = status.map_err(|error| Failed::say(format!("scripts/need: {error}")))?;
        if !status.success() {
            return Err(Failed::say(format!("{what}: not there")));
        }
    }
    if target == Target::Xen && !super::run::runs_xen() {
        report(format_args!(
            "Xen in QEMU: for mir run, into the checkout's .cache; nothing is installed"
        ))?;
        let fetched = Command::new(checkout.join("scripts/xen-rig"))
            .arg("fetch")
            .status();
        let fetched = fetched.map_err(|error| Failed::say(format!("scripts/xen-rig: {error}")))?;
        if !fetched.success() {
            return Err(Failed::say("scripts/xen-rig fetch: it failed")
                .help("only mir run -t xen needs it; mir build -t xen does not"));
        }
    }
    if target == Target::Unix && settings.own_stack() {
        let tap = settings.get(Key::Tap).unwrap_or(www::config::DEFAULT_TAP);
        report(format_args!("{TUN}: for the tap device {tap}"))?;
        if !Path::new(TUN).exists() {
            return Err(Failed::say(format!("{TUN}: not there"))
                .help("as root: modprobe tun; scripts/tap sets the device up"));
        }
    }
    report(format_args!("all is there"))
}
