//! The policy is asked where sockets and files are opened. This reads the sources, so that a door that somebody opens
//! elsewhere fails here and not in a review.

use std::fs;
use std::path::{Path, PathBuf};

/// Words that open something, and the only files of the crate that may have them.
const DOORS: &[(&[&str], &[&str])] = &[
    // Connections and datagrams.
    (
        &["TcpStream::connect", "TcpSocket::", "UdpSocket::bind", "UdpSocket::from_std", "Socket::new("],
        // Those for failures bind a port to learn whether there is one, and send nothing.
        &["network.rs", "network/datagram.rs", "failure.rs", "resolver/failure.rs"],
    ),
    (&["UnixStream::connect", "UnixDatagram", "UnixSocket::new"], &["network/unix.rs"]),
    (&["connect_timeout", "to_socket_addrs", "lookup_host", "TcpListener", "UnixListener", "hyper_util::client"], &[]),
    (&["nix::sys::socket::connect", "sendto", "sendmsg", "libc::connect", "libc::socket", "rustix::net"], &[]),
    // Name servers.
    (&["TokioResolver", "lookup_ip(", "srv_lookup("], &["resolver/mod.rs", "resolver/setup.rs"]),
    // Files.
    (&["File::options", "tokio::fs", "fs::read(", "fs::read_to_string"], &[]),
    // A program is looked at before it is run, by the rules for programs.
    (&["File::open"], &["exec/launch.rs"]),
    // The last reads secrets, from where the operator says, and no check.
    (&["OpenOptions::new"], &["files.rs", "network/unix.rs", "secrets/source.rs"]),
    (&["fs::read_dir"], &["files.rs"]),
    // The second counts them, for whoever asks whether this machine has any.
    (&["load_native_certs"], &["tls/roots.rs", "machine.rs"]),
    // Programs.
    (&["Command::new"], &["exec/launch.rs"]),
];

/// Whoever has an address that was judged has it from here.
const NETWORK: &str = "network.rs";

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, found),
            false if path.extension().is_some_and(|extension| extension == "rs") => found.push(path),
            false => {}
        }
    }
}

/// What is built into the product: no comments, and nothing of tests.
fn product(text: &str) -> String {
    let mut lines = text.lines();
    let mut kept = String::new();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            // The item that follows, by its indentation.
            let indent = line.len() - line.trim_start().len();
            let is_end = |line: &str| {
                line.len() > indent && !line.starts_with(&" ".repeat(indent + 1)) && line.ends_with(['}', ';'])
            };
            for line in lines.by_ref() {
                if is_end(line) {
                    break;
                }
            }
            continue;
        }
        if !line.trim_start().starts_with("//") {
            kept += line;
            kept.push('\n');
        }
    }
    kept
}

#[test]
fn nothing_is_opened_but_where_the_policy_is_asked() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/watchpost-probe/src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 80, "the sources are not where they were");
    let mut wrong = Vec::new();
    let mut seen = Vec::new();
    for file in files {
        let name = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        if name.ends_with("tests.rs") || name.contains("/tests/") {
            continue;
        }
        let text = product(&fs::read_to_string(&file).unwrap());
        for (words, permitted) in DOORS {
            for word in words.iter().filter(|word| text.contains(**word)) {
                match permitted.contains(&name.as_str()) {
                    true => seen.push(*word),
                    false => wrong.push(format!("{name} has `{word}`: only {permitted:?} may")),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // What this looks for is there at all.
    for word in [
        "TcpStream::connect",
        "Socket::new(",
        "UnixStream::connect",
        "OpenOptions::new",
        "TokioResolver",
        "Command::new",
    ] {
        assert!(seen.contains(&word), "nothing has `{word}` any more: what opens instead?");
    }
}

#[test]
fn every_connection_is_judged_before_it_is_dialled() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/watchpost-probe/src");
    let text = product(&fs::read_to_string(root.join(NETWORK)).unwrap());
    let position = |what: &str| text.find(what).unwrap_or_else(|| panic!("{NETWORK} has no `{what}` any more"));
    let connect = position("pub(crate) async fn connect(");
    let addresses = position("self.addresses(to, Transport::Tcp, recorder)");
    let dialled = position("TcpStream::connect");
    assert!(connect < addresses && addresses < dialled);
    assert_eq!(text.matches("TcpStream::connect").count(), 1, "there is one place that dials");
}
