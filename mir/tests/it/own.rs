//! The project's own site.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::common::render;
use mir::site::Rendered;

fn own() -> (PathBuf, Rendered) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../www/site");
    let site = render(&folder).unwrap();
    (folder, site)
}

/// The values of an attribute in a page.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let start = format!(" {attribute}=\"");
    let parts = html.split(start.as_str()).skip(1);
    parts.filter_map(|rest| rest.split('"').next()).collect()
}

fn pages(site: &Rendered) -> impl Iterator<Item = (&str, &str)> {
    let items = site.items.iter().chain(&site.not_found);
    let html = items.filter(|item| item.media_type.starts_with("text/html"));
    html.map(|item| (item.path.as_str(), std::str::from_utf8(&item.body).unwrap()))
}

#[test]
fn every_link_leads_somewhere() {
    let (_, site) = own();
    assert_eq!(site.warnings, []);
    let ids: BTreeSet<_> = pages(&site)
        .flat_map(|(path, html)| values(html, "id").into_iter().map(move |id| (path, id)))
        .collect();
    let mut links = 0;
    for (page, html) in pages(&site) {
        for url in [values(html, "href"), values(html, "src")].concat() {
            if url.starts_with("https://") || url.starts_with("http://localhost") {
                continue;
            }
            links += 1;
            let (path, id) = url.split_once('#').unwrap_or((url, ""));
            let path = if path.is_empty() { page } else { path };
            assert!(
                path == page
                    || site
                        .items
                        .iter()
                        .chain(&site.assets)
                        .any(|item| item.path == path),
                "{page} links to {url}"
            );
            assert!(
                id.is_empty() || ids.contains(&(path, id)),
                "{page} links to {url}"
            );
        }
    }
    assert!(links > 200, "{links} links were looked at");
}

#[test]
fn pages_ask_no_other_host_and_need_no_script() {
    let (_, site) = own();
    for (page, html) in pages(&site) {
        let loads = values(html, "src").into_iter().chain(
            html.split("<link ")
                .skip(1)
                .flat_map(|link| values(link.split('>').next().unwrap(), "href")),
        );
        for url in loads {
            assert!(
                url.starts_with('/') && !url.starts_with("//"),
                "{page} loads {url}"
            );
        }
        // Searching needs one, and says so in words for those who have none.
        let script = site.assets.iter().find(|item| item.path.ends_with(".js"));
        let script = script.map(|item| format!("<script src=\"{}\" defer></script>", item.path));
        let html = match page {
            "/search" => html.replace(&script.unwrap(), ""),
            _ => html.to_owned(),
        };
        assert!(
            !html.contains("<script") && !html.contains("javascript:"),
            "{page}"
        );
        assert!(!html.contains(" style=\""), "{page}");
    }
    for item in site
        .items
        .iter()
        .filter(|item| item.media_type.starts_with("text/css"))
    {
        let css = std::str::from_utf8(&item.body).unwrap();
        assert!(
            !css.contains("url(") && !css.contains("@import"),
            "{}",
            item.path
        );
    }
}

#[test]
fn every_page_is_one_for_its_readers() {
    let (_, site) = own();
    let mut titles = BTreeSet::new();
    for (page, html) in pages(&site) {
        assert_eq!(html.matches("<h1").count(), 1, "{page}");
        assert!(html.contains("<html lang=\"en\">"), "{page}");
        assert!(html.contains("<meta name=\"description\""), "{page}");
        assert!(
            html.contains("<link rel=\"icon\" href=\"/favicon.svg\""),
            "{page}"
        );
        let title = html
            .split("<title>")
            .nth(1)
            .and_then(|rest| rest.split('<').next());
        assert!(
            titles.insert(title.unwrap().to_owned()),
            "{page}: {title:?} twice"
        );
        for image in html.split("<img ").skip(1) {
            let tag = image.split('>').next().unwrap();
            assert!(
                values(&format!(" {tag}"), "alt")[0].len() > 20,
                "{page}: {tag}"
            );
        }
    }
}
