//! What starts a Xen domain.

use super::{Failed, write as put};
use crate::config::{Configuration, Key, KvRo};

/// MiB beside the image: the guest's tables, its stack and a few connections.
const LEAST_BESIDE: u64 = 6;
/// MiB for connections and what is cached.
const ROOM: u64 = 10;
/// MiB that a domain gets if it needs less.
const USUAL: u64 = 32;

/// Bytes that a file on a volume takes in memory.
const FILE: u64 = 256;

/// How much memory the domain gets, in MiB.
pub(super) fn memory(
    configuration: &Configuration,
    image: usize,
    files: usize,
) -> Result<u64, Failed> {
    let settings = &configuration.settings;
    let index = match settings.kv_ro() {
        KvRo::Fat => files as u64 * FILE,
        KvRo::Crunch | KvRo::Direct => 0,
    };
    let least = (image as u64 + index).div_ceil(1 << 20) + LEAST_BESIDE;
    let Some(given) = settings
        .get(Key::Memory)
        .and_then(|text| text.parse::<u64>().ok())
    else {
        return Ok((least + ROOM).next_multiple_of(4).max(USUAL));
    };
    if given < least {
        let why = format!(
            "--memory {given}: the image has {image} bytes, and the guest needs some beside it"
        );
        return Err(Failed::usage(why).help(format!("the nearest that can be: --memory {least}")));
    }
    Ok(given)
}

/// Writes what starts the domain, beside the image; the names of the files.
pub(super) fn write(
    configuration: &Configuration,
    memory: u64,
) -> Result<[&'static str; 1], Failed> {
    let settings = &configuration.settings;
    let dist = configuration.dist();
    let place = std::path::absolute(&dist);
    let place = place.map_err(|error| Failed::say(format!("{}: {error}", dist.display())))?;
    let name = settings.get(Key::Name).unwrap_or("mir-www");
    let bridge = settings.get(Key::Bridge).unwrap_or("xenbr0");
    let mut vif = format!("bridge={bridge}");
    for (key, word) in [(Key::VifIp, "ip"), (Key::Mac, "mac")] {
        if let Some(text) = settings.get(key) {
            vif.push_str(&format!(",{word}={text}"));
        }
    }
    let mut text = format!(
        "name = \"{name}\"\ntype = \"pv\"\nkernel = \"{}/mir-www.xen\"\nmemory = {memory}\nvcpus = 1\nvif = ['{vif}']\n",
        place.display()
    );
    if settings.kv_ro() == KvRo::Fat {
        text.push_str("disk = [\n");
        for (device, image) in [("xvda", "files.img"), ("xvdb", "pages.img")] {
            text.push_str(&format!(
                "    'format=raw,vdev={device},access=ro,target={}/{image}',\n",
                place.display()
            ));
        }
        text.push_str("]\n");
    }
    text.push_str("on_crash = \"restart\"\n");
    put(&dist.join("www.xl"), &[text.as_bytes()], false)?;
    Ok(["www.xl"])
}
