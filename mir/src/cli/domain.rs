//! What starts a Xen domain.

use std::path::Path;

use www::config::{Command, Platform};

use super::{Failed, print, read, report, write as put};
use crate::config::{Configuration, Key, KvRo};
use crate::toolstack::{self, Disk, Domain, Memory, Severity, Vif, libvirt, memory_for, xl};

/// How much memory the domain gets, in MiB.
pub(super) fn memory(
    configuration: &Configuration,
    image: usize,
    files: usize,
) -> Result<u64, Failed> {
    let settings = &configuration.settings;
    let files = match settings.kv_ro() {
        KvRo::Fat => files as u64,
        KvRo::Crunch | KvRo::Direct => 0,
    };
    let words = configuration.words().unwrap_or_default();
    let words = words.iter().map(String::as_str);
    let cache = match Command::parse(Platform::Xen, words, []) {
        Ok(Command::Serve(config)) => config.cache,
        _ => None,
    };
    let cache = cache.map(|bytes| bytes as u64);
    let Memory { least, usual } = memory_for(image as u64, files, cache);
    let Some(given) = settings
        .get(Key::Memory)
        .and_then(|text| text.parse::<u64>().ok())
    else {
        return Ok(usual);
    };
    if given < least {
        let why = format!(
            "--memory {given}: the image has {image} bytes, and the guest needs some beside it"
        );
        return Err(Failed::usage(why).help(format!("the nearest that can be: --memory {least}")));
    }
    Ok(given)
}

/// Writes what starts the domain, beside the image; the names of the files. The program's words
/// are in the image.
pub(super) fn write(
    configuration: &Configuration,
    memory: u64,
) -> Result<[&'static str; 2], Failed> {
    let settings = &configuration.settings;
    let dist = configuration.dist();
    let place = std::path::absolute(&dist);
    let place = place.map_err(|error| Failed::say(format!("{}: {error}", dist.display())))?;
    let given = |key| settings.get(key).map(str::to_owned);
    let disks: &[_] = match settings.kv_ro() {
        KvRo::Fat => &[("xvda", "files.img"), ("xvdb", "pages.img")],
        KvRo::Crunch | KvRo::Direct => &[],
    };
    let disks = disks.iter().map(|(vdev, image)| Disk {
        vdev: (*vdev).to_owned(),
        target: place.join(image),
    });
    let domain = Domain {
        name: given(Key::Name).unwrap_or_else(|| "mir-www".to_owned()),
        kernel: place.join("mir-www.xen"),
        memory_mib: u32::try_from(memory).unwrap_or(u32::MAX),
        vif: Vif {
            bridge: given(Key::Bridge).unwrap_or_else(|| "xenbr0".to_owned()),
            ip: given(Key::VifIp),
            mac: given(Key::Mac),
        },
        disks: disks.collect(),
        extra: String::new(),
    };
    put(&dist.join("www.xl"), &[xl(&domain).as_bytes()], false)?;
    put(
        &dist.join("www.libvirt.xml"),
        &[libvirt(&domain).as_bytes()],
        false,
    )?;
    Ok(["www.xl", "www.libvirt.xml"])
}

/// Says what is wrong with a configuration for xl.
pub(super) fn check(file: &Path) -> Result<(), Failed> {
    let text = read(file)?;
    let shown = file.display();
    let text = String::from_utf8(text)
        .map_err(|_| Failed::say(format!("{shown}: this is not text in UTF-8")))?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let findings = toolstack::check(&text, folder);
    let mut out = String::new();
    for finding in &findings {
        let line = match finding.line {
            0 => String::new(),
            line => format!("{line}:"),
        };
        out += &format!("{shown}:{line} {}: {}\n", finding.severity, finding.what);
    }
    print(&out)?;
    let errors = findings.iter().filter(|f| f.severity == Severity::Error);
    match errors.count() {
        0 if findings.is_empty() => report(format_args!("{shown}: nothing is wrong")),
        0 => Ok(()),
        1 => Err(Failed::say(format!("{shown}: 1 error"))),
        count => Err(Failed::say(format!("{shown}: {count} errors"))),
    }
}
