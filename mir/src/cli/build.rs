//! `mir build`.

use std::path::{Path, PathBuf};

use www::pack::Pack;

use super::given::{Common, Options};
use super::site::Rendering;
use super::{Failed, base, built, domain, fat, read, report, write};
use crate::config::{Configuration, Key, KvRo, Target};
use crate::fat::format::Wanted;
use crate::image::{self, About};
use crate::link::{self, Payload};
use crate::pack;

/// The arguments of `mir build` beside the options.
#[derive(clap::Args)]
pub(super) struct Building {
    /// The program that the site is put into: mir-www for Unix, mir-www-xen for Xen, or an image
    /// made of one [default: built in the project's checkout, else beside mir]
    #[arg(long, value_name = "FILE")]
    base: Option<PathBuf>,
    #[command(flatten)]
    rendering: Rendering,
}

/// What was built.
pub(super) struct Built {
    pub(super) configuration: Configuration,
    pub(super) image: PathBuf,
}

/// Builds what a configuration says; with `output` only the image, to that file.
pub(super) fn build(
    common: &Common,
    options: Options,
    building: &Building,
    output: Option<&Path>,
) -> Result<Built, Failed> {
    let configuration = common.configuration(options)?;
    let settings = &configuration.settings;
    let dist = configuration.dist();
    let target = settings.target();
    let name = match target {
        Target::Unix => "mir-www",
        Target::Xen => "mir-www.xen",
    };
    let base = base::find(target, building.base.as_deref(), &configuration.root)?;
    let program = read(&base)?;
    let words = configuration.words();
    let words = words.map_err(|error| Failed::say(format!("the folder we are in: {error}")))?;

    let rendering = &building.rendering;
    let rendered = rendering.render_at(&configuration.site(), None)?;
    let title = rendered.title.clone();
    let files = rendered.items.len();
    let mut made = vec![name];
    let pack = match settings.kv_ro() {
        KvRo::Fat if output.is_none() => {
            made.extend(["files.img", "pages.img"]);
            let pack = pack::pack(rendered.clone(), &rendering.cache()).map_err(Failed::say)?;
            fat::images(rendered, &rendering.cache(), &dist, Wanted::default(), None)?;
            pack
        }
        _ => pack::pack(rendered, &rendering.cache()).map_err(Failed::say)?,
    };
    let loaded = Pack::load(&pack).map_err(Failed::say)?;
    let about = About::new(Some(image::Site::new(Some(title), &pack, &loaded)));
    let payload = Payload {
        pack: &pack,
        words: &image::join(&words),
        about: &about.to_json(),
    };
    let image = output.map_or_else(|| dist.join(name), Path::to_owned);
    let refused = |error| Failed::say(format!("{}: {error}", base.display()));
    let (total, without_site) = match target {
        Target::Unix => {
            let linked = link::unix::link(&program, &payload).map_err(refused)?;
            write(&image, &linked.parts(), true)?;
            let total: usize = linked.parts().iter().map(|part| part.len()).sum();
            (total, total - pack.len())
        }
        Target::Xen => {
            let linked = link::xen::link(&program, &payload).map_err(refused)?;
            let memory = domain::memory(&configuration, linked.bytes.len(), files)?;
            write(&image, &[&linked.bytes], false)?;
            if output.is_none() {
                made.extend(domain::write(&configuration, memory, &words)?);
            }
            (linked.bytes.len(), linked.without_site as usize)
        }
    };
    report(format_args!(
        "{}: {total} bytes, {without_site} without its site",
        image.display()
    ))?;
    if output.is_none() {
        built::add(&dist, &made)?;
        next(&configuration)?;
    }
    Ok(Built {
        configuration,
        image,
    })
}

/// How to start it.
fn next(configuration: &Configuration) -> Result<(), Failed> {
    let dist = configuration.dist();
    match configuration.settings.target() {
        Target::Unix => Ok(()),
        Target::Xen => {
            let name = configuration.settings.get(Key::Name).unwrap_or("mir-www");
            let xl = dist.join("www.xl");
            report(format_args!(
                "{}: starts it as {name}: sudo xl create -c {}",
                xl.display(),
                xl.display()
            ))
        }
    }
}
