//! Prints a translation.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "an example")]
fn main() {
    let files: Vec<(String, String)> =
        std::env::args().skip(1).map(|f| (f.clone(), std::fs::read_to_string(&f).unwrap())).collect();
    let sources: Vec<_> = files.iter().map(|(name, text)| watchpost_import::Source { name, text }).collect();
    match watchpost_import::import(&sources, None) {
        Ok(done) => {
            print!("{}", done.to_yaml(false));
            eprint!("{}", done.list());
        }
        Err(error) => eprintln!("{error}"),
    }
}
