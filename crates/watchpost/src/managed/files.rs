//! The files of a nats-server of our own, below `nats/` in the state directory.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::failure::Failure;

/// As whom everybody connects.
pub(super) const USER: &str = "watchpost";
/// The programs' name, where it is looked for.
const PROGRAM: &str = "nats-server";
/// Where the project's own set-up puts it, from the root of a clone.
const TOOLS: &str = ".tools";
/// How much of the end of the log is looked at for what went wrong.
const LAST_WORDS_BYTES: u64 = 2048;
/// How large the log may grow before it is begun anew, and how many old ones are kept.
const LOG_BYTES_MAX: u64 = 10 * 1024 * 1024;
const LOGS_MAX: u32 = 2;
/// How much JetStream may keep.
const STORE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// Paths below one directory, which is ours alone.
pub(super) struct Files {
    folder: PathBuf,
}

/// Held for as long as the directory is in use.
pub(super) struct Lock {
    _file: File,
}

impl Files {
    /// Makes the directory, readable by us alone, and takes it.
    pub(super) fn open(state: &Path) -> Result<(Self, Lock), Failure> {
        let folder = state.join("nats");
        let failed = |e| Failure::usage(format!("the directory {} cannot be used: {e}", folder.display()));
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed)?;
        // The server runs in it or not as it likes: its configuration names paths in full.
        let folder = folder.canonicalize().map_err(failed)?;
        let file = private().create(true).append(true).open(folder.join("lock")).map_err(failed)?;
        let taken = |_| {
            Failure::usage(format!(
                "another `watchpost up --bus managed` uses {}: stop it, or give this one another --state-dir",
                folder.display()
            ))
        };
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(taken)?;
        Ok((Self { folder }, Lock { _file: file }))
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn config(&self) -> PathBuf {
        self.folder.join("server.conf")
    }

    pub(super) fn pid(&self) -> PathBuf {
        self.folder.join("server.pid")
    }

    /// Holds the URL with the credentials, for other programs.
    pub(super) fn url(&self) -> PathBuf {
        self.folder.join("url")
    }

    /// The password of before, or a new one.
    pub(super) fn password(&self) -> Result<String, Failure> {
        let known = fs::read_to_string(self.url()).ok();
        if let Some(password) = known.as_deref().and_then(|url| Some(parts(url)?.0)) {
            return Ok(password.to_owned());
        }
        let mut random = [0; 24];
        let read = File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut random));
        read.map_err(|e| Failure::stuck(format!("/dev/urandom cannot be read: {e}")))?;
        Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The port of before: programs that know the URL find the server again.
    pub(super) fn last_port(&self) -> Option<u16> {
        parts(&fs::read_to_string(self.url()).ok()?)?.1.parse().ok()
    }

    /// Writes the URL for other programs, readable by us alone.
    pub(super) fn tell_url(&self, port: u16, password: &str) -> Result<(), Failure> {
        self.write(&self.url(), &format!("nats://{USER}:{password}@127.0.0.1:{port}\n"))
    }

    pub(super) fn write_config(&self, port: u16, password: &str) -> Result<(), Failure> {
        let path = |name: &str| quoted(&self.folder.join(name));
        let config = format!(
            "# Written by `watchpost up --bus managed` at each start.\n\
             listen: \"127.0.0.1:{port}\"\n\
             server_name: watchpost\n\
             jetstream {{ store_dir: {store}, max_file_store: {STORE_BYTES_MAX} }}\n\
             authorization {{ user: {USER}, password: \"{password}\" }}\n\
             pid_file: {pid}\n\
             log_file: {log}\n\
             logfile_size_limit: {LOG_BYTES_MAX}\n\
             logfile_max_num: {LOGS_MAX}\n",
            store = path("jetstream"),
            pid = path("server.pid"),
            log = path("server.log"),
        );
        self.write(&self.config(), &config)
    }

    /// The last line of the log, which says why the server ended.
    pub(super) fn last_words(&self) -> String {
        let path = self.folder.join("server.log");
        let tail = || {
            let mut file = File::open(&path)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LAST_WORDS_BYTES)))?;
            let mut tail = Vec::new();
            file.take(LAST_WORDS_BYTES).read_to_end(&mut tail)?;
            std::io::Result::Ok(String::from_utf8_lossy(&tail).into_owned())
        };
        let tail = tail().unwrap_or_default();
        match tail.lines().rev().find(|line| !line.trim().is_empty()) {
            Some(line) => format!("{} says: {}", path.display(), line.trim()),
            None => format!("{} says nothing", path.display()),
        }
    }

    fn write(&self, path: &Path, content: &str) -> Result<(), Failure> {
        let new = path.with_extension("new");
        let write = || {
            let mut file = private().create(true).write(true).truncate(true).open(&new)?;
            file.write_all(content.as_bytes())?;
            fs::rename(&new, path)
        };
        write().map_err(|e| Failure::usage(format!("{} cannot be written: {e}", path.display())))
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Password and port of a URL that was written by [`Files::tell_url`].
fn parts(url: &str) -> Option<(&str, &str)> {
    let (before, host) = url.trim().rsplit_once('@')?;
    Some((before.rsplit_once(':')?.1, host.rsplit_once(':')?.1))
}

/// A path as text in the server's configuration.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('\\', "\\\\").replace('"', "\\\""))
}

/// The nats-server on the `PATH`, or the one that the project's set-up has fetched into the clone that this program was
/// built in.
pub(super) fn find_server() -> Result<PathBuf, Failure> {
    let on_path = crate::config::search_path().into_iter().map(|folder| folder.join(PROGRAM));
    let built = std::env::current_exe().unwrap_or_default();
    let fetched = built.ancestors().map(|folder| folder.join(TOOLS).join(PROGRAM));
    on_path.chain(fetched).find(|path| path.is_file()).ok_or_else(|| {
        Failure::usage(
            "there is no nats-server for `--bus managed`: put one on the PATH, give --nats-server FILE, or run \
             `bash deploy/fetch-nats-server.sh` in a clone of Watchpost",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_used_by_one_at_a_time_and_remembers_password_and_port() {
        let state = std::env::temp_dir().join(format!("watchpost-managed-{}", std::process::id()));
        let (files, lock) = Files::open(&state).unwrap();
        assert!(Files::open(&state).is_err_and(|failure| failure.to_string().contains("another")));
        assert_eq!(files.last_port(), None);
        let password = files.password().unwrap();
        assert_eq!(password.len(), 48);
        assert_ne!(files.password().unwrap(), password, "nothing was told yet");
        files.tell_url(4333, &password).unwrap();
        drop(lock);
        let (files, _lock) = Files::open(&state).unwrap();
        assert_eq!((files.password().unwrap(), files.last_port()), (password, Some(4333)));
        fs::remove_dir_all(&state).unwrap();
    }

    #[test]
    fn paths_are_quoted_for_the_server() {
        assert_eq!(quoted(Path::new(r#"/a "b"\c"#)), r#""/a \"b\"\\c""#);
    }
}
