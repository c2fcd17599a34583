//! Whatever stands in a site's files, rendering ends with a site or with reasons.

use crate::common::{folder, render};
use proptest::collection::vec;
use proptest::prelude::*;

/// Bytes that are mostly what parsers take for structure.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("---\n"),
        Just("+++\n"),
        Just("title: "),
        Just("date: "),
        Just("date = "),
        Just("2026-02-30\n"),
        Just("- "),
        Just("["),
        Just("]"),
        Just("]: "),
        Just("("),
        Just(")"),
        Just("{"),
        Just("}"),
        Just("\n"),
        Just("\r\n"),
        Just("# "),
        Just("> "),
        Just("```"),
        Just("| a | b |\n|--|--|\n"),
        Just("[^1]"),
        Just("[^1]: "),
        Just("<div>"),
        Just("</"),
        Just("&a"),
        Just("*a"),
        Just("<<: *a\n"),
        Just("!!binary "),
        Just("\""),
        Just("'"),
        Just("\t"),
        Just("\\"),
        Just("\u{feff}"),
        Just("ü"),
        Just("{#x}"),
        Just("{{ x }}"),
        Just("{% for"),
        Just("../.."),
        Just("%ff"),
        Just("~~"),
        Just("![x]("),
        Just(": "),
        Just("= "),
        Just("a"),
        Just("\0"),
        Just("|\n "),
        Just("999999999999999999999"),
    ];
    prop_oneof![
        vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes()),
        vec(any::<u8>(), 0..200),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn texts(one in text(), two in text(), name in "[ -~äü]{1,20}") {
        let name = name.replace('/', "-");
        let site = folder(&[
            (&format!("content/{name}.md"), &one),
            ("content/fenced.md", &[b"---\n", two.as_slice(), b"\n---\n", one.as_slice()].concat()),
        ]);
        let _ = render(site.path());
    }

    #[test]
    fn templates_and_configuration(template in text(), config in text()) {
        let site = folder(&[
            ("content/a.md", b"text"),
            ("templates/page.html", &template),
            ("site.toml", &config),
        ]);
        let _ = render(site.path());
    }
}
