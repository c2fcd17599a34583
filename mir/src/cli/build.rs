//! `mir build`.

use std::path::{Path, PathBuf};

use www::pack::Pack;

use super::built::Stage;
use super::site::Rendering;
use super::{Failed, base, domain, fat, here, read, report, write};
use crate::config::{Configuration, FILES_IMAGE, KvRo, PAGES_IMAGE, Target};
use crate::fat::format::Wanted;
use crate::image::{self, About};
use crate::link::{self, Payload};
use crate::pack;
use crate::site::Rendered;

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

/// The image for Xen, in the folder for what is built.
pub(super) const XEN_IMAGE: &str = "mir-www.xen";

/// What goes into the image, and what beside it.
#[derive(Default)]
struct Content {
    pack: Vec<u8>,
    about: Option<image::Site>,
    /// The site, if it is for images.
    images: Option<Rendered>,
    files: usize,
}

/// Builds what a configuration says, and says where the image is; with `output` that is all that
/// is written, to that file.
pub(super) fn build(
    configuration: &Configuration,
    building: &Building,
    output: Option<&Path>,
) -> Result<PathBuf, Failed> {
    let settings = &configuration.settings;
    let dist = configuration.dist();
    let target = settings.target();
    let name = match target {
        Target::Unix => "mir-www",
        Target::Xen => XEN_IMAGE,
    };
    if output.is_none() {
        super::site::apart(&configuration.site(), &dist)?;
    }
    let base = base::find(target, building.base.as_deref(), &configuration.root)?;
    let program = read(&base)?;
    let words = configuration.words();
    let words = words.map_err(|error| here(&error))?;
    let understood = image::check_words(target.platform(), &words);
    understood.map_err(|error| Failed::say(format!("the program refuses this: {error}")))?;
    let content = content(configuration, &building.rendering)?;
    let payload = Payload {
        pack: &content.pack,
        words: &image::join(&words),
        about: &About::new(content.about).to_json(),
    };
    let image = output.map_or_else(|| dist.join(name), Path::to_owned);
    let refused = |error| Failed::say(format!("{}: {error}", base.display()));
    // Nothing is written before all of it is known to be right.
    let (unix, xen);
    let (parts, memory) = match target {
        Target::Unix => {
            unix = link::unix::link(&program, &payload).map_err(refused)?;
            (unix.parts().to_vec(), None)
        }
        Target::Xen => {
            xen = link::xen::link(&program, &payload).map_err(refused)?;
            let memory = domain::memory(configuration, xen.bytes.len(), content.files)?;
            (vec![&*xen.bytes], Some(memory))
        }
    };
    let executable = target == Target::Unix;
    match output {
        Some(output) => write(output, &parts, executable)?,
        None => {
            let stage = Stage::new(&dist)?;
            let mut made = vec![name];
            if let Some(site) = content.images {
                made.extend([FILES_IMAGE, PAGES_IMAGE]);
                let (cache, place) = (building.rendering.cache(), (stage.place(), &*dist));
                fat::images(site, &cache, place, Wanted::default(), None)?;
            }
            stage.write(name, &parts, executable)?;
            if let Some(memory) = memory {
                made.extend(domain::write(configuration, memory, &stage)?);
            }
            stage.finish(&made)?;
        }
    }
    let total: usize = parts.iter().map(|part| part.len()).sum();
    let without_site = total - payload.pack.len();
    report(format_args!(
        "{}: {total} bytes, {without_site} without its site",
        image.display()
    ))?;
    if output.is_none() && target == Target::Xen {
        domain::how(&dist.join(domain::XL))?;
    }
    Ok(image)
}

/// Renders the site, as far as that is done before the program runs.
fn content(configuration: &Configuration, rendering: &Rendering) -> Result<Content, Failed> {
    let site = configuration.site();
    let kv_ro = configuration.settings.kv_ro();
    if kv_ro == KvRo::Direct {
        // What is wrong with it is shown in the browser.
        super::site::exists(&site)?;
        return Ok(Content::default());
    }
    let rendered = rendering.render_at(&site, None)?;
    let files = rendered.items.len();
    if kv_ro == KvRo::Fat {
        return Ok(Content {
            files,
            images: Some(rendered),
            ..Content::default()
        });
    }
    let title = rendered.title.clone();
    let cache = rendering.cache();
    let packed = super::site::compressing(files, || pack::pack(rendered, &cache));
    let pack = packed.map_err(Failed::say)?;
    let loaded = Pack::load(&pack).map_err(Failed::say)?;
    let about = image::Site::new(Some(title), &pack, &loaded);
    Ok(Content {
        about: Some(about),
        pack,
        files,
        images: None,
    })
}
