//! What of the machine a plugin can reach, by Landlock: it reads the system, writes its own temporary directory, and
//! reaches no process but its own.
//!
//! What the kernel does not have it cannot do: since Linux 5.13 for files, 6.7 for ports, 6.12 for signals. What was
//! applied stands in each result.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, NetPort, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    RulesetError, Scope, path_beneath_rules,
};

use watchpost_policy::{ExecRules, Sandbox};

/// The version whose rights for files are ours. A later one would forbid more than was tried.
const FILES: ABI = ABI::V5;
/// The version since which a file that cannot be written cannot be truncated either (Linux 6.2).
const TRUNCATE_SINCE: u32 = 3;
/// The version since which there are rules on ports (Linux 6.7).
const PORTS_SINCE: u32 = 4;
/// The version since which there are rules on signals and abstract sockets (Linux 6.12).
const SCOPES_SINCE: u32 = 6;

/// Programs, and what they are made of.
const RUN: &[&str] = &["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr", "/nix/store", "/gnu/store"];
/// What programs read in order to know where they are: no passwords, no keys, and nothing of ours.
const READ: &[&str] = &[
    "/proc",
    "/sys",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager/resolv.conf",
    "/var/lib/snmp",
    "/etc/alternatives",
    "/etc/alpine-release",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/crypto-policies",
    "/etc/debian_version",
    "/etc/fstab",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/locale.alias",
    "/etc/locale.conf",
    "/etc/localtime",
    "/etc/lsb-release",
    "/etc/mime.types",
    "/etc/mtab",
    "/etc/networks",
    "/etc/nsswitch.conf",
    "/etc/openldap/ldap.conf",
    "/etc/ldap/ldap.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/perl",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/openssl.cnf",
    "/etc/protocols",
    "/etc/redhat-release",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
];
/// What holds nothing, and takes everything.
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// Rules that a process can put on itself, and what they are.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) ruleset: Option<OwnedFd>,
    pub(super) applied: Vec<&'static str>,
}

impl Rules {
    /// Rules for a program of `policy`, which lies in one of `programs`, with its own directory `scratch`, where the kernel
    /// has Landlock of this `version`.
    ///
    /// # Errors
    /// A sentence, where the policy requires what this machine cannot do.
    pub(super) fn new(
        policy: &ExecRules,
        programs: &[PathBuf],
        scratch: Option<&Path>,
        version: Option<u32>,
    ) -> Result<Self, String> {
        if policy.sandbox == Sandbox::Off {
            return Ok(Self::default());
        }
        let version = version.unwrap_or(0);
        let needed = if policy.connect_ports.is_some() { PORTS_SINCE } else { TRUNCATE_SINCE };
        if policy.sandbox == Sandbox::Require && version < needed {
            return Err(format!(
                "the policy requires a sandbox (`exec.sandbox: require`), and this machine's kernel cannot make it: Landlock \
                 of version {needed} or later is needed, and there is {}",
                if version == 0 { "none".to_owned() } else { format!("version {version}") }
            ));
        }
        if version == 0 {
            return Ok(Self::default());
        }
        let ruleset = build(policy, programs, scratch)
            .map_err(|error| format!("the sandbox that the policy asks for cannot be made: {error}"))?;
        let mut applied = vec![if version < TRUNCATE_SINCE { "landlock_files_but_truncate" } else { "landlock_files" }];
        if policy.connect_ports.is_some() && version >= PORTS_SINCE {
            applied.push("landlock_ports");
        }
        if version >= SCOPES_SINCE {
            applied.push("landlock_signals");
        }
        Ok(Self { ruleset: ruleset.into(), applied })
    }
}

fn build(policy: &ExecRules, programs: &[PathBuf], scratch: Option<&Path>) -> Result<RulesetCreated, RulesetError> {
    let read = BitFlags::from(AccessFs::ReadFile) | AccessFs::ReadDir;
    let run = read | AccessFs::Execute;
    // What it can write it cannot run.
    let write = AccessFs::from_all(FILES)
        & !(BitFlags::from(AccessFs::Execute) | AccessFs::MakeBlock | AccessFs::MakeChar | AccessFs::IoctlDev);
    let devices = read | AccessFs::WriteFile;
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(FILES))?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?;
    if policy.connect_ports.is_some() {
        ruleset = ruleset.handle_access(AccessNet::ConnectTcp)?;
    }
    let mut ruleset = ruleset
        .create()?
        .add_rules(path_beneath_rules(RUN, run))?
        .add_rules(path_beneath_rules(programs, run))?
        .add_rules(path_beneath_rules(READ, read))?
        .add_rules(path_beneath_rules(&policy.readable, read))?
        .add_rules(path_beneath_rules(DEVICES, devices))?
        .add_rules(path_beneath_rules(&policy.writable, write))?
        .add_rules(path_beneath_rules(scratch, write))?;
    for port in policy.connect_ports.iter().flatten() {
        ruleset = ruleset.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    Ok(ruleset)
}

/// Which version of Landlock this machine's kernel has; `None` where it has none, or it is switched off.
#[expect(unsafe_code, reason = "the library knows it, and does not tell")]
pub fn landlock_version() -> Option<u32> {
    const VERSION: libc::c_uint = 1;
    // SAFETY: with this flag and no attributes the call touches no memory, and answers with a number.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<libc::c_void>(), 0_usize, VERSION) };
    u32::try_from(version).ok().filter(|version| *version > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(sandbox: Sandbox, connect_ports: Option<Vec<u16>>, version: Option<u32>) -> Result<Rules, String> {
        let policy = ExecRules { sandbox, connect_ports, ..ExecRules::default() };
        Rules::new(&policy, &[], None, version)
    }

    #[test]
    fn what_is_required_is_refused_where_the_kernel_cannot_do_it() {
        for (version, told) in [(None, "and there is none"), (Some(1), "version 1"), (Some(2), "version 2")] {
            let error = rules(Sandbox::Require, None, version).unwrap_err();
            assert!(error.contains("version 3 or later") && error.ends_with(told), "{error}");
        }
        let error = rules(Sandbox::Require, Some(vec![443]), Some(3)).unwrap_err();
        assert!(error.contains("version 4 or later") && error.ends_with("version 3"), "{error}");
    }

    #[test]
    fn what_is_preferred_is_done_as_far_as_it_goes_and_told() {
        let none = rules(Sandbox::Prefer, Some(vec![443]), None).unwrap();
        assert!(none.ruleset.is_none() && none.applied.is_empty(), "{none:?}");
        let off = rules(Sandbox::Off, Some(vec![443]), Some(7)).unwrap();
        assert!(off.ruleset.is_none() && off.applied.is_empty(), "{off:?}");
        let Some(version) = landlock_version() else { return };
        for (known, ports, expected) in [
            (1, Some(vec![443]), vec!["landlock_files_but_truncate"]),
            (3, Some(vec![443]), vec!["landlock_files"]),
            (4, Some(vec![443]), vec!["landlock_files", "landlock_ports"]),
            (5, None, vec!["landlock_files"]),
            (6, Some(Vec::new()), vec!["landlock_files", "landlock_ports", "landlock_signals"]),
        ] {
            if known > version {
                break;
            }
            let rules = rules(Sandbox::Prefer, ports, Some(known)).unwrap();
            assert!(rules.ruleset.is_some());
            assert_eq!(rules.applied, expected);
        }
    }
}
