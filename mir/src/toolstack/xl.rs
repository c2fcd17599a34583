//! Configurations for `xl`.

use std::fmt::Write;
use std::path::Path;

use super::{Domain, Vif};

/// The text of a configuration, with comments for those who change it, that call it `file`.
pub fn xl(domain: &Domain, file: &str) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut out, domain, &comment(file));
    out
}

/// A name in a comment, which ends where a line does.
fn comment(name: &str) -> String {
    name.replace(char::is_control, " ")
}

fn write(out: &mut String, domain: &Domain, file: &str) -> std::fmt::Result {
    let fat = !domain.disks.is_empty();
    let what = if fat { ", the site on disks" } else { "" };
    write!(
        out,
        "# mir-www under Xen{what}:   sudo xl create -c {file}\n\
         #\n\
         # -c shows the guest's console (leave it with Ctrl-]); without it the guest runs in the background.\n\
         # `mir xl --check {file}` says what is wrong with this file after it was changed.\n\n"
    )?;
    write!(
        out,
        "name = {}\n\
         type = \"pv\"\n\n\
         # A PV guest in hardware's own address space, if the processor can do that and dom0 has Xen's shim. The shim takes\n\
         # some of the memory for itself, so give more.\n\
         # type = \"pvh\"\n\
         # pvshim = 1\n\n",
        quote(&domain.name)
    )?;
    out.push_str(match fat {
        false => {
            "# Boot layer, drivers, web server and site in one file. There is no disk and no root file system.\n"
        }
        true => "# Boot layer, drivers and web server. A site in it is not looked at.\n",
    });
    write!(
        out,
        "# A full path, which on another host is yours to change: for a reboot xl looks for the kernel from /, where it does\n\
         # not find a relative one.\n\
         kernel = {}\n\n",
        quote(&path(&domain.kernel))
    )?;
    out.push_str(match fat {
        false => {
            "# MiB. The site's size, plus about 6 for the rest. A busy site gets more: connections take what is left.\n"
        }
        true => {
            "# MiB. Independent of the site's size: what is asked for often stays in a cache (--cache=SIZE).\n"
        }
    });
    write!(out, "memory = {}\nvcpus = 1\n\n", domain.memory_mib)?;
    if fat {
        out.push_str(DISKS);
        out.push_str("disk = [\n");
        for disk in &domain.disks {
            let disk = format!(
                "format=raw,vdev={},access=ro,target={}",
                disk.vdev,
                path(&disk.target)
            );
            writeln!(out, "    {},", quote_single(&disk))?;
        }
        out.push_str("]\n\n");
    }
    let bridge = &domain.vif.bridge;
    write!(
        out,
        "# The network interface, on a bridge of dom0's. If there is none yet:\n\
         #   ip link add {bridge} type bridge && ip addr add 10.0.0.1/24 dev {bridge} && ip link set {bridge} up\n\
         # It can have an address: vif = ['bridge={bridge},ip=10.0.0.7'], or an IPv4 and an IPv6 one with a space between them. The\n\
         # guest takes it unless its arguments have another, and dom0's scripts know it, too.\n\
         vif = [{}]\n\n",
        quote_single(&vif(&domain.vif))
    )?;
    out.push_str(
        "# The guest's arguments, which go before those that are built into the image; --help prints all on the console. Without\n\
         # any it has the vif's address, else 10.0.0.2/24, and IPv6 addresses in the networks that routers advertise, on port 80.\n",
    );
    match domain.extra.as_str() {
        "" => out.push_str(
            "# extra = \"--ipv4=10.0.0.7/24 --ipv6=2001:db8::7/64\"\n\
             # extra = \"--dhcp --http-port=8080 --logs=net:debug,*:info\"\n",
        ),
        extra => writeln!(out, "extra = {}", quote(extra))?,
    }
    out.push_str(
        "\n# A crashed guest prints where it was on its console; start it again all the same.\n\
         on_crash = \"restart\"\n",
    );
    Ok(())
}

const DISKS: &str = "\
# FAT images, read only: usually xvda has the static files, and xvdb the rendered pages.
#
# A relative target counts from where xl is called; a full path works for reboots, too. xl chooses the
# backend: for raw files and block devices it is blkback in dom0's kernel, which reaches a file through a loop device
# that xl's script `block` makes. A block device, such as a logical volume, is named in the same way,
#   'format=raw,vdev=xvda,access=ro,target=/dev/vg0/files'   or shorter   'phy:/dev/vg0/files,xvda,r'
# (`file:/path,xvda,r` and `phy:` are old words; xl takes both for the same thing). A loop device of your own may have
# sectors of 4096 bytes. With backendtype=qdisk QEMU is the backend; QEMU 7.2 refuses access=ro.
#
# Disks may come and go: xl block-detach mir-www xvda; xl block-attach mir-www 'format=raw,vdev=xvda,access=ro,target=files.img'
";

fn vif(vif: &Vif) -> String {
    let mut out = format!("bridge={}", vif.bridge);
    for (key, value) in [("ip", &vif.ip), ("mac", &vif.mac)] {
        if let Some(value) = value {
            out.push_str(&format!(",{key}={value}"));
        }
    }
    out
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A string as xl reads it (tools/libs/util/libxlu_cfg_l.l and xlu__cfgl_dequote), in `"`.
fn quote(text: &str) -> String {
    quoted(text, '"')
}

fn quote_single(text: &str) -> String {
    quoted(text, '\'')
}

fn quoted(text: &str, mark: char) -> String {
    let mut out = String::from(mark);
    for c in text.chars() {
        match c {
            // A string of xl's ends where a line does. Its numeric escapes do not work as they are
            // documented; nothing else needs one, and a NUL no command line can have.
            '\n' => out.push_str("\\n"),
            '\0' => out.push(' '),
            '\\' => out.push_str("\\\\"),
            c if c == mark => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out.push(mark);
    out
}
