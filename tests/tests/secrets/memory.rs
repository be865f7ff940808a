//! The memory of a process that holds secrets.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use watchpost_tests::process::{SOON, binary, until};

/// A user other than the superuser, to whom everything belongs that is not withheld.
const NOBODY: u32 = 65_534;

/// A `watchpost` that runs as an ordinary user. It is killed, and its folder removed, when this is dropped.
struct Process {
    child: Child,
    folder: PathBuf,
}

impl Process {
    fn start(name: &str, args: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("watchpost-memory-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.join("w.yaml"), "checks:\n- {id: a, tcp: {address: '127.0.0.1:9'}, interval: 1h}\n").unwrap();
        let log = File::create(folder.join("log")).unwrap();
        let mut command = Command::new(binary());
        command.args(["up", "-c", "w.yaml", "--console", "off", "--log", "info"]).args(args).current_dir(&folder);
        if is_superuser() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Self { child, folder }
    }

    async fn ready(&self) {
        let ready = || fs::read_to_string(self.folder.join("log")).unwrap().contains("ready").then_some(());
        until("ready", SOON, ready).await;
    }

    /// To whom its memory belongs: to the superuser where nobody else may look into it (proc(5), "dumpable").
    fn owner(&self) -> u32 {
        fs::metadata(format!("/proc/{}/mem", self.child.id())).unwrap().uid()
    }

    /// How large a core file may be.
    fn core_limit(&self) -> String {
        core_limit(Path::new(&format!("/proc/{}/limits", self.child.id())))
    }
}

fn core_limit(limits: &Path) -> String {
    let limits = fs::read_to_string(limits).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_superuser() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        fs::remove_dir_all(&self.folder).ok();
    }
}

#[tokio::test]
async fn no_core_file_is_written_and_nobody_else_may_look_into_the_memory() {
    let (private, open) = (Process::start("private", &[]), Process::start("open", &["--dumpable"]));
    private.ready().await;
    open.ready().await;
    assert_eq!((private.owner(), private.core_limit().as_str()), (0, "0 0 bytes"));
    assert_ne!(open.owner(), 0);
    assert_eq!(open.core_limit(), core_limit(Path::new("/proc/self/limits")));
}
