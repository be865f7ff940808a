//! What a plugin finds in its environment.
//!
//! A check comes from somebody who may run the programs that the policy lists, and no others. Some variables would undo
//! that: by them loaders load, and interpreters run, whatever they name. These are refused.

use std::ffi::OsString;
use std::path::Path;

use watchpost_model::{ExecSettings, shorten};
use watchpost_policy::ExecRules;

use super::policy;
use crate::Verdict;

/// Where programs look for others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Numbers and messages in the form that is the same everywhere, unless the check says it.
const LC_ALL: &str = "C";

/// Variables that tell loaders, interpreters or libraries what to load or run, or where to look for it. A `*` at the
/// end stands for anything.
const DANGEROUS: &[&str] = &[
    "AWKLIBPATH",
    "AWKPATH",
    "BASHOPTS",
    "BASH_*",
    "BUNDLE_*",
    "CDPATH",
    "CLASSPATH",
    "COMSPEC",
    "CORECLR_*",
    "COR_*",
    "CURL_HOME",
    "CVS_RSH",
    "DOTNET_*",
    "EDITOR",
    "ELIXIR_*",
    "ENV",
    "ERL_*",
    "FPATH",
    "GCONV_PATH",
    "GEM_*",
    "GIO_*",
    "GIT_*",
    "GLIBC_TUNABLES",
    "GUILE_*",
    "HOME",
    "HOSTALIASES",
    "IBM_JAVA_OPTIONS",
    "IFS",
    "JAVA_*",
    "JDK_*",
    "KRB5_CONFIG",
    "KRB5_TRACE",
    "LDAPCONF",
    "LDAPRC",
    "LD_*",
    "LESSCLOSE",
    "LESSOPEN",
    "LIBMYSQL_*",
    "LOCALDOMAIN",
    "LOCPATH",
    "LUA_*",
    "MAKEFLAGS",
    "MALLOC_*",
    "MANPAGER",
    "MIBDIRS",
    "MIBS",
    "MYSQL_HOME",
    "NLSPATH",
    "NODE_*",
    "ODBCINI",
    "ODBCSYSINI",
    "OPENJ9_JAVA_OPTIONS",
    "OPENSSL_*",
    "ORACLE_PATH",
    "PAGER",
    "PATH",
    "PERL*",
    "PGSERVICEFILE",
    "PGSYSCONFDIR",
    "PHP*",
    "PS4",
    "PSQLRC",
    "PSQL_*",
    "PYTHON*",
    "RESOLV_*",
    "RES_OPTIONS",
    "RSYNC_*",
    "RUBY*",
    "R_*",
    "SASL_*",
    "SHELL",
    "SHELLOPTS",
    "SNMPCONFPATH",
    "SNMP_PERSISTENT_*",
    "SQLPATH",
    "SSH_ASKPASS",
    "SSLKEYLOGFILE",
    "SVN_SSH",
    "TAR_OPTIONS",
    "TCLLIBPATH",
    "TCL_LIBRARY",
    "TERMINFO*",
    "TMPDIR",
    "TZDIR",
    "VISUAL",
    "WGETRC",
    "XDG_*",
    "ZDOTDIR",
    "_JAVA_OPTIONS",
];

/// The environment of what `settings` ask for.
///
/// # Errors
/// The verdict, where a variable could make the program run something else, and `policy` does not name it.
pub(super) fn of(
    settings: &ExecSettings,
    policy: &ExecRules,
    scratch: Option<&Path>,
) -> Result<Vec<(OsString, OsString)>, Verdict> {
    let names = settings.environment.keys().map(|name| name.as_str());
    if let Some(refused) = names.into_iter().find(|name| is_dangerous(name) && !is_permitted(name, policy)) {
        return Err(policy::not_allowed(format!(
            "the check sets the environment variable {}, by which a program can be made to run others: list it under \
             `exec.environment` in the machine's policy to permit that",
            shorten(refused, 80)
        )));
    }
    let own = settings.environment.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into()));
    let given = [("PATH", PATH), ("LC_ALL", LC_ALL)].map(|(name, value)| (name.into(), value.into()));
    let scratch = scratch.map(|path| ("TMPDIR".into(), path.as_os_str().to_owned()));
    Ok(given.into_iter().chain(scratch).chain(own).collect())
}

fn is_dangerous(name: &str) -> bool {
    DANGEROUS.iter().any(|pattern| fits(pattern, name))
}

fn is_permitted(name: &str, policy: &ExecRules) -> bool {
    policy.environment.iter().any(|pattern| pattern.matches(name))
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(names: &[&str], policy: &ExecRules) -> Result<Vec<String>, String> {
        let environment: serde_json::Map<_, _> = names.iter().map(|name| ((*name).to_owned(), "x".into())).collect();
        let settings =
            serde_json::from_value(serde_json::json!({ "command": "/p", "environment": environment })).unwrap();
        match of(&settings, policy, Some(Path::new("/tmp/own"))) {
            Ok(all) => {
                Ok(all.into_iter().map(|(name, value)| format!("{}={}", name.display(), value.display())).collect())
            }
            Err(verdict) => Err(verdict.reason.unwrap().message),
        }
    }

    fn permitting(names: &[&str]) -> ExecRules {
        let environment = names.iter().map(|name| name.parse().unwrap()).collect();
        ExecRules { environment, ..ExecRules::default() }
    }

    #[test]
    fn what_makes_programs_run_others_is_refused_unless_the_policy_names_it() {
        let policy = permitting(&["PERL5LIB", "JAVA_*"]);
        for name in [
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "PERL5OPT",
            "PYTHONPATH",
            "BASH_ENV",
            "ENV",
            "PATH",
            "HOME",
            "TMPDIR",
            // These have the command itself in them.
            "TAR_OPTIONS",
            "RSYNC_RSH",
            "MAKEFLAGS",
            "ERL_FLAGS",
            // These load libraries.
            "LIBMYSQL_PLUGINS",
            "SASL_PATH",
            "CORECLR_PROFILER_PATH",
            "GIO_EXTRA_MODULES",
        ] {
            let error = given(&["PGPASSWORD", name], &policy).unwrap_err();
            assert!(error.contains(&format!("the environment variable {name}, ")), "{error}");
        }
        let all = given(&["PERL5LIB", "JAVA_HOME", "PGPASSWORD", "LDAP_URI", "LC_ALL"], &policy).unwrap();
        let paths = format!("PATH={PATH}");
        assert_eq!(all[..3], [paths.as_str(), "LC_ALL=C", "TMPDIR=/tmp/own"]);
        assert_eq!(all[3..], ["JAVA_HOME=x", "LC_ALL=x", "LDAP_URI=x", "PERL5LIB=x", "PGPASSWORD=x"]);
        // What the policy names, it permits: the greatest trust is in what stands there.
        let path = permitting(&["PATH"]);
        assert!(given(&["PATH"], &path).unwrap().ends_with(&["PATH=x".to_owned()]));
    }
}
