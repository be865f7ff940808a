//! Looking a secret up: in a file or in the environment.

use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use watchpost_model::SecretName;
use zeroize::Zeroizing;

use super::{SecretFrom, SecretOptions};
use crate::failure;

/// Linux's `O_NONBLOCK` on every architecture that is built for. The standard library has no name for it.
const NONBLOCK: i32 = 0o4000;

/// Looks `name` up: where it is said to be, or else in the directory and then in the environment.
///
/// # Errors
/// That it is not there, with where it was looked for, or what is wrong with it.
pub(super) async fn look_up(options: &SecretOptions, name: &SecretName) -> Result<SecretString, String> {
    let mut looked = Vec::new();
    for place in places(options, name) {
        let found = match &place {
            SecretFrom::File(path) => read(path.clone()).await,
            SecretFrom::Environment(variable) => Ok(options.variables.get(variable).cloned()),
        };
        let shown = shown(&place);
        match found {
            Ok(Some(value)) => return usable(value).map_err(|why| cannot_be_used(name, &shown, &why)),
            Ok(None) => looked.push(shown),
            Err(why) => return Err(cannot_be_used(name, &shown, &why)),
        }
    }
    Err(match looked.as_slice() {
        [] => format!(
            "the check refers to the secret `{name}`, and this Runner has no secrets: expected `secrets` in its \
             configuration"
        ),
        [only] => format!("the check refers to the secret `{name}`, and there is no {only} on this Runner"),
        several => format!(
            "the check refers to the secret `{name}`, and there is neither {} on this Runner",
            several.iter().map(|place| format!("the {place}")).collect::<Vec<_>>().join(" nor ")
        ),
    })
}

fn places(options: &SecretOptions, name: &SecretName) -> Vec<SecretFrom> {
    if let Some(from) = options.names.get(name).and_then(|named| named.from.clone()) {
        return vec![from];
    }
    let file = options.directory.as_ref().map(|directory| SecretFrom::File(directory.join(name.as_str())));
    let variable = options.prefix.as_ref().map(|prefix| SecretFrom::Environment(SecretOptions::variable(prefix, name)));
    file.into_iter().chain(variable).collect()
}

fn shown(place: &SecretFrom) -> String {
    match place {
        SecretFrom::File(path) => format!("file {}", path.display()),
        SecretFrom::Environment(variable) => format!("environment variable {variable}"),
    }
}

fn cannot_be_used(name: &SecretName, place: &str, why: &str) -> String {
    format!("the secret `{name}` cannot be used: the {place} {why}")
}

/// The value without the line break that editors and `echo` put at its end.
fn usable(value: SecretString) -> Result<SecretString, String> {
    let text = value.expose_secret();
    let bare = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    match bare.len() {
        0 => Err("is empty".to_owned()),
        1..=SecretOptions::VALUE_BYTES_MAX if bare.len() == text.len() => Ok(value),
        1..=SecretOptions::VALUE_BYTES_MAX => Ok(SecretString::from(Box::<str>::from(bare))),
        bytes => Err(format!("has {bytes} bytes: expected at most {}", SecretOptions::VALUE_BYTES_MAX)),
    }
}

/// What `path` has; `None` where there is no such file. Off the runtime's threads: it may lie on a disk that does not
/// answer.
async fn read(path: PathBuf) -> Result<Option<SecretString>, String> {
    match tokio::task::spawn_blocking(move || read_now(&path)).await {
        Ok(Ok(bytes)) => match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(Some(SecretString::from(Box::<str>::from(text)))),
            Err(_) => Err("is not UTF-8".to_owned()),
        },
        Ok(Err(error)) if error.kind() == ErrorKind::NotFound => Ok(None),
        Ok(Err(error)) => Err(format!("cannot be read: {}", failure::plain(&error))),
        Err(_) => Err("cannot be read".to_owned()),
    }
}

/// At most one byte more than a value with its line break may have.
fn read_now(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    const BYTES_MAX: usize = SecretOptions::VALUE_BYTES_MAX + 3;
    // A pipe that nobody writes to would keep the thread for ever.
    let file = std::fs::OpenOptions::new().read(true).custom_flags(NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is no file"));
    }
    // Made large enough at once: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES_MAX + 32));
    file.take(BYTES_MAX as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::NamedSecret;
    use super::*;

    #[tokio::test]
    async fn a_secret_is_found_where_it_is_and_what_is_wrong_is_told_without_it() {
        let folder = std::env::temp_dir().join(format!("watchpost-secret-source-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("folder")).unwrap();
        for (file, content) in [
            ("crlf", b"from-a-file\r\n".to_vec()),
            ("two-lines", b"a\nb\n\n".to_vec()),
            ("empty", b"\n".to_vec()),
            ("binary", vec![0xff, 0xfe]),
            ("full", vec![b'x'; SecretOptions::VALUE_BYTES_MAX]),
            ("large", vec![b'x'; SecretOptions::VALUE_BYTES_MAX + 1]),
        ] {
            std::fs::write(folder.join(file), content).unwrap();
        }
        let mut options = SecretOptions {
            directory: Some(folder.clone()),
            prefix: Some("P_".to_owned()),
            variables: [
                ("P_API_KEY_1", "from-a-variable"),
                ("P_CRLF", "hidden by the file"),
                ("ELSEWHERE", "elsewhere"),
            ]
            .map(|(name, value)| (name.to_owned(), SecretString::from(value)))
            .into(),
            ..SecretOptions::default()
        };
        let from = Some(SecretFrom::Environment("ELSEWHERE".to_owned()));
        options.names.insert("named".parse().unwrap(), NamedSecret { from, ..NamedSecret::default() });
        for (name, value) in
            [("crlf", "from-a-file"), ("two-lines", "a\nb\n"), ("api-key.1", "from-a-variable"), ("named", "elsewhere")]
        {
            let found = look_up(&options, &name.parse().unwrap()).await.unwrap();
            assert_eq!(found.expose_secret(), value, "{name}");
        }
        assert!(look_up(&options, &"full".parse().unwrap()).await.is_ok());
        let shown = folder.display();
        for (name, told) in [
            ("none", format!("neither the file {shown}/none nor the environment variable P_NONE")),
            ("empty", format!("the file {shown}/empty is empty")),
            ("binary", "is not UTF-8".to_owned()),
            ("large", "expected at most 65536".to_owned()),
            ("folder", "it is no file".to_owned()),
        ] {
            let error = look_up(&options, &name.parse().unwrap()).await.unwrap_err();
            assert!(error.contains(&told) && error.contains(&format!("`{name}`")), "{error}");
        }
        let nowhere = look_up(&SecretOptions::default(), &"x".parse().unwrap()).await.unwrap_err();
        assert!(nowhere.contains("expected `secrets` in its configuration"), "{nowhere}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
