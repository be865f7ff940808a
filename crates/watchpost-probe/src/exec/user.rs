//! The user that plugins run as.

use nix::unistd::{self, geteuid};

/// A user and its group, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Whom to become in order to run as `wanted`, a name or a number; `None` where that is who we are.
///
/// # Errors
/// A sentence, where there is no such user, or we may not become another.
pub(super) fn to_become(wanted: &str) -> Result<Option<User>, String> {
    let number = wanted.parse().ok();
    let entry = match number {
        Some(uid) => unistd::User::from_uid(uid_of(uid)),
        None => unistd::User::from_name(wanted),
    };
    let user = match (entry, number) {
        (Ok(Some(entry)), _) => User { uid: entry.uid.as_raw(), gid: entry.gid.as_raw() },
        // Users need no entry: those of containers often have none.
        (Ok(None), Some(uid)) => User { uid, gid: uid },
        (Ok(None), None) => return Err(format!("this machine has no user `{wanted}`, as which it is to run")),
        (Err(error), _) => {
            return Err(format!("the user `{wanted}`, as which it is to run, cannot be looked up: {error}"));
        }
    };
    let own = geteuid();
    match own.as_raw() {
        uid if uid == user.uid => Ok(None),
        0 => Ok(Some(user)),
        uid => Err(format!(
            "it is to run as the user `{wanted}`, and this process, which runs as user {uid}, may not become another: start \
             it as root, or take `exec.user` out of the policy"
        )),
    }
}

fn uid_of(uid: u32) -> unistd::Uid {
    unistd::Uid::from_raw(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_known_by_name_and_by_number() {
        if !geteuid().is_root() {
            return;
        }
        let nobody = to_become("nobody").unwrap().unwrap();
        assert_eq!(to_become(&nobody.uid.to_string()), Ok(Some(nobody)));
        assert_eq!(to_become("54321"), Ok(Some(User { uid: 54_321, gid: 54_321 })));
        assert_eq!((to_become("root"), to_become("0")), (Ok(None), Ok(None)));
        assert!(to_become("no-such-user").unwrap_err().contains("no user `no-such-user`"));
    }
}
