//! `mir run`.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, ExitCode};

use super::build::{Building, build};
use super::given::{Common, Options};
use super::{Failed, base, here, note, report};
use crate::config::{Configuration, Key, KvRo, Target, quoted, value};

/// Builds, and starts what was built. Comes back only if that is over or did not start.
pub(super) fn run(
    common: &Common,
    options: Options,
    building: &Building,
    port: Option<u16>,
    words: &[String],
) -> Result<ExitCode, Failed> {
    let configuration = common.configuration(options)?;
    let target = configuration.settings.target();
    match target {
        Target::Unix if port.is_some() => {
            return Err(Failed::usage("--port is the rig's, for -t xen")
                .help("the program's own port is --http-port"));
        }
        Target::Xen if !words.is_empty() => {
            let why = "a guest gets its arguments from its configuration, not after --";
            return Err(
                Failed::usage(why).help("mir run takes the same words as options, before --")
            );
        }
        _ => {}
    }
    let image = build(&configuration, building, None)?;
    match target {
        Target::Unix => {
            let image = std::path::absolute(&image).map_err(|error| here(&error))?;
            start(Command::new(image).args(words))
        }
        Target::Xen if runs_xen() => {
            let xl = configuration.dist().join("www.xl");
            report(format_args!(
                "This machine runs Xen. Start it with: sudo xl create -c {}",
                quoted(&xl.display().to_string())
            ))?;
            Ok(ExitCode::SUCCESS)
        }
        Target::Xen => rig(&configuration, port.unwrap_or(8080)),
    }
}

/// Whether we are in a dom0.
pub(super) fn runs_xen() -> bool {
    let capabilities = std::fs::read_to_string("/proc/xen/capabilities");
    capabilities.is_ok_and(|text| text.contains("control_d"))
}

/// The guest under Xen in QEMU.
fn rig(configuration: &Configuration, port: u16) -> Result<ExitCode, Failed> {
    let settings = &configuration.settings;
    let Some(checkout) = base::checkout(&configuration.root) else {
        let why = "this machine does not run Xen, and Xen in QEMU is in the project's checkout";
        return Err(
            Failed::say(why).help("run mir there, or start dist/www.xl on a machine that runs Xen")
        );
    };
    let given = [Key::Ipv4, Key::VifIp]
        .into_iter()
        .find_map(|key| settings.get(key));
    let address = match given.and_then(value::ipv4) {
        _ if settings.is(Key::Dhcp) => "dhcp".to_owned(),
        Some((address, _)) if !in_rig(address) => {
            let why =
                format!("{address}: the rig's network is 10.0.0.0/24, and .1 and .254 are taken");
            return Err(Failed::say(why).help("mir run --ipv4 10.0.0.2/24, or --dhcp"));
        }
        Some((address, _)) => address.to_string(),
        None => www::config::DEFAULT_IPV4.address.to_string(),
    };
    if let Some(bridge) = settings
        .get(Key::Bridge)
        .filter(|bridge| *bridge != "xenbr0")
    {
        return Err(
            Failed::say(format!("the rig has no bridge {bridge}")).help("mir run --bridge xenbr0")
        );
    }
    let dist = std::path::absolute(configuration.dist());
    let dist = dist.map_err(|error| here(&error))?;
    let mut command = Command::new(checkout.join("scripts/xen-run"));
    command.arg(port.to_string()).arg(&dist);
    command.args([&address, settings.http_port()]);
    command.arg(settings.get(Key::Name).unwrap_or("mir-www"));
    if settings.kv_ro() == KvRo::Fat {
        command.args(["files.img", "pages.img"]);
    }
    start(&mut command)
}

fn in_rig(address: Ipv4Addr) -> bool {
    address.octets()[..3] == [10, 0, 0] && !matches!(address.octets()[3], 0 | 1 | 254 | 255)
}

/// Becomes another program.
fn start(command: &mut Command) -> Result<ExitCode, Failed> {
    use std::os::unix::process::CommandExt;
    let name = Path::new(command.get_program()).display().to_string();
    let mut shown = vec![quoted(&name)];
    let words = command.get_args().map(|word| word.to_string_lossy());
    shown.extend(words.map(|word| quoted(&word)));
    note(shown.join(" "));
    Err(Failed::say(format!("{name}: {}", command.exec())))
}
