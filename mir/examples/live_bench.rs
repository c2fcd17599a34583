//! What it takes to build a site, and to show a page anew that was saved, in sites of several sizes:
//! `cargo run --release -p mir --example live_bench`.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use mir::pack::{Cache, pack};
use mir::site::{Change, Found, Live, Options, render};

const ROUNDS: u32 = 20;

fn main() {
    println!(
        "files  render      pack         open      look, nothing new  look, one saved  page      \
         (the last three: median of {ROUNDS})"
    );
    for files in [10, 100, 1_000, 5_000, 10_000] {
        let folder = tempfile::tempdir().expect("a folder");
        for at in 0..files {
            put(folder.path(), at, 0);
        }
        let (site, rendered) = timed(|| render(folder.path(), Options::default()));
        let site = site.expect("a good site");
        let (packed, packing) = timed(|| pack(site, &Cache::none()));
        assert!(packed.is_ok());
        let (live, open) = timed(|| Live::open(folder.path(), Options::default()));
        let (mut quiet, mut saved, mut page) = (Vec::new(), Vec::new(), Vec::new());
        for round in 1..=ROUNDS {
            // What was saved right before a look is read once more at the next.
            live.look();
            quiet.push(timed(|| live.look()).1);
            put(folder.path(), 7, round);
            let (change, time) = timed(|| live.look());
            assert_eq!(change, Change::All);
            saved.push(time);
            let (found, time) = timed(|| live.view().find("/part-7/page-7"));
            let text = format!("round {round}");
            let Ok(Found::Item(item, _)) = found else {
                panic!("no page");
            };
            assert!(String::from_utf8_lossy(&item.body).contains(&text));
            page.push(time);
        }
        println!(
            "{files:<6} {:<11} {:<12} {:<9} {:<18} {:<16} {:<9}",
            ms(rendered),
            ms(packing),
            ms(open),
            ms(median(quiet)),
            ms(median(saved)),
            ms(median(page))
        );
    }
}

/// A page of 6 KB with some of everything, ten lines of code that no other page has among it; 50 pages
/// to a folder.
fn put(folder: &Path, at: usize, round: u32) {
    let part = at / 50 + 7;
    let path = folder.join(format!("content/part-{part}/page-{at}.md"));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).expect("a folder");
    }
    let text = format!("Some *words* with a [link](page-{at}.md), `code`, and more words.\n");
    let text = text.repeat(60);
    let page = format!(
        "---\ntitle: Page {at}\ndate: 2026-11-23\ntags: [a, b]\n---\n## round {round}\n\n{text}\n\n\
         | a | b |\n|---|---|\n| 1 | 2 |\n\n```rust\n{}```\n",
        format!("    let page_{at} = round(\"{round}\", {at}); // as it is\n").repeat(10)
    );
    fs::write(path, page).expect("a file");
}

fn timed<R>(work: impl FnOnce() -> R) -> (R, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}
