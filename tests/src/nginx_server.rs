//! A real web server: nginx.

#![allow(clippy::expect_used, reason = "a test whose server cannot be started has failed")]

use std::fs;
use std::path::Path;

use crate::server_process::{ServerProcess, accepts, installed, unprivileged};
use crate::tls_fixture::PemFiles;

/// What it answers: `/ok`, `/moved` (to `/ok`), `/closed` (to `alice` with the password `hunter2`), `/large` (a
/// megabyte of text, packed for those who take it so), `/small` (takes bodies of at most 1 KiB).
const LOCATIONS: &str = r#"
    location = /ok { return 200 "ok over $server_protocol"; }
    location = /moved { add_header Set-Cookie "seen=yes" always; return 301 /seen; }
    location = /seen { return 200 "cookie $http_cookie"; }
    location = /closed { auth_basic "closed"; auth_basic_user_file users; try_files /large =404; }
    location = /large { gzip on; gzip_types text/plain; default_type text/plain; }
    location = /small { client_max_body_size 1k; proxy_pass http://127.0.0.1:1; }
"#;

/// Starts an nginx that speaks HTTP/1.1 and HTTP/2 over TLS.
///
/// # Panics
/// When it does not become ready.
pub fn start_with_tls(files: &PemFiles) -> ServerProcess {
    start("ssl http2", |folder| {
        files.write_to(folder);
        format!("ssl_certificate {}; ssl_certificate_key {};", PemFiles::CERTIFICATE, PemFiles::KEY)
    })
}

/// Starts an nginx that speaks HTTP/2 without TLS.
///
/// # Panics
/// When it does not become ready.
pub fn start_with_http2() -> ServerProcess {
    start("http2", |_| String::new())
}

fn start(listen: &str, more: impl Fn(&Path) -> String) -> ServerProcess {
    let command = |folder: &Path, port: u16| {
        let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary: String = folders.iter().map(|name| format!("{name}_temp_path {name};\n")).collect();
        let more = more(folder);
        let config = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n\
             {temporary}server {{\nlisten 127.0.0.1:{port} {listen};\nroot .;\n{more}{LOCATIONS}}}\n}}\n"
        );
        fs::write(folder.join("nginx.conf"), config).expect("the server's configuration");
        fs::write(folder.join("users"), "alice:{PLAIN}hunter2\n").expect("the server's users");
        fs::write(folder.join("large"), "all is well\n".repeat(90_000)).expect("what the server shows");
        let mut command = unprivileged(&installed("nginx", "nginx-light"));
        command.arg("-p").arg(folder).args(["-c", "nginx.conf", "-e", "stderr"]);
        command
    };
    ServerProcess::start("nginx", command, accepts)
}
