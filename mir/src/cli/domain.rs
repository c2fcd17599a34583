//! What starts a Xen domain.

use std::path::Path;

use www::config::{Command, Platform};

use super::build::XEN_IMAGE as IMAGE;
use super::built::Stage;
use super::{Failed, here, print, read, report, write as put};
use crate::config::{Configuration, FILES_IMAGE, Key, KvRo, PAGES_IMAGE, Target, file, quoted};
use crate::describe::{FileKind, describe};
use crate::fat::volume::Volume;
use crate::output::Shown;
use crate::toolstack::{self, Disk, Domain, Memory, Severity, Vif, libvirt, memory_for, xl};
use crate::{image, input};

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
    stage: &Stage,
) -> Result<[&'static str; 2], Failed> {
    let domain = domain(configuration, memory, String::new())?;
    let texts = [(XL, xl(&domain, XL)), (LIBVIRT, libvirt(&domain))];
    for (name, text) in &texts {
        stage.write(name, &[text.as_bytes()], false)?;
    }
    Ok(texts.map(|(name, _)| name))
}

/// The files that start a domain.
pub(super) const XL: &str = "www.xl";
const LIBVIRT: &str = "www.libvirt.xml";

/// The domain that a configuration says, with these arguments beside those of the image.
fn domain(configuration: &Configuration, memory: u64, extra: String) -> Result<Domain, Failed> {
    let settings = &configuration.settings;
    let dist = configuration.dist();
    let place = std::path::absolute(&dist);
    let place = place.map_err(|error| Failed::say(format!("{}: {error}", dist.display())))?;
    let plain = |path: &str| !path.chars().any(char::is_control);
    if !place.to_str().is_some_and(plain) {
        let why = "what starts a domain holds paths in UTF-8 without control characters";
        let refused = Failed::say(format!("{}: {why}", place.display()));
        return Err(refused.help("--dist DIR names another folder for what is built"));
    }
    let given = |key| settings.get(key).map(str::to_owned);
    let disks = disks(configuration).iter().map(|(vdev, image)| Disk {
        vdev: (*vdev).to_owned(),
        target: place.join(image),
    });
    Ok(Domain {
        name: given(Key::Name).unwrap_or_else(|| "mir-www".to_owned()),
        kernel: place.join(IMAGE),
        memory_mib: u32::try_from(memory).unwrap_or(u32::MAX),
        vif: Vif {
            bridge: given(Key::Bridge).unwrap_or_else(|| "xenbr0".to_owned()),
            ip: given(Key::VifIp),
            mac: given(Key::Mac),
        },
        disks: disks.collect(),
        extra,
    })
}

/// The disks and their images.
fn disks(configuration: &Configuration) -> &'static [(&'static str, &'static str)] {
    match configuration.settings.kv_ro() {
        KvRo::Fat => &[("xvda", FILES_IMAGE), ("xvdb", PAGES_IMAGE)],
        KvRo::Crunch | KvRo::Direct => &[],
    }
}

/// Writes a configuration for xl of a guest whose image is there, and may have other words built
/// in than the configuration says.
pub(super) fn of_image(configuration: &Configuration, file: &Path) -> Result<(), Failed> {
    if configuration.settings.target() != Target::Xen {
        return Err(Failed::usage("xl starts what is built with -t xen")
            .help("the nearest that can be: -t xen"));
    }
    let dist = configuration.dist();
    let kernel = dist.join(IMAGE);
    let refused = |path: &Path, why: &dyn std::fmt::Display| {
        Failed::say(format!("{}: {why}", path.display()))
    };
    let image = describe(&read(&kernel)?).map_err(|error| refused(&kernel, &error))?;
    if image.kind != FileKind::Xen {
        return Err(refused(&kernel, &"not a kernel for Xen"));
    }
    let mut files = 0;
    for (_, name) in disks(configuration) {
        let path = dist.join(name);
        let volume = Volume::open(&path).map_err(|error| refused(&path, &error))?;
        let tree = volume.walk().map_err(|error| refused(&path, &error))?;
        files += tree.nodes.len();
    }
    let memory = memory(configuration, image.bytes, files)?;
    let words = configuration.words().map_err(|error| here(&error))?;
    let extra = match words == image.options {
        true => String::new(),
        false => image::join(&words),
    };
    let domain = domain(configuration, memory, extra)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let text = xl(&domain, &name);
    // Where `mir build` writes it, it is one of the files that `mir build` made.
    let folder = file::folder(file).canonicalize().ok();
    if name == XL && folder.is_some() && folder == dist.canonicalize().ok() {
        let stage = Stage::new(&dist)?;
        stage.write(XL, &[text.as_bytes()], false)?;
        stage.finish(&[XL])?;
    } else {
        put(file, &[text.as_bytes()], false)?;
    }
    how(file)
}

/// Says how xl starts a domain.
pub(super) fn how(file: &Path) -> Result<(), Failed> {
    let (shown, word) = (file.display(), quoted(&file.display().to_string()));
    report(format_args!("{shown}: sudo xl create -c {word} starts it"))
}

/// Says what is wrong with a configuration for xl.
pub(super) fn check(file: &Path) -> Result<(), Failed> {
    let shown = file.display();
    let text = input::read(file, input::TEXT);
    let text = text.map_err(|error| Failed::say(format!("{shown}: {error}")))?;
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
        let (severity, what) = (finding.severity, &finding.what);
        out += &format!("{}:{line} {severity}: {what}\n", Shown(&shown));
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
