//! What each command says: transcripts/*.md are read as terminals would show them, and played.
//! `TRYCMD=overwrite cargo test -p mir --test transcripts` writes down what is said now.

#[test]
fn transcripts() {
    // Whoever builds this may have set what changes a build.
    let cases = trycmd::TestCases::new();
    cases
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .env("XDG_CACHE_HOME", "/nonexistent")
        .case("tests/transcripts/*.md");
}
