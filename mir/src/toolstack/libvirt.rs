//! Domains of libvirt's driver for Xen.

use std::fmt::Write;

use super::Domain;

/// The domain's XML: `virsh -c xen:///system define FILE`.
pub fn libvirt(domain: &Domain) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut out, domain);
    out
}

fn write(out: &mut String, domain: &Domain) -> std::fmt::Result {
    let name = Escaped(&domain.name);
    let kernel = domain.kernel.to_string_lossy();
    write!(
        out,
        "<!-- mir-www under Xen, for libvirt: virsh -c xen:///system define www.libvirt.xml && virsh -c xen:///system start NAME -->\n\
         <domain type='xen'>\n  \
         <name>{name}</name>\n  \
         <memory unit='MiB'>{}</memory>\n  \
         <vcpu>1</vcpu>\n  \
         <os>\n    \
         <type arch='x86_64' machine='xenpv'>linux</type>\n    \
         <kernel>{}</kernel>\n",
        domain.memory_mib,
        Escaped(&kernel)
    )?;
    if !domain.extra.is_empty() {
        writeln!(out, "    <cmdline>{}</cmdline>", Escaped(&domain.extra))?;
    }
    out.push_str(
        "  </os>\n  \
         <on_poweroff>destroy</on_poweroff>\n  \
         <on_reboot>restart</on_reboot>\n  \
         <on_crash>restart</on_crash>\n  \
         <devices>\n",
    );
    for disk in &domain.disks {
        let (kind, source) = match disk.target.starts_with("/dev") {
            true => ("block", "dev"),
            false => ("file", "file"),
        };
        let target = disk.target.to_string_lossy();
        // Without a driver named, libxl chooses the backend as it does for xl.
        write!(
            out,
            "    <disk type='{kind}' device='disk'>\n      \
             <source {source}='{}'/>\n      \
             <target dev='{}' bus='xen'/>\n      \
             <readonly/>\n    \
             </disk>\n",
            Escaped(&target),
            Escaped(&disk.vdev)
        )?;
    }
    out.push_str("    <interface type='bridge'>\n");
    if let Some(mac) = &domain.vif.mac {
        writeln!(out, "      <mac address='{}'/>", Escaped(mac))?;
    }
    let bridge = Escaped(&domain.vif.bridge);
    writeln!(out, "      <source bridge='{bridge}'/>")?;
    // xl has them in one string, with spaces between them.
    for ip in domain.vif.ip.iter().flat_map(|ip| ip.split_whitespace()) {
        let (address, prefix) = match ip.split_once('/') {
            Some((address, prefix)) => (address, format!(" prefix='{}'", Escaped(prefix))),
            None => (ip, String::new()),
        };
        let family = if ip.contains(':') { "ipv6" } else { "ipv4" };
        let address = Escaped(address);
        writeln!(
            out,
            "      <ip address='{address}' family='{family}'{prefix}/>"
        )?;
    }
    out.push_str(
        "    </interface>\n    \
         <console type='pty'>\n      \
         <target type='xen' port='0'/>\n    \
         </console>\n  \
         </devices>\n\
         </domain>\n",
    );
    Ok(())
}

/// Text in XML, also in an attribute. What XML 1.0 has no way to say at all becomes U+FFFD.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&apos;")?,
                // Readers would make spaces of them in attributes.
                '\t' | '\n' | '\r' => write!(f, "&#{};", u32::from(c))?,
                '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}
